//! The driver: what live does, replay does again; what fails leaves no trace; deeds wait for durability.

use bus::{BusError, Driver, FileLog, FileOptions, Limits, Log, MemoryLog, Wiring, replay};
use proptest::prelude::*;
use schemas::{Entry, Stream, Timestamp};

use crate::toy::{Ask, Toy, ask, entry};

type Memory = Driver<MemoryLog, Toy>;

fn driver() -> Memory {
    Driver::new(MemoryLog::default(), Toy::default(), Limits { max_cascade: 50, ..Limits::default() })
}

fn log_of(entries: &[Entry]) -> MemoryLog {
    let mut log = MemoryLog::default();
    log.append(entries).unwrap();
    log
}

fn submit<L: Log>(driver: &mut Driver<L, Toy>, what: &Ask, now: i64) -> Result<bus::Applied, BusError> {
    driver.advance(Timestamp(now))?;
    driver.submit(Stream::Intake, ask(what), Timestamp(now))
}

/// A history with cascades, wakes and forks of time.
fn history() -> Vec<Entry> {
    let mut live = driver();
    for (n, what) in
        [Ask::Add(2), Ask::WakeIn(5), Ask::Add(0), Ask::WakeIn(2), Ask::Add(3)].iter().enumerate()
    {
        submit(&mut live, what, n as i64 * 3).unwrap();
    }
    live.log().entries().to_vec()
}

#[test]
fn a_cascade_is_first_in_first_out_and_carries_its_cause_time() {
    let mut live = driver();
    let applied = submit(&mut live, &Ask::Add(2), 7).unwrap();
    let verdict = |seq, n: u64| entry(seq, 7, Stream::Verdicts, &schemas::encode(&n));
    let market = |seq, n: u64| entry(seq, 7, Stream::Market, &schemas::encode(&n));
    assert_eq!((applied.seq, applied.at), (1, Timestamp(7)));
    assert_eq!(applied.derived, [verdict(2, 20), verdict(3, 21), market(4, 21), market(5, 22)]);
    let applied = submit(&mut live, &Ask::Add(0), 3).unwrap();
    assert_eq!((applied.seq, applied.at), (6, Timestamp(7)), "time never goes back");
    assert_eq!((live.last_seq(), live.log().last()), (6, (6, Timestamp(7))));
}

#[test]
fn deeds_wait_for_the_commit() {
    let mut live = driver();
    submit(&mut live, &Ask::Add(2), 0).unwrap();
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    assert_eq!(live.durable_seq(), 0);
    assert_eq!(live.commit().unwrap(), ["2/0", "2/1", "3/0"]);
    assert_eq!(live.durable_seq(), live.last_seq());
    assert!(live.commit().unwrap().is_empty());
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    assert_eq!(live.take_deeds_unsynced(), ["4/0"]);
}

#[test]
fn a_log_that_fails_gives_no_deeds() {
    let dir = tempfile::tempdir().unwrap();
    let log = FileLog::open(dir.path(), FileOptions { segment_bytes: 200, ..Default::default() }).unwrap();
    let mut live = Driver::new(log, Toy::default(), Limits::default());
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    assert_eq!(live.commit().unwrap(), ["1/0"]);
    for first in 2..60 {
        std::os::unix::fs::symlink("/dev/full", dir.path().join(format!("{first:020}.seg.tmp"))).unwrap();
    }
    let full = (0..60).find_map(|_| submit(&mut live, &Ask::Add(1), 0).err()).unwrap();
    assert_eq!(full.code(), "io");
    assert_eq!(live.commit().unwrap_err().code(), "failed");
    assert_eq!(submit(&mut live, &Ask::Add(1), 0).unwrap_err().code(), "failed");
    drop(live);
    let log = FileLog::open(dir.path(), FileOptions::default()).unwrap();
    let mut again = Driver::new(log, Toy::default(), Limits::default());
    again.recover(None, &mut |_| ()).unwrap();
    submit(&mut again, &Ask::Add(1), 0).unwrap();
    again.commit().unwrap();
}

