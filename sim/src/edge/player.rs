//! Plays the day: one tick after the other at its receive time. Never sends a tick before virtual time is there.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use schemas::Timestamp;

use super::twin::Shared;
use crate::day::Tick;
use crate::rtds;

/// Wall time between two looks for the first subscriber.
const AGAIN: Duration = Duration::from_millis(25);

/// Plays until the day ends or the twin is told to stop.
pub(super) async fn play(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.stop.stopped() => {}
        () = run(&shared) => {
            shared.done.send_replace(true);
        }
    }
}

async fn run(shared: &Shared) {
    let pace = &shared.pace;
    let start = pace.now();
    let first = shared.day.ticks().partition_point(|t| Timestamp::from_millis(t.recv_ms) < start);
    shared.hub().cursor = first;
    wait_for_subscriber(shared, start).await;
    pace.anchor();
    for (index, tick) in shared.day.ticks().iter().enumerate().skip(first) {
        pace.run_to(Timestamp::from_millis(tick.recv_ms)).await;
        send(shared, index, tick);
    }
    pace.run_to(shared.day.ends_at()).await;
    pace.settle().await;
}

/// Time stands at the start meanwhile, but the hook runs again and again, also one that is set late: whoever
/// connects because of a wake at the very start gets the chance to do so.
async fn wait_for_subscriber(shared: &Shared, start: Timestamp) {
    let wait = shared.config.wait_for_subscriber;
    let subscribed = async {
        loop {
            shared.pace.advance_to(start).await;
            let mut next = std::pin::pin!(shared.subscribed.notified());
            next.as_mut().enable();
            if shared.hub().conns.values().any(|c| c.subscribed) {
                return;
            }
            // Heard or not, the loop looks again.
            let _ = tokio::time::timeout(AGAIN, next).await;
        }
    };
    if tokio::time::timeout(wait, subscribed).await.is_err() && !wait.is_zero() {
        tracing::warn!(?wait, "nobody subscribed; the twin plays to an empty house");
    }
}

/// Sends one tick, or what the faults make of it, to everybody who listens.
fn send(shared: &Shared, index: usize, tick: &Tick) {
    let (faults, now) = (&shared.config.faults, shared.pace.now());
    let hub = &mut *shared.hub();
    hub.cursor = index + 1;
    shared.counters.ticks.bump();
    if faults.drop_at.contains(&index) {
        for conn in hub.conns.keys().copied().collect::<Vec<_>>() {
            shared.counters.dropped.bump();
            shared.cut(hub, conn);
        }
        return;
    }
    let listeners: Vec<_> =
        hub.conns.iter().filter(|(_, c)| c.subscribed).map(|(&id, c)| (id, c.opened)).collect();
    if listeners.is_empty() {
        return;
    }
    let text = Utf8Bytes::from(rtds::update(&shared.day.symbol, tick));
    for (conn, opened) in listeners {
        if faults.zombie(opened, now) {
            shared.counters.withheld.bump();
            continue;
        }
        if faults.malformed_before.contains(&index) {
            shared.counters.malformed.bump();
            shared.send(hub, conn, Utf8Bytes::from_static(rtds::MALFORMED));
        }
        for _ in 0..=usize::from(faults.duplicate.contains(&index)) {
            if shared.send(hub, conn, text.clone()) {
                shared.counters.updates.bump();
            }
        }
    }
}
