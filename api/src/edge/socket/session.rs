//! One connection's session: it reads what happened from the view, pays for it, and queues it for the writer.
//!
//! A push only rings the doorbell; what is sent comes from the view's ring by position. So a missed push is made up
//! for, positions are contiguous, and nothing is skipped without a `gap`. A place in the queue is reserved before a
//! unit is paid, so nothing is charged that cannot be queued.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::public::{ClientMessage, ServerMessage, SocketLimits};
use schemas::{Micros, RejectCode, TopicId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::super::charge;
use super::super::http::Core;
use super::super::keys::KeyInfo;
use super::{Ends, Heard, bad_request};
use crate::bucket::Bucket;
use crate::error::ApiError;
use crate::push::Push;
use crate::view::{Event, Held, Notice, Position};
use crate::{strict, wire};

/// Events taken from the view at once; commands are looked at in between.
const BATCH: usize = 32;
/// How long a client should wait before it comes back to a service that closes.
pub(super) const COME_BACK_MS: u64 = 1_000;

/// The last words of a connection.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) last: Vec<String>,
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Ending {
    /// An `error` message and a close frame.
    pub(super) fn new(code: u16, reason: &'static str, detail: &str) -> Self {
        let (id, topic) = (None, None);
        let error = ServerMessage::Error { id, topic, code: reason.to_owned(), detail: detail.to_owned() };
        Self { last: vec![super::text(&error)], code, reason }
    }

    fn going_away() -> Self {
        let last = vec![super::text(&ServerMessage::GoingAway { reconnect_after_ms: COME_BACK_MS })];
        Self { last, code: 4011, reason: "going_away" }
    }
}

/// A subscribed topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Following {
    /// The position that comes next.
    pub(super) next: u64,
    /// Signals up to here are free if they were public: they were issued before they were asked for.
    pub(super) old_up_to: u64,
}

/// `None` ends a connection whose client is gone.
type Step = Result<(), Option<Ending>>;

/// The state of one connection.
pub(super) struct Session {
    pub(super) core: Arc<Core>,
    pub(super) key: KeyInfo,
    name: String,
    out: mpsc::Sender<String>,
    commands: mpsc::Receiver<Heard>,
    pushes: broadcast::Receiver<Arc<Push>>,
    leaving: Option<watch::Receiver<bool>>,
    idle: oneshot::Receiver<()>,
    rate: Bucket,
    pub(super) following: BTreeMap<TopicId, Following>,
    seen: Position,
    balance: Option<Micros>,
    behind: bool,
}

impl Session {
    pub(super) fn new(core: Arc<Core>, key: KeyInfo, name: String, ends: Ends) -> Self {
        let Ends { out, commands, leaving, idle } = ends;
        // Listen first, look second: what happens in between is heard twice, never missed.
        let pushes = core.state.pushes.subscribe();
        let (seen, balance) = {
            let view = core.state.read();
            let seen = Position { seq: view.seq(), part: u32::MAX };
            (seen, view.account(&key.account).map(|a| a.prepaid))
        };
        let rate = Bucket::full(core.state.limits.socket.commands, core.state.now());
        let following = BTreeMap::new();
        Self {
            core,
            key,
            name,
            out,
            commands,
            pushes,
            leaving,
            idle,
            rate,
            following,
            seen,
            balance,
            behind: false,
        }
    }

    /// Runs until something ends the connection; dropping the session closes the writer's queue.
    pub(super) async fn run(mut self) -> Option<Ending> {
        match self.work().await {
            Ok(()) => None,
            Err(ending) => ending,
        }
    }

