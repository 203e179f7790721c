//! Strangers who send nonsense to a running house: each gets its code, nobody else's score moves. Never a mock.

use api::keys::Scope;
use forecaster::signer::MinerKey;
use node::demo_run::{DemoOptions, DemoRun};
use node::keyring::Keyring;
use reqwest::Client;
use schemas::{AccountId, BundleId, Forecast, Ppm, QuestionId};
use serde_json::{Value, json};

use crate::support::{has_onnx_runtime, http, run_day, runtime, small_day};

const SEED: u64 = 7;
const MARKETS: u64 = 4;
const COMMIT: &str = "/v1/miner/commitments";
const REVEAL: &str = "/v1/miner/reveals";

/// Path, body, and the status and code it must get.
type Case = (&'static str, String, u16, &'static str);

fn commitment(key: &MinerKey, question: QuestionId) -> Value {
    let c = key.commit(&[0; 32], BundleId::default(), question, &Forecast::Probability(Ppm(500_000)));
    json!({"miner": c.miner.to_string(), "question": c.question.to_string(), "hash": c.hash.to_string(),
           "signature": hex::encode(c.signature)})
}

fn reveal(key: &MinerKey, question: QuestionId) -> Value {
    let r = key.reveal(&[0; 32], BundleId::default(), question, &Forecast::Probability(Ppm(500_000)));
    json!({"miner": r.miner.to_string(), "question": r.question.to_string(), "bundle": r.bundle.to_string(),
           "nonce": hex::encode(r.nonce), "forecast": {"kind": "probability", "p_ppm": 500_000},
           "signature": hex::encode(r.signature)})
}

fn with(mut base: Value, field: &str, value: Value) -> String {
    base[field] = value;
    base.to_string()
}

fn without(mut base: Value, field: &str) -> String {
    base.as_object_mut().unwrap().remove(field);
    base.to_string()
}

/// Submissions that are wrong whenever they come.
fn submissions() -> Vec<Case> {
    let stranger = MinerKey::from_seed([9; 32]);
    let member = MinerKey::from_seed(Keyring::simulated(SEED).seed("miner", "gbt"));
    let nowhere = QuestionId([3; 32]);
    let (c, r) = (commitment(&stranger, nowhere), reveal(&stranger, nowhere));
    let forecast = |f: Value| with(r.clone(), "forecast", f);
    let mut cases: Vec<Case> = Vec::new();
    for field in ["miner", "question", "hash", "signature"] {
        cases.push((COMMIT, without(c.clone(), field), 422, "validation_failed"));
        cases.push((COMMIT, with(c.clone(), field, json!(null)), 422, "validation_failed"));
        cases.push((COMMIT, with(c.clone(), field, json!("zz")), 422, "validation_failed"));
    }
    for field in ["miner", "question", "bundle", "nonce", "forecast", "signature"] {
        cases.push((REVEAL, without(r.clone(), field), 422, "validation_failed"));
        cases.push((REVEAL, with(r.clone(), field, json!(7)), 422, "validation_failed"));
    }
    cases.extend([
        (COMMIT, String::new(), 400, "json_malformed"),
        (COMMIT, "{".into(), 400, "json_malformed"),
        (COMMIT, "[]".into(), 422, "validation_failed"),
        (COMMIT, "\"text\"".into(), 422, "validation_failed"),
        (COMMIT, "nul".into(), 400, "json_malformed"),
        (COMMIT, "\u{0}".into(), 400, "json_malformed"),
        (COMMIT, format!("{}1{}", "[".repeat(64), "]".repeat(64)), 400, "json_too_deep"),
        (COMMIT, r#"{"miner":"a","miner":"b"}"#.into(), 400, "json_duplicate_key"),
        (COMMIT, "x".repeat(20_000), 413, "body_too_large"),
        (COMMIT, with(c.clone(), "extra", json!(1)), 422, "validation_failed"),
        (COMMIT, with(c.clone(), "miner", json!("AB".repeat(32))), 422, "validation_failed"),
        (COMMIT, c.to_string(), 422, "unknown_question"),
        (COMMIT, commitment(&member, nowhere).to_string(), 422, "unknown_question"),
        (REVEAL, r.to_string(), 422, "unknown_question"),
        (REVEAL, forecast(json!({"kind": "probability", "p_ppm": -1})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "probability", "p_ppm": 0.5})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "probability", "p_ppm": "NaN"})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "probability", "p_ppm": 1e308})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "probability"})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "certainty"})), 422, "validation_failed"),
        (REVEAL, forecast(json!({"kind": "quantiles", "values": "no"})), 422, "validation_failed"),
        (REVEAL, forecast(json!({})), 422, "validation_failed"),
    ]);
    cases
}

