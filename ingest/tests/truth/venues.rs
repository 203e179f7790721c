//! From what venues send to a settlement: frames and answers through the venues' machines, their rows through the
//! settler; nothing in between is written by hand.

use std::collections::BTreeMap;

use ingest::truth::detail::{Detail, rules_hash};
use ingest::truth::evidence::{Evidence, EvidenceValue};
use ingest::truth::fees::FeeTerms;
use ingest::truth::grid::PriceRanges;
use ingest::truth::lifecycle::LifecycleTable;
use ingest::truth::rules::{RuleId, RuleRef};
use ingest::truth::settler::{SettlementState, SettlerConfig, Source};
use ingest::truth::terms::Strike;
use ingest::venue::VenueMachine;
use ingest::venue::kalshi::rest::{self, EventReply};
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use ingest::venue::polymarket::rest::data::resolution;
use ingest::venue::polymarket::rest::gamma::{self, GammaMarket};
use ingest::venue::polymarket::{RtdsV1, RtdsV1Config};
use ingest::{Deed, VenueOutput};
use schemas::{
    LifecycleRow, MarketId, Phase, Raw, Record, RestReply, TapeBody, TapeRow, Times, Timestamp, Venue,
};
use serde_json::{Value, json};

use crate::recorded_day::{gunzip, tally};
use crate::{Run, TWAP, price, row, secs};

/// Tapes of the machines here; numbers of others mean other instruments.
const KALSHI_TAPE: Source = Source { tape: 11, venue: Venue::Kalshi };
const RTDS_TAPE: Source = Source { tape: 12, venue: Venue::Polymarket };
const GAMMA_TAPE: Source = Source { tape: 13, venue: Venue::Polymarket };

/// A machine whose rows go straight to a settler.
struct Line<M> {
    machine: M,
    source: Source,
    seq: u64,
    conn: u32,
    /// Requests that were asked for: number and path.
    asked: Vec<(u32, String)>,
    rows: Vec<TapeRow>,
}

impl<M: VenueMachine> Line<M> {
    fn open(machine: M, source: Source, at: Timestamp, run: &mut Run) -> Self {
        let mut line = Self { machine, source, seq: 0, conn: 0, asked: Vec::new(), rows: Vec::new() };
        line.give(at, Raw::TimeAdvanced { to: at }, run);
        let conn = line.conn;
        line.give(at, Raw::Connected { conn }, run);
        line
    }

    fn give(&mut self, at: Timestamp, body: Raw, run: &mut Run) {
        self.seq += 1;
        let mut out = Vec::new();
        self.machine.apply(&Record { seq: self.seq, at, body }, &mut out);
        self.take(out, run);
    }

    fn take(&mut self, out: Vec<VenueOutput>, run: &mut Run) {
        for said in out {
            match said {
                VenueOutput::Row(row) => {
                    run.row(self.source, row.clone());
                    self.rows.push(row);
                }
                VenueOutput::Deed(Deed::Connect { conn, .. }) => self.conn = conn,
                VenueOutput::Deed(Deed::Fetch { request, path, .. }) => self.asked.push((request, path)),
                VenueOutput::Deed(_) => {}
            }
        }
    }

    fn frame(&mut self, at: Timestamp, text: &str, run: &mut Run) {
        let conn = self.conn;
        self.give(at, Raw::Frame { conn, bytes: text.as_bytes().to_vec() }, run);
    }

    fn lives(&self) -> Vec<&LifecycleRow> {
        let life = |row: &'_ TapeRow| matches!(row.body, TapeBody::Lifecycle(_));
        let lives = self.rows.iter().filter(|row| life(row));
        lives
            .map(|row| match &row.body {
                TapeBody::Lifecycle(life) => &**life,
                _ => unreachable!("filtered"),
            })
            .collect()
    }
}

/// A 15-minute market that ends at [`TWAP`], 20:00 in New York.
const KX: &str = "KXBTC15M-26AUG062000-00";
const KX_EVENT: &str = "KXBTC15M-26AUG062000";

