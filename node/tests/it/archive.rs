//! `oraculo archive` through the real binary: the recordings' acceptance numbers, replay equals import, bad input.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{oraculo, texts};

/// Recorded files below the shared folder; `None`, said loudly, where they are absent.
fn recorded(names: &[&str]) -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let paths: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
    if let Some(absent) = paths.iter().find(|path| !path.is_file()) {
        eprintln!("SKIPPED: {} is absent", absent.display());
        return None;
    }
    Some(paths.iter().map(|path| path.display().to_string()).collect())
}

/// Runs the binary and reads the one JSON object it prints last.
fn json(args: &[&str]) -> Value {
    let out = oraculo(args);
    let (stdout, stderr) = texts(&out);
    assert!(out.status.success(), "{args:?}: {stderr}");
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap_or_else(|e| panic!("{args:?}: {e}: {stdout}"))
}

/// Imports, and checks what holds for every import: the archive verifies, and deriving the tape from it twice gives
/// equal bytes and the import's digest.
fn import(files: &[String], venue: &str) -> Value {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).display().to_string();
    let (dir, one, two) = (path("archive"), path("one.rows"), path("two.rows"));
    let mut args = vec!["archive", "import", "--venue", venue, "--out", &dir, "--json"];
    args.extend(files.iter().map(String::as_str));
    let imported = json(&args);
    let verified = json(&["archive", "verify", &dir, "--json"]);
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(verified["frames"], imported["records"]);
    assert_eq!(verified["chain"], imported["chain"]);
    let derived = json(&["archive", "export", &dir, "--to", &one, "--json"]);
    json(&["archive", "export", &dir, "--to", &two, "--json"]);
    assert_eq!(derived["digest"], imported["digest"], "replay differs from import");
    assert_eq!(derived["rows"], imported["events"]);
    let bytes = fs::read(&one).unwrap();
    assert_eq!(bytes, fs::read(&two).unwrap());
    assert_eq!(hex::encode(&bytes[bytes.len() - 32..]), derived["rows_digest"].as_str().unwrap());
    let coverage = json(&["archive", "coverage", &dir, "--json"]);
    for day in coverage["days"].as_array().unwrap() {
        let number = |name: &str| day[name].as_i64().unwrap();
        let lost: i64 = day["gap_ns"].as_object().unwrap().values().map(|ns| ns.as_i64().unwrap()).sum();
        let all = number("live_ns") + number("stale_ns") + number("resyncing_ns") + lost;
        assert_eq!(all, number("to_ns") - number("from_ns"), "{day}");
    }
    imported
}

/// `want` names what must be equal, by path.
fn check(imported: &Value, want: &[(&str, u64)]) {
    for (path, want) in want {
        assert_eq!(imported.pointer(path).and_then(Value::as_u64), Some(*want), "{path} in {imported}");
    }
    for clean in
        ["/gaps", "/checksums/bad", "/negative_levels", "/crossed", "/quarantined", "/unreadable_lines"]
    {
        assert_eq!(imported.pointer(clean).and_then(Value::as_u64), Some(0), "{clean} in {imported}");
    }
}

#[test]
fn the_kalshi_session() {
    let session = "kalshi/jfreun123_kalshi-market-maker__ws-session_2026-07-01_first3900lines.jsonl";
    let Some(files) = recorded(&[session]) else { return };
    let imported = import(&files, "kalshi");
    check(&imported, &[("/frames", 1_950), ("/markets", 5), ("/snapshots", 5), ("/deltas", 1_939)]);
}

#[test]
fn recorded_rest_bodies_are_kept_even_if_nobody_asks() {
    let rest = "kalshi/jfreun123_kalshi-market-maker__rest-orderbooks_2026-07-01.jsonl";
    let Some(files) = recorded(&[rest]) else { return };
    check(&import(&files, "kalshi"), &[("/frames", 5)]);
}

#[test]
fn the_kraken_capture() {
    let names = ["48", "49", "50"].map(|n| format!("crypto-ws/cryptofeed_sample_data__KRAKEN.ws.{n}.0"));
    let Some(files) = recorded(&names.each_ref().map(String::as_str)) else { return };
    check(&import(&files, "kraken"), &[("/checksums/ok", 4_269), ("/markets", 10), ("/frames", 4_430)]);
}

#[test]
fn the_binance_captures() {
    let spot = ["http.0.0", "ws.1.0"].map(|n| format!("crypto-ws/cryptofeed_sample_data__BINANCE.{n}"));
    let Some(files) = recorded(&spot.each_ref().map(String::as_str)) else { return };
    check(&import(&files, "binance"), &[("/stale_dropped", 5), ("/markets", 4), ("/frames", 269)]);
    let futures =
        ["ws.1.0", "http.0.0"].map(|n| format!("crypto-ws/cryptofeed_sample_data__BINANCE_FUTURES.{n}"));
    let Some(files) = recorded(&futures.each_ref().map(String::as_str)) else { return };
    let asked = import(&files, "binance-futures");
    check(&asked, &[("/stale_dropped", 15), ("/markets", 4), ("/frames", 1_539)]);
    assert_eq!(asked.get("recognised"), None);
    let mut found = import(&files, "binance");
    assert_eq!(found["recognised"], "binance-futures");
    assert_eq!(found["digest"], asked["digest"]);
    check(&found.take(), &[("/stale_dropped", 15)]);
}

