//! The edge against a real loopback WebSocket and REST server; virtual time for the feed, no sleeping.

#![allow(clippy::disallowed_methods, reason = "a server for the tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use ingest::edge::{EdgeLimits, Endpoints, Seen, VenueEdge};
use ingest::{Deed, Feed, FeedConfig, FeedOutput};
use schemas::{Machine as _, Raw, Record, RestReply, Timestamp};
use tokio::sync::mpsc;

use crate::{START, recorded, show, update_frame};

/// How many WebSockets were opened so far.
type Opened = Arc<AtomicU32>;

async fn serve() -> Endpoints {
    let app = Router::new()
        .route(
            "/ws",
            get(|State(opened): State<Opened>, upgrade: WebSocketUpgrade| async move {
                upgrade.on_upgrade(move |socket| index_socket(socket, opened))
            }),
        )
        .route("/flood", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(flood) }))
        .route("/huge", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(huge) }))
        .route("/events", get(events))
        .route("/busy", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "later") }))
        .route("/big", get(|| async { "x".repeat(10_000) }))
        .with_state(Opened::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Endpoints::single(format!("ws://{host}/ws"), format!("http://{host}/"))
}

/// Waits for the subscription, sends one value; the first connection is then dropped, the others answer pings.
async fn index_socket(mut socket: WebSocket, opened: Opened) {
    let n = i64::from(opened.fetch_add(1, Ordering::SeqCst));
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return };
    assert!(text.contains("crypto_prices_chainlink"), "{text}");
    let frame = String::from_utf8(update_frame((START + n) * 1_000, "63304.2")).unwrap();
    socket.send(Message::text(frame)).await.unwrap();
    if n == 0 {
        return;
    }
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(&message, Message::Text(text) if text.as_str() == "PING") {
            socket.send(Message::text("PONG")).await.unwrap();
        }
    }
}

async fn flood(mut socket: WebSocket) {
    for n in 0..500 {
        if socket.send(Message::text(n.to_string())).await.is_err() {
            return;
        }
    }
}

async fn huge(mut socket: WebSocket) {
    // The client hangs up in the middle.
    let _ = socket.send(Message::text("x".repeat(10_000))).await;
    let _ = socket.recv().await;
}

async fn events(uri: Uri) -> impl IntoResponse {
    let slug = uri.query().unwrap().strip_prefix("slug=").unwrap();
    if !slug.ends_with(&START.to_string()) {
        return "[]".to_owned();
    }
    let market = serde_json::json!({
        "conditionId": format!("0x{:064x}", 1), "slug": slug, "question": "q", "outcomes": "[\"Down\", \"Up\"]",
        "clobTokenIds": "[\"1\", \"2\"]", "closed": false, "endDate": "2026-06-08T00:05:00Z",
    });
    recorded::event(slug, Some("63304.200301195075"), &market)
}

/// A GET of the only host.
fn fetch(request: u32, path: &str) -> Deed {
    Deed::Fetch { request, host: 0, path: path.to_owned(), body: None }
}

/// The next record; a hang is a failure, not a wait for ever.
async fn next(raws: &mut mpsc::Receiver<Seen>) -> Raw {
    tokio::time::timeout(Duration::from_secs(30), raws.recv()).await.expect("no hang").expect("an edge").raw
}

/// A kernel in small: records get virtual times, deeds go to the edge, the clock jumps when nothing else is due.
struct Kernel {
    feed: Feed,
    edge: VenueEdge,
    now: Timestamp,
    said: Vec<String>,
}

impl Kernel {
    fn apply(&mut self, body: Raw) {
        let mut out = Vec::new();
        self.feed.apply(&Record { seq: 1, at: self.now, body }, &mut out);
        for output in out {
            self.said.push(show(&output));
            if let FeedOutput::Deed(deed) = output {
                self.edge.deed(deed).unwrap();
            }
        }
    }

    fn jump(&mut self) {
        let to = self.feed.wake_at().unwrap().max(self.now);
        self.now = to;
        self.apply(Raw::TimeAdvanced { to });
    }

    fn said(&self, text: &str) -> bool {
        self.said.iter().any(|line| line == text)
    }
}

#[tokio::test]
async fn the_feed_over_real_sockets_survives_a_dropped_connection() {
    let (sink, mut raws) = mpsc::channel(64);
    let edge = VenueEdge::spawn(serve().await, sink);
    let feed = Feed::new(FeedConfig { ping_ns: 100_000_000, ..FeedConfig::default() });
    let mut kernel = Kernel { feed, edge, now: Timestamp::from_secs(START), said: Vec::new() };
    kernel.jump();
    while !kernel.said("tick 1 63304.2") || !kernel.said.iter().any(|l| l.starts_with("listed")) {
        let raw = next(&mut raws).await;
        let down = matches!(raw, Raw::Closed { .. });
        kernel.apply(raw);
        if down {
            kernel.jump();
        }
    }
    kernel.jump();
    while kernel.feed.counts().pongs == 0 {
        let raw = next(&mut raws).await;
        kernel.apply(raw);
    }
    let link = |line: &&String| !["fetch", "listed", "send"].iter().any(|word| line.starts_with(word));
    let said: Vec<&String> = kernel.said.iter().filter(link).collect();
    assert!(said[3].starts_with("down "), "{said:?}");
    assert_eq!(
        [&said[..3], &said[4..]].concat(),
        ["connect 1", "live", "tick 0 63304.2", "connect 2", "live", "tick 1 63304.2"]
    );
    assert!(kernel.said(&format!("listed btc-updown-5m-{START} strike 63304.200301195075 fee None")));
    kernel.edge.shutdown().await;
    assert_eq!(drain(&mut raws).await, [Raw::Closed { conn: 2, reason: "closed by the feed".to_owned() }]);
}

