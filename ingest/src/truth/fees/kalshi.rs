//! Kalshi's fees: the trade fee, the rounding of balances and the rebate of what rounding took; exact integers only.
//!
//! Source: docs.kalshi.com/getting_started/fee_rounding; rates of the 2026 schedule. Money counts 1e-8 dollars where
//! nothing else is said: the product of a price (1e-6 dollars) and a quantity (1e-2 contracts).

use minicbor::{Decode, Encode};

use super::FeeError;

/// Taker rate 0.07 in 1e-4; the series' multiplier comes on top.
pub const KALSHI_TAKER: u32 = 700;
/// Maker rate, a quarter of the taker's, where the series charges makers.
pub const KALSHI_MAKER: u32 = 175;
/// Maker rate of combos, half of the taker's, where the series charges makers of combos.
pub const KALSHI_COMBO_MAKER: u32 = 350;

/// One dollar in 1e-8.
const DOLLAR: i64 = 100_000_000;
/// One cent in 1e-8 dollars: what is rebated at a time.
const CENT: i64 = DOLLAR / 100;
/// One step of the trade fee (1e-4 dollars) in 1e-8.
const FEE_STEP: i64 = DOLLAR / 10_000;

/// `fee_type` of a series or of an event's override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum KalshiFeeType {
    /// `quadratic`: takers only.
    #[n(0)]
    Quadratic,
    /// `quadratic_with_maker_fees`.
    #[n(1)]
    QuadraticWithMaker,
    /// `quadratic_with_combo_maker_fees`.
    #[n(2)]
    QuadraticWithComboMaker,
    /// `flat`: its formula is not published.
    #[n(3)]
    Flat,
}

impl KalshiFeeType {
    /// From the venue's word; `None` for a word that is not in its documents.
    pub fn parse(word: &[u8]) -> Option<Self> {
        match word {
            b"quadratic" => Some(Self::Quadratic),
            b"quadratic_with_maker_fees" => Some(Self::QuadraticWithMaker),
            b"quadratic_with_combo_maker_fees" => Some(Self::QuadraticWithComboMaker),
            b"flat" => Some(Self::Flat),
            _ => None,
        }
    }
}

/// On which side of an execution one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Role {
    /// Took from the book.
    #[n(0)]
    Taker,
    /// Rested in the book.
    #[n(1)]
    Maker,
}

/// The rate in 1e-4 for a role, before the multiplier; [`FeeError::FormulaUnknown`] for `flat`.
pub fn kalshi_rate(fee_type: KalshiFeeType, role: Role) -> Result<u32, FeeError> {
    match (fee_type, role) {
        (KalshiFeeType::Flat, _) => Err(FeeError::FormulaUnknown),
        (_, Role::Taker) => Ok(KALSHI_TAKER),
        (KalshiFeeType::Quadratic, Role::Maker) => Ok(0),
        (KalshiFeeType::QuadraticWithMaker, Role::Maker) => Ok(KALSHI_MAKER),
        (KalshiFeeType::QuadraticWithComboMaker, Role::Maker) => Ok(KALSHI_COMBO_MAKER),
    }
}

/// `rate * multiplier * count * price * (1 - price)` in 1e-24 dollars.
fn exact(rate: u32, multiplier: u32, count: i64, price: i64) -> i128 {
    let odds = i128::from(price) * (1_000_000 - i128::from(price));
    // At most 2^32 * 2^32 is cut short of i128 by saturating; real counts stay 20 digits below it.
    (i128::from(rate) * i128::from(multiplier)).saturating_mul(i128::from(count)).saturating_mul(odds)
}

/// Kalshi's trade fee in 1e-4 dollars: `rate * multiplier * count * price * (1 - price)`, rounded up.
///
/// `rate` in 1e-4, `multiplier` in 1e-6, `count` in 1e-2 contracts, `price` of the side traded in 1e-6 dollars
/// (0 ..= 1_000_000).
pub fn kalshi_trade_fee(rate: u32, multiplier: u32, count: i64, price: i64) -> i64 {
    round_up(exact(rate, multiplier, count, price), 10_i128.pow(20))
}

/// The same fee by the older rule, in cents: rounded up to a whole cent.
pub fn kalshi_legacy_trade_fee(rate: u32, multiplier: u32, count: i64, price: i64) -> i64 {
    round_up(exact(rate, multiplier, count, price), 10_i128.pow(22))
}

/// Never negative for legal prices and counts, so up is away from zero.
fn round_up(exact: i128, unit: i128) -> i64 {
    let whole = exact.div_euclid(unit);
    let up = if exact.rem_euclid(unit) == 0 { whole } else { whole + 1 };
    i64::try_from(up).unwrap_or(i64::MAX)
}

