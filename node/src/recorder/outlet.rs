//! The way of rows to the consumer: bounded, conflating quotes only; when it is blocked nothing more is read.

use std::collections::VecDeque;

use ingest::conflate::{Conflate, Offer};
use schemas::TapeRow;
use tokio::sync::mpsc;

/// Rows handed over at a time.
const BATCH: usize = 512;

/// The queue between the machine and its consumer.
pub(super) struct Outlet {
    queue: Conflate,
    /// Rows of the last record that found no room.
    held: VecDeque<TapeRow>,
    tx: mpsc::Sender<Vec<TapeRow>>,
}

impl Outlet {
    pub(super) fn new(capacity: usize, tx: mpsc::Sender<Vec<TapeRow>>) -> Self {
        Self { queue: Conflate::new(capacity), held: VecDeque::new(), tx }
    }

    /// Takes over all rows; those without room are held, and the outlet is blocked.
    pub(super) fn offer(&mut self, rows: &mut Vec<TapeRow>) {
        self.held.extend(rows.drain(..));
        self.refill();
    }

    fn refill(&mut self) {
        while let Some(row) = self.held.pop_front() {
            if let Offer::Wait(row) = self.queue.offer(row) {
                self.held.push_front(*row);
                return;
            }
        }
    }

    /// Whether reading must wait for the consumer.
    pub(super) fn blocked(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether rows wait.
    pub(super) fn waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Quotes that gave way.
    pub(super) fn conflated(&self) -> u64 {
        self.queue.conflated()
    }

    /// Hands one batch over as soon as the consumer has room; `false` if the consumer is gone.
    pub(super) async fn hand_over(&mut self) -> bool {
        let Ok(permit) = self.tx.reserve().await else { return false };
        let batch: Vec<TapeRow> = std::iter::from_fn(|| self.queue.take()).take(BATCH).collect();
        permit.send(batch);
        self.refill();
        true
    }

    /// Hands everything over.
    pub(super) async fn drain(&mut self) {
        while self.waiting() && self.hand_over().await {}
    }
}
