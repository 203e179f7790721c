//! Hostile miners that send what they should not: honest scores and settlements stay the same to the bit.

use schemas::{Commitment, Forecast, Intake, Ppm, Score, Settlement, Verdict};

use crate::world::*;

const HONEST: u8 = 2;
const HOSTILE: u8 = 3;

/// What hostile miners send while the commit window is open.
fn noise_in_commit(w: &mut World, q: &schemas::Question, honest: &Commitment) {
    for i in HONEST + 1..=HONEST + HOSTILE {
        let (own, early) = predict(q, i, 999_999);
        let mut stolen = honest.clone();
        stolen.miner = miner_id(i);
        let mut forged = own.clone();
        forged.miner = honest.miner;
        let mut broken = own.clone();
        broken.signature[5] ^= 1;
        for c in [stolen, forged, broken] {
            assert!(refusal(&w.put(Intake::Commitment(c))).is_some());
        }
        assert!(refusal(&w.put(Intake::Reveal(early))).is_some());
        // The last one commits and never reveals.
        if i == HONEST + HOSTILE {
            assert_eq!(refusal(&w.put(Intake::Commitment(own.clone()))), None);
            assert!(refusal(&w.put(Intake::Commitment(own))).is_some());
        }
    }
}

/// What hostile miners send while the reveal window is open.
fn noise_in_reveal(w: &mut World, q: &schemas::Question) {
    for i in HONEST + 1..=HONEST + HOSTILE {
        let key = miner_key(i);
        let (late, _) = predict(q, i, 1);
        assert!(refusal(&w.put(Intake::Commitment(late))).is_some());
        let odd = [
            Forecast::Probability(Ppm(1_000_001)),
            Forecast::Probability(Ppm(u32::MAX)),
            Forecast::Quantiles(vec![1; 99]),
            Forecast::Quantiles((0..99).rev().collect()),
            Forecast::Quantiles(Vec::new()),
            Forecast::Probability(Ppm(5)),
        ];
        for forecast in odd {
            let (_, reveal) = prediction(q, &key, forecast);
            assert!(refusal(&w.put(Intake::Reveal(reveal.clone()))).is_some());
            let forged = schemas::Reveal { miner: miner_id(1), ..reveal };
            assert!(refusal(&w.put(Intake::Reveal(forged))).is_some());
        }
    }
}

fn run(hostile: bool) -> (Vec<Score>, Vec<Settlement>) {
    let mut w = World::new(HONEST + HOSTILE);
    for k in 0..15 {
        let q = question_of(&topic(), k * 300, 450_000);
        w.at = q.opens_at;
        w.put(Intake::Question(q.clone()));
        let made: Vec<_> = (1..=HONEST).map(|i| predict(&q, i, 500_000 + 90_000 * u32::from(i))).collect();
        for (n, (commitment, _)) in made.iter().enumerate() {
            if hostile && n == k as usize % 2 {
                noise_in_commit(&mut w, &q, commitment);
            }
            assert_eq!(refusal(&w.put(Intake::Commitment(commitment.clone()))), None);
        }
        w.at = q.commit_closes_at;
        for (_, reveal) in made {
            if hostile {
                noise_in_reveal(&mut w, &q);
            }
            assert_eq!(refusal(&w.put(Intake::Reveal(reveal))), None);
        }
        w.resolve(&q, if k % 2 == 0 { UP } else { DOWN });
    }
    let honest = |id| (1..=HONEST).any(|i| miner_id(i) == id);
    let score = |v: &Verdict| if let Verdict::Scored(s) = v { Some(s.clone()) } else { None };
    let scores = w.verdicts.iter().filter_map(score).filter(|s| honest(s.miner)).collect();
    (scores, w.settlements().into_iter().filter(|s| honest(s.miner)).collect())
}

#[test]
fn honest_scores_are_the_same_with_and_without_hostile_miners() {
    let (quiet, loud) = (run(false), run(true));
    assert_eq!(quiet.0.len(), 30);
    assert!(quiet.1.iter().any(|s| s.delta.0 != 0));
    assert_eq!(quiet, loud);
}
