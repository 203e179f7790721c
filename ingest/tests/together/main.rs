//! Several machines as one say what each of them says alone, under numbers that never meet.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use ingest::together::Together;
use ingest::venue::VenueMachine as _;
use ingest::venue::polymarket::{RtdsV1, RtdsV1Config};
use ingest::{Counts, Deed, VenueOutput};
use proptest::prelude::*;
use schemas::{InstrumentNo, Machine as _, Raw, Record, TapeBody, TapeRow, Timestamp};

const SECOND: i64 = 1_000_000_000;
const SYMBOLS: [&str; 3] = ["btc/usd", "eth/usd", "sol/usd"];

/// Each part follows two streams of its own.
fn part(at: usize) -> RtdsV1 {
    let topics = ["crypto_prices_chainlink", "crypto_prices"];
    let streams = topics.map(|topic| (topic.to_owned(), SYMBOLS[at].to_owned()));
    let config = RtdsV1Config::new(streams);
    let link = ingest::link::LinkConfig { seed: [at as u8 + 1; 32], ..config.link };
    RtdsV1::new(RtdsV1Config { link, ..config })
}

/// What happens to one part's newest connection, or to the clock.
#[derive(Clone, Debug)]
enum Event {
    Value { part: usize, topic: usize, cents: u32 },
    Nonsense { part: usize },
    Cut { part: usize },
    Wait { seconds: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..3_usize, 0..2_usize, 1..9_999_u32)
            .prop_map(|(part, topic, cents)| Event::Value { part, topic, cents }),
        1 => (0..3_usize).prop_map(|part| Event::Nonsense { part }),
        1 => (0..3_usize).prop_map(|part| Event::Cut { part }),
        2 => (1..40_i64).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

fn frame(part: usize, topic: usize, cents: u32, ms: i64) -> Vec<u8> {
    let (name, symbol) = (["crypto_prices_chainlink", "crypto_prices"][topic], SYMBOLS[part]);
    let (whole, rest) = (cents / 100, cents % 100);
    format!(
        r#"{{"topic":"{name}","type":"update","timestamp":{ms},"payload":{{"symbol":"{symbol}","timestamp":{ms},"value":{whole}.{rest:02}1,"full_accuracy_value":"{whole}.{rest:02}1"}}}}"#
    )
    .into_bytes()
}

/// Rows with the instrument's name instead of its number, per stream.
#[derive(Default)]
struct Rows {
    names: BTreeMap<InstrumentNo, String>,
    rows: BTreeMap<String, Vec<TapeRow>>,
}

impl Rows {
    fn take(&mut self, mut row: TapeRow) {
        if let TapeBody::Instrument(instrument) = &row.body {
            self.names.insert(row.instrument, instrument.native.clone());
        }
        let name = self.names[&row.instrument].clone();
        row.instrument = InstrumentNo::NONE;
        self.rows.entry(name).or_default().push(row);
    }
}

/// A world for one machine of machines and for each part alone; both get the same records at the same times.
struct World {
    together: Together<RtdsV1>,
    alone: Vec<RtdsV1>,
    rows: [Rows; 2],
    newest: [Option<u32>; 3],
    used: BTreeSet<u32>,
    now: i64,
    seq: u64,
}

impl World {
    fn new() -> Self {
        let parts = || (0..3).map(part).collect::<Vec<_>>();
        let together = Together::new(parts()).unwrap();
        let rows = [Rows::default(), Rows::default()];
        let (newest, used) = ([None; 3], BTreeSet::new());
        Self { together, alone: parts(), rows, newest, used, now: 1_800_000_000 * SECOND, seq: 0 }
    }

    /// `body` under a part's own connection number; `None` is the clock.
    fn tell(&mut self, to: Option<&(usize, Raw)>) {
        self.seq += 1;
        let (seq, at) = (self.seq, Timestamp(self.now));
        let clock = Raw::TimeAdvanced { to: at };
        let outer = match to {
            Some((part, body)) => renumber(body.clone(), 3, *part as u32),
            None => clock.clone(),
        };
        let mut deeds = Vec::new();
        let mut out = Vec::new();
        self.together.apply(&Record { seq, at, body: outer }, &mut out);
        for said in out.drain(..) {
            match said {
                VenueOutput::Row(row) => self.rows[0].take(row),
                VenueOutput::Deed(deed) => deeds.push(deed),
            }
        }
        let mut expected = Vec::new();
        for (no, alone) in self.alone.iter_mut().enumerate() {
            let body = match to {
                Some((part, body)) if *part == no => body.clone(),
                Some(_) => continue,
                None => clock.clone(),
            };
            alone.apply(&Record { seq, at, body }, &mut out);
            for said in out.drain(..) {
                match said {
                    VenueOutput::Row(mut row) => {
                        row.instrument.0 += 1_000 * no as u32;
                        self.rows[1].take(row);
                    }
                    VenueOutput::Deed(deed) => expected.push((no, deed)),
                }
            }
        }
        assert_eq!(deeds.len(), expected.len());
        for (deed, (no, alone)) in deeds.into_iter().zip(expected) {
            self.same(&deed, no, &alone);
        }
    }

