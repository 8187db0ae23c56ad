//! Groups of so few people that counts of them tell about persons are put together before anything leaves this machine.

use std::collections::BTreeMap;

use super::count::{Cell, Cells};
use super::values::SMALL;

/// People that a group needs to stand for itself.
pub const FEWEST: u64 = 10;

/// What was put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Groups that are exported: none where all rows together are fewer than [`FEWEST`].
    pub cells: Cells,
    /// Groups that were put together, and the rows in them.
    pub groups: usize,
    /// As [`Merged::groups`].
    pub rows: u64,
}

/// Puts groups below [`FEWEST`] rows together under [`SMALL`], and with them as many others as it takes for no small group to
/// be the difference of a total and what is exported: in the whole, and among those who share any values (all women, all of
/// one age), those put together are none, or at least two groups and [`FEWEST`] rows. This is complementary suppression as
/// statistical offices do it for tables, the smallest group first (A. Hundepool et al., "Statistical Disclosure Control",
/// Wiley 2012, section 4.3).
///
/// Those put together keep the values that they share, so that whoever counts by these alone counts everybody: `keep` are the
/// attributes in the order in which they matter, of which the last one is given up first. A sum of those who share values
/// tells nothing new to somebody who knows the total of all who share them, against whom the groups were chosen.
pub fn merge(cells: Cells, keep: &[usize]) -> Merged {
    let all: Vec<(Vec<String>, Cell)> = cells.into_iter().collect();
    let mut hidden: Vec<bool> = all.iter().map(|(_, cell)| cell.rows() < FEWEST).collect();
    if !hidden.contains(&true) {
        return Merged { cells: all.into_iter().collect(), groups: 0, rows: 0 };
    }
    let attributes = all.first().map_or(0, |(values, _)| values.len());
    while let Some(more) = revealed(&all, &hidden, attributes) {
        for at in more {
            hidden[at] = true;
        }
    }
    let rows = |places: &[usize]| places.iter().map(|at| all[*at].1.rows()).sum::<u64>();
    let together: Vec<usize> = (0..all.len()).filter(|at| hidden[*at]).collect();
    let mut out = Merged { cells: Cells::new(), groups: together.len(), rows: rows(&together) };
    let (mut parts, left) = part(&all, keep, 0, together);
    if rows(&left) >= FEWEST {
        parts.push(Part { kept: 0, places: left });
    }
    for Part { kept, places } in parts {
        for at in places {
            let mut values = vec![SMALL.to_owned(); attributes];
            for shared in &keep[..kept] {
                values[*shared].clone_from(&all[at].0[*shared]);
            }
            out.cells.entry(values).or_default().merge(&all[at].1);
        }
    }
    let shown = all.into_iter().zip(hidden).filter(|(_, hide)| !hide);
    out.cells.extend(shown.map(|(cell, _)| cell));
    out
}

/// Groups that are exported as one.
struct Part {
    /// How many attributes, of those that are kept first, they share.
    kept: usize,
    /// Where they are among all.
    places: Vec<usize>,
}

/// Divides groups that share the first `shared` of the attributes into parts of those who share more, as long as each part
/// is at least two groups and [`FEWEST`] rows; and which of them are in no such part.
fn part(
    all: &[(Vec<String>, Cell)],
    keep: &[usize],
    shared: usize,
    places: Vec<usize>,
) -> (Vec<Part>, Vec<usize>) {
    let rows = |places: &[usize]| places.iter().map(|at| all[*at].1.rows()).sum::<u64>();
    let enough = |places: &[usize]| places.len() > 1 && rows(places) >= FEWEST;
    let (mut parts, mut left) = (Vec::new(), places);
    if shared + 1 < keep.len() {
        let mut lines: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for at in std::mem::take(&mut left) {
            lines.entry(&all[at].0[keep[shared]]).or_default().push(at);
        }
        for line in lines.into_values() {
            let (more, rest) = part(all, keep, shared + 1, line);
            parts.extend(more);
            left.extend(rest);
        }
        // Those left over are not enough to stand together: the smallest part stands with them.
        while !left.is_empty() && !enough(&left) {
            let Some(next) = (0..parts.len()).min_by_key(|at| rows(&parts[*at].places)) else { break };
            left.extend(parts.swap_remove(next).places);
        }
    }
    if enough(&left) {
        parts.push(Part { kept: shared, places: std::mem::take(&mut left) });
    }
    (parts, left)
}

