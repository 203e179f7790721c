//! REST answers: recorded ones decode wholly, odd ones are refused with a code, and nobody wins by being near 1.

use std::io::Read as _;

use ingest::deed::{HOST_DATA, HOST_GAMMA};
use ingest::venue::polymarket::rest::data::{UmaState, resolution, resolutions, trades};
use ingest::venue::polymarket::rest::gamma::{self, GammaMarket, Paging};
use ingest::venue::polymarket::rest::limits::{Buckets, TokenBucket, WINDOW_NS};
use ingest::venue::polymarket::rest::listing::{Answer, Listing, RETRIES, Step};
use ingest::venue::polymarket::rest::{RestError, clob};
use schemas::time::NANOS_PER_SEC;
use schemas::{BookSide, Phase, Ppm, Timestamp};
use serde_json::{Value, json};

use crate::recorded;

fn fixture(name: &str) -> Option<Vec<u8>> {
    recorded(&format!("nautilus_test_data/nautilus__{name}.json"))
}

const CONDITION: &str = "0x00000000000000000000000000000000000000000000000000000000000000ab";

/// A Gamma market as the venue writes one.
fn wire() -> Value {
    json!({
        "conditionId": CONDITION, "slug": "s", "question": "q?", "outcomes": r#"["Down", "Up"]"#,
        "outcomePrices": r#"["0", "1"]"#, "clobTokenIds": r#"["11", "22"]"#, "active": true, "closed": true,
        "acceptingOrders": false, "orderPriceMinTickSize": 0.001, "orderMinSize": 5, "negRisk": false,
        "takerBaseFee": 1000, "makerBaseFee": 1000, "umaResolutionStatus": "resolved",
        "feeSchedule": { "rate": 0.07, "exponent": 1, "takerOnly": true, "rebateRate": 0.2 },
        "endDate": "2026-06-08T00:05:00Z", "closedTime": "2026-06-08 00:05:52+00",
    })
}

fn with(edits: &[(&str, Value)]) -> Result<GammaMarket, RestError> {
    let mut market = wire();
    for (field, value) in edits {
        market[field] = value.clone();
    }
    gamma::market(market.to_string().as_bytes())
}

#[test]
fn the_recorded_day_decodes_wholly() {
    let Some(packed) = recorded("Ligengxin96_polymarket-data-samples__BTC-5m-markets-2026-06-08.jsonl.gz")
    else {
        return;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    let (mut read, mut up, mut fine) = (0, 0, 0);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let market = gamma::market(line["raw"].to_string().as_bytes()).unwrap();
        let names: Vec<&str> = market.outcomes.iter().map(|outcome| outcome.name.as_str()).collect();
        assert_eq!(names, ["Up", "Down"]);
        let tokens: Vec<&str> =
            market.outcomes.iter().map(|outcome| outcome.token.as_deref().unwrap()).collect();
        assert_eq!(json!(tokens), line["token_ids"]);
        assert_eq!(
            (json!(market.condition_id), json!(market.slug)),
            (line["condition_id"].clone(), line["slug"].clone())
        );
        let won = line["outcome_prices"][0] == "1";
        assert_eq!(market.payout(), Ok(Some(if won { Ppm::ONE } else { Ppm(0) })));
        assert_eq!(market.ends_at.map(Timestamp::secs), line["end_sec"].as_i64());
        let fees = market.fees.unwrap();
        assert_eq!(
            (fees.rate, fees.exponent, fees.taker_only, fees.rebate),
            (70_000, 1_000_000, true, 200_000)
        );
        assert_eq!((market.phase(), market.min_size), (Phase::Final, Some(5_000_000)));
        read += 1;
        up += usize::from(won);
        fine += usize::from(market.tick == Some(1_000));
    }
    assert_eq!((read, up, fine), (292, 137, 26));
}

