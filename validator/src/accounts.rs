//! Customers: accounts, payments, subscriptions and the units they are charged for, each once; never a delivery.
//!
//! A unit is one (subscription, topic, slot). It is remembered for seven days after its slot; a slot older than that
//! cannot be delivered any more, so forgetting the unit can never charge it twice.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::id::{TxnId, is_name};
use schemas::{
    AccountCommand, AccountId, AccountView, Asset, ChargeOutcome, LedgerAccount, Micros, MinerId, Q32,
    RejectCode, Subscription, SubscriptionId, Timestamp, TxnKind, UnitId, Usage, Verdict, unit_id,
};

use crate::admit::ensure;
use crate::ledger::{leg, txn_id};
use crate::limits::{MAX_AMOUNT, UNIT_RETENTION_NS, has_room, is_text};
use crate::validator::Validator;

/// A signal as it is sold: the price when it was issued, and whose weight is in it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Offer {
    #[n(0)]
    pub(crate) price: Micros,
    #[n(1)]
    pub(crate) contributors: Vec<(MinerId, Q32)>,
}

/// All customers; their balances are in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Accounts {
    #[n(0)]
    pub(crate) open: BTreeSet<AccountId>,
    /// Transactions of payments that were booked.
    #[n(1)]
    pub(crate) payments: BTreeSet<TxnId>,
    #[n(2)]
    pub(crate) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Units that are paid, by slot.
    #[n(3)]
    pub(crate) units: BTreeSet<(Timestamp, UnitId)>,
}

impl Validator {
    /// Changes an account or says why not.
    pub(crate) fn account(
        &mut self,
        command: &AccountCommand,
        out: &mut Vec<Verdict>,
    ) -> Result<(), RejectCode> {
        match command {
            AccountCommand::Open { account } => self.open_account(account, out),
            AccountCommand::TopUp { account, amount, payment } => self.top_up(account, *amount, payment, out),
            AccountCommand::Subscribe(subscription) => self.subscribe(subscription, out),
            AccountCommand::Cancel { subscription } => self.cancel(subscription, out),
        }
    }

    fn open_account(&mut self, account: &AccountId, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        ensure(is_name(&account.0), RejectCode::InvalidName)?;
        ensure(!self.accounts.open.contains(account), RejectCode::DuplicateAccount)?;
        ensure(has_room(self.accounts.open.len(), self.limits.max_accounts), RejectCode::LimitReached)?;
        self.accounts.open.insert(account.clone());
        out.push(self.account_view(account));
        Ok(())
    }

    fn top_up(
        &mut self,
        account: &AccountId,
        amount: Micros,
        payment: &str,
        out: &mut Vec<Verdict>,
    ) -> Result<(), RejectCode> {
        ensure(self.accounts.open.contains(account), RejectCode::UnknownAccount)?;
        ensure(is_text(payment), RejectCode::InvalidName)?;
        ensure((1..=MAX_AMOUNT).contains(&amount.0), RejectCode::InvalidAmount)?;
        let id = txn_id(TxnKind::TopUp, payment.as_bytes());
        ensure(!self.accounts.payments.contains(&id), RejectCode::DuplicatePayment)?;
        ensure(has_room(self.accounts.payments.len(), self.limits.max_payments), RejectCode::LimitReached)?;
        let usd = |account, amount| leg(account, Asset::Usd, amount);
        let legs = vec![
            usd(LedgerAccount::Clearing, -amount.0),
            usd(LedgerAccount::Prepaid(account.clone()), amount.0),
        ];
        let txn =
            self.book(TxnKind::TopUp, payment.as_bytes(), legs).map_err(|_| RejectCode::InvalidAmount)?;
        self.accounts.payments.insert(id);
        self.publish(txn, out);
        out.push(self.account_view(account));
        Ok(())
    }

    fn subscribe(&mut self, s: &Subscription, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        ensure(is_name(&s.id.0), RejectCode::InvalidName)?;
        ensure(self.accounts.open.contains(&s.account), RejectCode::UnknownAccount)?;
        ensure(!self.accounts.subscriptions.contains_key(&s.id), RejectCode::DuplicateSubscription)?;
        let sizes = (1..=self.limits.max_subscription_topics as usize).contains(&s.topics.len());
        let times = s.from < s.until && self.now < s.until;
        let sound = sizes && times && (0..=MAX_AMOUNT).contains(&s.max_price.0);
        ensure(sound, RejectCode::InvalidSubscription)?;
        ensure(s.topics.iter().all(|t| self.topics.contains_key(t)), RejectCode::UnknownTopic)?;
        let room = has_room(self.accounts.subscriptions.len(), self.limits.max_subscriptions);
        ensure(room, RejectCode::LimitReached)?;
        self.accounts.subscriptions.insert(s.id.clone(), s.clone());
        out.push(Verdict::Subscribed(s.clone()));
        Ok(())
    }

