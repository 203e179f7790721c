//! Puts recordings in order and plays them: files with receive times merged by time onto one connection, files without
//! them one after the other; it never re-times a frame.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use schemas::{Timestamp, Venue};

use super::text::usable;
use super::{Driver, Exchange, ImportError, Item, Payload, ReaderKind, Recording, Sink, What};
use crate::deed::{SOCKET_MAIN, SOCKET_RTDS, SOCKET_RTDS2};

/// Lines of a table that is read as it is played: canonical rows, in the order of their times.
pub struct Lines {
    /// The file, as errors call it.
    pub name: String,
    /// The lines.
    pub lines: Box<dyn Iterator<Item = Result<String, String>>>,
}

/// Recordings in the order they are played.
pub struct Play {
    timeless: Vec<Recording>,
    timed: Vec<Recording>,
    tables: Vec<Lines>,
    kind: ReaderKind,
    venue: Venue,
}

impl Play {
    /// Sorts out what can be played together to one machine of `asked`'s.
    ///
    /// # Errors
    /// `nothing_read`, `wrong_venue`, `mixed_recordings`.
    pub fn new(recordings: Vec<Recording>, tables: Vec<Lines>, asked: Venue) -> Result<Self, ImportError> {
        let mut kind = tables.first().map(|_| ReaderKind::Rows);
        let mut venue = asked;
        let mut recognised = !tables.is_empty();
        let (mut timed, mut timeless) = (Vec::new(), Vec::new());
        for recording in recordings.into_iter().filter(|recording| !recording.is_empty()) {
            let reads = recording.reader();
            if *kind.get_or_insert(reads) != reads {
                return Err(ImportError::Mixed(recording.name));
            }
            if let Some(found) = recording.venue() {
                venue = agree(venue, found, recording.is_sure(), &recording.name)?;
                recognised = true;
            }
            recognised |= reads != ReaderKind::Wire;
            if recording.is_timed() { timed.push(recording) } else { timeless.push(recording) }
        }
        let Some(kind) = kind else {
            return Err(ImportError::NothingRead("no file holds a frame".to_owned()));
        };
        if !recognised {
            return Err(ImportError::NothingRead("no frame is one of a known venue".to_owned()));
        }
        in_order(&mut timeless);
        Ok(Self { timeless, timed, tables, kind, venue })
    }

    /// Which machine is played to.
    pub fn kind(&self) -> ReaderKind {
        self.kind
    }

    /// Whose frames they are: `asked`, or its sister venue where the frames show that.
    pub fn venue(&self) -> Venue {
        self.venue
    }

    /// Takes the REST exchanges out of the recordings.
    pub fn take_exchanges(&mut self) -> Vec<Exchange> {
        let all = self.timeless.iter_mut().chain(&mut self.timed);
        all.flat_map(|recording| std::mem::take(&mut recording.exchanges)).collect()
    }

    /// The first receive time; 0 where there is none. `exchanges` are those taken out before.
    pub fn first_at(&self, exchanges: &[Exchange]) -> Timestamp {
        if !self.timeless.is_empty() && self.timeless.iter().any(|r| !r.items.is_empty()) {
            return Timestamp::ZERO;
        }
        let items = self.timed.iter().filter_map(|recording| recording.items.iter().find_map(|item| item.at));
        items.chain(exchanges.iter().filter_map(|exchange| exchange.at)).min().unwrap_or_default()
    }

    /// Plays everything. `progress` hears how many frames were played now and then.
    pub fn run<S: Sink>(
        mut self,
        driver: &mut Driver<S>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), ImportError> {
        let mut connected = false;
        let mut before: Option<&Recording> = None;
        for recording in self.timeless.iter().filter(|recording| !recording.items.is_empty()) {
            if before.is_some_and(|before| !continues(before, recording)) {
                driver.reconnect(None)?;
            }
            before = Some(recording);
            for item in &recording.items {
                if let What::Frame(payload) = &item.what {
                    play_frame(driver, recording, None, payload, progress)?;
                }
            }
            connected = true;
        }
        if connected && self.timed.iter().any(|recording| !recording.items.is_empty()) {
            driver.reconnect(None)?;
        }
        play_timed(&self.timed, driver, progress)?;
        play_tables(&mut self.tables, driver, progress)
    }
}

/// The venue both agree on; of a pair of sister venues the one the frames show.
fn agree(asked: Venue, found: Venue, sure: bool, file: &str) -> Result<Venue, ImportError> {
    let binance = |venue| matches!(venue, Venue::Binance | Venue::BinanceFutures);
    let polymarket = |venue| matches!(venue, Venue::Polymarket | Venue::PolymarketUs);
    match (asked, found) {
        _ if asked == found => Ok(asked),
        // Some frames of the futures venue look like spot frames; only an address proves spot.
        (Venue::BinanceFutures, Venue::Binance) if !sure => Ok(asked),
        _ if binance(asked) && binance(found) => Ok(found),
        _ if polymarket(asked) && polymarket(found) => Ok(asked),
        _ => Err(ImportError::WrongVenue { file: file.to_owned(), found, asked }),
    }
}

