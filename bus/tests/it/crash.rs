//! Real crashes: a child process writes under load, is killed at seeded moments, and nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bus::{Driver, FileLog, FileOptions, GroupCommit, GroupOptions, Limits, Log, NoMachines, replay};
use schemas::{Stream, Timestamp};

use crate::random::Seeded;

const DIR: &str = "ORACULO_BUS_CRASH_DIR";
const LIMIT: &str = "ORACULO_BUS_CRASH_LIMIT";
const STRACE: &str = "/usr/bin/strace";
const CYCLES: u64 = 24;
const PRODUCERS: u64 = 8;

fn options() -> FileOptions {
    FileOptions { segment_bytes: 48 << 10, ..Default::default() }
}

fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Not a test of its own: the process that is killed. Says `ack <seq> <hash of body>` after each durable record.
#[test]
#[ignore = "started by killed_writers_lose_nothing_they_acknowledged"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let each: u64 = std::env::var(LIMIT).map_or(u64::MAX, |n| n.parse().unwrap());
    let log = FileLog::open(dir, options()).unwrap();
    let mut driver = Driver::new(log, NoMachines, Limits::default());
    driver.recover(None, &mut |_| ()).unwrap();
    let start = driver.last_seq();
    let (submitter, commit) =
        GroupCommit::start(driver, GroupOptions { queue: 64, max_batch: 64 }, || Timestamp(1), |_| ())
            .unwrap();
    for producer in 0..PRODUCERS {
        let submitter = submitter.clone();
        std::thread::spawn(move || {
            let mut random = Seeded(start * PRODUCERS + producer);
            for _ in 0..each {
                let body: Vec<u8> = (0..random.below(3000)).map(|_| random.next() as u8).collect();
                let hash = hex(&body);
                let say = move |ack: Result<bus::Ack, bus::BusError>| {
                    let line = format!("ack {} {hash}\n", ack.unwrap().seq);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                };
                submitter.submit(Stream::Intake, body, say).unwrap();
            }
        });
    }
    drop(submitter);
    commit.finish().unwrap();
}

fn as_child(command: &mut Command, dir: &Path) -> std::process::Child {
    command.args(["crash::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DIR, dir).stdout(Stdio::piped()).spawn().unwrap()
}

/// Starts the child, kills it after `acks` acknowledgements and returns all it gave.
fn run_and_kill(dir: &Path, acks: u64) -> BTreeMap<u64, String> {
    let mut child = as_child(&mut Command::new(std::env::current_exe().unwrap()), dir);
    let mut given = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // the last line may be cut off by the kill: it counts only if it is whole
        let mut words = line.split(' ').skip_while(|w| !w.ends_with("ack")).skip(1);
        if let (Some(seq), Some(hash)) = (words.next(), words.next().filter(|h| h.len() == 16)) {
            given.insert(seq.parse().unwrap(), hash.to_owned());
            count += 1;
        }
        if count == acks {
            child.kill().unwrap(); // SIGKILL
        }
    }
    child.wait().unwrap();
    assert!(count >= acks, "the child was killed, it did not fail");
    given
}

#[test]
fn killed_writers_lose_nothing_they_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Seeded(20_260_607);
    let mut given = BTreeMap::new();
    let (mut torn, mut kept) = (0, 0);
    for cycle in 0..CYCLES {
        given.extend(run_and_kill(dir.path(), 1 + random.below(300)));
        let mut log = FileLog::open(dir.path(), options()).unwrap();
        torn += u64::from(log.torn().is_some());
        let report = replay(&mut log, &mut NoMachines, &mut |_| ()).unwrap();
        assert_eq!(report.chain, log.chain(), "cycle {cycle}: the chain verifies");
        assert_eq!(report.entries, log.last().0);
        let mut found = 0;
        while let Some(e) = log.read(found + 1, 1).unwrap().pop() {
            found += 1;
            let hash = given.get(&found);
            assert!(hash.is_none_or(|h| *h == hex(&e.record.body)), "cycle {cycle}: entry {found} changed");
        }
        let last = given.last_key_value().map_or(0, |(seq, _)| *seq);
        assert!(found >= last, "cycle {cycle}: acknowledged up to {last}, found {found}");
        kept = found;
        drop(log);
        FileLog::open_read_only(dir.path(), options()).unwrap();
    }
    eprintln!("{CYCLES} kills: {kept} records, {} of them acknowledged, {torn} torn ends", given.len());
}

/// The page cache outlives a killed process, so only the system calls show that data is synced before anybody
/// hears of it: at every acknowledgement, no segment may have a write that no sync followed.
#[test]
fn nothing_is_acknowledged_before_its_fdatasync() {
    let works = Command::new(STRACE).args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!(
            "SKIPPED: {STRACE} does not run here, the order of sync and acknowledgement was not traced"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new(STRACE);
    command.args(["-f", "-y", "-e", "trace=write,fdatasync,fsync", "-s", "8", "-o"]).arg(trace.path());
    command.arg(std::env::current_exe().unwrap()).env(LIMIT, "20");
    let child = as_child(&mut command, dir.path());
    assert!(child.wait_with_output().unwrap().status.success());
    let (mut dirty, mut syncing, mut syncs, mut acks) = (BTreeMap::new(), String::new(), 0, 0);
    for line in std::fs::read_to_string(trace.path()).unwrap().lines() {
        let file = line.split(['<', '>']).find(|part| part.strip_suffix(".seg").is_some()).map(str::to_owned);
        if line.contains("\"ack ") {
            assert!(dirty.is_empty(), "{line} came before the sync after {dirty:?}");
            acks += 1;
        } else if let Some(file) = file.clone().filter(|_| line.contains(" write(")) {
            dirty.insert(file, line.to_owned());
        } else if line.contains("fdatasync") {
            // another thread's event splits a call into `fdatasync(.. <unfinished ...>` and `<... resumed>) = 0`
            syncing = file.unwrap_or(syncing);
            if line.ends_with("= 0") {
                dirty.remove(&syncing);
                syncs += 1;
            }
        }
    }
    assert_eq!(acks, 20 * PRODUCERS);
    assert!(syncs > 1);
}
