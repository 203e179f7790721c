//! Configuration of `oraculo run`: defaults < file < environment < flags, with the origin of every value.
#![allow(clippy::disallowed_methods, reason = "node reads the environment, once, here")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The whole configuration. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the run lives: journal, snapshots, keys.
    pub dir: PathBuf,
    /// Address of the API.
    pub listen: String,
    /// Folder of model bundles; empty = look for `models/`.
    pub models: PathBuf,
    /// cpu, auto, cuda or cuda-or-fail.
    pub device: String,
    /// Redis URL for roles in several processes; empty = everything in this process.
    pub redis: String,
    /// The network.
    pub network: NetworkConfig,
    /// The venue.
    pub venue: VenueConfig,
    /// Miners hosted here.
    pub miners: Vec<MinerConfig>,
    /// Miners that run elsewhere and submit over REST; new ones may be added to a running network.
    pub external_miners: Vec<ExternalMiner>,
    /// Customers; new ones may be added to a running network.
    pub customers: Vec<CustomerConfig>,
    /// Strangers' bundles that run here for a fee.
    pub hosted: HostedConfig,
}

/// The network's name and clockwork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Name; its hash is inside every commitment.
    pub name: String,
    /// Length of an epoch, seconds.
    pub epoch_s: u32,
    /// How many validators compute here.
    pub validators: usize,
}

/// Where Polymarket is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VenueConfig {
    /// RTDS WebSocket.
    pub ws_url: String,
    /// Gamma REST.
    pub rest_url: String,
    /// Index pair.
    pub symbol: String,
    /// Slugs are `<slug_prefix>-<start>`.
    pub slug_prefix: String,
    /// Length of the markets, seconds.
    pub interval_s: u32,
}

/// One hosted miner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinerConfig {
    /// Name; its key is derived from it.
    pub name: String,
    /// Bundle folder under `models`; empty = copy what others revealed.
    #[serde(default)]
    pub bundle: String,
}

/// One miner that runs elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalMiner {
    /// Name for people.
    pub name: String,
    /// Its Ed25519 public key, 64 hex digits.
    pub key: String,
    /// The stake it brings, micro-units.
    pub stake_micros: i64,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerConfig {
    /// Account name.
    pub account: String,
    /// Prepaid, micro-USD.
    pub prepaid_micros: i64,
}

/// Whether and how strangers' bundles run here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostedConfig {
    /// Whether uploads are taken.
    pub enabled: bool,
    /// Folder of the archives; empty = `hosted` in the node's folder.
    pub store: PathBuf,
    /// Most bundles.
    pub max_bundles: usize,
    /// The host's part of a hosted miner's cash earnings, parts per million.
    pub fee_ppm: u32,
    /// The account that the fee is owed to.
    pub account: String,
    /// The stake with which a hosted miner joins, micro-units.
    pub stake_micros: i64,
    /// Refuse to run where a layer of the cage is missing.
    pub strict: bool,
    /// User and group that workers take when the node runs as root.
    pub uid: u32,
    /// Memory of one worker, MiB.
    pub memory_mib: u64,
    /// From the start of a worker to its loaded model, ms; at most 2,000.
    pub load_ms: u64,
    /// One run of a model, ms.
    pub run_ms: u64,
}

impl Default for HostedConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            store: PathBuf::new(),
            max_bundles: 16,
            fee_ppm: 200_000,
            account: "operator".to_owned(),
            stake_micros: crate::genesis::MINER_STAKE.0,
            strict: true,
            uid: 65_534,
            memory_mib: 1_024,
            load_ms: 1_500,
            run_ms: 500,
        }
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { name: "oraculo-local".to_owned(), epoch_s: 3_600, validators: 1 }
    }
}

