//! Python's onnxruntime and lleaves in a process of their own, asked for one slice at a time; it never runs beside us.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::workloads::Place;

/// The running process; it ends when its input does.
pub(super) struct Peer {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Nanos(Vec<u64>),
    Error(String),
}

impl Peer {
    pub(super) fn start(place: &Place) -> Result<Self> {
        let mut child = Command::new(&place.python)
            .arg(&place.peer)
            .arg(&place.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the Python peer")?;
        let ask = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("the peer has no output")?);
        Ok(Self { child, ask, answers })
    }

    /// The times of calls of about `seconds`.
    pub(super) fn slice(&mut self, kind: &str, model: &str, batch: usize, seconds: f64) -> Result<Vec<u64>> {
        let question = json!({"kind": kind, "model": model, "batch": batch, "seconds": seconds});
        let ask = self.ask.as_mut().context("the peer has ended")?;
        writeln!(ask, "{question}").and_then(|()| ask.flush()).context("asking the peer")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("reading the peer's answer")?;
        match serde_json::from_str(&line).with_context(|| format!("the peer said `{}`", line.trim()))? {
            Answer::Nanos(nanos) => Ok(nanos),
            Answer::Error(error) => bail!("the peer failed on {model}: {error}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ask = None;
        // It ends by itself now; there is nothing to do if it already has.
        let _ = self.child.wait();
    }
}
