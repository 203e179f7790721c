//! The documents strangers build on, as files; `UPDATE_GOLDEN=1` writes them anew.

use std::fs;
use std::path::Path;

fn check(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == text,
        "{path} is out of date: run the tests with UPDATE_GOLDEN=1 and look at the difference"
    );
}

#[test]
fn openapi_is_the_committed_one() {
    check("openapi.json", &api::openapi_json());
}

#[test]
fn json_schemas_are_the_committed_ones() {
    for (name, schema) in schemas::public::json_schemas() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        check(&format!("json-schema/{name}.json"), &text);
    }
}

#[test]
fn openapi_is_3_1_and_names_every_route() {
    let document: serde_json::Value = serde_json::from_str(&api::openapi_json()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_debug_snapshot!(paths, @r#"
    [
        "/livez",
        "/metrics",
        "/readyz",
        "/v1/account/balance",
        "/v1/dashboard",
        "/v1/hosted",
        "/v1/hosted/bundles",
        "/v1/hosted/{bundle}",
        "/v1/leaderboard",
        "/v1/market/{symbol}/history",
        "/v1/markets/{venue}/{market_id}/signal",
        "/v1/miner/commitments",
        "/v1/miner/registrations",
        "/v1/miner/reveals",
        "/v1/miner/ws",
        "/v1/miners/{key}",
        "/v1/network",
        "/v1/questions",
        "/v1/topics",
        "/v1/topics/{id}",
        "/v1/topics/{id}/signals",
        "/v1/topics/{id}/signals/latest",
        "/v1/ws",
    ]
    "#);
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to and not there");
    }
}