    async fn work(&mut self) -> Step {
        self.welcome().await?;
        loop {
            if self.behind {
                self.catch_up().await?;
            }
            let left = async {
                match &mut self.leaving {
                    // An error means the server is gone.
                    Some(leaving) => drop(leaving.wait_for(|leave| *leave).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = left => return Err(Some(Ending::going_away())),
                Ok(()) = &mut self.idle => return Err(Some(bad_request("nothing was heard, not even a pong"))),
                heard = self.commands.recv() => self.hear(heard).await?,
                push = self.pushes.recv() => self.doorbell(push)?,
                () = std::future::ready(()), if self.behind => {}
            }
        }
    }

    async fn welcome(&mut self) -> Step {
        let limits = self.core.state.limits;
        let message = ServerMessage::Welcome {
            conn_id: self.name.clone(),
            server_time: wire::time(self.core.state.now()),
            heartbeat_s: limits.socket.ping_ms.div_ceil(1000),
            epoch: self.core.state.read().epoch().to_owned(),
            limits: SocketLimits {
                max_message_bytes: limits.socket.message_bytes as u64,
                max_topics: limits.socket.topics as u32,
                max_commands_per_s: limits.socket.commands.per_second,
                queue_messages: limits.socket.queue as u32,
            },
        };
        self.say(&message).await
    }

    fn doorbell(&mut self, push: Result<Arc<Push>, RecvError>) -> Step {
        match push {
            Ok(push) => {
                let own = matches!(&*push, Push::Balance { account, .. } if *account == self.key.account);
                let followed = push.topic().is_some_and(|topic| self.following.contains_key(topic));
                self.behind |= own || followed;
                Ok(())
            }
            Err(RecvError::Lagged(_)) => {
                self.core.state.metrics.ws_lagged.inc();
                self.behind = true;
                Ok(())
            }
            Err(RecvError::Closed) => Err(Some(Ending::going_away())),
        }
    }

    async fn hear(&mut self, heard: Option<Heard>) -> Step {
        let text = match heard {
            None => return Err(None),
            Some(Heard::Broken) => return Err(Some(bad_request("a frame is broken or too large"))),
            Some(Heard::Binary) => return Err(Some(bad_request("messages are text"))),
            Some(Heard::Text(text)) => text,
        };
        let limits = self.core.state.limits;
        if self.rate.take(limits.socket.commands, self.core.state.now()).is_err() {
            return Err(Some(Ending::new(4029, "rate_limited", "too many commands")));
        }
        match strict::parse::<ClientMessage>(text.as_bytes(), limits.json_depth) {
            Err(error) => self.complain(None, None, error.code(), &error.to_string()).await,
            Ok(ClientMessage::Ping { id }) => {
                self.say(&ServerMessage::Pong { id, server_time: wire::time(self.core.state.now()) }).await
            }
            Ok(ClientMessage::Subscribe { id, topics, from, on_invalid }) => {
                self.subscribe(id, topics, &from, on_invalid).await
            }
            Ok(ClientMessage::Unsubscribe { id, topics }) => {
                let gone = |t: &String| self.following.remove(&TopicId(t.clone())).is_some();
                let topics = topics.into_iter().filter(gone).collect();
                self.say(&ServerMessage::Unsubscribed { id, topics }).await
            }
        }
    }

    /// Makes the session look at the view at its next turn.
    pub(super) fn look(&mut self) {
        self.behind = true;
    }

    /// Sends the next few things that happened.
    async fn catch_up(&mut self) -> Step {
        let now = self.core.state.now();
        if let Err(error) = self.core.state.keys.recheck(&self.key, now) {
            return Err(Some(Ending::new(4001, error.code(), &error.to_string())));
        }
        let next = self.following.iter().map(|(topic, f)| (topic.clone(), f.next)).collect();
        let (events, newest) = {
            let view = self.core.state.read();
            (view.events_after(&next, self.seen, BATCH), Position { seq: view.seq(), part: u32::MAX })
        };
        self.behind = events.len() == BATCH;
        for event in events {
            match event {
                Event::Gap { topic, from, to } => self.gap(topic, from, to).await?,
                Event::Signal(held) => self.deliver(&held, false).await?,
                Event::Notice(position, notice) => {
                    self.tell(&notice).await?;
                    self.seen = position;
                }
            }
        }
        if !self.behind {
            self.seen = newest;
        }
        self.tell_balance().await
    }

    async fn gap(&mut self, topic: TopicId, from: u64, to: u64) -> Step {
        if let Some(following) = self.following.get_mut(&topic) {
            following.next = to + 1;
        }
        self.core.state.metrics.ws_gaps.inc();
        self.say(&ServerMessage::Gap { topic: topic.to_string(), from, to }).await
    }

    async fn tell(&mut self, notice: &Notice) -> Step {
        let message = match notice {
            Notice::NoSignal { topic, question, slot, reason } => ServerMessage::NoSignal {
                topic: topic.to_string(),
                question: question.to_string(),
                slot: wire::time(*slot),
                reason: reason.code().to_owned(),
            },
            Notice::Outcome(outcome) => {
                ServerMessage::Outcome { topic: outcome.topic.to_string(), outcome: wire::outcome(outcome) }
            }
        };
        self.say(&message).await
    }

    async fn tell_balance(&mut self) -> Step {
        let now = self.core.state.read().account(&self.key.account).map(|a| a.prepaid);
        match now {
            Some(prepaid) if self.balance != now => {
                self.balance = now;
                self.say(&ServerMessage::Balance { prepaid: wire::money(prepaid) }).await
            }
            _ => Ok(()),
        }
    }

    /// Pays for a signal and sends it; a topic that cannot be paid stops.
    pub(super) async fn deliver(&mut self, held: &Held, snapshot: bool) -> Step {
        let id = &held.signal.topic;
        // A topic that stopped within the batch gets nothing more of it.
        let Some(following) = self.following.get(id).copied() else { return Ok(()) };
        let place = self.place().await?;
        let was_public = held.outcome.is_some() && held.signal.topic_seq <= following.old_up_to;
        let charged = if was_public {
            Ok(Micros(0))
        } else {
            charge::pay(&self.core.state, &self.key.account, held).await
        };
        let charged = match charged {
            Ok(charged) => charged,
            Err(error) => {
                drop(place);
                return self.stop_topic(&id.clone(), &error).await;
            }
        };
        place.send(super::text(&self.message(held, charged, snapshot)));
        self.core.state.metrics.ws_messages.inc();
        if let Some(following) = self.following.get_mut(id) {
            following.next = following.next.max(held.signal.topic_seq + 1);
        }
        Ok(())
    }

    fn message(&self, held: &Held, charged: Micros, snapshot: bool) -> ServerMessage {
        let epoch = self.core.state.read().epoch().to_owned();
        let signal = Box::new(wire::signal(&epoch, held));
        let (topic, seq, charged) = (signal.topic.clone(), signal.seq, wire::money(charged));
        if snapshot {
            ServerMessage::Snapshot { topic, epoch, seq, charged, signal }
        } else {
            ServerMessage::Signal { topic, epoch, seq, charged, signal }
        }
    }

    /// Says why a topic stops. The connection closes when the service could not charge at all, or no topic is left.
    async fn stop_topic(&mut self, topic: &TopicId, error: &ApiError) -> Step {
        let (code, detail) = (error.code(), error.to_string());
        let close = match error {
            ApiError::Refused(RejectCode::CreditsExhausted) => 4002,
            ApiError::Refused(_) | ApiError::NotEntitled => 4003,
            _ => return Err(Some(Ending::new(4010, code, &detail))),
        };
        self.following.remove(topic);
        if self.following.is_empty() {
            let topic = Some(topic.to_string());
            let error = ServerMessage::Error { id: None, topic, code: code.to_owned(), detail };
            return Err(Some(Ending { last: vec![super::text(&error)], code: close, reason: code }));
        }
        self.complain(None, Some(topic), code, &detail).await
    }

    pub(super) async fn complain(
        &mut self,
        id: Option<u64>,
        topic: Option<&TopicId>,
        code: &str,
        detail: &str,
    ) -> Step {
        let (topic, code, detail) = (topic.map(ToString::to_string), code.to_owned(), detail.to_owned());
        self.say(&ServerMessage::Error { id, topic, code, detail }).await
    }

    /// Queues a message.
    pub(super) async fn say(&mut self, message: &ServerMessage) -> Step {
        self.place().await?.send(super::text(message));
        self.core.state.metrics.ws_messages.inc();
        Ok(())
    }

    /// A place in the writer's queue; a reader that frees none for too long is too slow.
    async fn place(&self) -> Result<mpsc::OwnedPermit<String>, Option<Ending>> {
        let patience = Duration::from_millis(self.core.state.limits.socket.stall_ms);
        match tokio::time::timeout(patience, self.out.clone().reserve_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(self.too_slow())),
        }
    }

    /// What a slow reader misses, and the close.
    fn too_slow(&self) -> Ending {
        self.core.state.metrics.ws_slow.inc();
        let view = self.core.state.read();
        let missed = self.following.iter().filter_map(|(topic, f)| {
            let head = view.topics().get(topic)?.head;
            let gap = ServerMessage::Gap { topic: topic.to_string(), from: f.next, to: head };
            (f.next <= head).then(|| super::text(&gap))
        });
        Ending { last: missed.collect(), code: 4008, reason: "slow_consumer" }
    }
}
