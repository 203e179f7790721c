//! The edge against a real server on loopback: full queues, oversized frames, close codes, refused and half-open
//! sockets, bodies and signatures; never another machine.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests with a server of their own"
)]
#![cfg(feature = "edge")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, Method, Uri};
use axum::routing::{any, get};
use ingest::edge::{EdgeLimits, Endpoints, Seen, Signer, VenueEdge};
use ingest::{Deed, IngestError};
use schemas::{Raw, RestReply};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What the server saw.
#[derive(Default)]
struct Server {
    /// Bytes it could write to a client that does not read.
    flooded: AtomicU64,
    /// The signature header of each handshake and request.
    signatures: Mutex<Vec<String>>,
}

type Shared = Arc<Server>;

async fn serve() -> (Endpoints, Shared) {
    let server = Shared::default();
    let app = Router::new()
        .route("/echo", get(|up: WebSocketUpgrade| async { up.on_upgrade(echo) }))
        .route("/flood", get(flooded))
        .route("/close/{code}", get(close))
        .route("/ping", get(|up: WebSocketUpgrade| async { up.on_upgrade(ping) }))
        .route("/signed/ws", get(signed_socket))
        .route("/api/{*path}", any(mirror))
        .with_state(Arc::clone(&server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (Endpoints::single(format!("ws://{addr}/echo"), format!("http://{addr}/api/")), server)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn flooded(State(server): State<Shared>, up: WebSocketUpgrade) -> axum::response::Response {
    up.on_upgrade(move |mut socket| async move {
        let text = "x".repeat(10_000);
        while socket.send(Message::text(text.clone())).await.is_ok() {
            server.flooded.fetch_add(text.len() as u64, Ordering::SeqCst);
        }
    })
}

async fn close(
    axum::extract::Path(code): axum::extract::Path<u16>,
    up: WebSocketUpgrade,
) -> axum::response::Response {
    up.on_upgrade(move |mut socket| async move {
        let frame = (code != 1005).then(|| CloseFrame { code, reason: "overload".into() });
        socket.send(Message::Close(frame)).await.unwrap();
        // The client's goodbye.
        let _ = socket.recv().await;
    })
}

async fn ping(mut socket: WebSocket) {
    socket.send(Message::Ping("heartbeat".into())).await.unwrap();
    let answer = socket.recv().await.unwrap().unwrap();
    let text =
        if matches!(&answer, Message::Pong(body) if &body[..] == b"heartbeat") { "ponged" } else { "not" };
    socket.send(Message::text(text)).await.unwrap();
    let _ = socket.recv().await;
}

async fn signed_socket(
    State(server): State<Shared>,
    headers: HeaderMap,
    up: WebSocketUpgrade,
) -> axum::response::Response {
    server.note(&headers);
    // Ends at once: the machine's next connection needs a new signature.
    up.on_upgrade(|_| async {})
}

/// Says back what it was asked, with the signature it saw.
async fn mirror(
    State(server): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> String {
    server.note(&headers);
    let kind = headers.get("content-type").map_or("", |v| v.to_str().unwrap());
    format!("{method} {uri} {kind} {}", String::from_utf8_lossy(&body))
}

impl Server {
    fn note(&self, headers: &HeaderMap) {
        if let Some(value) = headers.get("x-signature") {
            self.signatures.lock().unwrap().push(value.to_str().unwrap().to_owned());
        }
    }
}

fn socket(endpoints: &Endpoints, path: &str) -> Endpoints {
    Endpoints::single(endpoints.sockets[0].replace("/echo", path), endpoints.hosts[0].clone())
}

/// The next thing seen; a hang is a failure, not a wait for ever.
async fn next(seen: &mut mpsc::Receiver<Seen>) -> Seen {
    tokio::time::timeout(Duration::from_secs(30), seen.recv()).await.expect("no hang").expect("an edge")
}

async fn closed(seen: &mut mpsc::Receiver<Seen>) -> String {
    loop {
        if let Raw::Closed { reason, .. } = next(seen).await.raw {
            return reason;
        }
    }
}

fn get_of(request: u32, path: &str) -> Deed {
    Deed::Fetch { request, host: 0, path: path.to_owned(), body: None }
}

/// Counts how often it signed.
struct Counting(AtomicU64);

impl Signer for Counting {
    fn headers(&self, method: &str, path: &str, now_ms: i64) -> Result<Vec<(String, String)>, IngestError> {
        assert!(now_ms > 1_700_000_000_000, "{now_ms}");
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        if path.ends_with("/unsignable") {
            return Err(IngestError::Unsigned { code: "bad_path", detail: "no path".to_owned() });
        }
        Ok(vec![("x-signature".to_owned(), format!("{number} {method} {path}"))])
    }
}

#[tokio::test]
async fn many_connections_live_side_by_side() {
    let (endpoints, _) = serve().await;
    let (sink, mut seen) = mpsc::channel(64);
    let edge = VenueEdge::spawn(endpoints, sink);
    for conn in 1..=20 {
        edge.deed(Deed::Connect { conn, socket: 0 }).unwrap();
    }
    for _ in 0..20 {
        let Raw::Connected { conn } = next(&mut seen).await.raw else { panic!("refused") };
        edge.deed(Deed::Send { conn, text: format!("I am {conn}") }).unwrap();
    }
    let mut heard = Vec::new();
    while heard.len() < 20 {
        let one = next(&mut seen).await;
        let Raw::Frame { conn, bytes } = one.raw else { panic!("closed") };
        assert_eq!(bytes, format!("I am {conn}").into_bytes());
        heard.push(one.mono_ns);
    }
    // One ends, the others stay.
    edge.deed(Deed::Close { conn: 7 }).unwrap();
    assert!(matches!(next(&mut seen).await.raw, Raw::Closed { conn: 7, .. }));
    edge.deed(Deed::Send { conn: 8, text: "still here".to_owned() }).unwrap();
    assert_eq!(next(&mut seen).await.raw, Raw::Frame { conn: 8, bytes: b"still here".to_vec() });
    edge.deed(Deed::Send { conn: 7, text: "gone".to_owned() }).unwrap();
    edge.deed(get_of(1, "/x")).unwrap();
    assert!(matches!(next(&mut seen).await.raw, Raw::Rest(_)));
    assert_eq!(edge.dropped(), 1);
    edge.shutdown().await;
    let mut ends = 0;
    while let Some(one) = seen.recv().await {
        ends += usize::from(matches!(one.raw, Raw::Closed { .. }));
    }
    assert_eq!(ends, 19);
}

/// A reader that does not read stops the socket: the server cannot write more than the kernel's buffers hold.
#[tokio::test]
async fn a_slow_reader_holds_the_sender_back() {
    let (endpoints, server) = serve().await;
    let (sink, mut seen) = mpsc::channel(4);
    let edge = VenueEdge::spawn(socket(&endpoints, "/flood"), sink);
    edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
    assert_eq!(next(&mut seen).await.raw, Raw::Connected { conn: 1 });
    let mut before = u64::MAX;
    while before != server.flooded.load(Ordering::SeqCst) {
        before = server.flooded.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before < 64 << 20, "{before} bytes were taken by a reader that read nothing");
    for _ in 0..2_000 {
        assert!(matches!(next(&mut seen).await.raw, Raw::Frame { conn: 1, .. }));
    }
    assert!(server.flooded.load(Ordering::SeqCst) > before, "it goes on when the reader does");
}

#[tokio::test]
async fn close_codes_reach_the_machine() {
    let (endpoints, _) = serve().await;
    let (sink, mut seen) = mpsc::channel(8);
    for (code, reason) in [
        (4003, "4003 overload"),
        (4001, "4001 overload"),
        (1001, "1001 overload"),
        (1005, "closed by the venue"),
    ] {
        let edge = VenueEdge::spawn(socket(&endpoints, &format!("/close/{code}")), sink.clone());
        edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
        assert_eq!(closed(&mut seen).await, reason, "{code}");
    }
}

#[tokio::test]
async fn an_oversized_frame_ends_the_connection() {
    let (endpoints, _) = serve().await;
    let (sink, mut seen) = mpsc::channel(8);
    let limits = EdgeLimits { max_frame_bytes: 1_000, ..EdgeLimits::default() };
    let edge = VenueEdge::spawn_with(endpoints, limits, None, sink);
    edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
    assert_eq!(next(&mut seen).await.raw, Raw::Connected { conn: 1 });
    for (text, whole) in [("x".repeat(1_000), true), ("x".repeat(1_001), false)] {
        edge.deed(Deed::Send { conn: 1, text }).unwrap();
        match next(&mut seen).await.raw {
            Raw::Frame { bytes, .. } => assert!(whole && bytes.len() == 1_000),
            Raw::Closed { reason, .. } => assert!(!whole && reason.starts_with("read: "), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A port where nobody listens, and one that takes the connection and never says a word.
#[tokio::test]
async fn refused_and_half_open_sockets_end_in_time() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let half = mute.local_addr().unwrap();
    let held = tokio::spawn(async move {
        let mut streams: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = mute.accept().await {
            streams.push(stream);
        }
    });
    let (sink, mut seen) = mpsc::channel(8);
    let limits = EdgeLimits {
        connect_timeout: Duration::from_millis(300),
        request_timeout: Duration::from_millis(300),
        ..EdgeLimits::default()
    };
    for (addr, reason) in [(free, "connect: "), (half, "connect: timeout")] {
        let endpoints = Endpoints::single(format!("ws://{addr}/"), format!("http://{addr}"));
        let edge = VenueEdge::spawn_with(endpoints, limits.clone(), None, sink.clone());
        edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
        let said = closed(&mut seen).await;
        assert!(said.starts_with(reason), "{said}");
        edge.deed(get_of(1, "/")).unwrap();
        let Raw::Rest(reply) = next(&mut seen).await.raw else { panic!("no answer") };
        assert_eq!((reply.request, reply.status), (1, 0));
    }
    held.abort();
}

#[tokio::test]
async fn a_body_makes_a_post_and_hosts_are_told_apart() {
    let (endpoints, _) = serve().await;
    let (other, _) = serve().await;
    let hosts = vec![endpoints.hosts[0].clone(), format!("{}second", other.hosts[0])];
    let (sink, mut seen) = mpsc::channel(8);
    let edge = VenueEdge::spawn(Endpoints { sockets: endpoints.sockets.clone(), hosts }, sink);
    let body = Some(r#"[{"token_id":"1"}]"#.to_owned());
    for (host, body, want) in [
        (0, None, "GET /api/books?a=1  "),
        (0, body.clone(), r#"POST /api/books?a=1 application/json [{"token_id":"1"}]"#),
        (1, body, r#"POST /api/second/books?a=1 application/json [{"token_id":"1"}]"#),
    ] {
        edge.deed(Deed::Fetch { request: 9, host, path: "/books?a=1".to_owned(), body }).unwrap();
        let want = RestReply { request: 9, status: 200, bytes: want.as_bytes().to_vec() };
        assert_eq!(next(&mut seen).await.raw, Raw::Rest(want));
    }
    let codes = [
        edge.deed(Deed::Fetch { request: 1, host: 2, path: "/".to_owned(), body: None }),
        edge.deed(Deed::Connect { conn: 1, socket: 1 }),
    ];
    assert_eq!(codes.map(|r| r.unwrap_err().code()), ["no_endpoint", "no_endpoint"]);
}

#[tokio::test]
async fn every_handshake_and_request_is_signed_anew() {
    let (endpoints, server) = serve().await;
    let (sink, mut seen) = mpsc::channel(8);
    let signer: Arc<dyn Signer> = Arc::new(Counting(AtomicU64::new(0)));
    let limits = EdgeLimits::default();
    let edge = VenueEdge::spawn_with(socket(&endpoints, "/signed/ws?q=1"), limits, Some(signer), sink);
    for conn in 1..=3 {
        edge.deed(Deed::Connect { conn, socket: 0 }).unwrap();
        closed(&mut seen).await;
    }
    edge.deed(get_of(1, "/markets?limit=1")).unwrap();
    assert!(matches!(next(&mut seen).await.raw, Raw::Rest(RestReply { status: 200, .. })));
    let post = Deed::Fetch { request: 2, host: 0, path: "/books".to_owned(), body: Some("[]".to_owned()) };
    edge.deed(post).unwrap();
    assert!(matches!(next(&mut seen).await.raw, Raw::Rest(RestReply { status: 200, .. })));
    assert_eq!(
        *server.signatures.lock().unwrap(),
        [
            "0 GET /signed/ws",
            "1 GET /signed/ws",
            "2 GET /signed/ws",
            "3 GET /api/markets",
            "4 POST /api/books"
        ]
    );
    // What cannot be signed is not sent.
    edge.deed(get_of(3, "/unsignable")).unwrap();
    let refused = RestReply { request: 3, status: 0, bytes: b"sign: no path".to_vec() };
    assert_eq!(next(&mut seen).await.raw, Raw::Rest(refused));
    assert_eq!(server.signatures.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn pings_are_answered_and_handed_on_only_if_asked() {
    let (endpoints, _) = serve().await;
    for pass_pings in [false, true] {
        let (sink, mut seen) = mpsc::channel(8);
        let limits = EdgeLimits { pass_pings, ..EdgeLimits::default() };
        let edge = VenueEdge::spawn_with(socket(&endpoints, "/ping"), limits, None, sink);
        edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
        assert_eq!(next(&mut seen).await.raw, Raw::Connected { conn: 1 });
        if pass_pings {
            assert_eq!(next(&mut seen).await.raw, Raw::Frame { conn: 1, bytes: b"heartbeat".to_vec() });
        }
        assert_eq!(next(&mut seen).await.raw, Raw::Frame { conn: 1, bytes: b"ponged".to_vec() });
    }
}

/// Receive times are those of the socket, not of a reader that comes late.
#[tokio::test]
async fn a_late_reader_does_not_change_receive_times() {
    let (endpoints, _) = serve().await;
    let (sink, mut seen) = mpsc::channel(8);
    let edge = VenueEdge::spawn(endpoints, sink);
    edge.deed(Deed::Connect { conn: 1, socket: 0 }).unwrap();
    let opened = next(&mut seen).await;
    edge.deed(Deed::Send { conn: 1, text: "x".to_owned() }).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    let frame = next(&mut seen).await;
    let (late_wall, late_mono) = ingest::edge::clocks();
    assert!(frame.wall >= opened.wall && frame.mono_ns >= opened.mono_ns);
    assert!(late_wall.since(frame.wall) > 200_000_000, "stamped by the reader");
    assert!(late_mono - frame.mono_ns > 200_000_000, "stamped by the reader");
}
