//! What a process consists of, as plain data: the machines and their settings. Never opens anything.
//!
//! A plan is written into the run's manifest, so that replay builds exactly the machines that ran.

use std::str::FromStr;
use std::sync::{Arc, RwLock};

use anyhow::{Context as _, Result, anyhow, ensure};
use forecaster::features::{self, Needs, updown};
use forecaster::{FeatureChoice, Forecaster, Manifest, MinerConfig, Strategy};
use ingest::{Feed, FeedConfig, Resolver, ResolverConfig, Scheduler, SchedulerConfig};
use schemas::{BundleId, MinerId};
use serde::{Deserialize, Serialize};
use validator::Validator;

use crate::wire::Machines;

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in this process; no Redis.
    #[default]
    All,
    /// The venue's feed, the question schedule and the raw archive.
    Ingest,
    /// The configured miners.
    Miner,
    /// The sequencer of the intake, resolvers and validators.
    Validator,
    /// REST, WebSocket and dashboard.
    Api,
}

impl Role {
    /// As it is written on the command line and in names of outboxes and folders.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Ingest => "ingest",
            Self::Miner => "miner",
            Self::Validator => "validator",
            Self::Api => "api",
        }
    }

    /// Whether it hears facts or verdicts from other processes; the feed and the whole node derive theirs.
    pub fn hears(self) -> bool {
        !self.does(Self::Ingest)
    }

    /// Whether this process does what `part` does.
    pub fn does(self, part: Self) -> bool {
        self == Self::All || self == part
    }
}

/// Which machines run in a process and with which settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachinesPlan {
    /// Which of the machines are built.
    #[serde(default)]
    pub role: Role,
    /// The venue feed.
    pub feed: FeedPlan,
    /// The miners hosted here.
    pub miners: Vec<MinerPlan>,
    /// How many validators compute here; the first one's verdicts are recorded, the others vote on them.
    pub validators: usize,
}

/// Settings of the Polymarket feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedPlan {
    /// Index pair as the venue names it, e.g. `btc/usd`.
    pub symbol: String,
    /// Slugs are `<slug_prefix>-<start in seconds>`.
    pub slug_prefix: String,
    /// Length of the markets, seconds.
    pub interval_s: u32,
    /// Seed of the reconnect jitter.
    pub seed: u64,
}

/// One hosted miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinerPlan {
    /// Name for people.
    pub name: String,
    /// model, baseline, poor or copycat; a label only.
    pub kind: String,
    /// Public key, hex.
    pub id: String,
    /// Topics it answers start with this.
    pub topic_prefix: String,
    /// Id of its model bundle, hex; none for a copycat.
    pub bundle: Option<String>,
    /// What its model sees; none is `updown-1`, all of it, or no model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeaturesPlan>,
}

/// The rows a model is asked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeaturesPlan {
    /// The feature set, e.g. `market-1`.
    pub set: String,
    /// The features the model sees; only these can make the miner abstain.
    pub names: Vec<String>,
}

impl FeaturesPlan {
    /// What a bundle's manifest asks for; `None` for all of `updown-1`, as every plan meant before there were other sets.
    pub fn of(manifest: &Manifest) -> Option<Self> {
        let (set, section) = (manifest.feature_set()?, manifest.features.as_ref()?);
        let usual = set.name == updown::SET.name && section.names.len() == set.width();
        (!usual).then(|| Self { set: section.set.clone(), names: section.names.clone() })
    }

    fn choice(&self) -> Result<FeatureChoice> {
        let set = features::set(&self.set).ok_or_else(|| anyhow!("no feature set is called {}", self.set))?;
        let names = self.names.iter().map(String::as_str);
        let needs =
            Needs::named(set, names).map_err(|name| anyhow!("{name} is no feature of {}", self.set))?;
        Ok(FeatureChoice { set: self.set.clone(), needs })
    }
}

impl MinerPlan {
    /// The miner's key.
    pub fn miner_id(&self) -> Result<MinerId> {
        MinerId::from_str(&self.id).map_err(|e| anyhow!("miner {}: id: {e}", self.name))
    }

    /// The bundle its reveals carry; zero for a miner without a model.
    pub fn bundle_id(&self) -> Result<BundleId> {
        match &self.bundle {
            None => Ok(BundleId::default()),
            Some(hex) => BundleId::from_str(hex).map_err(|e| anyhow!("miner {}: bundle: {e}", self.name)),
        }
    }

    fn build(&self, symbol: &str) -> Result<Forecaster> {
        let strategy = match self.bundle {
            Some(_) => Strategy::Model { bundle: self.bundle_id()? },
            None => Strategy::Copycat,
        };
        let config = MinerConfig::new(self.miner_id()?, &self.topic_prefix, symbol, strategy);
        let features = self.features.as_ref().map(FeaturesPlan::choice).transpose()?;
        let max_input_age_ns = crate::genesis::MAX_INPUT_AGE_NS;
        Ok(Forecaster::new(MinerConfig { max_input_age_ns, features, ..config }))
    }
}

impl MachinesPlan {
    /// Builds fresh machines.
    pub fn build(&self) -> Result<Machines> {
        ensure!(self.validators >= 1, "a process needs at least one validator");
        let feed = Feed::new(FeedConfig {
            symbol: self.feed.symbol.clone(),
            slug_prefix: self.feed.slug_prefix.clone(),
            interval_s: self.feed.interval_s,
            seed: schemas::id::derive("oraculo/feed-seed/1", &[&self.feed.seed.to_be_bytes()]),
            ..FeedConfig::default()
        });
        let scheduler = Scheduler::new(SchedulerConfig {
            symbol: self.feed.symbol.clone(),
            ..SchedulerConfig::default()
        });
        let resolver = || {
            Resolver::new(ResolverConfig { symbol: self.feed.symbol.clone(), ..ResolverConfig::default() })
        };
        let hosted = if self.role.does(Role::Miner) { self.miners.as_slice() } else { &[] };
        let miners: Result<Vec<_>> = hosted
            .iter()
            .map(|m| m.build(&self.feed.symbol).with_context(|| format!("miner {}", m.name)))
            .collect();
        let (ingests, sells) = (self.role.does(Role::Ingest), self.role.does(Role::Api));
        let validators = if self.role.does(Role::Validator) { self.validators } else { 0 };
        Ok(Machines {
            feed: ingests.then_some(feed),
            scheduler: ingests.then_some(scheduler),
            resolvers: (0..validators).map(|_| resolver()).collect(),
            miners: miners?,
            validators: (0..validators).map(|_| Validator::new(validator::Limits::default())).collect(),
            view: sells.then(|| Arc::new(RwLock::new(api::View::new(api::ViewLimits::default())))),
            board: sells.then(|| Arc::new(RwLock::new(api::Board::new(api::BoardLimits::default())))),
            tally: crate::tally::Tally::default(),
        })
    }
}
