//! One miner's session: it reads questions, market facts and verdicts from the board by position; it sells nothing.
//!
//! The bell only says that something is new. A reader that frees no place in its queue is closed with 4008, one that
//! fell out of the board's memory is told which positions it missed.

use std::sync::Arc;
use std::time::Duration;

use schemas::MinerId;
use schemas::public::{MinerChannel, MinerClientMessage, MinerServerMessage};
use tokio::sync::{mpsc, watch};

use super::super::http::Core;
use super::super::{keys::KeyInfo, questions as rest};
use super::session::{COME_BACK_MS, Ending};
use super::{Ends, Heard};
use crate::bucket::Bucket;
use crate::questions::{Cursor, Item};
use crate::{questions, strict, wire};

/// Things taken from the board at once; commands are looked at in between.
const BATCH: usize = 64;

/// `None` ends a connection whose client is gone.
type Step = Result<(), Option<Ending>>;

/// The state of one connection.
pub(super) struct MinerSession {
    core: Arc<Core>,
    key: KeyInfo,
    name: String,
    ends: Ends,
    bell: watch::Receiver<u64>,
    rate: Bucket,
    cursor: Cursor,
    behind: bool,
}

impl MinerSession {
    pub(super) fn new(core: Arc<Core>, key: KeyInfo, name: String, ends: Ends) -> Self {
        let bell = core.state.bell.subscribe();
        let rate = Bucket::full(core.state.limits.socket.commands, core.state.now());
        Self { core, key, name, ends, bell, rate, cursor: Cursor::default(), behind: false }
    }

    /// Runs until something ends the connection; dropping the session closes the writer's queue.
    pub(super) async fn run(mut self) -> Option<Ending> {
        match self.work().await {
            Ok(()) => None,
            Err(ending) => ending,
        }
    }