fn kalshi_frame(channel: &str, sid: u32, seq: u64, msg: &Value) -> String {
    json!({ "type": channel, "sid": sid, "seq": seq, "msg": msg }).to_string()
}

fn kalshi_line(run: &mut Run, at: i64) -> Line<Kalshi> {
    let mut line = Line::open(Kalshi::new(KalshiConfig::capture()), KALSHI_TAPE, secs(at), run);
    for (id, channel, sid) in [(1, "market_lifecycle_v2", 5), (2, "cfbenchmarks_value", 6)] {
        let text = json!({ "type": "subscribed", "id": id, "msg": { "channel": channel, "sid": sid } });
        line.frame(secs(at), &text.to_string(), run);
    }
    line
}

/// Tells a market's life, from message `seq` on; times are those of the messages.
fn tell(line: &mut Line<Kalshi>, run: &mut Run, ticker: &str, from: u64, told: &[(i64, Value)]) {
    for (at, (second, msg)) in told.iter().enumerate() {
        let mut msg = msg.clone();
        msg["market_ticker"] = ticker.into();
        let text = kalshi_frame("market_lifecycle_v2", 5, from + at as u64, &msg);
        line.frame(secs(*second), &text, run);
    }
}

/// Ten times the value of a second: 64970.5 to 65029.5 over the last minute, 65000 on average.
fn tenths(second: i64) -> i64 {
    10 * (65_000 + second - (TWAP - 29)) + 5
}

/// One second of the index with its averages, as the venue sends it.
fn index_frame(seq: u64, second: i64) -> String {
    let ms = second * 1_000;
    let eight = |tenths: i64| format!("{}.{}0000000", tenths / 10, tenths % 10);
    let data = json!({ "type": "value", "id": "BRTI", "time": ms, "value": eight(tenths(second)) });
    let mut msg = json!({
        "index_id": "BRTI", "received_at": ms + 20, "data": data.to_string(),
        "avg_60s_data": { "value": "64000.00000000", "window_size": 60,
            "window_start_ts_ms": ms - 60_000, "window_end_ts_exclusive": ms },
    });
    if second > TWAP - 60 {
        // Values rise evenly: the mean so far is that of the first and the newest one.
        let mean = tenths(TWAP - 59).midpoint(tenths(second));
        msg["last_60s_windowed_average_15min"] = json!({ "value": eight(mean), "window_size": second - TWAP + 60,
            "window_start_ts_ms": (TWAP - 60) * 1_000 + 1, "window_end_ts_exclusive": ms + 1 });
    }
    kalshi_frame("cfbenchmarks_value", 6, seq, &msg)
}

/// The market's beginning as messages tell it: the kind of its strike first, the strike itself when it opens.
fn beginning() -> [(i64, Value); 3] {
    let metadata =
        json!({ "event_ticker": KX_EVENT, "strike_type": "greater_or_equal", "rules_primary": "r" });
    [
        (TWAP - 1_800, json!({ "event_type": "created", "close_ts": TWAP, "additional_metadata": metadata })),
        (TWAP - 901, json!({ "event_type": "metadata_updated", "floor_strike": 65_000 })),
        (TWAP - 900, json!({ "event_type": "activated" })),
    ]
}

fn last_minute(line: &mut Line<Kalshi>, run: &mut Run, without: Option<i64>) {
    for second in (TWAP - 61..=TWAP).filter(|s| Some(TWAP - s) != without) {
        let seq = (second - (TWAP - 62)) as u64;
        line.frame(secs(second).plus(200_000_000), &index_frame(seq, second), run);
    }
}

