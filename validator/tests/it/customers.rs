//! Accounts, subscriptions and charges: each unit once, never without money or entitlement.

use schemas::{
    AccountCommand, Asset, Intake, LedgerAccount, Micros, RejectCode, Signal, Timestamp, Usage, Verdict,
};

use crate::world::*;

/// A world with one signal and one subscriber with this much money.
fn shop(money: i64) -> (World, Signal) {
    let mut w = World::new(1);
    w.put(open());
    w.put(top_up(money, "p-1"));
    w.put(Intake::Account(AccountCommand::Subscribe(subscription("s"))));
    w.ask(&question(0), &[(1, 700_000)]);
    let signal = w.signals()[0].clone();
    (w, signal)
}

fn charged(said: &[Verdict]) -> Option<(i64, i64)> {
    said.iter()
        .find_map(|v| if let Verdict::Charged(c) = v { Some((c.charged.0, c.balance.0)) } else { None })
}

#[test]
fn a_unit_is_charged_once_however_often_it_is_used() {
    let (mut w, signal) = shop(1_500);
    let use_it = Intake::Usage(usage("s", &signal));
    assert_eq!(charged(&w.put(use_it.clone())), Some((1_000, 500)));
    for _ in 0..3 {
        assert_eq!(charged(&w.put(use_it.clone())), Some((0, 500)));
    }
    assert_eq!(w.v.ledger().balance(&LedgerAccount::Revenue, Asset::Usd), Micros(1_000));
    // Another subscription of the same account is another unit, and the money is not enough for it.
    w.put(Intake::Account(AccountCommand::Subscribe(subscription("t"))));
    let said = w.put(Intake::Usage(usage("t", &signal)));
    assert_eq!(refusal(&said), Some(RejectCode::CreditsExhausted));
    w.put(top_up(500, "p-2"));
    assert_eq!(charged(&w.put(Intake::Usage(usage("t", &signal)))), Some((1_000, 0)));
}

#[test]
fn a_unit_is_forgotten_only_when_its_slot_cannot_be_delivered() {
    let (mut w, signal) = shop(1_500);
    let use_it = Intake::Usage(usage("s", &signal));
    w.put(use_it.clone());
    assert_eq!(charged(&w.go(7 * 86_400 - 1).put(use_it.clone())), Some((0, 500)));
    assert_eq!(refusal(&w.go(7 * 86_400).put(use_it)), Some(RejectCode::UnknownSignal));
}

#[test]
fn a_cancelled_subscription_delivers_nothing_more() {
    let (mut w, signal) = shop(1_500);
    let id = subscription("s").id;
    let said = w.put(Intake::Account(AccountCommand::Cancel { subscription: id }));
    assert!(matches!(&said[..], [Verdict::Subscribed(s)] if s.until == w.at));
    assert_eq!(refusal(&w.put(Intake::Usage(usage("s", &signal)))), Some(RejectCode::NotEntitled));
}

#[test]
fn every_wrong_use_has_its_code() {
    let (w, signal) = shop(500);
    let good = usage("s", &signal);
    let at = |u: Usage| Intake::Usage(u);
    let later = |ns| signal.slot.plus(ns);
    let table = [
        (at(usage("nobody", &signal)), RejectCode::UnknownSubscription),
        (
            at(Usage { topic: schemas::TopicId::new("other").unwrap(), ..good.clone() }),
            RejectCode::NotEntitled,
        ),
        (at(Usage { slot: later(1), ..good.clone() }), RejectCode::UnknownSignal),
        (at(Usage { slot: Timestamp(i64::MIN), ..good.clone() }), RejectCode::UnknownSignal),
        (at(Usage { signal: schemas::SignalId([9; 32]), ..good.clone() }), RejectCode::UnknownSignal),
        (at(good), RejectCode::CreditsExhausted),
    ];
    for (intake, code) in table {
        let mut w = w.clone();
        assert_eq!(refusal(&w.put(intake.clone())), Some(code), "{intake:?}");
        assert_eq!(w.v.prepaid(&account()), Micros(500));
    }
}

#[test]
fn a_price_above_the_limit_is_not_charged() {
    let (mut w, signal) = shop(9_000);
    let mut cheap = subscription("cheap");
    cheap.max_price = Micros(999);
    w.put(Intake::Account(AccountCommand::Subscribe(cheap)));
    let said = w.put(Intake::Usage(usage("cheap", &signal)));
    assert_eq!(refusal(&said), Some(RejectCode::PriceAboveLimit));
}
