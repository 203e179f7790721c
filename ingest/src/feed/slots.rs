//! The markets of a series, one slot per interval: listed, quoted, closed, resolved; never two requests for one slug.

use minicbor::{Decode, Encode};
use schemas::{Market, MarketEvent, Ppm, Quote, Timestamp, VenueResolution};

use super::{Feed, FeedOutput};
use crate::deed::{Deed, HOST_MAIN};
use crate::error::IngestError;
use crate::venue::polymarket::gamma::{self, Expected, GammaEvent, Top};

/// A market under another condition id is another market; nothing else of such an answer is used.
const CONDITION_ID: &str = "condition id";

/// One interval's market as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Slot {
    /// The next request is due here, if none is out.
    #[n(0)]
    next_poll: Timestamp,
    /// The request that is out.
    #[n(1)]
    request: Option<Outstanding>,
    /// Requests that failed in a row.
    #[n(2)]
    failures: u32,
    /// How often the strike was asked for after the start.
    #[n(3)]
    strike_polls: u32,
    /// The market as it was last said.
    #[n(4)]
    market: Option<Market>,
    /// The quote as it was last said.
    #[n(5)]
    quote: Option<Quote>,
    /// When.
    #[n(6)]
    quoted_at: Timestamp,
}

/// A request without an answer so far.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Outstanding {
    #[n(0)]
    id: u32,
    #[n(1)]
    deadline: Timestamp,
}

impl Feed {
    fn slug(&self, start: Timestamp) -> String {
        format!("{}-{}", self.config.slug_prefix, start.secs())
    }

    fn closes_at(&self, start: Timestamp) -> Timestamp {
        start.plus(self.config.interval_ns())
    }

    pub(super) fn run_slots(&mut self, out: &mut Vec<FeedOutput>) {
        if self.slots_wake_at().is_some_and(|at| self.now < at) {
            return;
        }
        self.open_slots(out);
        let starts: Vec<Timestamp> = self.slots.keys().copied().collect();
        for start in starts {
            self.run_slot(start, out);
        }
    }

    /// Opens the slots of all intervals that are running or start within the lead time.
    fn open_slots(&mut self, out: &mut Vec<FeedOutput>) {
        let interval = self.config.interval_ns();
        let oldest = self.now.plus(-self.config.lookback_ns.max(0)).plus(-interval);
        let oldest = Timestamp((oldest.0.max(0) + interval - 1) / interval * interval);
        let mut start = self.next_slot.unwrap_or(oldest);
        if start < oldest {
            self.counts.missed_intervals += (oldest.since(start) / interval) as u64;
            start = oldest;
        }
        while start.plus(-self.config.lead_ns) <= self.now {
            self.open_slot(start, out);
            start = start.plus(interval);
        }
        self.next_slot = Some(start);
    }

    fn open_slot(&mut self, start: Timestamp, out: &mut Vec<FeedOutput>) {
        let limit = self.config.max_open_markets.max(1);
        if self.slots.len() >= limit as usize
            && let Some((oldest, _)) = self.slots.pop_first()
        {
            let slug = self.slug(oldest);
            self.quarantine(&IngestError::MarketLimit { slug, limit }, out);
        }
        let slot = Slot {
            next_poll: self.now,
            request: None,
            failures: 0,
            strike_polls: 0,
            market: None,
            quote: None,
            quoted_at: Timestamp::ZERO,
        };
        self.slots.insert(start, slot);
    }

