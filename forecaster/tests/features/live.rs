//! Live and backtest are one: the rows a miner asked its model with are those that its journal gives again, and that the
//! feature code gives without any miner.

use forecaster::features::{Gate, Needs, Query, Stream, market};
use forecaster::{
    FeatureChoice, Forecaster, ForecasterInput, ForecasterOutput, MinerConfig, MinerKey, Strategy,
};
use schemas::{
    BundleId, Intake, Machine as _, Ppm, Question, QuestionId, Record, Snapshot as _, Timestamp, TopicId,
};

use crate::world::{Fact, NOW_S, SECOND, id, price, secs, walk};

const NEEDS: [&str; 6] = ["ret_60s", "rv_900s", "z_rv_900s", "mkt_edge", "day_sin", "path_31"];

fn needs() -> Needs {
    Needs::named(&market::SET, NEEDS).unwrap()
}

fn miner(needs: Needs) -> Forecaster {
    let strategy = Strategy::Model { bundle: BundleId([7; 32]) };
    let mut config =
        MinerConfig::new(MinerKey::from_seed([1; 32]).id(), "btc-usd.up-5m", "btc/usd", strategy);
    config.features = Some(FeatureChoice { set: "market-1".to_owned(), needs });
    Forecaster::new(config)
}

fn question(opens_at: Timestamp) -> Question {
    let topic = TopicId("btc-usd.up-5m.60s".to_owned());
    Question {
        id: QuestionId(schemas::id::derive("test", &[&opens_at.0.to_be_bytes()])),
        topic,
        rules_version: 1,
        rules_hash: [0; 32],
        market: id(),
        symbol: "btc/usd".to_owned(),
        strike: price(62_950.0),
        market_starts_at: secs(NOW_S - 120),
        opens_at,
        commit_closes_at: opens_at.plus(2 * SECOND),
        reveal_closes_at: opens_at.plus(4 * SECOND),
        resolves_at: secs(NOW_S + 180),
        reference: Ppm::HALF,
        reference_source: "closed-form/1".to_owned(),
        input_watermark: opens_at,
        market_mid: None,
    }
}

/// The journal of a live run: facts, and a question every 17 seconds, in the order of their times.
fn journal(facts: &[Fact]) -> Vec<Record<ForecasterInput>> {
    let market = |(at, event): &Fact| (*at, ForecasterInput::Market(event.clone()));
    let mut all: Vec<_> = facts.iter().map(market).collect();
    for back in 0..20 {
        let opens_at = secs(NOW_S - 17 * back);
        all.push((opens_at, ForecasterInput::Intake(Intake::Question(question(opens_at)))));
    }
    all.sort_by_key(|(at, _)| *at);
    (1..).zip(all).map(|(seq, (at, body))| Record { seq, at, body }).collect()
}

/// Every row the miner asked its model with.
fn rows(miner: &mut Forecaster, journal: &[Record<ForecasterInput>]) -> Vec<(QuestionId, Vec<f32>)> {
    let mut out = Vec::new();
    for record in journal {
        miner.apply(record, &mut out);
    }
    let asked = |deed| match deed {
        ForecasterOutput::Infer(request) => Some((request.question, request.row)),
        _ => None,
    };
    out.into_iter().filter_map(asked).collect()
}

#[test]
fn the_rows_of_a_live_run_follow_from_its_journal() {
    let journal = journal(&walk(21, 3_800));
    let live = rows(&mut miner(needs()), &journal);
    assert_eq!(live.len(), 20, "every question was answered");
    assert_eq!(rows(&mut miner(needs()), &journal), live, "replay gives other rows");
    // The same records through the feature code alone, as a backtest and `oraculo features export` use it.
    let mut stream = Stream::new(&market::SET, 16_384);
    let gate = Gate { needs: needs(), min_history_ns: 120 * SECOND, max_input_age_ns: 10 * SECOND };
    let mut again = Vec::new();
    for record in &journal {
        match &record.body {
            ForecasterInput::Market(event) => {
                stream.apply(record.at, event);
            }
            ForecasterInput::Intake(Intake::Question(q)) => {
                let mut row = vec![0.0; market::WIDTH];
                stream.row(&Query::from(q), q.opens_at, &gate, &mut row).unwrap();
                again.push((q.id, row));
            }
            _ => {}
        }
    }
    assert_eq!(again, live);
    // A miner that starts again from a snapshot in the middle asks the same.
    let half = journal.len() - 200;
    let mut first = miner(needs());
    let mut together = rows(&mut first, &journal[..half]);
    let mut second = Forecaster::load(&first.save()).unwrap();
    assert_eq!((second.digest(), second.due().len()), (first.digest(), first.due().len()));
    together.extend(rows(&mut second, &journal[half..]));
    assert_eq!(together, live);
}

#[test]
fn only_what_the_bundle_sees_makes_it_abstain() {
    let journal = journal(&walk(22, 4_200));
    assert_eq!(rows(&mut miner(needs()), &journal).len(), 20);
    let mut blind = miner(Needs::all(&market::SET));
    let mut out = Vec::new();
    for record in &journal {
        blind.apply(record, &mut out);
    }
    let told: Vec<String> = out
        .iter()
        .map(|deed| match deed {
            ForecasterOutput::Abstain { reason, .. } => format!("{} {:?}", reason.code(), reason.feature()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, vec![r#"feature_missing Some("book_imbalance_1")"#; 20]);
}

#[test]
fn a_configuration_from_before_feature_sets_still_reads_and_writes_the_same() {
    let strategy = Strategy::Model { bundle: BundleId([7; 32]) };
    let config = MinerConfig::new(MinerKey::from_seed([1; 32]).id(), "btc-usd.up-5m", "btc/usd", strategy);
    let bytes = schemas::encode(&config);
    assert_eq!(bytes[0], 0x89, "nine fields, as there were");
    let read: MinerConfig = schemas::decode(&bytes).unwrap();
    assert_eq!((read.feature_set().name, read.gate().needs.len()), ("updown-1", 10));
    assert_eq!(read, config);
}
