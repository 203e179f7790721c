//! The key file: who may ask, stored as hashes; a secret is shown once and never written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use rand::TryRng as _;
use schemas::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::error::ApiError;
use crate::{key_form, wire};

/// More keys than this are not kept.
const MAX_KEYS: usize = 100_000;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read signals over REST.
    #[serde(rename = "signals:read")]
    SignalsRead,
    /// Open a WebSocket.
    #[serde(rename = "stream")]
    Stream,
    /// Read the own balance.
    #[serde(rename = "account:read")]
    AccountRead,
    /// Submit commitments and reveals.
    #[serde(rename = "miner:submit")]
    MinerSubmit,
    /// Upload bundles for the operator to run.
    #[serde(rename = "miner:host")]
    MinerHost,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] =
        [Self::SignalsRead, Self::Stream, Self::AccountRead, Self::MinerSubmit, Self::MinerHost];

    /// The scope's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignalsRead => "signals:read",
            Self::Stream => "stream",
            Self::AccountRead => "account:read",
            Self::MinerSubmit => "miner:submit",
            Self::MinerHost => "miner:host",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| format!("a scope is one of {names}"))
    }
}

/// A key as it may be shown: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// The first characters; names the key.
    pub hint: String,
    /// Whose it is.
    pub account: AccountId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new key. The secret is nowhere else.
#[derive(Clone)]
pub struct NewKey {
    /// What the customer sends.
    pub secret: String,
    /// The rest.
    pub info: KeyInfo,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("secret", &"***").field("info", &self.info).finish()
    }
}

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    hint: String,
    sha256: String,
    account: String,
    scopes: Vec<Scope>,
    created_at: String,
    expires_at: Option<String>,
    revoked_at: Option<String>,
}

#[derive(Clone, Debug)]
struct Stored {
    hash: [u8; 32],
    info: KeyInfo,
}

/// Tells one version of the file from another.
type Stamp = Option<(u64, i64, i64, u64)>;

#[derive(Debug, Default)]
struct Cache {
    stamp: Stamp,
    keys: BTreeMap<String, Vec<Stored>>,
}

/// The keys in a file: JSON lines, mode 0600, replaced whole; read again when another process changed it.
#[derive(Clone, Debug)]
pub struct KeyStore {
    path: Arc<PathBuf>,
    cache: Arc<Mutex<Cache>>,
}

impl KeyStore {
    /// The store in this file; without the file it is empty.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ApiError> {
        let store = Self { path: Arc::new(path.into()), cache: Arc::default() };
        store.with(|_| ())?;
        Ok(store)
    }

    /// Makes a key. This is the only time its secret is seen.
    pub fn create(
        &self,
        account: &AccountId,
        scopes: &[Scope],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<NewKey, ApiError> {
        if !schemas::id::is_name(&account.0) {
            return Err(ApiError::AccountInvalid);
        }
        let mut random = [0; key_form::RANDOM_BYTES];
        rand::rngs::SysRng.try_fill_bytes(&mut random).map_err(|_| ApiError::NoRandomness)?;
        let secret = key_form::from_random(&random).ok_or(ApiError::NoRandomness)?;
        let info = KeyInfo {
            hint: key_form::hint(&secret).to_owned(),
            account: account.clone(),
            scopes: scopes.to_vec(),
            created_at: now,
            expires_at,
            revoked_at: None,
        };
        let stored = Stored { hash: key_form::hash(&secret), info: info.clone() };
        self.change(|keys| {
            if keys.len() >= MAX_KEYS {
                return Err(ApiError::KeyLimit(MAX_KEYS));
            }
            keys.push(stored);
            Ok(())
        })?;
        Ok(NewKey { secret, info })
    }

    /// All keys, oldest first.
    pub fn list(&self) -> Result<Vec<KeyInfo>, ApiError> {
        let mut keys: Vec<KeyInfo> =
            self.with(|keys| keys.values().flatten().map(|k| k.info.clone()).collect())?;
        keys.sort_by(|a, b| (a.created_at, &a.hint).cmp(&(b.created_at, &b.hint)));
        Ok(keys)
    }

    /// Revokes the key with this hint; open connections of it are closed at their next message.
    pub fn revoke(&self, hint: &str, now: Timestamp) -> Result<KeyInfo, ApiError> {
        self.change(|keys| {
            let key = keys.iter_mut().find(|k| k.info.hint == hint).ok_or(ApiError::KeyUnknown)?;
            key.info.revoked_at.get_or_insert(now);
            Ok(key.info.clone())
        })
    }

    /// Whose key this is and what it may do.
    pub fn check(&self, secret: &str, now: Timestamp) -> Result<KeyInfo, ApiError> {
        if !key_form::is_well_formed(secret) {
            return Err(ApiError::KeyMalformed);
        }
        let hash = key_form::hash(secret);
        let found = self.with(|keys| {
            let candidates = keys.get(key_form::hint(secret)).map_or(&[][..], Vec::as_slice);
            candidates.iter().find(|k| bool::from(k.hash.ct_eq(&hash))).map(|k| k.info.clone())
        })?;
        let info = found.ok_or(ApiError::KeyUnknown)?;
        still_good(&info, now).map(|()| info)
    }

    /// Whether a key that was good before still is.
    pub fn recheck(&self, info: &KeyInfo, now: Timestamp) -> Result<(), ApiError> {
        let same = |k: &&Stored| k.info.created_at == info.created_at && k.info.account == info.account;
        let found =
            self.with(|keys| keys.get(&info.hint).and_then(|k| k.iter().find(same)).map(|k| k.info.clone()))?;
        still_good(&found.ok_or(ApiError::KeyUnknown)?, now)
    }

    /// Reads the keys, after a look whether the file is another one than before.
    fn with<R>(&self, read: impl FnOnce(&BTreeMap<String, Vec<Stored>>) -> R) -> Result<R, ApiError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path)?;
        if stamp != cache.stamp {
            let keys = load(&self.path)?;
            let mut by_hint: BTreeMap<String, Vec<Stored>> = BTreeMap::new();
            for key in keys {
                by_hint.entry(key.info.hint.clone()).or_default().push(key);
            }
            *cache = Cache { stamp, keys: by_hint };
        }
        Ok(read(&cache.keys))
    }

    /// Changes the file under a lock that other processes respect.
    fn change<R>(&self, change: impl FnOnce(&mut Vec<Stored>) -> Result<R, ApiError>) -> Result<R, ApiError> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(io)?;
        }
        let guard = private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(self.path.with_extension("lock"))
            .map_err(io)?;
        guard.lock().map_err(io)?;
        let mut keys = load(&self.path)?;
        let answer = change(&mut keys)?;
        save(&self.path, &keys)?;
        Ok(answer)
    }
}

