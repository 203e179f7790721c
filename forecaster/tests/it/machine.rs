//! The miner as a script: records in, deeds out.

use forecaster::{
    AbstainReason, Forecaster, ForecasterInput, ForecasterOutput, MinerConfig, MinerKey, Strategy,
};
use schemas::inference::Answer;
use schemas::{
    BundleId, Commitment, Digest, FeedState, Forecast, IndexPrice, IndexTick, InferenceResult, Intake,
    Machine, MarketEvent, Micros, MinerId, MinerJoined, NetworkRules, Ppm, Question, Record, Reveal,
    Snapshot, Timestamp,
};

use crate::support::{START_S, SYMBOL, price, question, secs};

const BUNDLE: BundleId = BundleId([9; 32]);
pub const ME: u8 = 1;

fn key(n: u8) -> MinerKey {
    MinerKey::from_seed([n; 32])
}

pub fn miner(n: u8) -> MinerId {
    key(n).id()
}

pub fn config(strategy: Strategy) -> MinerConfig {
    MinerConfig::new(miner(ME), "btc-usd.up-5m", SYMBOL, strategy)
}

fn model() -> Forecaster {
    Forecaster::new(config(Strategy::Model { bundle: BUNDLE }))
}

pub fn copycat() -> Forecaster {
    Forecaster::new(config(Strategy::Copycat))
}

/// A moment in seconds after the market's start, with what happened.
pub type Step = (f64, ForecasterInput);

/// A name, what came before, when the question comes, the question, what follows.
type Case<'a> = (&'a str, Vec<Step>, f64, ForecasterInput, &'a [&'a str]);

fn at(s: f64) -> Timestamp {
    secs(START_S).plus((s * 1e9) as i64)
}

fn tick_of(symbol: &str, s: i64, value: IndexPrice) -> ForecasterInput {
    let tick = IndexTick { symbol: symbol.to_owned(), feed_at: secs(START_S + s), value, server_at: None };
    ForecasterInput::Market(MarketEvent::Tick(tick))
}

/// Ticks from `from` to `to` seconds after the start, one a second, each known a second after its own time.
fn ticks(from: i64, to: i64) -> Vec<Step> {
    (from..=to).map(|s| (s as f64 + 1.0, tick_of(SYMBOL, s, price(100.0 + (s % 7) as f64 * 0.01)))).collect()
}

pub fn ask(q: &Question) -> ForecasterInput {
    ForecasterInput::Intake(Intake::Question(q.clone()))
}

fn answer(q: &Question, answer: Answer) -> ForecasterInput {
    ForecasterInput::Inference(InferenceResult { miner: miner(ME), question: q.id, bundle: BUNDLE, answer })
}

fn p(ppm: u32) -> Answer {
    Answer::Probability(Ppm(ppm))
}

pub fn time(s: f64) -> ForecasterInput {
    ForecasterInput::Intake(Intake::TimeAdvanced { to: at(s) })
}

fn rules(name: &str) -> NetworkRules {
    NetworkRules {
        network: name.to_owned(),
        epoch_ns: 1,
        max_loss: Ppm(1),
        emission_per_epoch: Micros(0),
        validators: vec![],
        revenue_split: [Ppm(250_000); 4],
    }
}

pub fn genesis(network: &str) -> ForecasterInput {
    ForecasterInput::Intake(Intake::Genesis(rules(network)))
}

pub fn join(n: u8) -> ForecasterInput {
    let (name, kind) = (format!("miner-{n}"), "model".to_owned());
    ForecasterInput::Intake(Intake::Miner(MinerJoined {
        miner: miner(n),
        name,
        kind,
        stake: Micros(1),
        host: None,
    }))
}

/// Genesis, then these miners and the copycat itself.
pub fn founded(miners: impl IntoIterator<Item = u8>) -> Vec<Step> {
    let members = miners.into_iter().chain([ME]).map(|n| (1.0, join(n)));
    [(0.0, genesis("net"))].into_iter().chain(members).collect()
}

/// What miner `n` seals and opens on a network.
pub fn pair(n: u8, network: &str, q: &Question, forecast: &Forecast) -> (Commitment, Reveal) {
    let hash = rules(network).network_hash();
    (key(n).commit(&hash, BUNDLE, q.id, forecast), key(n).reveal(&hash, BUNDLE, q.id, forecast))
}

pub fn sealed(c: Commitment) -> ForecasterInput {
    ForecasterInput::Intake(Intake::Commitment(c))
}

pub fn opened(r: Reveal) -> ForecasterInput {
    ForecasterInput::Intake(Intake::Reveal(r))
}

pub fn reveal_of(n: u8, q: &Question, ppm: u32) -> ForecasterInput {
    opened(pair(n, "net", q, &Forecast::Probability(Ppm(ppm))).1)
}

