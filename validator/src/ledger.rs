//! The double-entry ledger: balances in integers, transactions chained by hash; it never knows why money moves.
//!
//! Every transaction sums to zero per asset and has an id that follows from its cause, so a repeat is refused. Only
//! [`LedgerAccount::Issuance`] and [`LedgerAccount::Clearing`] may be negative: they mirror what came from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use minicbor::{Decode, Encode};
use schemas::id::{TxnId, derive};
use schemas::{Asset, LedgerAccount, Micros, Posting, Txn, TxnKind};

use crate::error::Error;

/// Balances and the head of the transaction chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ledger {
    #[n(0)]
    balances: BTreeMap<(Asset, LedgerAccount), Micros>,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    head: [u8; 32],
    #[n(2)]
    txns: u64,
    #[n(3)]
    postings: u64,
    #[n(4)]
    recent: VecDeque<TxnId>,
    #[n(5)]
    seen: BTreeSet<TxnId>,
}

/// The id of a transaction: its kind and what caused it.
pub fn txn_id(kind: TxnKind, cause: &[u8]) -> TxnId {
    TxnId(derive("oraculo/txn-id/1", &[&schemas::encode(&kind), cause]))
}

/// One leg.
pub(crate) fn leg(account: LedgerAccount, asset: Asset, amount: i64) -> Posting {
    Posting { account, asset, amount: Micros(amount) }
}

impl Ledger {
    /// Books a transaction whole or not at all; `remember` newest ids are compared with its id.
    pub fn post(
        &mut self,
        kind: TxnKind,
        id: TxnId,
        postings: Vec<Posting>,
        remember: u32,
    ) -> Result<Txn, Error> {
        if postings.is_empty() {
            return Err(Error::EmptyTxn);
        }
        if self.seen.contains(&id) {
            return Err(Error::DuplicateTxn(id));
        }
        check_zero(&postings)?;
        let changed = self.changed(&postings)?;
        self.balances.extend(changed);
        let txn = Txn { id, kind, postings, prev: self.head };
        self.head = txn.hash();
        self.txns += 1;
        self.postings += txn.postings.len() as u64;
        self.remember(id, remember);
        debug_assert!([Asset::Usd, Asset::Stake].into_iter().all(|asset| self.sum(asset) == 0));
        Ok(txn)
    }

    /// The balances after these postings, of the accounts they touch.
    fn changed(&self, postings: &[Posting]) -> Result<BTreeMap<(Asset, LedgerAccount), Micros>, Error> {
        let mut changed: BTreeMap<(Asset, LedgerAccount), Micros> = BTreeMap::new();
        for posting in postings {
            let key = (posting.asset, posting.account.clone());
            let before = changed.get(&key).or_else(|| self.balances.get(&key)).copied().unwrap_or_default();
            let after = before.checked_add(posting.amount);
            changed.insert(key, after.ok_or_else(|| Error::Overflow(posting.account.clone()))?);
        }
        match changed.iter().find(|((_, account), balance)| balance.0 < 0 && !may_be_negative(account)) {
            Some(((_, account), _)) => Err(Error::Overdrawn(account.clone())),
            None => Ok(changed),
        }
    }

    /// Keeps the id among the newest.
    fn remember(&mut self, id: TxnId, max: u32) {
        self.recent.push_back(id);
        self.seen.insert(id);
        while self.recent.len() > max as usize {
            if let Some(old) = self.recent.pop_front() {
                self.seen.remove(&old);
            }
        }
    }

    /// The balance of an account; zero if it was never touched.
    pub fn balance(&self, account: &LedgerAccount, asset: Asset) -> Micros {
        self.balances.get(&(asset, account.clone())).copied().unwrap_or_default()
    }

    /// All balances, ordered by asset and account.
    pub const fn balances(&self) -> &BTreeMap<(Asset, LedgerAccount), Micros> {
        &self.balances
    }

    /// The sum over all accounts, computed anew: always zero.
    pub fn sum(&self, asset: Asset) -> i128 {
        self.balances.iter().filter(|((a, _), _)| *a == asset).map(|(_, b)| i128::from(b.0)).sum()
    }

    /// Postings booked so far.
    pub const fn posting_count(&self) -> u64 {
        self.postings
    }

    /// Transactions booked so far.
    pub const fn txn_count(&self) -> u64 {
        self.txns
    }

    /// Hash of the newest transaction; zero before the first.
    pub const fn head(&self) -> [u8; 32] {
        self.head
    }
}

/// Whether the postings sum to zero per asset.
fn check_zero(postings: &[Posting]) -> Result<(), Error> {
    for asset in [Asset::Usd, Asset::Stake] {
        let sum: i128 = postings.iter().filter(|p| p.asset == asset).map(|p| i128::from(p.amount.0)).sum();
        if sum != 0 {
            return Err(Error::Unbalanced { asset, sum });
        }
    }
    Ok(())
}

/// Whether an account mirrors the outside world.
const fn may_be_negative(account: &LedgerAccount) -> bool {
    matches!(account, LedgerAccount::Issuance | LedgerAccount::Clearing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: LedgerAccount = LedgerAccount::Clearing;
    const TO: LedgerAccount = LedgerAccount::Revenue;

    fn pay(amount: i64) -> Vec<Posting> {
        vec![leg(FROM, Asset::Usd, -amount), leg(TO, Asset::Usd, amount)]
    }

    fn post(ledger: &mut Ledger, cause: &[u8], legs: Vec<Posting>) -> Result<Txn, Error> {
        ledger.post(TxnKind::TopUp, txn_id(TxnKind::TopUp, cause), legs, 2)
    }

    #[test]
    fn refuses_what_is_no_transaction_and_changes_nothing() {
        let mut ledger = Ledger::default();
        post(&mut ledger, b"1", pay(5)).unwrap();
        let before = ledger.clone();
        let table: [(&[u8], Vec<Posting>, &str); 6] = [
            (b"2", vec![], "ledger_empty_txn"),
            (b"1", pay(5), "ledger_duplicate_txn"),
            (b"2", vec![leg(TO, Asset::Usd, 1)], "ledger_unbalanced"),
            (b"2", vec![leg(FROM, Asset::Usd, -1), leg(TO, Asset::Stake, 1)], "ledger_unbalanced"),
            (b"2", pay(-6), "ledger_overdrawn"),
            (b"2", pay(i64::MAX), "ledger_overflow"),
        ];
        for (cause, legs, code) in table {
            assert_eq!(post(&mut ledger, cause, legs).unwrap_err().code(), code);
            assert_eq!(ledger, before, "{code}");
        }
    }

    #[test]
    fn chains_by_hash_and_forgets_only_old_ids() {
        let mut ledger = Ledger::default();
        let mut head = [0; 32];
        for cause in [b"a", b"b", b"c"] {
            let txn = post(&mut ledger, cause, pay(1)).unwrap();
            assert_eq!(txn.prev, head);
            head = txn.hash();
            assert_eq!(ledger.head(), head);
        }
        assert_eq!(post(&mut ledger, b"c", pay(1)).unwrap_err().code(), "ledger_duplicate_txn");
        assert_eq!((ledger.txn_count(), ledger.posting_count()), (3, 6));
        assert_eq!(ledger.balance(&TO, Asset::Usd), Micros(3));
        assert_eq!(ledger.sum(Asset::Usd), 0);
    }
}
