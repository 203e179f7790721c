//! Requests to a node's API: each is sent once and its answer classified; it never tries again by itself.

#![allow(clippy::disallowed_methods, reason = "an edge: it speaks HTTP and reads a clock")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use schemas::{Commitment, MinerId, MinerJoined, Reveal, Timestamp, public};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::convert;
use crate::error::ForecasterError;

/// How long a connection may take, and a whole request.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(15));
/// Larger answers are not read.
const MAX_ANSWER: usize = 4 << 20;

/// Why a request did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The node said no, with its stable code.
    Refused {
        /// HTTP status.
        status: u16,
        /// The code.
        code: String,
        /// In words.
        detail: String,
    },
    /// Nobody answered, or not in a form that is understood: it may or may not have arrived.
    Unreachable(String),
}

impl Failure {
    /// The code: the node's, or `api_unreachable`.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unreachable(_) => "api_unreachable",
        }
    }

    /// Whether the same request may succeed later: the node is away, busy, or not as far yet.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, code, .. } => {
                matches!(status, 408 | 429)
                    || *status >= 500
                    || code == "commit_too_early"
                    || code == "reveal_too_early"
            }
        }
    }
}

impl From<Failure> for ForecasterError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { status, code, detail } => Self::ApiRefused { status, code, detail },
            Failure::Unreachable(reason) => Self::ApiUnreachable(reason),
        }
    }
}

/// The node's clock as this process can tell it: the last time it said, and what has passed here since.
#[derive(Clone, Debug)]
pub struct NodeClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl NodeClock {
    fn new() -> Self {
        Self(Arc::default())
    }

    /// The node has just said what time it is.
    pub(super) fn said(&self, at: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((at, Instant::now()));
    }

    /// The node's time; `None` before it ever said one. Late by as long as a message takes, never early on a clock that
    /// runs like ours.
    pub fn now(&self) -> Option<Timestamp> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(at, then)| at.plus(i64::try_from(then.elapsed().as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// A node's API with a key for it. Cheap to clone.
#[derive(Clone)]
pub struct Rest {
    base: String,
    key: String,
    client: Client,
    clock: NodeClock,
}

impl Rest {
    /// For the API at this URL, e.g. `http://127.0.0.1:8787`.
    pub fn new(url: &str, key: &str) -> Result<Self, ForecasterError> {
        let base = url.trim().trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(ForecasterError::ApiUnreachable(format!(
                "{url:?} is no http:// or https:// address"
            )));
        }
        let client = Client::builder().connect_timeout(PATIENCE.0).timeout(PATIENCE.1).build();
        let client = client.map_err(|e| ForecasterError::ApiUnreachable(words(&e)))?;
        Ok(Self { base, key: key.trim().to_owned(), client, clock: NodeClock::new() })
    }

    /// The node's clock.
    pub fn clock(&self) -> &NodeClock {
        &self.clock
    }

    /// Address of the miner's WebSocket.
    pub(super) fn socket_url(&self) -> String {
        format!("ws{}/v1/miner/ws", self.base.trim_start_matches("http"))
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The network: its name, its hash, its clock.
    pub async fn network(&self) -> Result<public::Network, Failure> {
        let network: public::Network = self.get("network").await?;
        if let Some(at) = convert::time(&network.server_time) {
            self.clock.said(at);
        }
        Ok(network)
    }

    /// All topics.
    pub async fn topics(&self) -> Result<public::TopicList, Failure> {
        self.get("topics").await
    }

    /// A miner's public record.
    pub async fn miner(&self, miner: &MinerId) -> Result<public::Miner, Failure> {
        self.get(&format!("miners/{miner}")).await
    }

    /// Registers a miner. One that is a member already is no failure: registering again changes nothing.
    pub async fn register(&self, joined: &MinerJoined) -> Result<(), Failure> {
        let form = convert::registration(joined)
            .ok_or_else(|| Failure::Unreachable("a registration is signed".to_owned()))?;
        let sent: Result<public::Receipt, Failure> =
            self.send(Method::POST, "miner/registrations", Some(&form)).await;
        match sent {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == "duplicate_miner" => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Hands in a commitment; one that is there already is as good.
    pub async fn commit(&self, commitment: &Commitment) -> Result<(), Failure> {
        self.hand_in("miner/commitments", &convert::commitment(commitment), "duplicate_commitment").await
    }

    /// Hands in a reveal; one that is there already is as good.
    pub async fn reveal(&self, reveal: &Reveal) -> Result<(), Failure> {
        self.hand_in("miner/reveals", &convert::reveal(reveal), "duplicate_reveal").await
    }

    async fn hand_in<B: Serialize>(&self, path: &str, body: &B, repeated: &str) -> Result<(), Failure> {
        match self.send::<public::Receipt, B>(Method::POST, path, Some(body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == repeated => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send::<T, ()>(Method::GET, path, None).await
    }

    async fn send<T: DeserializeOwned, B: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, Failure> {
        let lost = |e: &reqwest::Error| Failure::Unreachable(words(e));
        let mut request =
            self.client.request(method, format!("{}/v1/{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|e| lost(&e))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| lost(&e))? {
            if bytes.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::Unreachable(format!("the answer is larger than {MAX_ANSWER} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let strange =
                |e: serde_json::Error| Failure::Unreachable(format!("the answer is not understood: {e}"));
            return serde_json::from_slice(&bytes).map_err(strange);
        }
        Err(match serde_json::from_slice::<public::Problem>(&bytes) {
            Ok(problem) => {
                Failure::Refused { status: status.as_u16(), code: problem.code, detail: problem.detail }
            }
            Err(_) => Failure::Unreachable(format!("answered {status} without a problem document")),
        })
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rest({})", self.base)
    }
}

/// An error and its causes, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        out = format!("{out}: {next}");
        cause = next.source();
    }
    out
}
