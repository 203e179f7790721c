//! Tape rows as input, so that archives feed the same features as live records. A tape's rows are known when they were
//! received. Never reads a book that the tape says is not live.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use schemas::tape::{BookState, Instrument, InstrumentKind, TapeBody, TapeRow, TopRow};
use schemas::{MarketId, Price, Timestamp};

use super::book::Book;
use super::spot::{self, VENUES};
use super::state::MarketState;

/// Decimals of a [`Price`].
const PRICE_DECIMALS: u32 = 6;

/// What an instrument of the tape is to the features.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Role {
    /// Values of the pair at this place.
    #[n(0)]
    Index(#[n(0)] u32),
    /// A venue's book of the pair at this place.
    #[n(1)]
    Spot {
        #[n(0)]
        pair: u32,
        #[n(1)]
        venue: u8,
    },
    /// A prediction market's token.
    #[n(2)]
    Token {
        #[n(0)]
        market: MarketId,
        #[n(1)]
        native: String,
    },
}

/// The instruments of the tape that is being read.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Roles {
    #[n(0)]
    roles: BTreeMap<u32, (Role, u8, u8)>,
    #[n(1)]
    max: u32,
}

impl Roles {
    pub(super) const fn new(max: u32) -> Self {
        Self { roles: BTreeMap::new(), max }
    }
}

/// The pair of an index instrument if it is a settlement index: Polymarket's `crypto_prices_chainlink:btc/usd`, or a
/// recorded one's `btcusd`. Other streams of prices are no settlement index.
pub fn index_symbol(native: &str) -> Option<String> {
    match native.rsplit_once(':') {
        Some((stream, symbol)) => stream.contains("chainlink").then(|| spot::pair(symbol))?,
        None => spot::pair(native),
    }
}

impl MarketState {
    /// Takes a row of a tape. Instruments' numbers mean something only within one tape: see
    /// [`MarketState::begin_tape`].
    ///
    /// A binary instrument counts for its market if it is the market itself (Kalshi) or the token a listing names as
    /// Up; another token's book is left out, because its prices are those of the other outcome.
    pub fn apply_tape(&mut self, row: &TapeRow) {
        let (no, known_at) = (row.instrument.0, row.times.recv_at);
        if let TapeBody::Instrument(instrument) = &row.body {
            return self.introduce(no, instrument);
        }
        let Self { roles, pairs, markets, counts, .. } = self;
        let Some((role, price_decimals, qty_decimals)) = roles.roles.get(&no) else { return };
        let scales = (*price_decimals, *qty_decimals);
        match (role, &row.body) {
            (Role::Index(pair), TapeBody::Index(index)) if index.window_s == 0 && !index.carried_forward => {
                if let Some(pair) = pairs.get_mut(*pair as usize) {
                    pair.tick(known_at, row.times.venue_at.unwrap_or(known_at), index.value);
                }
            }
            (Role::Index(_), _) => {}
            (Role::Spot { pair, venue }, body) => {
                let Some(pair) = pairs.get_mut(*pair as usize) else { return };
                if let Some(slot) = pair.books.get_mut(usize::from(*venue)) {
                    counts.levels += change(slot, scales, known_at, body);
                }
                pair.touch(known_at);
            }
            (Role::Token { market, native }, body) => {
                let Some(listing) = markets.get_mut(market) else {
                    counts.unlisted += 1;
                    return;
                };
                if *native != listing.up_token && *native != market.native {
                    return;
                }
                counts.levels += change(&mut listing.book, scales, known_at, body);
                if let Some(book) = &listing.book {
                    let (bid, ask) = book.best_prices();
                    listing.quotes.offer(known_at, price(bid, scales.0), price(ask, scales.0));
                }
            }
        }
    }

    /// Another tape, or another session of one: its numbers begin anew, and no book goes on.
    pub fn begin_tape(&mut self) {
        self.roles.roles.clear();
        for listing in self.markets.values_mut() {
            listing.book = None;
        }
    }

    fn introduce(&mut self, no: u32, instrument: &Instrument) {
        if self.roles.roles.len() >= self.roles.max as usize && !self.roles.roles.contains_key(&no) {
            self.counts.instruments += 1;
            return;
        }
        if let Some(role) = self.role(instrument) {
            // A token whose market was not known at first was a market of its own until now.
            if let (Some((Role::Token { market: old, .. }, ..)), Role::Token { market, .. }) =
                (self.roles.roles.get(&no), &role)
                && old != market
            {
                self.markets.remove(old);
            }
            self.roles.roles.insert(no, (role, instrument.price_decimals, instrument.qty_decimals));
        }
    }

    fn role(&mut self, instrument: &Instrument) -> Option<Role> {
        let native = &instrument.native;
        match instrument.kind {
            InstrumentKind::Index => Some(Role::Index(self.place(&index_symbol(native)?)? as u32)),
            InstrumentKind::Spot | InstrumentKind::Perpetual => {
                let venue = VENUES.iter().position(|v| *v == instrument.venue)? as u8;
                Some(Role::Spot { pair: self.place(&spot::pair(native)?)? as u32, venue })
            }
            InstrumentKind::Binary => {
                let market = if instrument.market.is_empty() { native } else { &instrument.market };
                let market = MarketId { venue: instrument.venue, native: market.clone() };
                // A market the tape does not list is kept until there is no room.
                self.admit(&market, None, "");
                Some(Role::Token { market, native: native.clone() })
            }
            InstrumentKind::Scalar => None,
        }
    }
}

/// Changes a book by a row; says how many levels were dropped.
fn change(slot: &mut Option<Book>, (price, qty): (u8, u8), known_at: Timestamp, body: &TapeBody) -> u64 {
    let book = slot.get_or_insert_with(|| Book::new(price, qty));
    match body {
        TapeBody::Clear => book.clear(known_at),
        TapeBody::Level { side, price, qty, .. } => return book.level(known_at, *side, *price, *qty),
        TapeBody::State(state) => book.live(known_at, matches!(state, BookState::Live)),
        TapeBody::Quote { bid, ask } => {
            let top = |row: &TopRow| (row.price, row.qty.unwrap_or(0));
            book.quote(known_at, bid.as_ref().map(top), ask.as_ref().map(top));
        }
        _ => {}
    }
    0
}

/// A tape's price in millionths of a dollar.
fn price(raw: Option<i64>, decimals: u8) -> Option<Price> {
    let raw = raw?;
    let decimals = u32::from(decimals);
    let value = if decimals <= PRICE_DECIMALS {
        raw.checked_mul(10_i64.pow(PRICE_DECIMALS - decimals))?
    } else {
        raw / 10_i64.checked_pow(decimals - PRICE_DECIMALS)?
    };
    Some(Price(value))
}
