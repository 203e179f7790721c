//! The Open Inference Protocol over a real socket, lane and model, asked by a client that writes bytes by hand.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "tests"
)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use forecaster::bundle::Bundle;
use forecaster::edge::oip::{Counter, MAX_BODY, Served, serve};
use forecaster::edge::{Engines, Lane, LaneConfig, Search};
use forecaster::engine::Device;
use serde_json::{Value, json};

/// One request as bytes, one answer as status and body.
fn ask(addr: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    raw(
        addr,
        &format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    )
}

fn raw(addr: SocketAddr, request: &str) -> (u16, Value) {
    let mut socket = TcpStream::connect(addr).unwrap();
    // A server that refuses a body early may close before all of it is written.
    let _ = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    (status, serde_json::from_str(body).unwrap())
}

fn search() -> Option<Engines> {
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    match Search::here(None, env).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

struct Server {
    addr: SocketAddr,
    bundle: Arc<Bundle>,
    engines: Engines,
    lane: Arc<Lane>,
    _runtime: tokio::runtime::Runtime,
}

fn start(name: &str) -> Option<Server> {
    let engines = search()?;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(name);
    let bundle = Arc::new(Bundle::load(&dir).unwrap());
    let counter = Arc::new(Counter::default());
    let back = Arc::clone(&counter);
    let on_result =
        Box::new(move |result| assert!(back.take(result).is_none(), "every row here is a caller's"));
    let lane = Lane::start(&engines, vec![Arc::clone(&bundle)], LaneConfig::default(), on_result).unwrap();
    let lane = Arc::new(lane);
    let served = Arc::new(Served::new(&[Arc::clone(&bundle)], Arc::clone(&lane), counter));
    assert_eq!(served.count(), 1);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let addr = listener.local_addr().unwrap();
    runtime.spawn(serve(listener, served, std::future::pending()));
    Some(Server { addr, bundle, engines, lane, _runtime: runtime })
}

/// Rows with numbers like those of a real question.
fn rows(n: usize) -> Vec<[f32; 10]> {
    let row = |i: usize| {
        let x = i as f32 / n as f32 - 0.5;
        [x * 0.004, 240.0 - x, 8e-5, 7e-5, x * 1e-4, x * 2e-4, x * 3e-4, x * 3.0, x * 3.0, 60.0 + x]
    };
    (0..n).map(row).collect()
}

fn request(rows: &[[f32; 10]]) -> Value {
    let data: Vec<f32> = rows.concat();
    json!({"id": "7", "inputs": [{"name": "features", "shape": [rows.len(), 10], "datatype": "FP32", "data": data}]})
}

#[test]
fn answers_are_the_models_own_in_a_batch_and_alone() {
    let Some(server) = start("gbt") else { return };
    let rows = rows(300);
    let mut model = server.engines.load(&server.bundle, Device::Cpu).unwrap();
    let mut want = Vec::new();
    model.predict_into(&rows.concat(), rows.len(), &mut want).unwrap();
    let check = |path: &str, rows: &[[f32; 10]], want: &[f32]| {
        let (status, body) = ask(server.addr, "POST", path, &request(rows).to_string());
        assert_eq!(status, 200, "{body}");
        assert_eq!(
            (&body["model_name"], &body["model_version"], &body["id"]),
            (&json!("gbt"), &json!("1.0.0"), &json!("7"))
        );
        let output = &body["outputs"][0];
        assert_eq!((&output["name"], &output["datatype"]), (&json!("p_up"), &json!("FP32")));
        assert_eq!(output["shape"], json!([rows.len(), 1]));
        let got: Vec<f64> = output["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(want) {
            assert!((got - f64::from(*want)).abs() <= 1.1e-6, "{got} for {want}");
        }
    };
    check("/v2/models/gbt/infer", &rows, &want);
    check("/v2/models/gbt/versions/1.0.0/infer", &rows[..1], &want[..1]);
    let counted = server.lane.counters();
    assert_eq!(counted.answered, 301);
    assert!(counted.batches < 301, "rows of one request share batches: {}", counted.batches);
}

#[test]
fn nested_data_is_the_same_as_flat_and_outputs_can_be_named() {
    let Some(server) = start("logistic") else { return };
    let rows = rows(3);
    let (_, flat) = ask(server.addr, "POST", "/v2/models/logistic/infer", &request(&rows).to_string());
    let name = flat["outputs"][0]["name"].clone();
    let nested = json!({"inputs": [{"name": "features", "shape": [3, 10], "datatype": "FP32", "data": rows}], "outputs": [{"name": name}]});
    let (status, body) = ask(server.addr, "POST", "/v2/models/logistic/infer", &nested.to_string());
    assert_eq!((status, &body["outputs"]), (200, &flat["outputs"]), "{body}");
    assert!(body.get("id").is_none());
}

#[test]
fn metadata_and_health() {
    let Some(server) = start("gbt") else { return };
    let get = |path: &str| ask(server.addr, "GET", path, "");
    for path in
        ["/v2/health/live", "/v2/health/ready", "/v2/models/gbt/ready", "/v2/models/gbt/versions/1.0.0/ready"]
    {
        assert_eq!(get(path).0, 200, "{path}");
    }
    let (_, server_metadata) = get("/v2");
    assert_eq!(server_metadata["name"], "oraculo");
    assert!(server_metadata["version"].is_string() && server_metadata["extensions"].is_array());
    let (status, model) = get("/v2/models/gbt");
    assert_eq!(status, 200);
    assert_eq!(model, get("/v2/models/gbt/versions/1.0.0").1);
    assert_eq!(
        model,
        json!({
            "name": "gbt", "versions": ["1.0.0"], "platform": "onnx",
            "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, 10]}],
            "outputs": [{"name": "p_up", "datatype": "FP32", "shape": [-1, 1]}],
        })
    );
    for path in
        ["/v2/models/nobody", "/v2/models/gbt/versions/9", "/v2/models/gbt/versions/9/ready", "/v3", "/"]
    {
        let (status, body) = get(path);
        assert_eq!((status, body["error"].is_string()), (404, true), "{path}");
    }
    assert_eq!(get("/v2/models/gbt/infer").0, 405);
}

#[test]
fn what_does_not_fit_is_refused_in_words_and_the_next_request_is_answered() {
    let Some(server) = start("gbt") else { return };
    let path = "/v2/models/gbt/infer";
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = request(&rows(1));
        change(&mut body);
        body.to_string()
    };
    let table = [
        ("no JSON", "{".to_owned(), 400),
        ("no inputs", "{}".to_owned(), 400),
        ("no input", with(&|b| b["inputs"] = json!([])), 400),
        ("an input too many", with(&|b| b["inputs"] = json!([b["inputs"][0], b["inputs"][0]])), 400),
        ("another input", with(&|b| b["inputs"][0]["name"] = json!("x")), 400),
        ("another output", with(&|b| b["outputs"] = json!([{"name": "x"}])), 400),
        ("another type", with(&|b| b["inputs"][0]["datatype"] = json!("FP64")), 400),
        ("no type", with(&|b| b["inputs"][0]["datatype"] = json!("FP8")), 400),
        ("another width", with(&|b| b["inputs"][0]["shape"] = json!([2, 5])), 400),
        ("another rank", with(&|b| b["inputs"][0]["shape"] = json!([10])), 400),
        (
            "no rows",
            with(&|b| {
                b["inputs"][0] = json!({"name": "features", "shape": [0, 10], "datatype": "FP32", "data": []})
            }),
            400,
        ),
        ("too many rows", with(&|b| b["inputs"][0]["shape"] = json!([4097, 10])), 400),
        ("a negative shape", with(&|b| b["inputs"][0]["shape"] = json!([-1, 10])), 400),
        ("too little data", with(&|b| b["inputs"][0]["data"] = json!([1.0])), 400),
        ("text for a number", with(&|b| b["inputs"][0]["data"][0] = json!("1")), 400),
        ("nothing for a number", with(&|b| b["inputs"][0]["data"][0] = Value::Null), 400),
        ("beyond f32", with(&|b| b["inputs"][0]["data"][0] = json!(1e300)), 400),
        ("nested too deeply", with(&|b| b["inputs"][0]["data"] = json!([[[1.0]]])), 400),
        ("deep JSON", "[".repeat(100_000), 400),
        ("too large", " ".repeat(MAX_BODY + 1), 413),
    ];
    for (what, body, want) in table {
        let (status, answer) = ask(server.addr, "POST", path, &body);
        assert_eq!((status, answer["error"].is_string()), (want, true), "{what}: {answer}");
    }
    let (status, body) = ask(server.addr, "POST", path, &request(&rows(1)).to_string());
    assert_eq!(status, 200, "{body}");
    assert_eq!(server.lane.counters().accepted, 1, "nothing that does not fit has reached the lane");
}
