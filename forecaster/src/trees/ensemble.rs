//! A tree ensemble as its operator states it, checked to be trees: every node has one parent, nothing is missing.
//!
//! It never evaluates anything. The operators are `TreeEnsembleRegressor`, `TreeEnsembleClassifier` (`ai.onnx.ml` 1 to
//! 3) and `TreeEnsemble` (5); what ONNX Runtime does where the specification is silent is noted where it matters.

use super::file::Node;
use super::{MAX_DEPTH, MAX_NODES, MAX_TARGETS, MAX_TREES, malformed, unsupported};
use crate::engine::Data;
use crate::error::ForecasterError;

/// How a branch compares the feature with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

/// A node of a tree; children are indices into its tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Split {
    Branch {
        feature: u32,
        mode: Mode,
        value: f32,
        missing_true: bool,
        yes: usize,
        no: usize,
    },
    /// Indices into [`Ensemble::weights`].
    Leaf(std::ops::Range<usize>),
}

/// What a leaf adds to a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weight {
    pub(super) target: u32,
    pub(super) value: f32,
}

/// How the trees' answers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// What is done with the scores at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Post {
    None,
    Logistic,
    Softmax,
}

/// What only a classifier has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Classes {
    /// The labels as integers; texts are numbered.
    pub(super) labels: Vec<i64>,
    /// Whether the labels are texts.
    pub(super) texts: bool,
    /// Two classes, and every weight is of the same one.
    pub(super) one_weight: bool,
    /// No weight is negative.
    pub(super) all_positive: bool,
}

/// A checked ensemble.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ensemble {
    /// Nodes of each tree, the root first, children after their parents.
    pub(super) trees: Vec<Vec<Split>>,
    pub(super) weights: Vec<Weight>,
    pub(super) targets: usize,
    pub(super) base: Vec<f32>,
    pub(super) aggregate: Aggregate,
    pub(super) post: Post,
    pub(super) classes: Option<Classes>,
}

impl Ensemble {
    /// Reads the ensemble's node.
    pub(super) fn read(node: &Node<'_>) -> Result<Self, ForecasterError> {
        let out = match node.op {
            "TreeEnsembleRegressor" => regressor(node)?,
            "TreeEnsembleClassifier" => classifier(node)?,
            _ => super::ensemble5::read(node)?,
        };
        if !(1..=MAX_TREES).contains(&out.trees.len()) {
            let detail = format!("{} trees, allowed are 1 to {MAX_TREES}", out.trees.len());
            return Err(malformed(detail));
        }
        if out.weights.iter().any(|w| w.value.is_nan()) || out.base.iter().any(|b| b.is_nan()) {
            return Err(unsupported("a weight is NaN"));
        }
        let weighs = |split: &Split| matches!(split, Split::Leaf(w) if w.len() > 1);
        if out.targets == 1 && out.trees.iter().flatten().any(weighs) {
            return Err(unsupported("a leaf has several weights for one target"));
        }
        Ok(out)
    }

    /// One more than the greatest feature that is looked at.
    pub(super) fn features(&self) -> usize {
        let feature = |split: &Split| match split {
            Split::Branch { feature, .. } => *feature as usize + 1,
            Split::Leaf(_) => 0,
        };
        self.trees.iter().flatten().map(feature).max().unwrap_or(0)
    }
}

fn regressor(node: &Node<'_>) -> Result<Ensemble, ForecasterError> {
    let aggregate = match node.text("aggregate_function")?.unwrap_or("SUM") {
        "SUM" => Aggregate::Sum,
        "AVERAGE" => Aggregate::Average,
        "MIN" => Aggregate::Min,
        "MAX" => Aggregate::Max,
        other => return Err(malformed(format!("aggregate function `{other}` is not known"))),
    };
    let targets = targets(node.int("n_targets")?.unwrap_or(0))?;
    let base = base_values(node, &[0, targets])?;
    let (trees, weights) = nodes_by_id(node, "target", targets)?;
    Ok(Ensemble { trees, weights, targets, base, aggregate, post: post(node)?, classes: None })
}

fn classifier(node: &Node<'_>) -> Result<Ensemble, ForecasterError> {
    let (ints, texts) = (node.ints("classlabels_int64s")?, node.texts("classlabels_strings")?);
    let labels = if texts.is_empty() { ints } else { (0..texts.len() as i64).collect() };
    let targets = targets(labels.len() as i64)?;
    if targets == 1 {
        return Err(unsupported("a classifier of one class"));
    }
    let lengths = if targets == 2 { vec![0, 1, 2] } else { vec![0, targets] };
    let base = base_values(node, &lengths)?;
    let (trees, weights) = nodes_by_id(node, "class", targets)?;
    let first = weights.first().map(|w| w.target);
    let classes = Classes {
        labels,
        texts: !texts.is_empty(),
        one_weight: targets == 2 && weights.iter().all(|w| Some(w.target) == first),
        all_positive: weights.iter().all(|w| w.value >= 0.0),
    };
    if targets == 2 && base.len() == 1 && !classes.one_weight {
        return Err(unsupported("one base value for two classes"));
    }
    let aggregate = Aggregate::Sum;
    Ok(Ensemble { trees, weights, targets, base, aggregate, post: post(node)?, classes: Some(classes) })
}

