//! A compiled ensemble and the walker that runs it: flat nodes, siblings side by side, leaves that lead to themselves.
//!
//! Walking a tree is the same number of steps for every row, and every step is: load the node, load the column, compare,
//! add the outcome to the child's number. Several walks are interleaved (8 rows of one tree, or 16 trees of one
//! row), so that their loads overlap. Trees are added up in their order in 32-bit floats, as ONNX Runtime does with one
//! thread. It never allocates.

use super::bits::Bits;
use super::columns::{Column, Columns};
use super::ensemble::{Ensemble, Split, Weight};
use super::{MAX_COLUMNS, unsupported};
use crate::error::ForecasterError;

/// Rows of one tree that are walked side by side.
pub(super) const ROWS: usize = 8;
/// Trees of one row that are walked side by side.
const TREES: usize = 16;

/// A branch or a leaf. A leaf's column is negative infinity and its child is itself, so `x <= t` keeps it there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    /// Threshold of a branch; weight of a leaf when there is one target.
    t: f32,
    column: u32,
    /// Left child; the right one follows it.
    child: u32,
}

/// Where a tree begins and how many steps its longest way has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Root {
    first: u32,
    depth: u32,
}

/// What leaves give when there are several targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Leaves {
    /// First weight of each leaf, and the end of the last.
    starts: Vec<u32>,
    weights: Vec<Weight>,
}

impl Leaves {
    /// The weights of a leaf by its number.
    #[inline]
    pub(super) fn of(&self, leaf: usize) -> &[Weight] {
        &self.weights[self.starts[leaf] as usize..self.starts[leaf + 1] as usize]
    }

    fn push(&mut self, weights: &[Weight]) -> u32 {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.weights.extend_from_slice(weights);
        self.starts.push(self.weights.len() as u32);
        self.starts.len() as u32 - 2
    }
}

/// The compiled ensemble.
#[derive(Clone, Debug)]
pub(super) struct Forest {
    pub(super) columns: Vec<Column>,
    nodes: Vec<Node>,
    roots: Vec<Root>,
    /// For each node that is a leaf its number; empty when there is one target.
    leaf_numbers: Vec<u32>,
    leaves: Leaves,
    /// The same forest for blocks of rows, where every tree is small enough.
    pub(super) bits: Option<Bits>,
}

impl Forest {
    /// Lays the trees out.
    pub(super) fn new(ensemble: &Ensemble) -> Result<Self, ForecasterError> {
        let (mut columns, single) = (Columns::new(), ensemble.targets == 1);
        let mut out = Self {
            columns: Vec::new(),
            nodes: Vec::new(),
            roots: Vec::new(),
            leaf_numbers: Vec::new(),
            leaves: Leaves::default(),
            bits: None,
        };
        for tree in &ensemble.trees {
            out.tree(tree, ensemble, &mut columns, single);
        }
        out.columns = columns.into_list();
        if out.columns.len() > MAX_COLUMNS {
            return Err(unsupported(format!("more than {MAX_COLUMNS} different features and conditions")));
        }
        out.bits = Bits::new(&out.flat_trees(), out.columns.len(), out.leaves.clone());
        Ok(out)
    }

    /// Breadth first: when a branch is laid out its children get the next two places.
    fn tree(&mut self, tree: &[Split], ensemble: &Ensemble, columns: &mut Columns, single: bool) {
        let first = self.nodes.len();
        let mut queue = vec![(0_usize, 0_u32)];
        let mut at = 0;
        while let Some((split, depth)) = queue.get(at).copied() {
            let mut number = 0;
            let node = match &tree[split] {
                Split::Leaf(range) => {
                    let weights = &ensemble.weights[range.clone()];
                    if !single {
                        number = self.leaves.push(weights);
                    }
                    let t = if single { weights[0].value } else { 0.0 };
                    Node { t, column: 0, child: (first + at) as u32 }
                }
                Split::Branch { feature, mode, value, missing_true, yes, no } => {
                    let test = columns.test(*feature, *mode, *value, *missing_true);
                    let child = (first + queue.len()) as u32;
                    let (left, right) = if test.yes_left { (*yes, *no) } else { (*no, *yes) };
                    queue.extend([(left, depth + 1), (right, depth + 1)]);
                    Node { t: test.t, column: test.column, child }
                }
            };
            self.nodes.push(node);
            if !single {
                self.leaf_numbers.push(number);
            }
            at += 1;
        }
        let depth = queue.last().map_or(0, |(_, depth)| *depth);
        self.roots.push(Root { first: first as u32, depth });
    }

