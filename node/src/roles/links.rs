//! Follows the outboxes of other roles into the own journal, each entry once. Never judges what it carries.
//!
//! How far an outbox was read stands in a small file that is written after the group commit. What was taken behind
//! that is found again in the journal itself, by its bytes, so a crash between the two loses and repeats nothing.
#![allow(clippy::disallowed_methods, reason = "node starts threads and files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bus::{BusError, Log, RedisTail};
use schemas::{Digest, Entry, Intake, MinerId, Stream};
use tokio::sync::oneshot;

use super::intake_of;
use super::outbox::Meeting;
use crate::kernel::{Cmd, KernelHandle};
use crate::plan::Role;

/// How long one look at an outbox waits for news.
const WAIT: Duration = Duration::from_millis(250);
/// The first and the longest pause after Redis failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Entries read at once from the journal.
const CHUNK: usize = 4_096;
/// Entries nobody here wants, after which the position is written all the same.
const SKIPPED: u64 = 10_000;

/// Whose outboxes a role follows.
pub fn followed(role: Role) -> &'static [Role] {
    match role {
        Role::All => &[],
        Role::Ingest => &[Role::Validator],
        Role::Miner | Role::Api => &[Role::Ingest, Role::Validator],
        Role::Validator => &[Role::Ingest, Role::Miner, Role::Api],
    }
}

/// Whether `role` takes this entry of `from`'s outbox; `own` are the miners hosted here, whose predictions are in
/// the own journal already. Nobody takes another process's clock.
fn wanted(role: Role, from: Role, own: &BTreeSet<MinerId>, entry: &Entry) -> bool {
    match (role, from, entry.stream) {
        (Role::Validator | Role::Miner | Role::Api, Role::Ingest, Stream::Market)
        | (Role::Api, Role::Validator, Stream::Verdicts) => true,
        (_, _, Stream::Intake) => intake_of(entry).is_some_and(|body| match (role, from, body) {
            (Role::Ingest, Role::Validator, body) => matches!(body, Intake::Topic(_)),
            (Role::Validator, Role::Ingest, body) => matches!(body, Intake::Question(_)),
            (Role::Miner, Role::Validator, Intake::Commitment(c)) => !own.contains(&c.miner),
            (Role::Miner, Role::Validator, Intake::Reveal(r)) => !own.contains(&r.miner),
            (Role::Miner, Role::Validator, body) => !matches!(body, Intake::TimeAdvanced { .. }),
            (Role::Validator, Role::Miner, body) => {
                matches!(body, Intake::Commitment(_) | Intake::Reveal(_))
            }
            // Who registers through the API has signed and pays; nobody is named there.
            (Role::Validator, Role::Api, Intake::Miner(m)) => m.signature.is_some() && m.account.is_some(),
            (Role::Validator, Role::Api, body) => {
                matches!(
                    body,
                    Intake::Commitment(_) | Intake::Reveal(_) | Intake::Usage(_) | Intake::Account(_)
                )
            }
            _ => false,
        }),
        _ => false,
    }
}

/// How far an outbox was read: everything wanted before `next` is in the journal, at `local` or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    next: u64,
    local: u64,
}

impl Position {
    /// Reads it; without a readable file everything is looked for in the journal.
    fn read(path: &Path) -> Self {
        let parse = |text: String| {
            let (next, local) = text.trim().split_once(' ')?;
            Some(Self { next: next.parse().ok()?, local: local.parse().ok()? })
        };
        fs::read_to_string(path).ok().and_then(parse).unwrap_or(Self { next: 1, local: 0 })
    }

    fn write(self, path: &Path) -> Result<()> {
        let mut tmp = path.as_os_str().to_owned();
        tmp.push(".tmp");
        fs::write(&tmp, format!("{} {}\n", self.next, self.local))
            .and_then(|()| fs::rename(&tmp, path))
            .with_context(|| format!("writing {}", path.display()))
    }
}

/// Bytes of journal entries behind a position, and how often.
type Window = BTreeMap<Digest, u32>;

fn fingerprint(stream: Stream, body: &[u8]) -> Digest {
    Digest::of(&[stream.name().as_bytes(), b"\0", body].concat())
}

