//! `oraculo features` through the real binary: datasets of every source, the same bytes twice, bad input with its code.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const HEADER: &str = "market,start_s,close_s,asof_s,horizon_s,strike,reference,outcome";

fn oraculo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oraculo")).args(args).output().unwrap()
}

/// Exports, and checks what holds for every dataset: the sidecar is what was printed, and twice gives the same bytes.
fn export(dir: &Path, file: &str, args: &[&str]) -> (Value, PathBuf) {
    let out = dir.join(file);
    let whole = |out: &Path| {
        let mut whole = vec!["features", "export", "--json", "--out", out.to_str().unwrap()];
        whole.extend(args);
        let done = oraculo(&whole);
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice::<Value>(&done.stdout).unwrap()
    };
    let about = whole(&out);
    let sidecar: Value = serde_json::from_slice(&fs::read(out.with_extension("json")).unwrap()).unwrap();
    assert_eq!(sidecar, about);
    let digest = blake3::hash(&fs::read(&out).unwrap()).to_string();
    assert_eq!(about["blake3"].as_str(), Some(digest.as_str()));
    fs::create_dir_all(dir.join("again")).unwrap();
    assert_eq!(whole(&dir.join("again").join(file)), about, "another run gives another dataset");
    (about, out)
}

/// The lines of a CSV dataset, each as numbers after the market's name.
fn rows(file: &Path, features: &Value) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = features.as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    assert_eq!(lines.next().unwrap(), format!("{HEADER},{}", names.join(",")));
    lines.map(|line| line.split(',').skip(1).map(|cell| cell.parse().unwrap()).collect()).collect()
}

#[test]
fn a_simulated_day_of_either_set() {
    let dir = tempfile::tempdir().unwrap();
    for (set, least) in [("updown-1", 10), ("market-1", 80)] {
        let (about, file) = export(dir.path(), &format!("{set}.csv"), &["--sim", "5", "--set", set]);
        let rows = rows(&file, &about["features"]);
        assert_eq!(about["rows"].as_u64(), Some(rows.len() as u64));
        assert!(rows.len() > 700, "{set}: {} rows, {}", rows.len(), about["skipped"]);
        assert!(rows[0].len() - 7 >= least, "{set}: {} features", rows[0].len() - 7);
        for row in &rows {
            let [start, close, asof, horizon, strike, reference, outcome] = row[..7] else { unreachable!() };
            assert_eq!((close - start, asof - start), (300.0, horizon));
            assert!(
                strike > 0.0 && (0.001..=0.999).contains(&reference) && (outcome == 0.0 || outcome == 1.0)
            );
            assert!(row[7..].iter().all(|x| x.is_finite()));
        }
        // The reference is far better than a coin, or rows and outcomes do not belong together.
        let brier = about["reference_brier"].as_f64().unwrap();
        assert!(brier < 0.22, "{set}: the reference scores {brier}");
        let split = &about["split"];
        let gap =
            split["validate_starts_from_s"].as_i64().unwrap() - split["train_closes_by_s"].as_i64().unwrap();
        assert_eq!(gap, 3_600);
    }
}

#[test]
fn arrays_hold_what_the_text_holds() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--sim",
        "6",
        "--set",
        "market-1",
        "--features",
        "z_rv_900s,mkt_mid,day_sin",
        "--horizons",
        "240,60",
    ];
    let (about, csv) = export(dir.path(), "a.csv", &args);
    let (_, npz) = export(dir.path(), "b.npz", &args);
    let rows = rows(&csv, &about["features"]);
    let mut arrays = npyz::npz::NpzArchive::open(npz).unwrap();
    let n = rows.len() as u64;
    let x = arrays.by_name("X").unwrap().unwrap();
    assert_eq!(x.shape(), [n, 3]);
    let x: Vec<f32> = x.into_vec().unwrap();
    let want: Vec<f32> = rows.iter().flat_map(|r| r[7..].iter().map(|v| *v as f32)).collect();
    assert_eq!(x, want);
    let y: Vec<u8> = arrays.by_name("y").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(y, rows.iter().map(|r| r[6] as u8).collect::<Vec<_>>());
    let meta = arrays.by_name("meta").unwrap().unwrap();
    assert_eq!(meta.shape(), [n, 4]);
    let meta: Vec<i64> = meta.into_vec().unwrap();
    assert_eq!(meta, rows.iter().flat_map(|r| r[..4].iter().map(|v| *v as i64)).collect::<Vec<_>>());
    let reference: Vec<f64> = arrays.by_name("reference").unwrap().unwrap().into_vec().unwrap();
    assert_eq!(reference, rows.iter().map(|r| r[5]).collect::<Vec<_>>());
    // What a model is told the market thinks is what the dataset says the market thought.
    let mids: Vec<f64> = arrays.by_name("market_mid").unwrap().unwrap().into_vec().unwrap();
    assert!(mids.iter().zip(x.chunks(3)).all(|(mid, row)| (mid - f64::from(row[1])).abs() < 1e-6));
}

