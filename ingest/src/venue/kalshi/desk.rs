//! The REST side of the machine: what it asks, within the rate limit, and what it does with the answers; a book of REST
//! is only ever compared.

use std::collections::{BTreeMap, VecDeque};

use schemas::{GapReason, InstrumentNo, Phase, Timestamp};

use super::events::Fee;
use super::machine::Kalshi;
use super::rest::{self, DEFAULT_COST, Market, MarketsQuery, Pager, RestError, TokenBucket, request};
use crate::deed::{Deed, HOST_MAIN, VenueOutput};
use crate::shelf::Origin;

/// Attempts of one request.
const ATTEMPTS: u32 = 5;
/// Tickers of one listing.
const BATCH: usize = 100;
/// Comparisons that fell between two changes before one is given up.
const AUDITS: u32 = 3;

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Status,
    Markets { tickers: Vec<String> },
    Historical { ticker: String },
    Audit { no: InstrumentNo, hash: u64, tries: u32 },
    Series,
    Listing(Pager),
}

/// One request, waiting or in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    path: String,
    purpose: Purpose,
    attempts: u32,
    not_before: Timestamp,
}

/// What waits, what is in flight and what may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    bucket: TokenBucket,
    waiting: VecDeque<Job>,
    flying: BTreeMap<u32, Job>,
    next_request: u32,
    status_at: Timestamp,
}

impl Desk {
    pub(crate) fn new(tokens: u32) -> Self {
        Self {
            bucket: TokenBucket::new(tokens, tokens),
            waiting: VecDeque::new(),
            flying: BTreeMap::new(),
            next_request: 0,
            status_at: Timestamp::ZERO,
        }
    }
}

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audit {
    /// The books are equal.
    Equal,
    /// They differ.
    Differs,
    /// The book is not live, or unknown: there is nothing to compare.
    NotLive,
}

impl Kalshi {
    /// Asks REST for the lives, grids and outcomes of markets; one that has vanished from `/markets` is looked up
    /// under `/historical` (trap 14).
    pub fn look_up(&mut self, tickers: &[&str], out: &mut Vec<VenueOutput>) {
        for part in tickers.chunks(BATCH) {
            let query = MarketsQuery { tickers: part, ..MarketsQuery::default() };
            if let Ok(path) = request::markets(&query) {
                let tickers = part.iter().map(|&ticker| ticker.to_owned()).collect();
                self.queue(path, Purpose::Markets { tickers });
            }
        }
        self.run_desk(out);
    }

    /// Walks through a listing of `/markets`, page by page.
    pub fn list_markets(
        &mut self,
        query: &MarketsQuery<'_>,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), rest::RequestError> {
        let pager = Pager::new(request::markets(query)?);
        self.queue(pager.path().unwrap_or_default(), Purpose::Listing(pager));
        self.run_desk(out);
        Ok(())
    }

    /// Asks for the fee schedules of all series.
    pub fn fetch_series(&mut self, out: &mut Vec<VenueOutput>) {
        self.queue("/series".to_owned(), Purpose::Series);
        self.run_desk(out);
    }

    /// Asks REST for a book and compares it with ours; counted in `audits_ok` and `audits_bad`.
    ///
    /// REST has no `seq`: an answer that differs counts only if our book stood still in between, else it is asked for
    /// again, at most three times.
    pub fn ask_audit(&mut self, ticker: &str, out: &mut Vec<VenueOutput>) {
        self.queue_audit(ticker, 0);
        self.run_desk(out);
    }

    fn queue_audit(&mut self, ticker: &str, tries: u32) {
        let Some(no) = self.shelf.find(ticker.as_bytes()) else { return };
        let live = self.marks[no.0 as usize].sid != 0;
        let hash = self.shelf.slot(no).map_or(0, |slot| slot.book.quick_hash());
        if let (true, Ok(path)) = (live, request::orderbook(ticker)) {
            self.queue(path, Purpose::Audit { no, hash, tries });
        }
    }

