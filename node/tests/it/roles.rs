//! Four processes of one role each over a real Redis: a signal is sold once, across a lost Redis and a killed API.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bus::{FileLog, FileOptions, Log as _};
use node::clock::wall_now;
use reqwest::{Client, StatusCode};
use schemas::public::Balance;
use schemas::{Entry, Stream, Timestamp, Verdict};
use serde_json::{Value, json};
use sim::{Day, Pace, Speed, Twin, TwinConfig, TwinHandle, WorldConfig};

use crate::support::{has_onnx_runtime, http, oraculo, runtime, texts};

const REDIS: &str = "/usr/bin/redis-server";
const ROLES: [&str; 4] = ["ingest", "validator", "miner", "api"];
const TOPIC: &str = "btc-usd.up-5m.60s";
const PREPAID: i64 = 1_000_000;
const PRICE: i64 = 9_000;
/// How long after now the question opens, seconds: time enough to start four processes.
const LEAD_S: i64 = 24;
/// Two looks a second for this long are enough for anything here.
const LOOKS: usize = 120;

/// A process that does not outlive the test.
struct Kid {
    child: Child,
    log: PathBuf,
}

impl Kid {
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// The beginning of what it said.
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap().chars().take(4_000).collect()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and success: the process drained.
    async fn terminate(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.said());
                return;
            }
            pause().await;
        }
        panic!("{} does not stop: {}", self.log.display(), self.said());
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls are bounded by their number, so a slow machine only takes longer.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A Redis without a memory of its own, and it answers.
async fn redis(port: u16, dir: &Path) -> Kid {
    let number = port.to_string();
    let mut command = Command::new(REDIS);
    command
        .args(["--port", &number, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(dir);
    let kid = Kid::start(&mut command, dir.join("redis.log"));
    for _ in 0..LOOKS {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return kid;
        }
        pause().await;
    }
    panic!("Redis does not start: {}", kid.said());
}

/// A day on the wall clock with a market whose 60-second question opens soon: markets start at multiples of their
/// length, so the length is chosen to fit.
fn day() -> Day {
    let start = wall_now().secs() + LEAD_S - 60;
    let fits = |length: &i64| start % length <= 3;
    let length = (300..3_600).find(fits).expect("some length divides nearly every second");
    Day::simulated(WorldConfig {
        seed: 5,
        start: Timestamp::from_secs(start / length * length),
        length_s: length as u64 * 2,
        interval_s: length as u32,
        history_s: 400,
        missing_ppm: 0,
        gaps_per_day: 0,
        ..WorldConfig::default()
    })
}

struct Rig {
    dir: PathBuf,
    config: PathBuf,
    redis: String,
    twin: TwinHandle,
    api: String,
}

impl Rig {
    fn new(dir: &Path, redis_port: u16) -> Self {
        let day = day();
        let (slug, interval) = (day.slug_prefix.clone(), day.interval_s);
        let twin = TwinConfig { wait_for_subscriber: Duration::ZERO, ..TwinConfig::default() };
        let pace = Pace::free(wall_now(), Speed::Factor(1.0));
        let twin = Twin::spawn_with(Arc::new(day), pace, twin).unwrap();
        let (config, listen) = (dir.join("oraculo.toml"), free_port());
        let text = format!(
            "listen = '127.0.0.1:{listen}'\ndevice = 'cpu'\n\
             [network]\nname = 'roles'\nepoch_s = 3600\n\
             [venue]\nslug_prefix = '{slug}'\ninterval_s = {interval}\n\
             [[customers]]\naccount = 'acme'\nprepaid_micros = {PREPAID}\n"
        );
        fs::write(&config, text).unwrap();
        let redis = format!("redis://127.0.0.1:{redis_port}");
        Self { dir: dir.to_owned(), config, redis, twin, api: format!("http://127.0.0.1:{listen}") }
    }

    fn role(&self, role: &str, log: &str) -> Kid {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
        command.args(["--log", "info", "run", "--role", role, "--redis", &self.redis]);
        command.args(["--ws-url", &self.twin.ws_url, "--rest-url", &self.twin.rest_url]);
        command.arg("--config").arg(&self.config).arg("--dir").arg(self.dir.join("node"));
        Kid::start(&mut command, self.dir.join(log))
    }

    fn key(&self) -> String {
        let dir = self.dir.join("node").display().to_string();
        let scopes = "signals:read,stream,account:read,miner:submit";
        let out = oraculo(&["keys", "--dir", &dir, "create", "--account", "acme", "--scopes", scopes]);
        texts(&out).0.trim().to_owned()
    }
}

struct Customer {
    client: Client,
    api: String,
    key: String,
}

impl Customer {
    async fn get(&self, path: &str) -> Option<(StatusCode, Value)> {
        let url = format!("{}/v1/{path}", self.api);
        let reply = self.client.get(url).bearer_auth(&self.key).send().await.ok()?;
        Some((reply.status(), reply.json().await.ok()?))
    }

    /// Asks until there is a signal to buy.
    async fn buy(&self, kids: &[Kid]) -> Value {
        let mut last = None;
        for _ in 0..LOOKS {
            last = self.get(&format!("topics/{TOPIC}/signals/latest")).await;
            if let Some((StatusCode::OK, signal)) = last {
                return signal;
            }
            pause().await;
        }
        let logs: Vec<String> = kids.iter().map(Kid::said).collect();
        panic!("no signal; last {last:?}\n{}", logs.join("\n---\n"));
    }

    /// Asks until the balance shows so many paid units.
    async fn balance(&self, units: u64) -> Balance {
        for _ in 0..LOOKS {
            if let Some((StatusCode::OK, body)) = self.get("account/balance").await {
                let balance: Balance = serde_json::from_value(body).unwrap();
                if balance.units >= units {
                    return balance;
                }
            }
            pause().await;
        }
        panic!("the balance never showed {units} units");
    }

    /// A commitment on a question that is not: the validator's answer comes back over two outboxes.
    async fn submit_nonsense(&self) -> (StatusCode, Value) {
        let hex = |n: usize| "ab".repeat(n);
        let body = json!({"miner": hex(32), "question": hex(32), "hash": hex(32), "signature": hex(64)});
        let url = format!("{}/v1/miner/commitments", self.api);
        let reply = self.client.post(url).bearer_auth(&self.key).json(&body).send().await.unwrap();
        (reply.status(), reply.json().await.unwrap())
    }
}

fn journal(rig: &Rig, role: &str, stream: Stream) -> Vec<Entry> {
    let dir = rig.dir.join("node").join(role).join("journal");
    let mut log = FileLog::open_read_only(dir, FileOptions::default()).unwrap();
    let (mut out, mut next) = (Vec::new(), 1);
    loop {
        let entries = log.read(next, 1_024).unwrap();
        let Some(last) = entries.last() else { return out };
        next = last.record.seq + 1;
        out.extend(entries.into_iter().filter(|e| e.stream == stream));
    }
}

/// What `to` followed of `from` is a beginning of it, entry by entry: nothing lost, nothing twice.
fn assert_followed(rig: &Rig, from: &str, to: &str, stream: Stream) -> Vec<Entry> {
    let bodies = |role| journal(rig, role, stream).into_iter().map(|e| e.record.body).collect::<Vec<_>>();
    let (theirs, ours) = (bodies(from), bodies(to));
    assert!(!ours.is_empty(), "{to} took nothing of {from}");
    assert!(theirs.starts_with(&ours), "{to} has {} entries of {from}'s {}", ours.len(), theirs.len());
    journal(rig, to, stream)
}

#[test]
fn four_roles_sell_a_signal_once() {
    if !Path::new(REDIS).is_file() {
        eprintln!("SKIPPED four_roles_sell_a_signal_once: {REDIS} is absent");
        return;
    }
    if has_onnx_runtime("four_roles_sell_a_signal_once") {
        runtime().block_on(sell_once());
    }
}

async fn sell_once() {
    let tmp = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut broker = redis(port, tmp.path()).await;
    let rig = Rig::new(tmp.path(), port);
    let mut kids: Vec<Kid> = ROLES.iter().map(|role| rig.role(role, &format!("{role}.log"))).collect();
    let customer = Customer { client: http(), api: rig.api.clone(), key: rig.key() };
    let signal = customer.buy(&kids).await;
    let paid = customer.balance(1).await;
    assert_eq!((paid.units, paid.prepaid.as_str()), (1, (PREPAID - PRICE).to_string().as_str()));

    let mut second = rig.role("ingest", "second.log");
    assert!(!second.child.wait().unwrap().success());
    assert!(second.said().contains("a role has one writer"), "{}", second.said());

    broker.kill();
    let _broker = redis(port, tmp.path()).await;
    let lost_at = wall_now();
    kids[3].kill();
    kids[3] = rig.role("api", "api-again.log");
    let again = customer.buy(&kids).await;
    assert_eq!(again["id"], signal["id"], "the same signal");
    let after = customer.balance(1).await;
    assert_eq!((after.units, &after.prepaid), (paid.units, &paid.prepaid), "the unit was paid already");
    let (status, problem) = customer.submit_nonsense().await;
    assert_eq!(
        (status.is_client_error(), problem["code"].as_str()),
        (true, Some("unknown_question")),
        "{problem}"
    );

    for kid in kids {
        kid.terminate().await;
    }
    check_journals(&rig, lost_at);
    for role in ROLES {
        let out = oraculo(&["replay", "--check", &rig.dir.join("node").join(role).display().to_string()]);
        assert!(out.status.success(), "{role}: {}", texts(&out).1);
    }
    rig.twin.shutdown().await;
}

/// The validator charged once; what followed over Redis is complete, also what was said after Redis was lost.
fn check_journals(rig: &Rig, lost_at: Timestamp) {
    let charged = journal(rig, "validator", Stream::Verdicts)
        .iter()
        .filter(|e| {
            let verdict: Verdict = schemas::decode(&e.record.body).unwrap();
            matches!(verdict, Verdict::Charged(charge) if charge.charged.0 > 0)
        })
        .count();
    assert_eq!(charged, 1);
    for (from, to, stream) in [
        ("ingest", "validator", Stream::Market),
        ("ingest", "miner", Stream::Market),
        ("validator", "api", Stream::Verdicts),
    ] {
        let entries = assert_followed(rig, from, to, stream);
        assert!(entries.iter().any(|e| e.record.at > lost_at), "{to} heard of {from} after Redis was lost");
    }
}

#[test]
fn a_role_without_its_redis_says_what_to_do() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().display().to_string();
    let nobody = format!("redis://me:secret@127.0.0.1:{}", free_port());
    for (redis, want) in [(None, "--redis redis://"), (Some(nobody.as_str()), "start it, or name another")] {
        let mut args = vec!["run", "--role", "api", "--dir", &dir];
        args.extend(redis.into_iter().flat_map(|url| ["--redis", url]));
        let out = oraculo(&args);
        let (_, stderr) = texts(&out);
        assert!(!out.status.success());
        assert!(stderr.contains(want), "want {want:?} in {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
        assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    }
}

/// The whole node in one process, killed -9 between a sale and the next look at it, twice.
#[test]
fn a_killed_node_recovers_and_charges_nothing_twice() {
    if has_onnx_runtime("a_killed_node_recovers_and_charges_nothing_twice") {
        runtime().block_on(killed_node());
    }
}

async fn killed_node() {
    let tmp = tempfile::tempdir().unwrap();
    let rig = Rig::new(tmp.path(), free_port());
    let mut kid = rig.role("all", "first.log");
    let customer = Customer { client: http(), api: rig.api.clone(), key: rig.key() };
    let signal = customer.buy(std::slice::from_ref(&kid)).await;
    let paid = customer.balance(1).await;
    for log in ["second.log", "third.log"] {
        kid.kill();
        kid = rig.role("all", log);
        let again = customer.buy(std::slice::from_ref(&kid)).await;
        assert_eq!(again["id"], signal["id"], "the same signal");
        let after = customer.balance(1).await;
        assert_eq!((after.units, &after.prepaid), (paid.units, &paid.prepaid), "the unit was paid already");
    }
    kid.terminate().await;
    let out = oraculo(&["replay", "--check", &rig.dir.join("node").display().to_string()]);
    assert!(out.status.success(), "{}", texts(&out).1);
    rig.twin.shutdown().await;
}
