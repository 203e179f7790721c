//! The recorded day through the whole of ingest: frames and REST answers in, questions and report drafts out.

use std::collections::BTreeMap;

use ingest::{
    Deed, FactInput, Feed, FeedConfig, FeedOutput, ReportDraft, Resolver, ResolverConfig, Scheduler,
    SchedulerConfig,
};
use schemas::topic::ScoringRule;
use schemas::{
    Determination, FeedState, Intake, Machine as _, MarketEvent, Micros, Ppm, Q32, Question, Raw, Record,
    RestReply, Snapshot as _, Timestamp, TopicId, TopicRules, VoidReason,
};

use crate::START;
use crate::recorded::{self, RecordedMarket, RecordedTick};

/// The venue and the kernel in one: serves deeds, moves the clock, feeds facts to the readers.
struct World<'a> {
    markets: BTreeMap<String, &'a RecordedMarket>,
    ticks: &'a [RecordedTick],
    sent: usize,
    open: bool,
    feed: Feed,
    scheduler: Scheduler,
    resolver: Resolver,
    drafts: Vec<ReportDraft>,
    questions: Vec<Question>,
    events: Vec<MarketEvent>,
}

impl World<'_> {
    fn raw(&mut self, at: Timestamp, body: Raw) {
        let mut out = Vec::new();
        self.feed.apply(&Record { seq: 1, at, body }, &mut out);
        for output in out {
            match output {
                FeedOutput::Market(event) => {
                    self.fact(at, FactInput::Market(event.clone()));
                    self.events.push(event);
                }
                FeedOutput::Deed(deed) => self.deed(at, deed),
            }
        }
    }

    fn fact(&mut self, at: Timestamp, body: FactInput) {
        let record = Record { seq: 1, at, body };
        self.scheduler.apply(&record, &mut self.questions);
        self.resolver.apply(&record, &mut self.drafts);
        for wake in [self.scheduler.wake_at(), self.resolver.wake_at()].into_iter().flatten() {
            assert!(wake > at, "asks again for what it was just given");
        }
    }

    fn deed(&mut self, at: Timestamp, deed: Deed) {
        match deed {
            Deed::Connect { conn, .. } => {
                self.open = true;
                self.raw(at, Raw::Connected { conn });
            }
            Deed::Close { .. } => self.open = false,
            Deed::Send { conn, text } if text == "PING" => {
                self.raw(at, Raw::Frame { conn, bytes: b"PONG".to_vec() });
            }
            Deed::Send { conn, .. } => {
                let bytes = self.history().into_bytes();
                self.raw(at, Raw::Frame { conn, bytes });
            }
            Deed::Fetch { request, path, .. } => {
                let slug = path.strip_prefix("/events?slug=").unwrap();
                let body = self.markets.get(slug).map_or_else(|| "[]".to_owned(), |m| event(m, at.secs()));
                self.raw(at, Raw::Rest(RestReply { request, status: 200, bytes: body.into_bytes() }));
            }
        }
    }

    /// What the venue sends first: the last two minutes.
    fn history(&self) -> String {
        let points: Vec<&str> =
            self.ticks[self.sent.saturating_sub(120)..self.sent].iter().map(|t| t.point.as_str()).collect();
        format!(
            r#"{{"topic":"crypto_prices_chainlink","type":"subscribe","timestamp":1,"payload":{{"symbol":"btc/usd","data":[{}]}}}}"#,
            points.join(",")
        )
    }

    /// Serves every wake-up up to `until`.
    fn advance(&mut self, until: Timestamp) {
        loop {
            let raw = self.feed.wake_at();
            let facts = [self.scheduler.wake_at(), self.resolver.wake_at()].into_iter().flatten().min();
            let Some(to) = [raw, facts].into_iter().flatten().min().filter(|to| *to <= until) else { return };
            let to = to.max(Timestamp::from_secs(START));
            if raw.is_some_and(|at| at <= to) {
                self.raw(to, Raw::TimeAdvanced { to });
            } else {
                self.fact(to, FactInput::Intake(Intake::TimeAdvanced { to }));
            }
        }
    }

    /// A restart: every machine continues from its saved state.
    fn restart(&mut self) {
        let digests = (self.feed.digest(), self.scheduler.digest(), self.resolver.digest());
        self.feed = Feed::load(&self.feed.save()).unwrap();
        self.scheduler = Scheduler::load(&self.scheduler.save()).unwrap();
        self.resolver = Resolver::load(&self.resolver.save()).unwrap();
        assert_eq!(digests, (self.feed.digest(), self.scheduler.digest(), self.resolver.digest()));
    }
}

