//! Gamma's event objects: recorded ones, damaged ones, and what counts as a quote or a resolution.

use ingest::IngestError;
use ingest::venue::polymarket::gamma::{self, Expected, GammaEvent};
use ingest::venue::polymarket::rfc3339_secs;
use schemas::{Ppm, Price, Timestamp};
use serde_json::Value;

use crate::recorded::{self, RecordedMarket};

fn decode(body: &str, slug: &str) -> Result<Option<GammaEvent>, IngestError> {
    let start = slug.rsplit('-').next().unwrap().parse().unwrap_or(0);
    let want = Expected {
        slug,
        symbol: "btc/usd",
        starts_at: Timestamp::from_secs(start),
        closes_at: Timestamp::from_secs(start + 300),
    };
    gamma::decode(body.as_bytes(), &want)
}

fn code(result: &Result<Option<GammaEvent>, IngestError>) -> &'static str {
    match result {
        Ok(Some(_)) => "ok",
        Ok(None) => "absent",
        Err(error) => error.code(),
    }
}

fn second_market() -> Option<RecordedMarket> {
    recorded::markets().map(|mut markets| markets.remove(1))
}

#[test]
fn the_recorded_day_decodes() {
    let Some(markets) = recorded::markets() else { return };
    for m in &markets {
        let body = recorded::event(&m.slug, m.strike.as_deref(), &m.raw);
        let event = decode(&body, &m.slug).unwrap().unwrap();
        assert_eq!(event.market.strike.map(|s| s.to_string()), m.strike, "{}", m.slug);
        assert_eq!(event.market.token_ids, m.token_ids);
        assert_eq!((event.market.starts_at.secs(), event.market.closes_at.secs()), (m.start_s, m.end_s));
        assert_eq!(event.market.fee_rate, Some(Ppm(70_000)));
        assert_eq!(event.up_paid, Some(if m.up_paid == "1" { Ppm::ONE } else { Ppm(0) }));
        assert_eq!(event.top, Ok(None), "what a closed market shows is no quote");
        let open =
            decode(&recorded::event(&m.slug, None, &recorded::opened(&m.raw)), &m.slug).unwrap().unwrap();
        let top = open.top.unwrap().unwrap();
        assert_eq!((top.bid, top.ask), (Some(Price(500_000)), Some(Price(510_000))));
        assert_eq!((open.up_paid, open.market.strike), (None, None));
    }
}

#[test]
fn every_fixture_is_read_or_refused_for_the_right_reason() {
    let Some(text) = recorded::fixture("gamma_market") else { return };
    let market: Value = serde_json::from_str(&text).unwrap();
    let event =
        decode(&recorded::event("btc-updown-5m-1773307200", None, &market), "btc-updown-5m-1773307200");
    let event = event.unwrap().unwrap();
    assert_eq!((event.market.fee_rate, event.market.strike, event.up_paid), (None, None, None));
    let top = event.top.unwrap().unwrap();
    assert_eq!((top.bid, top.ask), (Some(Price(500_000)), Some(Price(510_000))));

    for (name, expected) in [
        ("gamma_market_closed_binary_accepting_false", "bad_outcomes"),
        ("gamma_market_closed_binary_accepting_true", "bad_outcomes"),
        ("gamma_market_closed_nonbinary_legacy", "bad_outcomes"),
        ("gamma_market_closed_zero_zero_legacy", "bad_outcomes"),
        ("gamma_market_sports_market_map_handicap", "bad_outcomes"),
        ("gamma_market_sports_market_money_line", "bad_outcomes"),
    ] {
        let market: Value = serde_json::from_str(&recorded::fixture(name).unwrap()).unwrap();
        let slug = market["slug"].as_str().unwrap();
        assert_eq!(code(&decode(&recorded::event(slug, None, &market), slug)), expected, "{name}");
    }
    for (name, slug, expected) in [
        ("gamma_event", "democratic-presidential-nominee-2028", "market_missing"),
        ("gamma_event", "btc-updown-5m-1773307200", "wrong_event"),
        ("gamma_market", "btc-updown-5m-1773307200", "bad_shape"),
        ("gamma_tags", "btc-updown-5m-1773307200", "bad_shape"),
        ("search_response", "btc-updown-5m-1773307200", "bad_shape"),
        ("clob_book_response", "btc-updown-5m-1773307200", "bad_shape"),
    ] {
        assert_eq!(code(&decode(&recorded::fixture(name).unwrap(), slug)), expected, "{name} as {slug}");
    }
}

