//! Connections, subscriptions, asking for lost books and auditing live ones over REST; it decides when, never what a
//! book holds.

use schemas::{BookSide, GapReason, InstrumentNo, Timestamp};

use super::books::{folded, gone};
use super::{Audit, Polymarket, Shard};
use crate::book::Book;
use crate::deed::{Deed, HOST_MAIN, VenueOutput};
use crate::link::Link;
use crate::scan::Scan;
use crate::shelf::Origin;
use crate::venue::polymarket::market_wire::{self as wire, Event, Scratch, WireError};

/// Doublings of the delay between two requests for one book.
const MAX_DOUBLINGS: u32 = 5;

impl Polymarket {
    /// Asks for a book at `at`, but not again within the spacing.
    pub(super) fn want(&mut self, no: InstrumentNo, at: Timestamp) {
        if self.config.capture {
            return;
        }
        let Some(asset) = self.assets.get_mut(no.0 as usize).filter(|asset| asset.watched) else { return };
        let due = at.max(asset.asked_at.plus(self.config.resync_spacing_ns));
        if asset.due != Timestamp::MAX && asset.due <= due {
            return;
        }
        self.due.remove(&(asset.due, no.0));
        asset.due = due;
        self.due.insert((due, no.0));
        self.wake = self.wake.min(due);
    }

    /// The book has come.
    pub(super) fn unwant(&mut self, no: InstrumentNo) {
        if let Some(asset) = self.assets.get_mut(no.0 as usize)
            && asset.due != Timestamp::MAX
        {
            self.due.remove(&(asset.due, no.0));
            asset.due = Timestamp::MAX;
        }
    }

    /// Something useful came over a connection.
    #[inline]
    pub(super) fn revive(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(shard) = self.shards.get_mut(at) else { return };
        shard.link.data(self.now);
        shard.data_at = self.now;
        if std::mem::take(&mut shard.stale) {
            for no in shard.assets.clone() {
                self.shelf.heard(no, origin, out);
            }
        }
    }

    pub(super) fn on_connected(&mut self, conn: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let opened = |shard: &mut Shard| shard.link.opened(conn, origin.times.recv_at);
        let Some(at) = self.shards.iter_mut().position(opened) else {
            self.shelf.counts.stray += 1;
            return;
        };
        let now = self.now;
        self.shards[at].data_at = now;
        let assets = self.shards[at].assets.clone();
        for no in &assets {
            self.unwant(*no);
            // Another connection is another stream of times.
            if let Some(asset) = self.assets.get_mut(no.0 as usize) {
                (asset.heard_ms, asset.refused, asset.attempts) = (0, 0, 0);
                asset.asked_at = Timestamp::ZERO;
                (asset.book_print, asset.epoch_ms) = (0, 0);
            }
            self.want(*no, now.plus(self.config.first_book_ns));
        }
        if self.config.capture {
            return;
        }
        let text = serde_json::json!({
            "type": "market",
            "assets_ids": self.tokens(&assets),
            "custom_feature_enabled": self.config.custom_feature_enabled,
        });
        out.push(VenueOutput::Deed(Deed::Send { conn, text: text.to_string() }));
    }

    fn tokens(&self, assets: &[InstrumentNo]) -> Vec<&str> {
        assets.iter().filter_map(|no| Some(self.shelf.slot(*no)?.instrument.native.as_str())).collect()
    }

    pub(super) fn on_closed(&mut self, conn: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let now = self.now;
        let Some(at) = self.shards.iter_mut().position(|shard| shard.link.closed(conn, now)) else {
            self.shelf.counts.stray += 1;
            return;
        };
        self.disconnected(at, origin, out);
    }

    fn disconnected(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.disconnects += 1;
        let assets = self.shards[at].assets.clone();
        self.shards[at].stale = false;
        for no in assets {
            self.shelf.lose(no, GapReason::Disconnected, origin, out);
            // The next connection subscribes to all of them.
            self.unwant(no);
        }
    }

