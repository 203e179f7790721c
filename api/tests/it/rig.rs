//! A house with one scripted room: a ledger that charges once per unit and says so in real verdicts.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use api::keys::{KeyStore, Scope};
use api::{ApiLimits, ApiState, Desk, DeskError, Metrics, Push, Receipt, SharedView, View, ViewLimits};
use schemas::verdict::What;
use schemas::*;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinHandle;

pub const PRICE: i64 = 9_000;
pub const TOPICS: [&str; 3] = ["btc-usd.up-5m.60s", "btc-usd.up-5m.150s", "btc-usd.up-5m.240s"];
/// 2026-06-08T00:00:00Z.
pub const T0: i64 = 1_780_876_800;

/// The validator's part, as small as it can be and still be honest about money.
pub struct Ledger {
    seq: u64,
    topics: BTreeMap<TopicId, TopicRules>,
    subscriptions: BTreeMap<SubscriptionId, Subscription>,
    balances: BTreeMap<AccountId, i64>,
    paid: BTreeSet<UnitId>,
    last: [u8; 32],
    heads: BTreeMap<TopicId, u64>,
    /// What the next submissions get instead of an answer.
    pub trouble: Option<Trouble>,
    /// Usage records that arrived.
    pub usages: u64,
    /// Records of any kind that arrived.
    pub submitted: Vec<Intake>,
}

#[derive(Clone, Copy)]
pub enum Trouble {
    Desk(DeskError),
    Reject(RejectCode),
    Silence,
}

/// Desk, view and clock in one.
pub struct House {
    pub ledger: Mutex<Ledger>,
    pub view: SharedView,
    pub pushes: broadcast::Sender<Arc<Push>>,
    pub clock: Arc<AtomicI64>,
}

impl House {
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst))
    }

    /// Applies verdicts to the real view, then rings the doorbell.
    pub fn say(&self, ledger: &mut Ledger, verdicts: &[Verdict]) {
        let mut out = Vec::new();
        {
            let mut view = self.view.write().unwrap();
            for verdict in verdicts {
                ledger.seq += 1;
                view.apply(&Record { seq: ledger.seq, at: self.now(), body: verdict.clone() }, &mut out);
            }
        }
        for push in out {
            let _ = self.pushes.send(Arc::new(push));
        }
    }

    pub fn tell(&self, verdicts: &[Verdict]) {
        let mut ledger = self.ledger.lock().unwrap();
        self.say(&mut ledger, verdicts);
    }

    fn charge(&self, ledger: &mut Ledger, usage: &Usage) -> Vec<Verdict> {
        ledger.usages += 1;
        let unit = unit_id(&usage.subscription, &usage.topic, usage.slot);
        let refuse =
            |code| vec![Verdict::ChargeRefused { unit, subscription: usage.subscription.clone(), code }];
        let Some(sub) = ledger.subscriptions.get(&usage.subscription).cloned() else {
            return refuse(RejectCode::UnknownSubscription);
        };
        if !sub.covers(&usage.topic, self.now()) {
            return refuse(RejectCode::NotEntitled);
        }
        let balance = ledger.balances.entry(sub.account.clone()).or_default();
        let again = ledger.paid.contains(&unit);
        let price = if again { 0 } else { PRICE };
        if *balance < price {
            return refuse(RejectCode::CreditsExhausted);
        }
        *balance -= price;
        let outcome = verdict::ChargeOutcome {
            unit,
            subscription: sub.id.clone(),
            topic: usage.topic.clone(),
            slot: usage.slot,
            account: sub.account.clone(),
            charged: Micros(price),
            balance: Micros(*balance),
        };
        ledger.paid.insert(unit);
        let mut verdicts = Vec::new();
        if !again {
            let legs = [(LedgerAccount::Prepaid(sub.account), -price), (LedgerAccount::Revenue, price)];
            verdicts.push(Verdict::Posted(ledger.txn(TxnKind::Charge, unit.0, legs)));
        }
        verdicts.push(Verdict::Charged(outcome));
        verdicts
    }
}

