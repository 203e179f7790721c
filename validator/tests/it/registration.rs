//! Miners that register themselves: signed, paid for from prepaid money, once; every refusal has its code.

use ed25519_dalek::Signer as _;
use schemas::{
    AccountCommand, AccountId, Asset, Intake, LedgerAccount, Micros, MinerJoined, RejectCode, TxnKind,
    Verdict,
};

use crate::world::*;

const STAKE_PAID: i64 = 400;

fn registration(i: u8, name: &str, stake: i64) -> MinerJoined {
    let (key, hash) = (miner_key(i), network().network_hash());
    let message = MinerJoined::signing_bytes(&hash, &miner_id(i), name, "model", Micros(stake));
    MinerJoined {
        miner: miner_id(i),
        name: name.to_owned(),
        kind: "model".to_owned(),
        stake: Micros(stake),
        host: None,
        signature: Some(key.sign(&message).to_bytes()),
        account: Some(account()),
    }
}

/// A network with one named miner and an account with 1,000 micro-USD.
fn world() -> World {
    let mut w = World::new(1);
    w.put(open());
    let (account, amount, payment) = (account(), Micros(1_000), "p1".to_owned());
    w.put(Intake::Account(AccountCommand::TopUp { account, amount, payment }));
    w
}

#[test]
fn the_stake_is_taken_from_prepaid_money_in_one_transaction() {
    let mut w = world();
    let said = w.put(Intake::Miner(registration(7, "seven", STAKE_PAID)));
    assert_eq!(refusal(&said), None);
    let posted: Vec<_> =
        said.iter().filter_map(|v| if let Verdict::Posted(t) = v { Some(t) } else { None }).collect();
    assert_eq!((posted.len(), posted[0].kind, posted[0].postings.len()), (1, TxnKind::Join, 4));
    assert_eq!(w.v.prepaid(&account()), Micros(1_000 - STAKE_PAID));
    assert_eq!(w.v.miner_stake(&miner_id(7)), Micros(STAKE_PAID));
    assert_eq!(w.v.balances()[&(Asset::Usd, LedgerAccount::StakePaid)], Micros(STAKE_PAID));
    assert!(
        said.iter().any(|v| matches!(v, Verdict::MinerListed(m) if m.signature.is_some())),
        "the log has the proof"
    );
    assert!(said.iter().any(|v| matches!(v, Verdict::Account(a) if a.prepaid == Micros(600))));
    let again = w.put(Intake::Miner(registration(7, "seven", STAKE_PAID)));
    assert_eq!(refusal(&again), Some(RejectCode::DuplicateMiner));
    assert_eq!(w.v.prepaid(&account()), Micros(1_000 - STAKE_PAID), "nothing is taken twice");
}

#[test]
fn every_refusal_has_its_code_and_moves_nothing() {
    let change = |change: &dyn Fn(&mut MinerJoined)| {
        let mut joined = registration(7, "seven", STAKE_PAID);
        change(&mut joined);
        joined
    };
    let table = [
        ("more than there is", registration(7, "seven", 1_001), RejectCode::CreditsExhausted),
        ("a name that is taken", registration(7, "miner-1", STAKE_PAID), RejectCode::NameTaken),
        ("a key that is taken", registration(1, "one", STAKE_PAID), RejectCode::DuplicateMiner),
        ("no stake", registration(7, "seven", 0), RejectCode::InvalidAmount),
        ("another name", change(&|j| j.name = "eight".into()), RejectCode::BadSignature),
        ("another kind", change(&|j| j.kind = "poor".into()), RejectCode::BadSignature),
        ("another stake", change(&|j| j.stake = Micros(1)), RejectCode::BadSignature),
        ("another key", change(&|j| j.miner = miner_id(8)), RejectCode::BadSignature),
        (
            "a fee that the miner has not signed",
            change(&|j| {
                let account = AccountId::new("host").unwrap();
                j.host = Some(schemas::HostFee { part: schemas::Ppm(1), account });
            }),
            RejectCode::BadSignature,
        ),
        ("unsigned", change(&|j| j.signature = None), RejectCode::BadSignature),
        ("nobody pays", change(&|j| j.account = None), RejectCode::BadSignature),
        ("unknown account", change(&|j| j.account = AccountId::new("bob")), RejectCode::UnknownAccount),
        (
            "another network",
            {
                let message =
                    MinerJoined::signing_bytes(&[1; 32], &miner_id(7), "seven", "model", Micros(STAKE_PAID));
                let signature = Some(miner_key(7).sign(&message).to_bytes());
                change(&|j| j.signature = signature)
            },
            RejectCode::BadSignature,
        ),
    ];
    for (what, joined, code) in table {
        let mut w = world();
        let before = w.v.balances().clone();
        assert_eq!(refusal(&w.put(Intake::Miner(joined))), Some(code), "{what}");
        assert_eq!(*w.v.balances(), before, "{what}");
    }
}

/// Name and kind are framed by their lengths: moving a letter from one to the other is another message.
#[test]
fn the_signed_message_has_one_reading() {
    let of =
        |name: &str, kind: &str| MinerJoined::signing_bytes(&[0; 32], &miner_id(1), name, kind, Micros(1));
    assert_ne!(of("ab", "c"), of("a", "bc"));
}
