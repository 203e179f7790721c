//! Polymarket's price streams, recorded beside books or instead of them from the twin's three sockets: every value is a
//! row, no book suffers, and the archive gives the same rows again. Never a live venue.

use std::collections::BTreeMap;
use std::path::Path;

use ingest::book::Book;
use ingest::edge::Endpoints;
use ingest::venue::VenueMachine as _;
use ingest::venue::polymarket::rtds2::{Credentials, Key};
use node::recorder::Plan;
use schemas::{BookSide, TapeBody, TapeRow, Venue};
use serde_json::Value;
use sim::edge::polymarket::{PolymarketHandle, PolymarketTwin, PolymarketTwinConfig, RtdsConfig, VenueTime};

use crate::record::{Recording, check, plan};
use crate::support::{oraculo, texts};

const CHAINLINK: &str = "crypto_prices_chainlink:btc/usd";
const TWAP: &str = "price.crypto.twap:btcusd:60";

fn twin(rate: Option<f64>) -> PolymarketHandle {
    // A busy machine squeezes the time between two operations on their way; that is not what is tested here.
    let min_op_gap = std::time::Duration::from_millis(1);
    let rtds = RtdsConfig { rate, min_op_gap, ..RtdsConfig::default() };
    let config =
        PolymarketTwinConfig { time: VenueTime::Wall, rate, rtds, ..PolymarketTwinConfig::default() };
    PolymarketTwin::spawn(config).unwrap()
}

fn endpoints(twin: &PolymarketHandle) -> Endpoints {
    let sockets = vec![twin.market_ws_url.clone(), twin.rtds_ws_url.clone(), twin.rtds2_ws_url.clone()];
    Endpoints { sockets, hosts: vec![twin.rest_url.clone(); 3] }
}

fn credentials() -> Credentials {
    let RtdsConfig { api_key, secret, passphrase, .. } = RtdsConfig::default();
    Credentials { api_key, secret, passphrase }
}

fn with_streams(names: Vec<String>, ab: bool) -> Plan {
    let key =
        |channel: &str, window_s| Key { channel: channel.to_owned(), symbol: "btcusd".to_owned(), window_s };
    Plan {
        rtds: vec![("crypto_prices_chainlink".to_owned(), "btc/usd".to_owned())],
        rtds2: vec![key("price.crypto.twap", Some(60)), key("price.crypto", None)],
        ..plan(Venue::Polymarket, names, ab)
    }
}