/// The trade fee of one execution under a series' terms, in 1e-4 dollars; arguments as of [`kalshi_trade_fee`].
pub fn kalshi_fill_fee(
    fee_type: KalshiFeeType,
    multiplier: u32,
    role: Role,
    count: i64,
    price: i64,
) -> Result<i64, FeeError> {
    if count < 0 || !(0..=1_000_000).contains(&price) {
        return Err(FeeError::OutOfRange);
    }
    Ok(kalshi_trade_fee(kalshi_rate(fee_type, role)?, multiplier, count, price))
}

/// To what a balance change is floored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum BalanceStep {
    /// 0.01 dollars: customers of a broker.
    #[n(0)]
    Cent,
    /// 0.0001 dollars: direct members.
    #[n(1)]
    DirectMember,
}

impl BalanceStep {
    /// In 1e-8 dollars.
    const fn units(self) -> i64 {
        match self {
            Self::Cent => CENT,
            Self::DirectMember => FEE_STEP,
        }
    }
}

/// What one execution cost, all in 1e-8 dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct FillFee {
    /// The trade fee.
    #[n(0)]
    pub trade: i64,
    /// What flooring the balance change took.
    #[n(1)]
    pub rounding: i64,
    /// What the order has been rounded by and not yet got back, before this execution's rebate.
    #[n(2)]
    pub accumulated: i64,
    /// What this execution gives back: 0 or one cent.
    #[n(3)]
    pub rebate: i64,
    /// `trade + rounding - rebate`.
    #[n(4)]
    pub net: i64,
    /// By how much the balance changes: `revenue - net`.
    #[n(5)]
    pub balance: i64,
}

/// The fees of one order over all its executions, as taker and as maker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OrderFees {
    /// Rounding not yet given back, 1e-8 dollars.
    #[n(0)]
    accumulated: i64,
}

impl OrderFees {
    /// Books one execution. `revenue` is signed, in 1e-8 dollars: a purchase is negative; `trade_fee` in 1e-4 dollars.
    ///
    /// The change `revenue - trade fee` is floored to `step`, the difference is the rounding fee; once the order's sum of
    /// these exceeds a cent, one cent is given back.
    pub fn fill(&mut self, revenue: i64, trade_fee: i64, step: BalanceStep) -> FillFee {
        let trade = trade_fee.saturating_mul(FEE_STEP);
        let change = revenue.saturating_sub(trade);
        let rounding = change.rem_euclid(step.units());
        let accumulated = self.accumulated.saturating_add(rounding);
        let rebate = if accumulated > CENT { CENT } else { 0 };
        self.accumulated = accumulated - rebate;
        let net = trade.saturating_add(rounding) - rebate;
        FillFee { trade, rounding, accumulated, rebate, net, balance: revenue.saturating_sub(net) }
    }

    /// Rounding not yet given back, 1e-8 dollars.
    pub fn accumulated(&self) -> i64 {
        self.accumulated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_recorded_fills_cost_what_the_venue_said() {
        assert_eq!(kalshi_trade_fee(KALSHI_TAKER, 1_000_000, 552, 170_000), 546);
        assert_eq!(kalshi_trade_fee(KALSHI_TAKER, 1_000_000, 116, 160_000), 110);
    }

    #[test]
    fn makers_pay_by_the_series_kind() {
        let fee = |kind, role| kalshi_fill_fee(kind, 1_000_000, role, 10_000, 500_000);
        assert_eq!(fee(KalshiFeeType::Quadratic, Role::Taker), Ok(17_500));
        assert_eq!(fee(KalshiFeeType::Quadratic, Role::Maker), Ok(0));
        assert_eq!(fee(KalshiFeeType::QuadraticWithMaker, Role::Maker), Ok(4_375));
        assert_eq!(fee(KalshiFeeType::QuadraticWithComboMaker, Role::Maker), Ok(8_750));
        assert_eq!(fee(KalshiFeeType::Flat, Role::Taker), Err(FeeError::FormulaUnknown));
        let price = kalshi_fill_fee(KalshiFeeType::Quadratic, 1_000_000, Role::Taker, 1, 1_000_001);
        assert_eq!(price, Err(FeeError::OutOfRange));
    }

    proptest::proptest! {
        /// Many small executions of one order cost the same as the sum of their trade fees to less than a cent.
        #[test]
        fn rebates_keep_rounding_below_two_cents(counts in proptest::collection::vec(1_i64..500, 1..60), price in 1_i64..999_999) {
            let mut order = OrderFees::default();
            let (mut trade, mut net) = (0, 0);
            for count in counts {
                let fee = kalshi_trade_fee(KALSHI_TAKER, 1_000_000, count, price);
                let fill = order.fill(-price * count, fee, BalanceStep::Cent);
                proptest::prop_assert_eq!(fill.balance.rem_euclid(CENT), 0);
                trade += fill.trade;
                net += fill.net;
            }
            proptest::prop_assert_eq!(net - trade, order.accumulated());
            proptest::prop_assert!((0..=CENT).contains(&order.accumulated()));
        }
    }
}
