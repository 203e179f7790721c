//! Many miners commit at once while the node is killed -9: no acknowledged prediction is lost, none is there twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forecaster::MinerKey;
use forecaster::edge::client::{Failure, Rest};
use schemas::verdict::What;
use schemas::{BundleId, Commitment, Forecast, Micros, MinerId, Ppm, QuestionId, Reveal, Verdict};

use crate::rig::{self, Kid, LOOKS, Rig, has_onnx_runtime, pause, runtime};

/// Miners; each pays 10,000 of the account's 10,000,000.
const MINERS: u8 = 48;
/// Between two attempts.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);
/// After this many acknowledgements the node is killed.
const KILL_AFTER: usize = 5;

#[test]
fn under_load_a_killed_node_loses_and_doubles_no_acknowledged_prediction() {
    if has_onnx_runtime("under_load_a_killed_node_loses_and_doubles_no_acknowledged_prediction") {
        runtime().block_on(load());
    }
}

fn key(n: u8) -> MinerKey {
    MinerKey::from_seed([n; 32])
}

/// The question that is open for commitments, asked for over REST.
async fn question(api: &str, api_key: &str) -> (QuestionId, [u8; 32]) {
    let client = reqwest::Client::new();
    for _ in 0..LOOKS {
        let url = format!("{api}/v1/questions?state=open");
        let reply = client.get(url).bearer_auth(api_key.trim()).send().await.unwrap();
        let list: schemas::public::QuestionList = reply.json().await.unwrap();
        if let Some(q) = list.data.iter().find(|q| q.phase == "commit") {
            let mut network = [0; 32];
            hex::decode_to_slice(&q.network, &mut network).unwrap();
            return (q.id.parse().unwrap(), network);
        }
        pause().await;
    }
    panic!("no question opened");
}

/// The same bytes until there is an answer that counts; whether it was acknowledged.
async fn commit(rest: Rest, commitment: Commitment, acknowledged: Arc<AtomicUsize>) -> Option<MinerId> {
    for _ in 0..LOOKS {
        match rest.commit(&commitment).await {
            Ok(()) => {
                acknowledged.fetch_add(1, Ordering::SeqCst);
                return Some(commitment.miner);
            }
            Err(failure) if failure.is_passing() => tokio::time::sleep(AGAIN).await,
            Err(Failure::Refused { code, .. }) => {
                assert_eq!(code, "commit_too_late");
                return None;
            }
            Err(Failure::Unreachable(_)) => unreachable!("that is passing"),
        }
    }
    None
}

async fn reveal(rest: Rest, reveal: Reveal) -> Option<MinerId> {
    for _ in 0..LOOKS {
        match rest.reveal(&reveal).await {
            Ok(()) => return Some(reveal.miner),
            Err(failure) if failure.is_passing() => pause().await,
            Err(failure) => {
                assert_eq!(failure.code(), "reveal_too_late");
                return None;
            }
        }
    }
    None
}

async fn load() {
    let tmp = tempfile::tempdir().unwrap();
    let rig = Rig::new(tmp.path());
    let mut node = rig.node("node");
    let path = rig.api_key();
    let rest = rig::rest(&rig.api, Some(&path));
    rig::serves(&rest, &mut node).await;
    let network = rest.network().await.unwrap();
    let mut hash = [0; 32];
    hex::decode_to_slice(&network.hash, &mut hash).unwrap();
    for n in 0..MINERS {
        let joined = key(n).register(&hash, &format!("m{n}"), "model", Micros(10_000));
        rest.register(&joined).await.unwrap();
        rest.register(&joined).await.expect("again is no failure");
    }
    let (id, network) = question(&rig.api, &std::fs::read_to_string(&path).unwrap()).await;
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let forecast = |n: u8| Forecast::Probability(Ppm(500_000 + u32::from(n)));
    let mut sent = tokio::task::JoinSet::new();
    for n in 0..MINERS {
        let commitment = key(n).commit(&network, BundleId::default(), id, &forecast(n));
        sent.spawn(commit(rest.clone(), commitment, Arc::clone(&acknowledged)));
    }
    let mut node = killed_amid(&rig, node, &acknowledged).await;
    let committed: BTreeSet<MinerId> = sent.join_all().await.into_iter().flatten().collect();
    let mut opened = tokio::task::JoinSet::new();
    for n in (0..MINERS).filter(|n| committed.contains(&key(*n).id())) {
        let paper = key(n).reveal(&network, BundleId::default(), id, &forecast(n));
        opened.spawn(reveal(rest.clone(), paper));
    }
    let revealed: BTreeSet<MinerId> = opened.join_all().await.into_iter().flatten().collect();
    rig::serves(&rest, &mut node).await;
    node.terminate().await;
    check(&rig, id, &committed, &revealed);
    rig::replays(&rig.dir);
    rig.end().await;
}

/// Kills the node while acknowledgements come in, and starts it again.
async fn killed_amid(rig: &Rig, mut node: Kid, acknowledged: &AtomicUsize) -> Kid {
    for _ in 0..LOOKS * 100 {
        if acknowledged.load(Ordering::SeqCst) >= KILL_AFTER {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_micros(200)).await;
    }
    node.kill();
    rig.node("node-again")
}

fn check(rig: &Rig, id: QuestionId, committed: &BTreeSet<MinerId>, revealed: &BTreeSet<MinerId>) {
    let mut counts: BTreeMap<(MinerId, What), u32> = BTreeMap::new();
    for verdict in rig::verdicts(&rig.dir) {
        if let Verdict::Accepted { what, miner: Some(miner), question: Some(question) } = verdict
            && question == id
        {
            *counts.entry((miner, what)).or_default() += 1;
        }
    }
    assert!(committed.len() >= KILL_AFTER, "{} were acknowledged", committed.len());
    eprintln!("{} commitments and {} reveals were acknowledged", committed.len(), revealed.len());
    assert!(counts.values().all(|n| *n == 1), "nothing is there twice: {counts:?}");
    for (acknowledged, what) in [(committed, What::Commitment), (revealed, What::Reveal)] {
        for miner in acknowledged {
            assert_eq!(counts.get(&(*miner, what)), Some(&1), "{what:?} of {miner} was acknowledged");
        }
    }
}
