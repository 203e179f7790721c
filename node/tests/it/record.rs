//! Recordings over real loopback sockets: every venue twin into an archive, its books equal to the twin's truth, the
//! archive read again to the same rows and digest. Never a live venue.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use ingest::book::Book;
use ingest::edge::kalshi_sign::KalshiSigner;
use ingest::edge::{Endpoints, Seen, Signer};
use ingest::venue::VenueMachine as _;
use node::recorder::{ArchiveSink, Outcome, Plan, RawSink, RunLimits, Subject, record, replay::replay};
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use schemas::{BookSide, Digest, Timestamp, Venue};
use sim::edge::binance::{BinanceTwin, BinanceTwinConfig};
use sim::edge::kalshi::{KalshiTwin, KalshiTwinConfig, KalshiTwinHandle};
use sim::edge::polymarket::{PolymarketHandle, PolymarketTwin, PolymarketTwinConfig, VenueTime};
use sim::venues::kalshi::auth::{ClientKey, PublicKey};
use sim::venues::kalshi::{MarketSpec, VenueConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{oraculo, texts};

const KEY_ID: &str = "11111111-2222-4333-8444-555555555555";

/// The archive, and how many records it has taken so far.
struct Counted {
    inner: ArchiveSink,
    count: Arc<AtomicU64>,
}

impl RawSink for Counted {
    fn append(&mut self, seen: &Seen) -> Result<u64> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.inner.append(seen)
    }
    fn last_at(&self) -> Timestamp {
        self.inner.last_at()
    }
    fn next_seq(&self) -> u64 {
        self.inner.next_seq()
    }
    fn tick(&mut self, mono_ns: u64) -> Result<()> {
        self.inner.tick(mono_ns)
    }
    fn close(self) -> Result<Option<Digest>> {
        self.inner.close()
    }
}

/// A recording in the background.
pub(crate) struct Recording {
    count: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Outcome>>,
}

impl Recording {
    pub(crate) fn start(
        dir: &Path,
        plan: &Plan,
        endpoints: Endpoints,
        signer: Option<Arc<dyn Signer>>,
    ) -> Self {
        Self::start_with(dir, plan, plan.machine().unwrap(), endpoints, signer)
    }

    pub(crate) fn start_with(
        dir: &Path,
        plan: &Plan,
        subject: Subject,
        endpoints: Endpoints,
        signer: Option<Arc<dyn Signer>>,
    ) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let inner = ArchiveSink::open(dir, plan, "a test").unwrap();
        let sink = Counted { inner, count: Arc::clone(&count) };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let limits = RunLimits { hash_rows: true, ..RunLimits::default() };
            let until = async { stopped.await.unwrap_or(()) };
            let bar = indicatif::ProgressBar::hidden();
            record(subject, sink, endpoints, signer, limits, &bar, until).await
        });
        Self { count, stop, task }
    }

    /// Waits until nothing new was archived for a while.
    pub(crate) async fn settle(&self) {
        let mut last = u64::MAX;
        while last != self.count.load(Ordering::SeqCst) {
            last = self.count.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    pub(crate) async fn reach(&self, count: u64) {
        for _ in 0..3_000 {
            if self.count.load(Ordering::SeqCst) >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} of {count} records after 30 s", self.count.load(Ordering::SeqCst));
    }

    pub(crate) async fn end(self) -> Outcome {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap()
    }
}

pub(crate) fn plan(venue: Venue, names: Vec<String>, ab: bool) -> Plan {
    Plan { venue, names, indices: Vec::new(), rtds: Vec::new(), rtds2: Vec::new(), ab, seed: [9; 32] }
}

/// What every recording must show: the consumer has the machine's books, and the archive gives the same rows again.
pub(crate) fn check(dir: &Path, plan: &Plan, outcome: &mut Outcome) {
    let shelf = outcome.subject.shelf();
    assert_eq!(outcome.mirror.differences(shelf), 0, "the consumer's books");
    assert_eq!(outcome.mirror.rows + outcome.conflated, outcome.meter.rows);
    assert_eq!((shelf.counts.quarantined, outcome.dropped), (0, 0), "{:?}", shelf.counts);
    let again = replay(dir, plan.venue).unwrap();
    assert_eq!(again.records, outcome.meter.records);
    assert_eq!(again.rows, outcome.meter.rows);
    assert_eq!(Some(again.tape), outcome.tape, "the same rows");
    assert_eq!(again.digest, outcome.digest, "the same state");
}

fn kalshi_key() -> rsa::RsaPrivateKey {
    struct Draws(u64);
    impl rsa::rand_core::RngCore for Draws {
        fn next_u32(&mut self) -> u32 {
            (self.next_u64() >> 32) as u32
        }
        fn next_u64(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            sim::venues::kalshi::units::mix(self.0)
        }
        fn fill_bytes(&mut self, dest: &mut [u8]) {
            rsa::rand_core::impls::fill_bytes_via_next(self, dest);
        }
        fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
            self.fill_bytes(dest);
            Ok(())
        }
    }
    impl rsa::rand_core::CryptoRng for Draws {}
    rsa::RsaPrivateKey::new(&mut Draws(7), 2_048).unwrap()
}

