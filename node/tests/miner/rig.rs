//! A node on the wall clock with a simulated venue, and processes beside it; it asserts nothing about speed.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bus::{FileLog, FileOptions, Log as _};
use forecaster::edge::client::Rest;
use node::clock::wall_now;
use schemas::{Stream, Timestamp, Verdict};
use sim::{Day, Pace, Speed, Twin, TwinConfig, TwinHandle, WorldConfig};

/// Seconds between the start of a rig and the opening of its last question.
const LEAD_S: std::ops::Range<i64> = 30..60;
/// Prepaid money of the account that pays for every stake, micro-USD.
pub(crate) const PREPAID: i64 = 10_000_000;
/// Looks of [`pause`] that are enough for anything here.
pub(crate) const LOOKS: usize = 4_000;

/// Polls are bounded by their number, so a slow machine only takes longer.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Whether ONNX Runtime is there; says loudly when a test is skipped because it is not.
pub(crate) fn has_onnx_runtime(test: &str) -> bool {
    let found = node::assets::ort_search(None).find();
    if let Err(error) = &found {
        eprintln!("SKIPPED {test}: {error} (run `make ort`)");
    }
    found.is_ok()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A process that does not outlive the test.
pub(crate) struct Kid {
    child: Child,
    pub(crate) out: PathBuf,
    err: PathBuf,
}

impl Kid {
    pub(crate) fn start(command: &mut Command, dir: &Path, name: &str) -> Self {
        let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let open = |path| File::options().create(true).append(true).open(path).unwrap();
        let child = command.stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err)).spawn().unwrap();
        Self { child, out, err }
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// What it said last on stderr, for a failure's text.
    pub(crate) fn complained(&self) -> String {
        let text = fs::read_to_string(&self.err).unwrap_or_default();
        text.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    /// SIGKILL: nothing is drained.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGTERM, and success: the process drained.
    pub(crate) async fn terminate(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.complained());
                return;
            }
            pause().await;
        }
        panic!("it does not stop: {}", self.complained());
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A day on the wall clock with a market whose last question, four minutes into it, opens soon and that ends as soon
/// after it as can be: markets start at multiples of their length, so lead and length are chosen to fit.
fn day() -> Day {
    let now = wall_now().secs();
    let lengths = 300..700_i64;
    let fits = |length: &i64| LEAD_S.map(move |lead| now + lead - 240).find(|start| start % length == 0);
    let (length, start) =
        lengths.into_iter().find_map(|l| Some((l, fits(&l)?))).expect("some length divides");
    Day::simulated(WorldConfig {
        seed: 5,
        start: Timestamp::from_secs(start),
        length_s: length as u64 * 3,
        interval_s: length as u32,
        history_s: 400,
        missing_ppm: 0,
        gaps_per_day: 0,
        ..WorldConfig::default()
    })
}

/// A node and its world.
pub(crate) struct Rig {
    pub(crate) dir: PathBuf,
    config: PathBuf,
    twin: TwinHandle,
    pub(crate) api: String,
}

impl Rig {
    pub(crate) fn new(dir: &Path) -> Self {
        let day = day();
        let (slug, interval) = (day.slug_prefix.clone(), day.interval_s);
        let twin = TwinConfig { wait_for_subscriber: Duration::ZERO, ..TwinConfig::default() };
        let twin = Twin::spawn_with(Arc::new(day), Pace::free(wall_now(), Speed::Factor(1.0)), twin).unwrap();
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = dir.join("oraculo.toml");
        let text = format!(
            "listen = '{listen}'\ndevice = 'cpu'\n\
             [network]\nname = 'elsewhere'\nepoch_s = 3600\n\
             [venue]\nslug_prefix = '{slug}'\ninterval_s = {interval}\n\
             [[miners]]\nname = 'closed-form'\nbundle = 'closed-form'\n\
             [[customers]]\naccount = 'acme'\nprepaid_micros = {PREPAID}\n"
        );
        fs::write(&config, text).unwrap();
        Self { dir: dir.to_owned(), config, twin, api: format!("http://{listen}") }
    }

    /// The node; the same folder every time.
    pub(crate) fn node(&self, name: &str) -> Kid {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oraculo"));
        command.args(["--log", "info", "run"]);
        command.args(["--ws-url", &self.twin.ws_url, "--rest-url", &self.twin.rest_url]);
        command.arg("--config").arg(&self.config).arg("--dir").arg(self.dir.join("node"));
        Kid::start(&mut command, &self.dir, name)
    }

    /// A file with a fresh API key for miners.
    pub(crate) fn api_key(&self) -> PathBuf {
        api_key(&self.dir, "acme")
    }

    pub(crate) async fn end(self) {
        self.twin.shutdown().await;
    }
}

/// A file with a fresh API key for miners of the node in `dir`.
pub(crate) fn api_key(dir: &Path, account: &str) -> PathBuf {
    let out = Command::new(env!("CARGO_BIN_EXE_oraculo"))
        .arg("keys")
        .arg("--dir")
        .arg(dir.join("node"))
        .args(["create", "--account", account, "--scopes", "miner:submit,account:read"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let path = dir.join("api.key");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &out.stdout).unwrap();
    path
}

/// Requests to an API; some need no key.
pub(crate) fn rest(api: &str, key: Option<&Path>) -> Rest {
    ingest::edge::use_tls();
    Rest::new(api, &key.map_or_else(String::new, |path| fs::read_to_string(path).unwrap())).unwrap()
}

/// Waits until the node serves.
pub(crate) async fn serves(rest: &Rest, node: &mut Kid) {
    for _ in 0..LOOKS {
        assert!(node.is_running(), "the node stopped: {}", node.complained());
        if rest.network().await.is_ok() {
            return;
        }
        pause().await;
    }
    panic!("the node does not serve: {}", node.complained());
}

/// Every verdict of the journal of the node in `dir`, in order.
pub(crate) fn verdicts(dir: &Path) -> Vec<Verdict> {
    let mut log = FileLog::open_read_only(dir.join("node").join("journal"), FileOptions::default()).unwrap();
    let (mut out, mut next) = (Vec::new(), 1);
    loop {
        let entries = log.read(next, 1_024).unwrap();
        let Some(last) = entries.last() else { return out };
        next = last.record.seq + 1;
        let verdicts = entries.iter().filter(|e| e.stream == Stream::Verdicts);
        out.extend(verdicts.map(|e| schemas::decode::<Verdict>(&e.record.body).unwrap()));
    }
}

/// Everything in the journal follows from what came from outside: anybody can recompute the registrations too.
pub(crate) fn replays(dir: &Path) {
    let out = Command::new(env!("CARGO_BIN_EXE_oraculo"))
        .args(["replay", "--check"])
        .arg(dir.join("node"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