/// Submissions about a question that is open or was: a stranger, and a member's name under a stranger's signature.
fn about(question: QuestionId) -> Vec<(String, Value, &'static [&'static str])> {
    let stranger = MinerKey::from_seed([9; 32]);
    let member = MinerKey::from_seed(Keyring::simulated(SEED).seed("miner", "gbt"));
    let mut forged = commitment(&member, question);
    forged["signature"] = commitment(&stranger, question)["signature"].clone();
    let late: &[&str] = &["commit_too_late", "unknown_question", "duplicate_commitment", "bad_signature"];
    vec![
        (COMMIT.to_owned(), commitment(&stranger, question), &["unknown_miner", "unknown_question"]),
        (REVEAL.to_owned(), reveal(&stranger, question), &["unknown_miner", "unknown_question"]),
        (COMMIT.to_owned(), forged, late),
    ]
}

struct Hostile {
    client: Client,
    base: String,
    key: String,
}

impl Hostile {
    async fn post(&self, path: &str, body: String) -> (u16, String) {
        let url = format!("{}{}", self.base, path.trim_start_matches('/'));
        let request = self.client.post(url).bearer_auth(&self.key).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let problem: Value = response.json().await.unwrap();
        (status, problem["code"].as_str().unwrap_or_default().to_owned())
    }
}

#[test]
fn malformed_submissions_get_their_code_and_move_nobody_else() {
    if !has_onnx_runtime("malformed_submissions_get_their_code_and_move_nobody_else") {
        return;
    }
    let cases = submissions();
    assert!(cases.len() >= 40, "{}", cases.len());
    let tmp = tempfile::tempdir().unwrap();
    let calm = run_day(SEED, MARKETS, &tmp.path().join("calm")).summary;
    let stormy = runtime().block_on(async {
        let options = DemoOptions {
            speed: sim::Speed::Factor(120.0),
            ..DemoOptions::new(small_day(SEED, MARKETS), tmp.path().join("stormy"), SEED)
        };
        let demo = DemoRun::start(options).await.unwrap();
        let account = AccountId::new("stranger").unwrap();
        let now = node::clock::wall_now();
        let key = demo.running.keys.create(&account, &[Scope::MinerSubmit], None, now).unwrap().secret;
        let hostile = Hostile { client: http(), base: demo.running.url(), key };
        let mut sent = 0_u64;
        while !demo.twin.is_done() {
            for (path, body, status, code) in &cases {
                let got = hostile.post(path, body.clone()).await;
                if got.1 != "rate_limited" {
                    assert_eq!(
                        (got.0, got.1.as_str()),
                        (*status, *code),
                        "{path} {}",
                        &body[..body.len().min(120)]
                    );
                    sent += 1;
                }
            }
            let question = demo.running.view.read().unwrap().questions().last().map(|q| q.id);
            for (path, body, codes) in question.into_iter().flat_map(about) {
                let (_, code) = hostile.post(&path, body.to_string()).await;
                assert!(code == "rate_limited" || codes.contains(&code.as_str()), "{path} {body}: {code}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(sent >= cases.len() as u64, "the storm was real: {sent}");
        assert!(demo.drain().await);
        demo.finish().await.unwrap().summary
    });
    for miner in &calm.miners {
        let other = stormy.miners.iter().find(|m| m.name == miner.name).unwrap();
        let facts = |m: &node::summary::Miner| (m.stake_after, m.brier.map(f64::to_bits), m.n, m.missing);
        assert_eq!(facts(miner), facts(other), "{}", miner.name);
    }
    assert_eq!(stormy.ledger.sum_micros, 0);
}