    /// The trees as [`Bits`] wants them: nodes with children numbered within the tree.
    fn flat_trees(&self) -> Vec<Vec<super::bits::Flat>> {
        let ends = self.roots.iter().skip(1).map(|r| r.first as usize).chain([self.nodes.len()]);
        let flat = |(root, end): (&Root, usize)| {
            let first = root.first as usize;
            let one = |(at, node): (usize, &Node)| super::bits::Flat {
                t: node.t,
                column: node.column,
                child: (node.child as usize != first + at).then(|| node.child as usize - first),
                leaf: self.leaf_numbers.get(first + at).copied().unwrap_or(0),
            };
            self.nodes[first..end].iter().enumerate().map(one).collect()
        };
        self.roots.iter().zip(ends).map(flat).collect()
    }

    /// How many trees.
    pub(super) fn trees(&self) -> usize {
        self.roots.len()
    }

    /// How many nodes.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The longest way of any tree.
    pub(super) fn depth(&self) -> u32 {
        self.roots.iter().map(|root| root.depth).max().unwrap_or(0)
    }

    #[inline]
    fn step(&self, at: u32, wide: &[f32]) -> u32 {
        let node = self.nodes[at as usize];
        // Not `>`: NaN is not `<=` anything and goes right.
        #[allow(clippy::neg_cmp_op_on_partial_ord, reason = "NaN goes right")]
        let right = !(wide[node.column as usize] <= node.t);
        node.child + u32::from(right)
    }

    /// Walks one widened row through all trees; `each` gets every tree's leaf, in the trees' order.
    #[inline]
    fn one_row(&self, wide: &[f32], mut each: impl FnMut(u32)) {
        for group in self.roots.chunks(TREES) {
            let mut at = [group[0].first; TREES];
            for (at, root) in at.iter_mut().zip(group) {
                *at = root.first;
            }
            let depth = group.iter().map(|root| root.depth).max().unwrap_or(0);
            for _ in 0..depth {
                for at in &mut at {
                    *at = self.step(*at, wide);
                }
            }
            at[..group.len()].iter().for_each(|at| each(*at));
        }
    }

    /// Walks [`ROWS`] widened rows through all trees; `each` gets every tree's leaves, in the trees' order.
    #[inline]
    fn block(&self, wide: &[f32], mut each: impl FnMut(&[u32; ROWS])) {
        let width = self.columns.len();
        let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &wide[r * width..(r + 1) * width]);
        for root in &self.roots {
            let mut at = [root.first; ROWS];
            for _ in 0..root.depth {
                for (at, row) in at.iter_mut().zip(rows) {
                    *at = self.step(*at, row);
                }
            }
            each(&at);
        }
    }

    /// Folds one row's weights of the only target.
    pub(super) fn fold_row(&self, wide: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
        let mut score = start;
        self.one_row(wide, |leaf| score = fold(score, self.nodes[leaf as usize].t));
        score
    }

    /// Folds the weights of the only target for [`ROWS`] rows.
    pub(super) fn fold_block(&self, wide: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> [f32; ROWS] {
        let mut scores = [start; ROWS];
        self.block(wide, |leaves| {
            for (score, leaf) in scores.iter_mut().zip(leaves) {
                *score = fold(*score, self.nodes[*leaf as usize].t);
            }
        });
        scores
    }

    /// Gives one row's weights of all targets, in the trees' order.
    pub(super) fn weights_row(&self, wide: &[f32], mut each: impl FnMut(Weight)) {
        self.one_row(wide, |leaf| self.leaf(leaf).iter().for_each(|weight| each(*weight)));
    }

    /// Gives the weights of all targets for [`ROWS`] rows: the row within the block and the weight.
    pub(super) fn weights_block(&self, wide: &[f32], mut each: impl FnMut(usize, Weight)) {
        self.block(wide, |leaves| {
            for (row, leaf) in leaves.iter().enumerate() {
                self.leaf(*leaf).iter().for_each(|weight| each(row, *weight));
            }
        });
    }

    fn leaf(&self, node: u32) -> &[Weight] {
        self.leaves.of(self.leaf_numbers[node as usize] as usize)
    }
}
