//! Fees of the venues in exact integers; rates are data, never constants of a formula.

/// Kalshi's taker rate 0.07 in 1e-4 (schedule of 2026; the series' multiplier comes on top).
pub const KALSHI_TAKER: u32 = 700;
/// Kalshi's maker rate, a quarter of the taker's, where the series charges makers.
pub const KALSHI_MAKER: u32 = 175;

/// Kalshi's trade fee in 1e-4 dollars: `rate * multiplier * count * price * (1 - price)`, rounded up.
///
/// `rate` in 1e-4, `multiplier` in 1e-6, `count` in 1e-2 contracts, `price` in 1e-6 dollars (0 ..= 1_000_000).
/// Source: docs.kalshi.com/getting_started/fee_rounding.
pub fn kalshi_trade_fee(rate: u32, multiplier: u32, count: i64, price: i64) -> i64 {
    const UNIT: i128 = 10_i128.pow(20);
    let odds = i128::from(price) * (1_000_000 - i128::from(price));
    let exact = i128::from(rate) * i128::from(multiplier) * i128::from(count) * odds;
    // Rounded up; exact is never negative for legal prices and counts.
    i64::try_from((exact + UNIT - 1).div_euclid(UNIT)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_recorded_fills_cost_what_the_venue_said() {
        assert_eq!(kalshi_trade_fee(KALSHI_TAKER, 1_000_000, 552, 170_000), 546);
        assert_eq!(kalshi_trade_fee(KALSHI_TAKER, 1_000_000, 116, 160_000), 110);
    }
}
