//! Who takes part in a network: hosted miners and validators, with their keys. Never decides who; plans do.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use forecaster::bundle::Bundle;
use forecaster::signer::MinerKey;
use schemas::{MinerJoined, TopicRules, ValidatorId};

use crate::deeds::MinerHand;
use crate::genesis::{self, HORIZONS_S, MINER_STAKE, TOPIC_PREFIX};
use crate::keyring::Keyring;
use crate::plan::{FeaturesPlan, MinerPlan};
use crate::signing::ValidatorKey;

/// One hosted miner, loaded.
pub struct Cast {
    name: String,
    kind: String,
    key: MinerKey,
    bundle: Option<Arc<Bundle>>,
}

impl Cast {
    /// Derives the key from the name and loads the bundle from its folder under `models`; without one the miner
    /// copies what others revealed.
    pub fn load(keyring: &Keyring, name: &str, bundle: Option<&str>, models: &Path) -> Result<Self> {
        let (name, key) = (name.to_owned(), MinerKey::from_seed(keyring.seed("miner", name)));
        let Some(bundle) = bundle else {
            return Ok(Self { name, kind: "copycat".to_owned(), key, bundle: None });
        };
        let dir = models.join(bundle);
        let bundle =
            Bundle::load(&dir).with_context(|| format!("miner {name}: loading {}", dir.display()))?;
        let kind = bundle.manifest().kind.name().to_owned();
        Ok(Self { name, kind, key, bundle: Some(Arc::new(bundle)) })
    }

    /// The miner in a run's manifest.
    pub fn plan(&self) -> MinerPlan {
        MinerPlan {
            name: self.name.clone(),
            kind: self.kind.clone(),
            id: self.key.id().to_string(),
            topic_prefix: TOPIC_PREFIX.to_owned(),
            bundle: self.bundle.as_ref().map(|b| b.id().to_string()),
            features: self.bundle.as_ref().and_then(|b| FeaturesPlan::of(b.manifest())),
        }
    }

    /// The record with which it joins.
    pub fn joined(&self) -> MinerJoined {
        MinerJoined {
            miner: self.key.id(),
            name: self.name.clone(),
            kind: self.kind.clone(),
            stake: MINER_STAKE,
            host: None,
            signature: None,
            account: None,
        }
    }

    /// Its model, if it has one.
    pub fn bundle(&self) -> Option<Arc<Bundle>> {
        self.bundle.clone()
    }

    /// Its means to submit.
    pub fn into_hand(self) -> MinerHand {
        MinerHand { key: self.key, bundle: self.bundle.map(|b| b.id()).unwrap_or_default() }
    }
}

/// The keys of `count` validators and the seats they take.
pub fn validators(keyring: &Keyring, count: usize) -> (Vec<ValidatorKey>, Vec<(ValidatorId, String)>) {
    let one = |i| {
        let name = format!("validator-{i}");
        let key = ValidatorKey::from_seed(keyring.seed("validator", &name));
        let seat = (key.id(), name);
        (key, seat)
    };
    (0..count).map(one).unzip()
}

/// The topics of all horizons.
pub fn topics(symbol: &str, interval_s: u32, epoch_s: u32) -> Vec<TopicRules> {
    HORIZONS_S.map(|h| genesis::topic(symbol, interval_s, h, epoch_s)).to_vec()
}
