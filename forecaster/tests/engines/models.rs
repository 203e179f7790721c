//! ONNX files made at run time: an MLP, a tree, models with state and constants; it never reads a file.
#![allow(dead_code, reason = "the benchmark uses a part of it")]

use forecaster::engine::RowIo;

use crate::onnx::{Dim, File, Msg, node, tensor, value_info};

/// Inputs of the MLP.
pub const WIDTH: usize = 64;

/// A stream of numbers in [-1, 1) from a linear congruence; the same on every machine.
pub struct Numbers(u64);

impl Numbers {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    pub fn take(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * scale).collect()
    }
}

pub fn file(nodes: Vec<Msg>, initializers: Vec<Msg>, inputs: Vec<Msg>, outputs: Vec<Msg>) -> File {
    File {
        ir: 8,
        opsets: vec![("", 17)],
        nodes,
        initializers,
        inputs,
        outputs,
        graph_extra: Msg::default(),
        model_extra: Msg::default(),
    }
}

/// `64 → 128 → ReLU → 128 → ReLU → 1 → Sigmoid`, the workload `mlp` of the measurements.
pub fn mlp() -> Vec<u8> {
    let mut numbers = Numbers::new(7);
    let layers = [(WIDTH, 128), (128, 128), (128, 1)];
    let (mut nodes, mut initializers) = (Vec::new(), Vec::new());
    let mut from = "x".to_owned();
    for (i, (inputs, outputs)) in layers.into_iter().enumerate() {
        let (w, b, z, y) = (format!("w{i}"), format!("b{i}"), format!("z{i}"), format!("y{i}"));
        let weights = numbers.take(inputs * outputs, (1.0 / inputs as f32).sqrt());
        initializers.push(tensor(&w, &[inputs as u64, outputs as u64], &weights));
        initializers.push(tensor(&b, &[outputs as u64], &numbers.take(outputs, 0.1)));
        nodes.push(node("Gemm", &[&from, &w, &b], &[&z]));
        let last = i + 1 == layers.len();
        nodes.push(node(if last { "Sigmoid" } else { "Relu" }, &[&z], &[if last { "p" } else { &y }]));
        from = y;
    }
    let (x, p) = ([None, Some(WIDTH as u64)], [None, Some(1)]);
    file(nodes, initializers, vec![value_info("x", 1, &x)], vec![value_info("p", 1, &p)]).bytes()
}

/// How rows go through the MLP.
pub fn mlp_io() -> RowIo {
    row_io("x", WIDTH, "p")
}

pub fn row_io(input: &str, width: usize, output: &str) -> RowIo {
    RowIo {
        input: input.to_owned(),
        row_shape: vec![width],
        output: output.to_owned(),
        answer_width: 1,
        constants: Vec::new(),
    }
}

/// Distinct rows of numbers, one after the other.
pub fn rows(n: usize, width: usize) -> Vec<f32> {
    Numbers::new(11).take(n * width, 1.0)
}

pub const BATCH: Dim = None;
