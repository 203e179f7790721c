//! No look-ahead: what Gamma says before a market resolves never contains how it ends.

use std::collections::BTreeSet;

use schemas::Timestamp;
use serde_json::Value;
use sim::{Day, DayMarket, gamma};

use crate::client::recorded;

/// Keys of the recorded objects that know, or may know, what happened after the start.
const KNOWS_THE_FUTURE: [&str; 20] = [
    "closedTime",
    "umaEndDate",
    "umaResolutionStatus",
    "umaResolutionStatuses",
    "automaticallyResolved",
    "updatedAt",
    "oneHourPriceChange",
    "lastTradePrice",
    "bestBid",
    "bestAsk",
    "spread",
    "competitive",
    "volume",
    "volumeNum",
    "volume24hr",
    "volumeClob",
    "volume1wk",
    "liquidity",
    "liquidityNum",
    "ready",
];

fn events(day: &Day, m: &DayMarket) -> Vec<(Timestamp, Value)> {
    let second = 1_000_000_000;
    let mut times: Vec<Timestamp> = (0..32).map(|i| m.starts_at.plus((i - 2) * 10 * second)).collect();
    times.extend([m.listed_at, m.starts_at.plus(-1), m.ends_at.plus(-1), m.ends_at, m.resolved_at.plus(-1)]);
    times
        .into_iter()
        .filter(|&t| t < m.resolved_at)
        .map(|t| (t, serde_json::from_str(&gamma::event(day, m, t).unwrap()).unwrap()))
        .collect()
}

#[test]
fn recorded_markets_show_nothing_before_they_resolve() {
    let Some(day) = recorded() else { return };
    let allowed: BTreeSet<&str> = gamma::STATIC.into_iter().chain(gamma::LIVE).collect();
    assert!(KNOWS_THE_FUTURE.iter().all(|key| !gamma::STATIC.contains(key)));
    let mut looked = 0;
    for m in &day.markets {
        for (now, event) in events(&day, m) {
            let market = event["markets"][0].as_object().unwrap();
            assert!(market.keys().all(|k| allowed.contains(k.as_str())), "{} {market:?}", m.slug);
            assert!(KNOWS_THE_FUTURE.iter().all(|&key| !market.contains_key(key)), "{}", m.slug);
            assert_eq!(market["outcomePrices"], r#"["0.5", "0.5"]"#);
            assert_eq!((&market["closed"], &event["closed"]), (&Value::Bool(false), &Value::Bool(false)));
            assert_eq!((&market["active"], &event["active"]), (&Value::Bool(true), &Value::Bool(true)));
            assert_eq!(market["acceptingOrders"], Value::Bool(now < m.ends_at));
            assert_eq!(market["orderPriceMinTickSize"], Value::from(0.01));
            looked += 1;
        }
    }
    assert!(looked > 292 * 30);
}

/// What was served must be the same whatever the final object says of the future: overwrite it all and look again.
#[test]
fn the_final_fields_do_not_reach_the_past() {
    let Some(day) = recorded() else { return };
    for m in &day.markets {
        let mut final_object: Value = serde_json::from_str(&m.final_json).unwrap();
        for (key, value) in final_object.as_object_mut().unwrap() {
            if !gamma::STATIC.contains(&key.as_str()) {
                *value = Value::from("CHANGED");
            }
        }
        let changed = DayMarket { final_json: final_object.to_string().into(), official: None, ..m.clone() };
        for now in [m.listed_at, m.starts_at, m.resolved_at.plus(-1)] {
            let parse = |text: Option<String>| serde_json::from_str::<Value>(&text.unwrap()).unwrap();
            assert_eq!(parse(gamma::event(&day, m, now)), parse(gamma::event(&day, &changed, now)));
        }
    }
}

#[test]
fn a_strike_is_never_known_before_its_tick_was_received() {
    let Some(day) = recorded() else { return };
    let mut known = 0;
    for m in &day.markets {
        for (now, event) in events(&day, m) {
            let shown = event.get("eventMetadata");
            if m.strike.is_none() || now < m.strike_known_at {
                assert_eq!(shown, None, "{} at {now:?}", m.slug);
            } else {
                assert!(shown.unwrap()["priceToBeat"].is_number());
                known += 1;
            }
        }
        assert!(m.strike_known_at > m.starts_at);
        let start = m.starts_at.millis();
        if let Some(tick) = day.ticks().iter().find(|t| t.feed_ms == start) {
            assert_eq!(m.strike_known_at.millis(), tick.recv_ms);
            assert_eq!(m.strike, Some(tick.full), "the recorded strike is the tick at the start");
        }
    }
    assert!(known > 5_000);
    assert_eq!(day.markets.iter().filter(|m| m.strike.is_none()).count(), 4);
    let m = &day.markets[1];
    let event = gamma::event(&day, m, m.strike_known_at).unwrap();
    assert!(event.contains(r#""eventMetadata":{"priceToBeat":63304.200301195075}"#), "{event}");
}

#[test]
fn after_the_resolution_the_recorded_object_is_served_verbatim() {
    let Some(day) = recorded() else { return };
    for (m, (condition, official)) in day.markets.iter().zip(day.official()) {
        assert_eq!(condition, m.condition_id);
        assert_eq!(gamma::market(&day, m, m.resolved_at).as_deref(), Some(&*m.final_json));
        let market: Value = serde_json::from_str(&m.final_json).unwrap();
        let prices: Vec<String> = serde_json::from_str(market["outcomePrices"].as_str().unwrap()).unwrap();
        let up = official.expect("every market of that day had a winner");
        assert_eq!(prices, if up { ["1", "0"] } else { ["0", "1"] });
        assert_eq!(gamma::market(&day, m, m.listed_at.plus(-1)), None);
    }
}
