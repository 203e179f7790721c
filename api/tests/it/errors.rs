//! Requests that are wrong, each with its status and its stable code.

use reqwest::Method;
use serde_json::{Value, json};

use crate::rig::{Rig, TOPICS};

struct Case {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    want: (u16, &'static str),
}

fn get(path: &str, want: (u16, &'static str)) -> Case {
    Case { method: "GET", path: path.to_owned(), headers: Vec::new(), body: None, want }
}

fn post(body: &str, want: (u16, &'static str)) -> Case {
    let headers = vec![("content-type", "application/json".to_owned())];
    Case { method: "POST", path: "/v1/miner/commitments".into(), headers, body: Some(body.into()), want }
}

impl Case {
    fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
    fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self.headers.push((name, value.to_owned()));
        self
    }
}

fn commitment() -> Value {
    let hex = |n: u8, len: usize| hex::encode(vec![n; len]);
    json!({"miner": hex(1, 32), "question": hex(2, 32), "hash": hex(3, 32), "signature": hex(4, 64)})
}

fn reveal(forecast: &Value) -> String {
    let mut json = commitment();
    let object = json.as_object_mut().unwrap();
    object.remove("hash");
    object.insert("bundle".into(), hex::encode([5; 32]).into());
    object.insert("nonce".into(), hex::encode([6; 32]).into());
    object.insert("forecast".into(), forecast.clone());
    json.to_string()
}

fn changed(field: &str, value: &Value) -> String {
    let mut json = commitment();
    json[field] = value.clone();
    json.to_string()
}

fn paths() -> Vec<Case> {
    let latest = format!("/v1/topics/{}/signals/latest", TOPICS[0]);
    let history = format!("/v1/topics/{}/signals", TOPICS[0]);
    vec![
        get("/nothing/here", (404, "route_not_found")),
        get("/v1", (404, "route_not_found")),
        get("/v1/topics/", (404, "route_not_found")),
        get("/assets/..%2fCargo.toml", (404, "route_not_found")),
        get("/v1/topics/no-such-topic", (404, "topic_not_found")),
        get("/v1/topics/UPPER", (400, "path_invalid")),
        get("/v1/topics/%ff", (400, "path_invalid")),
        get(&format!("/v1/topics/{}", "a".repeat(65)), (400, "path_invalid")),
        get("/v1/topics/nope/signals/latest", (404, "topic_not_found")),
        get("/v1/miners/00", (400, "path_invalid")),
        get(&format!("/v1/miners/{}", "AB".repeat(32)), (400, "path_invalid")),
        get(&format!("/v1/miners/{}", "ab".repeat(32)), (404, "miner_not_found")),
        get("/v1/markets/moon/1/signal", (400, "path_invalid")),
        get("/v1/markets/kalshi/NOPE/signal", (404, "market_not_found")),
        get(&format!("/v1/markets/kalshi/{}/signal", "x".repeat(129)), (400, "path_invalid")),
        get(&format!("{latest}?max_age_ms=soon"), (400, "query_invalid")),
        get(&format!("{latest}?max_age_ms=-1"), (400, "query_invalid")),
        get(&format!("{latest}?maxage=1"), (400, "query_invalid")),
        get(&format!("{latest}?max_age_ms=1&max_age_ms=2"), (400, "query_invalid")),
        get(&latest, (503, "signal_absent")),
        get(&format!("{history}?limit=0"), (400, "query_invalid")),
        get(&format!("{history}?limit=1001"), (400, "query_invalid")),
        get(&format!("{history}?limit=ten"), (400, "query_invalid")),
        get(&format!("{history}?offset=3"), (400, "query_invalid")),
        get(&format!("{history}?cursor="), (400, "cursor_invalid")),
        get(&format!("{history}?cursor=0123456789"), (400, "cursor_invalid")),
        get(&format!("{history}?cursor={}", "0".repeat(42)), (400, "cursor_invalid")),
        get("/v1/ws", (426, "websocket_required")),
        get("/v1/topics", (405, "method_not_allowed")).method("DELETE"),
        get("/v1/topics", (405, "method_not_allowed")).method("POST"),
        get("/livez", (405, "method_not_allowed")).method("PUT"),
        get("/v1/miner/commitments", (405, "method_not_allowed")),
    ]
}

fn bodies() -> Vec<Case> {
    let good = commitment().to_string();
    let twice = good.replacen('{', "{\"hash\":\"00\",", 1);
    let p = |p: Value| reveal(&json!({"kind": "probability", "p_ppm": p}));
    let revealed = |body: &str| post(body, (422, "validation_failed")).at("/v1/miner/reveals");
    vec![
        post("", (400, "json_malformed")),
        post("{", (400, "json_malformed")),
        post("not json", (400, "json_malformed")),
        post(&format!("{good}{good}"), (400, "json_malformed")),
        post("{\"miner\":NaN}", (400, "json_malformed")),
        post("\u{feff}{}", (400, "json_malformed")),
        post(&twice, (400, "json_duplicate_key")),
        post(&"[".repeat(9), (400, "json_too_deep")),
        post(&format!("{}1{}", "[".repeat(4000), "]".repeat(4000)), (400, "json_too_deep")),
        post("[]", (422, "validation_failed")),
        post("null", (422, "validation_failed")),
        post("{}", (422, "validation_failed")),
        post(&changed("extra", &json!(1)), (422, "validation_failed")),
        post(&changed("miner", &json!(7)), (422, "validation_failed")),
        post(&changed("miner", &json!("aa")), (422, "validation_failed")),
        post(&changed("hash", &json!("AB".repeat(32))), (422, "validation_failed")),
        post(&changed("question", &json!("zz".repeat(32))), (422, "validation_failed")),
        post(&changed("signature", &json!("00".repeat(63))), (422, "validation_failed")),
        post(&changed("signature", &json!("é".repeat(64))), (422, "validation_failed")),
        revealed(&p(json!(0.5))),
        revealed(&p(json!(-1))),
        revealed(&p(json!("1"))),
        revealed(&p(json!(4_294_967_296_u64))),
        revealed(&reveal(&json!({"kind": "certainty"}))),
        revealed(&reveal(&json!({"kind": "probability", "p_ppm": 1, "p": 0.1}))),
        revealed(&reveal(&json!({"p_ppm": 1}))),
        revealed(&reveal(&json!({"kind": "quantiles", "values": [1.5]}))),
        post(&good, (415, "media_type_unsupported")).header("content-type", "text/plain"),
        post(&good, (415, "media_type_unsupported")).header("content-type", "application/jsonp"),
        post(&format!("{good}{}", " ".repeat(16 * 1024)), (413, "body_too_large")),
        post(&good, (401, "key_malformed")).header("authorization", "Basic dXNlcjpwYXNz"),
        post(&good, (401, "key_malformed")).header("authorization", "Bearer"),
        post(&good, (401, "key_malformed")).header("authorization", "Bearer orc_live_ short"),
    ]
}

#[tokio::test]
async fn every_wrong_request_has_its_status_and_code() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    let key = rig.key("demo");
    let cases: Vec<Case> = paths().into_iter().chain(bodies()).collect();
    assert!(cases.len() >= 60);
    for case in cases {
        let method = Method::from_bytes(case.method.as_bytes()).unwrap();
        let mut request = rig.http.request(method, rig.url(&case.path));
        if !case.headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth(&key);
        }
        for (name, value) in &case.headers {
            request = request.header(*name, value);
        }
        let sent = String::from_utf8_lossy(case.body.as_deref().unwrap_or_default()).into_owned();
        if let Some(body) = case.body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let about = format!("{} {} {}", case.method, case.path, &sent.chars().take(80).collect::<String>());
        assert_eq!(response.status().as_u16(), case.want.0, "{about}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{about}");
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let problem: schemas::public::Problem = response.json().await.unwrap();
        assert_eq!((problem.code.as_str(), problem.status), (case.want.1, case.want.0), "{about}");
        assert_eq!((problem.request_id, problem.kind), (id, format!("urn:oraculo:problem:{}", case.want.1)));
    }
    assert_eq!(rig.usages(), 0, "none of them cost anything");
    assert!(rig.house.ledger.lock().unwrap().submitted.is_empty(), "none of them reached the intake");
    rig.stop().await;
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let rig = Rig::start();
    let key = rig.key("demo");
    let mut tcp = tokio::net::TcpStream::connect(rig.addr).await.unwrap();
    let head = format!(
        "POST /v1/miner/commitments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    for _ in 0..5 {
        // The server may close as soon as it has seen too much.
        if tcp.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    let mut start = [0; 12];
    tcp.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
    drop(tcp);
    rig.stop().await;
}
