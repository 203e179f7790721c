//! Turns a configuration into what a node is started from. Opens the key file and the models, nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use forecaster::bundle::Bundle;
use forecaster::signer::MinerKey;
use ingest::edge::Endpoints;
use schemas::{AccountId, Micros, MinerJoined, SubscriptionId};

use crate::clock::Clock;
use crate::config::Config;
use crate::deeds::MinerHand;
use crate::genesis::{self, Customer, HORIZONS_S, MINER_STAKE, TOPIC_PREFIX};
use crate::keyring::Keyring;
use crate::plan::{FeedPlan, MachinesPlan, MinerPlan, Role};
use crate::run_dir::{FORMAT, RunDir, RunManifest};
use crate::signing::ValidatorKey;
use crate::start::Start;

/// One configured miner, loaded.
struct Cast {
    name: String,
    kind: String,
    key: MinerKey,
    bundle: Option<Arc<Bundle>>,
}

/// Loads keys and models; continues the folder's run or begins one.
pub fn plan(config: &Config, ort_lib: Option<PathBuf>) -> Result<Start> {
    plan_role(config, ort_lib, Role::All)
}

/// The same for a process of one role, whose run is a folder of its own inside the node's.
pub fn plan_role(config: &Config, ort_lib: Option<PathBuf>, role: Role) -> Result<Start> {
    let root = match role {
        Role::All => config.dir.clone(),
        one => config.dir.join(one.name()),
    };
    let dir = RunDir::open_or_create(&root)?;
    let keyring = Keyring::open_or_create(&config.dir.join("node.key"))?;
    // Who takes part is for those to know who name the miners to the network, and for the miners themselves.
    let casts = role.does(Role::Miner) || role.does(Role::Validator);
    let cast = if casts { cast(config, &keyring)? } else { Vec::new() };
    let validators: Vec<(String, ValidatorKey)> = (0..config.network.validators)
        .map(|i| format!("validator-{i}"))
        .map(|name| (name.clone(), ValidatorKey::from_seed(keyring.seed("validator", &name))))
        .collect();
    let seats: Vec<_> = validators.iter().map(|(name, key)| (key.id(), name.clone())).collect();
    let network = genesis::network(&config.network.name, &seats, config.network.epoch_s);
    let manifest = manifest(config, &dir, &cast, role)?;
    let clock = Clock::Wall;
    let topics = HORIZONS_S
        .map(|h| genesis::topic(&config.venue.symbol, config.venue.interval_s, h, config.network.epoch_s))
        .to_vec();
    let joined = |c: &Cast| MinerJoined {
        miner: c.key.id(),
        name: c.name.clone(),
        kind: c.kind.clone(),
        stake: MINER_STAKE,
    };
    let outside = config.external_miners.iter().map(|m| MinerJoined {
        miner: m.key.parse().expect("loading the configuration has checked the key"),
        name: m.name.clone(),
        kind: "external".to_owned(),
        stake: Micros(m.stake_micros),
    });
    let customers: Vec<Customer> =
        config.customers.iter().map(|c| customer(&c.account, c.prepaid_micros)).collect();
    Ok(Start {
        genesis: genesis::records(
            network.clone(),
            topics,
            cast.iter().map(joined).chain(outside).collect(),
            &customers,
            clock.now(),
        ),
        dir,
        manifest,
        network: network.network_hash(),
        bundles: cast.iter().filter_map(|c| c.bundle.clone()).collect(),
        miners: cast.into_iter().map(hand).collect(),
        validators: validators.into_iter().map(|(_, key)| key).collect(),
        ort_lib,
        device: config.device.parse()?,
        endpoints: Endpoints { ws_url: config.venue.ws_url.clone(), rest_url: config.venue.rest_url.clone() },
        clock,
        listen: config.listen.parse().context("listen")?,
        probe: None,
    })
}

fn cast(config: &Config, keyring: &Keyring) -> Result<Vec<Cast>> {
    let named = (!config.models.as_os_str().is_empty()).then_some(config.models.as_path());
    let models = crate::assets::models_dir(named)?;
    config.miners.iter().map(|m| member(m, keyring, &models)).collect()
}

fn member(miner: &crate::config::MinerConfig, keyring: &Keyring, models: &Path) -> Result<Cast> {
    let key = MinerKey::from_seed(keyring.seed("miner", &miner.name));
    if miner.bundle.is_empty() {
        return Ok(Cast { name: miner.name.clone(), kind: "copycat".to_owned(), key, bundle: None });
    }
    let dir = models.join(&miner.bundle);
    let bundle =
        Bundle::load(&dir).with_context(|| format!("miner {}: loading {}", miner.name, dir.display()))?;
    let kind = bundle.manifest().kind.name().to_owned();
    Ok(Cast { name: miner.name.clone(), kind, key, bundle: Some(Arc::new(bundle)) })
}

fn hand(cast: Cast) -> MinerHand {
    MinerHand { key: cast.key, bundle: cast.bundle.map(|b| b.id()).unwrap_or_default() }
}

/// The folder's manifest must be of the same machines: replay could not follow a change.
fn manifest(config: &Config, dir: &RunDir, cast: &[Cast], role: Role) -> Result<RunManifest> {
    let miner = |c: &Cast| MinerPlan {
        name: c.name.clone(),
        kind: c.kind.clone(),
        id: c.key.id().to_string(),
        topic_prefix: TOPIC_PREFIX.to_owned(),
        bundle: c.bundle.as_ref().map(|b| b.id().to_string()),
    };
    let machines = MachinesPlan {
        role,
        feed: FeedPlan {
            symbol: config.venue.symbol.clone(),
            slug_prefix: config.venue.slug_prefix.clone(),
            interval_s: config.venue.interval_s,
            seed: 0,
        },
        miners: cast.iter().map(miner).collect(),
        validators: config.network.validators,
    };
    let network = (config.network.name.clone(), config.network.epoch_s);
    if dir.has_manifest() {
        let old = dir.manifest()?;
        ensure!(
            old.machines == machines && old.network == network,
            "{} was begun with another network, miners, validators or markets; name a new --dir, or restore the configuration",
            config.dir.display()
        );
        let reopened = RunManifest { finished: None, ..old };
        dir.write_manifest(&reopened)?;
        return Ok(reopened);
    }
    let manifest = RunManifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: format!("live feed of {}", config.venue.ws_url),
        network,
        machines,
        finished: None,
    };
    dir.write_manifest(&manifest)?;
    Ok(manifest)
}

fn customer(account: &str, prepaid_micros: i64) -> Customer {
    Customer {
        account: AccountId(account.to_owned()),
        subscription: SubscriptionId(format!("{account}-all").chars().take(64).collect()),
        prepaid: Micros(prepaid_micros),
    }
}
