//! REST answers, requests and the desk that asks within its limits.

use ingest::venue::kalshi::rest::{self, MarketsQuery, StatusFilter, StrikeType, TradesQuery, request};
use ingest::venue::kalshi::{Audit, KalshiConfig};
use schemas::{BookSide, BookState, GapReason, Phase, TapeBody, Timestamp};
use serde_json::Value;

use crate::support::{Bench, delta, recording, session, snapshot};
use crate::traps::two_books;

/// A market object with the fields that matter.
pub(crate) fn market_object(ticker: &str, status: &str, result: &str, value: &str) -> String {
    format!(
        r#"{{"ticker":"{ticker}","event_ticker":"E","market_type":"binary","status":"{status}","result":"{result}","settlement_value_dollars":{value},"settlement_timer_seconds":120,"open_time":"2026-08-09T01:55:00Z","close_time":"2026-08-15T01:40:00Z","can_close_early":true,"rules_primary":"r","rules_secondary":"","price_level_structure":"linear_cent","price_ranges":[{{"start":"0.0000","end":"1.0000","step":"0.0100"}}],"yes_bid_dollars":"0.0000","yes_ask_dollars":"0.0100","last_price_dollars":"0.0100","volume_fp":"2.00","open_interest_fp":"1.50"}}"#
    )
}

#[test]
fn the_recorded_market_decodes() {
    let Some(text) = recording("thesneakattack_kalshi-whale-poc__sample_market_response_2026-08.json") else {
        return;
    };
    let market: rest::Market = rest::decode(text.as_bytes()).unwrap();
    assert_eq!(market.ticker, "KXMLBGAME-26AUG112140MILSD-MIL");
    assert_eq!((market.settlement_timer_seconds, market.strike_type), (120, Some(StrikeType::Structured)));
    assert_eq!(market.price_ranges.len(), 1);
    assert_eq!((market.price_ranges[0].start, market.price_ranges[0].end), (0, 1_000_000));
    assert_eq!(market.price_ranges[0].step, 10_000);
    assert_eq!((market.volume.0, market.open_interest.0), (289_230_690, 228_623_205));
    assert_eq!(market.close_time.0, Timestamp::from_secs(1_786_758_000));
    let told = market.told().unwrap();
    assert_eq!((told.phase, told.payout, told.said), (Phase::Active, None, "active"));
    assert!(market.custom_strike.is_some() && market.mve_selected_legs.is_none());
}

#[test]
fn fields_of_a_market_that_decide_something_are_never_guessed() {
    let Some(text) = recording("thesneakattack_kalshi-whale-poc__sample_market_response_2026-08.json") else {
        return;
    };
    let market: Value = serde_json::from_str(&text).unwrap();
    let needed = [
        "ticker",
        "event_ticker",
        "market_type",
        "status",
        "result",
        "settlement_timer_seconds",
        "open_time",
        "close_time",
        "can_close_early",
        "rules_primary",
        "rules_secondary",
        "price_level_structure",
        "price_ranges",
        "yes_bid_dollars",
        "yes_ask_dollars",
        "last_price_dollars",
        "volume_fp",
        "open_interest_fp",
    ];
    for field in needed {
        let mut gone = market.clone();
        let value = gone.as_object_mut().unwrap().remove(field).unwrap();
        assert!(rest::decode::<rest::Market>(gone.to_string().as_bytes()).is_err(), "{field} deleted");
        let mut null = market.clone();
        null[field] = Value::Null;
        assert!(rest::decode::<rest::Market>(null.to_string().as_bytes()).is_err(), "{field} nulled");
        let mut other = market.clone();
        other[field] = if value.is_string() { Value::from(1) } else { Value::from("x") };
        assert!(rest::decode::<rest::Market>(other.to_string().as_bytes()).is_err(), "{field} retyped");
    }
    for (field, bad) in [("status", "settled"), ("market_type", "ternary"), ("strike_type", "about")] {
        let mut other = market.clone();
        other[field] = Value::from(bad);
        assert!(rest::decode::<rest::Market>(other.to_string().as_bytes()).is_err(), "{field} {bad}");
    }
}