    fn run_slot(&mut self, start: Timestamp, out: &mut Vec<FeedOutput>) {
        let (now, give_up_ns) = (self.now, self.config.give_up_ns.max(1));
        if now >= self.closes_at(start).plus(give_up_ns) {
            let slug = self.slug(start);
            self.slots.remove(&start);
            let waited_s = give_up_ns / schemas::time::NANOS_PER_SEC;
            self.quarantine(&IngestError::ResolutionTimeout { slug, waited_s }, out);
            return;
        }
        let overdue = |slot: &Slot| slot.request.as_ref().is_some_and(|r| now >= r.deadline);
        if self.slots.get(&start).is_some_and(overdue) {
            self.request_failed(start);
        }
        let path = gamma::path(&self.slug(start));
        let deadline = now.plus(self.config.request_timeout_ns.max(1));
        if let Some(slot) = self.slots.get_mut(&start)
            && slot.request.is_none()
            && now >= slot.next_poll
        {
            self.next_request = self.next_request.wrapping_add(1);
            slot.request = Some(Outstanding { id: self.next_request, deadline });
            let request = self.next_request;
            out.push(FeedOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body: None }));
        }
    }

    /// When the slots need the clock; always after `now` once [`Feed::run_slots`] ran.
    pub(super) fn slots_wake_at(&self) -> Option<Timestamp> {
        let due = |(start, slot): (&Timestamp, &Slot)| {
            let poll = slot.request.as_ref().map_or(slot.next_poll, |r| r.deadline);
            poll.min(self.closes_at(*start).plus(self.config.give_up_ns.max(1)))
        };
        let opening = self.next_slot.map(|start| start.plus(-self.config.lead_ns));
        self.slots.iter().map(due).chain(opening).min()
    }

    pub(super) fn on_reply(&mut self, request: u32, status: u16, bytes: &[u8], out: &mut Vec<FeedOutput>) {
        let ours = |slot: &Slot| slot.request.as_ref().is_some_and(|r| r.id == request);
        let Some(start) = self.slots.iter().find(|(_, slot)| ours(slot)).map(|(start, _)| *start) else {
            self.counts.stray += 1;
            return;
        };
        match status {
            200..=299 => self.on_body(start, bytes, out),
            404 => self.counts.not_listed += 1,
            0 | 429 | 500..=599 => return self.request_failed(start),
            _ => self.quarantine(&IngestError::HttpStatus(status), out),
        }
        self.schedule_poll(start);
    }

    /// No usable answer: ask again after a jittered delay that doubles.
    fn request_failed(&mut self, start: Timestamp) {
        self.counts.failed_requests += 1;
        let Some(slot) = self.slots.get_mut(&start) else { return };
        let c = &self.config;
        let delay = self.jitter.draw(&c.seed, c.backoff_base_ns, c.backoff_cap_ns, slot.failures);
        slot.request = None;
        slot.failures = slot.failures.saturating_add(1);
        slot.next_poll = self.now.plus(delay);
    }

    /// An answer came: the next request follows the market's phase.
    fn schedule_poll(&mut self, start: Timestamp) {
        let (now, closes_at, c) = (self.now, self.closes_at(start), &self.config);
        let Some(slot) = self.slots.get_mut(&start) else { return };
        slot.request = None;
        slot.failures = 0;
        let strike_known = slot.market.as_ref().is_some_and(|m| m.strike.is_some());
        slot.next_poll = if now >= closes_at {
            now.plus(c.resolve_poll_ns.max(1))
        } else if now < start {
            now.plus(c.poll_ns.max(1)).min(start.plus(c.strike_poll_ns.max(1)))
        } else if !strike_known && slot.strike_polls < c.strike_polls {
            slot.strike_polls += 1;
            now.plus(c.strike_poll_ns.max(1))
        } else {
            now.plus(c.poll_ns.max(1)).min(closes_at.plus(c.resolve_poll_ns.max(1)))
        };
    }

    fn on_body(&mut self, start: Timestamp, bytes: &[u8], out: &mut Vec<FeedOutput>) {
        let limit = self.config.max_body_bytes as usize;
        if bytes.len() > limit {
            return self.quarantine(&IngestError::TooLarge { bytes: bytes.len(), limit }, out);
        }
        let slug = self.slug(start);
        let symbol = &self.config.symbol;
        let want = Expected { slug: &slug, symbol, starts_at: start, closes_at: self.closes_at(start) };
        match gamma::decode(bytes, &want) {
            Ok(Some(event)) => self.on_event(start, event, out),
            Ok(None) => self.counts.not_listed += 1,
            Err(error) => self.quarantine(&error, out),
        }
    }

    fn on_event(&mut self, start: Timestamp, event: GammaEvent, out: &mut Vec<FeedOutput>) {
        if let Err(error) = self.list(start, &event.market, out) {
            self.quarantine(&error, out);
            if matches!(error, IngestError::Restated { field: CONDITION_ID, .. }) {
                return;
            }
        }
        let open = self.now < self.closes_at(start);
        match event.top {
            Ok(Some(top)) if open => self.quote(start, top, out),
            // Past its end or closed: what the book says then is no quote.
            Ok(_) => {}
            Err(error) => self.quarantine(&error, out),
        }
        if let Some(up_paid) = event.up_paid
            && !open
        {
            self.resolve(start, up_paid, out);
        }
    }

    /// Says a market when it is new and once more when its strike becomes known; what was said stands.
    fn list(&mut self, start: Timestamp, new: &Market, out: &mut Vec<FeedOutput>) -> Result<(), IngestError> {
        let Some(slot) = self.slots.get_mut(&start) else { return Ok(()) };
        let changed = |field, from: String, to: String| {
            Err(IngestError::Restated { slug: new.slug.clone(), field, from, to })
        };
        if let Some(old) = &slot.market {
            if old.id != new.id {
                return changed(CONDITION_ID, old.id.native.clone(), new.id.native.clone());
            }
            match (old.strike, new.strike) {
                (Some(a), Some(b)) if a != b => return changed("strike", a.to_string(), b.to_string()),
                (None, Some(_)) => {}
                _ => return Ok(()),
            }
        }
        slot.market = Some(new.clone());
        out.push(FeedOutput::Market(MarketEvent::Listed(new.clone())));
        Ok(())
    }

    /// Says a quote when it changed, and again when an unchanged two-sided one has become old.
    fn quote(&mut self, start: Timestamp, top: Top, out: &mut Vec<FeedOutput>) {
        let Some(slot) = self.slots.get_mut(&start) else { return };
        let Some(market) = &slot.market else { return };
        let quote = Quote { market: market.id.clone(), bid: top.bid, ask: top.ask };
        let nobody = top == Top::default();
        let same = slot.quote.as_ref().map_or(nobody, |last| *last == quote);
        let fresh = self.now.since(slot.quoted_at) < self.config.quote_repeat_ns;
        if same && (nobody || fresh) {
            return;
        }
        slot.quote = Some(quote.clone());
        slot.quoted_at = self.now;
        out.push(FeedOutput::Market(MarketEvent::Quote(quote)));
    }

    /// Says how the venue resolved the market and stops following it.
    fn resolve(&mut self, start: Timestamp, up_paid: Ppm, out: &mut Vec<FeedOutput>) {
        if let Some(market) = self.slots.remove(&start).and_then(|slot| slot.market) {
            let resolution = VenueResolution { market: market.id, up_paid };
            out.push(FeedOutput::Market(MarketEvent::Resolved(resolution)));
        }
    }
}