#[test]
fn markets_of_the_fixtures_end_as_they_state() {
    for (name, payout, outcomes) in [
        ("gamma_market", Ok(None), ["Up", "Down"]),
        ("gamma_market_closed_binary_accepting_false", Ok(Some(Ppm(0))), ["Yes", "No"]),
        ("gamma_market_closed_binary_accepting_true", Ok(Some(Ppm::ONE)), ["Yes", "No"]),
        ("gamma_market_closed_zero_zero_legacy", Ok(None), ["Yes", "No"]),
        ("gamma_market_closed_nonbinary_legacy", Err("not_binary"), ["Long", "Short"]),
        ("gamma_market_sports_market_map_handicap", Ok(Some(Ppm::ONE)), ["FaZe", "illwill"]),
        ("gamma_market_sports_market_money_line", Ok(Some(Ppm::ONE)), ["FaZe", "illwill"]),
    ] {
        let Some(bytes) = fixture(name) else { return };
        let market = gamma::market(&bytes).unwrap();
        assert_eq!(market.payout().map_err(|error| error.code()), payout, "{name}");
        assert_eq!(market.outcomes.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), outcomes, "{name}");
        if name.contains("sports") {
            let fees = market.fees.unwrap();
            assert_eq!((fees.rate, fees.rebate), (30_000, 250_000));
        }
    }
}

#[test]
fn events_of_the_fixtures_name_their_group() {
    let Some(bytes) = fixture("gamma_event") else { return };
    let events = gamma::events(&bytes).unwrap();
    let group = events[0].neg_risk.as_ref().unwrap();
    assert_eq!(
        group.group.as_deref(),
        Some("0x2c3d7e0eee6f058be3006baabf0d54a07da254ba47fe6e3e095e7990c7814700")
    );
    assert_eq!((group.augmented, events[0].markets.len()), (Some(true), 2));
    for market in &events[0].markets {
        let market = market.as_ref().unwrap();
        assert_eq!(market.neg_risk.as_ref(), Some(group));
        assert_eq!((market.tick, market.phase()), (Some(1_000), Phase::Active));
    }
    let Some(bytes) = fixture("search_response") else { return };
    let events = gamma::search(&bytes).unwrap();
    assert!(!events.is_empty() && events.iter().all(|event| event.markets.iter().all(Result::is_ok)));
    assert_eq!(events[0].slug, "bitcoin-above-on-march-11");
}

#[test]
fn the_clobs_fixtures_hold_what_they_state() {
    for (name, payout, accepting) in [
        ("clob_market_closed_binary_accepting_false", Ppm(0), false),
        ("clob_market_closed_binary_accepting_true", Ppm::ONE, true),
    ] {
        let Some(bytes) = fixture(name) else { return };
        let market = clob::market(&bytes).unwrap();
        assert_eq!((market.payout, market.accepting_orders, market.closed), (Some(payout), accepting, true));
        assert_eq!(market.tokens[0].1, "Yes");
    }
    for (name, fee) in [("clob_fee_rate_response_nonzero", 150), ("clob_fee_rate_response_zero", 0)] {
        let Some(bytes) = fixture(name) else { return };
        assert_eq!(clob::fee_rate(&bytes), Ok(fee));
    }
    let Some(bytes) = fixture("clob_book_response") else { return };
    let book = clob::book(&bytes).unwrap();
    assert_eq!(
        (book.asset.as_str(), book.ms, book.hash.as_deref()),
        ("12345678901234567890", 1_703_875_200_000, Some("0xabc123"))
    );
    assert_eq!((book.bids[0], book.asks[2]), ((480_000, 100_000_000), (530_000, 90_000_000)));
    let Some(bytes) = fixture("data_api_trades_response") else { return };
    let trades = trades(&bytes).unwrap();
    let row =
        |at: usize| (trades[at].row.price, trades[at].row.qty, trades[at].row.taker, trades[at].at.secs());
    assert_eq!(row(0), (550_000, 100_000_000, Some(BookSide::Bid), 1_710_000_000));
    assert_eq!(row(1), (530_000, 50_000_000, Some(BookSide::Ask), 1_709_999_900));
    assert_eq!(trades.len(), 3);
}

