//! What Kraken says about subscriptions and pairs: reference data, answers, v1 events; no market data is read here.

use schemas::GapReason;

use super::v2::{book_text, channel_text};
use super::{Kraken, must};
use crate::deed::{Deed, VenueOutput};
use crate::scan::{Scan, ScanError};
use crate::shelf::Origin;
use crate::venue::spot;

type Result<T> = std::result::Result<T, ScanError>;

/// What one pair of the `instrument` channel says.
fn pair<'a>(scan: &mut Scan<'a>) -> Result<(&'a [u8], (u8, u8))> {
    let (mut native, mut price, mut qty) = (None, None, None);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"symbol" => native = Some(scan.plain()?),
            b"price_precision" => price = u8::try_from(scan.integer()?).ok(),
            b"qty_precision" => qty = u8::try_from(scan.integer()?).ok(),
            _ => scan.skip()?,
        }
    }
    let fits = |places: &u8| *places <= crate::decimal::MAX_DECIMALS;
    let price = must(price.filter(fits), "no price precision")?;
    Ok((must(native, "no symbol")?, (price, must(qty.filter(fits), "no quantity precision")?)))
}

/// The channel, symbol and depth of an answer.
type Served<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<usize>);

/// Reads the `result` of an answer.
fn result(text: &[u8]) -> Result<Served<'_>> {
    let (mut channel, mut native, mut depth) = (None, None, None);
    let mut scan = Scan::new(text);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"channel" => channel = Some(scan.plain()?),
            b"symbol" => native = Some(scan.plain()?),
            b"depth" => depth = usize::try_from(scan.integer()?).ok(),
            _ => scan.skip()?,
        }
    }
    Ok((channel, native, depth))
}

impl Kraken {
    /// Reference data. The first snapshot of it lets the books be subscribed.
    pub(super) fn v2_instruments(
        &mut self,
        mut scan: Scan<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let mut seen = false;
        scan.object()?;
        while let Some(key) = scan.key()? {
            if key != b"pairs" {
                scan.skip()?;
                continue;
            }
            seen = true;
            scan.array()?;
            while scan.item()? {
                let (native, decimals) = pair(&mut scan)?;
                if let Some(at) = self.pair(native) {
                    self.precision(at, decimals, origin, out);
                }
            }
        }
        must(seen.then_some(()), "no pairs")?;
        if self.instruments_by != schemas::Timestamp::MAX {
            self.instruments_by = schemas::Timestamp::MAX;
            self.subscribe(out);
        }
        Ok(())
    }

    /// A pair's precision is what its instrument was introduced with, for as long as the tape lasts: with another one
    /// the checksum is over other digits and the book cannot be verified.
    fn precision(&mut self, at: usize, decimals: (u8, u8), origin: &Origin, out: &mut Vec<VenueOutput>) {
        let pair = &mut self.session.listings[at];
        if pair.no.is_none() {
            pair.decimals = Some(decimals);
        } else if pair.decimals != Some(decimals) {
            self.session.shelf.counts.quarantined += 1;
            self.lose(at, GapReason::TickChange, origin, out);
        }
    }

    /// Subscribes everything about the followed pairs that the venue lists.
    fn subscribe(&mut self, out: &mut Vec<VenueOutput>) {
        let listed: Vec<usize> =
            (0..self.depths.len()).filter(|at| self.session.listings[*at].decimals.is_some()).collect();
        let names: Vec<String> = listed.iter().map(|at| self.session.listings[*at].native.clone()).collect();
        if names.is_empty() {
            return;
        }
        let conn = self.session.link.conn();
        let mut texts = vec![book_text(true, &names, self.config.depth as usize)];
        texts.extend(["trade", "ticker"].map(|channel| channel_text(channel, &names)));
        if self.config.candles {
            texts.push(channel_text("ohlc", &names));
        }
        out.extend(texts.into_iter().map(|text| VenueOutput::Deed(Deed::Send { conn, text })));
        for at in listed {
            self.session.await_book(at, self.config.resync_ns);
        }
    }

    /// The answer to a request of ours.
    pub(super) fn on_answer(
        &mut self,
        method: &[u8],
        success: Option<bool>,
        texts: [Option<&[u8]>; 2],
    ) -> Result<()> {
        if method != b"subscribe" && method != b"unsubscribe" {
            return Ok(());
        }
        let [said, symbol] = texts;
        if must(success, "an answer without success")? {
            if let Some((Some(b"book"), Some(native), Some(depth))) = said.map(result).transpose()?
                && let Some(at) = self.pair(native)
            {
                self.depths[at] = depth;
            }
            return Ok(());
        }
        self.session.shelf.counts.venue_errors += 1;
        let native = symbol.and_then(|text| Scan::new(text).plain().ok());
        if let Some(at) = native.and_then(|native| self.pair(native)) {
            self.refused(at);
        }
        Ok(())
    }

    /// The venue will not serve this book: it is asked again after a while, and the connection lives on.
    fn refused(&mut self, at: usize) {
        let pair = &mut self.session.listings[at];
        if pair.resync_at != schemas::Timestamp::MAX {
            pair.tries = 0;
            pair.resync_at = self.session.now.plus(spot::RESYNC_CAP_NS);
        }
    }

    /// An event of v1.
    pub(super) fn on_event(&mut self, event: &[u8], status: Option<&[u8]>) {
        let error = event == b"error" || (event == b"subscriptionStatus" && status == Some(b"\"error\""));
        if error {
            self.session.shelf.counts.venue_errors += 1;
        } else if !matches!(event, b"systemStatus" | b"subscriptionStatus" | b"heartbeat" | b"pong") {
            self.session.shelf.counts.foreign += 1;
        }
    }
}
