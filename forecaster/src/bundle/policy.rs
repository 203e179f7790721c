//! Whose machine a bundle may run on and what that admits; it never decides where it runs.

/// Who vouches for a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The miner's own machine and its own model: contrib operators, loops and large constants are its business.
    #[default]
    Local,
    /// Somebody else's model on our machine: only what can be bounded before an engine sees it.
    Hosted,
}

impl Policy {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Hosted => "hosted",
        }
    }

    /// Deepest `If`, `Loop` and `Scan` inside each other.
    pub(super) const fn max_nesting(self) -> u32 {
        match self {
            Self::Local => 20,
            Self::Hosted => 8,
        }
    }

    /// Most rounds of a loop, and of all loops around a node multiplied; `None` is any number.
    pub(super) const fn max_rounds(self) -> Option<u64> {
        match self {
            Self::Local => None,
            Self::Hosted => Some(10_000),
        }
    }

    /// Most operations on constants while the file is loaded; `None` is any number.
    pub(super) const fn max_folding(self) -> Option<u64> {
        match self {
            Self::Local => None,
            // About a second of one core.
            Self::Hosted => Some(2_000_000_000),
        }
    }
}
