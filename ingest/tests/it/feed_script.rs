//! The index connection as a script: inputs with their time on the left, what the feed says on the right.

use ingest::{Feed, FeedConfig, FeedOutput};
use schemas::time::NANOS_PER_SEC;
use schemas::{Machine as _, Raw, Record, Snapshot as _, Timestamp};

use crate::{START, apply, at, show, update_frame};

/// A feed whose market polls are out of the way.
fn link_only() -> Feed {
    Feed::new(FeedConfig {
        lead_ns: 0,
        request_timeout_ns: i64::MAX / 2,
        lookback_ns: 0,
        ..FeedConfig::default()
    })
}

/// Runs a script; the clock is advanced to every instant the feed asks for, as the kernel does.
struct Script {
    feed: Feed,
    lines: Vec<String>,
}

impl Script {
    fn new(feed: Feed) -> Self {
        let mut script = Self { feed, lines: Vec::new() };
        script.input(0.0, "start", Raw::TimeAdvanced { to: Timestamp::from_secs(START) });
        script
    }

    fn input(&mut self, secs: f64, name: &str, body: Raw) {
        self.advance(secs);
        let record = at(START as f64 + secs, body);
        self.step(name, &record);
    }

    /// Serves every wake-up strictly before `secs`.
    fn advance(&mut self, secs: f64) {
        let until = at(START as f64 + secs, ()).at;
        while let Some(to) = self.feed.wake_at().filter(|to| *to < until) {
            if to < Timestamp::from_secs(START) {
                return;
            }
            self.step("clock", &Record { seq: 1, at: to, body: Raw::TimeAdvanced { to } });
        }
    }

    fn step(&mut self, name: &str, record: &Record<Raw>) {
        let said: Vec<String> = apply(&mut self.feed, record)
            .iter()
            .filter(|o| !matches!(o, FeedOutput::Deed(ingest::Deed::Fetch { .. })))
            .map(show)
            .collect();
        let secs = (record.at.0 - START * NANOS_PER_SEC) as f64 / 1e9;
        self.lines.push(format!("{secs:>8.3} {name:<12} {}", said.join(" | ")).trim_end().to_owned());
    }

    fn tick(&mut self, secs: f64, feed_s: i64) {
        let bytes = update_frame((START + feed_s) * 1_000, "61035.86");
        self.input(secs, "tick", Raw::Frame { conn: self.feed.conn(), bytes });
    }

    fn connected(&mut self, secs: f64) {
        self.input(secs, "connected", Raw::Connected { conn: self.feed.conn() });
    }
}

