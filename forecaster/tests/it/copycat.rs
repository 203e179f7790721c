//! Copycats: what steers them is what the validator admits, and nothing else.

use ed25519_dalek::{Signer as _, SigningKey};
use forecaster::{Forecaster, ForecasterInput, MinerConfig, Strategy};
use schemas::{BundleId, Commitment, Forecast, Machine, Ppm, Reveal};

use crate::machine::{
    ME, Step, ask, check, commitment_of, config, copycat, forged, founded, genesis, join, miner, opened,
    pair, reveal_of, run, script, sealed, time,
};
use crate::support::question;

#[test]
fn a_copycat_repeats_what_is_public() {
    let (a, mut b, c) = (question(60), question(60), question(150));
    (b.id.0[0], b.topic.0) = (b.id.0[0] ^ 1, "btc-usd.up-5m.b".to_owned());
    let mut other_market = question(240);
    other_market.market.native = "0xdef".to_owned();
    let steps = script(&[
        &founded([2, 3]),
        &[
            (60.0, ask(&a)),
            (60.0, ask(&b)),
            (60.1, commitment_of(ME, &a, 510_000)),
            (60.2, commitment_of(2, &a, 600_000)),
            (60.3, commitment_of(2, &b, 400_000)),
            (60.4, commitment_of(3, &a, 700_001)),
            (62.0, time(62.0)),
            (62.1, reveal_of(ME, &a, 510_000)),
            (62.2, reveal_of(2, &a, 600_000)),
            (62.3, reveal_of(3, &a, 700_001)),
            (62.4, reveal_of(2, &b, 400_000)), // the last one counts
            (62.5, reveal_of(2, &a, 600_000)), // a repetition does not
            (150.0, ask(&c)),
            (152.0, time(152.0)),
            (240.0, ask(&other_market)),
            (242.0, time(242.0)),
            (301.0, time(301.0)),
        ],
    ]);
    // (400000 + 700001) / 2 = 550000.5, rounded to the nearest
    let want = [
        "60 commit 510000",
        "60 commit 510000",
        "62 reveal 510000",
        "62 reveal 510000",
        "150 commit 550001",
        "152 reveal 550001",
        "240 commit 510000",
        "242 reveal 510000",
    ];
    let m = check(copycat(), &steps, &want);
    assert_eq!(m.bundle(), BundleId::default());
    // After both markets ended nothing is kept but the network and who joined.
    let mut fresh = copycat();
    run(&mut fresh, &founded([2, 3]));
    assert_eq!(m.digest(), fresh.digest());
    assert_ne!(m.digest(), copycat().digest());
}

/// What a copycat says at 150 s after these records; 510000, the reference, if none of them counts.
fn steered(steps: &[Step]) -> String {
    let lines = run(&mut copycat(), &script(&[steps, &[(150.0, ask(&question(150)))]]));
    lines.last().unwrap().clone()
}

#[test]
fn a_copycat_counts_only_who_takes_part() {
    let q = question(60);
    let says = |n: u8, ppm| [(60.1, commitment_of(n, &q, ppm)), (62.1, reveal_of(n, &q, ppm))];
    let check = |name: &str, first: &[Step], who: u8, want: &str| {
        assert_eq!(steered(&script(&[first, &says(who, 600_000)])), want, "{name}");
    };
    let asked = (60.0, ask(&q));
    let with = |first: &[Step], later: &[Step]| script(&[first, later]);
    check("a member", &with(&founded([2]), std::slice::from_ref(&asked)), 2, "150 commit 600000");
    check("a stranger", &with(&founded([2]), std::slice::from_ref(&asked)), 9, "150 commit 510000");
    let late = [asked.clone(), (60.05, join(3))];
    check("joined after the opening", &with(&founded([2]), &late), 3, "150 commit 510000");
    let again = [(59.0, join(3)), asked.clone(), (60.05, join(3))];
    check("joined twice", &with(&founded([2]), &again), 3, "150 commit 600000");
    let early = [(0.0, join(2)), (1.0, genesis("net")), asked.clone()];
    check("joined before genesis", &early, 2, "150 commit 510000");
    check("no genesis", &[(1.0, join(2)), asked.clone()], 2, "150 commit 510000");
    let other = [(0.5, genesis("other"))];
    check("the first genesis counts", &script(&[&founded([2]), &other, &[asked]]), 2, "150 commit 600000");
}

/// A name, what came between the opening of the question and its end, what the copycat says then.
type Heard<'a> = (&'a str, Vec<Step>, &'a str);

fn check_heard(cases: Vec<Heard<'_>>) {
    for (name, heard, want) in cases {
        // The question is known a second before it opens.
        let got = steered(&script(&[&founded([2, 3]), &[(59.0, ask(&question(60)))], &heard]));
        assert_eq!(got, format!("150 commit {want}"), "{name}");
    }
}