/// Groups that have to be hidden as well; None if no total reveals any.
fn revealed(all: &[(Vec<String>, Cell)], hidden: &[bool], attributes: usize) -> Option<Vec<usize>> {
    /// Those who share some values.
    #[derive(Default)]
    struct Line {
        hidden: usize,
        rows: u64,
        /// The smallest of those that are not hidden.
        next: Option<(u64, usize)>,
    }
    let mut more = Vec::new();
    for shared in 0_u32..(1 << attributes) - 1 {
        let mut lines: BTreeMap<Vec<&str>, Line> = BTreeMap::new();
        for (at, (values, cell)) in all.iter().enumerate() {
            let of = values.iter().enumerate().filter(|(i, _)| shared & (1 << i) != 0);
            let line = lines.entry(of.map(|(_, v)| v.as_str()).collect()).or_default();
            if hidden[at] {
                line.hidden += 1;
                line.rows += cell.rows();
            } else if line.next.is_none_or(|next| (cell.rows(), at) < next) {
                line.next = Some((cell.rows(), at));
            }
        }
        let bare = |line: &&Line| line.hidden == 1 || (line.hidden > 0 && line.rows < FEWEST);
        more.extend(lines.values().filter(bare).filter_map(|line| line.next.map(|(_, at)| at)));
    }
    (!more.is_empty()).then_some(more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[(&[&str], u64)]) -> Cells {
        let cell = |n: u64| Cell { counts: [n, 0, 0, 0], ..Cell::default() };
        rows.iter().map(|(v, n)| (v.iter().map(|v| (*v).to_owned()).collect(), cell(*n))).collect()
    }

    /// The attributes in their own order.
    const FIRST: [usize; 3] = [0, 1, 2];

    fn shown(merged: &Merged) -> Vec<(String, u64)> {
        merged.cells.iter().map(|(values, cell)| (values.join(" "), cell.rows())).collect()
    }

    #[test]
    fn groups_of_ten_stay() {
        let all = cells(&[(&["a"], 10), (&["b"], 500)]);
        let merged = merge(all.clone(), &FIRST[..1]);
        assert_eq!((merged.cells, merged.groups, merged.rows), (all, 0, 0));
    }

    #[test]
    fn a_small_group_alone_takes_the_next_one_with_it() {
        let merged = merge(cells(&[(&["a"], 9), (&["b"], 500), (&["c"], 40), (&["d"], 60)]), &FIRST[..1]);
        assert_eq!(
            shown(&merged),
            [("(small groups)".into(), 49), ("b".into(), 500), ("d".into(), 60)],
            "the total without b, c and d is a"
        );
        assert_eq!((merged.groups, merged.rows), (2, 49));
        // Two that are not ten people together need a third.
        let merged = merge(cells(&[(&["a"], 2), (&["b"], 3), (&["c"], 40), (&["d"], 60)]), &FIRST[..1]);
        assert_eq!(shown(&merged), [("(small groups)".into(), 45), ("d".into(), 60)]);
        // Two that are, do not.
        let merged = merge(cells(&[(&["a"], 5), (&["b"], 5), (&["c"], 40)]), &FIRST[..1]);
        assert_eq!(shown(&merged), [("(small groups)".into(), 10), ("c".into(), 40)]);
    }

    #[test]
    fn a_file_of_fewer_people_than_a_group_needs_gives_no_group() {
        let merged = merge(cells(&[(&["a"], 5), (&["b"], 4)]), &FIRST[..1]);
        assert_eq!((merged.cells.len(), merged.groups, merged.rows), (0, 2, 9));
        let merged = merge(cells(&[(&["a"], 9)]), &FIRST[..1]);
        assert_eq!((merged.cells.len(), merged.groups, merged.rows), (0, 1, 9));
    }

    #[test]
    fn no_total_of_those_who_share_a_value_reveals_a_small_group() {
        let all = cells(&[
            (&["a", "f"], 4),
            (&["a", "m"], 90),
            (&["b", "f"], 80),
            (&["b", "m"], 70),
            (&["c", "f"], 300),
            (&["c", "m"], 300),
        ]);
        // Hiding the women of a alone, or they and the men of a, could be undone by the number of all women.
        let whole = [("c f".to_owned(), 300), ("c m".to_owned(), 300)];
        let with = |small: [(&str, u64); 2]| {
            let mut all: Vec<(String, u64)> = small.map(|(name, rows)| (name.to_owned(), rows)).into();
            all.extend(whole.clone());
            all.sort();
            all
        };
        let mut by_first = shown(&merge(all.clone(), &[0, 1]));
        by_first.sort();
        assert_eq!(by_first, with([("a (small groups)", 94), ("b (small groups)", 150)]));
        let mut by_second = shown(&merge(all, &[1, 0]));
        by_second.sort();
        assert_eq!(by_second, with([("(small groups) f", 84), ("(small groups) m", 160)]));
    }

    #[test]
    fn a_value_of_few_people_is_put_together_with_another() {
        // The four of d are all there are, whatever their sex.
        let all = cells(&[
            (&["a", "f"], 400),
            (&["a", "m"], 500),
            (&["b", "f"], 60),
            (&["b", "m"], 70),
            (&["d", "f"], 3),
            (&["d", "m"], 1),
        ]);
        let names: Vec<String> =
            shown(&merge(all.clone(), &[0, 1])).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["(small groups) (small groups)", "a f", "a m"]);
        assert_eq!(
            shown(&merge(all, &[1, 0])),
            [
                ("(small groups) f".to_owned(), 63),
                ("(small groups) m".to_owned(), 71),
                ("a f".to_owned(), 400),
                ("a m".to_owned(), 500)
            ]
        );
    }

    #[test]
    fn whatever_is_small_no_line_reveals_it() {
        // Tables of three attributes with small groups here and there, from a generator of numbers.
        let mut kept = [0; 8];
        for seed in 0..40_u64 {
            let mut state = seed;
            let mut next = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut all = Cells::new();
            for a in 0..4 {
                for b in 0..3 {
                    for c in 0..2 {
                        let n = if next(6) == 0 { next(12) } else { 10 + next(200) };
                        if n > 0 {
                            let key = vec![format!("a{a}"), format!("b{b}"), format!("c{c}")];
                            all.insert(key, Cell { counts: [n, 0, 0, 0], ..Cell::default() });
                        }
                    }
                }
            }
            let merged = merge(all.clone(), &FIRST);
            let rows = |cells: &Cells| cells.values().map(Cell::rows).sum::<u64>();
            assert_eq!(rows(&merged.cells), rows(&all));
            assert!(merged.cells.values().all(|cell| cell.rows() >= FEWEST), "{seed}");
            // Whoever counts by attributes that all groups kept counts everybody.
            for set in 1..8_u32 {
                let by = |cells: &Cells| {
                    let mut sums: BTreeMap<Vec<String>, u64> = BTreeMap::new();
                    for (values, cell) in cells {
                        let of = (0..3).filter(|i| set & (1 << i) != 0).map(|i| values[i].clone());
                        *sums.entry(of.collect()).or_default() += cell.rows();
                    }
                    sums
                };
                let found = by(&merged.cells);
                if !found.keys().flatten().any(|value| value == SMALL) {
                    assert_eq!(found, by(&all), "{seed}: {set:b}");
                    kept[set as usize] += 1;
                }
            }
            // Of each line the rest, which anybody can compute who knows its total.
            for shared in 0..7_u32 {
                let line = |values: &[String]| -> Vec<String> {
                    (0..3).filter(|i| shared & (1 << i) != 0).map(|i| values[i].clone()).collect()
                };
                let mut rest: BTreeMap<Vec<String>, (usize, u64, usize)> = BTreeMap::new();
                for (values, cell) in &all {
                    let of = rest.entry(line(values)).or_default();
                    if merged.cells.contains_key(values) {
                        of.2 += 1;
                    } else {
                        of.0 += 1;
                        of.1 += cell.rows();
                    }
                }
                for (of, (groups, rows, shown)) in rest {
                    let safe = groups == 0 || (groups >= 2 && rows >= FEWEST) || shown == 0;
                    assert!(safe, "{seed}: {of:?}: {groups} groups, {rows} rows");
                }
            }
        }
        // The attributes that matter first are nearly always kept, the last one only where nothing is small.
        assert!(kept[1] > 35 && kept[3] > 20 && kept[4] < 20, "{kept:?}");
    }
}
