//! What REST answers.

use schemas::Verdict;
use serde_json::{Value, json};

use crate::rig::{PRICE, Rig, T0, TOPICS, Trouble, miner_id, question};

#[tokio::test]
async fn a_topic_and_its_track_record() {
    let rig = Rig::start();
    let list = rig.json("/v1/topics", None).await;
    let ids: Vec<&str> = list["data"].as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["btc-usd.up-5m.150s", "btc-usd.up-5m.240s", "btc-usd.up-5m.60s"]);
    rig.issue(0, 0, 800_000);
    rig.resolve(0, true);
    let topic = rig.json("/v1/topics/btc-usd.up-5m.60s", None).await;
    assert_eq!(topic["price"], "9000");
    assert_eq!(topic["seq"], 1);
    assert_eq!(
        topic["skill"]["ensemble"],
        json!({"n": 1, "brier": 0.04, "log": topic["skill"]["ensemble"]["log"]})
    );
    assert_eq!(topic["skill"]["reference"]["brier"], 0.25);
    assert_eq!(topic["skill"]["coin_brier"], 0.25);
    rig.stop().await;
}

#[tokio::test]
async fn the_latest_signal_has_exact_numbers_and_an_etag() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    let key = rig.key("demo");
    let issued = rig.issue(0, 0, 561_204);
    let path = format!("/v1/topics/{}/signals/latest", TOPICS[0]);
    let response = rig.get(&path, Some(&key)).await;
    assert_eq!(response.headers()["etag"], format!("\"{}\"", issued.id));
    assert_eq!(response.headers()["oraculo-charged-micros"], "9000");
    assert_eq!(response.headers()["oraculo-signal-age-ms"], "0");
    let signal: Value = response.json().await.unwrap();
    let want = json!({
        "p": 0.561_204, "p_ppm": 561_204, "seq": 1, "topic": TOPICS[0], "slot": "2026-06-08T00:00:00.000000Z",
        "issued_at": "2026-06-08T00:01:04.000000Z", "expires_at": "2026-06-08T00:05:00.000000Z", "edge_ppm": 21_204,
        "n_contributors": 2, "outcome": null, "kind": "binary",
    });
    for (name, value) in want.as_object().unwrap() {
        assert_eq!(signal[name], *value, "{name}");
    }
    assert_eq!(signal["market"]["p_market"], 0.54);
    let again = rig
        .http
        .get(rig.url(&path))
        .bearer_auth(&key)
        .header("if-none-match", format!("W/\"{}\"", issued.id));
    let again = again.send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.bytes().await.unwrap().len()), (304, 0));
    rig.stop().await;
}

#[tokio::test]
async fn not_modified_and_head_cost_nothing() {
    let rig = Rig::start();
    rig.customer("demo", PRICE, &[0]);
    let key = rig.key("demo");
    let issued = rig.issue(0, 0, 561_204);
    let url = rig.url(&format!("/v1/topics/{}/signals/latest", TOPICS[0]));
    let known = format!("\"aa\", \"{}\"", issued.id);
    let response = rig.http.get(&url).bearer_auth(&key).header("if-none-match", known).send().await.unwrap();
    assert_eq!(response.status(), 304);
    let response = rig.http.head(&url).bearer_auth(&key).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!((rig.usages(), rig.balance(&key).await.as_str()), (0, "9000"));
    rig.stop().await;
}

#[tokio::test]
async fn a_stale_signal_is_absent_and_free() {
    let rig = Rig::start();
    rig.customer("demo", PRICE, &[0]);
    let key = rig.key("demo");
    let issued = rig.issue(0, 0, 561_204);
    rig.house.clock.store(issued.issued_at.plus(1_500_000_000).0, std::sync::atomic::Ordering::SeqCst);
    let path = |age: u32| format!("/v1/topics/{}/signals/latest?max_age_ms={age}", TOPICS[0]);
    let response = rig.get(&path(1_499), Some(&key)).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let problem: Value = response.json().await.unwrap();
    assert_eq!((problem["code"].as_str(), rig.usages()), (Some("signal_absent"), 0));
    assert_eq!(rig.get(&path(1_500), Some(&key)).await.status(), 200);
    rig.stop().await;
}