/// What the fixtures' prices mean, once their outcomes are called Up and Down.
#[test]
fn resolution_is_strict() {
    let Some(m) = second_market() else { return };
    let resolve = |closed: bool, outcomes: &str, prices: &str, uma: Value| {
        let mut market = m.raw.clone();
        market["closed"] = Value::Bool(closed);
        market["outcomes"] = Value::from(outcomes);
        market["outcomePrices"] = Value::from(prices);
        market["umaResolutionStatus"] = uma;
        let event = decode(&recorded::event(&m.slug, None, &market), &m.slug);
        event.map(|e| e.unwrap().up_paid.map(|p| p.0)).map_err(|e| e.code())
    };
    let (up, down, resolved) = (r#"["Up", "Down"]"#, r#"["Down", "Up"]"#, Value::from("resolved"));
    for (prices, expected) in [
        (r#"["1", "0"]"#, Ok(Some(1_000_000))),
        (r#"["0", "1"]"#, Ok(Some(0))),
        (r#"["1.0", "0.000"]"#, Ok(Some(1_000_000))),
        (r#"["0.5", "0.5"]"#, Ok(Some(500_000))),
        (r#"["0", "0"]"#, Ok(None)),
        (r#"["1", "1"]"#, Ok(None)),
        (r#"["0.9995", "0.0005"]"#, Ok(None)),
        (r#"["0.58433116", "0.41566883"]"#, Ok(None)),
        (r#"["x", "0"]"#, Ok(None)),
        (r#"["1"]"#, Err("bad_outcome_prices")),
        (r#"["1", "0", "0"]"#, Err("bad_outcome_prices")),
        ("[1, 0]", Err("bad_outcome_prices")),
        ("", Err("bad_outcome_prices")),
    ] {
        assert_eq!(resolve(true, up, prices, resolved.clone()), expected, "{prices}");
    }
    assert_eq!(
        resolve(true, down, r#"["1", "0"]"#, resolved.clone()),
        Ok(Some(0)),
        "by name, not by position"
    );
    assert_eq!(resolve(false, up, r#"["1", "0"]"#, resolved), Ok(None), "not closed");
    assert_eq!(resolve(true, up, r#"["1", "0"]"#, Value::from("disputed")), Ok(None));
    assert_eq!(resolve(true, up, r#"["1", "0"]"#, Value::Null), Ok(Some(1_000_000)));
}

#[test]
fn outcomes_and_tokens_are_matched_by_name() {
    let Some(m) = second_market() else { return };
    let mut market = recorded::opened(&m.raw);
    market["outcomes"] = Value::from(r#"["Down", "Up"]"#);
    let event = decode(&recorded::event(&m.slug, None, &market), &m.slug).unwrap().unwrap();
    assert_eq!(event.market.token_ids, [m.token_ids[1].clone(), m.token_ids[0].clone()]);
    let top = event.top.unwrap().unwrap();
    assert_eq!(
        (top.bid, top.ask),
        (Some(Price(490_000)), Some(Price(500_000))),
        "complement of Down's quote"
    );
    for (field, value, expected) in [
        ("outcomes", r#"["Yes", "No"]"#, "bad_outcomes"),
        ("outcomes", r#"["Up", "Up"]"#, "bad_outcomes"),
        ("outcomes", r#"["Up", "Down", "Flat"]"#, "bad_outcomes"),
        ("outcomes", "Up, Down", "bad_outcomes"),
        ("clobTokenIds", r#"["1"]"#, "bad_tokens"),
        ("clobTokenIds", r#"["1", "1"]"#, "bad_tokens"),
        ("clobTokenIds", r#"["1", "0x2"]"#, "bad_tokens"),
        ("clobTokenIds", r#"["1", ""]"#, "bad_tokens"),
        ("clobTokenIds", "[]", "bad_tokens"),
        ("conditionId", "0x12", "bad_condition_id"),
        ("conditionId", "", "bad_condition_id"),
        ("endDate", "2026-06-08T00:10:00Z", "interval_mismatch"),
        ("endDate", "2026-06-08", "bad_time"),
        ("eventStartTime", "2026-06-08T00:00:01Z", "interval_mismatch"),
        ("resolutionSource", "https://data.chain.link/streams/eth-usd", "wrong_basis"),
        ("slug", "btc-updown-5m-1", "market_missing"),
    ] {
        let mut market = m.raw.clone();
        market[field] = Value::from(value);
        assert_eq!(
            code(&decode(&recorded::event(&m.slug, None, &market), &m.slug)),
            expected,
            "{field}={value}"
        );
    }
}

#[test]
fn quotes_and_placeholders() {
    let Some(m) = second_market() else { return };
    let quote = |bid: &str, ask: &str| {
        let mut market = recorded::opened(&m.raw).to_string();
        market = market.replace(r#""bestBid":0.5"#, &format!(r#""bestBid":{bid}"#));
        market = market.replace(r#""bestAsk":0.51"#, &format!(r#""bestAsk":{ask}"#));
        let body = format!(r#"[{{"slug":"{}","markets":[{market}]}}]"#, m.slug);
        let top = decode(&body, &m.slug).unwrap().unwrap().top;
        top.map(|t| t.map(|t| (t.bid.map(|p| p.0), t.ask.map(|p| p.0)))).map_err(|e| e.code())
    };
    for (bid, ask, expected) in [
        ("0.505", "0.507", Ok(Some((Some(505_000), Some(507_000))))),
        ("0.01", "0.99", Ok(Some((None, None)))),
        ("0.001", "0.999", Ok(Some((None, None)))),
        ("0.01", "0.98", Ok(Some((Some(10_000), Some(980_000))))),
        ("0", "1", Ok(Some((None, None)))),
        ("null", "0.51", Ok(Some((None, Some(510_000))))),
        ("0.5", "null", Ok(Some((Some(500_000), None)))),
        ("0.5", "0.5", Err("crossed_quote")),
        ("0.6", "0.5", Err("crossed_quote")),
        ("1.2", "0.5", Err("bad_number")),
        ("-0.1", "0.5", Err("bad_number")),
        ("1e-3", "0.5", Err("bad_number")),
        (r#""0.5""#, "0.6", Err("bad_number")),
    ] {
        assert_eq!(quote(bid, ask), expected, "{bid} {ask}");
    }
}

#[test]
fn strikes_are_exact_or_refused() {
    let Some(m) = second_market() else { return };
    for (strike, expected) in [
        ("63304.200301195075", Ok(Some("63304.200301195075"))),
        ("63304", Ok(Some("63304"))),
        ("null", Ok(None)),
        ("0", Err("bad_number")),
        ("-1", Err("bad_number")),
        ("6.3e4", Err("bad_number")),
        (r#""63304.2""#, Err("bad_number")),
        ("[]", Err("bad_number")),
    ] {
        let event = decode(&recorded::event(&m.slug, Some(strike), &m.raw), &m.slug);
        let got = event.map(|e| e.unwrap().market.strike.map(|s| s.to_string())).map_err(|e| e.code());
        assert_eq!(got, expected.map(|s| s.map(str::to_owned)), "{strike}");
    }
    assert_eq!(code(&decode("[]", &m.slug)), "absent");
}

/// Removes, nulls and retypes every field of a recorded event: refusal or visible absence, never a silent default.
#[test]
fn no_field_has_a_silent_default() {
    let Some(m) = second_market() else { return };
    let required = ["conditionId", "slug", "question", "outcomes", "clobTokenIds", "closed", "endDate"];
    let cross_checks = ["eventStartTime", "umaResolutionStatus", "resolutionSource"];
    let mut seen = 0;
    for market in [m.raw.clone(), recorded::opened(&m.raw)] {
        let whole = decode(&recorded::event(&m.slug, Some("63304.2"), &market), &m.slug).unwrap().unwrap();
        for field in market.as_object().unwrap().keys() {
            for damage in [None, Some(Value::Null), Some(serde_json::json!({"x": 1}))] {
                let mut broken = market.clone();
                let retyped = damage.as_ref().is_some_and(|d| !d.is_null());
                match damage {
                    None => drop(broken.as_object_mut().unwrap().remove(field)),
                    Some(value) => broken[field] = value,
                }
                let got = decode(&recorded::event(&m.slug, Some("63304.2"), &broken), &m.slug);
                let mut expected = whole.clone();
                match field.as_str() {
                    f if required.contains(&f) => {
                        assert_eq!(code(&got), "bad_shape", "{field}");
                        seen += 1;
                        continue;
                    }
                    f if retyped
                        && (cross_checks.contains(&f) || f == "outcomePrices" || f == "acceptingOrders") =>
                    {
                        assert_eq!(code(&got), "bad_shape", "{field}");
                        seen += 1;
                        continue;
                    }
                    "outcomePrices" => expected.up_paid = None,
                    "acceptingOrders" => expected.top = Ok(None),
                    "feeSchedule" => expected.market.fee_rate = None,
                    "bestBid" | "bestAsk" if retyped && expected.top != Ok(None) => {
                        assert_eq!(got.unwrap().unwrap().top.map_err(|e| e.code()), Err("bad_number"));
                        continue;
                    }
                    "bestBid" => {
                        expected.top = expected.top.map(|t| t.map(|t| gamma::Top { bid: None, ..t }));
                    }
                    "bestAsk" => {
                        expected.top = expected.top.map(|t| t.map(|t| gamma::Top { ask: None, ..t }));
                    }
                    _ => {}
                }
                assert_eq!(got.unwrap().unwrap(), expected, "{field}");
            }
        }
    }
    assert_eq!(seen, 2 * (7 * 3 + 3 + 2));
    for (from, to) in
        [(r#""slug":"btc-updown-5m-1780876800","title""#, r#""title""#), (r#""markets":["#, r#""x":["#)]
    {
        let body = recorded::event(&m.slug, None, &m.raw).replacen(from, to, 1);
        assert_eq!(code(&decode(&body, &m.slug)), "bad_shape", "{from}");
    }
}

#[test]
fn times() {
    for (text, expected) in [
        ("2026-06-08T00:05:00Z", Some(1_780_877_100)),
        ("2026-06-08T00:05:00.123456Z", Some(1_780_877_100)),
        ("1970-01-01T00:00:00Z", Some(0)),
        ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
        ("2023-02-29T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-06-31T00:00:00Z", None),
        ("2026-06-08T24:00:00Z", None),
        ("2026-06-08 00:05:00Z", None),
        ("2026-06-08T00:05:00+00:00", None),
        ("2026-06-08T00:05:00.Z", None),
        ("+026-06-08T00:05:00Z", None),
        ("2026-06-08T00:05Z", None),
        ("é026-06-08T00:05:00Z", None),
        ("", None),
    ] {
        assert_eq!(rfc3339_secs(text), expected, "{text}");
    }
}
