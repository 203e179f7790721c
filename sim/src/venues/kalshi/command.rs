//! What a client says to Kalshi's WebSocket, read from JSON; never acted on here.

use serde_json::Value;

use super::session::Channel;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The client's number; 0 is as good as none.
    pub id: Option<u64>,
    /// What it wants.
    pub kind: Kind,
}

/// What a command wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `subscribe`.
    Subscribe {
        /// One subscription each.
        channels: Vec<Channel>,
        /// The markets or indices.
        what: Scope,
        /// `send_initial_snapshot`.
        initial: bool,
        /// `skip_ticker_ack`.
        skip_ack: bool,
        /// `use_yes_price`.
        yes_leg: bool,
    },
    /// `unsubscribe`.
    Unsubscribe(Vec<u64>),
    /// `update_subscription`.
    Update {
        /// The subscription.
        sid: u64,
        /// What to do with it.
        action: Action,
        /// With which markets or indices.
        what: Scope,
        /// `send_initial_snapshot`.
        initial: bool,
    },
    /// `list_subscriptions`.
    List,
}

/// The actions of `update_subscription`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `add_markets`.
    AddMarkets,
    /// `delete_markets`.
    DeleteMarkets,
    /// `get_snapshot`.
    GetSnapshot,
    /// `subscribe_indices`.
    AddIndices,
    /// `unsubscribe_indices`.
    DeleteIndices,
    /// `indexlist`.
    IndexList,
}

/// The markets and indices that a command names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `market_ticker` or `market_tickers`.
    pub tickers: Vec<String>,
    /// `index_ids`.
    pub indices: Vec<String>,
}

/// Why a command is refused: its id, the subscription where the refusal concerns one, and the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The command's id.
    pub id: Option<u64>,
    /// The subscription that it named.
    pub sid: Option<u64>,
    /// The venue's code.
    pub code: u16,
}

/// Reads a command.
pub fn parse(text: &str) -> Result<Command, Refused> {
    let whole = |code| Refused { id: None, sid: None, code };
    let value: Value = serde_json::from_str(text).map_err(|_| whole(1))?;
    let id = value.get("id").and_then(Value::as_u64).filter(|id| *id > 0);
    let refuse = |code| Refused { id, sid: None, code };
    let params = value.get("params").filter(|p| p.is_object());
    let need = || params.ok_or_else(|| refuse(2));
    let kind = match value.get("cmd").and_then(Value::as_str) {
        Some("subscribe") => subscribe(need()?).map_err(refuse)?,
        Some("unsubscribe") => Kind::Unsubscribe(sids(need()?).ok_or_else(|| refuse(4))?),
        Some("update_subscription") => {
            let params = need()?;
            let sid = one_sid(params).ok_or_else(|| refuse(12))?;
            update(params, sid).map_err(|code| Refused { id, sid: Some(sid), code })?
        }
        Some("list_subscriptions") => Kind::List,
        _ => return Err(refuse(5)),
    };
    Ok(Command { id, kind })
}

fn subscribe(params: &Value) -> Result<Kind, u16> {
    let names = params.get("channels").and_then(Value::as_array).filter(|a| !a.is_empty()).ok_or(3_u16)?;
    let channel = |name: &Value| name.as_str().and_then(Channel::named).ok_or(8_u16);
    Ok(Kind::Subscribe {
        channels: names.iter().map(channel).collect::<Result<_, _>>()?,
        what: scope(params)?,
        initial: flag(params, "send_initial_snapshot"),
        skip_ack: flag(params, "skip_ticker_ack"),
        yes_leg: flag(params, "use_yes_price"),
    })
}

fn update(params: &Value, sid: u64) -> Result<Kind, u16> {
    let action = match params.get("action").and_then(Value::as_str) {
        None => return Err(15),
        Some("add_markets") => Action::AddMarkets,
        Some("delete_markets") => Action::DeleteMarkets,
        Some("get_snapshot") => Action::GetSnapshot,
        Some("subscribe_indices") => Action::AddIndices,
        Some("unsubscribe_indices") => Action::DeleteIndices,
        Some("indexlist") => Action::IndexList,
        Some(_) => return Err(13),
    };
    let what = scope(params)?;
    match action {
        Action::AddMarkets | Action::DeleteMarkets | Action::GetSnapshot if what.tickers.is_empty() => {
            Err(14)
        }
        Action::AddIndices | Action::DeleteIndices if what.indices.is_empty() => Err(24),
        _ => Ok(Kind::Update { sid, action, what, initial: flag(params, "send_initial_snapshot") }),
    }
}

fn one_sid(params: &Value) -> Option<u64> {
    match (params.get("sid").and_then(Value::as_u64), sids(params)) {
        (Some(sid), None) => Some(sid),
        (None, Some(sids)) if sids.len() == 1 => sids.first().copied(),
        _ => None,
    }
}

fn sids(params: &Value) -> Option<Vec<u64>> {
    let sids = params.get("sids")?.as_array()?;
    sids.iter().map(Value::as_u64).collect::<Option<Vec<_>>>().filter(|sids| !sids.is_empty())
}

fn scope(params: &Value) -> Result<Scope, u16> {
    let mut tickers = texts(params, "market_tickers")?;
    if let Some(one) = params.get("market_ticker") {
        if !tickers.is_empty() {
            return Err(11);
        }
        tickers.push(one.as_str().ok_or(11_u16)?.to_owned());
    }
    Ok(Scope { tickers, indices: texts(params, "index_ids")? })
}

fn texts(params: &Value, key: &str) -> Result<Vec<String>, u16> {
    let Some(value) = params.get(key) else { return Ok(Vec::new()) };
    let items = value.as_array().ok_or(11_u16)?;
    items.iter().map(|v| v.as_str().map(str::to_owned).ok_or(11)).collect()
}

fn flag(params: &Value, key: &str) -> bool {
    params.get(key).and_then(Value::as_bool).unwrap_or(false)
}
