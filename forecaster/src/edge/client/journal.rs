//! A miner's journal of promises: appended and synced before anything is sent; it never holds a secret.
//!
//! One JSON object a line. The first names the miner; `sealed` lines hold a promise whole, later lines its next stage.
//! A last line without its end was never acted on and is cut off; any other damage is an error. One process writes.

#![allow(clippy::disallowed_methods, reason = "an edge: it writes a file")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use schemas::{MinerId, Ppm, QuestionId, Timestamp};
use serde::{Deserialize, Serialize};

use super::book::{Promise, Stage};
use crate::error::ForecasterError;

/// Promises that are kept when the journal is opened, newest first to stay.
pub const KEPT: usize = 4_096;
/// Lines after which the journal is written anew.
const COMPACT: usize = 32_768;
/// A journal is not larger than this.
const MAX_BYTES: u64 = 64 << 20;

/// One line.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    /// Whose journal it is.
    Miner { miner: String },
    /// A promise.
    Promise {
        question: String,
        commit_closes_at: i64,
        reveal_closes_at: i64,
        bundle: String,
        p_ppm: u32,
        stage: String,
    },
    /// A promise got further.
    Stage {
        question: String,
        stage: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

/// The open journal of one miner.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Held for as long as the journal is open; the journal itself is replaced when it is written anew.
    _lock: File,
    miner: MinerId,
    promises: BTreeMap<QuestionId, Promise>,
    lines: usize,
}

impl Journal {
    /// Opens or begins the journal of a miner.
    pub fn open(path: &Path, miner: MinerId) -> Result<Self, ForecasterError> {
        let fault = |reason: String| ForecasterError::Journal { path: path.to_owned(), reason };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| fault(e.to_string()))?;
        }
        let lock = File::create(path.with_extension("lock")).map_err(|e| fault(e.to_string()))?;
        lock.try_lock().map_err(|_| fault("another process has it open".to_owned()))?;
        let text = read(path).map_err(fault)?;
        let promises = replay(&text, miner).map_err(fault)?;
        let file = write_anew(path, miner, &promises).map_err(|e| fault(e.to_string()))?;
        let lines = promises.len() + 1;
        Ok(Self { path: path.to_owned(), file, _lock: lock, miner, promises, lines })
    }

    /// What is in it, oldest first.
    pub fn promises(&self) -> Vec<Promise> {
        let mut all: Vec<Promise> = self.promises.values().cloned().collect();
        all.sort_by_key(|p| (p.reveal_closes_at, p.question));
        all
    }

    /// Writes a promise down; when this returns it is on disk.
    pub fn seal(&mut self, promise: &Promise) -> Result<(), ForecasterError> {
        self.promises.insert(promise.question, promise.clone());
        self.append(&whole(promise))
    }

    /// Writes down that a promise got further; when this returns it is on disk.
    pub fn advance(
        &mut self,
        question: &QuestionId,
        stage: Stage,
        code: Option<&str>,
    ) -> Result<(), ForecasterError> {
        if let Some(promise) = self.promises.get_mut(question) {
            promise.stage = stage;
        }
        let (question, code) = (question.to_string(), code.map(str::to_owned));
        self.append(&Line::Stage { question, stage: stage.name().to_owned(), code })
    }

    fn append(&mut self, line: &Line) -> Result<(), ForecasterError> {
        let written = self.file.write_all(text(line).as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|e| self.fault(&e))?;
        self.lines += 1;
        if self.lines >= COMPACT {
            keep_newest(&mut self.promises);
            self.file = write_anew(&self.path, self.miner, &self.promises).map_err(|e| self.fault(&e))?;
            self.lines = self.promises.len() + 1;
        }
        Ok(())
    }

    fn fault(&self, reason: &std::io::Error) -> ForecasterError {
        ForecasterError::Journal { path: self.path.clone(), reason: reason.to_string() }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_string(&mut text).map_err(|e| e.to_string())?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
        Err(e) => return Err(e.to_string()),
    };
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

