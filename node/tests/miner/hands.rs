//! Miners as processes: the command, and the example in Python; what they leave behind, read by others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schemas::{Asset, LedgerAccount, MinerId, TxnKind, Verdict};
use serde_json::Value;

use crate::rig::{Kid, LOOKS, pause};

/// What every miner here stakes, micro-units.
pub(crate) const STAKE: i64 = 1_000_000;

/// Python with the one package that the example needs, in the user's cache; skipped loudly where it cannot be had.
pub(crate) fn python() -> Option<PathBuf> {
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

/// A miner with a model and the places it needs.
pub(crate) struct Alice {
    pub(crate) dir: PathBuf,
    pub(crate) api: String,
    pub(crate) api_key: PathBuf,
}

impl Alice {
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join("alice.key")
    }

    pub(crate) fn start(&self, name: &str) -> Kid {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
        command.args(["miner", "run", "--json", "--name", "alice", "--connect", &self.api]);
        command.args(["--stake", &STAKE.to_string(), "--bundle"]);
        command.arg(node::assets::models_dir(None).unwrap().join("gbt"));
        command.arg("--api-key-file").arg(&self.api_key).arg("--key").arg(self.key());
        Kid::start(&mut command, &self.dir, name)
    }

    /// The newest stage of every promise in the journal, by question.
    pub(crate) fn promises(&self) -> BTreeMap<String, String> {
        let text = fs::read_to_string(self.dir.join("alice.key.promises.jsonl")).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let stage = |v: Value| Some((v["question"].as_str()?.to_owned(), v["stage"].as_str()?.to_owned()));
        lines.filter_map(stage).collect()
    }

    pub(crate) async fn reaches(&self, stage: &str, kid: &mut Kid) -> String {
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

/// The example in Python; it stops after its first score.
pub(crate) fn example(python: &Path, dir: &Path, api: &str, api_key: &Path) -> Kid {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/miner.py"));
    command.args(["--connect", api, "--name", "snake", "--until-scored", "--stake", &STAKE.to_string()]);
    command.arg("--api-key-file").arg(api_key).arg("--seed-file").arg(dir.join("snake.seed"));
    Kid::start(&mut command, dir, "snake")
}

/// The miner paid for its stake out of prepaid money, and every posting of it is there.
pub(crate) fn paid_for_its_stake(verdicts: &[Verdict], id: MinerId) {
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
}