#[test]
fn the_coinbase_capture() {
    let names = ["ws.28.0", "0"].map(|n| format!("crypto-ws/cryptofeed_sample_data__COINBASE.{n}"));
    let Some(files) = recorded(&names.each_ref().map(String::as_str)) else { return };
    let imported = import(&files, "coinbase");
    check(&imported, &[("/frames", 9_947), ("/markets", 10), ("/tops/bad", 0)]);
    assert!(imported["tops"]["ok"].as_u64().unwrap() > 50, "{imported}");
}

#[test]
fn the_polymarket_files() {
    let prices = "polymarket/Ligengxin96_polymarket-data-samples__BTCUSD-prices-2026-06-08.csv.gz";
    let markets = "polymarket/Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz";
    if let Some(files) = recorded(&[prices, markets]) {
        check(&import(&files, "polymarket"), &[("/frames", 84_558 + 292)]);
    }
    let frames = ["book_snapshot", "market_book_msg", "market_price_change_msg", "market_last_trade_msg"]
        .map(|n| format!("polymarket/nautilus_test_data/nautilus__ws_{n}.json"));
    if let Some(files) = recorded(&frames.each_ref().map(String::as_str)) {
        assert_eq!(import(&files, "polymarket")["frames"], 4);
    }
}

#[cfg(feature = "backtests")]
#[test]
fn recorded_tables() {
    if let Some(files) = recorded(&["polymarket/resolvedkit-0.1.0__btc-15m_L2-books.parquet"]) {
        let imported = import(&files, "polymarket");
        assert_eq!((&imported["frames"], &imported["markets"]), (&Value::from(38_333), &Value::from(36)));
    }
    let quotes = "polymarket-us/DineshKumar8399_polymarket-orderbook-dataset__quotes_dt=2026-07-10.parquet";
    if let Some(files) = recorded(&[quotes]) {
        assert!(import(&files, "polymarket-us")["frames"].as_u64().unwrap() > 100_000);
    }
}

#[cfg(not(feature = "backtests"))]
#[test]
fn tables_say_which_build_reads_them() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("x.parquet");
    fs::write(&file, b"PAR1....PAR1").unwrap();
    let out = tmp.path().join("out");
    let args = [
        "archive",
        "import",
        file.to_str().unwrap(),
        "--venue",
        "polymarket",
        "--out",
        out.to_str().unwrap(),
    ];
    let (_, stderr) = texts(&oraculo(&args));
    assert!(stderr.contains("`backtests`") && stderr.contains("needs_backtests"), "{stderr}");
}

/// A small Kalshi session with a line that cannot be read, blank lines, CR LF and no last newline.
const SMALL: &str = "{\"type\":\"subscribed\",\"id\":2,\"msg\":{\"channel\":\"orderbook_delta\",\"sid\":1}}\r\n\r\n\
    {\"type\":\"orderbook_snapshot\",\"sid\":1,\"seq\":1,\"msg\":{\"market_ticker\":\"KXA\",\"market_id\":\"492cb255-91da-4c91-bc9e-f83d090cc6dd\",\"yes_dollars_fp\":[[\"0.4100\",\"120.50\"]]}}\r\n\
    oops\r\n\
    {\"type\":\"orderbook_delta\",\"sid\":1,\"seq\":2,\"msg\":{\"market_ticker\":\"KXA\",\"market_id\":\"492cb255-91da-4c91-bc9e-f83d090cc6dd\",\"price_dollars\":\"0.4100\",\"delta_fp\":\"-20.50\",\"side\":\"yes\",\"ts\":\"2026-07-01T02:31:45Z\",\"ts_ms\":1782873105000}}";

#[test]
fn an_unreadable_line_is_reported_and_the_rest_is_read() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("session.jsonl");
    fs::write(&file, SMALL).unwrap();
    let imported = import(&[file.display().to_string()], "kalshi");
    for (path, want) in
        [("/frames", 3), ("/unreadable_lines", 1), ("/markets", 1), ("/deltas", 1), ("/gaps", 0)]
    {
        assert_eq!(imported.pointer(path), Some(&Value::from(want)), "{path} in {imported}");
    }
    let dir = tmp.path().join("out").display().to_string();
    let out = oraculo(&["archive", "import", file.to_str().unwrap(), "--venue", "kalshi", "--out", &dir]);
    let (stdout, stderr) = texts(&out);
    assert!(stderr.contains("session.jsonl:4: unknown_line"), "{stderr}");
    assert!(stdout.contains("3 frames") && stdout.contains("digest"), "{stdout}");
    // And what the other commands say of it.
    let (stdout, _) = texts(&oraculo(&["archive", "ls", &dir]));
    assert!(stdout.contains("000001.oar") && stdout.contains("sealed"), "{stdout}");
    let (stdout, _) = texts(&oraculo(&["archive", "coverage", &dir]));
    assert!(stdout.contains("nothing can be said"), "{stdout}");
    let retained = json(&["archive", "retain", &dir, "--max-bytes", "0", "--json"]);
    assert_eq!(retained["deleted"].as_array().unwrap().len(), 0, "the newest segment stays");
}