/// Sorts files without receive times by the first time the venue names in them; a file without one stays behind the file
/// it was given after.
fn in_order(recordings: &mut Vec<Recording>) {
    let mut last = i64::MIN;
    let mut keyed: Vec<(i64, Recording)> = Vec::with_capacity(recordings.len());
    for recording in recordings.drain(..) {
        last = recording.first_venue_ms().unwrap_or(last);
        keyed.push((last, recording));
    }
    keyed.sort_by_key(|(ms, _)| *ms);
    recordings.extend(keyed.into_iter().map(|(_, recording)| recording));
}

/// Whether a file is the same connection cut in two: its first sequence number follows the last one before it.
fn continues(before: &Recording, next: &Recording) -> bool {
    let last = sequences(before, true);
    last.is_some() && last.map(|(sid, seq)| (sid, seq + 1)) == sequences(next, false)
}

/// `sid` and `seq` of the last, or the first, frame of a recording that has both.
fn sequences(recording: &Recording, last: bool) -> Option<(u64, u64)> {
    #[derive(serde::Deserialize)]
    struct Sequenced {
        sid: u64,
        seq: u64,
    }
    let read = |item: &Item| match &item.what {
        What::Frame(payload) => serde_json::from_slice::<Sequenced>(recording.bytes(payload)).ok(),
        What::Connect => None,
    };
    let mut items = recording.items.iter();
    let found = if last { items.rev().find_map(read) } else { items.find_map(read) };
    found.map(|found| (found.sid, found.seq))
}

fn play_frame<S: Sink>(
    driver: &mut Driver<S>,
    recording: &Recording,
    at: Option<Timestamp>,
    payload: &Payload,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    let bytes = recording.bytes(payload);
    driver.frame(at, socket(bytes), bytes.to_vec())?;
    let frames = driver.stats().frames;
    if frames.is_multiple_of(1_024) {
        progress(frames);
    }
    Ok(())
}

/// Which of Polymarket's sockets a frame came over; all other venues have one.
fn socket(frame: &[u8]) -> u8 {
    let head = &frame[..frame.len().min(64)];
    let has = |key: &[u8]| head.windows(key.len()).any(|window| window == key);
    if has(b"\"topic\":") {
        SOCKET_RTDS
    } else if has(b"\"v\":") && has(b"\"channel\":") {
        SOCKET_RTDS2
    } else {
        SOCKET_MAIN
    }
}

fn play_timed<S: Sink>(
    recordings: &[Recording],
    driver: &mut Driver<S>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    // Per file: the next item and the latest time so far; a file's own order is never changed.
    let mut cursors = vec![(0_usize, Timestamp::ZERO, false); recordings.len()];
    let mut heap = BinaryHeap::new();
    let next_time = |file: usize, at: usize, last: Timestamp| {
        recordings[file].items.get(at).map(|item| item.at.unwrap_or(last).max(last))
    };
    for (file, _) in recordings.iter().enumerate() {
        if let Some(time) = next_time(file, 0, Timestamp::ZERO) {
            heap.push(Reverse((time, file)));
        }
    }
    while let Some(Reverse((time, file))) = heap.pop() {
        let (at, _, has_frames) = cursors[file];
        let recording = &recordings[file];
        let item = &recording.items[at];
        match &item.what {
            What::Connect => {
                let others = cursors.iter().zip(recordings).enumerate().filter(|(other, _)| *other != file);
                let begun = others.clone().any(|(_, ((_, _, frames), _))| *frames);
                let running = others.clone().any(|(_, ((at, _, frames), r))| *frames && *at < r.items.len());
                // Of its own connection, or of all that were before it: those have ended.
                if has_frames || (begun && !running) {
                    driver.reconnect(item.at)?;
                }
            }
            What::Frame(payload) => play_frame(driver, recording, item.at, payload, progress)?,
        }
        let frames = has_frames || matches!(item.what, What::Frame(_));
        cursors[file] = (at + 1, time, frames);
        if let Some(next) = next_time(file, at + 1, time) {
            heap.push(Reverse((next, file)));
        }
    }
    Ok(())
}

fn play_tables<S: Sink>(
    tables: &mut [Lines],
    driver: &mut Driver<S>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), ImportError> {
    let mut heads: Vec<Option<(Timestamp, String)>> = Vec::new();
    for table in tables.iter_mut() {
        heads.push(next_line(table)?);
    }
    loop {
        let earliest =
            heads.iter().enumerate().filter_map(|(at, head)| head.as_ref().map(|(t, _)| (*t, at))).min();
        let Some((_, at)) = earliest else { return Ok(()) };
        let next = next_line(&mut tables[at])?;
        if let Some((time, line)) = std::mem::replace(&mut heads[at], next) {
            driver.frame(Some(time).filter(|t| *t != Timestamp::ZERO), SOCKET_MAIN, line.into_bytes())?;
            let frames = driver.stats().frames;
            if frames.is_multiple_of(1_024) {
                progress(frames);
            }
        }
    }
}

/// The next line and its time; 0 if it names none that can be used.
fn next_line(table: &mut Lines) -> Result<Option<(Timestamp, String)>, ImportError> {
    match table.lines.next() {
        None => Ok(None),
        Some(Err(text)) => Err(ImportError::Table(format!("{}: {text}", table.name))),
        Some(Ok(line)) => {
            let digits = line.split_once("\"ts\":").map_or("", |(_, rest)| rest);
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let millis = digits[..end].parse::<i64>().ok().and_then(|ms| ms.checked_mul(1_000_000));
            Ok(Some((millis.and_then(usable).unwrap_or_default(), line)))
        }
    }
}
