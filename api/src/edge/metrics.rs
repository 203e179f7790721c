//! Counters of the edge and gauges derived from the view, as Prometheus text; no stranger's text becomes a label.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Health;
use crate::view::View;

/// A request as it is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    /// The route's pattern, or `unmatched`.
    pub(super) route: String,
    /// One of the known methods, or `other`.
    pub(super) method: &'static str,
    /// The status.
    pub(super) status: u16,
}

/// A close code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Closed {
    /// As sent to the client; 1006 when it was just gone.
    pub(super) code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTopic {
    topic: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfForecast {
    topic: String,
    forecast: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCode {
    code: &'static str,
}

/// Counters of the edge.
#[derive(Debug, Default)]
pub struct Metrics {
    pub(super) requests: Family<Request, Counter>,
    pub(super) ws_connections: Gauge,
    pub(super) ws_closed: Family<Closed, Counter>,
    pub(super) ws_messages: Counter,
    pub(super) ws_lagged: Counter,
    pub(super) ws_slow: Counter,
    pub(super) ws_gaps: Counter,
}

impl Metrics {
    /// WebSocket connections now.
    pub fn connections(&self) -> u64 {
        u64::try_from(self.ws_connections.get()).unwrap_or_default()
    }

    /// Connections whose reader was too slow, so far.
    pub fn slow_consumers(&self) -> u64 {
        self.ws_slow.get()
    }

    /// Times a connection missed the doorbell and read on from the view, so far.
    pub fn lagged(&self) -> u64 {
        self.ws_lagged.get()
    }

    /// Everything as Prometheus text; `more` is put before its end.
    pub(super) fn text(&self, view: &View, health: &Health, more: &str) -> String {
        let mut registry = Registry::with_prefix("oraculo");
        let r = &mut registry;
        r.register("http_requests", "Requests by route, method and status", self.requests.clone());
        r.register("ws_connections", "WebSocket connections now", self.ws_connections.clone());
        r.register("ws_closed", "WebSocket connections closed, by close code", self.ws_closed.clone());
        r.register("ws_messages", "WebSocket messages queued for sending", self.ws_messages.clone());
        r.register("ws_lagged", "Doorbells missed and made up for from the view", self.ws_lagged.clone());
        r.register(
            "ws_slow_consumers",
            "Connections closed because they read too slowly",
            self.ws_slow.clone(),
        );
        r.register("ws_gaps", "Gap messages", self.ws_gaps.clone());
        gauge(r, "ready", "Whether requests should be sent here", i64::from(health.ready));
        derived(r, view);
        topics(r, view);
        let mut text = String::new();
        if encode(&mut text, &registry).is_err() {
            // Writing to a String does not fail; say so in the text rather than hide half of it.
            let _ = writeln!(text, "# incomplete");
        }
        if let Some(end) = text.rfind("# EOF") {
            text.insert_str(end, more);
        }
        text
    }
}

fn gauge(r: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(value);
    r.register(name, help, gauge);
}

fn counter(r: &mut Registry, name: &str, help: &str, value: u64) {
    let counter: Counter = Counter::default();
    counter.inc_by(value);
    r.register(name, help, counter);
}

fn derived(r: &mut Registry, view: &View) {
    let books = view.ledger();
    gauge(r, "view_seq", "Position of the newest record", view.seq() as i64);
    gauge(
        r,
        "ledger_imbalance_micros",
        "Sum of the absolute sums of all postings by asset",
        books.imbalance(),
    );
    counter(r, "ledger_postings", "Postings booked", books.postings);
    counter(r, "ledger_transactions", "Transactions booked", books.transactions);
    counter(r, "ledger_chain_breaks", "Transactions not chained to the one before", books.chain_breaks);
    counter(r, "charges_refused", "Units that were not paid", view.charges_refused());
    gauge(r, "accounts", "Accounts", view.account_count() as i64);
    gauge(r, "miners", "Miners", view.miners().len() as i64);
    gauge(r, "open_questions", "Questions without an outcome", view.questions().count() as i64);
    let dropped = view.dropped();
    counter(r, "view_refused", "Things beyond a bound of the view", dropped.refused);
    counter(r, "view_questions_dropped", "Open questions pushed out by newer ones", dropped.questions);
    counter(r, "view_unknown", "Verdicts about something unknown", dropped.unknown);
    let rejected = Family::<OfCode, Counter>::default();
    for (code, n) in view.rejections() {
        rejected.get_or_create(&OfCode { code: code.code() }).inc_by(*n);
    }
    r.register("rejected", "Submissions refused, by code", rejected);
    let last = view.epochs().keys().next_back().copied().unwrap_or_default();
    gauge(r, "epoch", "Newest closed epoch", last as i64);
}

fn topics(r: &mut Registry, view: &View) {
    let issued = Family::<OfTopic, Counter>::default();
    let sold = Family::<OfTopic, Counter>::default();
    let absent = Family::<OfTopic, Counter>::default();
    let brier = Family::<OfForecast, Gauge<f64, AtomicU64>>::default();
    for (id, state) in view.topics() {
        let label = OfTopic { topic: id.to_string() };
        issued.get_or_create(&label).inc_by(state.issued);
        sold.get_or_create(&label).inc_by(state.sold);
        absent.get_or_create(&label).inc_by(state.no_signals);
        let tracks =
            [("ensemble", &state.ensemble), ("reference", &state.reference), ("market", &state.market)];
        for (forecast, track) in tracks {
            if let Some(mean) = track.brier() {
                brier.get_or_create(&OfForecast { topic: id.to_string(), forecast }).set(mean);
            }
        }
    }
    r.register("signals_issued", "Signals issued", issued);
    r.register("signals_sold", "Units sold", sold);
    r.register("no_signals", "Questions without a signal", absent);
    r.register("brier", "Mean Brier score over resolved questions", brier);
}
