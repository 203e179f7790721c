//! Made-up coin prices, their averages and their recent past; integers of 1e-8 dollars, never a float.

use std::collections::VecDeque;

use crate::world::dice::Dice;

/// How far back a history reaches.
pub const HISTORY_MS: i64 = 120_000;

/// One price of one coin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexTick {
    /// The coin's place in the list.
    pub coin: usize,
    /// Feed time, Unix milliseconds.
    pub feed_ms: i64,
    /// When it was published, Unix milliseconds.
    pub published_ms: i64,
    /// The price, 1e-8 dollars.
    pub spot: i64,
    /// Its mean over the last 30 seconds, the tick's own instant included, 1e-8 dollars.
    pub twap_30: i64,
    /// Its mean over the last 60 seconds, likewise.
    pub twap_60: i64,
}

/// The coins.
#[derive(Debug)]
pub struct Index {
    coins: Vec<String>,
    spots: Vec<i64>,
    past: Vec<VecDeque<IndexTick>>,
    dice: Dice,
    now_ms: i64,
    next: usize,
}

impl Index {
    /// Coins at their first prices.
    pub fn new(seed: u64, coins: &[String], starts_at_ms: i64) -> Self {
        let spots = (0..coins.len()).map(|i| 6_000_000_000_000 / (1 + 20 * i as i64)).collect();
        Self {
            coins: coins.to_vec(),
            spots,
            past: vec![VecDeque::new(); coins.len()],
            dice: Dice::new(seed, 7_002),
            now_ms: starts_at_ms / 1_000 * 1_000,
            next: 0,
        }
    }

    /// Names of the coins.
    pub fn coins(&self) -> &[String] {
        &self.coins
    }

    /// The next tick: each coin once a second, in turn; `None` without coins.
    pub fn step(&mut self) -> Option<IndexTick> {
        let coin = self.next;
        let spot = self.spots.get_mut(coin)?;
        if coin == 0 {
            self.now_ms += 1_000;
        }
        self.next = (coin + 1) % self.coins.len();
        // At most 0.05 % a second.
        let reach = *spot / 2_000;
        *spot = (*spot + self.dice.between(-reach, reach)).max(100_000_000);
        let (spot, feed_ms) = (*spot, self.now_ms);
        let past = &mut self.past[coin];
        let mean = |window_ms: i64| {
            let inside = past.iter().filter(|t| t.feed_ms > feed_ms - window_ms).map(|t| i128::from(t.spot));
            let (sum, count) = inside.fold((i128::from(spot), 1), |(sum, count), p| (sum + p, count + 1));
            (sum / count) as i64
        };
        let (twap_30, twap_60) = (mean(30_000), mean(60_000));
        let published_ms = feed_ms + self.dice.between(150, 450);
        let tick = IndexTick { coin, feed_ms, published_ms, spot, twap_30, twap_60 };
        past.push_back(tick);
        while past.front().is_some_and(|t| t.feed_ms <= feed_ms - HISTORY_MS) {
            past.pop_front();
        }
        Some(tick)
    }

    /// The last two minutes of a coin, oldest first.
    pub fn history(&self, coin: usize) -> impl Iterator<Item = &IndexTick> {
        self.past.get(coin).into_iter().flatten()
    }

    /// Feed time reached, Unix milliseconds.
    pub const fn now_ms(&self) -> i64 {
        self.now_ms
    }
}
