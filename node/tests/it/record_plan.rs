//! The plan belongs to the archive: what was recorded is read again by the machine that recorded it, session by session,
//! and by no other one when its plan is missing or was changed. Never a live venue.

use std::fs;
use std::path::{Path, PathBuf};

use ingest::edge::Endpoints;
use node::recorder::{Outcome, Plan};
use schemas::{Digest, Venue};
use serde_json::Value;
use sim::edge::polymarket::PolymarketHandle;

use crate::record::{Recording, check, plan, polymarket};
use crate::support::{oraculo, texts};

/// One recording of the twin.
async fn session(dir: &Path, twin: &PolymarketHandle, plan: &Plan) -> Outcome {
    let endpoints = Endpoints::single(twin.market_ws_url.clone(), twin.rest_url.clone());
    let recording = Recording::start(dir, plan, endpoints, None);
    recording.reach(3).await;
    recording.settle().await;
    twin.step(120).await;
    twin.quiesce().await;
    // A cut costs a reconnect after a delay that the plan's seed draws.
    twin.cut_all();
    recording.settle().await;
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    twin.step(80).await;
    twin.quiesce().await;
    recording.settle().await;
    let mut outcome = recording.end().await;
    check(dir, plan, &mut outcome);
    outcome
}

fn json(args: &[&str]) -> Value {
    let output = oraculo(args);
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{args:?}: {stdout} {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{e}: {stdout} {stderr}"))
}

/// The command must fail and name the code.
fn refused(args: &[&str], code: &str) {
    let output = oraculo(args);
    let (stdout, stderr) = texts(&output);
    assert!(!output.status.success(), "{args:?}: {stdout}");
    assert!(format!("{stdout}{stderr}").contains(code), "{args:?}: want {code} in {stdout} {stderr}");
}

fn plans(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let is_plan = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("plan-");
    let mut plans: Vec<_> = entries.filter(is_plan).collect();
    plans.sort();
    plans
}

/// The rows of an exported file, hashed without their lengths, from the row `skip` on.
fn tape_of(file: &Path, skip: u64) -> Digest {
    let bytes = fs::read(file).unwrap();
    let (mut at, mut row, mut hasher) = (0, 0, blake3::Hasher::new());
    loop {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if len == 0 {
            return Digest(*hasher.finalize().as_bytes());
        }
        if row >= skip {
            hasher.update(&bytes[at + 4..at + 4 + len]);
        }
        at += 4 + len;
        row += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_is_read_again_by_the_machines_that_recorded_it() {
    let (tmp, twin) = (tempfile::tempdir().unwrap(), polymarket(None));
    let (dir, root) = (tmp.path().to_str().unwrap(), tmp.path().join("polymarket"));
    // Not what an import would follow: one of two markets, then all of them over two connections.
    let some: Vec<String> = twin.assets().into_iter().take(1).collect();
    let wanted = [plan(Venue::Polymarket, some, false), plan(Venue::Polymarket, twin.assets(), true)];
    let mut outcomes = Vec::new();
    for plan in &wanted {
        outcomes.push(session(tmp.path(), &twin, plan).await);
    }
    let tape = tmp.path().join("tape.rows");
    let said = json(&["archive", "export", dir, "--to", tape.to_str().unwrap(), "--json"]);
    for ((at, outcome), plan) in outcomes.iter().enumerate().zip(&wanted) {
        let session = &said["sessions"][at];
        assert_eq!(session["digest"], outcome.digest.to_string(), "{said}");
        assert_eq!(session["rows"], outcome.meter.rows, "{said}");
        assert_eq!(session["records"], outcome.meter.records, "{said}");
        assert_eq!(session["first_seq"], outcome.first_seq, "{said}");
        assert_eq!(session["plan"], Digest::of(&plan.to_json()).to_string(), "{said}");
        assert_eq!(Plan::from_json(&plan.to_json()).as_ref(), Ok(plan));
    }
    assert_eq!(said["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(Some(tape_of(&tape, outcomes[0].meter.rows)), outcomes[1].tape, "row for row");
    let coverage = json(&["archive", "coverage", dir, "--json"]);
    assert_eq!(coverage["rows"], said["rows"]);
    assert_eq!(json(&["archive", "verify", dir, "--json"])["ok"], true);
    let listed = json(&["archive", "ls", dir, "--json"]);
    assert_eq!(listed["segments"][1]["plan"], said["sessions"][1]["plan"], "{listed}");
    assert_eq!(plans(&root).len(), 2);

    damage(dir, &root, &said);

    // Retention: the plan goes with the last segment that names it, the other one stays.
    let retained = json(&["archive", "retain", dir, "--max-bytes", "0", "--json"]);
    assert_eq!(retained["deleted"].as_array().unwrap().len(), 1);
    assert_eq!(plans(&root), [plan_path(&root, &said, 1)]);
    let again = tmp.path().join("again.rows");
    let kept = json(&["archive", "export", dir, "--to", again.to_str().unwrap(), "--json"]);
    assert_eq!(kept["sessions"][0]["digest"], outcomes[1].digest.to_string(), "{kept}");
    assert_eq!(Some(tape_of(&again, 0)), outcomes[1].tape);
}

fn plan_path(root: &Path, said: &Value, session: usize) -> PathBuf {
    root.join(format!("plan-{}.json", said["sessions"][session]["plan"].as_str().unwrap()))
}

/// Changed, exchanged or missing plans are refused by everything that needs them.
fn damage(dir: &str, root: &Path, said: &Value) {
    let [first, second] = [0, 1].map(|session| plan_path(root, said, session));
    let good = fs::read_to_string(&second).unwrap();
    let out = root.join("../refused.rows");
    let out = out.to_str().unwrap();
    let all: [&[&str]; 4] = [
        &["archive", "export", dir, "--to", out],
        &["archive", "coverage", dir],
        &["archive", "verify", dir],
        &["archive", "verify", dir, "--json"],
    ];
    let other = good.replace("\"ab\":true", "\"ab\":false");
    assert_ne!(other, good);
    for text in [other, fs::read_to_string(&first).unwrap(), String::new()] {
        fs::write(&second, text).unwrap();
        for args in all {
            refused(args, "plan_damaged");
        }
    }
    fs::remove_file(&second).unwrap();
    for args in all {
        refused(args, "plan_missing");
    }
    let (listed, _) = texts(&oraculo(&["archive", "ls", dir]));
    assert!(listed.contains("plan_missing"), "{listed}");
    assert!(!Path::new(out).exists(), "nothing was written");
    fs::write(&second, good).unwrap();
    assert_eq!(json(&["archive", "verify", dir, "--json"])["ok"], true);
}

/// A plan that is whole but of another time or place has a code of its own.
#[test]
fn a_plan_this_build_does_not_know_is_refused() {
    let good = plan(Venue::Kraken, vec!["BTC/USD".to_owned()], false);
    let text = String::from_utf8(good.to_json()).unwrap();
    for (from, to) in [
        ("\"form\":1", "\"form\":2"),
        ("kraken", "nyse"),
        ("\"ab\":false", "\"ab\":false,\"depth\":10"),
        ("0909", "09"),
        ("{", "{ "),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        assert!(Plan::from_json(changed.as_bytes()).is_err(), "{changed}");
        let tmp = tempfile::tempdir().unwrap();
        let options = ingest::edge::archive::ArchiveOptions::default();
        let mut writer =
            ingest::edge::archive::ArchiveWriter::open(tmp.path(), Venue::Kraken, "a test", options).unwrap();
        writer.keep_plan(changed.as_bytes()).unwrap();
        let wake = schemas::Raw::TimeAdvanced { to: schemas::Timestamp(1) };
        writer.append(ingest::archive::Stamp::default(), &wake).unwrap();
        writer.close().unwrap();
        let (dir, out) = (tmp.path().to_str().unwrap(), tmp.path().join("tape.rows"));
        refused(&["archive", "export", dir, "--to", out.to_str().unwrap()], "plan_unknown");
        refused(&["archive", "coverage", dir], "plan_unknown");
    }
}
