//! Who takes part in a demo: five miners, three validators, one customer. Plain data and keys from the seed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use forecaster::bundle::Bundle;
use forecaster::edge::Device;
use forecaster::signer::MinerKey;
use ingest::edge::Endpoints;
use schemas::{AccountId, Micros, MinerJoined, SubscriptionId};
use sim::{Day, TwinHandle};

use crate::clock::Clock;
use crate::deeds::MinerHand;
use crate::genesis::{self, Customer, HORIZONS_S, MINER_STAKE, TOPIC_PREFIX};
use crate::keyring::Keyring;
use crate::plan::{FeedPlan, MachinesPlan, MinerPlan, Role};
use crate::probe::Probe;
use crate::run_dir::{FORMAT, RunDir, RunManifest};
use crate::signing::ValidatorKey;
use crate::start::Start;

/// The demo's customer.
pub const CUSTOMER: &str = "demo-customer";
/// Its prepaid money: enough for a hundred recorded days.
const PREPAID: Micros = Micros(1_000_000_000);
/// Validators of the demo.
const VALIDATORS: usize = 3;
/// Miners of the demo: name, kind, bundle. The copycat runs no model.
const CAST: [(&str, &str, Option<&str>); 5] = [
    ("closed-form", "baseline", Some("closed-form")),
    ("logistic", "model", Some("logistic")),
    ("gbt", "model", Some("gbt")),
    ("poor", "poor", Some("poor")),
    ("copycat", "copycat", None),
];

/// What a demo is started with.
pub struct Options<'a> {
    /// Seed of keys and jitter.
    pub seed: u64,
    /// Where the facts come from, for people.
    pub source: String,
    /// Length of an epoch, seconds of market time.
    pub epoch_s: u32,
    /// The day.
    pub day: &'a Day,
    /// Folder of the run.
    pub dir: &'a RunDir,
    /// The venue's twin.
    pub twin: &'a TwinHandle,
    /// Simulated time.
    pub clock: Clock,
    /// Folder of bundles, if named.
    pub models: Option<&'a Path>,
    /// ONNX Runtime, if named.
    pub ort_lib: Option<PathBuf>,
    /// Where models run.
    pub device: Device,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Measures questions on their way, in benchmarks.
    pub probe: Option<Probe>,
}

/// Names of the demo's topics.
pub fn topic_names() -> Vec<String> {
    HORIZONS_S.iter().map(|h| genesis::topic_id(*h).0).collect()
}

/// Loads the models, derives the keys and writes the manifest.
pub fn plan(options: &Options<'_>) -> Result<Start> {
    let keyring = Keyring::simulated(options.seed);
    let models = crate::assets::models_dir(options.models)?;
    let mut cast = Vec::new();
    for (name, kind, bundle) in CAST {
        let bundle = bundle.map(|b| load(&models.join(b))).transpose()?;
        cast.push((name, kind, MinerKey::from_seed(keyring.seed("miner", name)), bundle));
    }
    let validators: Vec<(String, ValidatorKey)> = (0..VALIDATORS)
        .map(|i| format!("validator-{i}"))
        .map(|name| (name.clone(), ValidatorKey::from_seed(keyring.seed("validator", &name))))
        .collect();
    let seats: Vec<_> = validators.iter().map(|(name, key)| (key.id(), name.clone())).collect();
    let network = genesis::network(&format!("demo-{}", options.seed), &seats, options.epoch_s);
    let manifest = RunManifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: options.source.clone(),
        network: (network.network.clone(), options.epoch_s),
        machines: MachinesPlan {
            role: Role::All,
            feed: FeedPlan {
                symbol: options.day.symbol.clone(),
                slug_prefix: options.day.slug_prefix.clone(),
                interval_s: options.day.interval_s,
                seed: options.seed,
            },
            miners: cast
                .iter()
                .map(|(name, kind, key, bundle)| miner(name, kind, key, bundle.as_deref()))
                .collect(),
            validators: VALIDATORS,
        },
        finished: None,
    };
    options.dir.write_manifest(&manifest)?;
    let joined = |(name, kind, key, _): &(&str, &str, MinerKey, _)| MinerJoined {
        miner: key.id(),
        name: (*name).to_owned(),
        kind: (*kind).to_owned(),
        stake: MINER_STAKE,
    };
    let topics = HORIZONS_S
        .map(|h| genesis::topic(&options.day.symbol, options.day.interval_s, h, options.epoch_s))
        .to_vec();
    let miners = cast.iter().map(joined).collect();
    Ok(Start {
        dir: options.dir.clone(),
        manifest,
        network: network.network_hash(),
        genesis: genesis::records(network, topics, miners, &[customer()], options.clock.now()),
        bundles: cast.iter().filter_map(|(.., bundle)| bundle.clone()).collect(),
        miners: cast.into_iter().map(hand).collect(),
        validators: validators.into_iter().map(|(_, key)| key).collect(),
        ort_lib: options.ort_lib.clone(),
        device: options.device,
        endpoints: Endpoints { ws_url: options.twin.ws_url.clone(), rest_url: options.twin.rest_url.clone() },
        clock: options.clock.clone(),
        listen: options.listen,
        probe: options.probe.clone(),
    })
}

fn load(dir: &Path) -> Result<Arc<Bundle>> {
    Bundle::load(dir).map(Arc::new).with_context(|| format!("loading the model bundle {}", dir.display()))
}

fn miner(name: &str, kind: &str, key: &MinerKey, bundle: Option<&Bundle>) -> MinerPlan {
    MinerPlan {
        name: name.to_owned(),
        kind: kind.to_owned(),
        id: key.id().to_string(),
        topic_prefix: TOPIC_PREFIX.to_owned(),
        bundle: bundle.map(|b| b.id().to_string()),
    }
}

fn hand((_, _, key, bundle): (&str, &str, MinerKey, Option<Arc<Bundle>>)) -> MinerHand {
    MinerHand { key, bundle: bundle.map(|b| b.id()).unwrap_or_default() }
}

fn customer() -> Customer {
    Customer {
        account: AccountId(CUSTOMER.to_owned()),
        subscription: SubscriptionId("demo-all-topics".to_owned()),
        prepaid: PREPAID,
    }
}
