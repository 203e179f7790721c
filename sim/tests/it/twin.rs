//! The twin over real loopback sockets: every tick, in order, byte for byte; REST as known at virtual now.

use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use schemas::Timestamp;
use serde_json::Value;
use sim::{Pace, Speed, Twin, TwinConfig, gamma, rtds};

use crate::client::{Client, SUBSCRIBE, feed_time, get, lockstep, recorded, recorded_dir, small_day, spawn};

/// The rows of the prices file, cells as text, by receive time; read without the crate's own reader.
fn rows() -> Vec<Vec<String>> {
    let dir = std::fs::read_dir(recorded_dir().unwrap()).unwrap();
    let path =
        dir.map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().contains("BTCUSD-prices")).unwrap();
    let text = std::io::read_to_string(MultiGzDecoder::new(std::fs::File::open(path).unwrap())).unwrap();
    let mut rows: Vec<Vec<String>> =
        text.lines().skip(1).map(|l| l.split(',').map(ToOwned::to_owned).collect()).collect();
    rows.sort_by_key(|r| r[4].parse::<i64>().unwrap());
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_tick_is_served_in_order_byte_for_byte() {
    let Some(day) = recorded() else { return };
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut client = Client::subscribed(&twin).await;
    let history = client.hear().await.unwrap();
    assert!(history.ends_with(r#""payload":{"symbol":"btc/usd","data":[]}}"#), "{history}");
    for row in rows() {
        let [feed, value, full, server, recv] = &row[..] else { panic!("{row:?}") };
        let frame = client.hear_only().await.unwrap();
        let expected = format!(
            r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{server},"payload":{{"symbol":"btc/usd","timestamp":{feed},"value":{value},"full_accuracy_value":"{full}"}}}}"#
        );
        assert_eq!(frame, expected);
        assert_eq!(pace.now().millis().to_string(), *recv, "sent exactly at its receive time");
        pace.leave();
    }
    twin.done().await;
    assert_eq!((pace.now(), pace.stalls(), pace.extra_leaves(), pace.busy()), (day.ends_at(), 0, 0, 0));
    assert_eq!((twin.stats().ticks, twin.stats().updates), (84_558, 84_558));
    for chunk in day.markets.chunks(100) {
        let ids: Vec<_> = chunk.iter().map(|m| format!("condition_ids={}", m.condition_id)).collect();
        let (status, body) = get(&twin, &format!("/markets?{}", ids.join("&"))).await;
        let found: Vec<Value> = serde_json::from_str(&body).unwrap();
        assert_eq!((status, found.len()), (200, chunk.len()));
        for (m, served) in chunk.iter().zip(found) {
            let up = if m.official.unwrap() { r#"["1", "0"]"# } else { r#"["0", "1"]"# };
            assert_eq!(
                (&served["conditionId"], &served["closed"]),
                (&m.condition_id.clone().into(), &true.into())
            );
            assert_eq!(served["outcomePrices"], up);
        }
    }
    twin.shutdown().await;
}

/// At the day's beginning nobody knows how any market ends, and REST says so for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_at_the_beginning_knows_no_outcome() {
    let Some(day) = recorded() else { return };
    let pace = lockstep(&day);
    // Nobody subscribes, so time stands at the beginning.
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut listed = 0;
    for m in &day.markets {
        let (status, body) = get(&twin, &format!("/events?slug={}", m.slug)).await;
        let found: Vec<Value> = serde_json::from_str(&body).unwrap();
        assert_eq!((status, found.len()), (200, usize::from(m.listed_at <= day.begins_at())), "{}", m.slug);
        for event in found {
            let market = &event["markets"][0];
            assert_eq!(market["outcomePrices"], r#"["0.5", "0.5"]"#);
            assert_eq!((market.get("bestBid"), market.get("closedTime")), (None, None));
            assert_eq!(event.get("eventMetadata"), None);
            listed += 1;
        }
    }
    assert!(listed > 280);
    assert_eq!(pace.now(), day.begins_at());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_follows_virtual_time_on_a_made_up_day() {
    let day = small_day(3);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    let m = &day.markets[1];
    let (mut strikes, mut quotes, mut closed, mut asked) = (0, 0, 0, 0);
    for i in 0..day.ticks().len() {
        client.hear_only().await.unwrap();
        // Our unit holds the clock still while we ask.
        let now = pace.now();
        if i % 20 == 0 {
            let (_, body) = get(&twin, &format!("/events?slug={}", m.slug)).await;
            assert_eq!(body, format!("[{}]", gamma::event(&day, m, now).unwrap()));
            assert_eq!(pace.now(), now);
            let event: Value = serde_json::from_str(&body[1..body.len() - 1]).unwrap();
            assert_eq!(event.get("eventMetadata").is_some(), m.strike.is_some() && now >= m.strike_known_at);
            let is_closed = event["closed"] == true;
            assert_eq!(is_closed, now >= m.resolved_at);
            asked += 1;
            strikes += usize::from(event.get("eventMetadata").is_some());
            quotes += usize::from(!is_closed && event["markets"][0]["bestBid"].is_number());
            closed += usize::from(is_closed);
        }
        pace.leave();
    }
    assert!(
        strikes > 10 && quotes > 30 && closed > 5 && asked == quotes + closed,
        "{strikes} {quotes} {closed}"
    );
    twin.done().await;
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_answers_only_what_is_asked() {
    let day = small_day(2);
    let twin = spawn(&day, &lockstep(&day), TwinConfig::default());
    let m = &day.markets[0];
    let full = format!("[{}]", gamma::market(&day, m, day.begins_at()).unwrap());
    let many = "condition_ids=0x1&".repeat(101);
    for (path, expected) in [
        (format!("/markets?slug={}", m.slug), (200, full.clone())),
        (format!("/markets?condition_ids={}", m.condition_id), (200, full)),
        ("/markets?condition_ids=0x1".to_owned(), (200, "[]".to_owned())),
        ("/events?slug=btc-updown-5m-1".to_owned(), (200, "[]".to_owned())),
        ("/events".to_owned(), (200, "[]".to_owned())),
        ("/markets?slug=%00%ff".to_owned(), (200, "[]".to_owned())),
        (format!("/markets?{many}"), (422, r#"{"error":"too many condition ids"}"#.to_owned())),
        ("/orders".to_owned(), (404, String::new())),
    ] {
        assert_eq!(get(&twin, &path).await, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_delays_virtual_time() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    for tick in day.ticks().iter().take(50) {
        client.hear_only().await.unwrap();
        for _ in 0..50 {
            // Everybody else may run; time may not.
            tokio::task::yield_now().await;
            assert_eq!((pace.now().millis(), pace.busy()), (tick.recv_ms, 1));
        }
        pace.leave();
    }
    assert_eq!(pace.stalls(), 0);
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_subscriber_gets_the_last_two_minutes_first() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut first = Client::subscribed(&twin).await;
    first.hear().await.unwrap();
    for _ in 0..299 {
        first.hear().await.unwrap();
    }
    first.hear_only().await.unwrap();
    let now = pace.now();
    let mut late = Client::subscribed(&twin).await;
    let history = late.hear().await.unwrap();
    assert_eq!(history, rtds::history("btc/usd", now, &day.ticks()[..300]));
    let history: Value = serde_json::from_str(&history).unwrap();
    let data = history["payload"]["data"].as_array().unwrap();
    assert!((100..=120).contains(&data.len()), "{}", data.len());
    assert_eq!(data.last().unwrap()["timestamp"], day.ticks()[299].feed_ms);
    pace.leave();
    // Both hear the next tick, none twice.
    let next = Some(day.ticks()[300].feed_ms);
    assert_eq!(feed_time(&first.hear().await.unwrap()), next);
    assert_eq!(feed_time(&late.hear().await.unwrap()), next);
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_commands_get_an_error_and_unknown_topics_nothing() {
    let day = small_day(1);
    let twin = spawn(&day, &lockstep(&day), TwinConfig::default());
    let mut client = Client::connect(&twin).await;
    for bad in ["", "{", "[]", r#"{"action":"buy","subscriptions":[]}"#, r#"{"action":"subscribe"}"#, "PONG"]
    {
        client.say(bad).await;
        assert_eq!(client.hear().await.as_deref(), Some(rtds::ERROR), "{bad}");
    }
    client.say_binary().await;
    assert_eq!(client.hear().await.as_deref(), Some(rtds::ERROR));
    // No answer to these: the next frame is the PONG.
    client.say(&SUBSCRIBE.replace("crypto_prices_chainlink", "comments")).await;
    client.say(&SUBSCRIBE.replace("btc/usd", "eth/usd")).await;
    client.say("PING").await;
    assert_eq!(client.hear().await.as_deref(), Some(rtds::PONG));
    let stats = twin.stats();
    assert_eq!((stats.error_frames, stats.subscribes, stats.pongs, stats.ticks), (7, 0, 1, 0));
    assert_eq!((twin.pace().busy(), twin.pace().extra_leaves()), (0, 0));
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_unsubscribes_hears_no_more() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    for _ in 0..10 {
        client.hear().await.unwrap();
    }
    client.hear_only().await.unwrap();
    client.say(&SUBSCRIBE.replace("subscribe\"", "unsubscribe\"")).await;
    client.say("PING").await;
    pace.leave();
    assert_eq!(client.hear().await.as_deref(), Some(rtds::PONG));
    twin.done().await;
    assert_eq!((twin.stats().updates, pace.stalls()), (11, 0));
    twin.shutdown().await;
    assert_eq!(client.hear_only().await, None);
}

/// A node starts after its twin: a hook that is set late still gets to serve the wakes of the very start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_set_late_runs_before_anybody_subscribes() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, TwinConfig::default());
    let (called, mut calls) = tokio::sync::mpsc::channel(1);
    pace.set_hook(Box::new(move |t| {
        // Only the first call is of interest.
        let _ = called.try_send(t);
        Box::pin(async {})
    }));
    assert_eq!(calls.recv().await, Some(day.begins_at()));
    assert_eq!((pace.now(), twin.stats().ticks), (day.begins_at(), 0));
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    assert_eq!(feed_time(&client.hear().await.unwrap()), Some(day.ticks()[0].feed_ms));
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_house_is_played_to_as_well() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let config = TwinConfig { wait_for_subscriber: std::time::Duration::ZERO, ..TwinConfig::default() };
    let twin = Twin::spawn_with(Arc::clone(&day), pace.clone(), config).unwrap();
    twin.done().await;
    let stats = twin.stats();
    assert_eq!((stats.ticks, stats.updates, pace.now()), (day.ticks().len() as u64, 0, day.ends_at()));
    assert!(twin.is_done());
}

/// A client that reads nothing is closed once its queue is full, and the others do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_client_is_closed() {
    let day = Arc::new(sim::Day::simulated(sim::WorldConfig { seed: 1, ..Default::default() }));
    let pace = Pace::free(day.begins_at(), Speed::Max);
    let twin = spawn(&day, &pace, TwinConfig { queue: 8, ..TwinConfig::default() });
    let _deaf = Client::subscribed(&twin).await;
    twin.done().await;
    let stats = twin.stats();
    assert_eq!((stats.overflows, stats.ticks), (1, day.ticks().len() as u64));
    assert!(stats.updates < stats.ticks);
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_have_a_limit() {
    let day = small_day(1);
    let twin = spawn(&day, &lockstep(&day), TwinConfig { max_connections: 1, ..TwinConfig::default() });
    let mut first = Client::connect(&twin).await;
    first.say("PING").await;
    first.hear().await.unwrap();
    assert!(tokio_tungstenite::connect_async(&twin.ws_url).await.is_err());
    assert_eq!((twin.stats().connections, twin.stats().refused), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_twin_plays_from_where_the_clock_stands() {
    let day = small_day(1);
    let half = day.ticks()[400].recv_ms;
    let pace = Pace::new(Timestamp::from_millis(half), Speed::Factor(1_000_000.0));
    let twin = spawn(&day, &pace, TwinConfig::default());
    let mut client = Client::subscribed(&twin).await;
    let history: Value = serde_json::from_str(&client.hear().await.unwrap()).unwrap();
    assert_eq!(
        history["payload"]["data"].as_array().unwrap().last().unwrap()["timestamp"],
        day.ticks()[399].feed_ms
    );
    assert_eq!(feed_time(&client.hear().await.unwrap()), Some(day.ticks()[400].feed_ms));
}

#[test]
fn a_twin_needs_a_runtime_and_a_free_port() {
    let day = small_day(1);
    let code = |config| Twin::spawn_with(Arc::clone(&day), lockstep(&day), config).unwrap_err().code();
    assert_eq!(code(TwinConfig::default()), "sim_no_runtime");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(code(TwinConfig { addr: taken.local_addr().unwrap(), ..TwinConfig::default() }), "sim_bind");
}