#[test]
fn kalshis_frames_settle_on_the_venues_average_with_ours_as_a_check() {
    // There is room for one market: events and the exchange are none.
    let mut run = Run::new(SettlerConfig { max_markets: 1, ..SettlerConfig::default() });
    let mut line = kalshi_line(&mut run, TWAP - 1_801);
    tell(&mut line, &mut run, KX, 1, &beginning());
    let event = json!({ "event_ticker": KX_EVENT, "series_ticker": "KXBTC15M", "title": "t", "subtitle": "s",
        "collateral_return_type": "", "exchange_index": 0 });
    line.frame(secs(TWAP - 800), &kalshi_frame("event_lifecycle", 5, 4, &event), &mut run);
    last_minute(&mut line, &mut run, None);
    assert_eq!(run.lines(), [format!("{KX} #1 kalshi-crypto-15m/1 settled 1000000 Final Agrees")]);
    // The venue's average is the first value of the evidence, the sixty seconds of the window follow.
    let theirs = EvidenceValue { at: secs(TWAP), window_s: 60, value: price("65000") };
    let second = |s: i64| EvidenceValue {
        at: secs(s),
        window_s: 0,
        value: price(&format!("{}.{}", tenths(s) / 10, tenths(s) % 10)),
    };
    let evidence = Evidence {
        rule: RuleRef { id: RuleId::KalshiCrypto15m, version: 1 },
        market: MarketId { venue: Venue::Kalshi, native: KX.to_owned() },
        closes_at: Some(secs(TWAP)),
        strike: Some(Strike::AtLeast(price("65000"))),
        values: std::iter::once(theirs).chain((TWAP - 59..=TWAP).map(second)).collect(),
        said: None,
    };
    let SettlementState::Settled { evidence: said, .. } = run.said[0].state else { panic!("not settled") };
    assert_eq!(said, evidence.hash());
    // The venue agrees, which is no news; then it says otherwise, and pays it.
    let words = [
        (
            TWAP + 30,
            json!({ "event_type": "determined", "result": "yes", "settlement_value": "1.0000", "determination_ts": TWAP + 30 }),
        ),
        (
            TWAP + 40,
            json!({ "event_type": "determined", "result": "no", "settlement_value": "0.0000", "determination_ts": TWAP + 40 }),
        ),
        (TWAP + 90, json!({ "event_type": "settled", "settled_ts": TWAP + 90 })),
    ];
    tell(&mut line, &mut run, KX, 5, &words);
    let rule = "kalshi-crypto-15m/1";
    assert_eq!(
        run.lines()[1..],
        [
            format!("{KX} #2 for 1 {rule} mismatch 1000000 not 0 Provisional"),
            format!("{KX} #3 for 2 {rule} mismatch 1000000 not 0 Final"),
        ]
    );
    let counts = line.machine.shelf().counts;
    assert_eq!((counts.quarantined, counts.gaps), (0, 0));
    let counts = run.settler.counts();
    assert_eq!((counts.unreadable_details, counts.dropped, counts.restated_terms), (0, 0, 0));
}

#[test]
fn a_lost_index_frame_leaves_the_venues_average_and_both_lost_prove_nothing() {
    for (without, want) in [
        (7, "settled 1000000 Final Incomplete { missing: 1 }"),
        // The last one carried the average that settles.
        (0, "unprovable window_incomplete"),
    ] {
        let mut run = Run::new(SettlerConfig::default());
        let mut line = kalshi_line(&mut run, TWAP - 1_801);
        tell(&mut line, &mut run, KX, 1, &beginning());
        last_minute(&mut line, &mut run, Some(without));
        run.clock(TWAP + 90);
        assert_eq!(run.lines(), [format!("{KX} #1 kalshi-crypto-15m/1 {want}")]);
    }
}

