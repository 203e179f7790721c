//! Polymarket's fees: shares, rate and a power of p(1 - p), exactly, rounded half up to 1e-5; never from `takerBaseFee`.

use minicbor::{Decode, Encode};

use super::{FeeError, Role};

/// Largest exponent that is computed; the venue has used 1 and 2.
const MAX_EXPONENT: u8 = 4;
/// Base of the wide integer's limbs.
const BASE: u64 = 1_000_000_000;
/// Limbs: shares below 10^19, the rate, and 10^12 to the largest power, with room.
const LIMBS: usize = 10;
/// The smallest fee that is charged and the step it is rounded to is 1e-5.
const FEE_DECIMALS: u32 = 5;

/// The venue's `feeSchedule` of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PolymarketSchedule {
    /// `rate` in ppm.
    #[n(0)]
    pub rate: u32,
    /// `exponent` of p(1 - p).
    #[n(1)]
    pub exponent: u8,
    /// `takerOnly`.
    #[n(2)]
    pub taker_only: bool,
    /// `rebateRate` in ppm, where it is told: the makers' share of the pool; never booked per execution.
    #[n(3)]
    pub rebate: Option<u32>,
    /// Purchases pay in tokens, not in dollars (the curve of January 2026).
    #[n(4)]
    pub tokens_on_buys: bool,
}

impl PolymarketSchedule {
    /// A market that says its fees are off.
    pub const FREE: Self =
        Self { rate: 0, exponent: 1, taker_only: true, rebate: None, tokens_on_buys: false };
}

/// The curve of January 2026: 0.25 * shares * (p(1 - p))^2, in tokens on purchases.
pub const CURVE_2026_01: PolymarketSchedule =
    PolymarketSchedule { rate: 250_000, exponent: 2, taker_only: true, rebate: None, tokens_on_buys: true };

/// In what a fee is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum FeeUnit {
    /// Dollars of collateral.
    #[n(0)]
    Usdc,
    /// Shares of the token that was bought.
    #[n(1)]
    Shares,
}

/// A fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PolymarketFee {
    /// In 1e-5 of `unit`.
    #[n(0)]
    pub amount: i64,
    /// What it is taken in.
    #[n(1)]
    pub unit: FeeUnit,
}

impl PolymarketFee {
    /// Its worth in 1e-11 dollars at this price (1e-6 dollars); exact.
    pub fn worth(&self, price: i64) -> i128 {
        let per_unit = match self.unit {
            FeeUnit::Usdc => 1_000_000,
            FeeUnit::Shares => i128::from(price),
        };
        i128::from(self.amount) * per_unit
    }
}

/// A non-negative integer of up to 90 digits; enough for every product below, so nothing is rounded before the end.
struct Wide([u32; LIMBS]);

impl Wide {
    fn new(value: u64) -> Self {
        let mut limbs = [0; LIMBS];
        limbs[0] = (value % BASE) as u32;
        limbs[1] = (value / BASE % BASE) as u32;
        limbs[2] = (value / BASE / BASE) as u32;
        Self(limbs)
    }

    /// `None` on overflow.
    fn times(mut self, factor: u32) -> Option<Self> {
        let mut carry = 0;
        for limb in &mut self.0 {
            let product = u64::from(*limb) * u64::from(factor) + carry;
            *limb = (product % BASE) as u32;
            carry = product / BASE;
        }
        (carry == 0).then_some(self)
    }

    /// Divides by 10^`power`, rounded down.
    fn shifted(mut self, mut power: u32) -> Self {
        while power > 0 {
            let step = power.min(9);
            let divisor = 10_u64.pow(step);
            let mut rest = 0;
            for limb in self.0.iter_mut().rev() {
                let value = rest * BASE + u64::from(*limb);
                *limb = (value / divisor) as u32;
                rest = value % divisor;
            }
            power -= step;
        }
        self
    }

    fn to_i64(&self) -> Option<i64> {
        let high = self.0[3..].iter().any(|limb| *limb != 0);
        let value = (u128::from(self.0[2]) * u128::from(BASE) + u128::from(self.0[1])) * u128::from(BASE)
            + u128::from(self.0[0]);
        if high { None } else { i64::try_from(value).ok() }
    }

    /// 10^-`power` of it, rounded half up, but 0 where it is below 1.
    fn charged(self, power: u32) -> Result<i64, FeeError> {
        let tenths = self.shifted(power - 1).to_i64().ok_or(FeeError::OutOfRange)?;
        Ok(if tenths < 10 { 0 } else { tenths / 10 + i64::from(tenths % 10 >= 5) })
    }
}

/// Shares and price as the formulas take them.
fn checked(shares: i64, price: i64) -> Result<(u64, u32), FeeError> {
    let shares = u64::try_from(shares).map_err(|_| FeeError::OutOfRange)?;
    let price = u32::try_from(price).ok().filter(|p| *p <= 1_000_000).ok_or(FeeError::OutOfRange)?;
    Ok((shares, price))
}