#[tokio::test]
async fn history_shows_what_is_paid_or_public_and_pages_stably() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    rig.customer("other", 100_000, &[0]);
    let (key, other) = (rig.key("demo"), rig.key("other"));
    for slot in 0..6 {
        rig.issue(0, slot, 600_000);
    }
    for slot in 0..4 {
        rig.resolve(slot, true);
    }
    let latest = format!("/v1/topics/{}/signals/latest", TOPICS[0]);
    rig.json(&latest, Some(&key)).await;
    let seqs = |page: &Value| -> Vec<u64> {
        page["data"].as_array().unwrap().iter().map(|s| s["seq"].as_u64().unwrap()).collect()
    };
    let path = format!("/v1/topics/{}/signals?limit=2", TOPICS[0]);
    let first = rig.json(&path, Some(&key)).await;
    assert_eq!((seqs(&first), first["has_more"].as_bool()), (vec![6, 4], Some(true)));
    // New signals and outcomes do not move the pages that follow.
    rig.issue(0, 6, 600_000);
    rig.resolve(4, false);
    let next = |page: &Value| format!("{path}&cursor={}", page["next_cursor"].as_str().unwrap());
    let second = rig.json(&next(&first), Some(&key)).await;
    assert_eq!((seqs(&second), second["has_more"].as_bool()), (vec![3, 2], Some(true)));
    let third = rig.json(&next(&second), Some(&key)).await;
    assert_eq!(
        (seqs(&third), third["has_more"].as_bool(), &third["next_cursor"]),
        (vec![1], Some(false), &Value::Null)
    );
    assert_eq!(third["data"][0]["outcome"]["result"], "up");
    let theirs = rig.json(&format!("/v1/topics/{}/signals", TOPICS[0]), Some(&other)).await;
    assert_eq!(seqs(&theirs), [5, 4, 3, 2, 1], "another account sees what is public, not what was sold");
    rig.stop().await;
}

#[tokio::test]
async fn a_market_s_newest_signal_over_the_caller_s_topics() {
    let rig = Rig::start();
    rig.customer("narrow", 100_000, &[0]);
    rig.customer("wide", 100_000, &[0, 1]);
    rig.customer("nothing", 100_000, &[2]);
    rig.issue(0, 0, 600_000);
    rig.issue(1, 0, 700_000);
    let path = "/v1/markets/polymarket/0xmarket0/signal";
    for (account, want) in [("narrow", 600_000), ("wide", 700_000)] {
        let signal = rig.json(path, Some(&rig.key(account))).await;
        assert_eq!(signal["p_ppm"], want, "{account}");
    }
    assert_eq!(rig.get(path, Some(&rig.key("nothing"))).await.status(), 403);
    rig.house.tell(&[Verdict::QuestionOpened(question(0, 9))]);
    let key = rig.key("wide");
    for (market, status) in
        [("polymarket/0xmarket9", 503), ("polymarket/0xmarket8", 404), ("kalshi/0xmarket0", 404)]
    {
        assert_eq!(
            rig.get(&format!("/v1/markets/{market}/signal"), Some(&key)).await.status(),
            status,
            "{market}"
        );
    }
    rig.stop().await;
}

#[tokio::test]
async fn leaderboard_and_miner_are_public() {
    let rig = Rig::start();
    let board = rig.json("/v1/leaderboard", None).await;
    let names: Vec<&str> =
        board["data"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["miner-3", "miner-2", "miner-1"]);
    let miner = rig.json(&format!("/v1/miners/{}", miner_id(2)), None).await;
    assert_eq!((miner["rank"].as_u64(), miner["stake"].as_str()), (Some(2), Some("2000000")));
    rig.stop().await;
}

#[tokio::test]
async fn submissions_get_a_place_in_the_log_or_the_validator_s_code() {
    let rig = Rig::start();
    let key = rig.key("demo");
    let hex = |n: u8, len: usize| hex::encode(vec![n; len]);
    let commitment =
        json!({"miner": hex(1, 32), "question": hex(2, 32), "hash": hex(3, 32), "signature": hex(4, 64)});
    let post = |path: &str, body: &Value| rig.http.post(rig.url(path)).bearer_auth(&key).json(body).send();
    let response = post("/v1/miner/commitments", &commitment).await.unwrap();
    assert_eq!(response.status(), 200);
    let receipt: Value = response.json().await.unwrap();
    assert_eq!(receipt, json!({"seq": 7, "at": "2026-06-08T00:00:00.000000Z"}));
    let reveal = json!({"miner": hex(1, 32), "question": hex(2, 32), "bundle": hex(5, 32), "nonce": hex(6, 32),
        "forecast": {"kind": "probability", "p_ppm": 1}, "signature": hex(4, 64)});
    assert_eq!(post("/v1/miner/reveals", &reveal).await.unwrap().status(), 200);
    for (trouble, status, code) in [
        (Trouble::Reject(schemas::RejectCode::CommitTooLate), 409, "commit_too_late"),
        (Trouble::Reject(schemas::RejectCode::BadSignature), 422, "bad_signature"),
        (Trouble::Desk(api::DeskError::Overloaded), 503, "overloaded"),
        (Trouble::Desk(api::DeskError::Closed), 503, "unavailable"),
    ] {
        rig.trouble(Some(trouble));
        let response = post("/v1/miner/commitments", &commitment).await.unwrap();
        assert_eq!(response.status(), status);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], code);
    }
    rig.trouble(Some(Trouble::Silence));
    assert_eq!(post("/v1/miner/commitments", &commitment).await.unwrap().status(), 202);
    rig.stop().await;
}

