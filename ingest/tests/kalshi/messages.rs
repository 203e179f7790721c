//! Frames that are no books: best prices, trades, own fills, indices, lives and fees, and every field of them broken.

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::KalshiConfig;
use schemas::{BookSide, IndexPrice, InstrumentKind, Phase, TapeBody, Timestamp, TopRow};

use crate::support::{Bench, subscribed};

/// A trade frame whose id is made of `n`.
pub(crate) fn trade(sid: u32, seq: u64, n: u8) -> String {
    format!(
        r#"{{"type":"trade","sid":{sid},"seq":{seq},"msg":{{"trade_id":"d91bc706-ee49-470d-82d8-11418bda6f{n:02x}","market_ticker":"A","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","count_fp":"136.00","taker_side":"no","taker_outcome_side":"no","taker_book_side":"ask","is_block_trade":false,"ts":1669149841,"ts_ms":1669149841000}}}}"#
    )
}

pub(crate) const TICKER: &str = r#"{"type":"ticker","sid":11,"msg":{"market_id":"9b0f6b43-5b68-4f9f-9f02-9a2d1b8ac1a1","market_ticker":"A","price_dollars":"0.4800","yes_bid_dollars":"0.4500","yes_ask_dollars":"0.5300","volume_fp":"33896.00","open_interest_fp":"20422.00","dollar_volume":16948,"dollar_open_interest":10211,"yes_bid_size_fp":"300.00","yes_ask_size_fp":"0.00","last_trade_size_fp":"25.00","ts":1669149841,"ts_ms":1669149841000,"time":"2022-11-22T20:44:01Z"}}"#;

pub(crate) const INDEX: &str = r#"{"type":"cfbenchmarks_value","sid":1,"seq":1,"msg":{"index_id":"BRTI","received_at":1710000000140,"data":"{\"type\":\"value\",\"id\":\"BRTI\",\"time\":1710000000123,\"value\":\"68000.12\"}","avg_60s_data":{"value":"68000.12000000","window_size":3,"window_start_ts_ms":1709999940123,"window_end_ts_exclusive":1710000000123},"last_60s_windowed_average_15min":{"value":"68000.23000000","window_size":60,"window_start_ts_ms":1709999940000,"window_end_ts_exclusive":1710000000001}}}"#;

pub(crate) const INDEX_5HZ: &str = r#"{"type":"cfbenchmarks_value_5hz","sid":1,"seq":1,"msg":{"index_id":"BRTI","value_usd":"68000.12000000","source_ts_ms":1710000000323,"received_at":1710000000341,"data":"{\"type\":\"value\",\"id\":\"BRTI\",\"time\":1710000000323,\"value\":\"68000.12\"}"}}"#;

fn fill(n: u8, taker: bool, price: &str, count: &str, fee: &str) -> String {
    format!(
        r#"{{"type":"fill","sid":13,"msg":{{"trade_id":"d91bc706-ee49-470d-82d8-11418bda6f{n:02x}","order_id":"ee587a1c-8b87-4dcf-b721-9f6f790619fa","market_ticker":"KXS-E-A","is_taker":{taker},"side":"yes","yes_price_dollars":"{price}","count_fp":"{count}"{fee},"action":"buy","ts_ms":1671899397000,"outcome_side":"yes","book_side":"bid"}}}}"#
    )
}

fn capture() -> Bench {
    Bench::connected(KalshiConfig::capture())
}

#[test]
fn best_prices_become_quotes_and_no_size_means_no_order() {
    let mut bench = capture();
    bench.frame(TICKER);
    let row = bench.rows.last().unwrap();
    assert_eq!(row.times.venue_at, Some(Timestamp::from_millis(1_669_149_841_000)));
    let bid = Some(TopRow { price: 450_000, qty: Some(30_000) });
    assert_eq!(row.body, TapeBody::Quote { bid, ask: None });
}