#[test]
fn recorded_orderbooks_equal_the_sequenced_snapshots() {
    let (Some(text), Some(frames)) =
        (recording("jfreun123_kalshi-market-maker__rest-orderbooks_2026-07-01.jsonl"), session())
    else {
        return;
    };
    let mut bench = Bench::connected(KalshiConfig::capture());
    frames.iter().take(10).for_each(|frame| bench.frame(frame));
    let mut seen = 0;
    for line in text.lines() {
        let exchange: Value = serde_json::from_str(line).unwrap();
        let body = exchange["response_body"].as_str().unwrap();
        let url = exchange["url"].as_str().unwrap();
        let ticker = url.split('/').rev().nth(1).unwrap();
        assert!(url.ends_with(&request::orderbook(ticker).unwrap()));
        let reply: rest::OrderbookReply = rest::decode(body.as_bytes()).unwrap();
        assert!(!reply.orderbook_fp.book().crossed());
        assert_eq!(bench.machine.audit(ticker, body.as_bytes()), Ok(Audit::Equal), "{ticker}");
        seen += 1;
    }
    assert_eq!((seen, bench.counts().audits_ok, bench.counts().audits_bad), (5, 5, 0));
    // Without a side, or with one under another name, there is no book.
    for bad in [
        r#"{"orderbook_fp":{"yes_dollars":[]}}"#,
        r#"{"orderbook_fp":{"yes_dollars":[],"no":[]}}"#,
        r#"{"orderbook":{"yes":[[15,100]],"no":[]}}"#,
        r#"{"orderbook_fp":{"yes_dollars":[["0.1","1"],["0.10","2"]],"no_dollars":null}}"#,
    ] {
        assert!(rest::decode::<rest::OrderbookReply>(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(
        rest::decode::<rest::OrderbookReply>(br#"{"orderbook_fp":{"yes_dollars":null,"no_dollars":[]}}"#)
            .is_ok()
    );
}

#[test]
fn an_audit_condemns_only_a_book_that_stood_still() {
    let mut bench = two_books();
    let right = r#"{"orderbook_fp":{"yes_dollars":[["0.4000","10.00"]],"no_dollars":[["0.5500","7.00"]]}}"#;
    let wrong = right.replace("10.00", "11.00");
    let mut out = Vec::new();
    bench.machine.ask_audit("A", &mut out);
    assert!(out.is_empty(), "no REST host, no request");
    let mut bench = two_books_with_rest();
    bench.fetched();
    bench.machine.ask_audit("A", &mut out);
    bench.reply(2, 200, right);
    assert_eq!((bench.counts().audits_ok, bench.counts().audits_bad), (1, 0));
    bench.machine.ask_audit("A", &mut out);
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "1.00"));
    bench.reply(3, 200, right);
    assert_eq!(
        (bench.counts().audits_ok, bench.counts().audits_bad),
        (1, 0),
        "it moved meanwhile: asked again"
    );
    assert_eq!(bench.fetched(), [(4, "/markets/A/orderbook".to_owned())]);
    bench.reply(4, 200, &wrong);
    assert_eq!(bench.counts().audits_ok, 2);
    bench.machine.ask_audit("A", &mut out);
    bench.reply(5, 200, right);
    assert_eq!(bench.counts().audits_bad, 1);
    assert!(matches!(bench.state("A"), BookState::Gap { reason: GapReason::Audit, .. }));
    assert_eq!(bench.sent()[0]["params"]["action"], "get_snapshot");
    bench.frame(&snapshot(4, 4, "A", &[("0.4000", "10.00")], &[]));
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 1_000)]);
}