fn replay(text: &str, miner: MinerId) -> Result<BTreeMap<QuestionId, Promise>, String> {
    let mut promises = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("line {} is not understood", number + 1);
        let stage_of = |name: &str| Stage::ALL.into_iter().find(|s| s.name() == name).ok_or_else(wrong);
        match serde_json::from_str(line).map_err(|_| wrong())? {
            Line::Miner { miner: of } if of == miner.to_string() => {}
            Line::Miner { miner: of } => return Err(format!("it is the journal of another miner, {of}")),
            Line::Promise { question, commit_closes_at, reveal_closes_at, bundle, p_ppm, stage } => {
                let promise = Promise {
                    question: question.parse().map_err(|_| wrong())?,
                    commit_closes_at: Timestamp(commit_closes_at),
                    reveal_closes_at: Timestamp(reveal_closes_at),
                    bundle: bundle.parse().map_err(|_| wrong())?,
                    p: Ppm(p_ppm),
                    stage: stage_of(&stage)?,
                };
                promises.insert(promise.question, promise);
            }
            Line::Stage { question, stage, .. } => {
                let stage = stage_of(&stage)?;
                let question = question.parse().map_err(|_| wrong())?;
                let promise: &mut Promise = promises.get_mut(&question).ok_or_else(wrong)?;
                promise.stage = stage;
            }
        }
    }
    keep_newest(&mut promises);
    Ok(promises)
}

/// Forgets the oldest of what is done.
fn keep_newest(promises: &mut BTreeMap<QuestionId, Promise>) {
    while promises.len() > KEPT {
        let oldest = promises.values().min_by_key(|p| (!p.stage.is_done(), p.reveal_closes_at));
        let Some(question) = oldest.map(|p| p.question) else { return };
        promises.remove(&question);
    }
}

/// Writes the whole journal to a new file and puts it in the old one's place; a crash leaves one of them whole.
fn write_anew(
    path: &Path,
    miner: MinerId,
    promises: &BTreeMap<QuestionId, Promise>,
) -> std::io::Result<File> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    let mut all = text(&Line::Miner { miner: miner.to_string() });
    all.extend(promises.values().map(|p| text(&whole(p))));
    file.write_all(all.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn whole(promise: &Promise) -> Line {
    Line::Promise {
        question: promise.question.to_string(),
        commit_closes_at: promise.commit_closes_at.0,
        reveal_closes_at: promise.reveal_closes_at.0,
        bundle: promise.bundle.to_string(),
        p_ppm: promise.p.0,
        stage: promise.stage.name().to_owned(),
    }
}

fn text(line: &Line) -> String {
    serde_json::to_string(line).expect("a line is plain data") + "\n"
}

#[cfg(test)]
mod tests {
    use schemas::BundleId;

    use super::*;

    fn promise(n: u8) -> Promise {
        Promise {
            question: QuestionId([n; 32]),
            commit_closes_at: Timestamp(i64::from(n)),
            reveal_closes_at: Timestamp(i64::from(n) + 1),
            bundle: BundleId([n; 32]),
            p: Ppm(1 + u32::from(n)),
            stage: Stage::Sealed,
        }
    }

    #[test]
    fn what_was_written_is_there_again_and_a_torn_end_is_cut_off_at_every_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("promises.jsonl");
        let miner = MinerId([7; 32]);
        let mut journal = Journal::open(&path, miner).unwrap();
        journal.seal(&promise(1)).unwrap();
        journal.advance(&QuestionId([1; 32]), Stage::Acknowledged, None).unwrap();
        let before = fs::read(&path).unwrap();
        journal.seal(&promise(2)).unwrap();
        let after = fs::read(&path).unwrap();
        drop(journal);
        let first = Promise { stage: Stage::Acknowledged, ..promise(1) };
        for cut in before.len()..=after.len() {
            fs::write(&path, &after[..cut]).unwrap();
            let mut want = vec![first.clone()];
            want.extend((cut == after.len()).then(|| promise(2)));
            assert_eq!(Journal::open(&path, miner).unwrap().promises(), want, "cut at {cut}");
        }
    }

    #[test]
    fn damage_another_miner_and_a_second_writer_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("promises.jsonl");
        let open = |n: u8| Journal::open(&path, MinerId([n; 32]));
        let held = open(7).unwrap();
        assert!(open(7).unwrap_err().to_string().contains("another process"));
        drop(held);
        assert!(open(8).unwrap_err().to_string().contains("another miner"));
        fs::write(&path, "{\"line\":\"stage\",\"question\":\"00\",\"stage\":\"sealed\"}\n").unwrap();
        assert_eq!(open(7).unwrap_err().code(), "miner_journal");
    }
}
