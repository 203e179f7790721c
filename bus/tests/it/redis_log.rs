//! The Redis log against a real server: fences, leases, lost answers, lost data, followers.

use std::time::Duration;

use bus::{BusError, Log, NoMachines, RedisLog, RedisOptions, RedisTail, frame, replay};

use crate::redis_server::RedisServer;
use crate::toy::{entries, entry};

fn options(server: &RedisServer) -> RedisOptions {
    RedisOptions { timeout: Duration::from_millis(500), ..RedisOptions::new(&server.url(), "test") }
}

/// What the time to live does, without waiting for it.
fn expire_lease(server: &RedisServer) {
    let gone: u8 = redis::cmd("DEL").arg("{test}:v1:lease").query(&mut server.connection()).unwrap();
    assert_eq!(gone, 1);
}

fn raw_add(server: &RedisServer, id: &str, payload: &[u8]) -> Result<String, redis::RedisError> {
    let mut command = redis::cmd("XADD");
    command.arg("{test}:v1:journal").arg(id).arg("p").arg(payload).query(&mut server.connection())
}

fn payload_of(e: &schemas::Entry) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_payload(e, &mut out);
    out
}

#[test]
fn a_stale_writer_is_fenced_out() {
    let Some(server) = RedisServer::start() else { return };
    let mut old = RedisLog::open(options(&server)).unwrap();
    old.append(&entries(1, 5)).unwrap();
    old.sync().unwrap();
    let held = RedisLog::open(options(&server)).map(|_| ()).unwrap_err();
    assert!(matches!(held, BusError::LeaseHeld { holder } if holder == old.fence()), "{held}");

    old.append(&entries(6, 2)).unwrap(); // waits in memory while the lease ends
    expire_lease(&server);
    let mut new = RedisLog::open(options(&server)).unwrap();
    assert!(new.fence() > old.fence());
    assert_eq!(new.last().0, 5);

    let by_redis = raw_add(&server, &format!("{}-6", old.fence()), b"stale").unwrap_err();
    assert!(by_redis.to_string().contains("equal or smaller"), "Redis itself refuses: {by_redis}");
    let stale = old.sync().unwrap_err();
    assert!(matches!(stale, BusError::StaleFence { newer, .. } if newer == new.fence()), "{stale}");
    assert_eq!(old.append(&entries(8, 1)).unwrap_err().code(), "failed");

    new.append(&entries(6, 3)).unwrap();
    assert_eq!(new.sync().unwrap(), 8);
    assert_eq!(new.read(1, 100).unwrap(), entries(1, 8), "reads cross fences and skip barriers");
    assert_eq!(new.read(7, 1).unwrap(), entries(7, 1));
}

#[test]
fn a_lease_is_renewed_released_and_lost() {
    let Some(server) = RedisServer::start() else { return };
    let mut one = RedisLog::open(options(&server)).unwrap();
    one.renew().unwrap();
    let first = one.fence();
    one.append(&entries(1, 1)).unwrap();
    one.release().unwrap();
    let mut two = RedisLog::open(options(&server)).unwrap();
    assert_eq!((two.fence(), two.last().0), (first + 1, 1));
    expire_lease(&server);
    assert_eq!(two.renew().unwrap_err().code(), "lease_lost");
    assert_eq!(two.sync().unwrap_err().code(), "failed");
    // the counter of fences is lost, the stream is not: the next fence is above the stream's
    let _: u8 = redis::cmd("DEL").arg("{test}:v1:epoch").query(&mut server.connection()).unwrap();
    assert!(RedisLog::open(options(&server)).unwrap().fence() > first + 1);
}

