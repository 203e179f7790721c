//! A bundle from its upload to its first judged prediction: real journal, real validator, real caged worker.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::disallowed_methods, reason = "a test of edges")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::hosted::{Host as _, HostError, Hosted, HostedState};
use bus::{Driver, FileLog, FileOptions, Limits};
use forecaster::bundle::{BundleLimits, Parts};
use forecaster::edge::sandbox::{SandboxConfig, WorkerCommand};
use node::clock::{Clock, wall_now};
use node::deeds::Deeds;
use node::genesis;
use node::hosted::{HostedNode, HostedPlan};
use node::kernel::{Cmd, Kernel, KernelHandle};
use node::keyring::Keyring;
use node::tally::Tally;
use node::wire::{Machines, Remote};
use schemas::verdict::What;
use schemas::*;
use tokio::sync::{broadcast, oneshot};

const SYMBOL: &str = "btc/usd";

/// A kernel with a validator that takes facts from outside.
struct House {
    kernel: KernelHandle,
    thread: std::thread::JoinHandle<()>,
    network: [u8; 32],
}

impl House {
    fn start(dir: &Path) -> Self {
        let rules = genesis::network("hosted", &[(ValidatorId([1; 32]), "v".to_owned())], 3_600);
        let network = rules.network_hash();
        let machines = Machines {
            feed: None,
            scheduler: None,
            resolvers: Vec::new(),
            miners: Vec::new(),
            validators: vec![validator::Validator::new(validator::Limits::default())],
            view: None,
            board: None,
            tally: Tally::default(),
        };
        let log = FileLog::open(dir, FileOptions::default()).unwrap();
        let mut driver = Driver::new(log, Remote(machines), Limits::default());
        if driver.last_seq() > 0 {
            driver.recover(None, &mut |_| {}).unwrap();
        }
        let (kernel, rx) = KernelHandle::channel();
        let deeds = Deeds {
            venue: None,
            lane: None,
            miners: Vec::new(),
            validators: Vec::new(),
            network,
            pushes: broadcast::channel(16).0,
            probe: None,
            bell: tokio::sync::watch::Sender::new(0),
            answers: Arc::default(),
            kernel: kernel.clone(),
        };
        let kernel_loop = Kernel::new(driver, deeds, Clock::Wall, rx, None);
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::spawn(move || kernel_loop.run(&runtime).unwrap());
        Self { kernel, thread, network }
    }

    async fn say(&self, entries: Vec<(Stream, Vec<u8>)>) {
        let (taken, done) = oneshot::channel();
        assert!(self.kernel.send(Cmd::Follow { entries, taken }).await);
        done.await.unwrap();
    }

    async fn journal(&self) -> Vec<Entry> {
        let mut out: Vec<Entry> = Vec::new();
        loop {
            let (reply, entries) = oneshot::channel();
            let from = out.last().map_or(1, |e| e.record.seq + 1);
            assert!(self.kernel.send(Cmd::Read { from, reply }).await);
            let more = entries.await.unwrap();
            if more.is_empty() {
                return out;
            }
            out.extend(more);
        }
    }

    async fn intakes(&self) -> Vec<Intake> {
        let of = |e: &Entry| (e.stream == Stream::Intake).then(|| decode(&e.record.body).unwrap());
        self.journal().await.iter().filter_map(of).collect()
    }

    async fn stop(self) {
        self.kernel.stop().await.unwrap();
        self.thread.join().unwrap();
    }
}

fn topic() -> TopicRules {
    genesis::topic(SYMBOL, 300, 60, 3_600)
}

fn tick(feed_at: Timestamp, dollars: i64) -> (Stream, Vec<u8>) {
    let value = IndexPrice(i128::from(dollars) * IndexPrice::ONE);
    let tick = IndexTick { symbol: SYMBOL.to_owned(), feed_at, value, server_at: None };
    (Stream::Market, encode(&MarketEvent::Tick(tick)))
}

/// An hour of prices up to now, and the network's first records.
fn world(network: &NetworkRules) -> Vec<(Stream, Vec<u8>)> {
    let now = wall_now();
    let intake = |body: Intake| (Stream::Intake, encode(&body));
    let mut out = vec![intake(Intake::Genesis(network.clone())), intake(Intake::Topic(topic()))];
    for i in (0..400_i64).rev() {
        out.push(tick(now.plus(-i * 10_000_000_000), 63_000 + (i * 7_919) % 90));
    }
    out
}

/// A question that opened a moment ago.
fn question(n: u8) -> Question {
    let (rules, opens_at) = (topic(), wall_now().plus(-1_000_000));
    let market = MarketId { venue: Venue::Polymarket, native: format!("0x{n}") };
    let starts = opens_at.plus(-60_000_000_000);
    Question {
        id: Question::derive_id(&rules.id, 1, &market, opens_at),
        rules_version: 1,
        rules_hash: rules.hash(),
        market,
        symbol: SYMBOL.to_owned(),
        strike: IndexPrice(63_020 * IndexPrice::ONE),
        market_starts_at: starts,
        opens_at,
        commit_closes_at: opens_at.plus(rules.commit_window_ns),
        reveal_closes_at: opens_at.plus(rules.commit_window_ns + rules.reveal_window_ns),
        resolves_at: starts.plus(300_000_000_000),
        reference: Ppm(500_000),
        reference_source: "closed-form/1".to_owned(),
        input_watermark: opens_at,
        market_mid: None,
        topic: rules.id,
    }
}