/// The number of targets, within bounds.
pub(super) fn targets(n: i64) -> Result<usize, ForecasterError> {
    match usize::try_from(n) {
        Ok(n) if (1..=MAX_TARGETS).contains(&n) => Ok(n),
        _ => Err(malformed(format!("{n} targets or classes, allowed are 1 to {MAX_TARGETS}"))),
    }
}

fn base_values(node: &Node<'_>, lengths: &[usize]) -> Result<Vec<f32>, ForecasterError> {
    let base = node.floats_or_tensor("base_values", "base_values_as_tensor")?;
    if lengths.contains(&base.len()) {
        return Ok(base);
    }
    Err(malformed(format!("{} base values, expected one of {lengths:?}", base.len())))
}

fn post(node: &Node<'_>) -> Result<Post, ForecasterError> {
    match node.text("post_transform")?.unwrap_or("NONE") {
        "NONE" => Ok(Post::None),
        "LOGISTIC" => Ok(Post::Logistic),
        "SOFTMAX" => Ok(Post::Softmax),
        other => Err(unsupported(format!("post transform `{other}`"))),
    }
}

/// `None` is a leaf.
fn mode(name: &str) -> Result<Option<Mode>, ForecasterError> {
    Ok(Some(match name {
        "BRANCH_LEQ" => Mode::Leq,
        "BRANCH_LT" => Mode::Lt,
        "BRANCH_GTE" => Mode::Gte,
        "BRANCH_GT" => Mode::Gt,
        "BRANCH_EQ" => Mode::Eq,
        "BRANCH_NEQ" => Mode::Neq,
        "LEAF" => return Ok(None),
        other => return Err(malformed(format!("node mode `{other}` is not known"))),
    }))
}

/// The lists that state the nodes, all of one length.
struct Lists<'a> {
    tree: Vec<i64>,
    node: Vec<i64>,
    yes: Vec<i64>,
    no: Vec<i64>,
    feature: Vec<i64>,
    value: Vec<f32>,
    mode: Vec<&'a str>,
    missing: Vec<i64>,
}

impl<'a> Lists<'a> {
    fn read(node: &Node<'a>) -> Result<Self, ForecasterError> {
        let out = Self {
            tree: node.ints("nodes_treeids")?,
            node: node.ints("nodes_nodeids")?,
            yes: node.ints("nodes_truenodeids")?,
            no: node.ints("nodes_falsenodeids")?,
            feature: node.ints("nodes_featureids")?,
            value: node.floats_or_tensor("nodes_values", "nodes_values_as_tensor")?,
            mode: node.texts("nodes_modes")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
        };
        let n = out.tree.len();
        let lengths =
            [out.node.len(), out.yes.len(), out.no.len(), out.feature.len(), out.value.len(), out.mode.len()];
        if lengths.iter().any(|l| *l != n) || out.missing.len() > n {
            return Err(malformed(format!(
                "lists of nodes differ in length: {n}, {lengths:?}, {}",
                out.missing.len()
            )));
        }
        Ok(out)
    }
}

/// Weights of leaves, ordered by tree and node: (tree, node, weight).
type Targets = Vec<(i64, i64, Weight)>;

/// The lists that state the weights, sorted; those of the same leaf keep their order.
fn weights(node: &Node<'_>, prefix: &str, targets: usize) -> Result<Targets, ForecasterError> {
    let ids = node.ints(&format!("{prefix}_ids"))?;
    let (trees, nodes) = (node.ints(&format!("{prefix}_treeids"))?, node.ints(&format!("{prefix}_nodeids"))?);
    let values =
        node.floats_or_tensor(&format!("{prefix}_weights"), &format!("{prefix}_weights_as_tensor"))?;
    if [trees.len(), nodes.len(), values.len()].iter().any(|l| *l != ids.len()) {
        return Err(malformed(format!("lists of weights differ in length from {}", ids.len())));
    }
    let mut out = Vec::with_capacity(ids.len());
    for (((id, tree), node), value) in ids.into_iter().zip(trees).zip(nodes).zip(values) {
        let target = usize::try_from(id).ok().filter(|t| *t < targets);
        let target = target.ok_or_else(|| malformed(format!("target or class {id} of {targets}")))?;
        out.push((tree, node, Weight { target: target as u32, value }));
    }
    out.sort_by_key(|(tree, node, _)| (*tree, *node));
    Ok(out)
}

type Trees = (Vec<Vec<Split>>, Vec<Weight>);