#[test]
fn wakes_are_served_in_order_and_once() {
    let mut live = driver();
    submit(&mut live, &Ask::WakeIn(10), 0).unwrap();
    submit(&mut live, &Ask::WakeIn(5), 0).unwrap();
    assert_eq!(live.next_wake(), Some(Timestamp(5)));
    assert_eq!(live.advance(Timestamp(4)).unwrap(), 0);
    assert_eq!(live.advance(Timestamp(100)).unwrap(), 2);
    assert_eq!(live.wiring().served, [Timestamp(5), Timestamp(10)]);
    let last = live.log().entries().last().unwrap().clone();
    assert_eq!(last, entry(4, 10, Stream::Intake, &ask(&Ask::Time(Timestamp(10)))));
    submit(&mut live, &Ask::Add(0), 200).unwrap();
    submit(&mut live, &Ask::WakeIn(-50), 200).unwrap();
    assert_eq!(live.advance(Timestamp(200)).unwrap(), 1);
    assert_eq!(live.wiring().served.last(), Some(&Timestamp(200)), "a late wake is served at the log's time");
}

#[test]
fn a_machine_that_never_sleeps_is_stopped() {
    let mut live = driver();
    submit(&mut live, &Ask::Insomnia, 9).unwrap();
    let error = live.advance(Timestamp(9)).unwrap_err();
    assert!(matches!(error, BusError::WakeLoop { at: Timestamp(9), times: 256, .. }), "{error}");
    assert_eq!(live.advance(Timestamp(9)).unwrap_err().code(), "failed");
}

#[test]
fn what_is_refused_leaves_no_trace() {
    let limits = Limits { max_body_bytes: 20, max_deeds: 2, ..Limits::default() };
    let mut live = Driver::new(MemoryLog::default(), Toy::default(), limits);
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    let before = (live.last_seq(), live.wiring().digest());
    let cases = [
        (Stream::Intake, vec![0xFF], "body"),
        (Stream::Raw, vec![], "body"),
        (Stream::Intake, vec![0; 21], "too_large"),
        (Stream::Verdicts, schemas::encode(&1_u64), "derived_only"),
        (Stream::Market, schemas::encode(&1_u64), "derived_only"),
    ];
    for (stream, body, code) in cases {
        let error = live.submit(stream, body, Timestamp(0)).unwrap_err();
        assert_eq!((error.code(), error.is_refusal()), (code, true));
        assert_eq!(
            (live.last_seq(), live.wiring().digest(), live.log().last().0),
            (before.0, before.1, before.0)
        );
    }
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    assert_eq!(submit(&mut live, &Ask::Add(1), 0).unwrap_err().code(), "full", "deeds are bounded");
    assert_eq!(live.commit().unwrap().len(), 2);
    submit(&mut live, &Ask::Add(1), 0).unwrap();
}

#[test]
fn an_endless_cascade_never_reaches_the_log() {
    let mut live = driver();
    submit(&mut live, &Ask::Add(1), 0).unwrap();
    let error = submit(&mut live, &Ask::Babble, 0).unwrap_err();
    assert!(matches!(error, BusError::CascadeTooLong { seq: 4, limit: 50 }), "{error}");
    assert!(matches!(live.commit(), Err(BusError::Failed { first: "cascade_too_long" })));
    assert_eq!(live.log().last().0, 3);
}

#[test]
fn live_equals_replay() {
    let entries = history();
    let mut numbers = Vec::new();
    let mut machines = Toy::default();
    let report = replay(&mut log_of(&entries), &mut machines, &mut |seq| numbers.push(seq)).unwrap();
    assert_eq!((report.entries, report.external, report.missing), (entries.len() as u64, 7, 0));
    assert_eq!(report.external + report.derived, report.entries);
    assert_eq!(report.last, (report.entries, Timestamp(12)));
    assert_eq!(machines.digest(), report.digest);
    assert_eq!(numbers.last(), Some(&report.entries));
}

