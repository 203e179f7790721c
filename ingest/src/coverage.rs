//! How much of each day of each market was live, stale, resyncing or lost, folded from the rows of a tape; it claims
//! nothing before an instrument's first row and nothing after a tape's last one.

use std::collections::BTreeMap;

use schemas::{BookState, GapReason, Instrument, InstrumentKind, TapeBody, TapeRow, Timestamp};

/// Nanoseconds of a day; days are cut at midnight UTC.
pub const DAY_NS: i64 = 86_400_000_000_000;

/// One instrument on one day, lengths in nanoseconds. The five kinds of time add up to `to - from`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketDay {
    /// First instant of the day that is known about.
    pub from: Timestamp,
    /// Last instant of the day that is known about.
    pub to: Timestamp,
    /// Complete and verified.
    pub live_ns: i64,
    /// Complete, but nothing was heard.
    pub stale_ns: i64,
    /// Waiting for a snapshot.
    pub resyncing_ns: i64,
    /// Not known, by reason.
    pub gap_ns: BTreeMap<&'static str, i64>,
    /// Gaps that opened on this day.
    pub gaps: u64,
}

impl MarketDay {
    /// Nanoseconds of all gaps.
    pub fn lost_ns(&self) -> i64 {
        self.gap_ns.values().sum()
    }
}

/// Whose day it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MarketDayKey {
    /// The venue's name.
    pub venue: &'static str,
    /// The instrument by its venue's own name.
    pub native: String,
    /// Days since the Unix epoch.
    pub day: i64,
}

/// A coverage report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every instrument that had a book, every day that is known about.
    pub days: BTreeMap<MarketDayKey, MarketDay>,
    /// Instruments that were introduced and never had a book (indices, quotes, trades only).
    pub without_book: u64,
}

/// Folds rows into a [`Report`].
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    books: Vec<Option<Watch>>,
    last: Timestamp,
    report: Report,
}

/// One instrument's state since `since`; not written down until it ends, because a state may begin in the past.
#[derive(Clone, Debug)]
struct Watch {
    venue: &'static str,
    native: String,
    state: BookState,
    since: Timestamp,
    had_book: bool,
    /// What is written down once it is known that there is a book.
    spans: Vec<(BookState, Timestamp, Timestamp)>,
}

impl Coverage {
    /// The next row of the tape, in order.
    pub fn observe(&mut self, row: &TapeRow) {
        let now = row.times.recv_at.max(self.last);
        self.last = now;
        match &row.body {
            TapeBody::Instrument(instrument) => self.introduce(row.instrument.0 as usize, instrument, now),
            TapeBody::State(state) => {
                let Some(watch) = self.watch(row) else { return };
                watch.had_book |= state.is_live();
                let (venue, native) = (watch.venue, watch.native.clone());
                let opened = watch.enter(*state, now);
                if let Some(at) = opened {
                    self.report.days.entry(key(venue, &native, at)).or_default().gaps += 1;
                }
            }
            TapeBody::Clear | TapeBody::Level { .. } => {
                if let Some(watch) = self.watch(row) {
                    watch.had_book = true;
                }
            }
            _ => {}
        }
    }

    /// A machine ended here and another begins: instruments are introduced again.
    pub fn session(&mut self) {
        let last = self.last;
        for mut watch in std::mem::take(&mut self.books).into_iter().flatten() {
            if last > watch.since {
                watch.push(last);
            }
            if !watch.had_book {
                self.report.without_book += 1;
                continue;
            }
            for (state, from, to) in &watch.spans {
                write_down(&mut self.report.days, &watch, *state, *from, *to);
            }
        }
    }

    /// The report up to the last row.
    pub fn finish(mut self) -> Report {
        self.session();
        self.report.days.retain(|_, day| day.to > day.from || day.gaps > 0);
        self.report
    }