/// The platform fee: `shares * rate * (p(1 - p))^exponent`, rounded half up to 1e-5, 0 where below 1e-5.
///
/// `shares` in 1e-6, `price` in 1e-6 dollars (0 ..= 1_000_000). Makers pay nothing where the schedule is for takers only.
/// Source: Polymarket fees page, Gamma `feeSchedule`.
pub fn polymarket_fee(
    schedule: &PolymarketSchedule,
    role: Role,
    buys: bool,
    shares: i64,
    price: i64,
) -> Result<PolymarketFee, FeeError> {
    let (shares, price) = checked(shares, price)?;
    if schedule.exponent > MAX_EXPONENT {
        return Err(FeeError::OutOfRange);
    }
    let unit = if buys && schedule.tokens_on_buys { FeeUnit::Shares } else { FeeUnit::Usdc };
    if role == Role::Maker && schedule.taker_only {
        return Ok(PolymarketFee { amount: 0, unit });
    }
    let mut exact = Wide::new(shares).times(schedule.rate).ok_or(FeeError::OutOfRange)?;
    for _ in 0..schedule.exponent {
        exact = exact
            .times(price)
            .and_then(|exact| exact.times(1_000_000 - price))
            .ok_or(FeeError::OutOfRange)?;
    }
    let amount = exact.charged(12 + 12 * u32::from(schedule.exponent) - FEE_DECIMALS)?;
    Ok(PolymarketFee { amount, unit })
}

/// The fee by the curve of January 2026.
pub fn curve_2026_01(buys: bool, shares: i64, price: i64) -> Result<PolymarketFee, FeeError> {
    polymarket_fee(&CURVE_2026_01, Role::Taker, buys, shares, price)
}

/// A builder's fee, which comes on top: `shares * price * rate`, in 1e-5 dollars, rounded as the platform fee is.
///
/// `rate` in ppm of the notional. The venue publishes no rounding for it; ours is the platform's.
pub fn builder_fee(rate: u32, shares: i64, price: i64) -> Result<i64, FeeError> {
    let (shares, price) = checked(shares, price)?;
    let exact = Wide::new(shares).times(rate).and_then(|exact| exact.times(price));
    exact.ok_or(FeeError::OutOfRange)?.charged(18 - FEE_DECIMALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRYPTO: PolymarketSchedule = PolymarketSchedule {
        rate: 70_000,
        exponent: 1,
        taker_only: true,
        rebate: Some(200_000),
        tokens_on_buys: false,
    };

    fn taker(schedule: &PolymarketSchedule, shares: i64, price: i64) -> i64 {
        polymarket_fee(schedule, Role::Taker, true, shares, price).unwrap().amount
    }

    #[test]
    fn ties_go_up_and_dust_is_free() {
        // 0.02 shares at 0.5: 0.00035 exactly; 0.000_285_714 shares: below 1e-5 although half of it is passed.
        assert_eq!(taker(&CRYPTO, 20_000, 500_000), 35);
        assert_eq!(taker(&CRYPTO, 400, 500_000), 0);
        // 0.000_858 shares at 0.5 = 1.5015e-5.
        assert_eq!(taker(&CRYPTO, 858, 500_000), 2);
        // rate 0.04, 0.0015 shares at 0.5 = 1.5e-5: a tie.
        assert_eq!(taker(&PolymarketSchedule { rate: 40_000, ..CRYPTO }, 1_500, 500_000), 2);
        assert_eq!(polymarket_fee(&CRYPTO, Role::Maker, true, 1_000_000, 500_000).unwrap().amount, 0);
    }

    #[test]
    fn large_orders_do_not_overflow_and_nonsense_is_refused() {
        // 10^9 shares at 0.5 under the squared curve: 10^9 * 0.25 / 16 dollars.
        assert_eq!(curve_2026_01(false, 1_000_000_000_000_000, 500_000).unwrap().amount, 1_562_500_000_000);
        let bad = |shares, price| polymarket_fee(&CRYPTO, Role::Taker, true, shares, price);
        assert_eq!(bad(-1, 500_000), Err(FeeError::OutOfRange));
        assert_eq!(bad(1, 1_000_001), Err(FeeError::OutOfRange));
        let steep = PolymarketSchedule { exponent: 5, ..CRYPTO };
        assert_eq!(polymarket_fee(&steep, Role::Taker, true, 1, 1), Err(FeeError::OutOfRange));
    }

    #[test]
    fn a_builder_is_paid_on_top() {
        // 100 shares at 0.40 are 40 dollars; 10 basis points are 0.04.
        assert_eq!(builder_fee(1_000, 100_000_000, 400_000), Ok(4_000));
        assert_eq!(taker(&CRYPTO, 100_000_000, 400_000), 168_000);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_plain_wide_integers(shares in 0_i64..1_000_000_000_000, price in 0_i64..=1_000_000, rate in 0_u32..200_000) {
            let schedule = PolymarketSchedule { rate, ..CRYPTO };
            let exact = i128::from(shares) * i128::from(rate) * i128::from(price) * i128::from(1_000_000 - price);
            let unit = 10_i128.pow(19);
            let want = if exact < unit { 0 } else { (exact + unit / 2) / unit };
            proptest::prop_assert_eq!(i128::from(taker(&schedule, shares, price)), want);
        }
    }
}
