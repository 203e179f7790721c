//! Each fault does what its name says and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemas::Timestamp;
use serde_json::Value;
use sim::{Faults, RestFault, TwinConfig, Zombie, rtds};

use crate::client::{Client, feed_time, get, lockstep, small_day, spawn};

fn with(faults: Faults) -> TwinConfig {
    TwinConfig { faults, ..TwinConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_connection_loses_its_tick_but_finds_it_in_the_history() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let twin = spawn(&day, &pace, with(Faults { drop_at: BTreeSet::from([100]), ..Faults::default() }));
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    for _ in 0..100 {
        client.hear().await.unwrap();
    }
    // Cut: our unit for the close holds time still until we are back.
    assert_eq!(client.hear_only().await, None);
    let mut again = Client::subscribed(&twin).await;
    let history: Value = serde_json::from_str(&again.hear().await.unwrap()).unwrap();
    pace.leave();
    let data = history["payload"]["data"].as_array().unwrap();
    assert_eq!(data.last().unwrap()["timestamp"], day.ticks()[100].feed_ms);
    assert_eq!(feed_time(&again.hear().await.unwrap()), Some(day.ticks()[101].feed_ms));
    assert_eq!((twin.stats().dropped, pace.stalls()), (1, 0));
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_and_malformed_frames_come_where_they_were_ordered() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let faults = Faults {
        duplicate: BTreeSet::from([3, 5]),
        malformed_before: BTreeSet::from([5, 7]),
        ..Faults::default()
    };
    let twin = spawn(&day, &pace, with(faults));
    let mut client = Client::subscribed(&twin).await;
    client.hear().await.unwrap();
    let mut heard = Vec::new();
    for _ in 0..12 {
        let text = client.hear().await.unwrap();
        assert_eq!(feed_time(&text).is_none(), text == rtds::MALFORMED);
        heard.push(feed_time(&text));
    }
    let expected = [
        Some(0),
        Some(1),
        Some(2),
        Some(3),
        Some(3),
        Some(4),
        None,
        Some(5),
        Some(5),
        Some(6),
        None,
        Some(7),
    ];
    assert_eq!(heard, expected.map(|i: Option<usize>| i.map(|i| day.ticks()[i].feed_ms)));
    assert!(serde_json::from_str::<Value>(rtds::MALFORMED).is_err());
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_answers_ping_but_delivers_nothing_until_one_reconnects() {
    let day = small_day(1);
    let pace = lockstep(&day);
    let at = |i: usize| Timestamp::from_millis(day.ticks()[i].recv_ms);
    let zombies = vec![Zombie { from: at(10), until: at(700) }];
    let twin = spawn(&day, &pace, with(Faults { zombies, ..Faults::default() }));
    // In the midst of the period the hook hands us a unit, which holds time while we look around.
    let (hand_over, mut handed) = tokio::sync::mpsc::channel(1);
    pace.set_hook(Box::new({
        let (pace, midst) = (pace.clone(), at(20));
        move |t| {
            if t == midst {
                // The receiver waits for exactly this one.
                hand_over.try_send(pace.hold()).unwrap();
            }
            Box::pin(async {})
        }
    }));
    let mut first = Client::subscribed(&twin).await;
    first.hear().await.unwrap();
    for _ in 0..10 {
        first.hear().await.unwrap();
    }
    let hold = handed.recv().await.unwrap();
    first.say("PING").await;
    assert_eq!(first.hear().await.as_deref(), Some(rtds::PONG));
    let mut second = Client::subscribed(&twin).await;
    second.hear().await.unwrap();
    assert_eq!((pace.now(), twin.stats().withheld), (at(19), 10));
    drop(hold);
    let second_hears = tokio::spawn(async move { second.feed_times().await });
    let back = first.hear_only().await.unwrap();
    assert_eq!((feed_time(&back), pace.now()), (Some(day.ticks()[700].feed_ms), at(700)));
    pace.leave();
    let first_hears = tokio::spawn(async move { first.feed_times().await });
    twin.done().await;
    assert!(twin.stats().withheld > 600);
    twin.shutdown().await;
    assert_eq!(first_hears.await.unwrap().len(), day.ticks().len() - 701);
    assert!(second_hears.await.unwrap().len() > 800);
    assert_eq!(pace.stalls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rest_requests_fail_as_ordered() {
    let day = small_day(1);
    let rest = BTreeMap::from([
        (0, RestFault::Status(500)),
        (1, RestFault::Status(429)),
        (3, RestFault::Garbage),
        (4, RestFault::Hang),
    ]);
    let twin = spawn(&day, &lockstep(&day), with(Faults { rest, ..Faults::default() }));
    let path = format!("/events?slug={}", day.markets[0].slug);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (status, body) = get(&twin, &path).await;
        seen.push((status, serde_json::from_str::<Value>(&body).is_ok_and(|v| v.is_array())));
    }
    assert_eq!(seen, [(500, false), (429, false), (200, true), (200, false)]);
    let hanging = crate::client::http().get(format!("{}{path}", twin.rest_url));
    let error = hanging.timeout(Duration::from_millis(50)).send().await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(get(&twin, &path).await.0, 200);
    assert_eq!((twin.stats().rest_requests, twin.stats().rest_faults), (6, 4));
    twin.shutdown().await;
}