    /// The deed is the part's own under its outer number; what is asked for comes.
    fn same(&mut self, deed: &Deed, part: usize, alone: &Deed) {
        let outer = |no: u32| no * 3 + part as u32;
        match (deed, alone) {
            (Deed::Connect { conn, socket }, Deed::Connect { conn: inner, socket: same }) => {
                assert_eq!((*conn, socket), (outer(*inner), same));
                assert!(self.used.insert(*conn), "a number is never used twice");
                self.newest[part] = Some(*inner);
                self.tell(Some(&(part, Raw::Connected { conn: *inner })));
            }
            (Deed::Send { conn, text }, Deed::Send { conn: inner, text: same }) => {
                assert_eq!((*conn, text), (outer(*inner), same));
            }
            (Deed::Close { conn }, Deed::Close { conn: inner }) => assert_eq!(*conn, outer(*inner)),
            other => panic!("{other:?}"),
        }
    }

    fn happen(&mut self, event: &Event) {
        self.now += SECOND / 10;
        let newest = self.newest;
        let bytes = match event {
            Event::Value { part, topic, cents } => {
                Some((*part, frame(*part, *topic, *cents, self.now / 1_000_000)))
            }
            Event::Nonsense { part } => Some((*part, b"{\"topic\":\"crypto_prices\"".to_vec())),
            _ => None,
        };
        if let Some((part, bytes)) = bytes
            && let Some(conn) = newest[part]
        {
            self.tell(Some(&(part, Raw::Frame { conn, bytes })));
        }
        match event {
            Event::Cut { part } => {
                if let Some(conn) = newest[*part] {
                    self.tell(Some(&(*part, Raw::Closed { conn, reason: "cut".to_owned() })));
                }
            }
            Event::Wait { seconds } => {
                let until = self.now + seconds * SECOND;
                while let Some(due) = self.together.wake_at().filter(|due| due.0 <= until) {
                    let alone = self.alone.iter().filter_map(schemas::Machine::wake_at).min();
                    assert_eq!(Some(due), alone);
                    self.now = self.now.max(due.0);
                    self.tell(None);
                }
                self.now = until;
            }
            _ => {}
        }
    }
}

fn renumber(mut body: Raw, parts: u32, part: u32) -> Raw {
    if let Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } = &mut body {
        *conn = *conn * parts + part;
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn parts_say_together_what_they_say_alone(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        world.tell(None);
        for event in &events {
            world.happen(event);
        }
        let [together, alone] = &world.rows;
        prop_assert_eq!(&together.rows, &alone.rows);
        let counts = world.alone.iter().map(|part| part.shelf().counts).fold(Counts::default(), Counts::plus);
        let shelf = world.together.shelf();
        prop_assert_eq!(shelf.counts, counts);
        let slots = world.alone.iter().flat_map(|part| part.shelf().slots());
        let mut known = 0;
        for (_, slot) in slots {
            let ours = shelf.by_name(&slot.instrument.native).unwrap();
            prop_assert_eq!((&ours.instrument, &ours.book, ours.state), (&slot.instrument, &slot.book, slot.state));
            known += 1;
        }
        prop_assert_eq!(shelf.len(), known);
        for (part, alone) in world.together.parts().iter().zip(&world.alone) {
            prop_assert_eq!(part.digest(), alone.digest());
        }
    }
}

/// The property above would hold of machines that say nothing.
#[test]
fn values_and_gaps_are_said() {
    let mut world = World::new();
    world.tell(None);
    world.happen(&Event::Value { part: 1, topic: 0, cents: 250 });
    world.happen(&Event::Cut { part: 1 });
    world.happen(&Event::Wait { seconds: 30 });
    world.happen(&Event::Value { part: 1, topic: 0, cents: 251 });
    let rows = &world.rows[0].rows["crypto_prices_chainlink:eth/usd"];
    let count = |of: fn(&TapeBody) -> bool| rows.iter().filter(|row| of(&row.body)).count();
    assert_eq!(count(|body| matches!(body, TapeBody::Index(_))), 2);
    assert_eq!(count(|body| matches!(body, TapeBody::Clear)), 1);
    assert_eq!(world.together.shelf().counts.gaps, 1);
}
