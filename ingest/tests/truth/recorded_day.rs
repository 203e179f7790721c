//! The recorded day 2026-06-08 as rows of a tape: 280 markets proved and equal to the venue's word, 12 unprovable.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;

use ingest::truth::settler::{SettlementState, SettlerConfig};
use schemas::{IndexRow, Machine as _, Phase, TapeBody, TapeRow, Times, Timestamp};
use serde_json::Value;

use crate::{POLY, Run, life, row};

/// Sixty days: from the recorded day to the first day of the average.
const TO_TWAP_S: i64 = 60 * 86_400;

pub(crate) fn gunzip(name: &str) -> Option<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/polymarket")).join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: recorded data is absent: {}", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

/// The day's rows in the order of their receive times, and what one Up token of each market paid.
fn day(shift_s: i64) -> Option<(Vec<TapeRow>, BTreeMap<String, u32>)> {
    let markets = gunzip("Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz")?;
    let ticks = gunzip("Ligengxin96_polymarket-data-samples__BTCUSD-prices-2026-06-08.csv.gz")?;
    let mut rows: Vec<TapeRow> = ticks.lines().skip(1).map(|line| tick(line, shift_s)).collect();
    let mut paid = BTreeMap::new();
    for line in markets.lines() {
        let m: Value = serde_json::from_str(line).unwrap();
        let id = m["condition_id"].as_str().unwrap();
        let (start, end) =
            (m["start_sec"].as_i64().unwrap() + shift_s, m["end_sec"].as_i64().unwrap() + shift_s);
        let up = if m["outcome_prices"][0] == "1" { 1_000_000 } else { 0 };
        let strike = m["strike_value"].as_str().map(|s| schemas::IndexPrice::from_atoms(s).unwrap());
        let slug = format!(r#""slug":"btc-updown-5m-{start}""#);
        rows.push(life(id, start - 60, Phase::Created, "active", None, &format!("{{{slug}}}")));
        if let Some(strike) = strike {
            let detail = format!(r#"{{{slug},"priceToBeat":{strike}}}"#);
            rows.push(life(id, start + 10, Phase::Active, "active", None, &detail));
        }
        rows.push(life(id, end + 30, Phase::Final, "resolved", Some(up), ""));
        paid.insert(id.to_owned(), up);
    }
    rows.sort_by_key(|row| row.times.recv_at);
    Some((rows, paid))
}

fn tick(line: &str, shift_s: i64) -> TapeRow {
    let [feed, _, full, server, recv] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
    let at = |ms: &str| Timestamp::from_millis(ms.parse::<i64>().unwrap() + shift_s * 1_000);
    let body = IndexRow {
        value: schemas::IndexPrice::from_atoms(full).unwrap(),
        window_s: 0,
        window_end: None,
        carried_forward: false,
        settling: false,
    };
    let times = Times { venue_at: Some(at(feed)), publish_at: Some(at(server)), recv_at: at(recv) };
    TapeRow { times, ..row(0, at(feed), TapeBody::Index(body)) }
}

fn settle(rows: &[TapeRow]) -> Run {
    let mut run = Run::new(SettlerConfig::default());
    for row in rows {
        run.row(POLY, row.clone());
    }
    let end = rows.iter().map(|row| row.times.recv_at).max().unwrap();
    run.clock(end.secs() + 600);
    run
}

/// Classes of records, with whether a settled payout is what the venue paid.
pub(crate) fn tally(run: &Run, paid: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let mut out = BTreeMap::new();
    for record in &run.said {
        let version = record.rule.unwrap().version;
        let class = match record.state {
            SettlementState::Settled { payout, .. } if paid[&record.market.native] == payout.0 => "right",
            SettlementState::Settled { .. } => "wrong",
            SettlementState::Unprovable { reason } => reason.code(),
            other => other.code(),
        };
        *out.entry(format!("v{version} {class}")).or_insert(0) += 1;
    }
    out
}

#[test]
fn every_market_ends_as_the_venue_says_or_is_unprovable() {
    let Some((rows, paid)) = day(0) else { return };
    let run = settle(&rows);
    let want = [("v1 right", 280), ("v1 no_closing_value", 8), ("v1 no_strike", 4)];
    assert_eq!(tally(&run, &paid), want.map(|(class, n)| (class.to_owned(), n)).into());
    assert_eq!(run.settler.counts().mismatches, 0);
    let again = settle(&rows);
    assert_eq!((again.settler.digest(), &again.said), (run.settler.digest(), &run.said));
}

/// The same day sixty days later falls under the second version: the same rows, other conditions of proof.
#[test]
fn the_same_day_under_the_average() {
    let Some((rows, paid)) = day(TO_TWAP_S) else { return };
    let run = settle(&rows);
    let mut tally = tally(&run, &paid);
    // The first market ends at midnight exactly. "Wrong" and mismatch are the same seven: there the average means
    // another outcome than the last value, by which the venue really settled that day.
    assert_eq!(tally.remove("v2 wrong"), tally.remove("v2 mismatch"));
    let want = [("v2 right", 191), ("v2 window_incomplete", 90), ("v2 no_strike", 4)];
    assert_eq!(tally, want.map(|(class, n)| (class.to_owned(), n)).into());
    assert_eq!(run.settler.counts().mismatches, 7);
}