/// A twin that checks signatures, and the private key it accepts.
fn kalshi(markets: usize, rate: u64) -> (KalshiTwinHandle, String) {
    let key = kalshi_key();
    let public = key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap();
    let client = ClientKey { id: KEY_ID.to_owned(), key: PublicKey::from_pem(&public).unwrap() };
    let venue =
        VenueConfig { markets: MarketSpec::many(markets), clients: vec![client], ..VenueConfig::default() };
    let twin = KalshiTwin::spawn(KalshiTwinConfig { venue, rate, ..KalshiTwinConfig::default() }).unwrap();
    (twin, key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string())
}

fn kalshi_books(twin: &KalshiTwinHandle, outcome: &Outcome) {
    for ticker in twin.tickers() {
        let truth = twin.truth(&ticker).unwrap();
        let mut book = Book::default();
        for (price, qty) in &truth.yes {
            book.set(BookSide::Bid, *price, *qty);
        }
        for (price, qty) in &truth.no {
            book.set(BookSide::Ask, 1_000_000 - price, *qty);
        }
        let slot = outcome.subject.shelf().by_name(&ticker).unwrap();
        assert_eq!(slot.book, book, "{ticker}");
        assert!(slot.state.is_live(), "{ticker} {:?}", slot.state);
    }
}

