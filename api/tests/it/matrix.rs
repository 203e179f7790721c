//! Who may do what: every route with every kind of key, over real HTTP.

use api::keys::Scope;
use reqwest::Method;
use schemas::{AccountId, Timestamp};

use crate::rig::{Rig, T0, TOPICS};

/// Status and code.
type Answer = (u16, Option<&'static str>);

struct Route {
    method: Method,
    path: String,
    scope: Scope,
    /// What a good key of an account without a subscription gets.
    others: Answer,
}

fn routes() -> Vec<Route> {
    let route =
        |method: Method, path: &str, scope, others| Route { method, path: path.to_owned(), scope, others };
    let ok = (200, None);
    let topic = TOPICS[0];
    vec![
        route(
            Method::GET,
            &format!("/v1/topics/{topic}/signals/latest"),
            Scope::SignalsRead,
            (403, Some("not_entitled")),
        ),
        route(
            Method::GET,
            "/v1/markets/polymarket/0xmarket0/signal",
            Scope::SignalsRead,
            (403, Some("not_entitled")),
        ),
        route(Method::GET, &format!("/v1/topics/{topic}/signals"), Scope::SignalsRead, ok),
        route(Method::GET, "/v1/account/balance", Scope::AccountRead, ok),
        route(Method::GET, "/v1/ws", Scope::Stream, (426, Some("websocket_required"))),
        route(
            Method::POST,
            "/v1/miner/commitments",
            Scope::MinerSubmit,
            (415, Some("media_type_unsupported")),
        ),
        route(Method::POST, "/v1/hosted/bundles", Scope::MinerHost, (503, Some("hosting_off"))),
        route(Method::GET, "/v1/hosted", Scope::MinerHost, (503, Some("hosting_off"))),
        route(Method::DELETE, "/v1/hosted/00", Scope::MinerHost, (503, Some("hosting_off"))),
        route(Method::POST, "/v1/miner/reveals", Scope::MinerSubmit, (415, Some("media_type_unsupported"))),
    ]
}

async fn ask(rig: &Rig, route: &Route, key: Option<&str>) -> (u16, Option<String>, String) {
    let mut request = rig.http.request(route.method.clone(), rig.url(&route.path));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&text).unwrap();
    (status, body["code"].as_str().map(str::to_owned), text)
}

#[tokio::test]
async fn every_guarded_route_with_every_kind_of_key() {
    let rig = Rig::start();
    rig.customer("demo", 100_000, &[0]);
    rig.customer("other", 77_777, &[]);
    rig.issue(0, 0, 600_000);
    let now = rig.house.now();
    let demo = AccountId::new("demo").unwrap();
    let expired = rig.keys.create(&demo, &Scope::ALL, Some(Timestamp::from_secs(T0)), now).unwrap().secret;
    let revoked = rig.keys.create(&demo, &Scope::ALL, None, now).unwrap();
    rig.keys.revoke(&revoked.info.hint, now).unwrap();
    let mut typo = rig.key("demo").into_bytes();
    typo[20] = if typo[20] == b'a' { b'b' } else { b'a' };
    let typo = String::from_utf8(typo).unwrap();
    let elsewhere = api::keys::KeyStore::open(rig.dir.path().join("elsewhere")).unwrap();
    let unknown = elsewhere.create(&demo, &Scope::ALL, None, now).unwrap().secret;
    for route in routes() {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|s| *s != route.scope).collect();
        let wrong = rig.key_with("demo", &others);
        let only = rig.key_with("other", &[route.scope]);
        let cases: [(&str, Option<&str>, Answer); 7] = [
            ("no key", None, (401, Some("unauthenticated"))),
            ("typo", Some(&typo), (401, Some("key_malformed"))),
            ("unknown", Some(&unknown), (401, Some("key_unknown"))),
            ("revoked", Some(&revoked.secret), (401, Some("key_revoked"))),
            ("expired", Some(&expired), (401, Some("key_expired"))),
            ("wrong scope", Some(&wrong), (403, Some("scope_missing"))),
            ("other's account", Some(&only), route.others),
        ];
        for (kind, key, want) in cases {
            let (status, code, text) = ask(&rig, &route, key).await;
            assert_eq!((status, code.as_deref()), want, "{kind} on {}", route.path);
            assert!(
                !text.contains("100000") && !text.contains("600000"),
                "{kind} on {} sees {text}",
                route.path
            );
        }
    }
    assert_eq!(rig.usages(), 0);
    rig.stop().await;
}

#[tokio::test]
async fn public_routes_need_no_key() {
    let rig = Rig::start();
    let routes = [
        "/",
        "/v1/topics",
        "/v1/leaderboard",
        "/v1/dashboard",
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ];
    for path in routes {
        assert_eq!(rig.get(path, None).await.status(), 200, "{path}");
    }
    rig.stop().await;
}
