//! Who takes part in a demo: five miners, three validators, one customer. Plain data and keys from the seed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use forecaster::{Bundle, Device, EngineChoice};
use ingest::edge::Endpoints;
use schemas::{AccountId, Micros, SubscriptionId};
use sim::{Day, TwinHandle};

use crate::cast::{self, Cast};
use crate::clock::Clock;
use crate::genesis::{self, Customer, HORIZONS_S};
use crate::keyring::Keyring;
use crate::plan::{FeedPlan, MachinesPlan, Role};
use crate::probe::Probe;
use crate::run_dir::{FORMAT, RunDir, RunManifest};
use crate::start::Start;

/// The demo's customer.
pub const CUSTOMER: &str = "demo-customer";
/// Its prepaid money: enough for a hundred recorded days.
const PREPAID: Micros = Micros(1_000_000_000);
/// Validators of the demo.
const VALIDATORS: usize = 3;
/// Miners of the demo: name and bundle. The copycat runs no model.
const CAST: [(&str, Option<&str>); 5] = [
    ("closed-form", Some("closed-form")),
    ("logistic", Some("logistic")),
    ("gbt", Some("gbt")),
    ("poor", Some("poor")),
    ("copycat", None),
];
/// Most bundles that somebody may bring to a demo.
const MAX_GUESTS: usize = 16;

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
    /// Bundles of miners beside the five.
    pub guests: &'a [PathBuf],
    /// ONNX Runtime, if named.
    pub ort_lib: Option<PathBuf>,
    /// What runs models.
    pub engine: EngineChoice,
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
    let cast: Result<Vec<Cast>> = CAST
        .iter()
        .map(|(name, bundle)| Cast::load(&keyring, name, *bundle, &models))
        .chain(guest_names(options.guests)?.iter().map(|(name, dir)| guest(&keyring, name, dir)))
        .collect();
    let cast = cast?;
    let (validators, seats) = cast::validators(&keyring, VALIDATORS);
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
            miners: cast.iter().map(Cast::plan).collect(),
            validators: VALIDATORS,
        },
        finished: None,
    };
    options.dir.write_manifest(&manifest)?;
    let topics = cast::topics(&options.day.symbol, options.day.interval_s, options.epoch_s);
    let miners = cast.iter().map(Cast::joined).collect();
    Ok(Start {
        dir: options.dir.clone(),
        manifest,
        network: network.network_hash(),
        genesis: genesis::records(network, topics, miners, &[customer()], options.clock.now()),
        bundles: cast.iter().filter_map(Cast::bundle).collect(),
        miners: cast.into_iter().map(Cast::into_hand).collect(),
        validators,
        ort_lib: options.ort_lib.clone(),
        engine: options.engine,
        device: options.device,
        endpoints: Endpoints::single(options.twin.ws_url.clone(), options.twin.rest_url.clone()),
        clock: options.clock.clone(),
        listen: options.listen,
        probe: options.probe.clone(),
        hosted: None,
    })
}

/// Whether the demo itself has a miner of this name.
pub fn has_miner(name: &str) -> bool {
    CAST.iter().any(|(own, _)| *own == name)
}

/// The name of every guest, which is its bundle's, with the bundle's folder.
pub fn guest_names(dirs: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    ensure!(dirs.len() <= MAX_GUESTS, "--bundle: at most {MAX_GUESTS} bundles");
    let mut out: Vec<(String, PathBuf)> = Vec::new();
    for dir in dirs {
        let bundle = Bundle::load(dir).with_context(|| format!("--bundle {}", dir.display()))?;
        let manifest = bundle.manifest();
        let name = manifest.name.clone();
        let topic = manifest.topic.as_deref().unwrap_or("none");
        ensure!(
            genesis::TOPIC_PREFIX.starts_with(topic),
            "--bundle {}: its topic is {topic}, the demo asks {}",
            dir.display(),
            genesis::TOPIC_PREFIX
        );
        ensure!(
            !has_miner(&name) && out.iter().all(|(other, _)| *other != name),
            "--bundle {}: there is a miner {name} already; give the bundle another `name`",
            dir.display()
        );
        let dir = std::path::absolute(dir).with_context(|| format!("--bundle {}", dir.display()))?;
        out.push((name, dir));
    }
    Ok(out)
}

fn guest(keyring: &Keyring, name: &str, dir: &Path) -> Result<Cast> {
    let text = dir.to_str().with_context(|| format!("--bundle {}: not UTF-8", dir.display()))?;
    // Joined to an absolute path, the folder of models plays no part.
    Cast::load(keyring, name, Some(text), Path::new(""))
}

fn customer() -> Customer {
    Customer {
        account: AccountId(CUSTOMER.to_owned()),
        subscription: SubscriptionId("demo-all-topics".to_owned()),
        prepaid: PREPAID,
    }
}
