//! Merkle trees over verdicts, shaped as in RFC 6962 section 2.1; this module never knows what its leaves mean.
//!
//! Leaf = H(0x00 ‖ bytes), node = H(0x01 ‖ left ‖ right), the left subtree holds the largest power of two of leaves
//! below the whole; an odd leaf is never duplicated, so two different lists never share a root. The empty tree is H of
//! nothing. H is BLAKE3 (RFC 6962 uses SHA-256); the prefix bytes keep leaves and nodes apart.

use minicbor::{Decode, Encode};

/// A hash of a leaf, a node or a root.
pub type Hash = [u8; 32];

/// The hash of one leaf.
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    *blake3::Hasher::new().update(&[0]).update(bytes).finalize().as_bytes()
}

/// The hash of a node above two hashes.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    *blake3::Hasher::new().update(&[1]).update(left).update(right).finalize().as_bytes()
}

/// The root over leaf hashes, by the definition; [`Frontier`] gives the same leaf by leaf.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => *blake3::hash(&[]).as_bytes(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The audit path of leaf `index`, from the leaf up; `None` if there is no such leaf.
pub fn prove(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (inner, place, other) =
        if index < left.len() { (left, index, right) } else { (right, index - left.len(), left) };
    let mut path = prove(inner, place)?;
    path.push(root(other));
    Some(path)
}

/// Whether `path` proves that leaf `index` of `size` leaves has this hash under this root.
pub fn verify(leaf: &Hash, index: usize, size: usize, path: &[Hash], root: &Hash) -> bool {
    climb(leaf, index, size, path).is_some_and(|found| found == *root)
}

/// The root that follows from a leaf and its audit path.
fn climb(leaf: &Hash, index: usize, size: usize, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    if size == 1 {
        return path.is_empty().then_some(*leaf);
    }
    let (other, rest) = path.split_last()?;
    let left = split(size);
    if index < left {
        Some(node_hash(&climb(leaf, index, left, rest)?, other))
    } else {
        Some(node_hash(other, &climb(leaf, index - left, size - left, rest)?))
    }
}

/// The largest power of two below `len`, which is at least 2.
fn split(len: usize) -> usize {
    len.next_power_of_two() / 2
}

/// The roots of the perfect subtrees of a growing tree: its root in O(log n) memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Frontier {
    /// How many leaves were added.
    #[n(0)]
    len: u64,
    /// Subtree roots, the largest first.
    #[n(1)]
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Adds a leaf.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut hash = leaf_hash(bytes);
        let mut full = self.len;
        while full & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            full >>= 1;
        }
        self.peaks.push(hash);
        self.len += 1;
    }

    /// How many leaves it has.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The root of what was added so far.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return root(&[]) };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: u8) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&[i])).collect()
    }

    #[test]
    fn the_frontier_equals_the_definition() {
        let mut frontier = Frontier::default();
        assert!(frontier.is_empty());
        for n in 0..70 {
            assert_eq!(frontier.root(), root(&leaves(n)), "{n} leaves");
            frontier.push(&[n]);
        }
    }

    #[test]
    fn no_leaf_is_duplicated_and_layers_are_apart() {
        let [a, b, c] = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")];
        assert_ne!(root(&[a, b, c]), root(&[a, b, c, c]));
        assert_eq!(root(&[a, b, c]), node_hash(&node_hash(&a, &b), &c));
        assert_ne!(leaf_hash(&[&a[..], &b[..]].concat()), node_hash(&a, &b));
    }

    #[test]
    fn every_leaf_is_provable_and_no_other_passes() {
        for n in 1..20_u8 {
            let all = leaves(n);
            let top = root(&all);
            for (i, leaf) in all.iter().enumerate() {
                let path = prove(&all, i).unwrap();
                assert!(verify(leaf, i, all.len(), &path, &top));
                assert!(!verify(&leaf_hash(b"other"), i, all.len(), &path, &top));
                assert!(!verify(leaf, i + 1, all.len(), &path, &top) || n == 1);
            }
            assert_eq!(prove(&all, all.len()), None);
        }
    }
}