#[test]
fn kalshis_word_is_provisional_amended_scalar_and_final() {
    let mut run = Run::new(SettlerConfig::default());
    let mut line = kalshi_line(&mut run, 1_000);
    let determined = |result: &str, value: &str, at: i64| json!({ "event_type": "determined", "result": result, "settlement_value": value, "determination_ts": at });
    let told = [
        (1_001, json!({ "event_type": "created", "close_ts": 2_000 })),
        (2_100, determined("yes", "1.0000", 2_100)),
        (2_200, determined("scalar", "0.3700", 2_200)),
        (2_300, json!({ "event_type": "settled", "settled_ts": 2_300 })),
    ];
    tell(&mut line, &mut run, "KXMLBGAME-26AUG-MIL", 1, &told);
    let name = "KXMLBGAME-26AUG-MIL";
    assert_eq!(
        run.lines(),
        [
            format!("{name} #1 venue-reported/1 settled 1000000 Provisional None"),
            format!("{name} #2 for 1 venue-reported/1 amended 1000000 -> 370000 Provisional"),
            format!("{name} #3 for 2 venue-reported/1 settled 370000 Final None"),
        ]
    );
    let times: Vec<_> = line.rows.iter().filter_map(|row| row.times.venue_at).map(Timestamp::secs).collect();
    assert_eq!(times, [2_100, 2_200, 2_300]);
}

/// A market object as REST tells it.
fn kalshi_object(floor: &str, bid: &str) -> String {
    format!(
        r#"{{"ticker":"{KX}","event_ticker":"{KX_EVENT}","market_type":"binary","status":"active","result":"","settlement_value_dollars":null,"settlement_timer_seconds":60,"open_time":"2026-08-06T23:45:00Z","close_time":"2026-08-07T00:00:00Z","updated_time":"2026-08-06T23:45:00Z","can_close_early":false,"strike_type":"greater_or_equal","floor_strike":{floor},"cap_strike":null,"rules_primary":"r","rules_secondary":"s","price_level_structure":"tapered_deci_cent","price_ranges":[{{"start":"0.0000","end":"0.1000","step":"0.0010"}},{{"start":"0.1000","end":"0.9000","step":"0.0100"}},{{"start":"0.9000","end":"1.0000","step":"0.0010"}}],"yes_bid_dollars":"{bid}","yes_ask_dollars":"0.5100","last_price_dollars":"0.5000","volume_fp":"2.00","open_interest_fp":"1.50"}}"#
    )
}

