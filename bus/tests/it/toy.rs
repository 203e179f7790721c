//! Small machines with cascades, deeds and wakes, and small entries; never part of the product.

use bus::{BusError, Outbox, Wiring};
use minicbor::{Decode, Encode};
use schemas::{Digest, Entry, Record, Snapshot, Stream, Timestamp};

pub(crate) fn entry(seq: u64, at: i64, stream: Stream, body: &[u8]) -> Entry {
    Entry { stream, record: Record { seq, at: Timestamp(at), body: body.to_vec() } }
}

/// `count` entries of several streams and sizes from `first` on.
pub(crate) fn entries(first: u64, count: u64) -> Vec<Entry> {
    let body = |n: u64| vec![n as u8; (n * 7 % 40) as usize];
    (first..first + count).map(|n| entry(n, n as i64 / 2, Stream::ALL[n as usize % 5], &body(n))).collect()
}

/// What an input asks of the [`Toy`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Ask {
    /// Add and tell `n` verdicts, each of which tells one market fact; do `n` deeds.
    #[n(0)]
    Add(#[n(0)] u8),
    /// Wake after so many ns.
    #[n(1)]
    WakeIn(#[n(0)] i64),
    /// The time was reached.
    #[n(2)]
    Time(#[n(0)] Timestamp),
    /// Say something for ever.
    #[n(3)]
    Babble,
    /// Ask for a wake that was served, for ever.
    #[n(4)]
    Insomnia,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Toy {
    #[n(0)]
    pub(crate) sum: u64,
    #[n(1)]
    pub(crate) seen: u64,
    #[n(2)]
    pub(crate) wakes: Vec<Timestamp>,
    #[n(3)]
    pub(crate) served: Vec<Timestamp>,
    #[n(4)]
    pub(crate) sleepless: bool,
    /// Changes what the toy says, but not its state: another version of the program.
    #[n(5)]
    pub(crate) twist: u8,
}

pub(crate) fn ask(ask: &Ask) -> Vec<u8> {
    schemas::encode(ask)
}

fn decode<'b, T: Decode<'b, ()>>(entry: &'b Entry) -> Result<T, BusError> {
    schemas::decode(&entry.record.body).map_err(|source| BusError::Body {
        seq: entry.record.seq,
        stream: entry.stream,
        source,
    })
}

impl Wiring for Toy {
    type Deed = String;

    fn apply(&mut self, entry: &Entry, out: &mut Outbox<String>) -> Result<(), BusError> {
        match entry.stream {
            Stream::Verdicts => {
                let n: u64 = decode(entry)?;
                self.seen = self.seen.wrapping_add(n);
                let (stream, n) =
                    if n == u64::MAX >> 1 { (Stream::Verdicts, n) } else { (Stream::Market, n + 1) };
                out.records.push((stream, schemas::encode(&n)));
            }
            Stream::Market => self.seen ^= decode::<u64>(entry)?,
            _ => self.input(&decode(entry)?, entry.record.at, out),
        }
        Ok(())
    }

    fn wake(&self) -> Option<(Timestamp, Stream)> {
        self.wakes.iter().min().map(|at| (*at, Stream::Intake))
    }

    fn time_advanced(_: Stream, to: Timestamp) -> Vec<u8> {
        ask(&Ask::Time(to))
    }

    fn digest(&self) -> Digest {
        Digest::of(&Snapshot::save(self))
    }

    fn save(&self) -> Vec<(String, Vec<u8>)> {
        vec![("toy".to_owned(), Snapshot::save(self))]
    }

    fn load(&mut self, states: &[(String, Vec<u8>)]) -> Result<(), BusError> {
        let [(name, bytes)] = states else { return Err(BusError::StateNames { name: "toy".to_owned() }) };
        let loaded = <Self as Snapshot>::load(bytes);
        *self = loaded.map_err(|source| BusError::State { name: name.clone(), source })?;
        Ok(())
    }
}

impl Toy {
    fn input(&mut self, input: &Ask, at: Timestamp, out: &mut Outbox<String>) {
        match *input {
            Ask::Add(n) => {
                self.sum += u64::from(n);
                for k in 0..n {
                    let said = self.sum * 10 + u64::from(k) + u64::from(self.twist);
                    out.records.push((Stream::Verdicts, schemas::encode(&said)));
                    out.deeds.push(format!("{}/{k}", self.sum));
                }
            }
            Ask::WakeIn(ns) => self.wakes.push(at.plus(ns)),
            Ask::Time(to) => {
                self.served.push(to);
                if !self.sleepless {
                    self.wakes.retain(|wake| *wake > to);
                }
            }
            Ask::Babble => out.records.push((Stream::Verdicts, schemas::encode(&(u64::MAX >> 1)))),
            Ask::Insomnia => {
                self.sleepless = true;
                self.wakes.push(at);
            }
        }
    }
}