fn still_good(info: &KeyInfo, now: Timestamp) -> Result<(), ApiError> {
    if info.revoked_at.is_some() {
        return Err(ApiError::KeyRevoked);
    }
    if info.expires_at.is_some_and(|at| at <= now) {
        return Err(ApiError::KeyExpired);
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn io(error: std::io::Error) -> ApiError {
    ApiError::KeyFileIo(error.kind())
}

fn stamp(path: &Path) -> Result<Stamp, ApiError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some((meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
    }
}

fn load(path: &Path) -> Result<Vec<Stored>, ApiError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(io(error)),
    };
    let parse = |(number, line): (usize, &str)| stored(line).ok_or(ApiError::KeyFileMalformed(number + 1));
    text.lines().enumerate().take(MAX_KEYS).map(parse).collect()
}

fn stored(line: &str) -> Option<Stored> {
    let line: Line = serde_json::from_str(line).ok()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&line.sha256, &mut hash).ok()?;
    let info = KeyInfo {
        hint: line.hint,
        account: AccountId::new(&line.account)?,
        scopes: line.scopes,
        created_at: instant(&line.created_at)?,
        expires_at: line.expires_at.map_or(Some(None), |at| instant(&at).map(Some))?,
        revoked_at: line.revoked_at.map_or(Some(None), |at| instant(&at).map(Some))?,
    };
    Some(Stored { hash, info })
}

fn instant(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp)
}

fn line(key: &Stored) -> Line {
    let at = |at: Timestamp| wire::jiff_time(at).to_string();
    Line {
        hint: key.info.hint.clone(),
        sha256: hex::encode(key.hash),
        account: key.info.account.to_string(),
        scopes: key.info.scopes.clone(),
        created_at: at(key.info.created_at),
        expires_at: key.info.expires_at.map(at),
        revoked_at: key.info.revoked_at.map(at),
    }
}

/// Writes beside the file, makes it durable, then takes its place.
fn save(path: &Path, keys: &[Stored]) -> Result<(), ApiError> {
    let beside = path.with_extension("new");
    let mut text = String::new();
    for key in keys {
        text.push_str(&serde_json::to_string(&line(key)).expect("a line is plain data"));
        text.push('\n');
    }
    let mut file =
        private(OpenOptions::new().create(true).truncate(true).write(true)).open(&beside).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&beside, path).map_err(io)?;
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => File::open(folder).and_then(|f| f.sync_all()).map_err(io),
        None => Ok(()),
    }
}

/// Readable and writable by the owner only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}
