//! The gate's metrics beside Fairlearn's on drawn tables: `fairness_fairlearn.py` draws them with the real Fairlearn and writes
//! them to a file, and the step `python` of `.ci/steps` runs both, one after the other.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;

use placet_gate::fairness::{
    Counts, Group, LabelledCounts, Metric, PositiveMeans, Table, all_metrics, unrounded_value,
};
use serde::Deserialize;

/// Where the tables are, from the root of the workspace.
const DRAWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/python/fairlearn.jsonl");

#[derive(Deserialize)]
struct Drawn {
    /// Groups with (tp, fp, fn, tn).
    groups: BTreeMap<String, [i64; 4]>,
    /// Metrics; None where Fairlearn hides that one is not defined.
    metrics: BTreeMap<String, Option<f64>>,
}

fn labelled(drawn: &Drawn) -> Vec<LabelledCounts> {
    let groups = drawn.groups.iter().map(|(name, [tp, fp, fn_, tn])| Group {
        attributes: BTreeMap::from([("group".to_owned(), name.clone())]),
        counts: Counts::new(tp + fp + fn_ + tn, *tp, *fp, *fn_, *tn).unwrap(),
    });
    let groups: Vec<Group> = groups.collect();
    Table::new(&groups, PositiveMeans::Favourable, None).unwrap().groups(&["group".to_owned()]).unwrap()
}

#[test]
#[ignore = "reads what fairness_fairlearn.py wrote: .ci/steps python runs both"]
fn metrics_are_fairlearns_to_1e_12_where_it_defines_them_and_none_where_it_hides_that_it_does_not() {
    #[expect(clippy::disallowed_methods, reason = "a test reads what was drawn for it")]
    let text = std::fs::read_to_string(DRAWN).unwrap();
    let (mut compared, mut hidden) = (0, 0);
    for line in text.lines() {
        let drawn: Drawn = serde_json::from_str(line).unwrap();
        let groups = labelled(&drawn);
        let shown = all_metrics(&groups);
        for (name, wanted) in &drawn.metrics {
            let metric = Metric::ALL.into_iter().find(|m| format!("{m:?}") == *name).unwrap();
            let found = unrounded_value(metric, &groups);
            let said = shown.iter().find(|s| s.metric == metric).unwrap();
            assert_eq!(said.value.is_some(), found.is_some(), "{name}: {line}");
            if let Some(wanted) = wanted {
                let near = found.is_some_and(|found| (found - wanted).abs() <= 1e-12);
                assert!(near, "{name}: Fairlearn says {wanted}, found {found:?}: {line}");
                compared += 1;
            } else {
                assert_eq!(found, None, "{name}: {line}");
                hidden += 1;
            }
        }
    }
    // Of each enough, or the comparison says little.
    assert!(compared >= 500 && hidden >= 50, "{compared} compared, {hidden} not defined");
}