/// The market as Gamma showed it then: the strike ten seconds after the start, the result half a minute after the end.
fn event(m: &RecordedMarket, now_s: i64) -> String {
    let strike = m.strike.as_deref().filter(|_| now_s >= m.start_s + 10);
    let market = if now_s >= m.end_s + 30 { m.raw.clone() } else { recorded::opened(&m.raw) };
    recorded::event(&m.slug, strike, &market)
}

fn topic(horizon_s: u32) -> TopicRules {
    TopicRules {
        id: TopicId::new(&format!("btc-usd.up-5m.{horizon_s}s")).unwrap(),
        version: 1,
        symbol: "btc/usd".to_owned(),
        interval_s: 300,
        horizon_s,
        commit_window_ns: 2_000_000_000,
        reveal_window_ns: 2_000_000_000,
        max_input_age_ns: 10_000_000_000,
        scoring: ScoringRule::Brier,
        weight: Q32::ONE,
        missing_fee: Ppm(0),
        price: Micros(10_000),
        questions_per_epoch: 12,
    }
}

fn run<'a>(markets: &'a [RecordedMarket], ticks: &'a [RecordedTick]) -> World<'a> {
    let mut world = World {
        markets: markets.iter().map(|m| (m.slug.clone(), m)).collect(),
        ticks,
        sent: 0,
        open: false,
        feed: Feed::new(FeedConfig::default()),
        scheduler: Scheduler::new(SchedulerConfig::default()),
        resolver: Resolver::new(ResolverConfig::default()),
        drafts: Vec::new(),
        questions: Vec::new(),
        events: Vec::new(),
    };
    let start = Timestamp::from_secs(START);
    for horizon_s in [60, 150, 240] {
        world.fact(start, FactInput::Intake(Intake::Topic(topic(horizon_s))));
    }
    world.advance(start);
    let mut clock = start;
    for (n, tick) in ticks.iter().enumerate() {
        clock = clock.max(Timestamp::from_millis(tick.recv_ms));
        world.advance(clock);
        world.sent = n + 1;
        if world.open {
            let conn = world.feed.conn();
            world.raw(clock, Raw::Frame { conn, bytes: tick.frame.clone().into_bytes() });
        }
        if n == ticks.len() / 2 {
            world.restart();
        }
    }
    world.advance(Timestamp::from_secs(START + 86_400 + 1_200));
    world
}

