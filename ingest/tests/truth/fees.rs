//! Fees against the golden vectors, to the last digit.

use ingest::decimal;
use ingest::truth::fees::{
    BalanceStep, FeeUnit, KALSHI_MAKER, KALSHI_TAKER, KalshiFeeType, OrderFees, PolymarketSchedule, Role,
    curve_2026_01, kalshi_fill_fee, kalshi_legacy_trade_fee, kalshi_trade_fee, polymarket_fee,
};
use serde_json::Value;

/// The lines of the vectors, or `None` with a loud note.
fn vectors() -> Option<Vec<Value>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/fees.jsonl");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: golden vectors are absent: {path}");
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn int(value: &Value, decimals: u8) -> i64 {
    decimal::parse(value.as_str().unwrap().as_bytes(), decimals).unwrap()
}

fn check(got: i64, decimals: u8, want: &Value) {
    assert_eq!(decimal::print(got, decimals), decimal::print(int(want, 12), 12));
}

fn kalshi(input: &Value, want: &Value) {
    let (count, price) = (int(&input["contracts"], 2), int(&input["price"], 6));
    check(kalshi_trade_fee(KALSHI_TAKER, 1_000_000, count, price), 4, &want["taker"]);
    check(kalshi_trade_fee(KALSHI_MAKER, 1_000_000, count, price), 4, &want["maker"]);
    check(kalshi_trade_fee(KALSHI_TAKER, 500_000, count, price), 4, &want["taker_half_multiplier"]);
    if let Some(legacy) = want.get("legacy_cent_taker") {
        check(kalshi_legacy_trade_fee(KALSHI_TAKER, 1_000_000, count, price), 2, legacy);
    }
}

fn rounding(input: &Value, want: &Value) {
    let step = match input["target"].as_str().unwrap() {
        "0.01" => BalanceStep::Cent,
        "0.0001" => BalanceStep::DirectMember,
        other => panic!("a target of {other}"),
    };
    let mut order = OrderFees::default();
    let fills = want["fills"].as_array().unwrap();
    assert_eq!(input["n_fills"].as_u64().unwrap(), fills.len() as u64);
    for want in fills {
        let fill = order.fill(int(&input["revenue"], 8), int(&input["trade_fee"], 4), step);
        check(fill.rounding, 8, &want["rounding"]);
        check(fill.accumulated, 8, &want["accumulator_before_rebate"]);
        check(fill.rebate, 8, &want["rebate"]);
        check(fill.net, 8, &want["net_fee"]);
    }
}

fn schedule(rate: &Value) -> PolymarketSchedule {
    let rate = int(rate, 6) as u32;
    PolymarketSchedule { rate, exponent: 1, taker_only: true, rebate: None, tokens_on_buys: false }
}

fn polymarket(input: &Value, want: &Value) {
    let (shares, price) = (int(&input["shares"], 6), int(&input["price"], 6));
    let fee = polymarket_fee(&schedule(&input["rate"]), Role::Taker, true, shares, price).unwrap();
    assert_eq!(fee.unit, FeeUnit::Usdc);
    check(fee.amount, 5, &want["taker"]);
}

fn january(input: &Value, want: &Value) {
    let (shares, price) = (int(&input["shares"], 6), int(&input["price"], 6));
    let (buy, sell) =
        (curve_2026_01(true, shares, price).unwrap(), curve_2026_01(false, shares, price).unwrap());
    assert_eq!((buy.unit, sell.unit), (FeeUnit::Shares, FeeUnit::Usdc));
    check(buy.amount, 5, &want["fee_buy_tokens"]);
    check(sell.amount, 5, &want["fee_sell_usdc"]);
    check(i64::try_from(buy.worth(price)).unwrap(), 11, &want["fee_buy_value_usdc"]);
}

/// The fees of a ledger's fills; its positions and settlements are of no concern here.
fn ledger(input: &Value, want: &Value) {
    let mut orders = std::collections::BTreeMap::new();
    for (event, want) in input["events"].as_array().unwrap().iter().zip(want["steps"].as_array().unwrap()) {
        if event["type"] != "fill" {
            continue;
        }
        let role = if event["role"] == "taker" { Role::Taker } else { Role::Maker };
        let buys = event["side"] == "buy";
        let price = int(&event["price"], 6);
        if input["venue"] == "polymarket" {
            let fee =
                polymarket_fee(&schedule(&input["params"]["rate"]), role, buys, int(&event["qty"], 6), price);
            check(fee.unwrap().amount, 5, &want["net_fee"]);
            continue;
        }
        let count = int(&event["qty"], 2);
        let fee = kalshi_fill_fee(KalshiFeeType::Quadratic, 1_000_000, role, count, price).unwrap();
        let order: &mut OrderFees = orders.entry(event["order"].as_str().unwrap().to_owned()).or_default();
        let revenue = if buys { -price * count } else { price * count };
        let fill = order.fill(revenue, fee, BalanceStep::Cent);
        check(fill.trade, 8, &want["trade_fee"]);
        check(fill.rounding, 8, &want["rounding_fee"]);
        check(fill.rebate, 8, &want["rebate"]);
        check(fill.net, 8, &want["net_fee"]);
    }
}

#[test]
fn every_golden_case_holds() {
    let Some(vectors) = vectors() else { return };
    let mut seen = std::collections::BTreeMap::new();
    for case in &vectors {
        let (input, want) = (&case["input"], &case["expected"]);
        let calc = case["calc"].as_str().unwrap();
        match calc {
            "fee.kalshi" => kalshi(input, want),
            "fee.kalshi.rounding" => rounding(input, want),
            "fee.polymarket" => polymarket(input, want),
            "fee.polymarket.2026_01" => january(input, want),
            "ledger" => ledger(input, want),
            other => panic!("a calculation that nobody checks: {other}"),
        }
        *seen.entry(calc).or_insert(0) += 1;
    }
    let want = [
        ("fee.kalshi", 57),
        ("fee.kalshi.rounding", 1),
        ("fee.polymarket", 73),
        ("fee.polymarket.2026_01", 3),
        ("ledger", 9),
    ];
    assert_eq!(seen, want.into());
}
