//! Watches miners of a demo until a prediction of theirs is scored, and says what became of them. Never runs a model.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::start::Running;
use crate::summary::Miner;

/// The first sight of a miner with a scored prediction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FirstScored {
    /// Market time, RFC 3339.
    pub at: String,
    /// Wall seconds since the process started.
    pub wall_s: f64,
    /// Predictions scored by then; all questions of a market are scored together.
    pub n: u64,
    /// Brier score of these.
    pub brier: Option<f64>,
    /// The reference's on the same questions.
    pub reference_brier: Option<f64>,
}

/// What became of one miner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GuestReport {
    /// Its name.
    pub name: String,
    /// When its first prediction was scored; `None` if none was.
    pub first_scored: Option<FirstScored>,
    /// Predictions scored in the end.
    pub n: u64,
    /// Brier score of all.
    pub brier: Option<f64>,
    /// The reference's on the same questions.
    pub baseline_brier: Option<f64>,
    /// Place among all miners by stake, 1 is best.
    pub rank: usize,
    /// How many miners there were.
    pub of: usize,
}

/// Miners that are waited for.
pub struct Watch {
    names: Vec<String>,
    first: BTreeMap<String, FirstScored>,
    started: Instant,
}

impl Watch {
    /// Watches the miners of these names.
    pub fn new(names: Vec<String>, started: Instant) -> Self {
        Self { names, first: BTreeMap::new(), started }
    }

    /// Notes who has a scored prediction by now.
    pub fn look(&mut self, running: &Running) {
        if self.first.len() == self.names.len() {
            return;
        }
        let view = running.view.read().expect("no writer panics while holding the view");
        for miner in view.miners().values() {
            if !self.names.contains(&miner.name) || self.first.contains_key(&miner.name) {
                continue;
            }
            let overall = miner.overall();
            if overall.scored == 0 {
                continue;
            }
            let at = jiff::Timestamp::from_second(view.at().secs())
                .map_or_else(|_| String::new(), |t| t.to_string());
            let first = FirstScored {
                at,
                wall_s: self.started.elapsed().as_secs_f64(),
                n: overall.scored,
                brier: overall.loss(),
                reference_brier: overall.reference_loss(),
            };
            self.first.insert(miner.name.clone(), first);
        }
    }

    /// Whether a prediction of this miner was scored.
    pub fn is_scored(&self, name: &str) -> bool {
        self.first.contains_key(name)
    }

    /// The reports, given all miners by stake.
    pub fn reports(&self, miners: &[Miner]) -> Vec<GuestReport> {
        let report = |(place, miner): (usize, &Miner)| GuestReport {
            name: miner.name.clone(),
            first_scored: self.first.get(&miner.name).cloned(),
            n: miner.n,
            brier: miner.brier,
            baseline_brier: miner.baseline_brier,
            rank: place + 1,
            of: miners.len(),
        };
        let watched = miners.iter().enumerate().filter(|(_, miner)| self.names.contains(&miner.name));
        watched.map(report).collect()
    }
}

impl GuestReport {
    /// One line for people.
    pub fn text(&self) -> String {
        let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.5}"));
        let first = self.first_scored.as_ref().map_or_else(
            || "no prediction scored".to_owned(),
            |f| format!("first scored prediction after {:.1} s, Brier {}", f.wall_s, number(f.brier)),
        );
        format!(
            "\n{:<14}{first}; Brier {} of {} (reference {}), rank {} of {}",
            self.name,
            number(self.brier),
            self.n,
            number(self.baseline_brier),
            self.rank,
            self.of
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn miner(name: &str, stake_after: i64, n: u64) -> Miner {
        Miner {
            name: name.to_owned(),
            kind: "model".to_owned(),
            stake_before: 1,
            stake_after,
            brier: (n > 0).then_some(0.2),
            baseline_brier: (n > 0).then_some(0.25),
            n,
            missing: 0,
            rejected: 0,
        }
    }

    #[test]
    fn only_those_that_are_watched_are_reported_with_their_place() {
        let watch = Watch::new(vec!["b".to_owned()], crate::clock::instant());
        let reports = watch.reports(&[miner("a", 3, 1), miner("b", 2, 0), miner("c", 1, 4)]);
        assert_eq!(reports.len(), 1);
        assert_eq!((reports[0].name.as_str(), reports[0].rank, reports[0].of), ("b", 2, 3));
        assert!(reports[0].text().contains("no prediction scored"), "{}", reports[0].text());
        assert!(!watch.is_scored("b"));
    }
}
