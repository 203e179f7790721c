//! Hands in one commitment or reveal until it is there, refused for good, or its time is over; it decides nothing else.

#![allow(clippy::disallowed_methods, reason = "an edge: it sleeps between attempts")]

use schemas::{Commitment, QuestionId, Reveal, Timestamp};

use super::book::Stage;
use super::pause::Pause;
use super::rest::{Failure, Rest};

/// What is handed in.
#[derive(Debug)]
pub(super) enum Paper {
    Commitment(Commitment),
    Reveal(Reveal),
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) question: QuestionId,
    /// What an acknowledgement means for the promise.
    pub(super) stage: Stage,
    /// Nothing: acknowledged. Otherwise why not.
    pub(super) failed: Option<Failure>,
    /// How often it was sent.
    pub(super) attempts: u32,
}

/// Sends the same bytes until there is an answer that counts, or until the node's clock says `until`.
pub(super) async fn hand_in(rest: Rest, paper: Paper, until: Timestamp) -> Outcome {
    let (question, stage) = match &paper {
        Paper::Commitment(c) => (c.question, Stage::Acknowledged),
        Paper::Reveal(r) => (r.question, Stage::Revealed),
    };
    let mut pause = Pause::default();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let sent = match &paper {
            Paper::Commitment(c) => rest.commit(c).await,
            Paper::Reveal(r) => rest.reveal(r).await,
        };
        let over = rest.clock().now().is_none_or(|now| now >= until);
        match sent {
            Ok(()) => return Outcome { question, stage, failed: None, attempts },
            Err(failure) if !failure.is_passing() || over => {
                return Outcome { question, stage, failed: Some(failure), attempts };
            }
            Err(failure) => {
                tracing::debug!(%question, code = failure.code(), attempts, "to be tried again");
                tokio::time::sleep(pause.next()).await;
            }
        }
    }
}
