//! Uploading and looking after hosted bundles over real HTTP, with a shelf instead of a machine that runs them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use api::hosted::{Answer, Finding, Host, HostError, Hosted, HostedState};
use schemas::{AccountId, BundleId, MinerId, Ppm, Timestamp};
use serde_json::Value;

use crate::rig::Rig;

/// Keeps what begins with `good`, by account.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<BundleId, (AccountId, Hosted)>>);

impl Host for Shelf {
    fn max_bytes(&self) -> usize {
        64
    }

    fn upload(&self, account: AccountId, archive: Vec<u8>) -> Answer<(Hosted, bool)> {
        let bundle = BundleId(schemas::id::derive("test/bundle", &[&archive]));
        let mut shelf = self.0.lock().unwrap();
        let answer = match (shelf.get(&bundle), archive.starts_with(b"good")) {
            (Some((owner, hosted)), _) if *owner == account => Ok((hosted.clone(), false)),
            (Some(_), _) => Err(HostError::Taken),
            (None, false) => Err(HostError::Refused { code: "c07_memory", detail: "8 GB".to_owned() }),
            (None, true) => {
                let hosted = Hosted {
                    bundle,
                    miner: MinerId([7; 32]),
                    name: "m 1.0.0".to_owned(),
                    topic: "btc-usd.up-5m".to_owned(),
                    state: HostedState::Live,
                    fee: Ppm(200_000),
                    since: Timestamp::from_secs(1),
                    findings: vec![Finding {
                        code: "c10_golden",
                        passed: true,
                        detail: "3 pairs".to_owned(),
                    }],
                };
                shelf.insert(bundle, (account, hosted.clone()));
                Ok((hosted, true))
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn list(&self, account: &AccountId) -> Vec<Hosted> {
        self.0.lock().unwrap().values().filter(|(a, _)| a == account).map(|(_, h)| h.clone()).collect()
    }

    fn remove(&self, account: AccountId, bundle: BundleId) -> Answer<()> {
        let mut shelf = self.0.lock().unwrap();
        let mine = shelf.get(&bundle).is_some_and(|(a, _)| *a == account);
        let answer = if mine {
            drop(shelf.remove(&bundle))
        } else {
            return Box::pin(std::future::ready(Err(HostError::Unknown)));
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

#[tokio::test]
async fn a_bundle_is_taken_once_shown_to_its_owner_and_removed() {
    let rig = Rig::start();
    let mut state = rig.state.clone();
    state.host = Some(Arc::new(Shelf::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1/hosted", listener.local_addr().unwrap());
    let server = tokio::spawn(api::serve(listener, api::app(state), std::future::pending()));
    let (alice, bob) = (rig.key("alice"), rig.key("bob"));
    let post = |key: &str, kind: &'static str, body: Vec<u8>| {
        let request = rig.http.post(format!("{base}/bundles")).bearer_auth(key);
        request.header("content-type", kind).body(body).send()
    };
    let code = async |response: reqwest::Response| {
        let status = response.status().as_u16();
        let body: Value = response.json().await.unwrap();
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let tar = "application/x-tar";
    let first = post(&alice, tar, b"good one".to_vec()).await.unwrap();
    assert_eq!(first.status(), 201);
    let place = first.headers()["location"].to_str().unwrap().to_owned();
    let body: Value = first.json().await.unwrap();
    assert_eq!(place, format!("/v1/hosted/{}", body["bundle"].as_str().unwrap()));
    assert_eq!((body["state"].as_str(), body["fee_ppm"].as_u64()), (Some("live"), Some(200_000)));
    assert_eq!(body["findings"][0]["code"], "c10_golden");
    let again = post(&alice, tar, b"good one".to_vec()).await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.json::<Value>().await.unwrap(), body, "the second answer is the first");
    let refusals = [
        (&bob, tar, b"good one".to_vec(), (409, "bundle_taken")),
        (&alice, tar, b"bad".to_vec(), (422, "c07_memory")),
        (&alice, "application/json", b"good".to_vec(), (415, "media_type_unsupported")),
        (&alice, tar, vec![b'x'; 65], (413, "body_too_large")),
    ];
    for (key, kind, bytes, want) in refusals {
        let got = code(post(key, kind, bytes).await.unwrap()).await;
        assert_eq!((got.0, got.1.as_str()), want);
    }
    let ask = |method: reqwest::Method, path: String, key: &str| {
        rig.http.request(method, format!("{base}{path}")).bearer_auth(key).send()
    };
    let own = format!("/{}", body["bundle"].as_str().unwrap());
    let get = reqwest::Method::GET;
    let listed: Value = ask(get.clone(), String::new(), &alice).await.unwrap().json().await.unwrap();
    assert_eq!(listed["bundles"], serde_json::json!([body]));
    assert_eq!(ask(get.clone(), own.clone(), &alice).await.unwrap().json::<Value>().await.unwrap(), body);
    let unknown = (404, "bundle_not_found".to_owned());
    assert_eq!(code(ask(get.clone(), own.clone(), &bob).await.unwrap()).await, unknown);
    assert_eq!(code(ask(get.clone(), "/xyz".into(), &alice).await.unwrap()).await.1, "path_invalid");
    let delete = reqwest::Method::DELETE;
    assert_eq!(code(ask(delete.clone(), own.clone(), &bob).await.unwrap()).await, unknown);
    assert_eq!(ask(delete.clone(), own.clone(), &alice).await.unwrap().status(), 204);
    assert_eq!(code(ask(delete, own, &alice).await.unwrap()).await, unknown);
    server.abort();
    rig.stop().await;
}