#[test]
fn an_earlier_try_that_got_through_is_compared() {
    let Some(server) = RedisServer::start() else { return };
    let mut log = RedisLog::open(options(&server)).unwrap();
    log.append(&entries(1, 3)).unwrap();
    log.sync().unwrap();
    for e in entries(4, 2) {
        raw_add(&server, &format!("{}-{}", log.fence(), e.record.seq), &payload_of(&e)).unwrap();
    }
    log.append(&entries(4, 6)).unwrap();
    assert_eq!(log.sync().unwrap(), 9, "same payload is success, the rest follows");
    assert_eq!(log.read(1, 100).unwrap(), entries(1, 9));

    let other = entry(10, 100, schemas::Stream::Raw, b"other");
    raw_add(&server, &format!("{}-10", log.fence()), &payload_of(&other)).unwrap();
    log.append(&entries(10, 1)).unwrap();
    let conflict = log.sync().unwrap_err();
    assert!(matches!(conflict, BusError::Conflict { seq: 10 }), "{conflict}");
}

#[test]
fn a_lost_answer_or_connection_loses_and_doubles_nothing() {
    let Some(server) = RedisServer::start() else { return };
    let mut log = RedisLog::open(RedisOptions { lease_ttl_ms: 600_000, ..options(&server) }).unwrap();
    log.append(&entries(1, 3)).unwrap();
    log.sync().unwrap();
    server.signal("STOP"); // takes the bytes, answers nothing
    log.append(&entries(4, 3)).unwrap();
    let late = log.sync().unwrap_err();
    assert!(matches!(&late, BusError::Redis(e) if e.is_timeout()), "{late}");
    server.signal("CONT");
    assert_eq!(log.sync().unwrap(), 6);
    let _: () =
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal"]).query(&mut server.connection()).unwrap();
    log.append(&entries(7, 2)).unwrap();
    assert_eq!(log.sync().unwrap(), 8, "a dead connection is replaced");
    assert_eq!(log.read(1, 100).unwrap(), entries(1, 8));
}

#[test]
fn lost_data_is_noticed() {
    let Some(mut server) = RedisServer::start() else { return };
    let mut log = RedisLog::open(options(&server)).unwrap();
    log.append(&entries(1, 3)).unwrap();
    log.sync().unwrap();
    let _: u8 = redis::cmd("DEL").arg("{test}:v1:journal").query(&mut server.connection()).unwrap();
    log.append(&entries(4, 1)).unwrap();
    let lost = log.sync().unwrap_err();
    assert!(matches!(&lost, BusError::TransportLost { found, .. } if found == "0-0"), "{lost}");
    expire_lease(&server);
    let mut log = RedisLog::open(options(&server)).unwrap();
    server.stop();
    log.append(&entries(1, 1)).unwrap();
    for _ in 0..2 {
        assert_eq!(log.sync().unwrap_err().code(), "redis", "an absent server can be tried again");
    }
}

#[test]
fn what_redis_forgot_is_an_error_not_a_hole() {
    let Some(server) = RedisServer::start() else { return };
    let small = RedisOptions { max_len: 10, max_pending: 1000, ..options(&server) };
    let mut log = RedisLog::open(small.clone()).unwrap();
    assert_eq!(log.append(&entries(1, 1001)).unwrap_err().code(), "full");
    log.append(&entries(1, 1000)).unwrap();
    assert_eq!(log.sync().unwrap(), 1000);
    let trimmed = log.read(1, 10).unwrap_err();
    assert!(matches!(trimmed, BusError::Trimmed { from: 1, first } if first > 500), "{trimmed}");
    assert_eq!(log.read(995, 100).unwrap(), entries(995, 6));
    let mut tail = RedisTail::connect(small, 1).unwrap();
    assert_eq!(tail.next(Duration::from_millis(1)).unwrap_err().code(), "trimmed");
}

#[test]
fn a_follower_sees_everything_in_order() {
    let Some(server) = RedisServer::start() else { return };
    let mut log = RedisLog::open(options(&server)).unwrap();
    log.append(&entries(1, 700)).unwrap();
    log.sync().unwrap();
    let mut tail = RedisTail::connect(options(&server), 11).unwrap();
    let follower = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while tail.position() <= 1500 {
            seen.extend(tail.next(Duration::from_secs(5)).unwrap());
        }
        seen
    });
    for group in 0..8 {
        log.append(&entries(701 + group * 100, 100)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(follower.join().unwrap(), entries(11, 1490));
    let report = replay(&mut log, &mut NoMachines, &mut |_| ()).unwrap();
    assert_eq!(report.external, 1500);
}
