//! The tape as Parquet: every table written, read again, and written twice with the same bytes; recorded Parquet read as lines.
#![cfg(feature = "tables")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test target: it fails by panicking and skips loudly"
)]

use std::fs::File;
use std::path::{Path, PathBuf};

use backtests::tape::{read_l2_rows, read_quote_rows, write_hive};
use polars::prelude::{DataFrame, ParquetReader, SerReader};
use schemas::{
    BookSide, BookState, CandleRow, GapReason, IndexPrice, IndexRow, Instrument, InstrumentKind,
    InstrumentNo, LifecycleRow, Phase, Ppm, TapeBody, TapeRow, Times, Timestamp, TopRow, TradeRow, Venue,
};

/// 2026-07-01T23:59:59Z.
const LATE: i64 = 1_782_950_399;

fn bodies() -> Vec<TapeBody> {
    let from = Timestamp::from_secs(LATE);
    vec![
        TapeBody::Instrument(Box::new(Instrument {
            venue: Venue::Kalshi,
            native: "KXABC".to_owned(),
            market: "KXABC".to_owned(),
            kind: InstrumentKind::Binary,
            price_decimals: 6,
            qty_decimals: 2,
        })),
        TapeBody::Clear,
        TapeBody::Level { side: BookSide::Bid, price: 410_000, qty: 12_050, snapshot: true },
        TapeBody::State(BookState::Live),
        TapeBody::Level { side: BookSide::Ask, price: 420_000, qty: 0, snapshot: false },
        TapeBody::Trade(TradeRow { id: [0xab; 16], price: 410_000, qty: 50, taker: None, block: true }),
        TapeBody::Quote { bid: Some(TopRow { price: 1, qty: None }), ask: None },
        TapeBody::Index(IndexRow {
            value: IndexPrice(63_304_200_301_195_075_000_000),
            window_s: 60,
            window_end: Some(from),
            carried_forward: false,
            settling: true,
        }),
        TapeBody::Candle(Box::new(CandleRow {
            start: from,
            interval_s: 60,
            open: None,
            high: None,
            low: None,
            close: Some(7),
            volume: 0,
            closed: true,
        })),
        TapeBody::TickSize { old: None, new: 1_000 },
        TapeBody::Lifecycle(Box::new(LifecycleRow {
            market: "KXABC".to_owned(),
            phase: Phase::Determined,
            said: "determined".to_owned(),
            payout: Some(Ppm(500_000)),
            closes_at: Some(from),
            detail: "{}".to_owned(),
        })),
        TapeBody::State(BookState::Gap { reason: GapReason::SequenceSkipped, from, to: None }),
        TapeBody::Clear,
    ]
}

/// One row of every kind, two seconds apart, so that midnight falls between them.
fn tape() -> Vec<TapeRow> {
    bodies()
        .into_iter()
        .enumerate()
        .map(|(n, body)| TapeRow {
            raw_seq: n as u64 + 1,
            venue_seq: 0,
            instrument: InstrumentNo(0),
            times: Times {
                venue_at: None,
                publish_at: None,
                recv_at: Timestamp::from_secs(LATE + 2 * (n as i64 / 6)),
            },
            body,
        })
        .collect()
}

fn read(dir: &Path, table: &str, day: &str) -> DataFrame {
    let path = dir.join(format!("venue=kalshi/type={table}/date={day}/part-0000.parquet"));
    ParquetReader::new(File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .finish()
        .unwrap()
}

#[test]
fn every_kind_of_row_has_its_table_and_day() {
    let dir = tempfile::tempdir().unwrap();
    let summary = write_hive(Venue::Kalshi, tape(), dir.path()).unwrap();
    assert_eq!(summary.rows, 13);
    let rows: usize = summary.files.iter().map(|f| f.rows).sum();
    assert_eq!(rows, 13);
    let levels = read(dir.path(), "levels", "2026-07-01");
    let price: Vec<_> = levels.column("price").unwrap().i64().unwrap().iter().collect();
    assert_eq!(price, [None, Some(410_000), Some(420_000)]);
    let live: Vec<_> = levels.column("live").unwrap().bool().unwrap().iter().collect();
    assert_eq!(live, [Some(false), Some(false), Some(true)]);
    let index = read(dir.path(), "index", "2026-07-02");
    assert_eq!(index.column("value").unwrap().str().unwrap().get(0), Some("63304.200301195075"));
    let trades = read(dir.path(), "trades", "2026-07-01");
    assert_eq!(trades.column("id").unwrap().str().unwrap().get(0), Some("ab".repeat(16).as_str()));
    assert_eq!(trades.column("taker").unwrap().str().unwrap().get(0), None);
    let states = read(dir.path(), "states", "2026-07-02");
    assert_eq!(states.column("reason").unwrap().str().unwrap().get(0), Some("SequenceSkipped"));
    let after = read(dir.path(), "levels", "2026-07-02").column("live").unwrap().bool().unwrap().get(0);
    assert_eq!(after, Some(false), "after a gap nothing is live");
}

#[test]
fn equal_tapes_give_equal_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = write_hive(Venue::Kalshi, tape(), one.path()).unwrap();
    let second = write_hive(Venue::Kalshi, tape(), two.path()).unwrap();
    assert_eq!(first, second);
    let mut other = tape();
    other[2].raw_seq += 1;
    let three = tempfile::tempdir().unwrap();
    assert_ne!(first.digest, write_hive(Venue::Kalshi, other, three.path()).unwrap().digest);
}

fn recorded(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if !path.exists() {
        eprintln!("SKIPPED: no {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn recorded_books_become_one_line_each() {
    let Some(path) = recorded("polymarket/resolvedkit-0.1.0__btc-15m_L2-books.parquet") else { return };
    let lines = read_l2_rows(&path).unwrap();
    assert_eq!(lines.rows(), 38_333);
    let mut count = 0;
    for line in lines {
        let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(matches!(value["side"].as_str(), Some("UP" | "DOWN")), "{value}");
        assert!(value["ts"].as_i64().unwrap() > 1_790_000_000_000, "{value}");
        assert!(
            value["bids"].as_array().unwrap().iter().all(|l| l[0].is_string() && l[1].is_string()),
            "{value}"
        );
        count += 1;
    }
    assert_eq!(count, 38_333);
}

#[test]
fn recorded_quotes_become_one_line_each() {
    let name = "polymarket-us/DineshKumar8399_polymarket-orderbook-dataset__quotes_dt=2026-07-10.parquet";
    let Some(path) = recorded(name) else { return };
    let lines = read_quote_rows(&path).unwrap();
    let rows = lines.rows();
    assert!(rows > 100_000);
    let (mut seen, mut two_sided) = (0, 0);
    for line in lines {
        let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let ts = value["ts"].as_i64().unwrap();
        assert!((1_783_600_000_000..1_783_800_000_000).contains(&ts), "{value}");
        seen += 1;
        two_sided += usize::from(value["bid"].is_string() && value["ask"].is_string());
    }
    assert_eq!(seen, rows);
    assert!(two_sided > rows / 10);
}

#[test]
fn what_is_no_parquet_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    std::fs::write(&path, b"not parquet").unwrap();
    let error = read_l2_rows(&path).err().unwrap();
    assert_eq!(error.code(), "table_read_failed");
    assert!(error.to_string().contains("x.parquet"));
}