#[test]
fn connect_subscribe_ping_idle_reconnect() {
    let mut s = Script::new(link_only());
    s.connected(0.2);
    s.tick(0.9, 0);
    s.input(5.4, "pong", Raw::Frame { conn: 1, bytes: b"PONG".to_vec() });
    s.tick(6.0, 5);
    s.tick(6.1, 5);
    s.tick(6.2, 4);
    s.input(6.3, "garbage", Raw::Frame { conn: 1, bytes: b"{".to_vec() });
    s.tick(13.0, 12);
    s.advance(34.0);
    s.connected(34.0);
    s.tick(34.5, 33);
    insta::assert_snapshot!(s.lines.join("\n"), @r#"
     0.000 start        connect 1
     0.200 connected    send 1 {"action":"subscribe","subscriptions":[{"filters":"{\"symbol\":\"btc/usd\"}","topic":"crypto_prices_chainlink","type":"*"}]}
     0.900 tick         live | tick 0 61035.86
     5.200 clock        send 1 PING
     5.400 pong
     6.000 tick         tick 5 61035.86
     6.100 tick
     6.200 tick
     6.300 garbage      quarantined bad_json
    10.200 clock        send 1 PING
    13.000 tick         gap 6 to 11 | tick 12 61035.86
    15.200 clock        send 1 PING
    20.200 clock        send 1 PING
    25.200 clock        send 1 PING
    30.200 clock        send 1 PING
    33.000 clock        close 1 | stale since 12
    33.051 clock        connect 2
    34.000 connected    send 2 {"action":"subscribe","subscriptions":[{"filters":"{\"symbol\":\"btc/usd\"}","topic":"crypto_prices_chainlink","type":"*"}]}
    34.500 tick         gap 13 to 32 | live | tick 33 61035.86
    "#);
    let counts = s.feed.counts();
    assert_eq!((counts.ticks, counts.duplicates, counts.quarantined, counts.pongs), (4, 2, 1, 1));
}

#[test]
fn failures_back_off_with_full_jitter_and_recover() {
    let mut s = Script::new(link_only());
    for n in 1..=9 {
        assert_eq!(s.feed.conn(), n);
        let now = s.lines.last().unwrap()[..8].trim().parse::<f64>().unwrap();
        s.input(now + 0.1, "refused", Raw::Closed { conn: n, reason: "connect: refused".to_owned() });
        let retry = s.feed.wake_at().unwrap();
        s.step("clock", &Record { seq: 1, at: retry, body: Raw::TimeAdvanced { to: retry } });
    }
    let now = s.lines.last().unwrap()[..8].trim().parse::<f64>().unwrap();
    s.connected(now + 0.1);
    s.tick(now + 0.2, now as i64);
    s.input(now + 0.3, "dropped", Raw::Closed { conn: 10, reason: "closed by the venue".to_owned() });
    s.advance(now + 2.0);
    insta::assert_snapshot!(s.lines.join("\n"), @r#"
     0.000 start        connect 1
     0.100 refused      down connect: refused
     0.151 clock        connect 2
     0.251 refused
     0.563 clock        connect 3
     0.663 refused
     2.536 clock        connect 4
     2.636 refused
     5.071 clock        connect 5
     5.171 refused
     8.489 clock        connect 6
     8.589 refused
     8.896 clock        connect 7
     8.996 refused
    28.222 clock        connect 8
    28.322 refused
    30.545 clock        connect 9
    30.645 refused
    40.533 clock        connect 10
    40.633 connected    send 10 {"action":"subscribe","subscriptions":[{"filters":"{\"symbol\":\"btc/usd\"}","topic":"crypto_prices_chainlink","type":"*"}]}
    40.733 tick         live | tick 40 61035.86
    40.833 dropped      down closed by the venue
    41.226 clock        connect 11
    "#);
}

#[test]
fn a_connection_that_never_opens_is_given_up_and_strays_are_ignored() {
    let mut s = Script::new(link_only());
    s.input(1.0, "stray", Raw::Connected { conn: 9 });
    s.input(2.0, "stray", Raw::Frame { conn: 1, bytes: update_frame(START * 1_000, "1.5") });
    s.advance(15.6);
    s.input(15.7, "late", Raw::Connected { conn: 1 });
    s.input(15.8, "stray", Raw::Rest(schemas::RestReply { request: 99, status: 200, bytes: vec![] }));
    insta::assert_snapshot!(s.lines.join("\n"), @r"
     0.000 start        connect 1
     1.000 stray
     2.000 stray
    15.000 clock        close 1 | down connect timeout
    15.051 clock        connect 2
    15.700 late
    15.800 stray
    ");
    assert_eq!(s.feed.counts().stray, 4);
}

#[test]
fn a_value_from_the_future_cannot_block_the_feed() {
    let mut s = Script::new(link_only());
    s.connected(0.1);
    s.tick(1.0, 121);
    s.tick(1.1, 1_000_000);
    s.tick(1.2, 1);
    insta::assert_snapshot!(s.lines.join("\n"), @r#"
    0.000 start        connect 1
    0.100 connected    send 1 {"action":"subscribe","subscriptions":[{"filters":"{\"symbol\":\"btc/usd\"}","topic":"crypto_prices_chainlink","type":"*"}]}
    1.000 tick         live | tick 121 61035.86
    1.100 tick         quarantined from_future
    1.200 tick
    "#);
}

#[test]
fn after_a_restart_the_lost_connection_is_replaced() {
    let mut s = Script::new(link_only());
    s.connected(0.1);
    s.tick(1.0, 0);
    let mut again = Feed::load(&s.feed.save()).unwrap();
    assert_eq!(again.digest(), s.feed.digest());
    let record = at(START as f64 + 9.0, Raw::Closed { conn: again.conn(), reason: "restart".to_owned() });
    let said: Vec<String> = apply(&mut again, &record).iter().map(show).collect();
    assert_eq!(said, ["down restart"]);
    let to = again.wake_at().unwrap();
    let said = apply(&mut again, &Record { seq: 2, at: to, body: Raw::TimeAdvanced { to } });
    assert_eq!(said.iter().map(show).collect::<Vec<_>>(), ["connect 2"]);
}