#[test]
fn a_changed_history_or_program_diverges_by_name() {
    let entries = history();
    let derived: Vec<_> = entries.iter().filter(|e| !Toy::external(e)).map(|e| e.record.seq).collect();
    assert!(derived.len() > 8);
    for seq in derived {
        let mut changed = entries.clone();
        let e = &mut changed[seq as usize - 1];
        e.record.body = schemas::encode(&999_999_u64);
        let stream = e.stream;
        let error = replay(&mut log_of(&changed), &mut Toy::default(), &mut |_| ()).unwrap_err();
        let named = matches!(&error, BusError::Diverged { seq: s, stream: t, expected, actual: Some(actual) }
            if *s == seq && *t == stream && expected != actual);
        assert!(named, "{error}");
        let mut recovering = Driver::new(log_of(&changed), Toy::default(), Limits::default());
        assert_eq!(recovering.recover(None, &mut |_| ()).unwrap_err().code(), "diverged");
        assert_eq!(recovering.commit().unwrap_err().code(), "failed");
    }
    let mut other = Toy { twist: 1, ..Toy::default() };
    let error = replay(&mut log_of(&entries), &mut other, &mut |_| ()).unwrap_err();
    assert!(matches!(error, BusError::Diverged { seq: 2, .. }), "{error}");
}

#[test]
fn a_verdict_nobody_said_diverges() {
    let mut entries = history();
    let (seq, at) = (entries.len() as u64 + 1, 50);
    entries.push(entry(seq, at, Stream::Verdicts, &schemas::encode(&1_u64)));
    let error = replay(&mut log_of(&entries), &mut Toy::default(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, BusError::Diverged { seq: s, actual: None, .. } if s == seq), "{error}");
}

#[test]
fn a_log_with_entries_must_be_recovered_first() {
    let mut late = Driver::new(log_of(&history()), Toy::default(), Limits::default());
    assert_eq!(submit(&mut late, &Ask::Add(1), 0).unwrap_err().code(), "not_recovered");
    assert_eq!(late.commit().unwrap_err().code(), "not_recovered");
    late.recover(None, &mut |_| ()).unwrap();
    submit(&mut late, &Ask::Add(1), 0).unwrap();
    assert_eq!(late.recover(None, &mut |_| ()).unwrap_err().code(), "already_running");
}

#[test]
fn a_crash_within_a_cascade_is_completed() {
    let mut live = driver();
    submit(&mut live, &Ask::Add(1), 1).unwrap();
    live.commit().unwrap();
    let start = live.last_seq();
    submit(&mut live, &Ask::Add(3), 2).unwrap();
    let deeds = live.commit().unwrap();
    let (entries, digest) = (live.log().entries().to_vec(), live.wiring().digest());
    for keep in start as usize + 1..=entries.len() {
        let cut = log_of(&entries[..keep]);
        let report = replay(&mut log_of(&entries[..keep]), &mut Toy::default(), &mut |_| ()).unwrap();
        assert_eq!(report.missing > 0, keep < entries.len());
        let mut again = Driver::new(cut, Toy::default(), Limits::default());
        let recovery = again.recover(None, &mut |_| ()).unwrap();
        assert_eq!(recovery.completed, entries[keep..]);
        assert_eq!(again.log().entries(), entries);
        assert_eq!((recovery.digest, recovery.last), (digest, live.log().last()));
        let expected = if keep < entries.len() { deeds.clone() } else { Vec::new() };
        assert_eq!(recovery.deeds, expected, "only the unfinished cascade's deeds come back");
        assert_eq!(again.durable_seq(), again.last_seq());
        submit(&mut again, &Ask::Add(1), 3).unwrap();
    }
}

fn any_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![(0..5_u8).prop_map(Ask::Add), (0..40_i64).prop_map(Ask::WakeIn)]
}

proptest! {
    #[test]
    fn any_crash_of_any_history_recovers_to_itself(
        asks in proptest::collection::vec((any_ask(), 0..20_i64), 1..40),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut live = driver();
        let mut now = 0;
        for (what, pause) in &asks {
            now += pause;
            submit(&mut live, what, now).unwrap();
        }
        let entries = live.log().entries().to_vec();
        let report = replay(&mut log_of(&entries), &mut Toy::default(), &mut |_| ()).unwrap();
        prop_assert_eq!(report.digest, live.wiring().digest());
        let keep = cut.index(entries.len() + 1);
        let mut again = Driver::new(log_of(&entries[..keep]), Toy::default(), Limits::default());
        let recovery = again.recover(None, &mut |_| ()).unwrap();
        let now_there = again.log().entries().to_vec();
        prop_assert_eq!(&now_there[..], &entries[..now_there.len()], "recovery writes what live wrote");
        let report = replay(&mut log_of(&now_there), &mut Toy::default(), &mut |_| ()).unwrap();
        prop_assert_eq!((report.missing, report.digest), (0, recovery.digest));
    }
}