#[test]
fn a_copycat_counts_a_seal_as_the_validator_does() {
    let q = question(60);
    let (seal, open) = (commitment_of(2, &q, 600_000), (62.1, reveal_of(2, &q, 600_000)));
    let mut spoiled = pair(2, "net", &q, &Forecast::Probability(Ppm(600_000))).0;
    spoiled.signature[0] ^= 1;
    // Miner 3 signs miner 2's hash as its own.
    let mut stolen = pair(2, "net", &q, &Forecast::Probability(Ppm(600_000))).0;
    stolen.miner = miner(3);
    let message = Commitment::signing_bytes(&q.id, &stolen.miner, &stolen.hash);
    stolen.signature = SigningKey::from_bytes(&[3; 32]).sign(&message).to_bytes();
    check_heard(vec![
        ("none", vec![open.clone()], "510000"),
        ("at the opening", vec![(60.0, seal.clone()), open.clone()], "600000"),
        ("too early", vec![(59.9, seal.clone()), open.clone()], "510000"),
        ("in time", vec![(61.999_999_999, seal.clone()), open.clone()], "600000"),
        ("too late", vec![(62.0, seal.clone()), open.clone()], "510000"),
        ("not signed", vec![(60.1, sealed(spoiled.clone())), open.clone()], "510000"),
        ("a right one after it", vec![(60.1, sealed(spoiled)), (60.2, seal.clone()), open.clone()], "600000"),
        (
            "another's name does not take its place",
            vec![(60.1, forged(3, &q, 1)), (60.2, commitment_of(3, &q, 7)), (62.1, reveal_of(3, &q, 7))],
            "7",
        ),
        (
            "the first one",
            vec![(60.1, seal.clone()), (60.2, commitment_of(2, &q, 1)), open.clone()],
            "600000",
        ),
        (
            "not the second one",
            vec![(60.1, seal.clone()), (60.2, commitment_of(2, &q, 1)), (62.1, reveal_of(2, &q, 1))],
            "510000",
        ),
        ("a hash in use", vec![(60.1, sealed(stolen.clone())), (60.2, seal.clone()), open.clone()], "510000"),
        ("a hash stolen later", vec![(60.1, seal), (60.2, sealed(stolen)), open], "600000"),
    ]);
}

#[test]
fn a_copycat_counts_a_reveal_as_the_validator_does() {
    let q = question(60);
    let seal = (60.1, commitment_of(2, &q, 600_000));
    let (_, right) = pair(2, "net", &q, &Forecast::Probability(Ppm(600_000)));
    let with = |change: fn(&mut Reveal)| {
        let mut other = right.clone();
        change(&mut other);
        opened(other)
    };
    let heard = |at: f64, reveal: ForecasterInput| vec![seal.clone(), (at, reveal)];
    let both = |forecast: &Forecast, network: &str| {
        let (c, r) = pair(2, network, &q, forecast);
        vec![(60.1, sealed(c)), (62.1, opened(r))]
    };
    // Miner 3 opens a forecast of its own with miner 2's name on it.
    let mut another = pair(3, "net", &q, &Forecast::Probability(Ppm(1))).1;
    another.miner = miner(2);
    check_heard(vec![
        ("too early", heard(61.999_999_999, opened(right.clone())), "510000"),
        ("at the end of the commit window", heard(62.0, opened(right.clone())), "600000"),
        ("in time", heard(63.999_999_999, opened(right.clone())), "600000"),
        ("too late", heard(64.0, opened(right.clone())), "510000"),
        ("another forecast", heard(62.1, reveal_of(2, &q, 1)), "510000"),
        ("another nonce", heard(62.1, with(|r| r.nonce[0] ^= 1)), "510000"),
        ("another bundle", heard(62.1, with(|r| r.bundle = BundleId([8; 32]))), "510000"),
        ("another's name", heard(62.1, opened(another)), "510000"),
        ("a member without a seal", heard(62.1, with(|r| r.miner = miner(3))), "510000"),
        ("not signed", heard(62.1, with(|r| r.signature[0] ^= 1)), "510000"),
        (
            "a right one after a wrong one",
            vec![seal.clone(), (62.1, with(|r| r.signature[0] ^= 1)), (62.2, opened(right.clone()))],
            "600000",
        ),
        ("another network", both(&Forecast::Probability(Ppm(600_000)), "other"), "510000"),
        ("no probability", both(&Forecast::Probability(Ppm(1_000_001)), "net"), "510000"),
        ("another kind", both(&Forecast::Quantiles((1..=99).collect()), "net"), "510000"),
    ]);
}

#[test]
fn a_copycat_remembers_a_bounded_number_of_miners() {
    let q = question(60);
    let mut m = Forecaster::new(MinerConfig { max_remembered: 2, ..config(Strategy::Copycat) });
    let mut steps = founded(10..20);
    steps.push((60.0, ask(&q)));
    steps.extend((10..20).map(|n| (60.1, commitment_of(n, &q, u32::from(n)))));
    steps.extend((10..20).map(|n| (62.0, reveal_of(n, &q, u32::from(n)))));
    steps.push((150.0, ask(&question(150))));
    assert_eq!(run(&mut m, &steps), ["60 commit 510000", "62 reveal 510000", "150 commit 11"]);
    assert_eq!(m.counters().reveals_forgotten, 8);
}