    /// The connection of a token does not bring its book: another one may.
    pub(super) fn restart_shard(&mut self, asset: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(at) = self.assets.get(asset).map(|asset| asset.shard as usize) else { return };
        if let Some(shard) = self.shards.get_mut(at).filter(|shard| shard.link.is_open()) {
            shard.link.give_up(self.now, out);
            self.disconnected(at, origin, out);
            self.wake = Timestamp::ZERO;
        }
    }

    /// Does all that is due.
    pub(super) fn run(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.change_assets(origin, out);
        for at in 0..self.shards.len() {
            self.run_shard(at, origin, out);
        }
        self.ask(origin, out);
        self.judge_suspects(origin, out);
        self.run_audit(out);
        // A lost suspect is asked for at once.
        self.ask(origin, out);
        self.wake = self.next_wake();
    }

    fn next_wake(&self) -> Timestamp {
        let stale = |shard: &Shard| {
            let watch = self.config.stale_ns > 0 && !shard.stale && shard.link.is_open();
            if watch { shard.data_at.plus(self.config.stale_ns) } else { Timestamp::MAX }
        };
        let links = self.shards.iter().map(|shard| shard.link.wake_at().min(stale(shard)));
        let due = self.due.first().into_iter().chain(self.suspects.first()).map(|(at, _)| *at);
        let audit = self.audit.as_ref().map_or(self.next_audit, |audit| audit.deadline);
        links.chain(due).chain([audit]).min().unwrap_or(Timestamp::MAX)
    }

    fn run_shard(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(shard) = self.shards.get_mut(at) else { return };
        let wake = shard.link.wake_at();
        // A recording's clock may stand still: the next connection opens at once.
        let now = if self.config.capture && wake < Timestamp::MAX { self.now.max(wake) } else { self.now };
        if shard.link.run(now, &mut self.next_conn, out).is_some() {
            return self.disconnected(at, origin, out);
        }
        let limit = self.config.stale_ns;
        if limit > 0 && shard.link.is_open() && !shard.stale && self.now >= shard.data_at.plus(limit) {
            shard.stale = true;
            for no in shard.assets.clone() {
                self.shelf.age(no, origin, out);
            }
        }
    }

