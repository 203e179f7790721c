//! What is said to the venue, and what its answers are about; ids are ours and survive reconnections, sids do not.

use std::fmt::Write as _;

use schemas::InstrumentNo;

use super::machine::Kalshi;
use super::sub::Channel;
use crate::deed::{Deed, VenueOutput};

/// Most markets named in one get_snapshot.
const SNAPSHOT_MARKETS: usize = 100;

/// What a command of ours was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Subscribe { sub: usize },
    Add { sub: usize, markets: Vec<InstrumentNo> },
    Snapshot { sub: usize },
    Delete,
    Unsubscribe,
}

/// A JSON array of strings.
fn strings<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::from("[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            text.push(',');
        }
        // A string always serialises.
        text.push_str(&serde_json::to_string(item).unwrap_or_default());
    }
    text.push(']');
    text
}

impl Kalshi {
    fn send(&mut self, asked: Asked, command: &str, params: &str, out: &mut Vec<VenueOutput>) {
        if self.config.capture || !self.link.is_open() {
            return;
        }
        self.next_id += 1;
        let id = self.next_id;
        let until = self.now.plus(self.config.command_ns.max(1));
        self.asked.insert(id, (asked, until));
        self.due_at(until);
        let text = format!(r#"{{"id":{id},"cmd":"{command}","params":{{{params}}}}}"#);
        out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
    }

    fn tickers(&self, markets: &[InstrumentNo]) -> String {
        let native =
            |no: &InstrumentNo| self.shelf.slot(*no).map_or("", |slot| slot.instrument.native.as_str());
        strings(markets.iter().map(native))
    }

    /// Opens a subscription with all its markets.
    pub(crate) fn subscribe(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        let Some(sub) = self.subs.get_mut(at) else { return };
        sub.ask_at = schemas::Timestamp::MAX;
        sub.unasked.clear();
        let channel = sub.channel;
        let all = channel != Channel::Book && self.config.all_markets;
        if channel.by_market() && sub.members.is_empty() && !all {
            return;
        }
        let mut params = format!(r#""channels":["{}"]"#, channel.name());
        if channel.by_market() && !all {
            let members = std::mem::take(&mut self.subs[at].members);
            let _ = write!(params, r#","market_tickers":{}"#, self.tickers(&members));
            self.subs[at].members = members;
        }
        match channel {
            // The venue has announced that no prices will be told as yes prices unless this is said.
            Channel::Book => params.push_str(r#","use_yes_price":false"#),
            Channel::Index | Channel::Index5 => {
                let ids = strings(self.config.index_ids.iter().map(String::as_str));
                let _ = write!(params, r#","index_ids":{ids}"#);
            }
            _ => {}
        }
        self.send(Asked::Subscribe { sub: at }, "subscribe", &params, out);
    }

    /// Asks for the markets that joined after the subscription was asked for.
    pub(crate) fn ask_unasked(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        let Some(sub) = self.subs.get_mut(at).filter(|sub| sub.sid != 0 && !sub.unasked.is_empty()) else {
            return;
        };
        let (markets, sid) = (std::mem::take(&mut sub.unasked), sub.sid);
        sub.ask_at = schemas::Timestamp::MAX;
        let params =
            format!(r#""sid":{sid},"action":"add_markets","market_tickers":{}"#, self.tickers(&markets));
        self.send(Asked::Add { sub: at, markets }, "update_subscription", &params, out);
    }

    /// Asks for the books of some markets, in the subscription's own order of frames.
    pub(crate) fn ask_snapshots(&mut self, at: usize, markets: &[InstrumentNo], out: &mut Vec<VenueOutput>) {
        let Some(sid) = self.subs.get(at).map(|sub| sub.sid).filter(|sid| *sid != 0) else { return };
        for part in markets.chunks(SNAPSHOT_MARKETS) {
            let params =
                format!(r#""sid":{sid},"action":"get_snapshot","market_tickers":{}"#, self.tickers(part));
            self.send(Asked::Snapshot { sub: at }, "update_subscription", &params, out);
        }
    }

    /// Takes markets out of a subscription.
    pub(crate) fn ask_delete(&mut self, at: usize, markets: &[InstrumentNo], out: &mut Vec<VenueOutput>) {
        let Some(sid) = self.subs.get(at).map(|sub| sub.sid).filter(|sid| *sid != 0) else { return };
        let params =
            format!(r#""sid":{sid},"action":"delete_markets","market_tickers":{}"#, self.tickers(markets));
        self.send(Asked::Delete, "update_subscription", &params, out);
    }

    /// Closes a subscription; what it still sends is not ours.
    pub(crate) fn unsubscribe(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        let Some(sub) = self.subs.get_mut(at).filter(|sub| sub.sid != 0) else { return };
        let sid = sub.sid;
        sub.shut();
        self.closing.push(sid);
        let params = format!(r#""sids":[{sid}]"#);
        self.send(Asked::Unsubscribe, "unsubscribe", &params, out);
    }
}