pub fn commitment_of(n: u8, q: &Question, ppm: u32) -> ForecasterInput {
    sealed(pair(n, "net", q, &Forecast::Probability(Ppm(ppm))).0)
}

/// Miner 2 puts another miner's name on its commitment.
pub fn forged(name: u8, q: &Question, ppm: u32) -> ForecasterInput {
    let mut c = pair(2, "net", q, &Forecast::Probability(Ppm(ppm))).0;
    c.miner = miner(name);
    sealed(c)
}

fn record(seq: usize, (s, body): &Step) -> Record<ForecasterInput> {
    Record { seq: seq as u64 + 1, at: at(*s), body: body.clone() }
}

fn shown(output: &ForecasterOutput) -> String {
    let ppm = |f: &Forecast| match f {
        Forecast::Probability(p) => p.0.to_string(),
        Forecast::Quantiles(_) => "quantiles".to_owned(),
    };
    match output {
        ForecasterOutput::Infer(r) => {
            assert_eq!((r.miner, r.bundle, r.row.len()), (miner(ME), BUNDLE, 10));
            "infer".to_owned()
        }
        ForecasterOutput::Commit { forecast, .. } => format!("commit {}", ppm(forecast)),
        ForecasterOutput::Reveal { forecast, .. } => format!("reveal {}", ppm(forecast)),
        ForecasterOutput::Abstain { reason, .. } => format!("abstain {}", reason.code()),
    }
}

/// Runs a script; every output with the second it came at.
pub fn run(machine: &mut Forecaster, steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let mut out = Vec::new();
        machine.apply(&record(i, step), &mut out);
        assert!(machine.wake_at().is_none_or(|w| w > at(step.0)), "a served wake-up is asked for again");
        lines.extend(out.iter().map(|o| format!("{} {}", step.0, shown(o))));
    }
    lines
}

pub fn check(mut machine: Forecaster, steps: &[Step], want: &[&str]) -> Forecaster {
    assert_eq!(run(&mut machine, steps), want);
    machine
}

