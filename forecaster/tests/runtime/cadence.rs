//! All markets at once, without an engine: what a pass costs in allocations and what a bad answer becomes.

use forecaster::edge::lane::{Outcome, Source};
use forecaster::edge::{Cadence, Calibration, Plans};

use crate::support::Fake;

fn cadence(model: Fake) -> Cadence {
    Cadence::start(&model.source(), &Calibration::default(), &Plans::in_memory()).unwrap()
}

#[test]
fn no_allocation_after_the_first_pass() {
    let mut cadence = cadence(Fake::new(1, 0.5));
    let mut pass = |spoil: bool| {
        let sweep = cadence.predict(500, |m, out| {
            out.fill(m as f32 / 500.0);
            if spoil && m % 7 == 0 { Err(()) } else { Ok(()) }
        });
        sweep.unwrap().abstentions()
    };
    assert_eq!((pass(false), pass(true)), (0, 72));
    let counted = allocation_counter::measure(|| {
        pass(false);
        pass(true);
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

#[test]
fn an_answer_outside_its_range_is_no_answer() {
    let mut cadence = cadence(Fake::new(1, 1.0));
    let xs = [0.5, 1.5, f32::MAX, 0.25];
    let sweep = cadence.predict::<()>(4, |m, out| {
        out.fill(xs[m]);
        Ok(())
    });
    let sweep = sweep.unwrap();
    let got: Vec<_> = (0..4).map(|m| sweep.market(m).map(|p| p[0])).collect();
    assert_eq!(got, [Ok(0.5), Err(Outcome::OutputRange), Err(Outcome::OutputRange), Ok(0.25)]);
    assert_eq!((sweep.missing, sweep.abstentions()), (&[0b0110][..], 2));
}

#[test]
fn another_version_between_two_passes() {
    let mut cadence = cadence(Fake::new(1, 0.5));
    let new = Fake::new(2, 0.25);
    let source = new.clone().source();
    let prepared = forecaster::edge::prepare(source.as_ref(), &Calibration::default(), &Plans::in_memory());
    let old = cadence.swap(prepared.unwrap());
    assert_eq!(old.bundle, Fake::new(1, 0.5).id());
    let sweep = cadence.predict::<()>(1, |_, out| {
        out.fill(1.0);
        Ok(())
    });
    let sweep = sweep.unwrap();
    assert_eq!((sweep.bundle, sweep.values), (new.id, &[0.25][..]));
}