    async fn work(&mut self) -> Step {
        let welcome = MinerServerMessage::Welcome {
            conn_id: self.name.clone(),
            network: rest::describe(&self.core.state),
            heartbeat_s: self.core.state.limits.socket.ping_ms.div_ceil(1000),
        };
        self.say(&welcome).await?;
        loop {
            if self.behind {
                self.catch_up().await?;
            }
            let left = async {
                match &mut self.ends.leaving {
                    // An error means the server is gone.
                    Some(leaving) => drop(leaving.wait_for(|leave| *leave).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = left => {
                    let last = vec![text(&MinerServerMessage::GoingAway { reconnect_after_ms: COME_BACK_MS })];
                    return Err(Some(Ending { last, code: 4011, reason: "going_away" }));
                }
                Ok(()) = &mut self.ends.idle => return Err(Some(ending(4000, "bad_request", "nothing was heard, not even a pong"))),
                heard = self.ends.commands.recv() => self.hear(heard).await?,
                Ok(()) = self.bell.changed() => self.behind = true,
                () = std::future::ready(()), if self.behind => {}
            }
        }
    }

    async fn hear(&mut self, heard: Option<Heard>) -> Step {
        let said = match heard {
            None => return Err(None),
            Some(Heard::Text(said)) => said,
            Some(Heard::Broken) => {
                return Err(Some(ending(4000, "bad_request", "a frame is broken or too large")));
            }
            Some(Heard::Binary) => return Err(Some(ending(4000, "bad_request", "messages are text"))),
        };
        let limits = self.core.state.limits;
        if self.rate.take(limits.socket.commands, self.core.state.now()).is_err() {
            return Err(Some(ending(4029, "rate_limited", "too many commands")));
        }
        match strict::parse::<MinerClientMessage>(said.as_bytes(), limits.json_depth) {
            Err(error) => self.complain(None, error.code(), &error.to_string()).await,
            Ok(MinerClientMessage::Ping { id }) => {
                self.say(&MinerServerMessage::Pong { id, server_time: self.time() }).await
            }
            Ok(MinerClientMessage::Subscribe { id, channels, miner, market_after }) => {
                self.subscribe(id, channels, miner.as_deref(), market_after).await
            }
        }
    }

    async fn subscribe(
        &mut self,
        id: u64,
        mut channels: Vec<MinerChannel>,
        miner: Option<&str>,
        market_after: Option<u64>,
    ) -> Step {
        channels.sort_unstable();
        channels.dedup();
        let has = |channel| channels.contains(&channel);
        let key = miner.map(str::parse::<MinerId>).transpose();
        let detail = match (&key, has(MinerChannel::Miner)) {
            _ if channels.is_empty() => Some("name a channel: questions, market or miner"),
            (Err(_), _) => Some("miner is a public key of 64 lower-case hex digits"),
            (Ok(None), true) => Some("the channel miner needs `miner`, whose verdicts are wanted"),
            _ => None,
        };
        if let Some(detail) = detail {
            return self.complain(Some(id), "validation_failed", detail).await;
        }
        self.cursor = {
            let board = self.core.state.board();
            let (fact, told) = board.ends();
            Cursor {
                questions: has(MinerChannel::Questions).then(|| board.oldest_question()),
                market: has(MinerChannel::Market)
                    .then(|| market_after.map_or(fact, |after| after.saturating_add(1))),
                told: key.ok().flatten().filter(|_| has(MinerChannel::Miner)).map(|miner| (told, miner)),
            }
        };
        self.behind = true;
        self.say(&MinerServerMessage::Subscribed { id, channels }).await
    }

    /// Sends the next few things. A question that can be neither committed to nor revealed any more is left out.
    async fn catch_up(&mut self) -> Step {
        let now = self.core.state.now();
        if let Err(error) = self.core.state.keys.recheck(&self.key, now) {
            return Err(Some(ending(4001, error.code(), &error.to_string())));
        }
        let before = self.cursor;
        let items = self.core.state.board().read(&mut self.cursor, BATCH);
        self.behind = self.cursor != before;
        let hash = self.core.state.network.hash;
        for item in items {
            let server_time = self.time();
            let message = match item {
                Item::Gap(channel, from, to) => {
                    self.core.state.metrics.ws_gaps.inc();
                    MinerServerMessage::Gap { channel, from, to }
                }
                Item::Question(asked) if now >= asked.question.reveal_closes_at => continue,
                Item::Question(asked) => {
                    let question = Box::new(questions::question(&asked, &hash, now));
                    MinerServerMessage::Question { server_time, question }
                }
                Item::Fact(fact) => MinerServerMessage::Market { server_time, fact: questions::fact(&fact) },
                Item::Told(told) => {
                    MinerServerMessage::Verdict { server_time, verdict: questions::told(&told) }
                }
            };
            self.say(&message).await?;
        }
        Ok(())
    }

    fn time(&self) -> String {
        wire::exact_time(self.core.state.now())
    }

    async fn complain(&mut self, id: Option<u64>, code: &str, detail: &str) -> Step {
        let (code, detail) = (code.to_owned(), detail.to_owned());
        self.say(&MinerServerMessage::Error { id, code, detail }).await
    }

    /// Queues a message; a reader that frees no place for too long is too slow.
    async fn say(&mut self, message: &MinerServerMessage) -> Step {
        let patience = Duration::from_millis(self.core.state.limits.socket.stall_ms);
        match tokio::time::timeout(patience, self.ends.out.send(text(message))).await {
            Ok(Ok(())) => {}
            Ok(Err(mpsc::error::SendError(_))) => return Err(None),
            Err(_) => {
                self.core.state.metrics.ws_slow.inc();
                return Err(Some(ending(
                    4008,
                    "slow_consumer",
                    "messages were not read in time; connect again",
                )));
            }
        }
        self.core.state.metrics.ws_messages.inc();
        Ok(())
    }
}

fn ending(code: u16, reason: &'static str, detail: &str) -> Ending {
    let error = MinerServerMessage::Error { id: None, code: reason.to_owned(), detail: detail.to_owned() };
    Ending { last: vec![text(&error)], code, reason }
}

fn text(message: &MinerServerMessage) -> String {
    serde_json::to_string(message).expect("a message is plain data with string keys")
}
