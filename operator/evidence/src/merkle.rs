//! The Merkle tree of RFC 6962: its right edge while it grows, and proofs over it.

use crate::hash::{TreeHash, empty_root, node_hash};
use crate::tile::TILE_WIDTH;

/// The roots of the perfect subtrees that make up a tree, left to right: all that appending and the root need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<TreeHash>,
}

impl Frontier {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root hash of the tree as it is now.
    pub fn root(&self) -> TreeHash {
        fold(&self.roots)
    }
}

/// Joins perfect subtrees, largest first, into one root.
fn fold(roots: &[TreeHash]) -> TreeHash {
    roots.iter().rev().copied().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// Root over a run of hashes that are at one level.
pub(crate) fn root_of(hashes: &[TreeHash]) -> TreeHash {
    let mut frontier = Frontier::default();
    for hash in hashes {
        frontier.push(*hash);
    }
    frontier.root()
}

/// A full tile that the last leaf completed.
#[derive(Clone, Debug)]
pub struct FullTile {
    /// Tile level.
    pub level: u8,
    /// Position in the level.
    pub index: u64,
    /// Its 256 hashes.
    pub hashes: Vec<TreeHash>,
}

/// The incomplete tiles at the right edge, one per level, with the frontier beside them.
#[derive(Clone, Debug, Default)]
pub struct TileEdge {
    frontier: Frontier,
    levels: Vec<Vec<TreeHash>>,
}

impl TileEdge {
    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root hash of the tree as it is now.
    pub fn root(&self) -> TreeHash {
        self.frontier.root()
    }

    /// The frontier, for a writer that needs no tiles.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Hashes of the incomplete tile of each level, level 0 first. A level may be empty.
    pub fn partial(&self) -> &[Vec<TreeHash>] {
        &self.levels
    }

    /// Appends a leaf by its hash and returns the tiles that it completed, lowest level first.
    pub fn push(&mut self, leaf: TreeHash) -> Vec<FullTile> {
        self.frontier.push(leaf);
        let mut full = Vec::new();
        let mut hash = leaf;
        let mut hashes_at_level = self.frontier.size();
        for level in 0u8.. {
            let slot = usize::from(level);
            if slot == self.levels.len() {
                self.levels.push(Vec::new());
            }
            self.levels[slot].push(hash);
            if self.levels[slot].len() < 256 {
                break;
            }
            let hashes = std::mem::take(&mut self.levels[slot]);
            hash = root_of(&hashes);
            hashes_at_level /= TILE_WIDTH;
            full.push(FullTile { level, index: hashes_at_level - 1, hashes });
        }
        full
    }
}

/// Gives the hashes of perfect subtrees: `node(h, i)` covers the leaves from `i * 2^h` to `(i + 1) * 2^h`.
pub trait NodeReader {
    /// What can go wrong when a hash is read.
    type Error;

    /// The hash of the perfect subtree of height `height` at position `index`.
    fn node(&self, height: u8, index: u64) -> Result<TreeHash, Self::Error>;
}

/// The largest power of two below `n`, for `n` of at least 2 (RFC 6962's k).
fn split_point(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Root of the leaves from `start` to `end`, where `start` is a multiple of the subtree's size.
fn range_root<R: NodeReader>(reader: &R, start: u64, end: u64) -> Result<TreeHash, R::Error> {
    let mut roots = Vec::new();
    let mut at = start;
    while at < end {
        let size = 1u64 << (end - at).ilog2();
        #[expect(clippy::cast_possible_truncation, reason = "a height is below 64")]
        let height = size.trailing_zeros() as u8;
        roots.push(reader.node(height, at / size)?);
        at += size;
    }
    Ok(fold(&roots))
}

/// The root of the first `size` leaves.
pub fn root_at<R: NodeReader>(reader: &R, size: u64) -> Result<TreeHash, R::Error> {
    range_root(reader, 0, size)
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves, from the leaf upwards (RFC 6962, 2.1.1).
/// Empty when the leaf is not in the tree.
pub fn prove_inclusion<R: NodeReader>(reader: &R, index: u64, size: u64) -> Result<Vec<TreeHash>, R::Error> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    if index >= size {
        return Ok(proof);
    }
    while end - start > 1 {
        let middle = start + split_point(end - start);
        if index < middle {
            proof.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(reader, start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of `new` leaves extends that of `old` leaves (RFC 6962, 2.1.2). Empty when the sizes are
/// equal, or one of them has no proof (0, or old above new).
pub fn prove_consistency<R: NodeReader>(reader: &R, old: u64, new: u64) -> Result<Vec<TreeHash>, R::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut start, mut end, mut known) = (0, new, true);
    // Down to the subtree that ends where the old tree ended.
    while old != end {
        let middle = start + split_point(end - start);
        if old <= middle {
            proof.push(range_root(reader, middle, end)?);
            end = middle;
        } else {
            proof.push(range_root(reader, start, middle)?);
            start = middle;
            known = false;
        }
    }
    if !known {
        proof.push(range_root(reader, start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether `proof` shows that `leaf` is leaf `index` of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
/// Total on any input.
pub fn check_inclusion(proof: &[TreeHash], size: u64, root: &TreeHash, index: u64, leaf: &TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree (`new`, `new_root`) extends the tree (`old`, `old_root`) (RFC 9162, 2.1.4.2).
/// The empty tree is extended by any tree, with an empty proof. Total on any input.
pub fn check_consistency(
    proof: &[TreeHash],
    old: u64,
    old_root: &TreeHash,
    new: u64,
    new_root: &TreeHash,
) -> bool {
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old > new {
        return false;
    }
    let mut rest = proof.iter();
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let first = if node == 0 { Some(old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}