/// Values per stream in the exported tape.
fn values(dir: &Path) -> BTreeMap<String, u64> {
    let file = dir.join("tape.rows");
    let output =
        oraculo(&["archive", "export", dir.to_str().unwrap(), "--to", file.to_str().unwrap(), "--json"]);
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stdout} {stderr}");
    let (bytes, mut at) = (std::fs::read(&file).unwrap(), 0);
    let (mut names, mut values) = (BTreeMap::new(), BTreeMap::new());
    loop {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if len == 0 {
            return values;
        }
        let row: TapeRow = minicbor::decode(&bytes[at + 4..at + 4 + len]).unwrap();
        match row.body {
            TapeBody::Instrument(instrument) => {
                names.insert(row.instrument, instrument.native);
            }
            TapeBody::Index(_) => *values.entry(names[&row.instrument].clone()).or_default() += 1,
            _ => {}
        }
        at += 4 + len;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn price_streams_are_recorded_beside_books_and_replayed() {
    for ab in [false, true] {
        let (twin, tmp) = (twin(None), tempfile::tempdir().unwrap());
        let plan = with_streams(twin.assets(), ab);
        let subject = plan.live_machine(credentials()).unwrap();
        let recording = Recording::start_with(tmp.path(), &plan, subject, endpoints(&twin), None);
        recording.reach(9).await;
        recording.settle().await;
        for _ in 0..3 {
            twin.step(100).await;
            twin.step_rtds(60).await;
            recording.settle().await;
        }
        twin.cut_all();
        recording.settle().await;
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        recording.settle().await;
        twin.step_rtds(60).await;
        twin.step(100).await;
        twin.quiesce().await;
        recording.settle().await;
        let mut outcome = recording.end().await;
        let shelf = outcome.subject.shelf();
        let conns = outcome.meter.connections();
        assert_eq!(shelf.len(), twin.assets().len() + 3, "books and three streams: {conns:?}");
        assert_eq!(shelf.live(), shelf.len());
        assert_eq!(shelf.counts.disconnects, if ab { 4 } else { 3 }, "{:?}", shelf.counts);
        for asset in twin.assets() {
            let (truth, mut book) = (twin.truth(&asset).unwrap(), Book::default());
            for (side, levels) in [(BookSide::Bid, &truth.bids), (BookSide::Ask, &truth.asks)] {
                for (price, size) in levels {
                    book.set(side, *price, *size);
                }
            }
            assert_eq!(shelf.by_name(&asset).unwrap().book, book, "{asset} ab {ab}");
        }
        check(tmp.path(), &plan, &mut outcome);
        let values = values(tmp.path());
        assert_eq!(values.keys().collect::<Vec<_>>(), [CHAINLINK, TWAP, "price.crypto:btcusd"]);
        // The twin steps its coins in turn.
        let least = 240 / RtdsConfig::default().coins.len() as u64;
        assert!(values.values().all(|count| *count >= least), "{values:?}");
        let kept = format!("plan-{}.json", schemas::Digest::of(&plan.to_json()));
        let kept = std::fs::read_to_string(tmp.path().join("polymarket").join(kept)).unwrap();
        assert!(!kept.contains(&credentials().secret) && !kept.contains(&credentials().api_key), "{kept}");
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_command_records_streams_without_books() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let twin = {
        let _guard = runtime.enter();
        twin(Some(50.0))
    };
    let tmp = tempfile::tempdir().unwrap();
    let (out, file) = (tmp.path().join("archive"), tmp.path().join("keys.env"));
    let c = credentials();
    let lines = format!(
        "# keys\nexport POLYMARKET_API_KEY={}\nPOLYMARKET_API_SECRET=\"{}\"\nPOLYMARKET_API_PASSPHRASE = {}\n",
        c.api_key, c.secret, c.passphrase
    );
    std::fs::write(&file, lines).unwrap();
    let (out_text, file_text) = (text(&out), text(&file));
    let mut args = vec!["record", "--venue", "polymarket", "--rtds", CHAINLINK, "--rtds2", TWAP];
    args.extend(["--env-file", &file_text, "--out", &out_text, "--for", "3", "--verify", "--json"]);
    let urls = endpoints(&twin);
    urls.sockets.iter().for_each(|url| args.extend(["--ws", url]));
    urls.hosts.iter().for_each(|url| args.extend(["--rest", url]));
    let (stdout, stderr) = texts(&oraculo(&args));
    let said: Value = serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout} {stderr}"));
    assert_eq!(said["replay_equal"], true, "{said}");
    assert_eq!(said["books"]["total"], 2, "{said}");
    assert_eq!(said["counts"]["quarantined"], 0, "{said}");
    let values = values(&out);
    assert_eq!(values.len(), 2, "{values:?}");
    assert!(values.values().all(|count| *count > 50), "{values:?}");
}

#[test]
fn streams_that_do_not_exist_are_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let out = text(tmp.path());
    let poly = ["--venue", "polymarket"];
    let cases: [(&[&str], &str); 8] = [
        (&["--rtds", "comments:btc"], "unknown_stream"),
        (&["--rtds", "crypto_prices"], "unknown_stream"),
        (&["--rtds2", "price.crypto.twap:btcusd"], "unknown_stream"),
        (&["--rtds2", "price.crypto:btcusd:60"], "unknown_stream"),
        (&["--rtds2", "price.crypto.twap:btcusd:0"], "unknown_stream"),
        (&["--rtds2", "price.crypto:btcusd"], "key_missing"),
        (&["--rtds2", "price.crypto:btcusd", "--env-file", "/nowhere"], "key_unreadable"),
        (&["--rtds", CHAINLINK, "--ab"], "wrong_flag"),
    ];
    let local = ["ws://127.0.0.1:9/a", "http://127.0.0.1:9"];
    let endpoints = [["--ws", local[0]], ["--ws", local[0]], ["--ws", local[0]]].concat();
    let hosts = [["--rest", local[1]], ["--rest", local[1]], ["--rest", local[1]]].concat();
    for (own, code) in cases {
        let args = [&["record", "--out", &out][..], &poly, own, &endpoints, &hosts].concat();
        let (stdout, stderr) = texts(&oraculo(&args));
        assert!(stderr.contains(code), "{args:?}: want {code} in {stdout} {stderr}");
    }
    let kraken = ["record", "--out", &out, "--venue", "kraken", "--symbols", "A", "--rtds", CHAINLINK];
    let (stdout, stderr) = texts(&oraculo(&kraken));
    assert!(stderr.contains("wrong_flag"), "{stdout} {stderr}");
    assert!(!tmp.path().join("polymarket").exists(), "nothing was begun");
}
