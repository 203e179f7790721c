//! Whatever a stranger sends: no panic, no repeated wake-up, no tick that goes back, equal digests.

use ingest::{Feed, FeedConfig, FeedOutput};
use proptest::prelude::*;
use schemas::{Machine as _, MarketEvent, Raw, Record, RestReply, Snapshot as _, Timestamp};

use crate::{START, recorded, update_frame};

/// A frame or body: noise, or something real with a few bytes changed.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let market = serde_json::json!({
        "conditionId": format!("0x{:064x}", 1), "slug": format!("btc-updown-5m-{START}"), "question": "q",
        "outcomes": "[\"Up\", \"Down\"]", "clobTokenIds": "[\"1\", \"2\"]", "closed": false,
        "acceptingOrders": true, "endDate": "2026-06-08T00:05:00Z", "bestBid": 0.4, "bestAsk": 0.5,
        "outcomePrices": "[\"1\", \"0\"]"
    });
    let event = recorded::event(&format!("btc-updown-5m-{START}"), Some("63304.2"), &market).into_bytes();
    let real = prop_oneof![
        (0..400_i64).prop_map(|s| update_frame((START + s) * 1_000, "63304.2")),
        Just(event),
        Just(b"PONG".to_vec()),
    ];
    let damaged = (real.clone(), prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4))
        .prop_map(|(mut bytes, changes)| {
            for (index, byte) in changes {
                let i = index.index(bytes.len());
                bytes[i] = byte;
            }
            bytes
        });
    prop_oneof![3 => real, 3 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn raw() -> impl Strategy<Value = Raw> {
    let conn = || prop_oneof![9 => Just(1_u32), 1 => any::<u32>()];
    prop_oneof![
        conn().prop_map(|conn| Raw::Connected { conn }),
        (conn(), bytes()).prop_map(|(conn, bytes)| Raw::Frame { conn, bytes }),
        (conn(), ".{0,8}").prop_map(|(conn, reason)| Raw::Closed { conn, reason }),
        (0..6_u32, prop_oneof![Just(200_u16), any::<u16>()], bytes())
            .prop_map(|(request, status, bytes)| Raw::Rest(RestReply { request, status, bytes })),
        Just(Raw::TimeAdvanced { to: Timestamp::from_secs(START) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_feed_survives_anything(script in prop::collection::vec((0..40_i64, raw()), 0..60)) {
        let mut feed = Feed::new(FeedConfig::default());
        let mut twin = feed.clone();
        let (mut now, mut last) = (START, Timestamp::ZERO);
        for (wait, body) in script {
            now += wait;
            let record = Record { seq: 1, at: Timestamp::from_secs(now), body };
            let (mut out, mut again) = (Vec::new(), Vec::new());
            feed.apply(&record, &mut out);
            prop_assert!(feed.wake_at().unwrap() > record.at);
            prop_assert!(feed.open_markets() <= 16);
            for output in &out {
                if let FeedOutput::Market(MarketEvent::Tick(tick)) = output {
                    prop_assert!(tick.feed_at > last, "ticks only go forward");
                    last = tick.feed_at;
                }
            }
            twin = Feed::load(&twin.save()).unwrap();
            twin.apply(&record, &mut again);
            prop_assert_eq!(out, again);
            prop_assert_eq!(feed.digest(), twin.digest());
        }
    }

    #[test]
    fn decoders_survive_noise(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&noise).into_owned();
        let _ = ingest::venue::polymarket::rtds::decode(&noise, "btc/usd", 300);
        let _ = ingest::venue::polymarket::rfc3339_secs(&text);
        let slug = "s-0";
        let want = ingest::venue::polymarket::gamma::Expected {
            slug, symbol: "btc/usd", starts_at: Timestamp::ZERO, closes_at: Timestamp::MAX,
        };
        prop_assert!(!matches!(ingest::venue::polymarket::gamma::decode(&noise, &want), Ok(Some(_))));
    }
}