    fn cancel(&mut self, id: &SubscriptionId, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        let now = self.now;
        let subscription = self.accounts.subscriptions.get_mut(id).ok_or(RejectCode::UnknownSubscription)?;
        subscription.until = subscription.until.min(now);
        out.push(Verdict::Subscribed(subscription.clone()));
        Ok(())
    }

    /// Charges a unit, once, or says why it must not be delivered.
    pub(crate) fn usage(&mut self, usage: &Usage, out: &mut Vec<Verdict>) {
        let unit = unit_id(&usage.subscription, &usage.topic, usage.slot);
        let verdict = match self.charge(usage, unit, out) {
            Ok(charged) => Verdict::Charged(charged),
            Err(code) => Verdict::ChargeRefused { unit, subscription: usage.subscription.clone(), code },
        };
        out.push(verdict);
    }

    fn charge(
        &mut self,
        u: &Usage,
        unit: UnitId,
        out: &mut Vec<Verdict>,
    ) -> Result<ChargeOutcome, RejectCode> {
        ensure(self.network.is_some(), RejectCode::NoGenesis)?;
        let subscription = self.accounts.subscriptions.get(&u.subscription);
        let subscription = subscription.ok_or(RejectCode::UnknownSubscription)?;
        ensure(subscription.covers(&u.topic, self.now), RejectCode::NotEntitled)?;
        ensure(self.now.since(u.slot) < UNIT_RETENTION_NS, RejectCode::UnknownSignal)?;
        let topic = self.topics.get(&u.topic).ok_or(RejectCode::UnknownTopic)?;
        let offer = topic.offers.get(&(u.slot, u.signal)).ok_or(RejectCode::UnknownSignal)?.clone();
        let account = subscription.account.clone();
        let paid = self.accounts.units.contains(&(u.slot, unit));
        let charged = if paid { Micros(0) } else { offer.price };
        if !paid {
            ensure(offer.price <= subscription.max_price, RejectCode::PriceAboveLimit)?;
            ensure(
                has_room(self.accounts.units.len(), self.limits.max_paid_units),
                RejectCode::LimitReached,
            )?;
            ensure(self.prepaid(&account) >= offer.price, RejectCode::CreditsExhausted)?;
            self.sell(&account, unit, &offer, out)?;
            self.accounts.units.insert((u.slot, unit));
        }
        Ok(ChargeOutcome {
            unit,
            subscription: u.subscription.clone(),
            topic: u.topic.clone(),
            slot: u.slot,
            balance: self.prepaid(&account),
            account,
            charged,
        })
    }

    /// Moves the price of a unit to the revenue and counts whose weight was sold; a free unit moves nothing.
    fn sell(
        &mut self,
        account: &AccountId,
        unit: UnitId,
        offer: &Offer,
        out: &mut Vec<Verdict>,
    ) -> Result<(), RejectCode> {
        if offer.price.0 == 0 {
            return Ok(());
        }
        let usd = |account, amount| leg(account, Asset::Usd, amount);
        let price = offer.price.0;
        let legs =
            vec![usd(LedgerAccount::Prepaid(account.clone()), -price), usd(LedgerAccount::Revenue, price)];
        let txn = self.book(TxnKind::Charge, &unit.0, legs).map_err(|_| RejectCode::CreditsExhausted)?;
        self.publish(txn, out);
        for (miner, weight) in &offer.contributors {
            let used = self.epochs.book.used.entry(*miner).or_insert(0);
            *used = used.saturating_add(weight.0.max(0) as u64);
        }
        Ok(())
    }

    /// Forgets units whose slot cannot be delivered any more.
    pub(crate) fn forget_units(&mut self) {
        while let Some(first) = self.accounts.units.first().copied() {
            if self.now.since(first.0) < UNIT_RETENTION_NS {
                return;
            }
            self.accounts.units.remove(&first);
        }
    }

    /// A customer's prepaid balance.
    pub fn prepaid(&self, account: &AccountId) -> Micros {
        self.ledger.balance(&LedgerAccount::Prepaid(account.clone()), Asset::Usd)
    }

    pub(crate) fn account_view(&self, account: &AccountId) -> Verdict {
        Verdict::Account(AccountView { account: account.clone(), prepaid: self.prepaid(account) })
    }
}