pub fn script(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

#[test]
fn a_question_from_opening_to_forgotten() {
    let q = question(60);
    let mut m = model();
    run(&mut m, &ticks(-600, 58));
    assert_eq!(m.wake_at(), None);
    assert_eq!(run(&mut m, &[(60.0, ask(&q))]), ["60 infer"]);
    assert_eq!(m.wake_at(), Some(q.commit_closes_at));
    assert_eq!(run(&mut m, &[(60.1, answer(&q, p(612_345)))]), ["60.1 commit 612345"]);
    assert_eq!(
        run(&mut m, &[(60.2, commitment_of(ME, &q, 612_345)), (61.9, tick_of(SYMBOL, 60, price(1.0)))]),
        [""; 0]
    );
    assert_eq!(m.wake_at(), Some(q.commit_closes_at));
    assert_eq!(run(&mut m, &[(62.0, time(62.0))]), ["62 reveal 612345"]);
    assert_eq!(m.wake_at(), None);
    assert_eq!(m.due().len(), 1, "the reveal is due until the log has it");
    assert_eq!(run(&mut m, &[(62.1, reveal_of(ME, &q, 612_345)), (63.0, time(63.0))]), [""; 0]);
    assert_eq!(m.due(), []);
}

#[test]
fn an_answer_that_comes_late_is_not_used() {
    let q = question(60);
    let before = [&ticks(-600, 58)[..], &[(60.0, ask(&q))]].concat();
    let late = |rest: &[Step], want: &[&str]| {
        let m = check(model(), &script(&[&before, rest]), &[&["60 infer"], want].concat());
        assert_eq!((m.wake_at(), m.counters().answers_unasked, m.due().len()), (None, 1, 0));
    };
    late(&[(62.0, time(62.0)), (62.5, answer(&q, p(1)))], &["62 abstain late_inference"]);
    // The answer's own record is the first one after the window: the log order decides.
    late(&[(62.0, answer(&q, p(1)))], &["62 abstain late_inference"]);
    // One nanosecond earlier is in time.
    check(
        model(),
        &script(&[&before, &[(61.999_999_999, answer(&q, p(1)))]]),
        &["60 infer", "61.999999999 commit 1"],
    );
}

#[test]
fn any_later_record_opens_the_seal() {
    let q = question(60);
    let steps = script(&[
        &ticks(-600, 58),
        &[
            (60.0, ask(&q)),
            (60.5, answer(&q, p(5))),
            (61.0, commitment_of(ME, &q, 5)),
            (62.3, tick_of("eth/usd", 61, price(1.0))),
        ],
    ]);
    let m = check(model(), &steps, &["60 infer", "60.5 commit 5", "62.3 reveal 5"]);
    assert_eq!(m.wake_at(), None);
}

#[test]
fn answers_that_are_none() {
    let q = question(60);
    let before = [&ticks(-600, 58)[..], &[(60.0, ask(&q))]].concat();
    let cases: [(ForecasterInput, &[&str]); 5] = [
        (answer(&q, Answer::Failed("output_not_finite".to_owned())), &["60.5 abstain model_failed"]),
        (answer(&q, p(1_000_001)), &["60.5 abstain invalid_forecast"]),
        (answer(&question(150), p(1)), &[]),
        (
            ForecasterInput::Inference(InferenceResult {
                miner: miner(2),
                question: q.id,
                bundle: BUNDLE,
                answer: p(1),
            }),
            &[],
        ),
        (
            ForecasterInput::Inference(InferenceResult {
                miner: miner(ME),
                question: q.id,
                bundle: BundleId([8; 32]),
                answer: p(1),
            }),
            &[],
        ),
    ];
    for (input, want) in cases {
        check(model(), &script(&[&before, &[(60.5, input)]]), &[&["60 infer"], want].concat());
    }
    // Only the first answer counts.
    let twice = [(60.5, answer(&q, p(1))), (60.6, answer(&q, p(2)))];
    check(model(), &script(&[&before, &twice]), &["60 infer", "60.5 commit 1"]);
}

#[test]
fn why_a_miner_abstains() {
    let q = question(60);
    let with = |change: fn(&mut Question)| {
        let mut other = q.clone();
        change(&mut other);
        ask(&other)
    };
    let long = ticks(-600, 58);
    let cases: Vec<Case<'_>> = vec![
        ("sound", long.clone(), 60.0, ask(&q), &["60 infer"]),
        ("no ticks", vec![], 60.0, ask(&q), &["60 abstain no_tick"]),
        ("119 s", ticks(-59, 58), 60.0, ask(&q), &["60 abstain short_history"]),
        ("old ticks", ticks(-600, 49), 60.0, ask(&q), &["60 abstain stale_input"]),
        (
            "no strike",
            long.clone(),
            60.0,
            with(|q| q.strike = IndexPrice(0)),
            &["60 abstain feature_not_finite"],
        ),
        (
            "another index",
            long.clone(),
            60.0,
            with(|q| q.symbol = "eth/usd".into()),
            &["60 abstain wrong_symbol"],
        ),
        ("too early", long.clone(), 59.9, ask(&q), &["59.9 abstain window_closed"]),
        ("too late", long.clone(), 62.0, ask(&q), &["62 abstain window_closed"]),
        ("another topic", long.clone(), 60.0, with(|q| q.topic.0 = "eth-usd.up-5m.60s".into()), &[]),
        ("not a continuation", long.clone(), 60.0, with(|q| q.topic.0 = "btc-usd.up-5mx".into()), &[]),
        ("the very topic", long.clone(), 60.0, with(|q| q.topic.0 = "btc-usd.up-5m".into()), &["60 infer"]),
    ];
    for (name, mut steps, when, input, want) in cases {
        steps.push((when, input));
        let mut m = model();
        assert_eq!(run(&mut m, &steps), want, "{name}");
    }
    let reason = AbstainReason::from(forecaster::features::NoRow::NotFinite(7));
    assert_eq!(reason, AbstainReason::NotFinite("z_15m"));
}

#[test]
fn bounds_hold_and_drops_are_counted() {
    let strategy = Strategy::Model { bundle: BUNDLE };
    let mut m = Forecaster::new(MinerConfig { max_ticks: 200, max_open: 1, ..config(strategy) });
    let (a, mut b) = (question(60), question(60));
    b.id.0[0] ^= 1;
    let feed = [
        (59.5, tick_of(SYMBOL, 10, price(1.0))),
        (59.6, tick_of(SYMBOL, 59, IndexPrice(0))),
        (59.7, tick_of("eth/usd", 59, price(1.0))),
        (59.8, ForecasterInput::Market(MarketEvent::Feed(FeedState::Live))),
    ];
    let asked = [(60.0, ask(&a)), (60.0, ask(&a)), (60.1, ask(&b))];
    assert_eq!(
        run(&mut m, &script(&[&ticks(-600, 58), &feed, &asked])),
        ["60 infer", "60.1 abstain too_many_open"]
    );
    let c = m.counters();
    assert_eq!(
        (c.ticks_evicted, c.ticks_out_of_order, c.ticks_not_positive, c.questions_repeated),
        (459, 1, 1, 1)
    );
}