#[test]
fn one_flipped_byte_fails_verification_and_is_named() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("session.jsonl");
    fs::write(&file, SMALL).unwrap();
    let dir = tmp.path().join("out").display().to_string();
    json(&["archive", "import", file.to_str().unwrap(), "--venue", "kalshi", "--out", &dir, "--json"]);
    let segment = tmp.path().join("out/kalshi/1970-01-01/000001.oar");
    let clean = fs::read(&segment).unwrap();
    for at in (0..clean.len()).step_by(clean.len() / 6) {
        let mut bytes = clean.clone();
        bytes[at] ^= 4;
        fs::write(&segment, &bytes).unwrap();
        let out = oraculo(&["archive", "verify", &dir]);
        let (stdout, _) = texts(&out);
        assert!(!out.status.success() && stdout.contains("DAMAGED"), "byte {at}: {stdout}");
        assert!(stdout.contains("000001.oar") && stdout.contains('['), "byte {at}: {stdout}");
        let rows = tmp.path().join("x.rows").display().to_string();
        let (_, stderr) = texts(&oraculo(&["archive", "export", &dir, "--to", &rows]));
        assert!(stderr.contains("000001.oar"), "byte {at}: {stderr}");
        assert!(!Path::new(&rows).exists(), "no half a tape is left behind");
    }
}

#[test]
fn bad_input_is_refused_with_a_code() {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).display().to_string();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("blank"), "\n\n \r\n").unwrap();
    fs::write(path("binary"), [0_u8, 159, 146, 150, 0, 1, 2]).unwrap();
    fs::write(path("words"), "these are\nonly words\n").unwrap();
    fs::write(path("broken.gz"), [0x1f, 0x8b, 8, 0, 1]).unwrap();
    fs::write(path("kraken"), "1618678132.5: {\"event\":\"heartbeat\"}\n").unwrap();
    fs::write(path("session"), SMALL).unwrap();
    fs::create_dir(path("folder")).unwrap();
    fs::create_dir(path("full")).unwrap();
    fs::write(path("full/file"), "x").unwrap();
    let out = path("out");
    let import = |file: &str, venue: &str, out: &str| {
        texts(&oraculo(&["archive", "import", &path(file), "--venue", venue, "--out", out])).1
    };
    for (file, venue, want) in [
        ("empty", "kalshi", "[nothing_read]"),
        ("blank", "kalshi", "[nothing_read]"),
        ("words", "kalshi", "[nothing_read]"),
        ("binary", "kalshi", "[unknown_format]"),
        ("broken.gz", "kalshi", "[bad_pack]"),
        ("folder", "kalshi", "[is_directory]"),
        ("nowhere", "kalshi", "[file_unreadable]"),
        ("kraken", "kalshi", "[wrong_venue]"),
        ("session", "kraken", "--venue kalshi"),
        ("session", "nasdaq", "is no venue"),
    ] {
        let stderr = import(file, venue, &out);
        assert!(stderr.contains(want), "{file} as {venue}: want {want} in {stderr}");
        assert!(!Path::new(&out).exists(), "{file} as {venue} left something behind");
    }
    assert!(import("session", "kalshi", &path("full")).contains("[out_not_empty]"));
    assert!(import("session", "kalshi", &path("empty")).contains("[out_unusable]"));
    for (args, want) in [
        (vec!["ls"], "[no_archive]"),
        (vec!["verify"], "[no_archive]"),
        (vec!["coverage"], "[no_archive]"),
        (vec!["retain"], "[no_limit]"),
        (vec!["retain", "--max-age", "old"], "is no age"),
        (vec!["retain", "--max-bytes", "5 bytes"], "is no size"),
    ] {
        let folder = path("folder");
        let mut all = vec!["archive"];
        all.extend(args);
        all.push(&folder);
        let (_, stderr) = texts(&oraculo(&all));
        assert!(stderr.contains(want), "{all:?}: {stderr}");
    }
    for command in ["", "ls", "verify", "import", "export", "retain", "coverage"] {
        let args: Vec<&str> = ["archive", command, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        assert!(texts(&oraculo(&args)).0.contains("Example"), "{command}");
    }
}