impl Ledger {
    fn txn(&mut self, kind: TxnKind, id: [u8; 32], legs: [(LedgerAccount, i64); 2]) -> Txn {
        let posting = |(account, amount)| Posting { account, asset: Asset::Usd, amount: Micros(amount) };
        let txn =
            Txn { id: schemas::id::TxnId(id), kind, postings: legs.map(posting).to_vec(), prev: self.last };
        self.last = txn.hash();
        txn
    }
}

/// The desk of a house.
pub struct HouseDesk(pub Arc<House>);

impl Desk for HouseDesk {
    fn submit(&self, intake: Intake) -> Pin<Box<dyn Future<Output = Result<Receipt, DeskError>> + Send>> {
        let house = Arc::clone(&self.0);
        Box::pin(async move {
            let mut ledger = house.ledger.lock().unwrap();
            ledger.submitted.push(intake.clone());
            let verdicts = match (ledger.trouble, &intake) {
                (Some(Trouble::Desk(error)), _) => return Err(error),
                (Some(Trouble::Silence), _) => Vec::new(),
                (Some(Trouble::Reject(code)), Intake::Commitment(Commitment { miner, question, .. })) => {
                    let what = What::Commitment;
                    vec![Verdict::Rejected { what, miner: Some(*miner), question: Some(*question), code }]
                }
                (Some(Trouble::Reject(code)), Intake::Miner(_)) => {
                    vec![Verdict::Rejected { what: What::Registry, miner: None, question: None, code }]
                }
                (_, Intake::Miner(joined)) => vec![Verdict::MinerListed(joined.clone())],
                (_, Intake::Usage(usage)) => house.charge(&mut ledger, usage),
                (_, Intake::Commitment(Commitment { miner, question, .. })) => {
                    vec![accepted(What::Commitment, *miner, *question)]
                }
                (_, Intake::Reveal(Reveal { miner, question, .. })) => {
                    vec![accepted(What::Reveal, *miner, *question)]
                }
                (_, other) => panic!("the API must not submit {other:?}"),
            };
            let seq = ledger.seq + 1;
            house.say(&mut ledger, &verdicts);
            Ok(Receipt { seq, at: house.now(), verdicts })
        })
    }
}

fn accepted(what: What, miner: MinerId, question: QuestionId) -> Verdict {
    Verdict::Accepted { what, miner: Some(miner), question: Some(question) }
}

/// A running API and everything around it.
pub struct Rig {
    pub house: Arc<House>,
    pub keys: KeyStore,
    pub state: ApiState,
    pub addr: SocketAddr,
    pub dir: tempfile::TempDir,
    pub http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

pub fn rules(id: &str, horizon_s: u32) -> TopicRules {
    TopicRules {
        id: TopicId::new(id).unwrap(),
        version: 1,
        symbol: "btc/usd".into(),
        interval_s: 300,
        horizon_s,
        commit_window_ns: 2_000_000_000,
        reveal_window_ns: 2_000_000_000,
        max_input_age_ns: 10_000_000_000,
        scoring: ScoringRule::Brier,
        weight: Q32::ratio(1, 100),
        missing_fee: Ppm(100_000),
        price: Micros(PRICE),
        questions_per_epoch: 100,
    }
}

pub fn miner_id(n: u8) -> MinerId {
    MinerId([n; 32])
}

pub fn topic_id(n: usize) -> TopicId {
    TopicId(TOPICS[n].into())
}

pub fn market(slot: i64) -> MarketId {
    MarketId { venue: Venue::Polymarket, native: format!("0xmarket{slot}") }
}

pub fn question(topic: usize, slot: i64) -> Question {
    let rules = rules(TOPICS[topic], [60, 150, 240][topic]);
    let starts = Timestamp::from_secs(T0 + 300 * slot);
    let opens = starts.plus(i64::from(rules.horizon_s) * 1_000_000_000);
    Question {
        id: Question::derive_id(&rules.id, 1, &market(slot), opens),
        topic: rules.id.clone(),
        rules_version: 1,
        rules_hash: rules.hash(),
        market: market(slot),
        symbol: "btc/usd".into(),
        strike: IndexPrice::from_decimal("63304.200301195075").unwrap(),
        market_starts_at: starts,
        opens_at: opens,
        commit_closes_at: opens.plus(2_000_000_000),
        reveal_closes_at: opens.plus(4_000_000_000),
        resolves_at: starts.plus(300_000_000_000),
        reference: Ppm(500_000),
        reference_source: "closed-form/1".into(),
        input_watermark: opens,
        market_mid: (slot % 2 == 0).then_some(Ppm(540_000)),
    }
}

pub fn signal(topic: usize, slot: i64, topic_seq: u64, p: u32) -> Signal {
    let q = question(topic, slot);
    let contributor = |n: u8| Contributor { miner: miner_id(n), weight: Q32::ratio(1, 4), p: Ppm(p) };
    Signal {
        id: Signal::derive_id(&q.id),
        question: q.id,
        topic: q.topic,
        topic_seq,
        slot: q.market_starts_at,
        market: q.market,
        issued_at: q.reveal_closes_at,
        expires_at: q.resolves_at,
        input_watermark: q.input_watermark,
        p: Ppm(p),
        reference: q.reference,
        dispersion: Ppm(18_210),
        market_view: q.market_mid.map(|mid| MarketView { mid, as_of: q.opens_at }),
        contributors: vec![contributor(1), contributor(2)],
        reference_weight: Q32::ratio(1, 2),
    }
}

impl Rig {
    pub fn start() -> Self {
        Self::with(|_| {}, |_| {}, 64)
    }