fn signer(pem: &str) -> Arc<dyn Signer> {
    Arc::new(KalshiSigner::from_pem(KEY_ID, pem.as_bytes()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kalshi_is_recorded_signed_and_replayed() {
    let (twin, pem) = kalshi(8, 0);
    let tmp = tempfile::tempdir().unwrap();
    let plan = plan(Venue::Kalshi, twin.tickers(), false);
    let endpoints = Endpoints::single(twin.ws_url.clone(), twin.rest_url.clone());
    let recording = Recording::start(tmp.path(), &plan, endpoints, Some(signer(&pem)));
    recording.reach(8).await;
    recording.settle().await;
    assert_eq!(twin.step(400).await, 400);
    assert!(twin.quiesce().await);
    recording.settle().await;
    // The connection is cut: a gap, a new signature, snapshots, the truth again.
    twin.cut_all();
    recording.settle().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    recording.settle().await;
    assert_eq!(twin.step(200).await, 200);
    assert!(twin.quiesce().await);
    recording.settle().await;
    let mut outcome = recording.end().await;
    assert!(outcome.meter.frames >= 600, "{:?}", outcome.meter);
    let counts = outcome.subject.shelf().counts;
    assert_eq!((counts.gaps, counts.disconnects), (8, 1), "{counts:?}");
    let conns = outcome.meter.connections();
    assert!(conns.len() == 2 && conns.iter().all(|c| c.measured > 0), "{conns:?}");
    kalshi_books(&twin, &outcome);
    check(tmp.path(), &plan, &mut outcome);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kalshi_connections_leave_no_gap_when_one_is_cut() {
    let (twin, pem) = kalshi(8, 0);
    let tmp = tempfile::tempdir().unwrap();
    let plan = plan(Venue::Kalshi, twin.tickers(), true);
    let endpoints = Endpoints::single(twin.ws_url.clone(), twin.rest_url.clone());
    let recording = Recording::start(tmp.path(), &plan, endpoints, Some(signer(&pem)));
    recording.reach(20).await;
    recording.settle().await;
    for _ in 0..3 {
        assert_eq!(twin.step(150).await, 150);
        // The older of the two connections goes, the other one stays.
        let first = *twin.sent().keys().next().unwrap();
        twin.with(|venue, _| venue.cut(first));
        assert_eq!(twin.step(150).await, 150);
        assert!(twin.quiesce().await);
        tokio::time::sleep(Duration::from_millis(800)).await;
        recording.settle().await;
        assert_eq!(twin.sent().len(), 2, "both are back");
    }
    let mut outcome = recording.end().await;
    let counts = outcome.subject.shelf().counts;
    assert_eq!((counts.gaps, counts.disconnects), (0, 3), "{counts:?}");
    let legs = outcome.subject.legs().unwrap();
    assert!(
        legs[0].wins > 0 && legs[1].wins > 0 && legs[0].duplicates + legs[1].duplicates > 100,
        "{legs:?}"
    );
    assert_eq!(outcome.mirror.trades as usize, twin.trades().len(), "each trade once");
    kalshi_books(&twin, &outcome);
    check(tmp.path(), &plan, &mut outcome);
}

pub(crate) fn polymarket(rate: Option<f64>) -> PolymarketHandle {
    let config = PolymarketTwinConfig { time: VenueTime::Wall, rate, ..PolymarketTwinConfig::default() };
    PolymarketTwin::spawn(config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polymarket_is_recorded_and_replayed_with_one_and_with_two_connections() {
    for ab in [false, true] {
        let twin = polymarket(None);
        let tmp = tempfile::tempdir().unwrap();
        let plan = plan(Venue::Polymarket, twin.assets(), ab);
        let endpoints = Endpoints::single(twin.market_ws_url.clone(), twin.rest_url.clone());
        let recording = Recording::start(tmp.path(), &plan, endpoints, None);
        recording.reach(3).await;
        recording.settle().await;
        twin.step(500).await;
        twin.quiesce().await;
        recording.settle().await;
        let mut outcome = recording.end().await;
        assert!(outcome.meter.frames >= 500, "{:?}", outcome.meter);
        for asset in twin.assets() {
            let truth = twin.truth(&asset).unwrap();
            let mut book = Book::default();
            for (side, levels) in [(BookSide::Bid, &truth.bids), (BookSide::Ask, &truth.asks)] {
                for (price, size) in levels {
                    book.set(side, *price, *size);
                }
            }
            let slot = outcome.subject.shelf().by_name(&asset).unwrap();
            assert_eq!(slot.book, book, "{asset} ab {ab}");
        }
        if let Some(legs) = outcome.subject.legs() {
            assert!(legs[0].duplicates + legs[1].duplicates > 100, "{legs:?}");
        }
        check(tmp.path(), &plan, &mut outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binance_is_recorded_and_replayed_with_one_and_with_two_connections() {
    for ab in [false, true] {
        let config = BinanceTwinConfig::default();
        let symbols: Vec<String> = config.venue.symbols.iter().map(|spec| spec.symbol.clone()).collect();
        let twin = BinanceTwin::spawn(config).unwrap();
        let tmp = tempfile::tempdir().unwrap();
        let plan = plan(Venue::Binance, symbols.clone(), ab);
        let endpoints = Endpoints::single(format!("{}/ws", twin.ws_url), twin.rest_url.clone());
        let recording = Recording::start(tmp.path(), &plan, endpoints, None);
        recording.reach(3).await;
        recording.settle().await;
        // A snapshot is asked for once a stream is heard.
        for count in [100, 500] {
            twin.step(count).await;
            assert!(twin.quiesce().await);
            recording.settle().await;
        }
        let mut outcome = recording.end().await;
        assert!(outcome.meter.frames >= 500 && outcome.meter.answers > 0, "{:?}", outcome.meter);
        for symbol in &symbols {
            let truth = twin.truth(symbol).unwrap();
            let slot = outcome.subject.shelf().by_name(symbol).unwrap();
            let decimals = (slot.instrument.price_decimals, slot.instrument.qty_decimals);
            assert_eq!(decimals, (8, 8), "the twin counts in 1e-8");
            let mut book = Book::default();
            for (side, levels) in [(BookSide::Bid, &truth.bids), (BookSide::Ask, &truth.asks)] {
                for (price, size) in levels {
                    book.set(side, *price, *size);
                }
            }
            assert_eq!(slot.book, book, "{symbol} ab {ab}");
        }
        check(tmp.path(), &plan, &mut outcome);
    }
}

/// A second recording continues the archive; its own rows follow from its own records.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_continues_an_archive() {
    let tmp = tempfile::tempdir().unwrap();
    let twin = polymarket(None);
    let plan = plan(Venue::Polymarket, twin.assets(), false);
    let mut first = 1;
    for _ in 0..2 {
        let endpoints = Endpoints::single(twin.market_ws_url.clone(), twin.rest_url.clone());
        let recording = Recording::start(tmp.path(), &plan, endpoints, None);
        recording.reach(3).await;
        twin.step(50).await;
        recording.settle().await;
        let mut outcome = recording.end().await;
        assert_eq!(outcome.first_seq, first, "numbers go on");
        first += outcome.meter.records;
        check(tmp.path(), &plan, &mut outcome);
    }
}

#[test]
fn the_command_records_verifies_and_says_what_it_did() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (twin, pem) = {
        let _guard = runtime.enter();
        kalshi(4, 400)
    };
    let tmp = tempfile::tempdir().unwrap();
    let (key, out) = (tmp.path().join("key.pem"), tmp.path().join("archive"));
    std::fs::write(&key, pem).unwrap();
    let names = twin.tickers().join(",");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let args = [
        "record",
        "--venue",
        "kalshi",
        "--markets",
        &names,
        "--ws",
        &twin.ws_url,
        "--rest",
        &twin.rest_url,
        "--key-id",
        KEY_ID,
        "--private-key",
        &text(&key),
        "--ab",
        "--out",
        &text(&out),
        "--for",
        "3",
        "--verify",
        "--json",
    ];
    let (stdout, stderr) = texts(&oraculo(&args));
    let said: serde_json::Value =
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout} {stderr}"));
    assert_eq!(said["replay_equal"], true, "{said}");
    assert_eq!(said["books"]["live"], 4, "{said}");
    assert_eq!(said["books"]["total"], 4, "{said}");
    assert_eq!((&said["gaps"], &said["consumer"]["books_differing"]), (&0.into(), &0.into()), "{said}");
    assert!(said["messages"].as_u64().unwrap() > 400, "{said}");
    assert!(
        said["legs"][0]["confirmed"].as_u64().unwrap() + said["legs"][1]["confirmed"].as_u64().unwrap() > 100
    );
    assert!(said["latency_us"]["p99"].as_u64().unwrap() >= said["latency_us"]["p50"].as_u64().unwrap());
}

#[test]
fn bad_arguments_get_stable_codes() {
    let tmp = tempfile::tempdir().unwrap();
    let out = tmp.path().to_str().unwrap();
    let demo = "https://demo-api.kalshi.co/trade-api/v2";
    let (ws, rest) = ("ws://127.0.0.1:9/ws", "http://127.0.0.1:9");
    let local = ["--ws", ws, "--rest", rest];
    let cases: [(&[&str], &str); 10] = [
        (&["--venue", "nyse", "--symbols", "A"], "unsupported_venue"),
        (&["--venue", "kalshi"], "nothing_to_record"),
        (&["--venue", "kalshi", "--symbols", "A"], "wrong_flag"),
        (&["--venue", "kraken", "--symbols", "A", "--indices", "BRTI"], "wrong_flag"),
        (
            &["--venue", "kalshi", "--markets", "A", "--ws", "wss://x.kalshi.com/ws", "--rest", demo],
            "mixed_worlds",
        ),
        (&["--venue", "binance", "--symbols", "A", "--ws", "ftp://x"], "bad_endpoint"),
        (&["--venue", "binance", "--symbols", "A", "--ws", "ws://a", "--ws", "ws://b"], "too_many_endpoints"),
        (&["--venue", "kalshi", "--markets", "A"], "key_missing"),
        (
            &["--venue", "kalshi", "--markets", "A", "--key-id", "k", "--private-key", "/nowhere"],
            "key_unreadable",
        ),
        (&["--venue", "binance", "--symbols", "A", "--private-key", "/nowhere"], "wrong_flag"),
    ];
    for (args, code) in cases {
        let mut all = vec!["record", "--out", out];
        let own = args.contains(&"--ws") || !matches!(code, "key_missing" | "key_unreadable" | "wrong_flag");
        all.extend(args);
        if !own {
            all.extend(local);
        }
        let result = oraculo(&all);
        let (stdout, stderr) = texts(&result);
        let tls = !cfg!(feature = "tls") && stderr.contains("tls_missing");
        assert!(!result.status.success(), "{args:?}: {stdout}");
        assert!(stderr.contains(code) || tls, "{args:?}: want {code} in {stderr}");
    }
}
