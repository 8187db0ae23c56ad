//! Groups that were put together because each was of too few people to leave the machine on which it was counted.
//!
//! Whoever is in one of them is compared with nobody: their group may fail, and a group that lacks them may pass. What raw
//! counts would not pass is not to pass without them.

use std::collections::BTreeMap;

use crate::fairness::Eligibility;

/// The value that `placet bias` gives to an attribute of groups that it puts together.
const SMALL: &str = "(small groups)";

/// What is left to judge where groups were put together.
pub(super) struct Merged {
    /// The attribute sets whose groups are those that were counted.
    pub(super) sets: Vec<Vec<String>>,
    /// Who is not compared; None where this changes nothing.
    pub(super) hides: Option<String>,
}

/// Looks for groups that were put together; `groups` are their attributes and their rows.
///
/// In the set of all attributes of the report the other groups are whole. There, those put together with fewer rows than a
/// group needs to be compared are parts that none of them would have been compared, and are treated as such a group; one
/// that is larger may hide a group that would have been. In a set of some of the attributes, the other groups may lack the
/// rows that were put together, so that nothing is compared there.
pub(super) fn merged<'g>(
    groups: &(impl Iterator<Item = (&'g BTreeMap<String, String>, u64)> + Clone),
    sets: &[Vec<String>],
    eligibility: &Eligibility,
) -> Merged {
    let mut out = Merged { sets: Vec::with_capacity(sets.len()), hides: None };
    for set in sets {
        let of_set = |attributes: &BTreeMap<String, String>| {
            set.iter().any(|name| attributes.get(name).is_some_and(|value| value == SMALL))
        };
        let (mut rows, mut largest) = (0_u64, 0_u64);
        let mut whole = true;
        for (attributes, n) in groups.clone().filter(|(attributes, _)| of_set(attributes)) {
            rows = rows.saturating_add(n);
            largest = largest.max(n);
            whole &= attributes.keys().all(|name| set.contains(name));
        }
        let least = if set.len() == 1 { eligibility.min_rows } else { eligibility.min_intersection_rows };
        if whole {
            out.sets.push(set.clone());
        }
        if (rows > 0 && !whole) || (whole && largest >= least && largest > 0) {
            out.hides.get_or_insert_with(|| {
                format!(
                    "by {} {rows} rows are in {SMALL} and not compared as the groups that they are of",
                    set.join(" × ")
                )
            });
        }
    }
    out
}