    /// A rig with other bounds; `doorbells` is the capacity of the broadcast channel.
    pub fn with(
        limits: impl FnOnce(&mut ApiLimits),
        view_limits: impl FnOnce(&mut ViewLimits),
        doorbells: usize,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut bounds = ViewLimits::default();
        view_limits(&mut bounds);
        let (pushes, _) = broadcast::channel(doorbells);
        let house = Arc::new(House {
            ledger: Mutex::new(Ledger {
                seq: 0,
                topics: BTreeMap::new(),
                subscriptions: BTreeMap::new(),
                balances: BTreeMap::new(),
                paid: BTreeSet::new(),
                last: [0; 32],
                heads: BTreeMap::new(),
                trouble: None,
                usages: 0,
                submitted: Vec::new(),
            }),
            view: Arc::new(RwLock::new(View::new(bounds))),
            pushes: pushes.clone(),
            clock: Arc::new(AtomicI64::new(T0 * 1_000_000_000)),
        });
        let keys = KeyStore::open(dir.path().join("keys.jsonl")).unwrap();
        let clock = Arc::clone(&house.clock);
        let now = Arc::new(move || Timestamp(clock.load(Ordering::SeqCst)));
        let desk = Arc::new(HouseDesk(Arc::clone(&house)));
        let mut state = ApiState::new(Arc::clone(&house.view), desk, keys.clone(), pushes, now);
        state.limits.per_address = api::Rate { burst: 100_000, per_second: 100_000 };
        state.limits.per_key = api::Rate { burst: 100_000, per_second: 100_000 };
        limits(&mut state.limits);
        // Small buffers, so that a reader that does not read is noticed after few messages.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener: TcpListener = socket.listen(64).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = api::app(state.clone());
        let server = tokio::spawn(api::serve(listener, app, async {
            let _ = stopped.await;
        }));
        let http = http();
        let rig = Self { house, keys, state, addr, dir, http, stop: Some(stop), server };
        rig.house.tell(&rig.opening());
        rig
    }

    fn opening(&self) -> Vec<Verdict> {
        let listed = |i: usize| Verdict::TopicListed(rules(TOPICS[i], [60, 150, 240][i]));
        let miner = |n: u8| {
            Verdict::MinerListed(MinerJoined {
                miner: miner_id(n),
                name: format!("miner-{n}"),
                kind: "model".into(),
                stake: Micros(1_000_000 * i64::from(n)),
                host: None,
                signature: None,
                account: None,
            })
        };
        let mut ledger = self.house.ledger.lock().unwrap();
        for (i, id) in TOPICS.iter().enumerate() {
            ledger.topics.insert(topic_id(i), rules(id, 60));
        }
        vec![listed(0), listed(1), listed(2), miner(1), miner(2), miner(3)]
    }

