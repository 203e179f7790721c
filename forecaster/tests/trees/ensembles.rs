//! Tree ensembles as data, written as ONNX files of three operators, and a walker as plain as the specification.

use crate::onnx::{File, Msg, value_info};

/// A node; children are indices into its tree, the root is 0.
#[derive(Clone, Debug)]
pub enum N {
    B { mode: &'static str, feature: i64, value: f32, missing: bool, yes: usize, no: usize },
    L(Vec<(i64, f32)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Regressor,
    Classifier,
    V5,
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub op: Op,
    pub trees: Vec<Vec<N>>,
    pub targets: usize,
    pub width: usize,
    pub base: Vec<f32>,
    pub aggregate: &'static str,
    pub post: &'static str,
}

pub const MODES: [&str; 6] =
    ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"];

pub fn branch(mode: &'static str, feature: i64, value: f32, yes: usize, no: usize) -> N {
    N::B { mode, feature, value, missing: false, yes, no }
}

pub fn leaf(weight: f32) -> N {
    N::L(vec![(0, weight)])
}

/// One attribute.
pub fn ints(name: &str, values: &[i64]) -> Msg {
    values.iter().fold(Msg::default().text(1, name), |m, v| m.int(8, *v as u64)).int(20, 7)
}

pub fn int(name: &str, value: i64) -> Msg {
    Msg::default().text(1, name).int(3, value as u64).int(20, 2)
}

pub fn text(name: &str, value: &str) -> Msg {
    Msg::default().text(1, name).text(4, value).int(20, 3)
}

pub fn texts(name: &str, values: &[&str]) -> Msg {
    values.iter().fold(Msg::default().text(1, name), |m, v| m.text(9, v)).int(20, 8)
}

/// Packed, as the third version of the format writes it.
pub fn floats(name: &str, values: &[f32]) -> Msg {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Msg::default().text(1, name).bytes(7, &bytes).int(20, 6)
}

fn tensor(name: &str, element: u64, count: usize, raw: &[u8]) -> Msg {
    let tensor = Msg::default().int(1, count as u64).int(2, element).text(8, name).bytes(9, raw);
    Msg::default().text(1, name).msg(5, &tensor).int(20, 4)
}

fn f32_tensor(name: &str, values: &[f32]) -> Msg {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, 1, values.len(), &raw)
}

/// A file of one operator of `ai.onnx.ml`.
pub fn file(op: &str, outputs: &[&str], attributes: &[Msg], width: usize, answers: usize) -> File {
    let node = crate::onnx::node(op, &["x"], outputs).text(7, "ai.onnx.ml");
    let node = attributes.iter().fold(node, |n, a| n.msg(5, a));
    let mut out = File::linear([0.0; 10]);
    let answers = Some(answers as u64);
    out.opsets = vec![("", 17), ("ai.onnx.ml", if op == "TreeEnsemble" { 5 } else { 3 })];
    out.nodes = vec![node];
    out.initializers.clear();
    out.inputs = vec![value_info("x", 1, &[None, Some(width as u64)])];
    out.outputs = match outputs {
        [scores] => vec![value_info(scores, 1, &[None, answers])],
        [label, scores] => vec![value_info(label, 7, &[None]), value_info(scores, 1, &[None, answers])],
        _ => panic!("one or two outputs"),
    };
    out
}

impl Spec {
    pub fn regressor(trees: Vec<Vec<N>>, width: usize) -> Self {
        Self { op: Op::Regressor, trees, targets: 1, width, base: vec![], aggregate: "SUM", post: "NONE" }
    }

    /// The name of the output with the scores.
    pub fn output(&self) -> &'static str {
        if self.op == Op::Classifier { "probabilities" } else { "y" }
    }

    /// The attributes, so that a test can spoil one.
    pub fn attributes(&self) -> Vec<Msg> {
        match self.op {
            Op::V5 => self.v5(),
            Op::Regressor => {
                let mut out = self.v3("target");
                out.push(int("n_targets", self.targets as i64));
                out.push(text("aggregate_function", self.aggregate));
                out
            }
            Op::Classifier => {
                let mut out = self.v3("class");
                // Labels that are not the classes' numbers.
                let labels: Vec<i64> = (0..self.targets as i64).map(|c| c * 10 + 3).collect();
                out.push(ints("classlabels_int64s", &labels));
                out
            }
        }
    }

    pub fn file(&self) -> File {
        self.file_with(&self.attributes())
    }

    pub fn file_with(&self, attributes: &[Msg]) -> File {
        let (op, outputs): (_, &[&str]) = match self.op {
            Op::Regressor => ("TreeEnsembleRegressor", &["y"]),
            Op::Classifier => ("TreeEnsembleClassifier", &["label", "probabilities"]),
            Op::V5 => ("TreeEnsemble", &["y"]),
        };
        file(op, outputs, attributes, self.width, self.targets)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.file().bytes()
    }