    /// Compares a body of `/markets/{ticker}/orderbook` with our book at this moment; counts, changes nothing.
    pub fn audit(&mut self, ticker: &str, body: &[u8]) -> Result<Audit, RestError> {
        let theirs = rest::decode::<rest::OrderbookReply>(body)?.orderbook_fp.book();
        let Some(no) = self.shelf.find(ticker.as_bytes()) else { return Ok(Audit::NotLive) };
        if self.marks[no.0 as usize].sid == 0 {
            return Ok(Audit::NotLive);
        }
        if self.shelf.slot(no).is_some_and(|slot| slot.book == theirs) {
            self.shelf.counts.audits_ok += 1;
            return Ok(Audit::Equal);
        }
        self.shelf.counts.audits_bad += 1;
        Ok(Audit::Differs)
    }

    fn queue(&mut self, path: String, purpose: Purpose) {
        let job = Job { path, purpose, attempts: 0, not_before: Timestamp::ZERO };
        self.desk.waiting.push_back(job);
    }

    /// Sends what is due and allowed.
    pub(crate) fn run_desk(&mut self, out: &mut Vec<VenueOutput>) {
        if self.config.capture || !self.config.rest {
            return;
        }
        if self.now >= self.desk.status_at {
            self.desk.status_at = self.now.plus(self.config.status_every_ns.max(1));
            self.queue(request::STATUS.to_owned(), Purpose::Status);
        }
        let now = self.now;
        while let Some(place) = self.desk.waiting.iter().position(|job| job.not_before <= now) {
            if !self.desk.bucket.take(DEFAULT_COST, now) {
                return;
            }
            let Some(job) = self.desk.waiting.remove(place) else { return };
            self.desk.next_request += 1;
            let (request, path) = (self.desk.next_request, job.path.clone());
            self.desk.flying.insert(request, job);
            out.push(VenueOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body: None }));
        }
    }

    pub(crate) fn desk_wake_at(&self) -> Timestamp {
        if self.config.capture || !self.config.rest {
            return Timestamp::MAX;
        }
        let due = self.desk.waiting.iter().map(|job| job.not_before).min();
        let waiting = due.map_or(Timestamp::MAX, |at| at.max(self.desk.bucket.ready_at(DEFAULT_COST)));
        waiting.min(self.desk.status_at)
    }

    /// An answer, whatever it says.
    pub(crate) fn on_reply(
        &mut self,
        request: u32,
        status: u16,
        body: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(mut job) = self.desk.flying.remove(&request) else {
            self.shelf.counts.stray += 1;
            return;
        };
        self.shelf.counts.frames += 1;
        match status {
            200 => {
                if self.use_reply(&job.purpose, body, origin, out).is_err() {
                    self.shelf.counts.quarantined += 1;
                }
            }
            404 if matches!(job.purpose, Purpose::Markets { .. } | Purpose::Audit { .. }) => {
                self.gone(&job.purpose);
            }
            404 => self.shelf.counts.foreign += 1,
            _ => {
                self.shelf.counts.failed_requests += 1;
                job.attempts += 1;
                let again = status == 0 || status == 429 || status >= 500;
                if again && job.attempts < ATTEMPTS && job.purpose != Purpose::Status {
                    job.not_before = self.now.plus(self.patience(job.attempts - 1));
                    self.desk.waiting.push_back(job);
                }
            }
        }
    }

    /// What was asked for is not there: markets live on under `/historical`.
    fn gone(&mut self, purpose: &Purpose) {
        let tickers = match purpose {
            Purpose::Markets { tickers } => tickers.clone(),
            Purpose::Audit { no, .. } => {
                self.shelf.slot(*no).map(|slot| slot.instrument.native.clone()).into_iter().collect()
            }
            _ => return,
        };
        for ticker in tickers {
            if let Ok(path) = request::historical_market(&ticker) {
                self.queue(path, Purpose::Historical { ticker });
            }
        }
    }

    fn use_reply(
        &mut self,
        purpose: &Purpose,
        body: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), RestError> {
        match purpose {
            Purpose::Status => {
                let status: rest::ExchangeStatus = rest::decode(body)?;
                self.set_paused(!(status.exchange_active && status.trading_active), origin, out);
            }
            Purpose::Markets { tickers } => {
                let reply: rest::Markets = rest::decode(body)?;
                let missing: Vec<String> = tickers
                    .iter()
                    .filter(|ticker| reply.markets.iter().all(|market| market.ticker != **ticker))
                    .cloned()
                    .collect();
                self.tell_markets(&reply.markets, origin, out);
                self.gone(&Purpose::Markets { tickers: missing });
            }
            Purpose::Historical { ticker } => {
                let market = rest::historical_market(body)?;
                if market.ticker != *ticker {
                    return Err(RestError::BadShape("another market".to_owned()));
                }
                self.tell_markets(&[market], origin, out);
            }
            Purpose::Listing(pager) => {
                let reply: rest::Markets = rest::decode(body)?;
                self.tell_markets(&reply.markets, origin, out);
                let mut pager = pager.clone();
                let more =
                    pager.turn(&reply.cursor).map_err(|error| RestError::BadShape(error.to_string()))?;
                if let (true, Some(path)) = (more, pager.path()) {
                    self.queue(path, Purpose::Listing(pager));
                }
            }
            Purpose::Series => {
                for series in rest::decode::<rest::SeriesList>(body)?.series {
                    let fee = Fee { kind: Some(series.fee_type), multiplier: Some(series.fee_multiplier.0) };
                    self.fees.set(&series.ticker, fee);
                }
            }
            Purpose::Audit { no, hash, tries } => self.on_audit(*no, *hash, *tries, body, origin, out)?,
        }
        Ok(())
    }

    fn on_audit(
        &mut self,
        no: InstrumentNo,
        hash: u64,
        tries: u32,
        body: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), RestError> {
        let Some(slot) = self.shelf.slot(no) else { return Ok(()) };
        let (ticker, before) = (slot.instrument.native.clone(), self.shelf.counts);
        let moved = slot.book.quick_hash() != hash;
        if self.audit(&ticker, body)? != Audit::Differs {
            return Ok(());
        }
        if moved {
            // It may have been right in between; that is no proof of either.
            self.shelf.counts.audits_bad = before.audits_bad;
            if tries + 1 < AUDITS {
                self.queue_audit(&ticker, tries + 1);
            }
            return Ok(());
        }
        self.lose_one(no, GapReason::Audit, origin, out);
        Ok(())
    }

    /// Lives and grids as REST tells them. A market that contradicts itself is quarantined alone.
    pub(crate) fn tell_markets(&mut self, markets: &[Market], origin: &Origin, out: &mut Vec<VenueOutput>) {
        for market in markets {
            let Ok(told) = market.told() else {
                self.shelf.counts.quarantined += 1;
                continue;
            };
            let mut origin = *origin;
            origin.times.venue_at = market.since();
            self.tell_life(told, &origin, out);
            self.set_grid(&market.ticker, &market.price_ranges, &origin, out);
        }
    }

    /// The exchange pauses or goes on: books age and are good again.
    fn set_paused(&mut self, paused: bool, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        let (phase, said) = if paused {
            (Phase::Paused, "trading_active=false")
        } else {
            (Phase::Active, "trading_active=true")
        };
        self.tell_event("exchange", phase, said, "", origin, out);
        for at in 0..self.marks.len() {
            let no = InstrumentNo(at as u32);
            if self.marks[at].sid == 0 {
                continue;
            }
            if paused {
                self.shelf.age(no, origin, out);
            } else if self.subs.get(self.marks[at].sub).is_some_and(|sub| !sub.doubt) {
                self.shelf.heard(no, origin, out);
            }
        }
    }
}
