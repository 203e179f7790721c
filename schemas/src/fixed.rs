//! Fixed-point numbers for prices, probabilities, money and scores; floats never enter a record through here.

use std::fmt;

use minicbor::{Decode, Encode};

/// One million, the scale of [`Price`], [`Ppm`] and [`Micros`].
pub const MILLION: i64 = 1_000_000;

/// A venue price in millionths of a dollar (1e-6). Source: Kalshi and Polymarket quote at most 6 decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Price(#[n(0)] pub i64);

/// A probability in parts per million, 0 ..= 1_000_000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Ppm(#[n(0)] pub u32);

/// An amount of an asset in millionths of its unit; negative amounts are debits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Micros(#[n(0)] pub i64);

/// A signed Q32.32 number: the integer counts units of 2^-32. Scores and weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Q32(#[n(0)] pub i64);

/// An index value with 18 decimals, as Chainlink data streams publish it (`full_accuracy_value`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexPrice(pub i128);

impl Ppm {
    /// Certainty of yes.
    pub const ONE: Self = Self(1_000_000);
    /// A coin flip.
    pub const HALF: Self = Self(500_000);

    /// From a float in [0, 1], rounded to the nearest millionth; `None` outside or not finite.
    pub fn from_f64(p: f64) -> Option<Self> {
        (0.0..=1.0).contains(&p).then(|| Self((p * 1e6).round() as u32))
    }

    /// As a float in [0, 1].
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Whether the value is a probability.
    pub const fn is_valid(self) -> bool {
        self.0 <= Self::ONE.0
    }

    /// Kept at least `margin` away from 0 and 1.
    #[must_use]
    pub fn clamped(self, margin: u32) -> Self {
        Self(self.0.clamp(margin, Self::ONE.0 - margin))
    }
}

impl Micros {
    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl std::ops::Neg for Micros {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Q32 {
    /// One.
    pub const ONE: Self = Self(1 << 32);

    /// The fraction `num / den`, rounded towards zero. `den` must not be zero and the result must fit.
    pub fn ratio(num: i128, den: i128) -> Self {
        Self(((num << 32) / den) as i64)
    }

    /// As a float; exact to 2^-32.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::ONE.0 as f64
    }

    /// From a finite float, rounded to the nearest unit; `None` if it does not fit.
    pub fn from_f64(value: f64) -> Option<Self> {
        let scaled = (value * Self::ONE.0 as f64).round();
        (scaled.is_finite() && scaled.abs() < 9.2e18).then_some(Self(scaled as i64))
    }

    /// The product, rounded towards zero.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self(((i128::from(self.0) * i128::from(other.0)) / (1 << 32)) as i64)
    }
}

impl IndexPrice {
    /// Units of the last place in one dollar.
    pub const ONE: i128 = 1_000_000_000_000_000_000;

    /// Parses a plain decimal such as `63304.200301195075`: at most 18 decimals, no exponent, no sign.
    pub fn from_decimal(text: &str) -> Option<Self> {
        let (whole, frac) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 18 || frac.len() > 18 || !digits(whole) || !digits(frac) {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let frac: i128 = if frac.is_empty() { 0 } else { format!("{frac:0<18}").parse().ok()? };
        Some(Self(whole * Self::ONE + frac))
    }

    /// Parses an integer count of 1e-18 units, as in `full_accuracy_value`.
    pub fn from_atoms(text: &str) -> Option<Self> {
        let ok = !text.is_empty() && text.len() <= 36 && text.bytes().all(|b| b.is_ascii_digit());
        ok.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// As a float of dollars, for features only.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e18
    }
}

impl fmt::Display for IndexPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, abs) = if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        let one = Self::ONE.unsigned_abs();
        let frac = format!("{:018}", abs % one);
        let frac = frac.trim_end_matches('0');
        if frac.is_empty() {
            write!(f, "{sign}{}", abs / one)
        } else {
            write!(f, "{sign}{}.{frac}", abs / one)
        }
    }
}

// CBOR integers end at 64 bits, so the 128-bit value travels as 16 big-endian bytes.
impl<C> Encode<C> for IndexPrice {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0.to_be_bytes())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for IndexPrice {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes: [u8; 16] = d
            .bytes()?
            .try_into()
            .map_err(|_| minicbor::decode::Error::message("an index price has 16 bytes"))?;
        Ok(Self(i128::from_be_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_price_parses_both_venue_forms() {
        let want = IndexPrice(63_304_200_301_195_075_000_000);
        assert_eq!(IndexPrice::from_decimal("63304.200301195075"), Some(want));
        assert_eq!(IndexPrice::from_atoms("63304200301195075000000"), Some(want));
        assert_eq!(want.to_string(), "63304.200301195075");
        for bad in ["", ".", "-1", "1e5", "1.1234567890123456789", " 1", "NaN"] {
            assert_eq!(IndexPrice::from_decimal(bad), None, "{bad}");
        }
    }

    #[test]
    fn ppm_refuses_what_is_no_probability() {
        assert_eq!(Ppm::from_f64(0.561_204), Some(Ppm(561_204)));
        for bad in [f64::NAN, -0.1, 1.000_001, f64::INFINITY] {
            assert_eq!(Ppm::from_f64(bad), None);
        }
    }

    #[test]
    fn q32_ratio_truncates() {
        assert_eq!(Q32::ratio(1, 2), Q32(1 << 31));
        assert_eq!(Q32::ratio(-1, 3).0, -1_431_655_765);
        assert_eq!(Q32::ONE.times(Q32::ratio(1, 4)), Q32::ratio(1, 4));
    }
}
