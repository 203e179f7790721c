//! Rows of a run, one type per table. Times are ns since the Unix epoch; probabilities ppm; money micro-units.

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionRow {
    /// Question id, hex.
    pub question: String,
    /// Topic.
    pub topic: String,
    /// Market, `venue:id`.
    pub market: String,
    /// When it opened.
    pub opens_at: i64,
    /// When the market closed.
    pub resolves_at: i64,
    /// Strike in dollars, exact decimal.
    pub strike: String,
    /// Reference forecast, ppm.
    pub reference_ppm: u32,
    /// The market's mid when it opened, ppm.
    pub market_mid_ppm: Option<u32>,
    /// `up`, `down`, a void reason, or none while open.
    pub outcome: Option<String>,
}

/// One admitted (revealed) prediction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictionRow {
    /// Question id, hex.
    pub question: String,
    /// Miner key, hex.
    pub miner: String,
    /// Bundle id, hex.
    pub bundle: String,
    /// Probability of Up, ppm.
    pub p_ppm: u32,
    /// When its commitment was admitted.
    pub committed_at: Option<i64>,
    /// When it was revealed.
    pub revealed_at: i64,
}

/// One score.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreRow {
    /// Question id, hex.
    pub question: String,
    /// Topic.
    pub topic: String,
    /// Miner key, hex.
    pub miner: String,
    /// scored, missing or void.
    pub status: &'static str,
    /// The prediction, ppm.
    pub p_ppm: Option<u32>,
    /// Proper score, Q32.
    pub score_q32: i64,
    /// The reference's score, Q32.
    pub reference_q32: i64,
    /// Outcome, if any.
    pub up: Option<bool>,
    /// Stake moved, micro-units.
    pub delta_micros: i64,
    /// Stake afterwards, micro-units.
    pub stake_after_micros: Option<i64>,
}

/// One signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRow {
    /// Signal id, hex.
    pub signal: String,
    /// Question id, hex.
    pub question: String,
    /// Topic.
    pub topic: String,
    /// Position on the topic.
    pub topic_seq: u64,
    /// When it was issued.
    pub issued_at: i64,
    /// The slot: the market's start.
    pub slot: i64,
    /// Probability of Up, ppm.
    pub p_ppm: u32,
    /// The reference, ppm.
    pub reference_ppm: u32,
    /// Disagreement, ppm.
    pub dispersion_ppm: u32,
    /// The market's mid, ppm.
    pub market_mid_ppm: Option<u32>,
    /// How many miners contributed.
    pub contributors: u32,
    /// Outcome, if any.
    pub up: Option<bool>,
}

/// One leg of a ledger transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Sequence of the verdict that booked it.
    pub seq: u64,
    /// When.
    pub at: i64,
    /// Transaction id, hex.
    pub txn: String,
    /// Kind of the transaction.
    pub kind: String,
    /// Account.
    pub account: String,
    /// usd or stake.
    pub asset: &'static str,
    /// Signed amount, micro-units.
    pub amount_micros: i64,
}

/// All tables of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Questions in order of opening.
    pub questions: Vec<QuestionRow>,
    /// Predictions in order of reveal.
    pub predictions: Vec<PredictionRow>,
    /// Scores in order of settlement.
    pub scores: Vec<ScoreRow>,
    /// Signals in order of issue.
    pub signals: Vec<SignalRow>,
    /// Ledger legs in order of booking.
    pub ledger: Vec<LedgerRow>,
    /// Miners by key: name and kind.
    pub miners: std::collections::BTreeMap<String, (String, String)>,
}
