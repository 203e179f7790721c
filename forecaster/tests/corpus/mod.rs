//! Hostile models, built byte by byte: what the pre-scan must refuse and what a worker process must contain.
//!
//! It holds data only and never runs anything. Every model takes `features` f32 `[batch, 10]` and gives `p_up` f32
//! `[batch, 1]`, so that one [`manifest`] fits all. [`corpus`] is judged by the pre-scan of hosted bundles
//! (`Policy::Hosted`); [`local`] holds models that only `Policy::Local` lets pass, for a worker to contain.
//!
//! Families: files read through a model (CVE-2022-25882, CVE-2024-27318, CVE-2025-51480, CVE-2026-27489), memory taken by
//! external data entries (CVE-2026-34445), memory and time that a small file asks for, and bytes that two protobuf
//! readers read differently.
#![allow(dead_code, reason = "each test target uses another part")]

mod bytes;
mod compute;
mod data;
mod graphs;
#[path = "../it/onnx.rs"]
pub mod onnx;

use forecaster::Check;
use onnx::{File, Msg, node};
use sha2::{Digest as _, Sha256};

/// What must happen to a hostile model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The pre-scan refuses it with exactly this code.
    StaticallyRefused(Check),
    /// It passes the pre-scan: a worker process must refuse, fail or be stopped, and nobody else may notice.
    Contained,
}

/// One hostile model.
#[derive(Clone)]
pub struct Hostile {
    /// What it is, for messages.
    pub name: &'static str,
    /// The whole `model.onnx`.
    pub bytes: Vec<u8>,
    /// What must happen.
    pub expected: Expected,
}

/// Hostile models as the pre-scan of hosted bundles sees them.
pub fn corpus() -> Vec<Hostile> {
    [data::all(), graphs::all(), bytes::all(), compute::all()].concat()
}

/// Models that the pre-scan refuses in hosted bundles and lets pass on the miner's own machine.
pub fn local() -> Vec<Hostile> {
    compute::local()
}

/// A manifest that fits every model here, with the hash of this one.
pub fn manifest(model: &[u8]) -> String {
    MANIFEST.replace("SHA256", &hex::encode(Sha256::digest(model)))
}

const MANIFEST: &str = r#"
schema = 2
name = "hostile"
version = "1.0.0"
kind = "model"
topic = "btc-usd.up-5m"
engine = "ort"

[model]
file = "model.onnx"
sha256 = "SHA256"
opset = 17
license = "MIT"

[features]
set = "updown-1"
names = ["log_moneyness", "tau_s", "vol_15m", "vol_60m", "ret_60s", "ret_300s", "ret_900s", "z_15m", "z_60m", "elapsed_s"]
lookback_s = 3600
missing = "reject"

[normalise]
kind = "none"

[[inputs]]
name = "features"
dtype = "f32"
shape = ["batch", 10]
source = "features"

[[outputs]]
name = "p_up"
kind = "probability"
shape = ["batch", 1]
range = [0.0, 1.0]

[limits]
max_batch = 64
deadline_ms = 200
"#;

/// A model the pre-scan must refuse with this code.
fn refused(name: &'static str, check: Check, bytes: Vec<u8>) -> Hostile {
    Hostile { name, bytes, expected: Expected::StaticallyRefused(check) }
}

/// A model that only a worker process contains.
fn contained(name: &'static str, bytes: Vec<u8>) -> Hostile {
    Hostile { name, bytes, expected: Expected::Contained }
}

/// The sound model with a change.
fn file(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut f = File::linear([1.0; 10]);
    change(&mut f);
    f.bytes()
}

/// The sound model whose answer also depends on `z`, a scalar f32 that `nodes` compute from `features` and
/// `initializers`; so no optimiser may leave them out.
fn with_side(nodes: Vec<Msg>, initializers: Vec<Msg>) -> File {
    let mut f = File::linear([1.0; 10]);
    f.nodes = nodes;
    f.nodes.push(node("MatMul", &["features", "w"], &["s"]));
    f.nodes.push(node("Add", &["s", "z"], &["sz"]));
    f.nodes.push(node("Sigmoid", &["sz"], &["p_up"]));
    f.initializers.extend(initializers);
    f
}

/// An attribute that is one integer.
fn int(name: &str, value: i64) -> Msg {
    Msg::default().text(1, name).int(3, value as u64).int(20, 2)
}

/// An attribute that is text.
fn text(name: &str, value: &str) -> Msg {
    Msg::default().text(1, name).text(4, value).int(20, 3)
}

/// An attribute that is a tensor.
fn tensor_attribute(name: &str, value: &Msg) -> Msg {
    Msg::default().text(1, name).msg(5, value).int(20, 4)
}

/// An attribute that is a graph.
fn graph_attribute(name: &str, value: &Msg) -> Msg {
    Msg::default().text(1, name).msg(6, value).int(20, 5)
}
