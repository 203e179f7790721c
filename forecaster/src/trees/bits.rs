//! The same forest for blocks of rows, where no tree has more than 32 leaves: one bit per leaf, cleared by the branches.
//!
//! After Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees"
//! (SIGIR 2015) and its vectorised form (2016): a branch whose condition fails rules out the leaves on its left. Branches
//! are ordered by column and threshold, and each is tested for 16 rows at once, which compilers turn into SSE2; of the
//! leaves that are left the leftmost is the one a walk would reach. It never allocates after it was built.

use super::columns::LANES;
use super::ensemble::Weight;
use super::forest::Leaves;

/// Most leaves of a tree: the bits of a mask.
const LEAVES: usize = 32;

/// A node with its children numbered within its tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flat {
    pub(super) t: f32,
    pub(super) column: u32,
    /// Left child; `None` is a leaf.
    pub(super) child: Option<usize>,
    /// Number of a leaf, when there are several targets.
    pub(super) leaf: u32,
}

/// A branch: the leaves of its tree that stay possible when `x <= t` does not hold.
#[derive(Clone, Copy, Debug)]
struct Branch {
    t: f32,
    tree: u32,
    keep: u32,
}

/// The forest by branches.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    /// The branches of each column, by threshold.
    columns: Vec<Vec<Branch>>,
    /// Weights of the only target, from left to right.
    weights: Vec<[f32; LEAVES]>,
    /// Numbers of the leaves from left to right; empty when there is one target.
    numbers: Vec<[u32; LEAVES]>,
    leaves: Leaves,
}

/// What a run works on: for each tree the leaves that are still possible, per row.
#[derive(Clone, Debug)]
pub(super) struct State(Vec<[u32; LANES]>);

impl Bits {
    /// `None` when a tree has too many leaves.
    pub(super) fn new(trees: &[Vec<Flat>], columns: usize, leaves: Leaves) -> Option<Self> {
        let small = |tree: &Vec<Flat>| tree.iter().filter(|node| node.child.is_none()).count() <= LEAVES;
        if !trees.iter().all(small) {
            return None;
        }
        let mut out = Self {
            columns: vec![Vec::new(); columns],
            weights: Vec::with_capacity(trees.len()),
            numbers: Vec::with_capacity(trees.len()),
            leaves,
        };
        for (number, tree) in trees.iter().enumerate() {
            out.tree(number as u32, tree);
        }
        for column in &mut out.columns {
            column.sort_by(|a, b| a.t.total_cmp(&b.t));
            column.shrink_to_fit();
        }
        Some(out)
    }

    /// Numbers a tree's leaves from left to right and masks them for its branches. Children come after parents, so
    /// going backwards each node's leaves are known before its parent's.
    fn tree(&mut self, number: u32, tree: &[Flat]) {
        let mut order = Vec::with_capacity(LEAVES);
        let mut stack = vec![0];
        while let Some(at) = stack.pop() {
            match tree[at].child {
                Some(left) => stack.extend([left + 1, left]),
                None => order.push(at),
            }
        }
        let mut below = vec![0_u32; tree.len()];
        let (mut weights, mut numbers) = ([0.0; LEAVES], [0; LEAVES]);
        for (bit, at) in order.into_iter().enumerate() {
            below[at] = 1 << bit;
            (weights[bit], numbers[bit]) = (tree[at].t, tree[at].leaf);
        }
        for (at, node) in tree.iter().enumerate().rev() {
            if let Some(left) = node.child {
                below[at] = below[left] | below[left + 1];
                let branch = Branch { t: node.t, tree: number, keep: !below[left] };
                self.columns[node.column as usize].push(branch);
            }
        }
        self.weights.push(weights);
        self.numbers.push(numbers);
    }

    /// Room for a run.
    pub(super) fn state(&self) -> State {
        State(vec![[0; LANES]; self.weights.len()])
    }

    /// Rules leaves out for 16 rows; `column` gives the rows' values of a column.
    pub(super) fn run(&self, state: &mut State, mut column: impl FnMut(usize) -> [f32; LANES]) {
        state.0.fill([u32::MAX; LANES]);
        for (number, branches) in self.columns.iter().enumerate() {
            if branches.is_empty() {
                continue;
            }
            let x = column(number);
            // From the greatest value on every condition holds. With a NaN, for which none holds, there is no end.
            let nan = x.iter().any(|x| x.is_nan());
            let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for branch in branches {
                if most <= branch.t && !nan {
                    break;
                }
                rule_out(&mut state.0[branch.tree as usize], &x, branch);
            }
        }
    }

    /// Folds the weights of the only target, in the trees' order.
    pub(super) fn fold(&self, state: &State, start: f32, fold: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        let mut scores = [start; LANES];
        for (possible, weights) in state.0.iter().zip(&self.weights) {
            for (score, possible) in scores.iter_mut().zip(possible) {
                *score = fold(*score, weights[leftmost(*possible)]);
            }
        }
        scores
    }

    /// Gives the weights of all targets: the row within the block and the weight, in the trees' order.
    pub(super) fn weights(&self, state: &State, mut each: impl FnMut(usize, Weight)) {
        for (possible, numbers) in state.0.iter().zip(&self.numbers) {
            for (row, possible) in possible.iter().enumerate() {
                let leaf = numbers[leftmost(*possible)] as usize;
                self.leaves.of(leaf).iter().for_each(|weight| each(row, *weight));
            }
        }
    }
}

/// Clears the leaves a branch rules out, for the rows where its condition does not hold. Two plain loops over arrays:
/// in one loop compilers fall back to a row at a time.
#[inline]
fn rule_out(possible: &mut [u32; LANES], x: &[f32; LANES], branch: &Branch) {
    let (t, keep) = (branch.t, branch.keep);
    let mut mask = [0_u32; LANES];
    for (mask, x) in mask.iter_mut().zip(x) {
        *mask = u32::from(*x <= t).wrapping_neg() | keep;
    }
    for (possible, mask) in possible.iter_mut().zip(&mask) {
        *possible &= mask;
    }
}

/// The place of the leftmost leaf that is possible; there always is one.
#[inline]
fn leftmost(possible: u32) -> usize {
    (possible.trailing_zeros() as usize) % LEAVES
}
