//! What a miner has promised and how far each promise is; pure, it never sends or writes anything.
//!
//! The first forecast for a question is the only one: a second is never taken, whatever happened in between.

use std::collections::BTreeMap;

use schemas::{BundleId, Ppm, QuestionId, Timestamp};

/// How far a promise is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The forecast is fixed and written down; the commitment may or may not have arrived.
    Sealed,
    /// The node has acknowledged the commitment.
    Acknowledged,
    /// The node has acknowledged the reveal: done.
    Revealed,
    /// The node has refused it for good, or its time is over: done.
    Dropped,
}

impl Stage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Sealed, Self::Acknowledged, Self::Revealed, Self::Dropped];

    /// The stable name, as in the journal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Acknowledged => "acknowledged",
            Self::Revealed => "revealed",
            Self::Dropped => "dropped",
        }
    }

    /// Whether nothing is left to do.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Revealed | Self::Dropped)
    }
}

/// A promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The question.
    pub question: QuestionId,
    /// Until before here it may be committed.
    pub commit_closes_at: Timestamp,
    /// From then until before here it may be revealed.
    pub reveal_closes_at: Timestamp,
    /// The model that made it.
    pub bundle: BundleId,
    /// The probability of Up.
    pub p: Ppm,
    /// How far it is.
    pub stage: Stage,
}

/// What is to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The commitment.
    Commit(QuestionId),
    /// The reveal.
    Reveal(QuestionId),
    /// Nothing any more: the time is over.
    Drop(QuestionId),
}

/// All promises that matter.
#[derive(Debug, Default)]
pub struct Book {
    promises: BTreeMap<QuestionId, Promise>,
    /// What is being sent.
    busy: BTreeMap<QuestionId, Stage>,
    max: usize,
}

impl Book {
    /// A book of at most `max` promises, with these in it.
    pub fn new(max: usize, promises: Vec<Promise>) -> Self {
        let promises = promises.into_iter().map(|p| (p.question, p)).collect();
        let mut book = Self { promises, busy: BTreeMap::new(), max: max.max(1) };
        book.forget();
        book
    }

    /// Takes a promise; `false` if the question has one.
    pub fn seal(&mut self, promise: Promise) -> bool {
        if self.promises.contains_key(&promise.question) {
            return false;
        }
        self.promises.insert(promise.question, promise);
        self.forget();
        true
    }

    /// A promise.
    pub fn get(&self, question: &QuestionId) -> Option<&Promise> {
        self.promises.get(question)
    }

    /// Promises with something left to do.
    pub fn open(&self) -> usize {
        self.promises.values().filter(|p| !p.stage.is_done()).count()
    }

    /// A promise got further. `false` if it was there already: stages never go back.
    pub fn advance(&mut self, question: &QuestionId, stage: Stage) -> bool {
        match self.promises.get_mut(question) {
            Some(promise) if promise.stage < stage && !promise.stage.is_done() => {
                promise.stage = stage;
                true
            }
            _ => false,
        }
    }

    /// What was being sent to get a promise to this stage is answered, or given up.
    pub fn idle(&mut self, question: &QuestionId, stage: Stage) {
        if self.busy.get(question) == Some(&stage) {
            self.busy.remove(question);
        }
    }

    /// What must be sent at `now` and is not being sent; it counts as being sent from here on.
    ///
    /// When the commit window is over, a commitment whose fate is unknown is revealed like one that was acknowledged:
    /// if it arrived, the reveal counts.
    pub fn due(&mut self, now: Timestamp) -> Vec<Step> {
        let mut steps = Vec::new();
        for (question, promise) in self.promises.iter().filter(|(_, p)| !p.stage.is_done()) {
            let sending = self.busy.get(question).copied();
            let step = if now >= promise.reveal_closes_at {
                sending.is_none().then_some(Step::Drop(*question))
            } else if now >= promise.commit_closes_at {
                (sending != Some(Stage::Revealed)).then_some(Step::Reveal(*question))
            } else {
                let wanted = promise.stage == Stage::Sealed && sending.is_none();
                wanted.then_some(Step::Commit(*question))
            };
            steps.extend(step);
        }
        for step in &steps {
            match step {
                Step::Commit(question) => self.busy.insert(*question, Stage::Acknowledged),
                Step::Reveal(question) => self.busy.insert(*question, Stage::Revealed),
                Step::Drop(_) => None,
            };
        }
        steps
    }

    /// When [`Book::due`] may have something new.
    pub fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.promises.values().filter(|p| !p.stage.is_done());
        open.flat_map(|p| [p.commit_closes_at, p.reveal_closes_at]).filter(|at| *at > now).min()
    }

    /// Keeps the bound: what is done and oldest goes first.
    fn forget(&mut self) {
        while self.promises.len() > self.max {
            let oldest = self.promises.values().min_by_key(|p| (!p.stage.is_done(), p.reveal_closes_at));
            let Some(question) = oldest.map(|p| p.question) else { return };
            self.promises.remove(&question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(n: u8, stage: Stage) -> Promise {
        Promise {
            question: QuestionId([n; 32]),
            commit_closes_at: Timestamp(10),
            reveal_closes_at: Timestamp(20),
            bundle: BundleId::default(),
            p: Ppm(500_000),
            stage,
        }
    }

    #[test]
    fn each_stage_and_time_has_its_step() {
        let q = QuestionId([1; 32]);
        let table = [
            (Stage::Sealed, 5, vec![Step::Commit(q)]),
            (Stage::Acknowledged, 5, vec![]),
            (Stage::Sealed, 10, vec![Step::Reveal(q)]),
            (Stage::Acknowledged, 19, vec![Step::Reveal(q)]),
            (Stage::Acknowledged, 20, vec![Step::Drop(q)]),
            (Stage::Revealed, 15, vec![]),
            (Stage::Dropped, 15, vec![]),
        ];
        for (stage, now, want) in table {
            let mut book = Book::new(8, vec![promise(1, stage)]);
            assert_eq!(book.due(Timestamp(now)), want, "{stage:?} at {now}");
            if now < 20 {
                assert_eq!(book.due(Timestamp(now)), vec![], "{stage:?} at {now}: it is being sent");
            }
        }
    }

    #[test]
    fn a_commitment_that_is_still_being_sent_does_not_hold_up_its_reveal() {
        let mut book = Book::new(8, vec![promise(1, Stage::Sealed)]);
        assert_eq!(book.due(Timestamp(1)).len(), 1);
        assert_eq!(book.due(Timestamp(10)), vec![Step::Reveal(QuestionId([1; 32]))]);
    }

    #[test]
    fn a_question_has_one_promise_and_stages_never_go_back() {
        let mut book = Book::new(2, vec![]);
        let q = QuestionId([1; 32]);
        assert!(book.seal(promise(1, Stage::Sealed)));
        assert!(!book.seal(Promise { p: Ppm(1), ..promise(1, Stage::Sealed) }));
        assert_eq!(book.get(&q).unwrap().p, Ppm(500_000));
        assert!(book.advance(&q, Stage::Acknowledged));
        assert!(!book.advance(&q, Stage::Acknowledged));
        assert!(book.advance(&q, Stage::Revealed));
        assert!(!book.advance(&q, Stage::Dropped));
        assert!(book.seal(promise(2, Stage::Sealed)) && book.seal(promise(3, Stage::Sealed)));
        assert!(book.get(&q).is_none(), "what is done goes first");
        assert_eq!(book.open(), 2);
    }
}