impl Default for VenueConfig {
    fn default() -> Self {
        Self {
            ws_url: "wss://ws-live-data.polymarket.com".to_owned(),
            rest_url: "https://gamma-api.polymarket.com".to_owned(),
            symbol: "btc/usd".to_owned(),
            slug_prefix: "btc-updown-5m".to_owned(),
            interval_s: 300,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let miner = |name: &str| MinerConfig { name: name.to_owned(), bundle: name.to_owned() };
        Self {
            dir: PathBuf::from("data/node"),
            listen: "127.0.0.1:8787".to_owned(),
            models: PathBuf::new(),
            device: if cfg!(feature = "cuda") { "auto" } else { "cpu" }.to_owned(),
            redis: String::new(),
            network: NetworkConfig::default(),
            venue: VenueConfig::default(),
            miners: ["closed-form", "logistic", "gbt", "mlp"].map(miner).to_vec(),
            external_miners: Vec::new(),
            customers: Vec::new(),
            hosted: HostedConfig::default(),
        }
    }
}

/// Single values that the environment may set.
const ENV: &[(&str, &str)] = &[
    ("ORACULO_DIR", "dir"),
    ("ORACULO_LISTEN", "listen"),
    ("ORACULO_MODELS", "models"),
    ("ORACULO_DEVICE", "device"),
    ("ORACULO_REDIS", "redis"),
    ("ORACULO_NETWORK", "network.name"),
    ("ORACULO_WS_URL", "venue.ws_url"),
    ("ORACULO_REST_URL", "venue.rest_url"),
];

/// A configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Dotted key to `default`, `file PATH`, `env NAME` or `flag`.
    pub origin: BTreeMap<String, String>,
}

/// Merges defaults, the file, the environment (`env`) and `flags` (dotted key, value).
pub fn load(file: Option<&Path>, env: &BTreeMap<String, String>, flags: &[(&str, String)]) -> Result<Loaded> {
    let defaults = toml::Table::try_from(Config::default()).context("the defaults are a table")?;
    let mut origin = BTreeMap::new();
    let mut merged = defaults.clone();
    note(&defaults, "", "default", &mut origin);
    if let Some(path) = file {
        let text = fs::read_to_string(path).with_context(|| {
            format!("reading {} (make one with `oraculo config show > FILE`)", path.display())
        })?;
        let table: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
        // Parsed on its own first, so that an unknown key is named with its line in the user's file.
        toml::from_str::<Config>(&text).with_context(|| path.display().to_string())?;
        note(&table, "", &format!("file {}", path.display()), &mut origin);
        merge(&mut merged, table);
    }
    let from_env =
        ENV.iter().filter_map(|(name, key)| Some((*key, env.get(*name)?.clone(), format!("env {name}"))));
    let from_flags = flags.iter().map(|(key, value)| (*key, value.clone(), "flag".to_owned()));
    for (key, value, from) in from_env.chain(from_flags) {
        set(&mut merged, key, value);
        origin.insert(key.to_owned(), from);
    }
    let config: Config = merged.try_into().context("the merged configuration")?;
    check(&config)?;
    Ok(Loaded { config, origin })
}

/// The variables of the environment that [`load`] may use.
pub fn environment() -> BTreeMap<String, String> {
    ENV.iter().filter_map(|(name, _)| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect()
}

fn note(table: &toml::Table, prefix: &str, from: &str, origin: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => note(inner, &path, from, origin),
            _ => {
                origin.insert(path, from.to_owned());
            }
        }
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn set(table: &mut toml::Table, key: &str, value: String) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), toml::Value::String(value));
        }
        Some((head, rest)) => {
            if let Some(toml::Value::Table(inner)) = table.get_mut(head) {
                set(inner, rest, value);
            }
        }
    }
}

fn check(config: &Config) -> Result<()> {
    ensure!(schemas::id::is_name(&config.network.name), "network.name: 1 to 64 of a-z 0-9 . _ -");
    ensure!(
        config.network.epoch_s >= config.venue.interval_s,
        "network.epoch_s must cover at least one market"
    );
    ensure!((1..=16).contains(&config.network.validators), "network.validators must be 1 to 16");
    ensure!(
        config.venue.interval_s >= 300,
        "venue.interval_s must be at least 300 (the horizons are 60, 150 and 240 s)"
    );
    config
        .listen
        .parse::<std::net::SocketAddr>()
        .with_context(|| format!("listen: {:?} is no address", config.listen))?;
    let mut names = std::collections::BTreeSet::new();
    for miner in &config.miners {
        ensure!(schemas::id::is_name(&miner.name), "miners.name {:?}: 1 to 64 of a-z 0-9 . _ -", miner.name);
        if !names.insert(&miner.name) {
            bail!("miners: {} is there twice", miner.name);
        }
    }
    check_hosted(&config.hosted)?;
    check_strangers(config)
}