/// Everything until the edge is gone, without answers to requests and frames.
async fn drain(raws: &mut mpsc::Receiver<Seen>) -> Vec<Raw> {
    let mut all = Vec::new();
    while let Some(Seen { raw, .. }) = raws.recv().await {
        if !matches!(raw, Raw::Frame { .. } | Raw::Rest(_)) {
            all.push(raw);
        }
    }
    all
}

#[tokio::test]
async fn frames_keep_their_order_through_a_tiny_queue() {
    let mut endpoints = serve().await;
    endpoints.sockets[0] = endpoints.sockets[0].replace("/ws", "/flood");
    let (sink, mut raws) = mpsc::channel(2);
    let edge = VenueEdge::spawn(endpoints, sink);
    edge.deed(Deed::Connect { conn: 7, socket: 0 }).unwrap();
    assert_eq!(next(&mut raws).await, Raw::Connected { conn: 7 });
    for n in 0..500 {
        assert_eq!(next(&mut raws).await, Raw::Frame { conn: 7, bytes: n.to_string().into_bytes() });
    }
    assert!(matches!(next(&mut raws).await, Raw::Closed { conn: 7, .. }));
}

#[tokio::test]
async fn oversized_frames_and_refused_connections_end_as_closed() {
    let mut endpoints = serve().await;
    endpoints.sockets[0] = endpoints.sockets[0].replace("/ws", "/huge");
    let limits = EdgeLimits { max_frame_bytes: 1_000, ..EdgeLimits::default() };
    let (sink, mut raws) = mpsc::channel(8);
    let edge = VenueEdge::spawn_with(endpoints.clone(), limits, None, sink.clone());
    edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
    assert_eq!(next(&mut raws).await, Raw::Connected { conn: 1 });
    let Raw::Closed { conn: 1, reason } = next(&mut raws).await else { panic!("a frame came through") };
    assert!(reason.starts_with("read: "), "{reason}");

    // A port that was just given back, and a path that is no WebSocket.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let rest = endpoints.hosts[0].replace("http", "ws");
    for (conn, ws_url) in [(2, format!("ws://{free}/")), (3, format!("{rest}busy")), (4, "ws://".to_owned())]
    {
        let endpoints = Endpoints::single(ws_url, endpoints.hosts[0].clone());
        let edge = VenueEdge::spawn(endpoints, sink.clone());
        edge.deed(Deed::Connect { conn, socket: 0 }).unwrap();
        let Raw::Closed { conn: got, reason } = next(&mut raws).await else { panic!("it opened") };
        assert!(got == conn && reason.starts_with("connect: "), "{got} {reason}");
    }
}

#[tokio::test]
async fn every_request_is_answered_once() {
    let endpoints = serve().await;
    let limits = EdgeLimits { max_body_bytes: 1_000, ..EdgeLimits::default() };
    let (sink, mut raws) = mpsc::channel(8);
    let edge = VenueEdge::spawn_with(endpoints, limits, None, sink.clone());
    for (request, path, status, body) in [
        (1, "/events?slug=other", 200, "[]"),
        (2, "/busy", 503, "later"),
        (3, "/nothing", 404, ""),
        (4, "/big", 0, "body above 1000 bytes"),
    ] {
        edge.deed(fetch(request, path)).unwrap();
        let expected = RestReply { request, status, bytes: body.as_bytes().to_vec() };
        assert_eq!(next(&mut raws).await, Raw::Rest(expected));
    }
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = Endpoints::single("ws://127.0.0.1:1", format!("http://{free}"));
    let edge = VenueEdge::spawn(gone, sink);
    edge.deed(fetch(5, "/")).unwrap();
    let Raw::Rest(reply) = next(&mut raws).await else { panic!("no answer") };
    assert_eq!((reply.request, reply.status), (5, 0));
}

#[tokio::test]
async fn refusals_are_typed() {
    let (sink, _raws) = mpsc::channel(8);
    let code = |result: Result<(), ingest::IngestError>| result.map_err(|e| e.code());
    let endpoints = serve().await;
    let edge = VenueEdge::spawn_with(
        endpoints,
        EdgeLimits { deeds: 1, ..EdgeLimits::default() },
        None,
        sink.clone(),
    );
    // Nothing is awaited between these two, so the edge cannot take the first one.
    assert_eq!(code(edge.deed(Deed::Close { conn: 1 })), Ok(()));
    assert_eq!(code(edge.deed(Deed::Close { conn: 1 })), Err("queue_full"));

    let odd = Endpoints::single("ftp://x", "x");
    let edge = VenueEdge::spawn(odd.clone(), sink.clone());
    assert_eq!(code(edge.deed(Deed::Connect { conn: 1, socket: 0 })), Err("bad_endpoint"));
    assert_eq!(code(edge.deed(fetch(1, "/"))), Err("bad_endpoint"));
    assert_eq!(code(odd.check()), Err("bad_endpoint"));
    let tls = Endpoints::single("wss://x", "https://x");
    let expected = if cfg!(feature = "tls") { Ok(()) } else { Err("tls_missing") };
    assert_eq!(code(tls.check()), expected);
}

/// A text for a connection that is gone is counted, not lost silently.
#[tokio::test]
async fn lost_texts_are_counted() {
    let (sink, mut raws) = mpsc::channel(8);
    let edge = VenueEdge::spawn(serve().await, sink);
    edge.deed(Deed::Send { conn: 1, text: "x".to_owned() }).unwrap();
    // The answer to a later deed proves that the earlier one was handled.
    edge.deed(fetch(1, "/busy")).unwrap();
    assert!(matches!(next(&mut raws).await, Raw::Rest(_)));
    assert_eq!(edge.dropped(), 1);
}