#[tokio::test]
async fn the_dashboard_shows_no_probability_before_its_market_ended() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    rig.issue(0, 0, 123_457);
    rig.issue(0, 1, 345_679);
    rig.resolve(0, true);
    let text = rig.get("/v1/dashboard", None).await.text().await.unwrap();
    assert!(text.contains("0.123457") && !text.contains("0.345679") && !text.contains("345679"), "{text}");
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(page["signals"][0]["sealed"], true);
    assert_eq!(page["signals"][0]["p"], Value::Null);
    assert_eq!(page["signals"][1]["result"], "up");
    assert_eq!(page["ledger"]["sum_usd"], "0");
    assert_eq!(page["totals"]["issued"], 2);
    assert_eq!(page["reliability"].as_array().unwrap().len(), 10);
    // Every public answer, not only the page.
    for path in ["/v1/topics", "/v1/leaderboard", "/metrics", "/readyz"] {
        let text = rig.get(path, None).await.text().await.unwrap();
        assert!(!text.contains("345679"), "{path}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn the_page_is_served_with_a_policy() {
    let rig = Rig::start();
    for (path, kind) in
        [("/", "text/html"), ("/assets/app.css", "text/css"), ("/assets/app.js", "text/javascript")]
    {
        let response = rig.get(path, None).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with(kind));
        assert!(
            response.headers()["content-security-policy"].to_str().unwrap().contains("script-src 'self'")
        );
        let text = response.text().await.unwrap();
        assert!(!text.contains("http://") || path != "/", "the page loads nothing from elsewhere");
        assert!(!text.contains("onclick=") && !text.contains("style=\""), "nothing the policy forbids");
    }
    rig.stop().await;
}

#[tokio::test]
async fn health_and_metrics() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    rig.issue(0, 0, 600_000);
    let key = rig.key("demo");
    rig.json(&format!("/v1/topics/{}/signals/latest", TOPICS[0]), Some(&key)).await;
    assert_eq!(rig.get("/livez", None).await.status(), 200);
    assert_eq!(rig.json("/readyz", None).await["ready"], true);
    rig.get("/v1/no-such-thing", None).await;
    let text = rig.get("/metrics", None).await.text().await.unwrap();
    for line in [
        "oraculo_ledger_imbalance_micros 0",
        "oraculo_signals_issued_total{topic=\"btc-usd.up-5m.60s\"} 1",
        "oraculo_signals_sold_total{topic=\"btc-usd.up-5m.60s\"} 1",
        "oraculo_ws_connections 0",
        "oraculo_http_requests_total{route=\"/v1/topics/{id}/signals/latest\",method=\"GET\",status=\"200\"} 1",
        "oraculo_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn not_ready_is_said() {
    let rig = Rig::start();
    let mut state = rig.state.clone();
    state.health = std::sync::Arc::new(|| api::Health {
        ready: false,
        checks: vec![api::HealthCheck { name: "feed".into(), ok: false, detail: "stale".into() }],
    });
    let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(api::app(state), request).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
    let ready: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(ready, json!({"ready": false, "checks": [{"name": "feed", "ok": false, "detail": "stale"}]}));
    rig.stop().await;
}

#[tokio::test]
async fn rates_are_kept_per_key_and_per_address() {
    let one = api::Rate { burst: 3, per_second: 1 };
    let rig = Rig::with(|l| l.per_key = one, |_| {}, 64);
    let key = rig.key("demo");
    rig.customer("demo", 1, &[]);
    for _ in 0..3 {
        assert_eq!(rig.get("/v1/account/balance", Some(&key)).await.status(), 200);
    }
    let refused = rig.get("/v1/account/balance", Some(&key)).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].as_bytes()), (429, &b"1"[..]));
    rig.house.clock.store((T0 + 2) * 1_000_000_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(rig.get("/v1/account/balance", Some(&key)).await.status(), 200);
    rig.stop().await;
    let rig = Rig::with(|l| l.per_address = one, |_| {}, 64);
    for _ in 0..3 {
        assert_eq!(rig.get("/v1/topics", None).await.status(), 200);
    }
    let refused: Value = rig.get("/v1/topics", None).await.json().await.unwrap();
    assert_eq!((refused["code"].as_str(), refused["status"].as_u64()), (Some("rate_limited"), Some(429)));
    assert_eq!(rig.get("/livez", None).await.status(), 200, "health is always free");
    rig.stop().await;
}
