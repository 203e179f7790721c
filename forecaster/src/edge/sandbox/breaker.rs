//! When a failing model is started again and when it is given up for a while; plain arithmetic, it reads no clock.

use std::collections::VecDeque;
use std::time::Duration;

/// Configuration of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// This many failures within the window open the breaker.
    pub failures: usize,
    /// The window.
    pub window: Duration,
    /// How long the model is off.
    pub off: Duration,
    /// Pause after the first failure; it doubles with every further one within the window.
    pub backoff: Duration,
}

impl Default for BreakerConfig {
    /// Three failures in a minute: off for five minutes. Pauses of 100, 200, 400 ms and so on.
    fn default() -> Self {
        Self {
            failures: 3,
            window: Duration::from_mins(1),
            off: Duration::from_mins(5),
            backoff: Duration::from_millis(100),
        }
    }
}

/// Why a model may not be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It failed a moment ago; so long until the next try.
    Pause(Duration),
    /// It failed too often; so long until it is tried once more.
    Open(Duration),
}

/// The failures of one model. All instants are durations since one fixed moment.
#[derive(Clone, Debug)]
pub struct Breaker {
    config: BreakerConfig,
    /// When it failed, newest last; at most `config.failures`.
    failed_at: VecDeque<Duration>,
    /// Not before this.
    not_before: Duration,
    is_open: bool,
    /// It was off and has not succeeded since: the next failure opens at once.
    on_trial: bool,
}

impl Breaker {
    /// A breaker that has seen nothing.
    pub fn new(config: BreakerConfig) -> Self {
        Self {
            config,
            failed_at: VecDeque::with_capacity(config.failures.max(1)),
            not_before: Duration::ZERO,
            is_open: false,
            on_trial: false,
        }
    }

    /// Whether the model may be started now.
    pub fn admit(&mut self, now: Duration) -> Result<(), Wait> {
        if now < self.not_before {
            let left = self.not_before.saturating_sub(now);
            return Err(if self.is_open { Wait::Open(left) } else { Wait::Pause(left) });
        }
        if std::mem::take(&mut self.is_open) {
            self.failed_at.clear();
            self.on_trial = true;
        }
        Ok(())
    }

    /// The model failed.
    pub fn failed(&mut self, now: Duration) {
        let window = self.config.window;
        self.failed_at.retain(|at| now.saturating_sub(*at) < window);
        while self.failed_at.len() >= self.config.failures.max(1) {
            self.failed_at.pop_front();
        }
        self.failed_at.push_back(now);
        self.is_open = self.on_trial || self.failed_at.len() >= self.config.failures.max(1);
        let doublings = u32::try_from(self.failed_at.len() - 1).unwrap_or(u32::MAX).min(16);
        let pause = if self.is_open { self.config.off } else { self.config.backoff * (1 << doublings) };
        self.not_before = now + pause;
    }

    /// The model ran.
    pub const fn succeeded(&mut self) {
        self.on_trial = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig { failures: 3, window: ms(1_000), off: ms(5_000), backoff: ms(10) })
    }

    #[test]
    fn pauses_double_and_the_third_failure_opens() {
        let mut b = breaker();
        assert_eq!(b.admit(ms(0)), Ok(()));
        b.failed(ms(0));
        assert_eq!(b.admit(ms(4)), Err(Wait::Pause(ms(6))));
        assert_eq!(b.admit(ms(10)), Ok(()));
        b.failed(ms(10));
        assert_eq!(b.admit(ms(29)), Err(Wait::Pause(ms(1))));
        b.failed(ms(30));
        assert_eq!(b.admit(ms(31)), Err(Wait::Open(ms(4_999))));
        assert_eq!(b.admit(ms(5_030)), Ok(()), "one more try");
        b.failed(ms(5_031));
        assert_eq!(b.admit(ms(5_040)), Err(Wait::Open(ms(4_991))), "on trial one failure is enough");
    }

    #[test]
    fn success_ends_the_trial_and_old_failures_are_forgotten() {
        let mut b = breaker();
        for at in [0, 10, 30] {
            b.failed(ms(at));
        }
        assert_eq!(b.admit(ms(6_000)), Ok(()));
        b.succeeded();
        b.failed(ms(6_001));
        assert_eq!(b.admit(ms(6_005)), Err(Wait::Pause(ms(6))));
        for at in [8_000, 10_000, 12_000, 14_000] {
            b.failed(ms(at));
            assert_eq!(b.admit(ms(at + 10)), Ok(()), "failures a window apart never open it");
        }
    }
}