fn two_books_with_rest() -> Bench {
    let config = KalshiConfig { trade: false, rest: true, ..KalshiConfig::books(&["A", "B"]) };
    let mut bench = Bench::connected(config);
    let id = bench.sent().iter().find(|sent| sent["cmd"] == "subscribe").unwrap()["id"].as_u64().unwrap();
    bench.frame(&crate::support::subscribed(id, "orderbook_delta", 4));
    bench.frame(&snapshot(4, 1, "A", &[("0.4000", "10.00")], &[("0.5500", "7.00")]));
    bench.frame(&snapshot(4, 2, "B", &[("0.2000", "1.00")], &[("0.7000", "2.00")]));
    bench.reply(1, 200, r#"{"exchange_active":true,"trading_active":true}"#);
    bench
}

#[test]
fn a_pause_of_the_exchange_ages_the_books_until_it_ends() {
    let mut bench = two_books_with_rest();
    assert!(bench.live("A") && !bench.machine.paused());
    for _ in 0..3 {
        bench.pass(10_000);
        bench.frame("heartbeat");
    }
    let polled = bench.fetched();
    assert_eq!(polled, [(2, "/exchange/status".to_owned())], "every 30 s");
    bench.reply(2, 200, r#"{"exchange_active":true,"trading_active":false,"exchange_estimated_resume_time":"2026-08-09T01:55:00Z"}"#);
    assert!(bench.machine.paused());
    assert!(matches!(bench.state("A"), BookState::Stale { .. }));
    bench.frame(&delta(4, 3, "A", "yes", "0.4000", "1.00"));
    assert!(matches!(bench.state("A"), BookState::Stale { .. }));
    for _ in 0..3 {
        bench.pass(10_000);
        bench.frame("heartbeat");
    }
    bench.reply(3, 200, r#"{"exchange_active":true,"trading_active":true}"#);
    assert!(bench.live("A") && bench.live("B"));
    assert_eq!(bench.side("A", BookSide::Bid), [(400_000, 1_100)]);
    let phases: Vec<Phase> = bench
        .told()
        .into_iter()
        .filter_map(|body| match body {
            TapeBody::Lifecycle(row) if row.market == "exchange" => Some(row.phase),
            _ => None,
        })
        .collect();
    assert_eq!(phases, [Phase::Paused, Phase::Active]);
    // A status without the field is no status.
    for _ in 0..3 {
        bench.pass(10_000);
        bench.frame("heartbeat");
    }
    bench.reply(4, 200, r#"{"exchange_active":true}"#);
    assert_eq!(bench.counts().quarantined, 1);
}

#[test]
fn requests_keep_to_the_token_bucket_and_failures_are_asked_again() {
    let mut bench = two_books_with_rest();
    bench.fetched();
    let tickers: Vec<String> = (0..3_000).map(|n| format!("T{n}")).collect();
    let names: Vec<&str> = tickers.iter().map(String::as_str).collect();
    bench.machine.look_up(&names, &mut Vec::new());
    bench.pass(1);
    // 200 tokens and 10 a request: 20 at once, less the status, then 20 a second.
    let mut asked = Vec::new();
    for _ in 0..20 {
        bench.pass(100);
        bench.frame("heartbeat");
        asked.extend(bench.fetched());
    }
    assert_eq!(asked.len() + 19, 30);
    let (request, _) = asked[0].clone();
    bench.reply(request, 429, r#"{"error":"too many requests"}"#);
    assert_eq!(bench.counts().failed_requests, 1);
    bench.pass(1_200);
    assert_eq!(bench.fetched().len(), 1);
    bench.reply(request, 200, "{}");
    assert_eq!(bench.counts().stray, 1);
}

#[test]
fn a_listing_is_walked_page_by_page() {
    let mut bench = two_books_with_rest();
    bench.fetched();
    let query = MarketsQuery { status: Some(StatusFilter::Open), ..MarketsQuery::default() };
    bench.machine.list_markets(&query, &mut Vec::new()).unwrap();
    let page = |ticker: &str, cursor: &str| {
        format!(r#"{{"markets":[{}],"cursor":"{cursor}"}}"#, market_object(ticker, "active", "", "null"))
    };
    bench.reply(2, 200, &page("P1", "c/1"));
    assert_eq!(bench.fetched(), [(3, "/markets?limit=1000&status=open&cursor=c%2F1".to_owned())]);
    bench.reply(3, 200, &page("P2", ""));
    assert!(bench.fetched().is_empty());
    assert!(bench.machine.lives().get("P1").is_some() && bench.machine.lives().get("P2").is_some());
}

#[test]
fn filters_that_the_venue_refuses_are_refused_with_a_code() {
    let at = |secs| Some(Timestamp::from_secs(secs));
    let base = MarketsQuery::default;
    let legal = MarketsQuery { status: Some(StatusFilter::Settled), settled: (at(5), at(9)), ..base() };
    assert_eq!(
        request::markets(&legal).unwrap(),
        "/markets?limit=1000&status=settled&min_settled_ts=5&max_settled_ts=9"
    );
    let legal = MarketsQuery { combinations: Some(false), tickers: &["A", "B"], limit: 7, ..base() };
    assert_eq!(request::markets(&legal).unwrap(), "/markets?limit=7&tickers=A%2CB&mve_filter=exclude");
    let many: Vec<&str> = vec!["T"; 101];
    for (query, code) in [
        (MarketsQuery { limit: 0, ..base() }, "bad_limit"),
        (MarketsQuery { limit: 1_001, ..base() }, "bad_limit"),
        (MarketsQuery { created: (at(1), None), close: (None, at(2)), ..base() }, "bad_time_filters"),
        (
            MarketsQuery { created: (at(1), None), status: Some(StatusFilter::Closed), ..base() },
            "bad_time_filters",
        ),
        (
            MarketsQuery { close: (at(1), None), status: Some(StatusFilter::Open), ..base() },
            "bad_time_filters",
        ),
        (
            MarketsQuery { settled: (at(1), None), status: Some(StatusFilter::Closed), ..base() },
            "bad_time_filters",
        ),
        (MarketsQuery { updated: at(1), status: Some(StatusFilter::Open), ..base() }, "bad_time_filters"),
        (MarketsQuery { updated: at(1), settled: (at(1), None), ..base() }, "bad_time_filters"),
        (MarketsQuery { close: (at(9), at(1)), ..base() }, "bad_stretch"),
        (MarketsQuery { tickers: &many, ..base() }, "bad_ticker_count"),
        (MarketsQuery { tickers: &[""], ..base() }, "empty_ticker"),
    ] {
        assert_eq!(request::markets(&query).unwrap_err().code(), code, "{query:?}");
    }
    let (from, to) = (Timestamp::from_secs(0), Timestamp::from_secs(86_400));
    assert_eq!(
        request::candles("KXS", "KXS-A", 60, from, to).unwrap(),
        "/series/KXS/markets/KXS-A/candlesticks?period_interval=60&start_ts=0&end_ts=86400"
    );
    assert_eq!(request::candles("S", "A", 5, from, to).unwrap_err().code(), "bad_interval");
    assert_eq!(request::batch_candles(&["A"; 8], 1, from, to).unwrap_err().code(), "too_many_candles");
    assert!(request::batch_candles(&["A"; 6], 1, from, to).is_ok());
    assert_eq!(request::orderbooks(&[]).unwrap_err().code(), "bad_ticker_count");
    assert_eq!(request::market("a/b?c").unwrap(), "/markets/a%2Fb%3Fc");
    let trades = TradesQuery { ticker: Some("A"), span: (at(3), None), ..TradesQuery::default() };
    assert_eq!(request::trades(&trades, true).unwrap(), "/historical/trades?limit=1000&ticker=A&min_ts=3");
}

#[test]
fn candles_trades_events_and_limits_decode() {
    let side = r#"{"open_dollars":"0.4000","low_dollars":"0.3900","high_dollars":"0.4100","close_dollars":"0.4000"}"#;
    let empty = r#"{"open_dollars":null,"low_dollars":null,"high_dollars":null,"close_dollars":null,"mean_dollars":null,"previous_dollars":"0.3800"}"#;
    let text = format!(
        r#"{{"ticker":"A","candlesticks":[{{"end_period_ts":1786758000,"yes_bid":{side},"yes_ask":{side},"price":{empty},"volume_fp":"0.00","open_interest_fp":"5.00"}}]}}"#
    );
    let candles: rest::Candles = rest::decode(text.as_bytes()).unwrap();
    let row = candles.candlesticks[0].row(60, Timestamp::from_secs(1_786_758_000)).unwrap();
    assert_eq!((row.open, row.close, row.volume, row.closed), (None, None, 0, true));
    assert_eq!((row.start, row.interval_s), (Timestamp::from_secs(1_786_754_400), 3_600));
    // The old names are the historical ones, and the other way round nothing is read.
    let old = text.replace("_dollars", "").replace("_fp", "");
    let historical: rest::HistoricalCandles = rest::decode(old.as_bytes()).unwrap();
    assert_eq!(historical.candlesticks, candles.candlesticks);
    assert!(rest::decode::<rest::Candles>(old.as_bytes()).is_err());
    assert!(rest::decode::<rest::HistoricalCandles>(text.as_bytes()).is_err());
    let half = text.replace(r#""open_dollars":null"#, r#""open_dollars":"0.4000""#);
    let half: rest::Candles = rest::decode(half.as_bytes()).unwrap();
    assert!(half.candlesticks[0].row(60, Timestamp::ZERO).is_err());

    let trades: rest::Trades = rest::decode(br#"{"trades":[{"trade_id":"d91bc706-ee49-470d-82d8-11418bda6fed","ticker":"A","count_fp":"1.50","yes_price_dollars":"0.3600","no_price_dollars":"0.6400","taker_outcome_side":"yes","taker_book_side":"bid","is_block_trade":true,"created_time":"2026-08-09T01:45:46.229855Z"}],"cursor":""}"#).unwrap();
    let (row, at) = trades.trades[0].row().unwrap();
    assert_eq!((row.price, row.qty, row.taker, row.block), (360_000, 150, Some(BookSide::Bid), true));
    assert_eq!(at, Timestamp(1_786_239_946_229_855_000));

    let events: rest::Events = rest::decode(br#"{"events":[{"event_ticker":"E","series_ticker":"S","title":"t","sub_title":"","mutually_exclusive":true,"collateral_return_type":"MECNET","fee_type_override":"flat","fee_multiplier_override":0.5}],"cursor":"n"}"#).unwrap();
    assert_eq!(events.events[0].fee_multiplier_override, Some(rest::Factor(500_000)));
    let series: rest::SeriesList = rest::decode(br#"{"series":[{"ticker":"S","title":"t","category":"c","frequency":"daily","fee_type":"quadratic","fee_multiplier":1,"settlement_sources":null}]}"#).unwrap();
    assert_eq!(series.series[0].fee_multiplier, rest::Factor(1_000_000));
    let changes: rest::FeeChanges = rest::decode(br#"{"series_fee_change_arr":[{"id":"1","series_ticker":"S","fee_type":"flat","fee_multiplier":0.07,"scheduled_ts":"2026-01-01T00:00:00Z"}]}"#).unwrap();
    assert_eq!(changes.series_fee_change_arr[0].fee_multiplier, rest::Factor(70_000));
    let changes: rest::EventFeeChanges = rest::decode(br#"{"event_fee_changes":[{"id":"1","event_ticker":"E","series_ticker":"S","fee_type_override":null,"fee_multiplier_override":null,"scheduled_ts":"2026-01-01T00:00:00Z"}]}"#).unwrap();
    assert_eq!(changes.event_fee_changes[0].fee_type_override, None);
    assert!(
        rest::decode::<rest::EventFeeChanges>(
            br#"{"event_fee_changes":[{"id":"1","event_ticker":"E","scheduled_ts":"2026-01-01T00:00:00Z"}]}"#
        )
        .is_err()
    );
    let limits: rest::AccountLimits = rest::decode(br#"{"usage_tier":"basic","read":{"refill_rate":200,"bucket_capacity":200},"write":{"refill_rate":100,"bucket_capacity":200}}"#).unwrap();
    assert_eq!((limits.read.refill_rate, limits.write.bucket_capacity), (200, 200));
    let costs: rest::EndpointCosts =
        rest::decode(br#"{"default_cost":10,"endpoint_costs":[{"method":"GET","path":"/x","cost":2}]}"#)
            .unwrap();
    assert_eq!((costs.default_cost, costs.endpoint_costs[0].cost), (rest::DEFAULT_COST, 2));
    let cutoff: rest::Cutoff = rest::decode(br#"{"market_settled_ts":"2026-01-01T00:00:00Z","trades_created_ts":"2026-01-01T00:00:00Z","orders_updated_ts":"2026-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(cutoff.market_settled_ts.0, Timestamp::from_secs(1_767_225_600));
    let hours = r#"[{"open_time":"08:00","close_time":"03:00"}]"#;
    let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        .map(|day| format!(r#""{day}":{hours}"#))
        .join(",");
    let text = format!(
        r#"{{"schedule":{{"standard_hours":[{{"start_time":"2026-01-01T00:00:00Z","end_time":"2027-01-01T00:00:00Z",{days}}}],"maintenance_windows":[{{"start_datetime":"2026-01-01T00:00:00Z","end_datetime":"2026-01-01T01:00:00Z"}}]}}}}"#
    );
    let schedule: rest::Schedule = rest::decode(text.as_bytes()).unwrap();
    assert_eq!(schedule.schedule.standard_hours[0].friday[0].open_time, "08:00");
    assert!(rest::decode::<rest::Schedule>(text.replace("\"friday\"", "\"freitag\"").as_bytes()).is_err());
}
