//! The demo world, where markets are settled: a miner with a model and the example in Python get their first score.

use std::net::TcpListener;
use std::process::Command;

use schemas::{MinerId, ScoreStatus, Verdict};
use serde_json::Value;

use crate::hands::{Alice, example, paid_for_its_stake, python};
use crate::rig::{self, Kid, LOOKS, has_onnx_runtime, pause, runtime};

/// Market seconds per wall second: a window of 2 s is half a second here.
const SPEED: &str = "4";

#[test]
fn miners_elsewhere_are_scored_in_the_demo_world() {
    if has_onnx_runtime("miners_elsewhere_are_scored_in_the_demo_world") {
        runtime().block_on(scored());
    }
}

async fn scored() {
    let python = python();
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().to_owned();
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let api = format!("http://{listen}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
    command.args([
        "demo",
        "--json",
        "--for",
        "0",
        "--speed",
        SPEED,
        "--listen",
        &listen.to_string(),
        "--dir",
    ]);
    command.arg(dir.join("node"));
    let mut demo = Kid::start(&mut command, &dir, "demo");
    rig::serves(&rig::rest(&api, None), &mut demo).await;
    let api_key = rig::api_key(&dir, node::demo_plan::CUSTOMER);
    let rest = rig::rest(&api, Some(&api_key));
    let alice = Alice { dir: dir.clone(), api: api.clone(), api_key };
    let mut miner = alice.start("alice");
    let snake = python.map(|python| example(&python, &dir, &api, &alice.api_key));
    let mut scored = Vec::new();
    alice.reaches("revealed", &mut miner).await;
    let id = forecaster::edge::key_file::load(&alice.key()).unwrap().id();
    for _ in 0..LOOKS {
        assert!(miner.is_running(), "the miner stopped: {}", miner.complained());
        if rest.miner(&id).await.is_ok_and(|record| record.row.n > 0) {
            scored.push(id);
            break;
        }
        pause().await;
    }
    assert_eq!(scored, [id], "{}\n{}", miner.said(), miner.complained());
    if let Some(kid) = snake {
        scored.push(snake_scored(kid).await);
    }
    miner.terminate().await;
    demo.terminate().await;
    let verdicts = rig::verdicts(&dir);
    for id in scored {
        paid_for_its_stake(&verdicts, id);
        let ours = |v: &&Verdict| matches!(v, Verdict::Scored(s) if s.miner == id && s.status == ScoreStatus::Scored);
        assert!(verdicts.iter().any(|v| ours(&v)), "a prediction of {id} was scored");
    }
    rig::replays(&dir);
}

/// The example ends by itself once it was scored.
async fn snake_scored(mut kid: Kid) -> MinerId {
    for _ in 0..LOOKS {
        if !kid.is_running() {
            break;
        }
        pause().await;
    }
    let said = kid.said();
    let last: Value = serde_json::from_str(said.lines().last().unwrap_or_default()).unwrap_or_default();
    assert_eq!(last["what"], "scored", "{said}\n{}", kid.complained());
    last["record"]["miner"].as_str().unwrap().parse().unwrap()
}
