//! Fees of the venues in exact integers; rates are data with two times, never constants of a formula.
//!
//! [`FeeBook`] says which terms held at an instant by what was known at another; [`kalshi`] and [`polymarket`] compute
//! what an execution costs under them. No float takes part, and no rate is assumed where a venue says none.

mod book;
mod kalshi;
mod polymarket;

pub use book::{FeeBook, FeeChange, FeePath, FeeScope, FeeTerms, KalshiTerms};
pub use kalshi::{
    BalanceStep, FillFee, KALSHI_COMBO_MAKER, KALSHI_MAKER, KALSHI_TAKER, KalshiFeeType, OrderFees, Role,
    kalshi_fill_fee, kalshi_legacy_trade_fee, kalshi_rate, kalshi_trade_fee,
};
pub use polymarket::{
    CURVE_2026_01, FeeUnit, PolymarketFee, PolymarketSchedule, builder_fee, curve_2026_01, polymarket_fee,
};

/// Why a fee cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum FeeError {
    /// The schedule's kind has no published formula (Kalshi `flat`).
    #[error("the schedule's formula is not published")]
    FormulaUnknown,
    /// Price, quantity, rate or exponent is outside what the formula is for.
    #[error("a number is outside the range of the formula")]
    OutOfRange,
    /// No schedule is known for the market at that instant.
    #[error("no fee schedule is known")]
    ScheduleUnknown,
}

impl FeeError {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::FormulaUnknown => "fee_formula_unknown",
            Self::OutOfRange => "fee_out_of_range",
            Self::ScheduleUnknown => "fee_schedule_unknown",
        }
    }
}