/// Nodes that are named by (tree, node); the first one listed of a tree is its root, as in ONNX Runtime.
fn nodes_by_id(node: &Node<'_>, prefix: &str, targets: usize) -> Result<Trees, ForecasterError> {
    let lists = Lists::read(node)?;
    let sorted = weights(node, prefix, targets)?;
    let (mut seen, mut trees, mut start) = (std::collections::BTreeSet::new(), Vec::new(), 0);
    while start < lists.tree.len() {
        let id = lists.tree[start];
        let end = lists.tree[start..].iter().position(|t| *t != id).map_or(lists.tree.len(), |n| start + n);
        if !seen.insert(id) {
            return Err(unsupported(format!("the nodes of tree {id} are not listed together")));
        }
        trees.push(one_tree(&lists, start..end, &sorted)?);
        start = end;
    }
    if let Some((tree, ..)) = sorted.iter().find(|(tree, ..)| !seen.contains(tree)) {
        return Err(malformed(format!("a weight is of tree {tree}, which has no nodes")));
    }
    Ok((trees, sorted.into_iter().map(|(_, _, weight)| weight).collect()))
}

/// One tree from its rows of the lists; breadth first, so that children come after their parents.
fn one_tree(
    lists: &Lists<'_>,
    rows: std::ops::Range<usize>,
    weights: &Targets,
) -> Result<Vec<Split>, ForecasterError> {
    let tree = lists.tree[rows.start];
    let mut ids: Vec<(i64, usize)> = rows.clone().map(|row| (lists.node[row], row)).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(malformed(format!("node {} of tree {tree} is there twice", pair[0].0)));
    }
    let find = |id: i64| {
        let at = ids.binary_search_by_key(&id, |(id, _)| *id);
        at.map(|at| ids[at].1).map_err(|_| malformed(format!("node {id} of tree {tree} is missing")))
    };
    let mut visited = vec![false; rows.len()];
    let mut walk = Walk::new(&mut visited, 0)?;
    let mut at = 0;
    while let Some((local, depth)) = walk.queue.get(at).copied() {
        let row = rows.start + local;
        let split = if let Some(mode) = mode(lists.mode[row])? {
            Split::Branch {
                feature: feature(lists.feature[row])?,
                mode,
                value: lists.value[row],
                missing_true: lists.missing.get(row) == Some(&1),
                yes: walk.visit(find(lists.yes[row])? - rows.start, depth)?,
                no: walk.visit(find(lists.no[row])? - rows.start, depth)?,
            }
        } else {
            let id = (tree, lists.node[row]);
            let first = weights.partition_point(|(t, n, _)| (*t, *n) < id);
            let last = weights.partition_point(|(t, n, _)| (*t, *n) <= id);
            if first == last {
                return Err(malformed(format!("leaf {} of tree {tree} has no weight", id.1)));
            }
            Split::Leaf(first..last)
        };
        walk.out.push(split);
        at += 1;
    }
    Ok(walk.out)
}

/// A feature's number; negative ones do not exist.
pub(super) fn feature(id: i64) -> Result<u32, ForecasterError> {
    u32::try_from(id).map_err(|_| malformed(format!("feature {id}")))
}

/// A breadth-first walk that visits each node at most once.
pub(super) struct Walk<'a> {
    /// Nodes in the order of their visit with their depths.
    pub(super) queue: Vec<(usize, usize)>,
    pub(super) out: Vec<Split>,
    visited: &'a mut [bool],
}

impl<'a> Walk<'a> {
    /// From a root that is within `visited`, which trees may share: then no two trees have a node in common.
    pub(super) fn new(visited: &'a mut [bool], root: usize) -> Result<Self, ForecasterError> {
        if std::mem::replace(&mut visited[root], true) {
            return Err(malformed("a root is a node of another tree"));
        }
        Ok(Self { queue: vec![(root, 0)], out: Vec::new(), visited })
    }

    /// Where the child will stand. A second visit means a loop or two parents, and neither is a tree.
    pub(super) fn visit(&mut self, node: usize, parent_depth: usize) -> Result<usize, ForecasterError> {
        match self.visited.get_mut(node) {
            Some(visited) if !*visited => *visited = true,
            Some(_) => return Err(malformed("a node has two parents or is its own ancestor")),
            None => return Err(malformed(format!("node {node} of {}", self.visited.len()))),
        }
        self.leaf(node, parent_depth)
    }

    /// Where a leaf will stand that may be reached more than once.
    pub(super) fn leaf(&mut self, node: usize, parent_depth: usize) -> Result<usize, ForecasterError> {
        if parent_depth >= MAX_DEPTH || self.queue.len() >= MAX_NODES {
            return Err(malformed(format!("deeper than {MAX_DEPTH} or more nodes than {MAX_NODES}")));
        }
        self.queue.push((node, parent_depth + 1));
        Ok(self.queue.len() - 1)
    }
}

/// A tensor attribute of f32, empty when absent.
pub(super) fn f32_tensor(node: &Node<'_>, name: &str) -> Result<Vec<f32>, ForecasterError> {
    match node.tensor(name)? {
        None => Ok(Vec::new()),
        Some(Data::F32(values)) => Ok(values),
        Some(other) => Err(unsupported(format!("{name} is {}, not f32", other.dtype().name()))),
    }
}
