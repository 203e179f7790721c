//! JSON messages of the WebSocket, in and out; it decides nothing about who may see what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Outcome, Signal};

/// Where a stream starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum StartFrom {
    /// A word.
    Word(StartWord),
    /// After this position, resumed without holes or not at all.
    After(StartAfter),
}

/// Where a stream starts, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartWord {
    /// The newest signal as a `snapshot`, then everything after it.
    Snapshot,
    /// Only what comes from now on.
    Latest,
}

/// A position to resume after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartAfter {
    /// The last `seq` that was received.
    pub seq: u64,
    /// The `epoch` it was counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
}

/// What to do about topics that cannot be subscribed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// Leave them out and say so.
    #[default]
    Skip,
    /// Subscribe to none.
    Fail,
}

/// What a WebSocket client may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Starts topics; answered by `subscribed` or `error` with the same id.
    Subscribe {
        /// Chosen by the client, echoed.
        id: u64,
        /// The topics.
        #[schema(min_items = 1)]
        topics: Vec<String>,
        /// Where to start.
        from: StartFrom,
        /// What to do about topics that cannot be subscribed to.
        #[serde(default)]
        on_invalid: OnInvalid,
    },
    /// Stops topics; answered by `unsubscribed`.
    Unsubscribe {
        /// Chosen by the client, echoed.
        id: u64,
        /// The topics.
        #[schema(min_items = 1)]
        topics: Vec<String>,
    },
    /// Answered by `pong`.
    Ping {
        /// Chosen by the client, echoed.
        id: u64,
    },
}

/// One topic of a `subscribed` answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubscribedTopic {
    /// The topic.
    pub topic: String,
    /// Identifies the stream that `seq` counts in.
    pub epoch: String,
    /// Everything after this position follows.
    pub seq: u64,
    /// Whether the stream goes on exactly where the client said; `false` means a new start.
    pub recovered: bool,
}

/// A topic that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedTopic {
    /// The topic as it was asked for.
    pub topic: String,
    /// Why.
    pub code: String,
}

/// The bounds of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SocketLimits {
    /// Largest message in, bytes.
    pub max_message_bytes: u64,
    /// Topics per connection.
    pub max_topics: u32,
    /// Commands per second.
    pub max_commands_per_s: u32,
    /// Messages that may wait for a slow reader.
    pub queue_messages: u32,
}

/// What a WebSocket server sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message of a connection.
    Welcome {
        /// Say this when you ask us.
        conn_id: String,
        /// The server's clock.
        #[schema(format = DateTime)]
        server_time: String,
        /// A ping comes this often.
        heartbeat_s: u64,
        /// Identifies the streams.
        epoch: String,
        /// The bounds.
        limits: SocketLimits,
    },
    /// Topics started.
    Subscribed {
        /// The command's id.
        id: u64,
        /// Those that started.
        topics: Vec<SubscribedTopic>,
        /// Those left out.
        skipped: Vec<SkippedTopic>,
    },
    /// Topics stopped.
    Unsubscribed {
        /// The command's id.
        id: u64,
        /// Those that stopped.
        topics: Vec<String>,
    },
    /// The newest signal when the stream started.
    Snapshot {
        /// The topic.
        topic: String,
        /// Identifies the stream.
        epoch: String,
        /// Its position.
        seq: u64,
        /// What this delivery cost, micro-USD; `0` if it had been paid before.
        charged: String,
        /// The signal.
        signal: Box<Signal>,
    },
    /// A signal; `seq` goes up by one from message to message of a topic.
    Signal {
        /// The topic.
        topic: String,
        /// Identifies the stream.
        epoch: String,
        /// Its position.
        seq: u64,
        /// What this delivery cost, micro-USD; `0` if it had been paid before.
        charged: String,
        /// The signal.
        signal: Box<Signal>,
    },
    /// A slot has no signal.
    NoSignal {
        /// The topic.
        topic: String,
        /// The question.
        question: String,
        /// The slot.
        #[schema(format = DateTime)]
        slot: String,
        /// Why.
        reason: String,
    },
    /// A market ended.
    Outcome {
        /// The topic.
        topic: String,
        /// How.
        outcome: Outcome,
    },
    /// The prepaid balance changed.
    Balance {
        /// Prepaid, micro-USD.
        prepaid: String,
    },
    /// Signals `from ..= to` were not sent; resume or read the history.
    Gap {
        /// The topic.
        topic: String,
        /// First missing position.
        from: u64,
        /// Last missing position.
        to: u64,
    },
    /// Something went wrong.
    Error {
        /// The command's id, if a command caused it.
        id: Option<u64>,
        /// The topic that stopped, if one did.
        topic: Option<String>,
        /// The stable code.
        code: String,
        /// What was wrong this time.
        detail: String,
    },
    /// The answer to `ping`.
    Pong {
        /// The command's id.
        id: u64,
        /// The server's clock.
        #[schema(format = DateTime)]
        server_time: String,
    },
    /// The server is about to close; come back.
    GoingAway {
        /// Wait this long first.
        reconnect_after_ms: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_message_has_one_form() {
        let check = |text: &str, ok: bool| {
            assert_eq!(serde_json::from_str::<ClientMessage>(text).is_ok(), ok, "{text}");
        };
        check(r#"{"t":"ping","id":1}"#, true);
        check(r#"{"t":"subscribe","id":1,"topics":["a"],"from":"latest"}"#, true);
        check(r#"{"t":"subscribe","id":1,"topics":["a"],"from":{"seq":4},"on_invalid":"fail"}"#, true);
        check(r#"{"t":"subscribe","id":1,"topics":["a"],"from":{"seq":4,"x":1}}"#, false);
        check(r#"{"t":"subscribe","id":1,"topics":["a"],"from":"yesterday"}"#, false);
        check(r#"{"t":"ping","id":1,"extra":true}"#, false);
        check(r#"{"t":"shout","id":1}"#, false);
    }
}