fn window(log: &mut dyn Log, after: u64) -> Result<Window> {
    let (mut seen, mut next) = (Window::new(), after + 1);
    loop {
        let entries = log.read(next, CHUNK).context("reading the journal")?;
        let Some(last) = entries.last() else { return Ok(seen) };
        next = last.record.seq + 1;
        for entry in &entries {
            *seen.entry(fingerprint(entry.stream, &entry.record.body)).or_default() += 1;
        }
    }
}

/// One followed outbox, before its thread runs.
pub struct Link {
    role: Role,
    from: Role,
    own: BTreeSet<MinerId>,
    path: PathBuf,
    at: Position,
    seen: Window,
}

impl Link {
    /// Finds out how far `role` has read `from`, from the file in `dir` and the journal.
    pub fn open(
        role: Role,
        from: Role,
        own: BTreeSet<MinerId>,
        dir: &Path,
        journal: &mut dyn Log,
    ) -> Result<Self> {
        let path = dir.join(format!("followed.{}", from.name()));
        let at = Position::read(&path);
        if at.local > journal.last().0 {
            bail!("{} is ahead of the journal beside it; was the journal exchanged?", path.display());
        }
        let seen = window(journal, at.local)?;
        Ok(Self { role, from, own, path, at, seen })
    }

    /// What of these entries is new and wanted here.
    fn news(&mut self, entries: &[Entry]) -> Vec<(Stream, Vec<u8>)> {
        let mut news = Vec::new();
        for entry in entries.iter().filter(|e| wanted(self.role, self.from, &self.own, e)) {
            let body = &entry.record.body;
            if !self.seen.is_empty() {
                // What was taken is a beginning of what is there: the first unknown entry ends the comparison.
                let print = fingerprint(entry.stream, body);
                match self.seen.get_mut(&print).filter(|left| **left > 0) {
                    Some(left) => {
                        *left -= 1;
                        continue;
                    }
                    None => self.seen.clear(),
                }
            }
            news.push((entry.stream, body.clone()));
        }
        news
    }
}

/// A running follower.
pub struct Follower {
    thread: JoinHandle<Result<()>>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    /// Starts following.
    pub fn start(link: Link, meeting: Meeting, kernel: KernelHandle) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let from = link.from.name();
        let work = Work { link, meeting, kernel, stop: Arc::clone(&stop), written: 0 };
        let thread = std::thread::Builder::new()
            .name(format!("from-{from}"))
            .spawn(move || work.run().inspect_err(|e| tracing::error!("following {from} stopped: {e:#}")))
            .context("starting a follower's thread")?;
        Ok(Self { thread, stop })
    }

    /// Whether it has given up; the process must stop then.
    pub fn is_down(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends after the batch at hand.
    pub async fn stop(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let ended =
            tokio::task::spawn_blocking(move || self.thread.join()).await.context("joining a follower")?;
        ended.map_err(|_| anyhow!("a follower panicked"))?
    }
}

struct Work {
    link: Link,
    meeting: Meeting,
    kernel: KernelHandle,
    stop: Arc<AtomicBool>,
    written: u64,
}

impl Work {
    fn run(mut self) -> Result<()> {
        let mut tail: Option<RedisTail> = None;
        let mut pause = PAUSE.0;
        while !self.stop.load(Ordering::SeqCst) {
            match self.look(&mut tail) {
                Ok(entries) => {
                    pause = PAUSE.0;
                    if !self.take(&entries)? {
                        return Ok(());
                    }
                }
                Err(BusError::Redis(error)) => {
                    // Redis may come back with another stream: only a fresh reader finds its way in it.
                    tail = None;
                    if pause == PAUSE.0 {
                        tracing::warn!(from = self.link.from.name(), "waiting for Redis: {error}");
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE.1);
                }
                Err(BusError::Trimmed { from, first }) => bail!(
                    "the outbox of {} begins at record {first} and {from} is needed here; copy the journal of a \
                     process of this role, or start the network anew",
                    self.link.from.name()
                ),
                Err(other) => return Err(other).context("reading an outbox"),
            }
        }
        Ok(())
    }

    fn look(&self, tail: &mut Option<RedisTail>) -> Result<Vec<Entry>, BusError> {
        let reader = match tail.take() {
            Some(reader) => reader,
            None => RedisTail::connect(self.meeting.options(self.link.from), self.link.at.next)?,
        };
        tail.insert(reader).next(WAIT)
    }

