//! The operator `TreeEnsemble` of `ai.onnx.ml` 5: branches and leaves in lists of their own; it never evaluates anything.

use super::ensemble::{Aggregate, Ensemble, Mode, Post, Split, Walk, Weight, f32_tensor, feature, targets};
use super::file::Node;
use super::{MAX_NODES, MAX_TREES, malformed, unsupported};
use crate::engine::Data;
use crate::error::ForecasterError;

/// The branches, in lists of one length.
struct Branches {
    feature: Vec<i64>,
    mode: Vec<Mode>,
    value: Vec<f32>,
    missing: Vec<i64>,
    yes: Vec<i64>,
    yes_leaf: Vec<i64>,
    no: Vec<i64>,
    no_leaf: Vec<i64>,
}

impl Branches {
    fn read(node: &Node<'_>) -> Result<Self, ForecasterError> {
        let Some(Data::U8(modes)) = node.tensor("nodes_modes")? else {
            return Err(malformed("nodes_modes is no tensor of bytes"));
        };
        let out = Self {
            feature: node.ints("nodes_featureids")?,
            mode: modes.iter().map(|m| mode(*m)).collect::<Result<_, _>>()?,
            value: f32_tensor(node, "nodes_splits")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
            yes: node.ints("nodes_truenodeids")?,
            yes_leaf: node.ints("nodes_trueleafs")?,
            no: node.ints("nodes_falsenodeids")?,
            no_leaf: node.ints("nodes_falseleafs")?,
        };
        let n = out.feature.len();
        let lengths = [
            out.mode.len(),
            out.value.len(),
            out.yes.len(),
            out.yes_leaf.len(),
            out.no.len(),
            out.no_leaf.len(),
        ];
        if lengths.iter().any(|l| *l != n) || out.missing.len() > n {
            return Err(malformed(format!("lists of branches differ in length: {n}, {lengths:?}")));
        }
        Ok(out)
    }
}

fn mode(number: u8) -> Result<Mode, ForecasterError> {
    Ok(match number {
        0 => Mode::Leq,
        1 => Mode::Lt,
        2 => Mode::Gte,
        3 => Mode::Gt,
        4 => Mode::Eq,
        5 => Mode::Neq,
        6 => return Err(unsupported("branches on membership")),
        other => return Err(malformed(format!("node mode {other} is not known"))),
    })
}

/// Reads the operator's node.
pub(super) fn read(node: &Node<'_>) -> Result<Ensemble, ForecasterError> {
    let branches = Branches::read(node)?;
    let targets = targets(node.int("n_targets")?.unwrap_or(0))?;
    let weights = weights(node, targets)?;
    let mut out = Ensemble {
        trees: Vec::new(),
        weights,
        targets,
        base: Vec::new(),
        aggregate: match node.int("aggregate_function")?.unwrap_or(1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Min,
            3 => Aggregate::Max,
            other => return Err(malformed(format!("aggregate function {other} is not known"))),
        },
        // The specification numbers SOFTMAX 1 and LOGISTIC 2, ONNX Runtime 1.31 the other way round. Others may choose.
        post: match node.int("post_transform")?.unwrap_or(0) {
            0 => Post::None,
            other => return Err(unsupported(format!("post transform {other} of TreeEnsemble"))),
        },
        classes: None,
    };
    let roots = node.ints("tree_roots")?;
    if roots.len() > MAX_TREES {
        return Err(malformed(format!("more than {MAX_TREES} trees")));
    }
    let (mut visited, mut nodes) = (vec![false; branches.feature.len()], 0);
    for root in roots {
        let tree = one_tree(&branches, &mut visited, root, out.weights.len())?;
        nodes += tree.len();
        if nodes > MAX_NODES {
            return Err(malformed(format!("more than {MAX_NODES} nodes")));
        }
        out.trees.push(tree);
    }
    Ok(out)
}

fn weights(node: &Node<'_>, targets: usize) -> Result<Vec<Weight>, ForecasterError> {
    let (ids, values) = (node.ints("leaf_targetids")?, f32_tensor(node, "leaf_weights")?);
    if ids.len() != values.len() {
        return Err(malformed(format!("{} leaf targets and {} leaf weights", ids.len(), values.len())));
    }
    let weight = |(id, value): (i64, f32)| {
        let target = usize::try_from(id).ok().filter(|t| *t < targets);
        let target = target.ok_or_else(|| malformed(format!("target {id} of {targets}")))?;
        Ok(Weight { target: target as u32, value })
    };
    ids.into_iter().zip(values).map(weight).collect()
}

/// One tree. Branches are 0 to B-1 in the walk, leaf `l` is B + `l`; a leaf may stand below several branches.
fn one_tree(
    branches: &Branches,
    visited: &mut [bool],
    root: i64,
    leaves: usize,
) -> Result<Vec<Split>, ForecasterError> {
    let n = branches.feature.len();
    let index = |id: i64, len: usize| {
        let at = usize::try_from(id).ok().filter(|at| *at < len);
        at.ok_or_else(|| malformed(format!("a branch or leaf {id} of {len}")))
    };
    let root = index(root, n)?;
    if branches.yes_leaf[root] != 0 && branches.no_leaf[root] != 0 && branches.yes[root] == branches.no[root]
    {
        // ONNX Runtime takes the root's own number for the leaf's; no need to have an opinion.
        return Err(unsupported("a tree that is one leaf"));
    }
    let mut walk = Walk::new(visited, root)?;
    let mut at = 0;
    while let Some((node, depth)) = walk.queue.get(at).copied() {
        at += 1;
        if node >= n {
            walk.out.push(Split::Leaf(node - n..node - n + 1));
            continue;
        }
        let mut child = |id: i64, leaf: i64| match leaf {
            0 => walk.visit(index(id, n)?, depth),
            _ => walk.leaf(n + index(id, leaves)?, depth),
        };
        let (yes, no) = (
            child(branches.yes[node], branches.yes_leaf[node])?,
            child(branches.no[node], branches.no_leaf[node])?,
        );
        walk.out.push(Split::Branch {
            feature: feature(branches.feature[node])?,
            mode: branches.mode[node],
            value: branches.value[node],
            missing_true: branches.missing.get(node) == Some(&1),
            yes,
            no,
        });
    }
    Ok(walk.out)
}
