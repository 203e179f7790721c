//! What both legs say, said once: the first arrival counts. Memory is bounded and allocated once.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use indexmap::IndexMap;
use schemas::{TapeBody, TapeRow, Timestamp};

/// How often each leg said one thing, and when it was last said.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    times: [u32; 2],
    at: Timestamp,
}

/// The things said lately. A thing that a leg says for the n-th time is new if nobody said it n times before.
#[derive(Clone, Debug)]
pub(crate) struct Once {
    heard: IndexMap<u128, Heard, FixedState>,
    order: VecDeque<u128>,
    capacity: usize,
    window_ns: i64,
}

impl Once {
    /// Remembers the last `capacity` things for `window_ns` each; 0 = no limit of time.
    pub(crate) fn new(capacity: usize, window_ns: i64) -> Self {
        let capacity = capacity.max(1);
        Self {
            heard: IndexMap::with_capacity_and_hasher(capacity + 1, FixedState::default()),
            order: VecDeque::with_capacity(capacity + 1),
            capacity,
            window_ns,
        }
    }

    /// A leg says something; `Ok` if it is new, else how many nanoseconds this leg was behind.
    pub(crate) fn hear(&mut self, leg: usize, key: u128, now: Timestamp) -> Result<(), i64> {
        if let Some(known) = self.heard.get_mut(&key) {
            if self.window_ns > 0 && now.since(known.at) > self.window_ns {
                *known = Heard::default();
            }
            known.times[leg] = known.times[leg].saturating_add(1);
            if known.times[leg] <= known.times[1 - leg] {
                return Err(now.since(known.at));
            }
            known.at = now;
            return Ok(());
        }
        let mut times = [0; 2];
        times[leg] = 1;
        self.heard.insert(key, Heard { times, at: now });
        self.order.push_back(key);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.heard.swap_remove(&oldest);
        }
        Ok(())
    }
}

/// What makes two rows of two connections the same: instrument, content, and when it happened by the venue. What
/// belongs to a connection (receive and publish time, sequence, raw record) does not count.
pub(crate) fn key(row: &TapeRow) -> u128 {
    if let TapeBody::Trade(trade) = &row.body {
        let id = u128::from_be_bytes(trade.id);
        return id ^ u128::from(row.instrument.0).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    }
    let bytes = schemas::encode(&(row.instrument, row.times.venue_at, &row.body));
    let hash = schemas::Digest::of(&bytes);
    hash.0.first_chunk::<16>().map_or(0, |half| u128::from_be_bytes(*half))
}
