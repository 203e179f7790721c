//! Turns a configuration into what a node is started from. Opens the key file and the models, nothing else.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forecaster::edge::sandbox::{SandboxConfig, SandboxLimits};
use ingest::edge::Endpoints;
use schemas::{AccountId, HostFee, Micros, MinerJoined, Ppm, SubscriptionId};

use crate::cast::{self, Cast};
use crate::clock::Clock;
use crate::config::{Config, MinerConfig};
use crate::genesis::{self, Customer};
use crate::hosted::HostedPlan;
use crate::keyring::Keyring;
use crate::plan::{FeedPlan, MachinesPlan, Role};
use crate::run_dir::{FORMAT, RunDir, RunManifest};
use crate::start::Start;

/// Loads keys and models; continues the folder's run or begins one.
pub fn plan(config: &Config, ort_lib: Option<PathBuf>) -> Result<Start> {
    plan_role(config, ort_lib, Role::All)
}

/// The same for a process of one role, whose run is a folder of its own inside the node's.
pub fn plan_role(config: &Config, ort: Option<PathBuf>, role: Role) -> Result<Start> {
    let root = match role {
        Role::All => config.dir.clone(),
        one => config.dir.join(one.name()),
    };
    let dir = RunDir::open_or_create(&root)?;
    let keyring = Keyring::open_or_create(&config.dir.join("node.key"))?;
    // Who takes part is for those to know who name the miners to the network, and for the miners themselves.
    let casts = role.does(Role::Miner) || role.does(Role::Validator);
    let cast = if casts { members(config, &keyring)? } else { Vec::new() };
    let (validators, seats) = cast::validators(&keyring, config.network.validators);
    let network = genesis::network(&config.network.name, &seats, config.network.epoch_s);
    let manifest = manifest(config, &dir, &cast, role)?;
    let clock = Clock::Wall;
    let topics = cast::topics(&config.venue.symbol, config.venue.interval_s, config.network.epoch_s);
    let outside = config.external_miners.iter().map(|m| MinerJoined {
        miner: m.key.parse().expect("loading the configuration has checked the key"),
        name: m.name.clone(),
        kind: "external".to_owned(),
        stake: Micros(m.stake_micros),
        host: None,
        signature: None,
        account: None,
    });
    let customers: Vec<Customer> =
        config.customers.iter().map(|c| customer(&c.account, c.prepaid_micros)).collect();
    Ok(Start {
        genesis: genesis::records(
            network.clone(),
            topics,
            cast.iter().map(Cast::joined).chain(outside).collect(),
            &customers,
            clock.now(),
        ),
        dir,
        manifest,
        network: network.network_hash(),
        bundles: cast.iter().filter_map(Cast::bundle).collect(),
        miners: cast.into_iter().map(Cast::into_hand).collect(),
        validators,
        ort_lib: ort.clone(),
        engine: forecaster::EngineChoice::Auto,
        device: config.device.parse()?,
        endpoints: Endpoints::single(config.venue.ws_url.clone(), config.venue.rest_url.clone()),
        clock,
        listen: config.listen.parse().context("listen")?,
        probe: None,
        hosted: (role == Role::All).then(|| hosted(config, &ort, keyring)).transpose()?.flatten(),
    })
}

/// Hosting, if it is on: the worker is this very program, its library the one this process would use.
fn hosted(config: &Config, ort_lib: &Option<PathBuf>, keyring: Keyring) -> Result<Option<HostedPlan>> {
    let own = &config.hosted;
    if !own.enabled {
        return Ok(None);
    }
    let library = crate::assets::ort_search(ort_lib.clone()).find()?;
    let mut sandbox = SandboxConfig::new(crate::assets::worker()?, Some(library));
    sandbox.limits = SandboxLimits {
        memory_bytes: own.memory_mib << 20,
        load: Duration::from_millis(own.load_ms),
        run: Duration::from_millis(own.run_ms),
        ..sandbox.limits
    };
    (sandbox.uid, sandbox.strict) = (own.uid, own.strict);
    let store = if own.store.as_os_str().is_empty() { config.dir.join("hosted") } else { own.store.clone() };
    Ok(Some(HostedPlan {
        store,
        max_bundles: own.max_bundles,
        fee: HostFee { part: Ppm(own.fee_ppm), account: AccountId(own.account.clone()) },
        stake: Micros(own.stake_micros),
        sandbox,
        keyring,
        symbol: config.venue.symbol.clone(),
    }))
}

fn members(config: &Config, keyring: &Keyring) -> Result<Vec<Cast>> {
    let named = (!config.models.as_os_str().is_empty()).then_some(config.models.as_path());
    let models = crate::assets::models_dir(named)?;
    let bundle = |m: &MinerConfig| (!m.bundle.is_empty()).then(|| m.bundle.clone());
    let load = |m: &MinerConfig| Cast::load(keyring, &m.name, bundle(m).as_deref(), &models);
    config.miners.iter().map(load).collect()
}

/// The folder's manifest must be of the same machines: replay could not follow a change.
fn manifest(config: &Config, dir: &RunDir, cast: &[Cast], role: Role) -> Result<RunManifest> {
    let machines = MachinesPlan {
        role,
        feed: FeedPlan {
            symbol: config.venue.symbol.clone(),
            slug_prefix: config.venue.slug_prefix.clone(),
            interval_s: config.venue.interval_s,
            seed: 0,
        },
        miners: cast.iter().map(Cast::plan).collect(),
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