#[test]
fn candles_are_an_index_and_holes_cut_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x_1m.csv");
    let minute = |m: u32| {
        format!("2022-01-01 {:02}:{:02}:00,{}\n", m / 60, m % 60, 100.0 + f64::from(m * 7 % 13) / 10.0)
    };
    let candles = |minutes: &dyn Fn(u32) -> bool| {
        let lines: String = (0..600).filter(|m| minutes(*m)).map(minute).collect();
        fs::write(&file, format!("timestamp,close\n{lines}")).unwrap();
    };
    candles(&|_| true);
    let folder = dir.path().to_str().unwrap().to_owned();
    let (about, csv) =
        export(dir.path(), "c.csv", &["--candles", &folder, "--features", "log_moneyness,ret_60s,tau_s"]);
    let rows = rows(&csv, &about["features"]);
    // The first whole market starts at 00:05; at 00:06 the history is a minute short of two.
    let first = &rows[0];
    assert_eq!((first[0] as i64 % 86_400, first[2] - first[0]), (300, 60.0), "{first:?}");
    // The candle of minute m ends at m + 1: the strike at 00:05 is the close of 00:04.
    let close = |m: u32| 100.0 + f64::from(m * 7 % 13) / 10.0;
    assert!((first[4] - close(4)).abs() < 1e-9);
    assert!((first[7] - (close(5) / close(4)).ln()).abs() < 1e-7);
    assert_eq!(first[6], f64::from(u8::from(close(9) >= close(4))));
    let whole = about["rows"].as_u64().unwrap();
    candles(&|m| m != 300);
    fs::remove_dir_all(dir.path().join("again")).unwrap();
    let (cut, _) =
        export(dir.path(), "d.csv", &["--candles", &folder, "--features", "log_moneyness,ret_60s,tau_s"]);
    let cut = cut["rows"].as_u64().unwrap();
    assert!(cut < whole, "a hole cuts: {cut} of {whole}");
}

#[test]
fn the_recorded_day() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/polymarket");
    if !data.is_dir() {
        eprintln!("SKIPPED the_recorded_day: {} is absent", data.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (about, _) = export(dir.path(), "d.npz", &["--data", data.to_str().unwrap()]);
    // The rows of the network's own questions on that day: 849 of them had every feature.
    assert_eq!(about["rows"].as_u64(), Some(849));
    assert!((about["reference_brier"].as_f64().unwrap() - 0.1542).abs() < 1e-3);
    let (about, _) = export(dir.path(), "m.npz", &["--data", data.to_str().unwrap(), "--set", "market-1"]);
    assert!(about["rows"].as_u64().unwrap() > 600, "{}", about["skipped"]);
}

#[test]
fn an_archive_of_the_recorded_day_gives_the_same_rows() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/polymarket");
    if !data.is_dir() {
        eprintln!("SKIPPED an_archive_of_the_recorded_day_gives_the_same_rows: {} is absent", data.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("archive").to_str().unwrap().to_owned();
    let file = |name: &str| {
        data.join(format!("Ligengxin96_polymarket-data-samples__{name}")).to_str().unwrap().to_owned()
    };
    let (prices, markets) =
        (file("BTCUSD-prices-2026-06-08.csv.gz"), file("BTC-5m-markets-2026-06-08.jsonl.gz"));
    let imported = oraculo(&[
        "archive",
        "import",
        &prices,
        &markets,
        "--venue",
        "polymarket",
        "--out",
        &archive,
        "--json",
    ]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    for set in ["updown-1", "market-1"] {
        let columns = "log_moneyness,tau_s,ret_60s,ret_900s,elapsed_s";
        let args = ["--set", set, "--features", columns];
        let name = |from: &str| format!("{set}-{from}.csv");
        let (_, day) =
            export(dir.path(), &name("day"), &[&["--data", data.to_str().unwrap()][..], &args].concat());
        let (_, tape) =
            export(dir.path(), &name("tape"), &[&["--archive", archive.as_str()][..], &args].concat());
        assert!(
            fs::read(day).unwrap() == fs::read(tape).unwrap(),
            "{set}: the archive gives other rows than the day"
        );
    }
}

#[test]
fn bad_input_is_refused_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("there.csv"), "").unwrap();
    fs::write(path("no_1m.csv"), "time,price\n").unwrap();
    fs::write(path("words.csv"), "timestamp,close\nsoon,1\n").unwrap();
    fs::write(path("hours.csv"), "timestamp,close\n2022-01-01 00:00:00,1\n2022-01-01 01:00:00,1\n").unwrap();
    let (out, there, nowhere) = (path("o.csv"), path("there.csv"), path("nowhere"));
    let (no, words, hours) = (path("no_1m.csv"), path("words.csv"), path("hours.csv"));
    let cases: [(&[&str], &str); 10] = [
        (&["--sim", "1", "--out", "o.txt"], "out_extension"),
        (&["--sim", "1", "--out", &there], "out_exists"),
        (&["--sim", "1", "--out", &out, "--set", "market-0"], "unknown_feature_set"),
        (&["--sim", "1", "--out", &out, "--features", "tau_s,moon"], "unknown_feature"),
        (&["--sim", "1", "--out", &out, "--set", "market-1", "--features", "book_spread"], "no_rows"),
        (&["--candles", &no, "--out", &out], "candles_header"),
        (&["--candles", &words, "--out", &out], "candles_row"),
        (&["--candles", &hours, "--out", &out], "candles_interval"),
        (&["--candles", &nowhere, "--out", &out], "file_unreadable"),
        (&["--candles", &hours, "--every", "90", "--out", &out], "bad_every"),
    ];
    for (args, code) in cases {
        let done = oraculo(&[&["features", "export"], args].concat());
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{args:?}");
        assert!(told.contains(&format!("[{code}]")), "{args:?}: {told}");
    }
    assert!(!Path::new(&out).exists(), "nothing was written");
}