    /// Subscribes anew to the books that are due, all of a connection in one pair of frames. One that was asked for
    /// over a connection which has been silent since is a zombie's: the connection is given up, not asked again.
    fn ask(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let mut batches: Vec<Vec<InstrumentNo>> = Vec::new();
        while let Some((at, no)) = self.due.first().copied().filter(|(at, _)| *at <= self.now) {
            self.due.remove(&(at, no));
            let Some(asset) = self.assets.get_mut(no as usize) else { continue };
            asset.due = Timestamp::MAX;
            let at = asset.shard as usize;
            let Some(shard) = self.shards.get(at).filter(|shard| asset.watched && shard.link.is_open())
            else {
                continue;
            };
            if asset.attempts > 0 && shard.data_at <= asset.asked_at {
                self.restart_shard(no as usize, origin, out);
                if let Some(batch) = batches.get_mut(at) {
                    batch.clear();
                }
                continue;
            }
            asset.asked_at = self.now;
            // What was heard until now stays heard, but the book of a new grid may be as old as its last change.
            asset.epoch_ms = 0;
            let wait = self.config.resync_ns.max(1) << asset.attempts.min(MAX_DOUBLINGS);
            asset.attempts = asset.attempts.saturating_add(1);
            asset.due = self.now.plus(wait);
            self.due.insert((asset.due, no));
            batches.resize_with(self.shards.len(), Vec::new);
            batches[at].push(InstrumentNo(no));
        }
        for (shard, batch) in batches.iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            self.operate(shard, "unsubscribe", batch, out);
            self.operate(shard, "subscribe", batch, out);
        }
    }

    fn operate(&self, shard: usize, operation: &str, assets: &[InstrumentNo], out: &mut Vec<VenueOutput>) {
        let link = &self.shards[shard].link;
        if !link.is_open() || self.config.capture || assets.is_empty() {
            return;
        }
        let text = serde_json::json!({
            "operation": operation,
            "assets_ids": self.tokens(assets),
            "custom_feature_enabled": self.config.custom_feature_enabled,
        });
        out.push(VenueOutput::Deed(Deed::Send { conn: link.conn(), text: text.to_string() }));
    }

    /// Adds and removes the tokens that were asked for since the last record.
    fn change_assets(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.shards.is_empty() && self.config.capture {
            self.open_shard();
        }
        for name in std::mem::take(&mut self.removing) {
            self.remove(&name, origin, out);
        }
        let mut fresh: Vec<Vec<InstrumentNo>> = Vec::new();
        for name in std::mem::take(&mut self.adding) {
            if self.watched(name.as_bytes()).is_some() {
                continue;
            }
            let room = self.shards.iter().position(|shard| shard.assets.len() < self.config.shard_size());
            let at = room.unwrap_or_else(|| self.open_shard());
            let Some(no) = self.introduce(name.as_bytes(), at, origin, out) else { continue };
            self.shards[at].assets.push(no);
            if let Some(asset) = self.assets.get_mut(no.0 as usize) {
                (asset.shard, asset.watched, asset.attempts, asset.asked_at) = (at as u32, true, 0, self.now);
            }
            if self.shards[at].link.is_open() {
                self.want(no, self.now.plus(self.config.first_book_ns));
            }
            fresh.resize_with(self.shards.len(), Vec::new);
            fresh[at].push(no);
        }
        for (at, assets) in fresh.iter().enumerate() {
            self.operate(at, "subscribe", assets, out);
        }
    }

    fn open_shard(&mut self) -> usize {
        let at = self.shards.len();
        let mut config = self.config.link.clone();
        // Connections of one process draw different delays, too.
        for (byte, salt) in config.seed.iter_mut().zip((at as u64).to_le_bytes()) {
            *byte ^= salt;
        }
        let link = Link::new(config);
        self.shards.push(Shard { link, assets: Vec::new(), data_at: Timestamp::ZERO, stale: false });
        at
    }

    fn remove(&mut self, name: &str, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(no) = self.watched(name.as_bytes()) else { return };
        self.unwant(no);
        let Some(asset) = self.assets.get_mut(no.0 as usize) else { return };
        asset.watched = false;
        let at = asset.shard as usize;
        self.shards[at].assets.retain(|other| *other != no);
        // A book that is no longer fed must not look like one that is.
        self.shelf.lose(no, GapReason::Disconnected, origin, out);
        self.operate(at, "unsubscribe", &[no], out);
    }

    fn run_audit(&mut self, out: &mut Vec<VenueOutput>) {
        if self.config.capture || self.config.audit_period_ns <= 0 {
            return;
        }
        if self.next_audit == Timestamp::MAX {
            self.next_audit = self.now.plus(self.config.audit_period_ns);
        }
        if self.audit.as_ref().is_some_and(|audit| self.now >= audit.deadline) {
            self.audit = None;
            self.shelf.counts.failed_requests += 1;
        }
        if self.audit.is_some() || self.now < self.next_audit {
            return;
        }
        self.next_audit = self.now.plus(self.config.audit_period_ns);
        let assets = self.audit_batch();
        if assets.is_empty() {
            return;
        }
        self.next_request += 1;
        let list = self.tokens(&assets).into_iter().map(|token| serde_json::json!({ "token_id": token }));
        let body = list.collect::<serde_json::Value>().to_string();
        let request = self.next_request;
        let path = "/books".to_owned();
        out.push(VenueOutput::Deed(Deed::Fetch { request, host: HOST_MAIN, path, body: Some(body) }));
        let deadline = self.now.plus(self.config.request_timeout_ns.max(1));
        self.audit = Some(Audit { request, assets, deadline });
    }

    /// The next live books in turn.
    fn audit_batch(&mut self) -> Vec<InstrumentNo> {
        let all = self.assets.len() as u32;
        let mut batch = Vec::new();
        for _ in 0..all {
            let no = InstrumentNo(self.audit_cursor % all);
            self.audit_cursor = (no.0 + 1) % all;
            if self.is_watched(no) && self.shelf.slot(no).is_some_and(|slot| slot.state.is_live()) {
                batch.push(no);
                if batch.len() >= self.config.audit_batch.max(1) {
                    break;
                }
            }
        }
        batch
    }

    pub(super) fn on_reply(
        &mut self,
        request: u32,
        status: u16,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(audit) = self.audit.take_if(|audit| audit.request == request) else {
            self.shelf.counts.stray += 1;
            return;
        };
        self.shelf.counts.frames += 1;
        if !(200..300).contains(&status) {
            self.shelf.counts.failed_requests += 1;
        } else if self.compare(bytes, &audit.assets, origin, out).is_err() {
            self.shelf.counts.quarantined += 1;
        }
    }

    /// Compares the books of an answer with ours.
    fn compare(
        &mut self,
        bytes: &[u8],
        asked: &[InstrumentNo],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), WireError> {
        let mut scan = Scan::new(bytes);
        let mut scratch = Scratch::default();
        scan.array()?;
        while scan.item()? {
            let mut ahead = scan.clone();
            match wire::read(&mut ahead, &mut scratch) {
                Ok(Event::Book(book)) => {
                    if let Some(no) = self.watched(book.asset).filter(|no| asked.contains(no)) {
                        self.compare_one(no, &book, &scratch, &origin.at_venue_ms(book.ms), out);
                    }
                }
                _ => self.shelf.counts.quarantined += 1,
            }
            scan.skip()?;
        }
        Ok(scan.end()?)
    }

    fn compare_one(
        &mut self,
        no: InstrumentNo,
        theirs: &wire::Book<'_>,
        scratch: &Scratch,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let mut book = Book::default();
        for (side, levels) in [(BookSide::Bid, &scratch.bids), (BookSide::Ask, &scratch.asks)] {
            for level in levels {
                book.set(side, level.price, level.qty);
            }
        }
        let (Some(asset), Some(slot)) = (self.assets.get_mut(no.0 as usize), self.shelf.slot(no)) else {
            return;
        };
        if gone(&slot.state) {
            return;
        }
        let hash = theirs.hash.map_or(0, folded);
        let same_state = if hash != 0 && asset.hash != 0 && hash != asset.hash {
            false
        } else {
            hash != 0 && hash == asset.hash || theirs.ms == asset.last_ms
        };
        let equal = slot.book == book;
        if same_state && equal {
            self.shelf.counts.audits_ok += 1;
        } else if same_state {
            self.shelf.counts.audits_bad += 1;
            self.lose(no, GapReason::Audit, origin, out);
        } else if !equal && theirs.ms >= asset.last_ms && asset.suspect.is_none() {
            // Theirs is not older. If nothing comes over the socket meanwhile, something was lost there.
            let at = self.now.plus(self.config.audit_grace_ns);
            asset.suspect = Some((at, asset.moves));
            self.suspects.insert((at, no.0));
        }
    }

    fn judge_suspects(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        while let Some((at, no)) = self.suspects.first().copied().filter(|(at, _)| *at <= self.now) {
            self.suspects.remove(&(at, no));
            let Some(asset) = self.assets.get_mut(no as usize) else { continue };
            let Some((_, moves)) = asset.suspect.take() else { continue };
            let no = InstrumentNo(no);
            if moves == asset.moves && self.shelf.slot(no).is_some_and(|slot| !gone(&slot.state)) {
                self.shelf.counts.audits_bad += 1;
                self.lose(no, GapReason::Audit, origin, out);
            }
        }
    }
}