#[test]
fn a_row_never_looks_ahead() {
    let row = |later: &[Step]| {
        let q = question(60);
        let mut m = model();
        let steps = script(&[&ticks(-600, 58), later, &[(60.9, ask(&q))]]);
        let mut out = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            m.apply(&record(i, step), &mut out);
        }
        match &out[..] {
            [ForecasterOutput::Infer(r)] => r.row.clone(),
            other => panic!("{other:?}"),
        }
    };
    // The question's record is late: a tick after the opening is known by then, and must not count.
    assert_eq!(row(&[]), row(&[(60.8, tick_of(SYMBOL, 61, price(50.0)))]));
    assert_ne!(row(&[]), row(&[(59.8, tick_of(SYMBOL, 59, price(50.0)))]));
}

#[test]
fn a_miner_with_a_model_keeps_nothing_of_the_others() {
    let q = question(60);
    let after = |before: &[Step], heard: &[Step]| {
        let mut m = model();
        run(&mut m, &script(&[before, &ticks(-600, 58), &[(60.0, ask(&q))], heard]));
        m.digest()
    };
    let heard = [(60.1, commitment_of(2, &q, 5)), (62.1, reveal_of(2, &q, 5))];
    assert_eq!(after(&founded([2]), &heard), after(&[], &[(62.1, time(62.1))]));
}

/// A busy stretch: three questions, one late answer, one failure, other miners' reveals.
fn busy() -> Vec<Step> {
    let (a, b, c) = (question(60), question(150), question(240));
    let mut steps = [founded([2]), ticks(-200, 300)].concat();
    let events = vec![
        (60.0, ask(&a)),
        (60.1, commitment_of(2, &a, 400_000)),
        (60.2, answer(&a, p(300_000))),
        (60.3, commitment_of(ME, &a, 300_000)),
        (62.0, time(62.0)),
        (62.1, reveal_of(2, &a, 400_000)),
        (62.2, reveal_of(ME, &a, 300_000)),
        (150.0, ask(&b)),
        (152.0, time(152.0)),
        (152.2, answer(&b, p(1))),
        (240.0, ask(&c)),
        (240.2, answer(&c, p(700_000))),
        (242.0, time(242.0)),
    ];
    steps.extend(events);
    steps.sort_by(|x, y| x.0.total_cmp(&y.0));
    steps
}

#[test]
fn a_snapshot_at_any_record_continues_as_if_nothing_happened() {
    let steps = busy();
    for fresh in [model, copycat] {
        let mut whole = fresh();
        let want = run(&mut whole, &steps);
        assert!(want.len() >= 5, "{want:?}");
        for cut in (0..steps.len()).step_by(7).chain(200..steps.len()) {
            let mut first = fresh();
            let mut got = run(&mut first, &steps[..cut]);
            let saved = first.save();
            let mut second = Forecaster::load(&saved).unwrap();
            assert_eq!(second.save(), saved);
            assert_eq!(second.wake_at(), first.wake_at());
            got.extend(run(&mut second, &steps[cut..]));
            assert_eq!((got, second.digest()), (want.clone(), whole.digest()), "cut at {cut}");
        }
        assert_ne!(whole.digest(), Digest::default());
    }
}

#[test]
fn after_a_crash_the_log_says_what_is_due() {
    let q = question(60);
    let due = |rest: &[Step]| {
        let mut m = model();
        run(&mut m, &script(&[&ticks(-600, 58), &[(60.0, ask(&q))], rest]));
        let restored = Forecaster::load(&m.save()).unwrap();
        restored.due().iter().map(shown).collect::<Vec<_>>()
    };
    let (answered, committed) = ((60.5, answer(&q, p(5))), (60.6, commitment_of(ME, &q, 5)));
    let (closed, revealed) = ((62.0, time(62.0)), (62.2, reveal_of(ME, &q, 5)));
    assert_eq!(due(&[]), ["infer"]);
    assert_eq!(due(std::slice::from_ref(&answered)), ["commit 5"]);
    assert_eq!(due(&[answered.clone(), (60.6, commitment_of(2, &q, 5))]), ["commit 5"], "not one's own");
    assert_eq!(due(&[answered.clone(), (60.6, forged(ME, &q, 5))]), ["commit 5"], "not signed");
    let other = (62.2, reveal_of(ME, &q, 6));
    let spoofed = [answered.clone(), committed.clone(), closed.clone(), other];
    assert_eq!(due(&spoofed), ["reveal 5"], "not what was sealed");
    assert_eq!(due(&[answered.clone(), committed.clone()]), [""; 0]);
    assert_eq!(due(&[answered.clone(), committed.clone(), closed.clone()]), ["reveal 5"]);
    assert_eq!(due(&[answered.clone(), committed.clone(), closed.clone(), revealed]), [""; 0]);
    assert_eq!(due(&[answered, committed, closed, (64.0, time(64.0))]), [""; 0], "the reveal window is over");
}
