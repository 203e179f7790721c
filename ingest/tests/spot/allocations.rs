//! A book change in steady state allocates nothing.

use ingest::VenueOutput;
use ingest::venue::VenueMachine;
use ingest::venue::binance::{Binance, BinanceConfig};
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use ingest::venue::kraken::{Kraken, KrakenConfig};
use schemas::{Raw, Record, Timestamp};

use crate::driver::Driver;

/// Applies frames again and again, and counts the allocations after the first round.
fn steady<M: VenueMachine>(driver: &mut Driver<M>, rounds: impl Fn(usize) -> Vec<String>) {
    let conn = driver.conn;
    let records = |round| -> Vec<Record<Raw>> {
        let body = |text: String| Raw::Frame { conn, bytes: text.into_bytes() };
        rounds(round).into_iter().map(|text| Record { seq: 9, at: driver.now, body: body(text) }).collect()
    };
    let (warm, hot) = (records(0), records(1));
    let mut out: Vec<VenueOutput> = Vec::with_capacity(64);
    let deltas = driver.machine.shelf().counts.deltas;
    let machine = &mut driver.machine;
    for record in &warm {
        out.clear();
        machine.apply(record, &mut out);
    }
    let info = allocation_counter::measure(|| {
        for record in &hot {
            out.clear();
            machine.apply(record, &mut out);
        }
    });
    let counts = machine.shelf().counts;
    assert_eq!((info.count_total, counts.gaps, counts.quarantined), (0, 0, 0));
    assert!(counts.deltas >= deltas + 200, "{counts:?}");
}

fn ready<M: VenueMachine>(machine: M, frames: &[&str]) -> Driver<M> {
    let mut driver = Driver::new(machine, Timestamp::from_secs(1_700_000_000));
    driver.start();
    for frame in frames {
        driver.frame(frame.as_bytes());
    }
    for (request, _) in std::mem::take(&mut driver.asked) {
        driver.reply(request, 200, br#"{"lastUpdateId":1,"bids":[["0.5","1.00"]],"asks":[["3.0","1.00"]]}"#);
    }
    assert_eq!(driver.machine.shelf().live(), 1);
    driver
}

#[test]
fn binance() {
    let event = |at: usize| {
        format!(
            r#"{{"stream":"ab@depth@100ms","data":{{"e":"depthUpdate","E":7,"s":"AB","U":{at},"u":{at},"b":[["1.{}","{}.00"]],"a":[["2.0","1.50"]]}}}}"#,
            at % 7,
            at % 3
        )
    };
    let mut driver = ready(Binance::new(BinanceConfig::capture()), &[&event(2)]);
    steady(&mut driver, |round| (0..100).map(|at| event(3 + 100 * round + at)).collect());
}

#[test]
fn coinbase_both_dialects() {
    let snapshot =
        r#"{"type":"snapshot","product_id":"A-B","asks":[["2.0","1.00"]],"bids":[["1.0","1.00"]]}"#;
    let mut driver = ready(Coinbase::new(CoinbaseConfig::capture()), &[snapshot]);
    steady(&mut driver, |_| {
        let text = |at: usize| {
            format!(
                r#"{{"type":"l2update","product_id":"A-B","changes":[["buy","1.{}","{}.00"]],"time":"2021-04-17T16:43:37.075687Z"}}"#,
                at % 7,
                at % 3
            )
        };
        (0..100).map(text).collect()
    });
    let frame = |at: usize, kind: &str| {
        let update = format!(
            r#"{{"side":"bid","event_time":"2026-01-02T03:04:05Z","price_level":"1.{}5","new_quantity":"{}"}}"#,
            at % 7,
            1 + at % 3
        );
        format!(
            r#"{{"channel":"l2_data","timestamp":"2026-01-02T03:04:05Z","sequence_num":{at},"events":[{{"type":"{kind}","product_id":"A-B","updates":[{update}]}}]}}"#
        )
    };
    let mut driver = ready(Coinbase::new(CoinbaseConfig::capture()), &[&frame(0, "snapshot")]);
    steady(&mut driver, |round| (0..100).map(|at| frame(1 + 100 * round + at, "update")).collect());
}

#[test]
fn kraken_both_dialects() {
    let snapshot =
        r#"[1,{"as":[["2.0","1.00","1618678123.4"]],"bs":[["1.0","1.00","1618678123.4"]]},"book-10","A/B"]"#;
    let sum = |qty: usize| crc32(&format!("2010010{qty}00"));
    let mut driver = ready(Kraken::new(KrakenConfig::capture()), &[snapshot]);
    steady(&mut driver, |_| {
        let text = |at: usize| {
            let qty = 1 + at % 3;
            format!(r#"[1,{{"b":[["1.0","{qty}.00","1618678123.4"]],"c":"{}"}},"book-10","A/B"]"#, sum(qty))
        };
        (0..100).map(text).collect()
    });
    let instrument = r#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"A/B","price_precision":1,"qty_precision":2}]}}"#;
    let book = |kind: &str, asks: &str, qty: usize| {
        format!(
            r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"A/B","bids":[{{"price":1.0,"qty":{qty}.0}}],"asks":[{asks}],"checksum":{},"timestamp":"2026-01-02T03:04:05.678901Z"}}]}}"#,
            sum(qty)
        )
    };
    let first = book("snapshot", r#"{"price":2.0,"qty":1.0}"#, 1);
    let mut driver = ready(Kraken::new(KrakenConfig::capture()), &[instrument, &first]);
    steady(&mut driver, |_| (0..100).map(|at| book("update", "", 1 + at % 3)).collect());
}

/// CRC32 of IEEE 802.3, bit by bit: an implementation of its own to check against.
fn crc32(text: &str) -> u32 {
    !text.bytes().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}