fn library() -> Option<PathBuf> {
    match node::assets::ort_search(None).find() {
        Ok(path) => Some(path),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

fn host(house: &House, dir: &Path, library: PathBuf) -> HostedNode {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_oraculo"));
    let mut sandbox =
        SandboxConfig::new(WorkerCommand { program, args: vec!["inference-worker".into()] }, Some(library));
    // A busy machine must not make this test fail.
    sandbox.limits.load = Duration::from_secs(10);
    sandbox.limits.run = Duration::from_secs(5);
    let plan = HostedPlan {
        store: dir.join("store"),
        max_bundles: 2,
        fee: HostFee { part: Ppm(250_000), account: AccountId::new("operator").unwrap() },
        stake: Micros(1_000_000_000),
        sandbox,
        keyring: Keyring::simulated(7),
        symbol: SYMBOL.to_owned(),
    };
    HostedNode::start(plan, house.kernel.clone(), house.network, Clock::Wall).unwrap()
}

fn archive(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
    Parts::read(&dir, &BundleLimits::default()).unwrap().to_tar().unwrap()
}

/// The bundle's first prediction on this question that the validator has admitted, sealed and opened.
async fn judged(house: &House, hosted: &Hosted, question: &Question) {
    let started = Instant::now();
    // However long the upload took, the newest price is fresh.
    let asked = (Stream::Intake, encode(&Intake::Question(question.clone())));
    house.say(vec![tick(question.opens_at, 63_010), asked]).await;
    let (mut sealed, mut opened) = (false, false);
    while !(sealed && opened) {
        assert!(started.elapsed() < Duration::from_secs(20), "sealed {sealed}, opened {opened}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        for entry in house.journal().await.iter().filter(|e| e.stream == Stream::Verdicts) {
            let Verdict::Accepted { what, miner, question: of } = decode(&entry.record.body).unwrap() else {
                continue;
            };
            if (miner, of) == (Some(hosted.miner), Some(question.id)) {
                sealed |= what == What::Commitment;
                opened |= what == What::Reveal;
            }
        }
    }
}

async fn until_live(host: &HostedNode, account: &AccountId) -> Hosted {
    let started = Instant::now();
    loop {
        if let Some(hosted) = host.list(account).into_iter().find(|h| h.state == HostedState::Live) {
            return hosted;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", host.list(account));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "known to fail: the first answer of a caged model reaches the journal after the commit window"]
async fn an_uploaded_bundle_predicts_pays_its_host_and_survives_a_restart() {
    node::telemetry::init("warn");
    let Some(library) = library() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (AccountId::new("alice").unwrap(), AccountId::new("bob").unwrap());
    let house = House::start(&dir.path().join("journal"));
    house.say(world(&genesis::network("hosted", &[(ValidatorId([1; 32]), "v".to_owned())], 3_600))).await;
    let node = host(&house, dir.path(), library.clone());

    let (hosted, new) = node.upload(alice.clone(), archive("closed-form")).await.unwrap();
    assert!(
        new && hosted.state == HostedState::Live && hosted.findings.iter().all(|f| f.passed),
        "{hosted:?}"
    );
    let again = node.upload(alice.clone(), archive("closed-form")).await.unwrap();
    assert_eq!(again, (hosted.clone(), false), "the same bundle is the same place");
    assert_eq!(node.upload(bob.clone(), archive("closed-form")).await, Err(HostError::Taken));
    let garbage = node.upload(bob.clone(), b"no tar at all".to_vec()).await.unwrap_err();
    assert_eq!(garbage.status_and_code(), (422, "c01_archive"));
    assert!(node.list(&bob).is_empty(), "what was refused has no place");

    let joined: Vec<MinerJoined> = house
        .intakes()
        .await
        .into_iter()
        .filter_map(|i| if let Intake::Miner(j) = i { Some(j) } else { None })
        .collect();
    assert_eq!(joined.len(), 1);
    let fee = joined[0].host.clone().unwrap();
    assert_eq!((joined[0].miner, fee.part, fee.account.0.as_str()), (hosted.miner, Ppm(250_000), "operator"));
    judged(&house, &hosted, &question(1)).await;
    house.stop().await;

    // The same folder again: the bundle comes back by itself, under the same key.
    let house = House::start(&dir.path().join("journal"));
    let node = host(&house, dir.path(), library);
    let back = until_live(&node, &alice).await;
    assert_eq!((back.bundle, back.miner, back.since), (hosted.bundle, hosted.miner, hosted.since));
    judged(&house, &back, &question(2)).await;
    assert_eq!(node.remove(bob, back.bundle).await, Err(HostError::Unknown));
    node.remove(alice.clone(), back.bundle).await.unwrap();
    assert!(node.list(&alice).is_empty());
    assert_eq!(std::fs::read_dir(dir.path().join("store")).unwrap().count(), 0, "nothing stays on the disk");
    house.stop().await;
}