#[test]
fn markets_end_as_the_venue_says_or_are_unprovable() {
    let (Some(markets), Some(ticks)) = (recorded::markets(), recorded::ticks()) else { return };
    assert_eq!((markets.len(), ticks.len()), (292, 84_558));
    let world = run(&markets, &ticks);
    drafts_match(&world, &markets);
    questions_hold(&world, &markets);
    insta::assert_snapshot!(summary(&world), @r#"
    btc-usd.up-5m.150s: 279 questions, Brier 149788
    btc-usd.up-5m.240s: 278 questions, Brier 101896
    btc-usd.up-5m.60s: 277 questions, Brier 210035
    skipped: {NoStrike: 12, StaleInput: 12, ShortHistory: 1}
    FeedCounts { ticks: 84558, duplicates: 6720, pongs: 17374, foreign: 0, stray: 0, quarantined: 0, disconnects: 56, failed_requests: 0, not_listed: 26, missed_intervals: 0 }
    {"gap": 60, "listed": 579, "live": 8, "quote": 3490, "resolved": 292, "stale": 8, "tick": 84558}
    "#);
}

fn drafts_match(world: &World<'_>, markets: &[RecordedMarket]) {
    let official: BTreeMap<&str, bool> =
        markets.iter().map(|m| (m.raw["conditionId"].as_str().unwrap(), m.up_paid == "1")).collect();
    let mut tally = BTreeMap::new();
    for draft in &world.drafts {
        let class = match draft.determination {
            Determination::Determined { up, .. } if official[draft.market.native.as_str()] == up => {
                "determined"
            }
            Determination::Determined { .. } => "wrong",
            Determination::Void(reason) => reason.code(),
        };
        *tally.entry(class).or_insert(0) += 1;
    }
    let expected =
        [("determined", 280), (VoidReason::NoClosingTick.code(), 8), (VoidReason::NoStrike.code(), 4)];
    assert_eq!(tally, BTreeMap::from(expected));
    let distinct: std::collections::BTreeSet<_> = world.drafts.iter().map(|d| &d.market).collect();
    assert_eq!(distinct.len(), 292, "one draft per market");
}

fn questions_hold(world: &World<'_>, markets: &[RecordedMarket]) {
    let skipped: u64 = world.scheduler.skips().values().sum();
    // The first market had ended when it was listed.
    assert_eq!(world.questions.len() as u64 + skipped, 3 * (markets.len() as u64 - 1), "asked or counted");
    for q in &world.questions {
        let tau = q.resolves_at.since(q.opens_at);
        assert!(tau > 0 && q.opens_at.since(q.market_starts_at) + tau == 300_000_000_000);
        assert!(q.input_watermark <= q.opens_at && q.opens_at.since(q.input_watermark) < 10_000_000_000);
        assert_eq!(q.id, Question::derive_id(&q.topic, 1, &q.market, q.opens_at));
        assert_eq!(q.market_mid, Some(Ppm(505_000)));
    }
}

/// Counts, and the Brier loss of the reference per topic (millionths).
fn summary(world: &World<'_>) -> String {
    let up: BTreeMap<_, _> = world
        .drafts
        .iter()
        .filter_map(|d| match d.determination {
            Determination::Determined { up, .. } => Some((&d.market, up)),
            Determination::Void(_) => None,
        })
        .collect();
    let mut losses: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for q in &world.questions {
        if let Some(up) = up.get(&q.market) {
            let miss = i64::from(q.reference.0) - if *up { 1_000_000 } else { 0 };
            let entry = losses.entry(&q.topic.0).or_default();
            *entry = (entry.0 + miss * miss / 1_000_000, entry.1 + 1);
        }
    }
    let mut lines: Vec<String> =
        losses.iter().map(|(topic, (sum, n))| format!("{topic}: {n} questions, Brier {}", sum / n)).collect();
    lines.push(format!("skipped: {:?}", world.scheduler.skips()));
    lines.push(format!("{:?}", world.feed.counts()));
    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &world.events {
        *kinds.entry(kind(event)).or_default() += 1;
    }
    lines.push(format!("{kinds:?}"));
    lines.join("\n")
}

fn kind(event: &MarketEvent) -> &'static str {
    match event {
        MarketEvent::Listed(_) => "listed",
        MarketEvent::Tick(_) => "tick",
        MarketEvent::Quote(_) => "quote",
        MarketEvent::Resolved(_) => "resolved",
        MarketEvent::Feed(FeedState::Live) => "live",
        MarketEvent::Feed(FeedState::Stale { .. }) => "stale",
        MarketEvent::Feed(FeedState::Down { .. }) => "down",
        MarketEvent::Feed(FeedState::Gap { .. }) => "gap",
        MarketEvent::Feed(FeedState::Quarantined { .. }) => "quarantined",
    }
}
