//! The importers: what a line is, how files are put in order, how a machine's deeds are answered from a recording.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ingest::archive::{BlockOptions, SegmentHeader, SegmentReader, SegmentWriter, Stamp};
use ingest::import::{
    Driver, DriverStats, Exchange, ImportError, Play, Pool, ReaderKind, Recording, Sink, Tape, sniff_frame,
    unpack,
};
use ingest::venue::VenueMachine;
use ingest::{Deed, Shelf, VenueOutput};
use proptest::prelude::*;
use schemas::{Digest, Machine, Raw, Record, Timestamp, Venue};

const SECOND: i64 = 1_000_000_000;
const T0: i64 = 1_618_678_132 * SECOND;

fn read(text: &str) -> Recording {
    Recording::read("file", text.as_bytes().to_vec()).unwrap()
}

fn frames(recording: &Recording) -> Vec<(Option<i64>, String)> {
    let mut out = Vec::new();
    for item in &recording.items {
        let text = match &item.what {
            ingest::import::What::Connect => "<->".to_owned(),
            ingest::import::What::Frame(payload) => {
                String::from_utf8(recording.bytes(payload).to_vec()).unwrap()
            }
        };
        out.push((item.at.map(|at| at.0), text));
    }
    out
}

#[test]
fn lines_are_read_whatever_their_ends() {
    let a = r#"{"type":"ok","sid":1,"seq":1,"msg":{}}"#;
    let b = r#"{"type":"ok","sid":1, "seq":2,"msg":{"x":"ü"}}"#;
    let want = vec![(None, a.to_owned()), (None, b.to_owned())];
    for text in [
        format!("{a}\n\n{b}\n\n"),
        format!("{a}\n{b}"),
        format!("{a}\r\n\r\n{b}\r\n"),
        format!("\u{feff}{a}\n  {b}  \n \t \n"),
    ] {
        let recording = read(&text);
        assert_eq!(frames(&recording), want, "{text:?}");
        assert!(recording.complaints.is_empty());
        assert_eq!(recording.venue(), Some(Venue::Kalshi));
    }
}