    fn v3(&self, prefix: &str) -> Vec<Msg> {
        let mut lists: [Vec<i64>; 6] = Default::default();
        let (mut values, mut modes) = (Vec::new(), Vec::new());
        let (mut leaf_tree, mut leaf_node, mut leaf_id, mut weights) = (vec![], vec![], vec![], vec![]);
        for (t, tree) in self.trees.iter().enumerate() {
            for (n, node) in tree.iter().enumerate() {
                let (row, value, mode) = match node {
                    N::B { mode, feature, value, missing, yes, no } => {
                        ([*yes as i64, *no as i64, *feature, i64::from(*missing)], *value, *mode)
                    }
                    N::L(list) => {
                        for (target, weight) in list {
                            leaf_tree.push(t as i64);
                            leaf_node.push(n as i64);
                            leaf_id.push(*target);
                            weights.push(*weight);
                        }
                        ([0; 4], 0.0, "LEAF")
                    }
                };
                let all = [t as i64, n as i64, row[0], row[1], row[2], row[3]];
                lists.iter_mut().zip(all).for_each(|(list, v)| list.push(v));
                values.push(value);
                modes.push(mode);
            }
        }
        let names = ["treeids", "nodeids", "truenodeids", "falsenodeids", "featureids"];
        let mut out: Vec<Msg> =
            names.iter().zip(&lists).map(|(n, list)| ints(&format!("nodes_{n}"), list)).collect();
        out.push(ints("nodes_missing_value_tracks_true", &lists[5]));
        out.push(floats("nodes_values", &values));
        out.push(texts("nodes_modes", &modes));
        out.push(ints(&format!("{prefix}_treeids"), &leaf_tree));
        out.push(ints(&format!("{prefix}_nodeids"), &leaf_node));
        out.push(ints(&format!("{prefix}_ids"), &leaf_id));
        out.push(floats(&format!("{prefix}_weights"), &weights));
        out.push(text("post_transform", self.post));
        if !self.base.is_empty() {
            out.push(floats("base_values", &self.base));
        }
        out
    }

    /// Leaves of one weight only, and no tree that is one leaf.
    fn v5(&self) -> Vec<Msg> {
        let (mut roots, mut branches) = (Vec::new(), 0_i64);
        let (mut leaves, mut leaf_targets): (Vec<f32>, Vec<i64>) = (vec![], vec![]);
        // Feature, true, true is leaf, false, false is leaf, missing.
        let mut lists: [Vec<i64>; 6] = Default::default();
        let (mut modes, mut splits) = (Vec::new(), Vec::new());
        for tree in &self.trees {
            let mut number = Vec::new();
            roots.push(branches);
            for node in tree {
                match node {
                    N::B { .. } => {
                        number.push(branches);
                        branches += 1;
                    }
                    N::L(list) => {
                        number.push(leaves.len() as i64);
                        leaf_targets.push(list[0].0);
                        leaves.push(list[0].1);
                    }
                }
            }
            for node in tree {
                let N::B { mode, feature, value, missing, yes, no } = node else { continue };
                let is_leaf = |at: usize| i64::from(matches!(tree[at], N::L(_)));
                let row =
                    [*feature, number[*yes], is_leaf(*yes), number[*no], is_leaf(*no), i64::from(*missing)];
                lists.iter_mut().zip(row).for_each(|(list, v)| list.push(v));
                modes.push(MODES.iter().position(|m| m == mode).unwrap() as u8);
                splits.push(*value);
            }
        }
        let names = ["featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs"];
        let mut out: Vec<Msg> =
            names.iter().zip(&lists).map(|(n, list)| ints(&format!("nodes_{n}"), list)).collect();
        out.push(ints("nodes_missing_value_tracks_true", &lists[5]));
        out.push(tensor("nodes_modes", 2, modes.len(), &modes));
        out.push(f32_tensor("nodes_splits", &splits));
        out.push(f32_tensor("leaf_weights", &leaves));
        out.push(ints("leaf_targetids", &leaf_targets));
        out.push(ints("tree_roots", &roots));
        out.push(int("n_targets", self.targets as i64));
        let aggregate = ["AVERAGE", "SUM", "MIN", "MAX"].iter().position(|a| *a == self.aggregate);
        out.push(int("aggregate_function", aggregate.unwrap() as i64));
        let post = ["NONE", "SOFTMAX", "LOGISTIC"].iter().position(|p| *p == self.post);
        out.push(int("post_transform", post.unwrap() as i64));
        out
    }

    /// The sums of a row, by recursion, in 64-bit: what the specification says, and nothing else.
    pub fn naive(&self, row: &[f32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.targets];
        for tree in &self.trees {
            for (target, weight) in descend(tree, 0, row) {
                sums[*target as usize] += f64::from(*weight);
            }
        }
        sums
    }
}

fn descend<'a>(tree: &'a [N], at: usize, row: &[f32]) -> &'a [(i64, f32)] {
    match &tree[at] {
        N::L(weights) => weights,
        N::B { mode, feature, value, missing, yes, no } => {
            let x = row[*feature as usize];
            let holds = match *mode {
                "BRANCH_LEQ" => x <= *value,
                "BRANCH_LT" => x < *value,
                "BRANCH_GTE" => x >= *value,
                "BRANCH_GT" => x > *value,
                "BRANCH_EQ" => x == *value,
                _ => x != *value,
            };
            let next = if holds || (*missing && x.is_nan()) { yes } else { no };
            descend(tree, *next, row)
        }
    }
}
