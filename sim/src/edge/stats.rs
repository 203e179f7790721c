//! What a twin counted; never resets a counter.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// A copy of a twin's counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TwinStats {
            $($(#[$doc])* pub $name: u64,)+
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> TwinStats {
                TwinStats { $($name: self.$name.get(),)+ }
            }
        }
    };
}

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one and returns the value before.
    pub(crate) fn bump(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

stats! {
    /// WebSocket connections accepted.
    connections,
    /// Connections refused because the limit was reached.
    refused,
    /// Subscribe commands that matched the day's symbol.
    subscribes,
    /// Ticks played, whether anybody heard them or not.
    ticks,
    /// Update frames handed to connections.
    updates,
    /// PONGs sent.
    pongs,
    /// Error frames sent for malformed commands.
    error_frames,
    /// Connections closed because their queue was full.
    overflows,
    /// Connections cut by a fault.
    dropped,
    /// Update frames withheld by a zombie period.
    withheld,
    /// Malformed frames injected.
    malformed,
    /// REST requests received.
    rest_requests,
    /// REST requests answered by a fault.
    rest_faults,
}
