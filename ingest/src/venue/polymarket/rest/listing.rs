//! A new market between Gamma and the CLOB: Gamma says active minutes before the CLOB knows it; this waits, it never
//! subscribes by itself.

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

/// Delays between attempts, seconds; the last one repeats.
const DELAYS_S: [i64; 3] = [5, 10, 15];
/// Attempts after the first one.
pub const RETRIES: u32 = 12;

/// What the CLOB answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The market with its tokens.
    Known,
    /// 404, or token ids that are still empty.
    NotYet,
    /// No usable answer: a timeout, 429, 5xx.
    Failed,
}

/// Where a new market stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask (again) at this time.
    AskAt(Timestamp),
    /// It can be subscribed to.
    Listed,
    /// It did not come; Gamma will tell of it again if it ever does.
    GivenUp,
}

/// One new market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Condition id.
    pub market: String,
    step: Step,
    retries: u32,
}

impl Listing {
    /// A market that Gamma calls active: ask at once.
    pub fn new(market: String, now: Timestamp) -> Self {
        Self { market, step: Step::AskAt(now), retries: 0 }
    }

    /// Where it stands.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The answer of an HTTP status and the tokens found with it.
    pub fn answer_of(status: u16, tokens: usize) -> Answer {
        match status {
            200..=299 if tokens > 0 => Answer::Known,
            200..=299 | 404 => Answer::NotYet,
            _ => Answer::Failed,
        }
    }

    /// Takes an answer. Failures count like a market that is not there yet: both are bounded.
    pub fn on_answer(&mut self, answer: Answer, now: Timestamp) -> Step {
        if !matches!(self.step, Step::AskAt(_)) {
            return self.step;
        }
        self.step = match answer {
            Answer::Known => Step::Listed,
            Answer::NotYet | Answer::Failed if self.retries >= RETRIES => Step::GivenUp,
            Answer::NotYet | Answer::Failed => {
                let last = DELAYS_S.len() - 1;
                let delay = DELAYS_S[(self.retries as usize).min(last)];
                self.retries += 1;
                Step::AskAt(now.plus(delay * NANOS_PER_SEC))
            }
        };
        self.step
    }
}
