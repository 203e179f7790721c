//! Asking a lane and waiting for its answer, from a thread or a future; it never runs a model.
//!
//! A [`Seat`] belongs to one caller and is used again and again: its buffers go to the lane and come back, so that a
//! request costs two short locks and one wake-up and allocates nothing.

use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use schemas::BundleId;

use super::gate::Outcome;
use super::inbox::{Inbox, Job, Work};
use crate::error::ForecasterError;

/// The answers to the rows of one request, all by one version of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predicted {
    /// Which version answered.
    pub bundle: BundleId,
    /// How many numbers one answer has.
    pub width: usize,
    /// What became of each row, in the order of the request.
    pub outcomes: Vec<Outcome>,
    /// The answers, flat, `width` numbers a row; NaN where the row has no answer.
    pub values: Vec<f32>,
}

impl Predicted {
    /// The answer of one row, or why there is none.
    pub fn row(&self, index: usize) -> Result<&[f32], Outcome> {
        match self.outcomes.get(index) {
            Some(Outcome::Answered) => Ok(&self.values[index * self.width..(index + 1) * self.width]),
            Some(abstained) => Err(*abstained),
            None => Err(Outcome::NoRow),
        }
    }
}

/// What a caller and the lane hand to each other.
pub(crate) struct Cell {
    state: Mutex<CellState>,
    done: Condvar,
}

#[derive(Default)]
pub(super) struct CellState {
    /// The request, flat.
    pub(super) rows: Vec<f32>,
    /// The answer.
    pub(super) answer: Predicted,
    /// Why there is none.
    pub(super) error: Option<ForecasterError>,
    phase: Phase,
    /// Whom to wake: a future, or a thread that sleeps on `done`.
    waker: Option<Waker>,
    sleeps: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The caller's.
    #[default]
    Free,
    /// The lane's.
    Asked,
    /// The answer is there.
    Done,
}

impl Cell {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), done: Condvar::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in; `false` when the lane has not answered the one before.
    fn ask(&self, rows: &[f32]) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Asked {
            return false;
        }
        state.rows.clear();
        state.rows.extend_from_slice(rows);
        (state.error, state.waker, state.sleeps) = (None, None, false);
        state.phase = Phase::Asked;
        true
    }

    /// Hands the answer over; gives the future that must be woken, after the lock is gone.
    pub(super) fn finish(&self, mut state: MutexGuard<'_, CellState>) -> Option<Waker> {
        state.phase = Phase::Done;
        if state.sleeps {
            self.done.notify_one();
        }
        state.waker.take()
    }
}

/// One caller's place at a lane, for one model; reused for request after request.
pub struct Seat {
    inbox: Arc<Inbox>,
    slot: usize,
    width: usize,
    cell: Arc<Cell>,
    answer: Predicted,
}

impl Seat {
    pub(super) fn new(inbox: Arc<Inbox>, slot: usize, width: usize) -> Self {
        Self { inbox, slot, width, cell: Cell::new(), answer: Predicted::default() }
    }

    /// How many numbers one row has.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Asks about rows, flat, one or more, and waits for the answers. Refused at once when the queue is full or the
    /// deadline cannot be met. May be dropped while it waits: the answer is then nobody's.
    pub async fn ask(
        &mut self,
        rows: &[f32],
        deadline: Option<Instant>,
    ) -> Result<&Predicted, ForecasterError> {
        self.send(rows, deadline)?;
        poll_fn(|cx| self.poll_answer(cx)).await?;
        Ok(&self.answer)
    }

    /// The same for a thread, which sleeps until the answer is there.
    pub fn ask_blocking(
        &mut self,
        rows: &[f32],
        deadline: Option<Instant>,
    ) -> Result<&Predicted, ForecasterError> {
        self.send(rows, deadline)?;
        let mut state = self.cell.lock();
        while state.phase == Phase::Asked {
            state.sleeps = true;
            state = self.cell.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleeps = false;
        take(&mut state, &mut self.answer)?;
        drop(state);
        Ok(&self.answer)
    }

    /// The answers of the last request that was answered.
    pub const fn answer(&self) -> &Predicted {
        &self.answer
    }

    pub(super) fn into_answer(self) -> Predicted {
        self.answer
    }

    fn send(&mut self, rows: &[f32], deadline: Option<Instant>) -> Result<(), ForecasterError> {
        let n = rows.len() / self.width.max(1);
        if n == 0 || n * self.width != rows.len() {
            self.inbox.shared.refused();
            return Err(ForecasterError::RowWidth { got: rows.len(), want: self.width });
        }
        if !self.cell.ask(rows) {
            // The future of the request before was dropped; the lane still owns that cell.
            self.cell = Cell::new();
            self.cell.ask(rows);
        }
        let work = Work::Cell(Arc::clone(&self.cell));
        let job = Job { work, rows: n, at: Instant::now(), deadline };
        self.inbox.push(self.slot, job).inspect_err(|_| self.cell.lock().phase = Phase::Free)
    }

    pub(super) fn poll_answer(&mut self, cx: &Context<'_>) -> Poll<Result<(), ForecasterError>> {
        let mut state = self.cell.lock();
        if state.phase == Phase::Asked {
            if !state.waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(take(&mut state, &mut self.answer))
    }
}

/// Swaps the answer out of the cell; the buffers of the answer before go in for the next one.
fn take(state: &mut CellState, answer: &mut Predicted) -> Result<(), ForecasterError> {
    state.phase = Phase::Free;
    if let Some(error) = state.error.take() {
        return Err(error);
    }
    std::mem::swap(answer, &mut state.answer);
    Ok(())
}
