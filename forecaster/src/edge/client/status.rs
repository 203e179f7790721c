//! What a miner tells its owner: events as they come and one status; it never contains a key.

use std::collections::BTreeMap;

use schemas::public;
use serde::Serialize;

/// One thing that happened; JSON `{"event": …}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A connection to the node stands.
    Connected {
        /// The network's name.
        network: String,
    },
    /// It does not any more; the miner connects again by itself.
    Lost {
        /// Why.
        reason: String,
    },
    /// The miner is a member of the network.
    Registered,
    /// A question came; so long is left to commit.
    Question {
        /// Its id.
        question: String,
        /// Its topic.
        topic: String,
        /// Milliseconds left to commit: the latency budget.
        budget_ms: i64,
    },
    /// The forecast is on disk and its commitment on its way.
    Sealed {
        /// The question.
        question: String,
        /// Parts per million.
        p_ppm: u32,
    },
    /// The node has the commitment.
    Committed {
        /// The question.
        question: String,
        /// Milliseconds from hearing the question to the acknowledgement; none after a restart.
        latency_ms: Option<u64>,
        /// How often it was sent.
        attempts: u32,
    },
    /// The node has the reveal.
    Revealed {
        /// The question.
        question: String,
        /// How often it was sent.
        attempts: u32,
    },
    /// A promise that could not be kept.
    Dropped {
        /// The question.
        question: String,
        /// The node's code, or `api_unreachable`, or `window_closed`.
        code: String,
    },
    /// There is no prediction for a question.
    Abstained {
        /// The question.
        question: String,
        /// Why.
        code: String,
    },
    /// A question was scored.
    Scored {
        /// The question.
        question: String,
        /// `scored`, `missing` or `void`.
        code: String,
        /// In [0, 1]; 1 is best.
        score: Option<f64>,
        /// The reference's score.
        reference_score: Option<f64>,
    },
    /// Stake moved.
    Settled {
        /// The question.
        question: String,
        /// By how much, micro-units.
        delta: String,
        /// To what, micro-units.
        stake: String,
    },
}

/// Everything at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// Whether a connection stands.
    pub connected: bool,
    /// The network's name.
    pub network: String,
    /// The miner's public key.
    pub miner: String,
    /// The model bundle's id.
    pub bundle: String,
    /// Questions of this miner's topics heard of.
    pub questions: u64,
    /// Commitments the node acknowledged in this run.
    pub committed: u64,
    /// Reveals the node acknowledged in this run.
    pub revealed: u64,
    /// Promises not kept, by code.
    pub dropped: BTreeMap<String, u64>,
    /// Questions without a prediction, by code.
    pub abstained: BTreeMap<String, u64>,
    /// Promises with something left to do.
    pub open: usize,
    /// Market facts heard.
    pub facts: u64,
    /// Messages that were not understood.
    pub strange: u64,
    /// Connections made.
    pub connections: u64,
    /// Milliseconds that were left to commit when the newest question came.
    pub budget_ms: Option<i64>,
    /// Milliseconds from hearing the newest question to its acknowledged commitment.
    pub latency_ms: Option<u64>,
    /// The longest of these.
    pub latency_max_ms: Option<u64>,
    /// What the network says about the miner: rank, stake, score, earnings.
    pub record: Option<public::Miner>,
}

impl Status {
    /// One line for a terminal.
    pub fn line(&self) -> String {
        let state = if self.connected { "online" } else { "OFFLINE" };
        let ms = |x: Option<u64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x} ms"));
        let budget = self.budget_ms.map_or_else(|| "-".to_owned(), |x| format!("{x} ms"));
        let work = format!(
            "{state}  questions {}  committed {}  revealed {}  abstained {}  dropped {}  latency {} (max {}) of {budget}",
            self.questions,
            self.committed,
            self.revealed,
            self.abstained.values().sum::<u64>(),
            self.dropped.values().sum::<u64>(),
            ms(self.latency_ms),
            ms(self.latency_max_ms),
        );
        match &self.record {
            None => format!("{work}  not a member yet"),
            Some(record) => format!("{work}  {}", standing(record)),
        }
    }
}

/// Rank, score, stake and earnings in words.
pub fn standing(record: &public::Miner) -> String {
    let row = &record.row;
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
    let units = |text: &str| {
        text.parse::<i64>().map_or_else(|_| text.to_owned(), |x| format!("{:.6}", x as f64 / 1e6))
    };
    format!(
        "rank {}  scored {}  Brier {} (reference {})  stake {}  gain {}  earned ${}",
        row.rank,
        row.n,
        number(row.brier),
        number(row.reference_brier),
        units(&row.stake),
        units(&row.gain),
        units(&record.earned),
    )
}
