//! A miner process and a node are killed -9 in the middle: what was acknowledged is revealed and scored, once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schemas::verdict::What;
use schemas::{Asset, LedgerAccount, MinerId, QuestionId, ScoreStatus, TxnKind, Verdict};
use serde_json::Value;

use crate::rig::{Kid, LOOKS, PREPAID, Rig, has_onnx_runtime, pause, runtime};

const STAKE: i64 = 1_000_000;

#[test]
fn a_killed_miner_and_a_killed_node_lose_and_double_nothing() {
    if has_onnx_runtime("a_killed_miner_and_a_killed_node_lose_and_double_nothing") {
        runtime().block_on(kills());
    }
}

/// Python with the one package that the example needs, in the user's cache; skipped loudly where it cannot be had.
fn python() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    let venv = cache.join("oraculo/miner-example");
    let python = venv.join("bin/python");
    let has = || {
        let out = Command::new(&python).args(["-c", "import cryptography"]).output();
        out.is_ok_and(|out| out.status.success())
    };
    if has() {
        return Some(python);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).output();
    let made = made.is_ok_and(|out| out.status.success());
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "cryptography"];
    if made && Command::new(&python).args(pip).output().is_ok_and(|out| out.status.success()) && has() {
        return Some(python);
    }
    eprintln!(
        "SKIPPED examples/miner.py: no Python with the package cryptography, and pip could not fetch it"
    );
    None
}

struct Alice<'r> {
    rig: &'r Rig,
    api_key: &'r Path,
}

impl Alice<'_> {
    fn key(&self) -> PathBuf {
        self.rig.dir.join("alice.key")
    }

    fn start(&self, name: &str) -> Kid {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
        command.args(["miner", "run", "--json", "--name", "alice", "--connect", &self.rig.api]);
        command.args(["--stake", &STAKE.to_string(), "--bundle"]);
        command.arg(node::assets::models_dir(None).unwrap().join("gbt"));
        command.arg("--api-key-file").arg(self.api_key).arg("--key").arg(self.key());
        Kid::start(&mut command, &self.rig.dir, name)
    }

    /// The newest stage of every promise in the journal, by question.
    fn promises(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.rig.dir.join("alice.key.promises.jsonl")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let stage = |v: Value| Some((v["question"].as_str()?.to_owned(), v["stage"].as_str()?.to_owned()));
        lines.filter_map(stage).collect()
    }

    async fn reaches(&self, stage: &str, kid: &mut Kid) -> String {
        for _ in 0..LOOKS {
            if let Some((question, _)) = self.promises().into_iter().find(|(_, s)| s == stage) {
                return question;
            }
            assert!(kid.is_running(), "the miner stopped: {}", kid.complained());
            pause().await;
        }
        panic!("no promise is {stage}: {:?}\n{}\n{}", self.promises(), kid.said(), kid.complained());
    }
}

fn example(python: &Path, rig: &Rig, api_key: &Path) -> Kid {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/miner.py"));
    command.args(["--connect", &rig.api, "--name", "snake", "--until-scored", "--stake", &STAKE.to_string()]);
    command.arg("--api-key-file").arg(api_key).arg("--seed-file").arg(rig.dir.join("snake.seed"));
    Kid::start(&mut command, &rig.dir, "snake")
}

async fn kills() {
    let python = python();
    let tmp = tempfile::tempdir().unwrap();
    let rig = Rig::new(tmp.path());
    let mut node = rig.node("node");
    let api_key = rig.api_key();
    let rest = rig.rest(&api_key);
    rig.serves(&rest, &mut node).await;
    let alice = Alice { rig: &rig, api_key: &api_key };
    let mut miner = alice.start("alice-1");
    let snake = python.map(|python| example(&python, &rig, &api_key));

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
    rig.serves(&rest, &mut node).await;
    let id = forecaster::edge::key_file::load(&alice.key()).unwrap().id();
    scored(&rest, id, &mut miner).await;
    reconnected(&mut miner).await;
    let snake_id = match snake {
        None => None,
        Some(kid) => Some(snake_scored(kid).await),
    };
    miner.terminate().await;
    node.terminate().await;
    check(&rig, id, &first);
    if let Some(id) = snake_id {
        check_member(&rig, id);
    }
    rig.replays();
    rig.end().await;
}

async fn scored(rest: &forecaster::edge::client::Rest, id: MinerId, miner: &mut Kid) {
    for _ in 0..LOOKS {
        assert!(miner.is_running(), "the miner stopped: {}", miner.complained());
        if rest.miner(&id).await.is_ok_and(|record| record.row.n > 0) {
            return;
        }
        pause().await;
    }
    panic!("nothing was scored: {}\n{}", miner.said(), miner.complained());
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

/// Accepted commitments and reveals of a miner, by question.
fn accepted(rig: &Rig, id: MinerId) -> BTreeMap<QuestionId, (u32, u32)> {
    let mut out: BTreeMap<QuestionId, (u32, u32)> = BTreeMap::new();
    for verdict in rig.verdicts() {
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

fn check(rig: &Rig, id: MinerId, first: &str) {
    let accepted = accepted(rig, id);
    let alice = Alice { rig, api_key: Path::new("") };
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
    check_member(rig, id);
}

/// The miner paid for its stake out of prepaid money, and a prediction of it was scored.
fn check_member(rig: &Rig, id: MinerId) {
    let verdicts = rig.verdicts();
    let joined = verdicts.iter().find_map(|v| match v {
        Verdict::Posted(txn) if txn.kind == TxnKind::Join => {
            let has = |account: &LedgerAccount| txn.postings.iter().find(|p| p.account == *account);
            has(&LedgerAccount::MinerStake(id)).map(|_| txn)
        }
        _ => None,
    });
    let postings = &joined.expect("the miner joined").postings;
    let moved = |wanted: &dyn Fn(&LedgerAccount) -> bool, asset| -> i64 {
        postings.iter().filter(|p| p.asset == asset && wanted(&p.account)).map(|p| p.amount.0).sum()
    };
    assert_eq!(moved(&|a| matches!(a, LedgerAccount::Prepaid(_)), Asset::Usd), -STAKE);
    assert_eq!(moved(&|a| *a == LedgerAccount::StakePaid, Asset::Usd), STAKE);
    assert!(PREPAID >= 2 * STAKE);
    let scored =
        |v: &&Verdict| matches!(v, Verdict::Scored(s) if s.miner == id && s.status == ScoreStatus::Scored);
    assert!(verdicts.iter().any(|v| scored(&v)), "a prediction was scored");
}
