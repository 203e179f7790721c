//! Finished runs as tables and an evaluation report; never a second loop and never a price feed of its own.
//!
//! A [`Collector`] watches the records of a run while `oraculo backtest` replays them through the very machines
//! that ran live. [`Tables`] are what it saw; [`evaluate`] computes the scores again from those tables alone, so
//! that its numbers can be held against the live run's.

pub mod collect;
pub mod error;
pub mod evaluate;
#[cfg(feature = "tables")]
pub mod parquet;
pub mod tables;
#[cfg(feature = "tables")]
pub mod tape;

pub use collect::Collector;
pub use error::BacktestError;
pub use evaluate::{Evaluation, MinerEvaluation, ReliabilityBin, TopicEvaluation, evaluate};
pub use tables::{LedgerRow, PredictionRow, QuestionRow, ScoreRow, SignalRow, Tables};