#[test]
fn trades_are_rows_and_each_id_counts_once() {
    let mut bench = capture();
    bench.frame(&trade(11, 1, 0xed));
    bench.frame(&trade(11, 2, 0xed));
    bench.frame(&trade(11, 3, 0xee));
    assert_eq!((bench.counts().fills, bench.counts().duplicates), (2, 1));
    let TapeBody::Trade(row) = bench.rows.iter().rev().find(|row| row.venue_seq == 1).unwrap().body else {
        panic!("no trade")
    };
    assert_eq!((row.price, row.qty, row.taker, row.block), (360_000, 13_600, Some(BookSide::Ask), false));
    assert_eq!(row.id[..4], [0xd9, 0x1b, 0xc7, 0x06]);
    // Prices that do not make a dollar, sides that disagree.
    for (old, new) in [("0.6400", "0.6500"), (r#""taker_book_side":"ask""#, r#""taker_book_side":"bid""#)] {
        bench.frame(&trade(11, 4, 1).replace(old, new));
    }
    assert_eq!((bench.counts().quarantined, bench.counts().fills), (2, 2));
}

#[test]
fn fees_of_own_fills_are_checked_to_a_hundredth_of_a_cent() {
    let mut bench = capture();
    bench.frame(&subscribed(1, "fill", 13));
    bench.frame(&fill(1, true, "0.1700", "5.52", r#","fee_cost":"0.054600""#));
    bench.frame(&fill(2, true, "0.1600", "1.16", r#","fee_cost":"0.0110""#));
    bench.frame(&fill(2, true, "0.1600", "1.16", r#","fee_cost":"0.0110""#));
    assert_eq!((bench.counts().fills, bench.counts().fees_ok, bench.counts().fees_bad), (2, 2, 0));
    // Off by a hundredth of a cent, or by less than can be written in one.
    bench.frame(&fill(3, true, "0.1600", "1.16", r#","fee_cost":"0.0111""#));
    bench.frame(&fill(4, true, "0.1600", "1.16", r#","fee_cost":"0.010950""#));
    assert_eq!((bench.counts().fees_ok, bench.counts().fees_bad), (2, 2));
    // Makers pay a quarter or nothing; without a fee there is nothing to check.
    bench.frame(&fill(5, false, "0.1700", "5.52", r#","fee_cost":"0.0137""#));
    bench.frame(&fill(6, false, "0.1700", "5.52", r#","fee_cost":"0.0000""#));
    bench.frame(&fill(7, true, "0.1700", "5.52", ""));
    assert_eq!((bench.counts().fees_ok, bench.counts().fees_bad), (4, 2));
    // The event's own multiplier, then the series' again.
    let update = |seq: u64, multiplier: &str| {
        format!(
            r#"{{"type":"event_fee_update","sid":5,"seq":{seq},"msg":{{"event_ticker":"KXS-E","fee_type_override":null,"fee_multiplier_override":{multiplier}}}}}"#
        )
    };
    bench.frame(&update(1, "0.5"));
    bench.frame(&fill(8, true, "0.1700", "5.52", r#","fee_cost":"0.0273""#));
    bench.frame(&update(2, "null"));
    bench.frame(&fill(9, true, "0.1700", "5.52", r#","fee_cost":"0.0546""#));
    assert_eq!((bench.counts().fees_ok, bench.counts().fees_bad, bench.counts().fills), (6, 2, 9));
    assert_eq!(bench.counts().quarantined, 0);
}

#[test]
fn index_values_carry_three_clocks_and_the_settling_average() {
    let mut bench = capture();
    bench.frame(INDEX);
    let slot = bench.machine.shelf().by_name("BRTI").unwrap();
    assert_eq!(slot.instrument.kind, InstrumentKind::Index);
    let rows: Vec<_> = bench
        .rows
        .iter()
        .filter_map(|row| match row.body {
            TapeBody::Index(index) => Some((row.times, index)),
            _ => None,
        })
        .collect();
    assert_eq!(rows.len(), 3);
    let price = |text| IndexPrice::from_decimal(text).unwrap();
    assert!(rows.iter().all(|(times, _)| {
        times.venue_at == Some(Timestamp::from_millis(1_710_000_000_123))
            && times.publish_at == Some(Timestamp::from_millis(1_710_000_000_140))
            && times.recv_at == bench.now
    }));
    let seen: Vec<_> = rows.iter().map(|(_, i)| (i.value, i.window_s, i.settling)).collect();
    assert_eq!(
        seen,
        [(price("68000.12"), 0, false), (price("68000.12"), 60, false), (price("68000.23"), 60, true)]
    );
    assert_eq!(rows[2].1.window_end, Some(Timestamp::from_millis(1_710_000_000_001)));
    let mut bench = capture();
    bench.frame(INDEX_5HZ);
    assert_eq!(bench.counts().quarantined, 0);
    assert!(bench.live("BRTI"));
    bench.frame(&INDEX_5HZ.replace(r#""seq":1"#, r#""seq":2"#).replace("68000.12000000", "68000.13000000"));
    assert_eq!(bench.counts().quarantined, 1, "value and data disagree");
    // A gap of an index is a gap until its next value.
    bench.frame(&INDEX_5HZ.replace(r#""seq":1"#, r#""seq":9"#));
    assert!(bench.live("BRTI"));
    assert!(bench.counts().gaps >= 1);
}

#[test]
fn lives_of_events_and_their_fees_are_rows() {
    let mut bench = capture();
    bench.frame(&subscribed(1, "market_lifecycle_v2", 5));
    bench.frame(r#"{"type":"event_lifecycle","sid":5,"seq":1,"msg":{"event_ticker":"E","exchange_index":0,"title":"t","subtitle":"s","collateral_return_type":"MECNET","series_ticker":"S"}}"#);
    bench.frame(r#"{"type":"event_fee_update","sid":5,"seq":2,"msg":{"event_ticker":"E","fee_type_override":"quadratic","fee_multiplier_override":1}}"#);
    bench.frame(r#"{"type":"market_lifecycle_v2","sid":5,"seq":3,"msg":{"market_ticker":"M","event_type":"deactivated","is_deactivated":true}}"#);
    bench.frame(r#"{"type":"market_lifecycle_v2","sid":5,"seq":4,"msg":{"market_ticker":"M","event_type":"metadata_updated","floor_strike":95000}}"#);
    let rows: Vec<_> = bench
        .told()
        .into_iter()
        .filter_map(|body| match body {
            TapeBody::Lifecycle(row) => Some((row.market.clone(), row.phase, row.detail.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!((rows[0].0.as_str(), rows[0].1), ("E", Phase::Created));
    assert_eq!((rows[1].0.as_str(), rows[1].1), ("E", Phase::Changed));
    assert_eq!((rows[2].0.as_str(), rows[2].1), ("M", Phase::Paused));
    assert_eq!((rows[3].1, rows[3].2.as_str()), (Phase::Changed, r#"{"floor_strike":95000}"#));
    // A change of words does not end a pause.
    assert_eq!(bench.machine.lives().get("M").unwrap().phase, Phase::Paused);
    // An override that is absent is no override that was cleared.
    bench.frame(
        r#"{"type":"event_fee_update","sid":5,"seq":5,"msg":{"event_ticker":"E","fee_type_override":null}}"#,
    );
    assert_eq!(bench.counts().quarantined, 1);
}
