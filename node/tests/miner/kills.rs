//! A miner process and a node are killed -9 in the middle: what was acknowledged is revealed and scored, once.

use std::collections::BTreeMap;
use std::path::Path;

use schemas::verdict::What;
use schemas::{MinerId, QuestionId, Verdict};

use crate::hands::{Alice, paid_for_its_stake};
use crate::rig::{self, Kid, LOOKS, Rig, has_onnx_runtime, pause, runtime};

#[test]
fn a_killed_miner_and_a_killed_node_lose_and_double_nothing() {
    if has_onnx_runtime("a_killed_miner_and_a_killed_node_lose_and_double_nothing") {
        runtime().block_on(kills());
    }
}

async fn kills() {
    let tmp = tempfile::tempdir().unwrap();
    let rig = Rig::new(tmp.path());
    let mut node = rig.node("node");
    let api_key = rig.api_key();
    let rest = rig::rest(&rig.api, Some(&api_key));
    rig::serves(&rest, &mut node).await;
    let alice = Alice { dir: rig.dir.clone(), api: rig.api.clone(), api_key };
    let mut miner = alice.start("alice-1");

    let first = alice.reaches("acknowledged", &mut miner).await;
    miner.kill();
    miner = alice.start("alice-2");
    assert_eq!(
        alice.reaches("revealed", &mut miner).await,
        first,
        "the second process keeps the first one's promise"
    );

    node.kill();
    node = rig.node("node-again");
    rig::serves(&rest, &mut node).await;
    let id = forecaster::edge::key_file::load(&alice.key()).unwrap().id();
    judged(&rest, id, &mut miner).await;
    reconnected(&mut miner).await;
    miner.terminate().await;
    node.terminate().await;
    check(&alice, id, &first);
    rig::replays(&rig.dir);
    rig.end().await;
}

/// The end of the question's market was judged. On the wall clock that is no score: the index's newest value does not
/// decide markets that end after 2026-08-07, and the node calls what it cannot prove void.
async fn judged(rest: &forecaster::edge::client::Rest, id: MinerId, miner: &mut Kid) {
    for _ in 0..LOOKS {
        assert!(miner.is_running(), "the miner stopped: {}", miner.complained());
        if rest.miner(&id).await.is_ok_and(|record| record.row.n + record.void > 0) {
            return;
        }
        pause().await;
    }
    panic!("nothing was judged: {}\n{}", miner.said(), miner.complained());
}

/// The miner found the node again by itself.
async fn reconnected(miner: &mut Kid) {
    for _ in 0..LOOKS {
        let said = miner.said();
        if said.matches("\"event\":\"connected\"").count() >= 2 {
            return;
        }
        pause().await;
    }
    panic!("it did not connect again: {}\n{}", miner.said(), miner.complained());
}

/// Accepted commitments and reveals of a miner, by question.
fn accepted(dir: &Path, id: MinerId) -> BTreeMap<QuestionId, (u32, u32)> {
    let mut out: BTreeMap<QuestionId, (u32, u32)> = BTreeMap::new();
    for verdict in rig::verdicts(dir) {
        if let Verdict::Accepted { what, miner: Some(miner), question: Some(question) } = verdict
            && miner == id
        {
            let counts = out.entry(question).or_default();
            match what {
                What::Commitment => counts.0 += 1,
                What::Reveal => counts.1 += 1,
                _ => {}
            }
        }
    }
    out
}

fn check(alice: &Alice, id: MinerId, first: &str) {
    let accepted = accepted(&alice.dir, id);
    let promises = alice.promises();
    assert!(promises.contains_key(first));
    for (question, stage) in &promises {
        let counts = accepted.get(&question.parse().unwrap()).copied().unwrap_or_default();
        match stage.as_str() {
            "revealed" => assert_eq!(counts, (1, 1), "{question}"),
            "acknowledged" => assert_eq!(counts.0, 1, "{question}"),
            _ => assert!(counts.0 <= 1 && counts.1 <= 1, "{question}: {counts:?}"),
        }
    }
    paid_for_its_stake(&rig::verdicts(&alice.dir), id);
}
