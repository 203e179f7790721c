//! How a subscription starts: what is left out, where the stream begins, whether it was recovered whole.

use std::collections::BTreeSet;

use schemas::TopicId;
use schemas::public::{OnInvalid, ServerMessage, SkippedTopic, StartFrom, StartWord, SubscribedTopic};

use super::session::{Ending, Following, Session};
use crate::error::ApiError;
use crate::view::{Held, TopicState, View};

/// Where one topic's stream begins.
struct Start {
    topic: TopicId,
    /// Everything after this position follows.
    seq: u64,
    recovered: bool,
    following: Following,
    /// Sent first.
    snapshot: Option<Box<Held>>,
}

impl Session {
    pub(super) async fn subscribe(
        &mut self,
        id: u64,
        topics: Vec<String>,
        from: &StartFrom,
        on_invalid: OnInvalid,
    ) -> Result<(), Option<Ending>> {
        let most = self.core.state.limits.socket.topics;
        let wanted: BTreeSet<String> = topics.into_iter().collect();
        let grown = wanted.iter().filter(|t| !self.following.contains_key(&TopicId((*t).clone()))).count();
        if wanted.is_empty() || self.following.len() + grown > most {
            let detail = format!("a connection has 1 to {most} topics");
            return self.complain(Some(id), None, "validation_failed", &detail).await;
        }
        let (starts, skipped) = self.starts(wanted, from);
        if let (OnInvalid::Fail, Some(first)) = (on_invalid, skipped.first()) {
            let topic = TopicId(first.topic.clone());
            return self.complain(Some(id), Some(&topic), &first.code, "nothing was subscribed").await;
        }
        let epoch = self.core.state.read().epoch().to_owned();
        let started = |s: &Start| SubscribedTopic {
            topic: s.topic.to_string(),
            epoch: epoch.clone(),
            seq: s.seq,
            recovered: s.recovered,
        };
        let topics = starts.iter().map(started).collect();
        self.say(&ServerMessage::Subscribed { id, topics, skipped }).await?;
        for start in &starts {
            self.following.insert(start.topic.clone(), start.following);
        }
        for start in starts {
            if let Some(held) = start.snapshot {
                self.deliver(&held, true).await?;
            }
        }
        self.look();
        Ok(())
    }

    fn starts(&self, wanted: BTreeSet<String>, from: &StartFrom) -> (Vec<Start>, Vec<SkippedTopic>) {
        let (view, now) = (self.core.state.read(), self.core.state.now());
        let (mut starts, mut skipped) = (Vec::new(), Vec::new());
        for topic in wanted {
            let id = TopicId(topic);
            let reason = match view.topics().get(&id) {
                None => ApiError::TopicNotFound,
                Some(_) if !view.covers(&self.key.account, &id, now) => ApiError::NotEntitled,
                Some(state) => {
                    starts.push(start(&view, id, state, from));
                    continue;
                }
            };
            skipped.push(SkippedTopic { topic: id.0, code: reason.code().to_owned() });
        }
        (starts, skipped)
    }
}

/// All of what was missed, or a new start: never a part of it.
fn start(view: &View, topic: TopicId, state: &TopicState, from: &StartFrom) -> Start {
    let head = state.head;
    let resumed = match from {
        StartFrom::After(after) => {
            let same = after.epoch.as_deref().is_none_or(|epoch| epoch == view.epoch());
            let whole = after.seq <= head && after.seq.saturating_add(1) >= state.oldest();
            (same && whole).then_some(after.seq)
        }
        StartFrom::Word(_) => None,
    };
    let seq = resumed.unwrap_or(head);
    let fresh = resumed.is_none() && *from != StartFrom::Word(StartWord::Latest);
    let snapshot = if fresh { state.latest().cloned().map(Box::new) } else { None };
    let following = Following { next: seq + 1, old_up_to: head };
    Start { topic, seq, recovered: resumed.is_some(), following, snapshot }
}
