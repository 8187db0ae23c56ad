//! The tree against two implementations that we did not write, and against RFC 6962's definition in a few lines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads and writes files as it likes"
)]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use placet_evidence::merkle::*;
use placet_evidence::{TreeHash, hash};
use proptest::prelude::*;
use sha2::Sha256;

/// RFC 6962's MTH, word by word.
fn mth(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => hash::empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            hash::node_hash(&mth(&leaves[..k]), &mth(&leaves[k..]))
        }
    }
}

/// Perfect subtrees straight from the leaves.
struct Leaves(Vec<TreeHash>);

impl NodeReader for Leaves {
    type Error = std::convert::Infallible;

    #[expect(clippy::cast_possible_truncation, reason = "test trees are small")]
    fn node(&self, height: u8, index: u64) -> Result<TreeHash, Self::Error> {
        let (start, end) = ((index << height) as usize, ((index + 1) << height) as usize);
        Ok(mth(&self.0[start..end]))
    }
}

impl Leaves {
    fn leaf(&self, index: u64) -> TreeHash {
        self.0[usize::try_from(index).unwrap()]
    }
}

fn entries(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("entry {i}").into_bytes()).collect()
}

fn leaves(n: usize) -> Leaves {
    Leaves(entries(n).iter().map(|e| hash::leaf_hash(e)).collect())
}

/// `tlog_tiles` keeps stored hashes in one list.
struct Stored(Vec<tlog_tiles::Hash>);

impl tlog_tiles::HashReader for Stored {
    #[expect(clippy::cast_possible_truncation, reason = "test trees are small")]
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|i| self.0[*i as usize]).collect())
    }
}

fn stored(n: usize) -> Stored {
    let mut stored = Stored(Vec::new());
    for (i, entry) in entries(n).iter().enumerate() {
        let new = tlog_tiles::stored_hashes(i as u64, entry, &stored).unwrap();
        stored.0.extend(new);
    }
    stored
}

/// Their proof as ours.
fn ours(hashes: &[tlog_tiles::Hash]) -> Vec<TreeHash> {
    hashes.iter().map(|h| TreeHash(h.0)).collect()
}

#[test]
fn roots_agree_at_every_size() {
    let all = leaves(600);
    let other = stored(600);
    let (mut frontier, mut edge) = (Frontier::default(), TileEdge::default());
    let mut ct = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (n, entry) in entries(600).into_iter().enumerate() {
        frontier.push(all.0[n]);
        for tile in edge.push(all.0[n]) {
            assert_eq!(tile.hashes.len(), 256);
        }
        ct.push(entry);
        let root = mth(&all.0[..=n]);
        assert_eq!(frontier.root(), root);
        assert_eq!(edge.root(), root);
        assert_eq!(root_at(&all, n as u64 + 1), Ok(root));
        assert_eq!(tlog_tiles::tree_hash(n as u64 + 1, &other).unwrap().0, root.0);
        assert_eq!(ct.root().as_bytes().as_slice(), root.0);
    }
}

#[test]
fn all_proofs_of_small_trees_are_those_of_the_others() {
    let (all, other) = (leaves(66), stored(66));
    for size in 1..=66u64 {
        let root = root_at(&all, size).unwrap();
        for index in 0..size {
            let proof = prove_inclusion(&all, index, size).unwrap();
            let leaf = all.leaf(index);
            assert!(check_inclusion(&proof, size, &root, index, &leaf), "{index} in {size}");
            assert_eq!(
                proof,
                ours(&tlog_tiles::prove_record(size, index, &other).unwrap()),
                "{index} in {size}"
            );
            assert!(!check_inclusion(&proof, size, &root, index, &TreeHash([0; 32])), "another leaf");
            if size > 1 {
                assert!(!check_inclusion(&proof, size, &root, (index + 1) % size, &leaf), "another index");
                assert!(!check_inclusion(&proof[1..], size, &root, index, &leaf), "a shorter proof");
            }
        }
        for old in 1..=size {
            let proof = prove_consistency(&all, old, size).unwrap();
            let old_root = root_at(&all, old).unwrap();
            assert!(check_consistency(&proof, old, &old_root, size, &root), "{old} to {size}");
            assert_eq!(proof, ours(&tlog_tiles::prove_tree(size, old, &other).unwrap()), "{old} to {size}");
            if old < size {
                assert!(!check_consistency(&proof, old, &root, size, &root), "another old root");
                assert!(!check_consistency(&proof, old, &old_root, size, &old_root), "another new root");
            }
        }
        assert!(check_consistency(&[], 0, &hash::empty_root(), size, &root));
    }
}

#[test]
fn proofs_are_accepted_by_ct_merkle() {
    let all = leaves(130);
    let mut ct = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for entry in entries(130) {
        ct.push(entry);
    }
    let root = ct.root();
    for index in 0..130u64 {
        let proof = prove_inclusion(&all, index, 130).unwrap();
        let bytes: Vec<u8> = proof.iter().flat_map(|h| h.0).collect();
        assert_eq!(ct.prove_inclusion(usize::try_from(index).unwrap()).as_bytes(), bytes);
        let proof = ct_merkle::InclusionProof::<Sha256>::try_from_bytes(bytes).unwrap();
        root.verify_inclusion(&format!("entry {index}").into_bytes(), index, &proof).unwrap();
    }
}

proptest! {
    #[test]
    fn larger_trees_agree(size in 1usize..2000, old in 1usize..2000, index in 0usize..2000) {
        let (old, index) = (1 + old % size, index % size);
        let (all, other) = (leaves(size), stored(size));
        let (size, old, index) = (size as u64, old as u64, index as u64);
        let root = root_at(&all, size).unwrap();
        prop_assert_eq!(tlog_tiles::tree_hash(size, &other).unwrap().0, root.0);
        let proof = prove_inclusion(&all, index, size).unwrap();
        prop_assert!(check_inclusion(&proof, size, &root, index, &all.leaf(index)));
        prop_assert_eq!(proof, ours(&tlog_tiles::prove_record(size, index, &other).unwrap()));
        let proof = prove_consistency(&all, old, size).unwrap();
        let old_root = root_at(&all, old).unwrap();
        prop_assert!(check_consistency(&proof, old, &old_root, size, &root));
        prop_assert_eq!(proof, ours(&tlog_tiles::prove_tree(size, old, &other).unwrap()));
    }

    #[test]
    fn checks_are_total_and_accept_only_what_the_other_accepts(
        raw in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        size in any::<u64>(), index in any::<u64>(), small in 0u64..9, root in any::<[u8; 32]>(), leaf in any::<[u8; 32]>(),
    ) {
        let proof: Vec<TreeHash> = raw.into_iter().map(TreeHash).collect();
        let (root, leaf) = (TreeHash(root), TreeHash(leaf));
        for (size, index) in [(size, index), (small, index % 9), (index % 9, small), (size, small)] {
            prop_assert!(!check_inclusion(&proof, size, &root, index, &leaf) || (size == 1 && root == leaf));
            prop_assert!(!check_consistency(&proof, size, &leaf, index, &root));
        }
    }

    #[test]
    fn a_changed_proof_is_refused(size in 2usize..300, index in 0usize..300, at in 0usize..16, bit in 0usize..256) {
        let all = leaves(size);
        let (size, index) = (size as u64, (index % size) as u64);
        let root = root_at(&all, size).unwrap();
        let mut proof = prove_inclusion(&all, index, size).unwrap();
        let at = at % proof.len();
        proof[at].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!check_inclusion(&proof, size, &root, index, &all.leaf(index)));
    }
}
