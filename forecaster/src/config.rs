//! What one miner is told: who it is, what it answers and its bounds; never read from the environment here.

use minicbor::{Decode, Encode};
use schemas::time::NANOS_PER_SEC;
use schemas::{BundleId, MinerId, TopicId};

use crate::features::{self, FeatureSet, Gate, Needs, updown};
use crate::manifest::Manifest;

/// How a miner finds its forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Strategy {
    /// Asks a model.
    #[n(0)]
    Model {
        /// Which bundle.
        #[n(0)]
        bundle: BundleId,
    },
    /// Runs no model: repeats the mean of what other miners rightly revealed on the same market, else the reference.
    #[n(1)]
    Copycat,
}

/// Configuration of one [`crate::Forecaster`]; part of its state, so a snapshot stands alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MinerConfig {
    /// The miner's key.
    #[n(0)]
    pub miner: MinerId,
    /// Topics it answers: this name, or names that continue it after a dot (`btc-usd.up-5m` covers `btc-usd.up-5m.60s`).
    #[n(1)]
    pub topic_prefix: String,
    /// The index pair it listens to, e.g. `btc/usd`.
    #[n(2)]
    pub symbol: String,
    /// How it finds its forecast.
    #[n(3)]
    pub strategy: Strategy,
    /// Least history before the question opens, ns. Below it the miner abstains.
    #[n(4)]
    pub min_history_ns: i64,
    /// Age of the newest tick when the question opens, ns; beyond it the miner abstains. Not below the topic's own rule,
    /// or questions that were rightly opened stay unanswered.
    #[n(5)]
    pub max_input_age_ns: i64,
    /// Most ticks kept.
    #[n(6)]
    pub max_ticks: u32,
    /// Most questions answered at a time.
    #[n(7)]
    pub max_open: u32,
    /// Most other miners, most running markets and most open questions that a copycat keeps in mind.
    #[n(8)]
    pub max_remembered: u32,
    /// The feature set and what the model needs of it; none is `updown-1`, all of it.
    #[n(9)]
    pub features: Option<FeatureChoice>,
}

/// The rows a model is asked with.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FeatureChoice {
    /// Name of the set, e.g. `market-1`.
    #[n(0)]
    pub set: String,
    /// The features the model sees; only these can make the miner abstain.
    #[n(1)]
    pub needs: Needs,
}

impl FeatureChoice {
    /// What a bundle's manifest asks for; `None` when its rows do not come from a feature set.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let set = manifest.feature_set()?;
        Some(Self { set: set.name.to_owned(), needs: manifest.columns().into_iter().collect() })
    }
}

impl MinerConfig {
    /// A configuration with the default bounds: 120 s of history, 10 s of input age, 16,384 ticks, 64 questions.
    pub fn new(miner: MinerId, topic_prefix: &str, symbol: &str, strategy: Strategy) -> Self {
        Self {
            miner,
            topic_prefix: topic_prefix.to_owned(),
            symbol: symbol.to_owned(),
            strategy,
            min_history_ns: 120 * NANOS_PER_SEC,
            max_input_age_ns: 10 * NANOS_PER_SEC,
            max_ticks: 16_384,
            max_open: 64,
            max_remembered: 256,
            features: None,
        }
    }

    /// The feature set of its rows; a name nobody knows is `updown-1` (plans refuse it before).
    pub fn feature_set(&self) -> &'static FeatureSet {
        self.features.as_ref().and_then(|f| features::set(&f.set)).unwrap_or(&updown::SET)
    }

    /// What must hold for a row.
    pub fn gate(&self) -> Gate {
        Gate {
            needs: self.features.as_ref().map_or_else(|| Needs::all(self.feature_set()), |f| f.needs),
            min_history_ns: self.min_history_ns,
            max_input_age_ns: self.max_input_age_ns,
        }
    }

    /// Whether the miner answers questions of this topic.
    pub fn covers(&self, topic: &TopicId) -> bool {
        match topic.0.strip_prefix(self.topic_prefix.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('.') || self.topic_prefix.ends_with('.'),
            None => false,
        }
    }
}