    fn introduce(&mut self, no: usize, instrument: &Instrument, now: Timestamp) {
        if instrument.kind == InstrumentKind::Index {
            self.report.without_book += 1;
            return;
        }
        if self.books.len() <= no {
            self.books.resize(no + 1, None);
        }
        // Told again, e.g. because its market became known: what is known of its book stays.
        if self.books[no].as_ref().is_some_and(|watch| watch.native == instrument.native) {
            return;
        }
        self.books[no] = Some(Watch {
            venue: instrument.venue.name(),
            native: instrument.native.clone(),
            state: BookState::Resyncing { since: now },
            since: now,
            had_book: false,
            spans: Vec::new(),
        });
    }

    fn watch(&mut self, row: &TapeRow) -> Option<&mut Watch> {
        self.books.get_mut(row.instrument.0 as usize)?.as_mut()
    }
}

impl Watch {
    /// A state begins. What lies between its true beginning and now is taken from the state before. Says when a gap
    /// opened, if one did.
    fn enter(&mut self, state: BookState, now: Timestamp) -> Option<Timestamp> {
        let begin = match state {
            BookState::Live => now,
            BookState::Stale { since } | BookState::Resyncing { since } => since,
            BookState::Gap { from, to: None, .. } => from,
            BookState::Gap { to: Some(to), .. } => to,
        };
        let begin = begin.clamp(self.since, now.max(self.since));
        if begin > self.since {
            self.push(begin);
        }
        let opened = matches!(state, BookState::Gap { to: None, .. })
            && !matches!(self.state, BookState::Gap { to: None, .. });
        self.since = begin;
        // A gap that is said to be over is followed by what holds now; until then nothing is claimed to be good.
        self.state = match state {
            BookState::Gap { to: Some(to), .. } => BookState::Resyncing { since: to },
            other => other,
        };
        opened.then_some(begin)
    }

    fn push(&mut self, to: Timestamp) {
        match self.spans.last_mut() {
            Some((state, _, end)) if kind(state) == kind(&self.state) && *end == self.since => *end = to,
            _ => self.spans.push((self.state, self.since, to)),
        }
    }
}

fn kind(state: &BookState) -> &'static str {
    match state {
        BookState::Live => "live",
        BookState::Stale { .. } => "stale",
        BookState::Resyncing { .. } => "resyncing",
        BookState::Gap { reason, .. } => reason_name(*reason),
    }
}

fn write_down(
    days: &mut BTreeMap<MarketDayKey, MarketDay>,
    watch: &Watch,
    state: BookState,
    from: Timestamp,
    to: Timestamp,
) {
    let mut at = from;
    while at < to {
        let end = to.min(Timestamp((at.0.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS)));
        let ns = end.since(at);
        let day = days.entry(key(watch.venue, &watch.native, at)).or_default();
        if day.to == day.from {
            day.from = at;
        }
        day.from = day.from.min(at);
        day.to = day.to.max(end);
        match state {
            BookState::Live => day.live_ns += ns,
            BookState::Stale { .. } => day.stale_ns += ns,
            BookState::Resyncing { .. } => day.resyncing_ns += ns,
            BookState::Gap { reason, .. } => *day.gap_ns.entry(reason_name(reason)).or_default() += ns,
        }
        at = end;
    }
}

fn key(venue: &'static str, native: &str, at: Timestamp) -> MarketDayKey {
    MarketDayKey { venue, native: native.to_owned(), day: at.0.div_euclid(DAY_NS) }
}

/// The stable name of a reason.
pub const fn reason_name(reason: GapReason) -> &'static str {
    match reason {
        GapReason::SequenceSkipped => "sequence_skipped",
        GapReason::SequenceBack => "sequence_back",
        GapReason::Disconnected => "disconnected",
        GapReason::Checksum => "checksum",
        GapReason::TopMismatch => "top_mismatch",
        GapReason::Crossed => "crossed",
        GapReason::NegativeLevel => "negative_level",
        GapReason::TickChange => "tick_change",
        GapReason::Overflow => "overflow",
        GapReason::ChannelError => "channel_error",
        GapReason::Audit => "audit",
        GapReason::Unreadable => "unreadable",
    }
}

/// A day as `YYYY-MM-DD`, from days since the Unix epoch (proleptic Gregorian calendar).
pub fn day_name(day: i64) -> String {
    // Years are counted from March, so that a leap day is the last of its year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", of_year - (153 * march_month + 2) / 5 + 1)
}