    /// `false` when the kernel is gone.
    fn take(&mut self, entries: &[Entry]) -> Result<bool> {
        let Some(last) = entries.last() else { return Ok(true) };
        let news = self.link.news(entries);
        self.link.at.next = last.record.seq + 1;
        let carried = !news.is_empty();
        if carried {
            let (taken, durable) = oneshot::channel();
            if !self.kernel.blocking_send(Cmd::Follow { entries: news, taken }) {
                return Ok(false);
            }
            let Ok(local) = durable.blocking_recv() else { return Ok(false) };
            // While what was taken before is still being recognised, the file must keep its old place.
            self.link.at.local = local;
        }
        let recognising = !self.link.seen.is_empty();
        if !recognising && (carried || self.link.at.next >= self.written + SKIPPED) {
            self.link.at.write(&self.link.path)?;
            self.written = self.link.at.next;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use bus::MemoryLog;
    use schemas::{Record, Timestamp};

    use super::*;

    fn verdict(seq: u64, epoch: u64) -> Entry {
        let body = schemas::encode(&schemas::Verdict::EpochFinal { epoch, root: [0; 32] });
        Entry { stream: Stream::Verdicts, record: Record { seq, at: Timestamp(0), body } }
    }

    fn bodies(epochs: &[u64]) -> Vec<(Stream, Vec<u8>)> {
        epochs.iter().map(|e| (Stream::Verdicts, verdict(1, *e).record.body)).collect()
    }

    /// Epochs in the journal, position, epochs in the outbox, what must be taken.
    type Case<'a> = (&'a [u64], &'a str, &'a [u64], &'a [u64]);

    #[test]
    fn after_a_crash_nothing_is_lost_or_repeated() {
        let cases: &[Case<'_>] = &[
            (&[], "", &[1, 2], &[1, 2]),
            (&[1, 2], "", &[1, 2, 3], &[3]),
            (&[1, 2], "2 1", &[2, 3], &[3]),
            (&[1, 1, 2], "2 1", &[1, 2, 2, 1], &[2, 1]),
            (&[1, 2], "3 2", &[1, 2], &[1, 2]),
        ];
        for (journal, position, outbox, want) in cases {
            let dir = tempfile::tempdir().unwrap();
            let mut log = MemoryLog::default();
            let held: Vec<Entry> = (1..).zip(*journal).map(|(seq, e)| verdict(seq, *e)).collect();
            log.append(&held).unwrap();
            if !position.is_empty() {
                fs::write(dir.path().join("followed.validator"), position).unwrap();
            }
            let mut link =
                Link::open(Role::Api, Role::Validator, BTreeSet::new(), dir.path(), &mut log).unwrap();
            let entries: Vec<Entry> =
                (link.at.next..).zip(*outbox).map(|(seq, e)| verdict(seq, *e)).collect();
            assert_eq!(link.news(&entries), bodies(want), "{journal:?} {position:?} {outbox:?}");
        }
    }

    #[test]
    fn clocks_and_own_predictions_stay_at_home() {
        let intake = |body: &Intake| Entry {
            stream: Stream::Intake,
            record: Record { seq: 1, at: Timestamp(0), body: schemas::encode(body) },
        };
        let sealed = |who: u8| {
            intake(&Intake::Commitment(schemas::Commitment {
                miner: MinerId([who; 32]),
                question: schemas::QuestionId([1; 32]),
                hash: schemas::CommitHash([2; 32]),
                signature: [3; 64],
            }))
        };
        let clock = intake(&Intake::TimeAdvanced { to: Timestamp(5) });
        let own = BTreeSet::from([MinerId([7; 32])]);
        let roles = [Role::Ingest, Role::Miner, Role::Validator, Role::Api];
        for (role, from) in roles.iter().flat_map(|r| followed(*r).iter().map(move |f| (*r, *f))) {
            assert!(!wanted(role, from, &own, &clock), "{role:?} from {from:?}");
            assert_eq!(
                wanted(role, from, &own, &sealed(8)),
                matches!(
                    (role, from),
                    (Role::Miner, Role::Validator) | (Role::Validator, Role::Miner | Role::Api)
                ),
                "{role:?} from {from:?}"
            );
        }
        assert!(!wanted(Role::Miner, Role::Validator, &own, &sealed(7)));
    }
}