#[test]
fn gzip_and_zstd_are_unpacked() {
    let text = b"{\"type\":\"ok\",\"sid\":1,\"seq\":1,\"msg\":{}}\n".to_vec();
    let mut gz = Vec::new();
    for _ in 0..2 {
        let mut encoder = flate2::write::GzEncoder::new(&mut gz, flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
    }
    assert_eq!(unpack("f", gz.clone()).unwrap(), text.repeat(2), "members one after the other");
    assert_eq!(unpack("f", zstd::encode_all(&text[..], 1).unwrap()).unwrap(), text);
    gz.truncate(gz.len() - 9);
    assert_eq!(unpack("f", gz).unwrap_err().code(), "bad_pack");
}

#[test]
fn captures_keep_times_to_the_nanosecond_and_payloads_to_the_byte() {
    let recording = read(
        "wss://ws.kraken.com <-> 1618678132.368463\n\
         wss://ws.kraken.com <- 1618678132.8: {\"event\":\"subscribe\"}\n\
         1618678132.0633569: [1665,{\"a\": 1},\"book-1000\",\"XBT/CHF\"]\n\
         https://api.binance.com/api/v3/depth?symbol=NKNUSDT&limit=1000 -> 1618678133.5: {\"lastUpdateId\":1}\n\
         configuration: {\"x\":1}\n\
         1618678140: {\"event\":\"heartbeat\"}",
    );
    let got = frames(&recording);
    assert_eq!(got[0], (Some(T0 + 368_463_000), "<->".to_owned()));
    assert_eq!(got[1], (Some(T0 + 63_356_900), "[1665,{\"a\": 1},\"book-1000\",\"XBT/CHF\"]".to_owned()));
    assert_eq!(got[2].0, Some(T0 + 8 * SECOND));
    assert_eq!(recording.notes, 2);
    assert_eq!(recording.exchanges[0].at, Some(Timestamp(T0 + 1_500_000_000)));
    assert_eq!(recording.exchanges[0].body, b"{\"lastUpdateId\":1}");
    assert_eq!(recording.frames(), 3);
}

#[test]
fn wrapped_frames_rest_exchanges_rows_and_prices_are_known_by_their_content() {
    let wrapped = read(
        "{\"recv_ms\":1618678132000,\"frame\":\"{\\\"event_type\\\":\\\"book\\\"}\"}\n\
         {\"recv_ns\":1618678132000000007,\"frame\":{\"event_type\": \"book\"}}\nPONG\n",
    );
    let want = [
        (Some(T0), "{\"event_type\":\"book\"}".to_owned()),
        (Some(T0 + 7), "{\"event_type\": \"book\"}".to_owned()),
        (None, "PONG".to_owned()),
    ];
    assert_eq!(frames(&wrapped), want);
    assert_eq!(wrapped.venue(), Some(Venue::Polymarket));
    let rest = read(
        r#"{"method":"GET","request_body":"","response_body":"{\"a\":\"b\"}","status":200,"url":"https://demo-api.kalshi.co/trade-api/v2/markets/X/orderbook"}"#,
    );
    assert_eq!((rest.exchanges[0].body.as_slice(), rest.exchanges[0].status), (&b"{\"a\":\"b\"}"[..], 200));
    assert_eq!(rest.venue(), Some(Venue::Kalshi));
    let rows = read(r#"{"ts":1618678132000,"slug":"x","bid":"0.41","ask":null}"#);
    assert_eq!((rows.reader(), rows.items[0].at), (ReaderKind::Rows, Some(Timestamp(T0))));
    let prices = Recording::read(
        "dir/BTCUSD-prices-2026.csv",
        b"feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms\n1618678132000,1,1000000000000000000,1618678132500,1618678132900\nx,y\n".to_vec(),
    )
    .unwrap();
    assert_eq!(prices.reader(), ReaderKind::Index);
    let line = "{\"symbol\":\"btcusd\",\"feed_ts_ms\":1618678132000,\"atoms\":\"1000000000000000000\",\"server_ts_ms\":1618678132500}";
    assert_eq!(frames(&prices), [(Some(T0 + 900_000_000), line.to_owned())]);
    assert_eq!((prices.complaints[0].line, prices.complaints[0].code), (3, "bad_row"));
    let pretty = read("{\n  \"event_type\": \"book\",\n  \"bids\": [\n    {\"price\": \"1\"}\n  ]\n}\n");
    assert_eq!(pretty.items.len(), 1, "one value over many lines is one frame");
}

#[test]
fn what_cannot_be_read_is_reported_by_line_and_code() {
    let recording = read(
        "{\"type\":\"ok\",\"sid\":1,\"seq\":1,\"msg\":{}}\n{\"type\":\"ok\"\nhello world\nx\n1618678132.5:\n\
         1618678132.5: \n99999999999999: {}\nwss://x <-> soon\n[1,\n\
         {\"url\":\"u\",\"status\":\"x\",\"response_body\":1}\n{\"recv_ms\":5,\"frame\":{}}\n",
    );
    let got: Vec<_> = recording.complaints.iter().map(|c| (c.line, c.code)).collect();
    let want = [
        (2, "not_json"),
        (3, "unknown_line"),
        (4, "unknown_line"),
        (5, "unknown_line"),
        (6, "unknown_line"),
        (7, "bad_time"),
        (8, "bad_time"),
        (9, "not_json"),
        (10, "bad_exchange"),
        (11, "bad_time"),
    ];
    assert_eq!(got, want);
    assert_eq!(recording.items.len(), 1);
    let mut bytes = b"{\"type\":\"ok\",\"sid\":1,\"seq\":1,\"msg\":{}}\n\xff\xfe\n".to_vec();
    assert_eq!(Recording::read("f", bytes.clone()).unwrap().complaints[0].code, "not_text");
    bytes.push(0);
    assert_eq!(Recording::read("f", bytes).unwrap_err().code(), "unknown_format");
    assert_eq!(Recording::read("f", vec![0xff; 100]).unwrap_err().code(), "unknown_format");
}

#[test]
fn venues_are_known_by_their_frames() {
    for (frame, venue) in [
        (r#"{"type":"subscribed","id":2,"msg":{"channel":"orderbook_delta","sid":1}}"#, Some(Venue::Kalshi)),
        (r#"[{"event_type":"book","asset_id":"1"}]"#, Some(Venue::Polymarket)),
        (r#"{"market":"0x","price_changes":[]}"#, Some(Venue::Polymarket)),
        (r#"{"type":"l2update","product_id":"A-B","changes":[]}"#, Some(Venue::Coinbase)),
        (r#"{"channel":"l2_data","events":[],"sequence_num":1}"#, Some(Venue::Coinbase)),
        (r#"{"channel":"book","type":"update","data":[]}"#, Some(Venue::Kraken)),
        (r#"{"event":"heartbeat"}"#, Some(Venue::Kraken)),
        (r#"{"stream":"x@depth","data":{"e":"depthUpdate","U":1,"u":2}}"#, Some(Venue::Binance)),
        (
            r#"{"stream":"x@depth","data":{"e":"depthUpdate","U":1,"u":2,"pu":0}}"#,
            Some(Venue::BinanceFutures),
        ),
        (r#"{"hello":1}"#, None),
        ("[]", None),
        ("", None),
    ] {
        assert_eq!(sniff_frame(frame.as_bytes()), venue, "{frame}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let _ = Recording::read("f", bytes.clone());
        let _ = Recording::read("f", text.clone().into_bytes());
        let _ = Recording::read("f", format!("1618678132.5: {text}\n{{\"frame\":{text}").into_bytes());
        let _ = unpack("f", bytes);
    }
}

#[test]
fn an_exchange_answers_by_path_and_symbol_once_in_the_order_of_times() {
    let exchange = |at: i64, url: &str| Exchange {
        at: Some(Timestamp(at)),
        url: url.to_owned(),
        post: false,
        status: 200,
        body: at.to_string().into_bytes(),
    };
    let mut pool = Pool::new(vec![
        exchange(9, "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"),
        exchange(5, "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"),
        exchange(1, "https://api.binance.com/api/v3/depth?symbol=ETHUSDT&limit=5000"),
        exchange(2, "https://demo-api.kalshi.co/trade-api/v2/markets/X-1/orderbook"),
    ]);
    let mut take = |path: &str| pool.take(path, false).map(|e| e.at.unwrap().0);
    assert_eq!(take("/api/v3/depth?symbol=XRPUSDT&limit=1000"), None);
    assert_eq!(take("/depth?symbol=ETHUSDT&limit=100"), Some(1), "how much was asked for does not matter");
    assert_eq!(take("/api/v3/depth?symbol=BTCUSDT&limit=1000"), Some(5));
    assert_eq!(take("/api/v3/depth?symbol=BTCUSDT&limit=1000"), Some(9));
    assert_eq!(take("/api/v3/depth?symbol=BTCUSDT&limit=1000"), None, "an answer is given once");
    assert_eq!(take("/X-1/orderbook?depth=0"), Some(2));
    assert_eq!(take(""), None);
}

/// A machine that writes down what it gets and says deeds when told.
#[derive(Default)]
struct Probe {
    shelf: Shelf,
    log: Rc<RefCell<String>>,
    /// What it says at its n-th record.
    script: Vec<(usize, Deed)>,
    seen: usize,
    wake: Option<Timestamp>,
}

impl Machine for Probe {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = record.at.0 - T0;
        let what = match &record.body {
            Raw::Connected { conn } => format!("connected {conn}"),
            Raw::Frame { conn, bytes } => format!("frame {conn} {}", String::from_utf8_lossy(bytes)),
            Raw::Closed { conn, .. } => format!("closed {conn}"),
            Raw::Rest(r) => format!("rest {} {} {}", r.request, r.status, String::from_utf8_lossy(&r.bytes)),
            Raw::TimeAdvanced { .. } => "time".to_owned(),
        };
        writeln!(self.log.borrow_mut(), "{} {at} {what}", record.seq).unwrap();
        if self.wake.is_some_and(|wake| wake <= record.at) {
            self.wake = None;
        }
        let due = self.script.iter().filter(|(at, _)| *at == self.seen);
        out.extend(due.map(|(_, deed)| VenueOutput::Deed(deed.clone())));
        self.seen += 1;
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.wake
    }

    fn digest(&self) -> Digest {
        Digest::of(self.log.borrow().as_bytes())
    }
}

impl VenueMachine for Probe {
    fn venue(&self) -> Venue {
        Venue::Binance
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

/// Keeps records in a segment.
struct Segment(SegmentWriter<Vec<u8>>, bool);

impl Segment {
    fn new() -> Self {
        let header = SegmentHeader {
            venue: Venue::Binance,
            source: ReaderKind::Wire.source().to_owned(),
            first_seq: 1,
            before: Digest::default(),
        };
        Self(SegmentWriter::create(Vec::new(), "segment", &header, BlockOptions::default()).unwrap(), true)
    }
}

impl Sink for Segment {
    fn record(&mut self, stamp: Stamp, raw: &Raw) -> Result<u64, ImportError> {
        let fresh = std::mem::replace(&mut self.1, false);
        Ok(self.0.append(&stamp, fresh, raw)?.0)
    }
}

fn fetch(request: u32, path: &str) -> Deed {
    Deed::Fetch { request, host: 0, path: path.to_owned(), body: None }
}

#[test]
fn deeds_are_answered_from_the_recording_at_their_time_and_everything_is_kept() {
    let log = Rc::new(RefCell::new(String::new()));
    let probe = Probe {
        log: log.clone(),
        script: vec![
            (0, Deed::Connect { conn: 1, socket: 0 }),
            (1, fetch(1, "/depth?symbol=A")),
            (1, fetch(2, "/depth?symbol=NONE")),
            (3, fetch(3, "/depth?symbol=B")),
            (3, Deed::Send { conn: 1, text: "x".to_owned() }),
            (8, Deed::Connect { conn: 2, socket: 0 }),
        ],
        wake: Some(Timestamp(T0 + 3)),
        ..Probe::default()
    };
    let url = |symbol: &str| format!("https://h/depth?symbol={symbol}");
    let exchange = |at: i64, symbol: &str| Exchange {
        at: Some(Timestamp(T0 + at)),
        url: url(symbol),
        post: false,
        status: 200,
        body: symbol.as_bytes().to_vec(),
    };
    let pool = Pool::new(vec![exchange(7, "A"), exchange(1, "B"), exchange(2, "UNASKED")]);
    let tape = Tape::with(ReaderKind::Wire, Venue::Binance, Box::new(probe));
    let mut driver = Driver::new(tape, pool, Segment::new());
    let at = |ns: i64| Some(Timestamp(T0 + ns));
    driver.start(Timestamp(T0)).unwrap();
    driver.frame(at(5), 0, b"one".to_vec()).unwrap();
    driver.frame(at(4), 0, b"two".to_vec()).unwrap();
    driver.reconnect(at(8)).unwrap();
    driver.frame(at(9), 0, b"three".to_vec()).unwrap();
    let (stats, tape, segment) = driver.finish().unwrap();
    let want = "1 0 time\n2 0 connected 1\n3 0 rest 2 0 the recording has no answer\n4 3 time\n\
                5 3 rest 3 200 B\n6 5 frame 1 one\n7 5 frame 1 two\n8 7 rest 1 200 A\n9 7 closed 1\n\
                10 7 connected 2\n11 9 frame 2 three\n12 9 rest 4294967295 200 UNASKED\n";
    assert_eq!(*log.borrow(), want);
    let DriverStats { frames, answered, unasked, unanswered, sends, reconnects, .. } = stats;
    assert_eq!((frames, answered, unasked, unanswered, sends, reconnects), (6, 2, 1, 1, 1, 1));
    // The archive has all of it, with the recording's own times, and the same order and clock come out of it.
    let bytes = segment.0.finish().unwrap().0;
    let replayed = Rc::new(RefCell::new(String::new()));
    let again = Probe { log: replayed.clone(), ..Probe::default() };
    let mut tape_again = Tape::with(ReaderKind::Wire, Venue::Binance, Box::new(again));
    let mut reader = SegmentReader::open(&bytes[..], "segment").unwrap().unwrap();
    let mut walls = Vec::new();
    while let Some(seen) = reader.next().unwrap() {
        if seen.stamp.wall != Timestamp::ZERO {
            walls.push(seen.stamp.wall.0 - T0);
        }
        let on_row = &mut |_: &schemas::TapeRow, _: &[u8]| Ok::<(), ()>(());
        tape_again.apply(seen.record, seen.fresh, &mut Vec::new(), on_row).unwrap();
    }
    assert_eq!(*replayed.borrow(), *log.borrow());
    assert_eq!(walls, [1, 5, 4, 7, 9, 2], "verbatim, although one goes back and bodies are held");
    assert_eq!(tape_again.digest(), tape.digest());
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is absent", path.display());
    None
}

fn import(recordings: Vec<Recording>, venue: Venue) -> (DriverStats, Tape) {
    let mut play = Play::new(recordings, Vec::new(), venue).unwrap();
    let exchanges = play.take_exchanges();
    let first = play.first_at(&exchanges);
    let tape = Tape::new(play.kind(), play.venue());
    let mut driver = Driver::new(tape, Pool::new(exchanges), Segment::new());
    driver.start(first).unwrap();
    play.run(&mut driver, &mut |_| ()).unwrap();
    let (stats, tape, _) = driver.finish().unwrap();
    (stats, tape)
}

#[test]
fn a_kalshi_session_cut_in_two_and_given_backwards_is_one_connection() {
    let name = "kalshi/jfreun123_kalshi-market-maker__ws-session_2026-07-01_first3900lines.jsonl";
    let Some(path) = shared(name) else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let cut = text.match_indices('\n').nth(2_000).unwrap().0 + 1;
    let (_, whole) = import(vec![read(&text)], Venue::Kalshi);
    let (stats, halves) = import(vec![read(&text[cut..]), read(&text[..cut])], Venue::Kalshi);
    assert_eq!((stats.frames, stats.reconnects), (1_950, 0));
    assert_eq!(halves.counts().gaps, 0);
    assert_eq!(halves.digest(), whole.digest());
    // Twice the same session is two connections: every book of the first is lost once, and none is wrong.
    let (stats, twice) = import(vec![read(&text), read(&text)], Venue::Kalshi);
    assert_eq!((stats.frames, stats.reconnects), (3_900, 1));
    assert_eq!((twice.counts().gaps, twice.counts().crossed, twice.counts().negative_levels), (5, 0, 0));
}

#[test]
fn the_order_of_files_with_times_does_not_matter() {
    let names = ["48", "49", "50"].map(|n| format!("crypto-ws/cryptofeed_sample_data__KRAKEN.ws.{n}.0"));
    let paths: Option<Vec<_>> = names.iter().map(|name| shared(name)).collect();
    let Some(paths) = paths else { return };
    let load = |path: &PathBuf| Recording::read("file", std::fs::read(path).unwrap()).unwrap();
    let (_, forwards) = import(paths.iter().map(load).collect(), Venue::Kraken);
    let (_, backwards) = import(paths.iter().rev().map(load).collect(), Venue::Kraken);
    assert_eq!(forwards.digest(), backwards.digest());
    assert_eq!(forwards.counts().checksums_ok, 4_269);
}

#[test]
fn another_venues_files_are_refused() {
    let kraken = read("1618678132.5: {\"event\":\"heartbeat\"}");
    let error = Play::new(vec![kraken], Vec::new(), Venue::Kalshi).err().unwrap();
    assert_eq!(error.code(), "wrong_venue");
    let unknown = read("{\"hello\":1}");
    assert_eq!(Play::new(vec![unknown], Vec::new(), Venue::Kalshi).err().unwrap().code(), "nothing_read");
    let rows = read(r#"{"ts":1618678132000,"slug":"x","bid":"0.41","ask":null}"#);
    let wire = read(r#"{"event_type":"book"}"#);
    assert_eq!(
        Play::new(vec![rows, wire], Vec::new(), Venue::Polymarket).err().unwrap().code(),
        "mixed_recordings"
    );
    assert_eq!(Play::new(vec![read("")], Vec::new(), Venue::Kalshi).err().unwrap().code(), "nothing_read");
}