#[test]
fn trap_08_lists_are_aligned_by_index_in_the_venues_order() {
    let market = with(&[]).unwrap();
    let flat = |o: &gamma::Outcome| (o.name.clone(), o.token.clone().unwrap(), o.price.clone().unwrap());
    let outcomes: Vec<_> = market.outcomes.iter().map(flat).collect();
    let word = |text: &str| text.to_owned();
    assert_eq!(outcomes[0], (word("Down"), word("11"), word("0")));
    assert_eq!(outcomes[1], (word("Up"), word("22"), word("1")));
    assert_eq!(market.payout(), Ok(Some(Ppm(0))), "the first outcome is Down and lost");
    let code = |field: &str, value: Value| with(&[(field, value)]).map_err(|error| error.code());
    assert_eq!(code("clobTokenIds", json!(r#"["11"]"#)).unwrap_err(), "misaligned");
    assert_eq!(code("outcomePrices", json!(r#"["1","0","0"]"#)).unwrap_err(), "misaligned");
    assert_eq!(code("clobTokenIds", json!(r#"["11","11"]"#)).unwrap_err(), "bad_field");
    assert_eq!(code("outcomes", json!("Up, Down")).unwrap_err(), "bad_field");
    assert_eq!(code("outcomes", json!(["Up", "Down"])).unwrap_err(), "bad_shape");
    // Before its tokens are made a market has none.
    let fresh =
        with(&[("clobTokenIds", json!("[]")), ("outcomePrices", Value::Null), ("closed", json!(false))])
            .unwrap();
    assert!(fresh.outcomes.iter().all(|outcome| outcome.token.is_none()));
}

#[test]
fn trap_09_the_fee_is_the_schedules_and_changes_are_told() {
    let market = with(&[]).unwrap();
    let fees = market.fees.unwrap();
    // 100 shares at 0.50: 100 * 0.07 * 0.25 = 1.75 dollars; the legacy 1000 bps would be another number.
    assert_eq!(fees.taker_fee(100_000_000, 500_000), Some(175_000));
    assert_eq!(fees.taker_fee(1_000_000, 10_000), Some(69));
    assert_eq!(fees.taker_fee(1_000, 10_000), Some(0), "less than 0.00001");
    let legacy = with(&[("takerBaseFee", json!(0)), ("makerBaseFee", Value::Null)]).unwrap();
    assert_eq!(legacy.fees, market.fees);
    assert_eq!(with(&[("feeSchedule", Value::Null)]).unwrap().fees, None);
    let partial = with(&[("feeSchedule", json!({ "rate": 0.07, "exponent": 1, "takerOnly": true }))]);
    assert_eq!(partial.map_err(|error| error.code()).unwrap_err(), "bad_shape");
    // A change in the market's middle is a row of its own, with the whole new schedule.
    let open = |rate: f64| {
        let schedule = json!({ "rate": rate, "exponent": 1, "takerOnly": true, "rebateRate": 0.2 });
        with(&[
            ("closed", json!(false)),
            ("acceptingOrders", json!(true)),
            ("umaResolutionStatus", Value::Null),
            ("feeSchedule", schedule),
        ])
        .unwrap()
    };
    let (before, after) = (open(0.07), open(0.072));
    let row = after.since(&before).unwrap();
    assert_eq!((row.phase, row.market.as_str()), (Phase::Changed, CONDITION));
    assert!(row.detail.contains(r#""rate":"0.072""#));
    assert_eq!(after.since(&after), None);
    let ended = market.since(&after).unwrap();
    assert_eq!((ended.phase, ended.payout), (Phase::Final, Some(Ppm(0))));
}

#[test]
fn trap_12_nobody_wins_unless_it_is_certain() {
    let payout = |edits: &[(&str, Value)]| with(edits).unwrap().payout().map_err(|error| error.code());
    let prices = |text: &str| ("outcomePrices", json!(text));
    assert_eq!(payout(&[prices(r#"["1","0"]"#)]), Ok(Some(Ppm::ONE)));
    assert_eq!(payout(&[prices(r#"["1.000","0.0"]"#)]), Ok(Some(Ppm::ONE)));
    assert_eq!(payout(&[prices(r#"["0.5","0.5"]"#)]), Ok(Some(Ppm::HALF)));
    for unsure in [r#"["0","0"]"#, r#"["1","1"]"#, r#"["0.9995","0.0005"]"#, r#"["0.99999999","0.00000001"]"#]
    {
        assert_eq!(payout(&[prices(unsure)]), Ok(None), "{unsure}");
    }
    assert_eq!(payout(&[("closed", json!(false))]), Ok(None));
    assert_eq!(payout(&[("umaResolutionStatus", json!("disputed"))]), Ok(None));
    assert_eq!(payout(&[("clobTokenIds", json!("[]"))]), Ok(None));
    assert_eq!(payout(&[("marketType", json!("scalar"))]), Err("not_binary"));
    let three = [
        ("outcomes", json!(r#"["a","b","c"]"#)),
        prices(r#"["1","0","0"]"#),
        ("clobTokenIds", json!(r#"["1","2","3"]"#)),
    ];
    assert_eq!(payout(&three), Err("not_binary"));
    for field in ["conditionId", "slug", "outcomes", "active", "closed"] {
        let mut market = wire();
        market.as_object_mut().unwrap().remove(field);
        assert_eq!(gamma::market(market.to_string().as_bytes()).unwrap_err().code(), "bad_shape", "{field}");
    }
}

fn uma(status: &str, edits: &[(&str, Value)]) -> Value {
    let mut all = json!({
        "condition_id": CONDITION, "status": status, "was_disputed": false, "proposed_price": "1",
        "last_update_timestamp": 1_780_000_000, "reporter": "UMA_OO", "payouts": null,
    });
    for (field, value) in edits {
        all[field] = value.clone();
    }
    all
}

#[test]
fn trap_12_a_proposal_is_not_an_end_and_may_be_disputed_and_changed() {
    let read = |value: Value| resolution(value.to_string().as_bytes());
    let states =
        ["initialized", "posed", "proposed", "challenged", "reproposed", "disputed", "active", "arbitration"];
    let phases: Vec<String> = states
        .iter()
        .map(|status| read(uma(status, &[])).unwrap().row.phase)
        .map(|phase| format!("{phase:?}"))
        .collect();
    assert_eq!(
        phases,
        ["Changed", "Changed", "Determined", "Disputed", "Determined", "Disputed", "Changed", "Disputed"]
    );
    let proposed = read(uma("proposed", &[])).unwrap();
    assert_eq!((proposed.payout, proposed.row.payout), (None, Some(Ppm::ONE)));
    // The second proposal says otherwise; 69 is UMA's mark for none.
    let again =
        read(uma("reproposed", &[("reproposed_price", json!("0")), ("was_disputed", json!(true))])).unwrap();
    assert_eq!((again.row.payout, again.was_disputed), (Some(Ppm(0)), true));
    assert_eq!(read(uma("posed", &[("proposed_price", json!("69"))])).unwrap().proposed, None);
    for (payouts, want) in [
        (json!([1_000_000, 0]), Ok(Some(Ppm::ONE))),
        (json!(["500000", "500000"]), Ok(Some(Ppm::HALF))),
        (json!([0, 0]), Ok(None)),
        (json!([600_000, 400_000]), Err("bad_field")),
        (json!([1_000_000, 1_000_000]), Err("bad_field")),
        (json!([1_000_000]), Err("misaligned")),
        (Value::Null, Err("bad_shape")),
    ] {
        let got = read(uma("resolved", &[("payouts", payouts.clone())]));
        assert_eq!(got.map(|r| r.payout).map_err(|error| error.code()), want, "{payouts}");
    }
    // Legacy: resolved with nothing for anybody is no resolution.
    let legacy = read(uma("resolved", &[("payouts", json!([0, 0]))])).unwrap().row;
    assert_eq!((legacy.phase, legacy.payout), (Phase::Closed, None));
    assert_eq!(read(uma("settled", &[])).unwrap_err().code(), "bad_field");
    let list = json!([uma("proposed", &[]), { "status": "proposed" }]).to_string();
    let list = resolutions(list.as_bytes()).unwrap();
    assert_eq!((list[0].as_ref().unwrap().state, list[1].is_err()), (UmaState::Proposed, true));
}

#[test]
fn the_clobs_other_answers() {
    let info = clob::info(br#"{"t":[{"t":"11","o":"Yes"},{"t":"22","o":"No"}],"mts":0.01,"mos":5,"nr":true,"fd":{"r":0.07,"e":1,"to":true}}"#).unwrap();
    assert_eq!((info.rate, info.exponent, info.taker_only), (Some(70_000), Some(1_000_000), Some(true)));
    assert_eq!(
        (info.tick, info.min_size, info.neg_risk, info.tokens.len()),
        (10_000, Some(5_000_000), true, 2)
    );
    assert!(clob::info(br#"{"t":[],"fd":null}"#).is_err(), "without a grid");
    assert_eq!(clob::tick_size(br#"{"minimum_tick_size":"0.0025"}"#), Ok(2_500));
    assert!(clob::tick_size(br#"{"minimum_tick_size":0}"#).is_err());
    let history =
        clob::prices_history(br#"{"history":[{"t":1780000000,"p":0.455},{"t":1780000060,"p":1}]}"#).unwrap();
    assert_eq!(history[0], (Timestamp::from_secs(1_780_000_000), 455_000));
    assert_eq!(clob::chunks(0, 250, 100), [(0, 100), (100, 200), (200, 250)]);
    assert!(clob::books(br#"[{"asset_id":"1","timestamp":"1","bids":[]}]"#).is_err(), "a side is absent");
}

#[test]
fn condition_ids_are_asked_for_by_the_hundred_and_pages_end() {
    let ids: Vec<String> = (0..250).map(|n| format!("0x{n:064x}")).collect();
    let sizes: Vec<usize> =
        gamma::condition_paths(&ids).iter().map(|path| path.matches("condition_ids=").count()).collect();
    assert_eq!(sizes, [100, 100, 50]);
    let first = Paging::Offset { offset: 0, limit: 100 };
    let second = first.after(100, None);
    assert_eq!(second.path("/markets?closed=false").unwrap(), "/markets?closed=false&limit=100&offset=100");
    assert_eq!((second.after(40, None), second.after(0, None)), (Paging::End, Paging::End));
    let keyset = Paging::Keyset { cursor: None, limit: 50 }.after(50, Some("abc"));
    assert_eq!(keyset.path("/events/keyset?x").unwrap(), "/events/keyset?x&limit=50&after_cursor=abc");
    assert_eq!((keyset.after(50, Some("abc")), keyset.after(50, None)), (Paging::End, Paging::End));
    assert_eq!(Paging::End.path("/x?"), None);
}

#[test]
fn a_bucket_lets_through_what_the_limit_allows() {
    let mut bucket = TokenBucket::new(4, WINDOW_NS);
    let start = Timestamp::from_secs(1_000);
    assert_eq!((0..6).filter(|_| bucket.take(start)).count(), 4);
    let next = bucket.ready_at(start);
    assert_eq!(next, start.plus(WINDOW_NS / 4));
    assert!(!bucket.take(next.plus(-1)) && bucket.take(next) && !bucket.take(next));
    let mut all = Buckets::default();
    let taken = (0..1_000).filter(|_| all.take(HOST_GAMMA, "/markets?limit=1", start).is_ok()).count();
    assert_eq!(taken, 300);
    assert!(all.take(HOST_GAMMA, "/events?slug=a", start).is_ok());
    let later = all.take(HOST_GAMMA, "/markets", start).unwrap_err();
    assert!(all.take(HOST_GAMMA, "/markets", later).is_ok());
    assert_eq!((0..1_000).filter(|_| all.take(HOST_DATA, "/positions", start).is_ok()).count(), 150);
}

#[test]
fn a_new_market_is_waited_for_within_bounds() {
    assert_eq!(Listing::answer_of(404, 0), Answer::NotYet);
    assert_eq!(Listing::answer_of(200, 0), Answer::NotYet);
    assert_eq!((Listing::answer_of(200, 2), Listing::answer_of(429, 0)), (Answer::Known, Answer::Failed));
    let mut now = Timestamp::from_secs(0);
    let mut listing = Listing::new(CONDITION.to_owned(), now);
    let mut waits = Vec::new();
    while let Step::AskAt(at) = listing.step() {
        waits.push(at.since(now) / NANOS_PER_SEC);
        now = at;
        listing.on_answer(Answer::NotYet, now);
    }
    assert_eq!((listing.step(), waits.len()), (Step::GivenUp, 1 + RETRIES as usize));
    assert_eq!(waits[..5], [0, 5, 10, 15, 15]);
    let mut listing = Listing::new(CONDITION.to_owned(), now);
    listing.on_answer(Answer::Failed, now);
    assert_eq!(listing.on_answer(Answer::Known, now), Step::Listed);
    assert_eq!(listing.on_answer(Answer::NotYet, now), Step::Listed);
}
