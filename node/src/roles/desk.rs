//! The API's way to an intake in another process: its own journal first, then the verdict that comes back.
//! Never judges, and never answers before the submission is durable here.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Desk, DeskError, Receipt, SharedView};
use schemas::verdict::What;
use schemas::{Intake, MinerId, QuestionId, UnitId, Verdict, unit_id};
use tokio::sync::oneshot;

use crate::desk::KernelDesk;

/// How many submissions may wait for their verdicts.
const WAITING: usize = 4_096;
/// How long a submission waits for its verdict; well within what the API grants its desk.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a verdict is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A delivery.
    Unit(UnitId),
    /// A registration.
    Registration(MinerId),
    /// A commitment or a reveal; no miner if nobody knows its key.
    Prediction(What, QuestionId, Option<MinerId>),
}

#[derive(Default)]
struct Table {
    next: u64,
    count: usize,
    waiting: BTreeMap<Key, VecDeque<(u64, oneshot::Sender<Verdict>)>>,
}

/// Submissions that wait for a verdict, bounded; who asked first hears first.
#[derive(Default)]
pub struct Waiting {
    table: Mutex<Table>,
}

impl Waiting {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a verdict about `key`; `None` when too many wait.
    fn wait(&self, key: &Key) -> Option<(u64, oneshot::Receiver<Verdict>)> {
        let mut table = self.table();
        if table.count >= WAITING {
            return None;
        }
        let (tx, rx) = oneshot::channel();
        let ticket = table.next;
        table.next += 1;
        table.count += 1;
        table.waiting.entry(key.clone()).or_default().push_back((ticket, tx));
        Some((ticket, rx))
    }

    /// Nobody waits with this ticket any more.
    fn forget(&self, key: &Key, ticket: u64) {
        let mut table = self.table();
        let Some(line) = table.waiting.get_mut(key) else { return };
        let before = line.len();
        line.retain(|(t, _)| *t != ticket);
        let gone = before - line.len();
        if line.is_empty() {
            table.waiting.remove(key);
        }
        table.count -= gone;
    }

    /// A verdict came and is durable here.
    pub fn answer(&self, verdict: Verdict) {
        let Some(key) = key_of_verdict(&verdict) else { return };
        let mut table = self.table();
        let Some(line) = table.waiting.get_mut(&key) else { return };
        let first = line.pop_front();
        if line.is_empty() {
            table.waiting.remove(&key);
        }
        if let Some((_, tx)) = first {
            table.count -= 1;
            // Whoever stopped waiting needs no answer.
            let _ = tx.send(verdict);
        }
    }
}

fn key_of_verdict(verdict: &Verdict) -> Option<Key> {
    match verdict {
        Verdict::Charged(charge) => Some(Key::Unit(charge.unit)),
        Verdict::ChargeRefused { unit, .. } => Some(Key::Unit(*unit)),
        Verdict::MinerListed(joined) => Some(Key::Registration(joined.miner)),
        Verdict::Rejected { what: What::Registry, miner: Some(miner), .. } => Some(Key::Registration(*miner)),
        Verdict::Accepted { what, miner, question } | Verdict::Rejected { what, miner, question, .. } => {
            Some(Key::Prediction(*what, (*question)?, *miner))
        }
        _ => None,
    }
}

/// The desk of a process that has the view but not the validator.
pub struct RemoteDesk {
    /// The own journal, which is published.
    pub own: KernelDesk,
    /// Who waits.
    pub waiting: Arc<Waiting>,
    /// Says which miners have joined.
    pub view: SharedView,
}

impl RemoteDesk {
    /// What the validator's verdict on this record will be about; `None` if it gives none that can be matched.
    fn key(&self, intake: &Intake) -> Option<Key> {
        let view = self.view.read().unwrap_or_else(PoisonError::into_inner);
        let known = |miner: MinerId| view.miners().contains_key(&miner).then_some(miner);
        match intake {
            Intake::Usage(usage) => Some(Key::Unit(unit_id(&usage.subscription, &usage.topic, usage.slot))),
            Intake::Miner(joined) => Some(Key::Registration(joined.miner)),
            Intake::Commitment(c) => Some(Key::Prediction(What::Commitment, c.question, known(c.miner))),
            Intake::Reveal(r) => Some(Key::Prediction(What::Reveal, r.question, known(r.miner))),
            _ => None,
        }
    }
}

impl Desk for RemoteDesk {
    /// The receipt names the place in this process's journal. Without a verdict in time it carries none: the
    /// submission is durable, and what becomes of it is still open.
    fn submit(&self, intake: Intake) -> Pin<Box<dyn Future<Output = Result<Receipt, DeskError>> + Send>> {
        let Some(key) = self.key(&intake) else { return self.own.submit(intake) };
        let Some((ticket, verdict)) = self.waiting.wait(&key) else {
            return Box::pin(std::future::ready(Err(DeskError::Overloaded)));
        };
        let held = Held { waiting: Arc::clone(&self.waiting), key, ticket };
        let own = self.own.submit(intake);
        Box::pin(async move {
            let held = held;
            let receipt = own.await?;
            let verdict = tokio::time::timeout(PATIENCE, verdict).await;
            drop(held);
            match verdict {
                Ok(Ok(verdict)) => Ok(Receipt { verdicts: vec![verdict], ..receipt }),
                Ok(Err(_)) | Err(_) => Ok(receipt),
            }
        })
    }
}

/// A place in the line, given up when dropped: also when the caller stops waiting first.
struct Held {
    waiting: Arc<Waiting>,
    key: Key,
    ticket: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.waiting.forget(&self.key, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use schemas::{RejectCode, SubscriptionId};

    use super::*;

    fn refused(unit: u8, code: RejectCode) -> Verdict {
        Verdict::ChargeRefused {
            unit: UnitId([unit; 32]),
            subscription: SubscriptionId("s".to_owned()),
            code,
        }
    }

    #[test]
    fn who_asked_first_hears_first_and_only_of_the_own_unit() {
        let waiting = Waiting::default();
        let key = Key::Unit(UnitId([1; 32]));
        let (_, mut first) = waiting.wait(&key).unwrap();
        let (ticket, mut second) = waiting.wait(&key).unwrap();
        waiting.answer(refused(2, RejectCode::NotEntitled));
        assert!(first.try_recv().is_err(), "another unit's verdict");
        waiting.answer(refused(1, RejectCode::CreditsExhausted));
        assert_eq!(first.try_recv().unwrap(), refused(1, RejectCode::CreditsExhausted));
        assert!(second.try_recv().is_err(), "one verdict, one answer");
        waiting.forget(&key, ticket);
        waiting.forget(&key, ticket);
        assert_eq!(waiting.table().count, 0);
        assert!(waiting.table().waiting.is_empty());
    }

    #[test]
    fn the_line_is_bounded() {
        let waiting = Waiting::default();
        let key = Key::Unit(UnitId([1; 32]));
        let held: Vec<_> = (0..WAITING).map(|_| waiting.wait(&key).unwrap()).collect();
        assert!(waiting.wait(&key).is_none());
        waiting.forget(&key, held[0].0);
        assert!(waiting.wait(&key).is_some());
    }
}