fn check_hosted(hosted: &HostedConfig) -> Result<()> {
    ensure!(schemas::id::is_name(&hosted.account), "hosted.account: 1 to 64 of a-z 0-9 . _ -");
    ensure!(hosted.fee_ppm <= 1_000_000, "hosted.fee_ppm must be at most 1000000");
    ensure!((1..=256).contains(&hosted.max_bundles), "hosted.max_bundles must be 1 to 256");
    ensure!(hosted.stake_micros > 0, "hosted.stake_micros must be positive");
    ensure!((256..=65_536).contains(&hosted.memory_mib), "hosted.memory_mib must be 256 to 65536");
    ensure!((100..=2_000).contains(&hosted.load_ms), "hosted.load_ms must be 100 to 2000");
    ensure!((1..=10_000).contains(&hosted.run_ms), "hosted.run_ms must be 1 to 10000");
    ensure!(hosted.uid != 0, "hosted.uid must not be root");
    Ok(())
}

/// Miners and customers that are named here but live elsewhere.
fn check_strangers(config: &Config) -> Result<()> {
    for miner in &config.external_miners {
        let name = &miner.name;
        ensure!(schemas::id::is_name(name), "external_miners.name {name:?} is no name");
        ensure!(
            miner.key.parse::<schemas::MinerId>().is_ok(),
            "external_miners.{name}: key is no 64 hex digits"
        );
        ensure!(miner.stake_micros > 0, "external_miners.{name}: stake_micros must be positive");
    }
    for customer in &config.customers {
        ensure!(
            schemas::id::is_name(&customer.account),
            "customers.account {:?} is no name",
            customer.account
        );
        ensure!(
            customer.prepaid_micros > 0,
            "customers.{}: prepaid_micros must be positive",
            customer.account
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("oraculo.toml");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn later_sources_win_and_say_so() {
        let (_dir, path) = write("listen = '127.0.0.1:1'\n[network]\nname = 'from-file'\n");
        let env = BTreeMap::from([("ORACULO_NETWORK".to_owned(), "from-env".to_owned())]);
        let loaded = load(Some(&path), &env, &[("listen", "127.0.0.1:2".to_owned())]).unwrap();
        assert_eq!(loaded.config.network.name, "from-env");
        assert_eq!(loaded.config.listen, "127.0.0.1:2");
        assert_eq!(loaded.config.network.epoch_s, 3_600, "a default inside a table that the file names");
        assert_eq!(loaded.origin["network.name"], "env ORACULO_NETWORK");
        assert_eq!(loaded.origin["listen"], "flag");
        assert_eq!(loaded.origin["network.epoch_s"], "default");
    }

    #[test]
    fn bad_files_are_named() {
        for (text, want) in [
            ("listne = 'x'", "listne"),
            ("listen = 'nowhere'", "no address"),
            ("[network]\nname = 'A B'", "network.name"),
            ("[network]\nepoch_s = 10", "epoch_s"),
            ("[[miners]]\nname = 'a'\n[[miners]]\nname = 'a'", "twice"),
            ("[[customers]]\naccount = 'a'\nprepaid_micros = 0", "positive"),
            ("[[external_miners]]\nname = 'a'\nkey = 'b'\nstake_micros = 1", "hex digits"),
            ("[hosted]\nfee_ppm = 1000001", "hosted.fee_ppm"),
            ("[hosted]\nload_ms = 2001", "hosted.load_ms"),
            ("[hosted]\nuid = 0", "root"),
            ("device = 3", "device"),
        ] {
            let (_dir, path) = write(text);
            let error = format!("{:#}", load(Some(&path), &BTreeMap::new(), &[]).unwrap_err());
            assert!(error.contains(want), "{text}: {error}");
        }
        let missing = load(Some(Path::new("/nowhere/x.toml")), &BTreeMap::new(), &[]).unwrap_err();
        assert!(format!("{missing:#}").contains("oraculo config show"));
    }
}
