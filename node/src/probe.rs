//! Wall-clock instants of a question's way to its signal, for benchmarks; off unless asked for. Never in a machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use schemas::QuestionId;

/// How many questions are remembered; later ones are not measured.
const LIMIT: usize = 100_000;

/// The instants of one question.
#[derive(Clone, Copy, Debug)]
pub struct Hops {
    /// Its first inference was asked for: the question is in the journal and its features are computed.
    pub asked: Instant,
    /// Its signal left the kernel, durable.
    pub issued: Option<Instant>,
    /// The customer's socket delivered it, charged and durable.
    pub received: Option<Instant>,
}

/// Collects instants; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    hops: Arc<Mutex<BTreeMap<QuestionId, Hops>>>,
}

impl Probe {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<QuestionId, Hops>) -> T) -> T {
        f(&mut self.hops.lock().expect("nobody panics while holding the probe"))
    }

    fn change(&self, question: QuestionId, f: impl FnOnce(&mut Hops)) {
        self.with(|hops| hops.get_mut(&question).map(f));
    }

    /// A question's first inference leaves.
    pub fn asked(&self, question: QuestionId) {
        self.with(|hops| {
            if hops.len() < LIMIT {
                let asked = crate::clock::instant();
                hops.entry(question).or_insert(Hops { asked, issued: None, received: None });
            }
        });
    }

    /// A question's signal leaves the kernel.
    pub fn issued(&self, question: QuestionId) {
        let now = crate::clock::instant();
        self.change(question, |hops| hops.issued = Some(now));
    }

    /// A question's signal arrived at the customer.
    pub fn received(&self, question: QuestionId) {
        let now = crate::clock::instant();
        self.change(question, |hops| hops.received = Some(now));
    }

    /// Everything measured so far.
    pub fn hops(&self) -> Vec<Hops> {
        self.with(|hops| hops.values().copied().collect())
    }
}