#[test]
fn a_kalshi_market_known_only_from_rest_has_its_terms_and_settles() {
    let mut run = Run::new(SettlerConfig::default());
    let config = KalshiConfig { rest: true, ..KalshiConfig::books(&[]) };
    let mut asker = Line::open(
        Kalshi::new(config),
        Source { tape: 14, venue: Venue::Kalshi },
        secs(TWAP - 700),
        &mut run,
    );
    for (at, floor, bid) in
        [(-600, "64999.123456789", "0.4900"), (-500, "64999.123456789", "0.5000"), (-400, "65000", "0.5000")]
    {
        let mut out = Vec::new();
        asker.machine.look_up(&[KX], &mut out);
        asker.take(out, &mut run);
        asker.give(secs(TWAP + at), Raw::TimeAdvanced { to: secs(TWAP + at) }, &mut run);
        let (request, path) =
            asker.asked.iter().rfind(|(_, path)| path.starts_with("/markets?")).unwrap().clone();
        assert!(path.contains(KX));
        let text = format!(r#"{{"markets":[{}],"cursor":""}}"#, kalshi_object(floor, bid));
        let reply = RestReply { request, status: 200, bytes: text.into_bytes() };
        asker.give(secs(TWAP + at), Raw::Rest(reply), &mut run);
    }
    // A price that moved is no news of the market's life; a strike that did is, as a mere change.
    let phases: Vec<Phase> = asker.lives().iter().map(|life| life.phase).collect();
    assert_eq!(phases, [Phase::Active, Phase::Changed]);
    let said = asker.lives()[0];
    let detail = Detail::parse(&said.detail).unwrap();
    assert_eq!(
        detail.strike(Venue::Kalshi),
        Some(Strike::AtLeast(price("64999.123456789"))),
        "{}",
        said.detail
    );
    assert_eq!(detail.prices, Some(PriceRanges::tapered_deci_cent()));
    assert_eq!(detail.rules_hash, Some(rules_hash([Some("r"), Some("s"), None])));
    assert_eq!((detail.event.as_deref(), said.closes_at), (Some(KX_EVENT), Some(secs(TWAP))));
    assert!(said.detail.contains(r#""settlement_timer_seconds":60"#) && !said.detail.contains("bid"));
    // The table has both strikes, each by when it was known.
    let mut table = LifecycleTable::new();
    asker.rows.iter().for_each(|row| table.fold(KALSHI_TAPE, row));
    let id = MarketId { venue: Venue::Kalshi, native: KX.to_owned() };
    let strike = |known: i64| table.as_of(&id, secs(TWAP), secs(TWAP + known)).unwrap().strike.unwrap().value;
    assert_eq!(
        (strike(-450), strike(-1)),
        (Strike::AtLeast(price("64999.123456789")), Strike::AtLeast(price("65000")))
    );
    // The index comes by another connection; what was told first of the strike is what counts.
    let mut line = kalshi_line(&mut run, TWAP - 300);
    last_minute(&mut line, &mut run, None);
    assert_eq!(run.lines(), [format!("{KX} #1 kalshi-crypto-15m/1 settled 1000000 Final Agrees")]);
    assert_eq!(run.settler.counts().restated_terms, 1);
}

#[test]
fn a_market_within_its_event_knows_series_and_override_and_history_keeps_its_digits() {
    let event = format!(
        r#"{{"event":{{"event_ticker":"{KX_EVENT}","series_ticker":"KXBTC15M","title":"t","sub_title":"s","mutually_exclusive":false,"collateral_return_type":"","fee_type_override":null,"fee_multiplier_override":0.5,"markets":[{}]}}}}"#,
        kalshi_object("65000.01", "0.5")
    );
    let event = rest::decode::<EventReply>(event.as_bytes()).unwrap().event;
    let market = event.markets.as_ref().unwrap()[0].clone();
    let within = Detail::parse(&market.told_within(&event).unwrap().detail).unwrap();
    assert_eq!(within.series.as_deref(), Some("KXBTC15M"));
    let half = ingest::truth::fees::FeeChange::Kalshi { fee_type: None, multiplier: Some(500_000) };
    assert_eq!((within.event_fees, within.series_fees), (Some(half), None));
    let mut other = event.clone();
    other.event_ticker = "E".to_owned();
    assert!(market.told_within(&other).is_err(), "a market of another event");
    let alone = Detail::parse(&market.told().unwrap().detail).unwrap();
    assert_eq!((alone.series, alone.event_fees), (None, None), "nothing is made up");
    // Strikes of cheap coins keep their digits through the renaming of historical objects.
    let old = kalshi_object("0.00001234", "0.5").replace("yes_bid_dollars", "yes_bid");
    let old = rest::historical_market(format!(r#"{{"market":{old}}}"#).as_bytes()).unwrap();
    let detail = Detail::parse(&old.told().unwrap().detail).unwrap();
    assert_eq!(detail.floor, Some(price("0.00001234")));
    // So do those of messages.
    let mut run = Run::new(SettlerConfig::default());
    let mut line = kalshi_line(&mut run, 1_000);
    let text = format!(
        r#"{{"type":"market_lifecycle_v2","sid":5,"seq":1,"msg":{{"market_ticker":"{KX}","event_type":"metadata_updated","floor_strike":0.00001234}}}}"#
    );
    line.frame(secs(1_001), &text, &mut run);
    assert_eq!(line.lives()[0].detail, r#"{"floor_strike":0.00001234}"#);
}

/// The market of the answer to `GET /events?slug=`, its strike as the venue prints it.
fn listed(slug: &str, strike: Option<&str>, market: &Value) -> GammaMarket {
    let metadata = strike.map_or_else(|| "{}".to_owned(), |s| format!(r#"{{"priceToBeat":{s}}}"#));
    let text = format!(
        r#"[{{"id":"1","slug":"{slug}","title":"t","closed":false,"eventMetadata":{metadata},"markets":[{market}]}}]"#
    );
    gamma::events(text.as_bytes()).unwrap().remove(0).markets.remove(0).unwrap()
}

/// The object as it was while the market was open.
fn opened(raw: &Value) -> Value {
    let mut market = raw.clone();
    for (key, value) in [
        ("closed", json!(false)),
        ("acceptingOrders", json!(true)),
        ("outcomePrices", json!(r#"["0.505", "0.495"]"#)),
        ("umaResolutionStatus", Value::Null),
        ("closedTime", Value::Null),
    ] {
        market[key] = value;
    }
    market
}

fn polled(at: i64, life: LifecycleRow) -> TapeRow {
    let times = Times { venue_at: None, publish_at: None, recv_at: secs(at) };
    TapeRow { times, ..row(u32::MAX, secs(at), TapeBody::Lifecycle(Box::new(life))) }
}

enum Step {
    Life(Box<TapeRow>),
    Tick(String),
}

/// With its receive time.
type TimedStep = (Timestamp, Step);

/// Gamma's answers and the relay's frames of the recorded day, by receive time, and what Up paid.
fn recorded() -> Option<(Vec<TimedStep>, BTreeMap<String, u32>)> {
    let markets = gunzip("Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz")?;
    let ticks = gunzip("Ligengxin96_polymarket-data-samples__BTCUSD-prices-2026-06-08.csv.gz")?;
    let (mut steps, mut paid) = (Vec::new(), BTreeMap::new());
    for line in ticks.lines().skip(1) {
        let [feed, value, full, server, recv] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        let text = format!(
            r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{server},"payload":{{"symbol":"btc/usd","timestamp":{feed},"value":{value},"full_accuracy_value":"{full}"}}}}"#
        );
        steps.push((Timestamp::from_millis(recv.parse().unwrap()), Step::Tick(text)));
    }
    for line in markets.lines() {
        let m: Value = serde_json::from_str(line).unwrap();
        let (slug, id) = (m["slug"].as_str().unwrap(), m["condition_id"].as_str().unwrap());
        let (start, end) = (m["start_sec"].as_i64().unwrap(), m["end_sec"].as_i64().unwrap());
        let strike =
            m["strike_value"].as_str().map(|s| schemas::IndexPrice::from_atoms(s).unwrap().to_string());
        let fresh = listed(slug, None, &opened(&m["raw"]));
        let begun = listed(slug, strike.as_deref(), &opened(&m["raw"]));
        let ended = listed(slug, strike.as_deref(), &m["raw"]);
        let mut say = |at: i64, life| steps.push((secs(at), Step::Life(Box::new(polled(at, life)))));
        say(start - 60, fresh.lifecycle());
        if let Some(life) = begun.since(&fresh) {
            say(start + 10, life);
        }
        say(end + 30, ended.since(&begun).unwrap());
        paid.insert(id.to_owned(), if m["outcome_prices"][0] == "1" { 1_000_000 } else { 0 });
    }
    steps.sort_by_key(|(at, _)| *at);
    Some((steps, paid))
}

#[test]
fn the_recorded_day_settles_from_gammas_objects_and_the_relays_frames() {
    let Some((steps, paid)) = recorded() else { return };
    let mut run = Run::new(SettlerConfig::default());
    let mut line = Line::open(RtdsV1::new(RtdsV1Config::capture()), RTDS_TAPE, steps[0].0, &mut run);
    let end = steps.last().unwrap().0;
    for (at, step) in steps {
        match step {
            Step::Life(row) => run.row(GAMMA_TAPE, *row),
            Step::Tick(text) => line.frame(at, &text, &mut run),
        }
    }
    run.clock(end.secs() + 600);
    let want = [("v1 right", 280), ("v1 no_closing_value", 8), ("v1 no_strike", 4)];
    assert_eq!(tally(&run, &paid), want.map(|(class, n)| (class.to_owned(), n)).into());
    let counts = run.settler.counts();
    assert_eq!((counts.mismatches, counts.unreadable_details, counts.restated_terms), (0, 0, 0));
    let counts = line.machine.shelf().counts;
    assert_eq!((counts.frames, counts.quarantined), (84_558, 0));
}

const CONDITION: &str = "0x00000000000000000000000000000000000000000000000000000000000000ab";

fn gamma_object(slug: &str, outcomes: &str) -> Value {
    json!({
        "conditionId": CONDITION, "slug": slug, "question": "q?", "outcomes": outcomes,
        "outcomePrices": r#"["0.5", "0.5"]"#, "clobTokenIds": r#"["11", "22"]"#, "active": true, "closed": false,
        "acceptingOrders": true, "orderPriceMinTickSize": 0.01, "orderMinSize": 5, "negRisk": true,
        "negRiskMarketID": "0xgroup", "takerBaseFee": 1000, "makerBaseFee": 1000, "feesEnabled": true,
        "feeSchedule": { "rate": 0.07, "exponent": 1, "takerOnly": true, "rebateRate": 0.2 },
        "description": "rules",
    })
}

#[test]
fn a_gamma_object_tells_its_terms_by_the_venues_names() {
    let slug = format!("btc-updown-5m-{}", TWAP - 300);
    let market = listed(&slug, Some("63304.200301195075"), &gamma_object(&slug, r#"["Up", "Down"]"#));
    let life = market.lifecycle();
    let detail = Detail::parse(&life.detail).unwrap();
    assert_eq!(detail.strike(Venue::Polymarket), Some(Strike::AtLeast(price("63304.200301195075"))));
    assert_eq!(
        (detail.slug.as_deref(), detail.rules_hash),
        (Some(slug.as_str()), Some(rules_hash([None, None, Some("rules")])))
    );
    assert!(life.detail.contains(r#""negRiskMarketID":"0xgroup""#), "{}", life.detail);
    let mut table = LifecycleTable::new();
    table.fold(GAMMA_TAPE, &polled(100, life));
    let id = MarketId { venue: Venue::Polymarket, native: CONDITION.to_owned() };
    let view = table.knew_at(&id, secs(100)).unwrap();
    assert_eq!(view.prices.unwrap().value, PriceRanges::uniform(10_000).unwrap());
    let FeeTerms::Polymarket(fees) = table.fee_terms(&id, secs(100), secs(100)).unwrap() else {
        panic!("not Polymarket's")
    };
    assert_eq!((fees.rate, fees.exponent, fees.taker_only, fees.rebate), (70_000, 1, true, Some(200_000)));
    // The event's price is that of the market with the event's slug; the market's own answer repeats its event.
    let other = listed("another-event", Some("1"), &gamma_object(&slug, r#"["Up", "Down"]"#));
    assert_eq!(other.price_to_beat, None);
    let mut own = gamma_object(&slug, r#"["Up", "Down"]"#);
    own["events"] = json!([{ "slug": slug, "eventMetadata": { "priceToBeat": 65000.5 } }]);
    assert_eq!(gamma::market(own.to_string().as_bytes()).unwrap().price_to_beat, Some(price("65000.5")));
    own["events"][0]["eventMetadata"]["priceToBeat"] = json!(-1);
    assert_eq!(gamma::market(own.to_string().as_bytes()).unwrap_err().code(), "bad_field");
}

fn rtds_frame(topic: &str, second: i64, window_s: Option<u32>, value: &str) -> String {
    let ms = second * 1_000;
    let mut payload =
        json!({ "symbol": "btc/usd", "timestamp": ms, "full_accuracy_value": price(value).0.to_string() });
    if let Some(window_s) = window_s {
        payload["window_s"] = window_s.into();
    }
    json!({ "topic": topic, "type": "update", "timestamp": ms + 250, "payload": payload }).to_string()
}

/// Half a minute of averages, and of values if asked for, up to the end of a market that has 65000.5 to beat.
fn under_the_average(outcomes: &str, values: Option<&str>) -> Run {
    let mut run = Run::new(SettlerConfig::default());
    let close = TWAP + 300;
    let slug = format!("btc-updown-5m-{TWAP}");
    let market = listed(&slug, Some("65000.5"), &gamma_object(&slug, outcomes));
    run.row(GAMMA_TAPE, polled(TWAP + 10, market.lifecycle()));
    let mut line = Line::open(RtdsV1::new(RtdsV1Config::capture()), RTDS_TAPE, secs(TWAP + 20), &mut run);
    for second in close - 29..=close {
        let at = secs(second).plus(400_000_000);
        if let Some(value) = values {
            line.frame(at, &rtds_frame("crypto_prices_chainlink", second, None, value), &mut run);
        }
        // Below the strike until the window ends: only the average of the close itself counts.
        let average = if second == close { "65000.5" } else { "60000" };
        line.frame(at, &rtds_frame("crypto_prices_twap_thirty", second, Some(30), average), &mut run);
        // The average over a minute is another market's.
        line.frame(at, &rtds_frame("crypto_prices_twap_sixty", second, Some(60), "1"), &mut run);
    }
    assert_eq!(line.machine.shelf().counts.quarantined, 0);
    run.clock(close + 90);
    run
}

#[test]
fn the_relays_average_is_the_evidence_since_2026_08_07() {
    let up = r#"["Up", "Down"]"#;
    let rule = "polymarket-updown-5m/2";
    let line = |what: &str| [format!("{CONDITION} #1 {rule} settled {what}")];
    assert_eq!(under_the_average(up, None).lines(), line("1000000 Final Incomplete { missing: 30 }"));
    assert_eq!(under_the_average(up, Some("65000.5")).lines(), line("1000000 Final Agrees"));
    let run = under_the_average(up, Some("65000.6"));
    assert!(run.lines()[0].contains("settled 1000000 Final Differs"), "{:?}", run.lines());
    let against = under_the_average(up, Some("65000.4"));
    assert_eq!(against.lines(), [format!("{CONDITION} #1 {rule} unprovable conflicting_evidence")]);
    // The payout is that of the first outcome, whichever the venue puts first.
    let down = under_the_average(r#"["Down", "Up"]"#, None);
    assert_eq!(down.lines(), line("0 Final Incomplete { missing: 30 }"));
    let evidence = Evidence {
        rule: RuleRef { id: RuleId::PolymarketUpDown5m, version: 2 },
        market: MarketId { venue: Venue::Polymarket, native: CONDITION.to_owned() },
        closes_at: Some(secs(TWAP + 300)),
        strike: Some(Strike::Below(price("65000.5"))),
        values: vec![EvidenceValue { at: secs(TWAP + 300), window_s: 30, value: price("65000.5") }],
        said: None,
    };
    let SettlementState::Settled { evidence: said, .. } = down.said[0].state else { panic!("not settled") };
    assert_eq!(said, evidence.hash());
}

#[test]
fn umas_states_settle_other_markets_and_nothing_for_anybody_is_no_resolution() {
    let mut run = Run::new(SettlerConfig::default());
    let market = listed("will-it-rain", None, &gamma_object("will-it-rain", r#"["Yes", "No"]"#));
    run.row(GAMMA_TAPE, polled(100, market.lifecycle()));
    let none = Value::Null;
    for (at, status, proposed, payouts) in [
        (200, "proposed", "1", &none),
        (300, "disputed", "1", &none),
        (400, "resolved", "0.5", &json!([0, 0])),
        (500, "resolved", "0.5", &json!(["500000", "500000"])),
    ] {
        let text = json!({ "condition_id": CONDITION, "status": status, "was_disputed": at > 200,
            "proposed_price": proposed, "last_update_timestamp": at, "reporter": "UMA_OO", "payouts": payouts });
        let told = resolution(text.to_string().as_bytes()).unwrap();
        run.row(GAMMA_TAPE, polled(at, told.row));
    }
    let rule = "venue-reported/1";
    assert_eq!(
        run.lines(),
        [
            format!("{CONDITION} #1 {rule} settled 1000000 Provisional None"),
            format!("{CONDITION} #2 for 1 {rule} disputed Some(1000000)"),
            format!("{CONDITION} #3 for 2 {rule} amended 1000000 -> 500000 Final"),
        ]
    );
}
