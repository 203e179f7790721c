//! Group commit: many producers share one sync, and nobody hears of it before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use bus::{BusError, Driver, GroupCommit, GroupOptions, Limits, Log, MemoryLog, NoMachines};
use schemas::{Entry, Stream, Timestamp};

use crate::toy::{Ask, Toy, ask};

/// A memory log that counts its syncs and says how far it synced.
struct Counting {
    inner: MemoryLog,
    syncs: Arc<AtomicU64>,
    durable: Arc<AtomicU64>,
}

impl Log for Counting {
    fn append(&mut self, entries: &[Entry]) -> Result<(), BusError> {
        self.inner.append(entries)
    }

    fn sync(&mut self) -> Result<u64, BusError> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        let seq = self.inner.sync()?;
        self.durable.store(seq, Ordering::SeqCst);
        Ok(seq)
    }

    fn read(&mut self, from: u64, max: usize) -> Result<Vec<Entry>, BusError> {
        self.inner.read(from, max)
    }

    fn last(&self) -> (u64, Timestamp) {
        self.inner.last()
    }
}

#[test]
fn a_thousand_acknowledgements_share_one_sync() {
    let (syncs, durable) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let log =
        Counting { inner: MemoryLog::default(), syncs: Arc::clone(&syncs), durable: Arc::clone(&durable) };
    let (all_queued, wait) = channel::<()>();
    let clock = move || {
        wait.recv().unwrap(); // the first group is taken when everybody has queued up
        Timestamp(5)
    };
    let driver = Driver::new(log, NoMachines, Limits::default());
    let (submitter, commit) = GroupCommit::start(driver, GroupOptions::default(), clock, |_| ()).unwrap();
    let (tell, acks) = channel();
    for n in 0..1024_u32 {
        let (tell, durable) = (tell.clone(), Arc::clone(&durable));
        let ack = move |ack: Result<bus::Ack, BusError>| {
            tell.send((n, ack.unwrap(), durable.load(Ordering::SeqCst))).unwrap();
        };
        submitter.submit(Stream::Intake, n.to_le_bytes().to_vec(), ack).unwrap();
    }
    all_queued.send(()).unwrap();
    drop((submitter, tell));
    let mut driver = commit.finish().unwrap();
    let acks: Vec<_> = acks.iter().collect();
    assert_eq!(acks.len(), 1024);
    for (n, ack, durable) in acks {
        assert!(ack.seq <= durable, "nobody hears of a record before it is durable");
        assert_eq!(driver.log_mut().read(ack.seq, 1).unwrap()[0].record.body, n.to_le_bytes());
    }
    assert_eq!(syncs.load(Ordering::SeqCst), 1);
}

#[test]
fn refusals_and_deeds_come_through() {
    let driver = Driver::new(MemoryLog::default(), Toy::default(), Limits::default());
    let (did, deeds) = channel();
    let on_deeds = move |done: Vec<String>| done.into_iter().for_each(|d| did.send(d).unwrap());
    let (submitter, commit) =
        GroupCommit::start(driver, GroupOptions::default(), || Timestamp(1), on_deeds).unwrap();
    let (tell, codes) = channel();
    for body in [ask(&Ask::Add(1)), vec![0xFF], ask(&Ask::Add(2))] {
        let tell = tell.clone();
        let code = move |ack: Result<bus::Ack, BusError>| {
            tell.send(ack.map_or_else(|e| e.code(), |_| "ok")).unwrap();
        };
        submitter.submit(Stream::Intake, body, code).unwrap();
    }
    drop((submitter, tell));
    let driver = commit.finish().unwrap();
    let mut codes: Vec<_> = codes.iter().collect();
    codes.sort_unstable();
    assert_eq!(codes, ["body", "ok", "ok"]);
    assert_eq!(deeds.iter().collect::<Vec<_>>(), ["1/0", "3/0", "3/1"]);
    assert_eq!(driver.wiring().sum, 3);
}

#[test]
fn a_full_queue_refuses_and_a_stopped_one_says_so() {
    let (go, wait) = channel::<()>();
    let (started, running) = channel::<()>();
    let clock = move || {
        started.send(()).unwrap();
        wait.recv().unwrap();
        Timestamp(0)
    };
    let driver = Driver::new(MemoryLog::default(), NoMachines, Limits::default());
    let options = GroupOptions { queue: 2, max_batch: 1 };
    let (submitter, commit) = GroupCommit::start(driver, options, clock, |_| ()).unwrap();
    let put = |submitter: &bus::Submitter| submitter.try_submit(Stream::Raw, vec![], |_| ());
    put(&submitter).unwrap();
    running.recv().unwrap(); // the first is taken
    put(&submitter).unwrap();
    put(&submitter).unwrap();
    let full = put(&submitter).unwrap_err();
    assert!(matches!(full, BusError::Full { limit: 2, .. }), "{full}");
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    drop(submitter);
    assert_eq!(commit.finish().unwrap().last_seq(), 3);
}