    /// An account with money and a subscription to some topics for 30 days.
    pub fn customer(&self, name: &str, money: i64, topics: &[usize]) {
        let account = AccountId::new(name).unwrap();
        let mut ledger = self.house.ledger.lock().unwrap();
        let legs = [(LedgerAccount::Clearing, -money), (LedgerAccount::Prepaid(account.clone()), money)];
        let id = schemas::id::derive("test/topup", &[name.as_bytes()]);
        let txn = ledger.txn(TxnKind::TopUp, id, legs);
        ledger.balances.insert(account.clone(), money);
        let view = AccountView { account: account.clone(), prepaid: Micros(money) };
        self.house.say(&mut ledger, &[Verdict::Posted(txn), Verdict::Account(view)]);
        if !topics.is_empty() {
            let subscription = Subscription {
                id: SubscriptionId::new(&format!("{name}.all")).unwrap(),
                account,
                topics: topics.iter().map(|t| topic_id(*t)).collect(),
                from: Timestamp::from_secs(T0),
                until: Timestamp::from_secs(T0 + 30 * 86_400),
                max_price: Micros(PRICE),
            };
            ledger.subscriptions.insert(subscription.id.clone(), subscription.clone());
            self.house.say(&mut ledger, &[Verdict::Subscribed(subscription)]);
        }
    }

    /// A key with all scopes.
    pub fn key(&self, account: &str) -> String {
        self.key_with(account, &Scope::ALL)
    }

    pub fn key_with(&self, account: &str, scopes: &[Scope]) -> String {
        self.keys.create(&AccountId::new(account).unwrap(), scopes, None, self.house.now()).unwrap().secret
    }

    /// Issues the signal of a slot, 2 s after its question opened.
    pub fn issue(&self, topic: usize, slot: i64, p: u32) -> Signal {
        let mut ledger = self.house.ledger.lock().unwrap();
        let head = ledger.heads.entry(topic_id(topic)).or_default();
        *head += 1;
        let signal = signal(topic, slot, *head, p);
        self.house.clock.fetch_max(signal.issued_at.0, Ordering::SeqCst);
        let verdicts = [Verdict::QuestionOpened(question(topic, slot)), Verdict::Signal(signal.clone())];
        self.house.say(&mut ledger, &verdicts);
        signal
    }

    /// Ends the market of a slot.
    pub fn resolve(&self, slot: i64, up: bool) {
        let closes_at = Timestamp::from_secs(T0 + 300 * (slot + 1));
        let closing = IndexPrice::from_decimal("63305").unwrap();
        let determination = Determination::Determined { up, closing };
        self.house.tell(&[Verdict::Resolved { market: market(slot), closes_at, determination }]);
    }

    pub fn usages(&self) -> u64 {
        self.house.ledger.lock().unwrap().usages
    }

    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.house.ledger.lock().unwrap().trouble = trouble;
    }

    pub fn metrics(&self) -> &Metrics {
        &self.state.metrics
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub async fn get(&self, path: &str, key: Option<&str>) -> reqwest::Response {
        let mut request = self.http.get(self.url(path));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        request.send().await.unwrap()
    }

    pub async fn json(&self, path: &str, key: Option<&str>) -> serde_json::Value {
        let response = self.get(path, key).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    pub async fn balance(&self, key: &str) -> String {
        self.json("/v1/account/balance", Some(key)).await["prepaid"].as_str().unwrap().to_owned()
    }

    /// Says goodbye and waits for the server.
    pub async fn stop(mut self) {
        self.leave();
        self.server.await.unwrap().unwrap();
    }

    /// Says goodbye.
    pub fn leave(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

/// An HTTP client. With the feature `tls` anywhere in the build it wants a crypto provider, even for plain HTTP.
pub(crate) fn http() -> reqwest::Client {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
