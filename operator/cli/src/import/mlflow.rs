//! `metrics.json` of an evaluation by `MLflow` (`EvaluationResult.save`): one object of names and numbers, without the
//! version and the time of the run. Read of version 3.17.2.

use std::collections::BTreeMap;

use anyhow::bail;
use placet_gate::fairness::{Counts, Group};

use super::found::{Found, Metric, Spread, successes};
use super::node::{At, Reading};

/// The cells of the confusion matrix that a binary classifier's evaluation has.
const CELLS: [&str; 4] = ["true_positives", "false_positives", "false_negatives", "true_negatives"];

/// What the file says.
pub fn read(at: &At<'_>) -> anyhow::Result<Found> {
    let fields = at.fields()?;
    // A metric prefix of the run stands before every name.
    let counted: Vec<_> = fields.iter().filter(|(key, _)| key.ends_with("example_count")).collect();
    let (prefix, rows) = match counted.as_slice() {
        [] => ("", None),
        [(key, count)] => (key.trim_end_matches("example_count"), Some(count.count()?)),
        _ => bail!(
            "{}: wanted the metrics of one evaluation, found several (example_count of {}); save each in a file of its own",
            at.place(),
            counted.len()
        ),
    };
    let mut found = Found::default();
    let cells = cells(at, prefix, rows, &mut found)?;
    for (key, value) in &fields {
        let metric = key.strip_prefix(prefix).unwrap_or(key);
        if metric == "example_count" || (cells.is_some() && CELLS.contains(&metric)) {
            continue;
        }
        let mut reading = value.reading()?;
        if cells.is_some_and(|c| of_nothing(metric, c)) {
            // scikit-learn writes 0 (or what zero_division says) for it.
            reading = Reading::NonFinite("0/0");
        }
        let spread = reading.finite().map_or(Spread::Unknown, |v| spread(metric, v, cells, rows));
        found.metrics.push(Metric { name: (*key).to_owned(), value: reading, rows, spread });
    }
    Ok(found)
}

/// The confusion matrix, where there is one of whole numbers (weights of rows make others).
fn cells(at: &At<'_>, prefix: &str, rows: Option<u64>, found: &mut Found) -> anyhow::Result<Option<Counts>> {
    let Some(rows) = rows else { return Ok(None) };
    let mut counts = [0_i64; 4];
    for (name, count) in CELLS.iter().zip(&mut counts) {
        let Some(cell) = at.get(&format!("{prefix}{name}")) else { return Ok(None) };
        if cell.reading()?.finite().is_some_and(|v| v > 0.0 && v.fract() != 0.0) {
            found.notes.push(
                "its counts are no whole numbers, as of weighted rows: they are no counts of people and are left out as such"
                    .into(),
            );
            return Ok(None);
        }
        *count = i64::try_from(cell.count()?)?;
    }
    let [tp, fp, fn_, tn] = counts;
    let Ok(counts) = Counts::new(i64::try_from(rows)?, tp, fp, fn_, tn) else {
        bail!(
            "{}: wanted true and false positives and negatives that add up to example_count = {rows}, found {tp} + {fp} + {fn_} + \
             {tn}: they are of different runs, or the file was changed by hand; evaluate again",
            at.place()
        );
    };
    let all = BTreeMap::from([("all".to_owned(), "all".to_owned())]);
    found.groups.push(Group { attributes: all, counts });
    Ok(Some(counts))
}

/// Whether a metric is a share of no rows at all.
fn of_nothing(metric: &str, c: Counts) -> bool {
    let rows = match metric {
        "recall_score" => c.tp() + c.fn_(),
        "precision_score" => c.tp() + c.fp(),
        "f1_score" => c.tp() + c.fp() + c.fn_(),
        _ => return false,
    };
    rows == 0
}

/// What a metric is a share of. A value that is not the share that its name says (macro averages, weights) is none.
fn spread(metric: &str, value: f64, cells: Option<Counts>, rows: Option<u64>) -> Spread {
    let share = |x: u64, n: u64| {
        if successes(value, n) == Some(x) { Spread::share(x, n) } else { Spread::Unknown }
    };
    match (metric, cells) {
        ("accuracy_score", Some(c)) => share(c.tp() + c.tn(), c.n()),
        ("recall_score", Some(c)) => share(c.tp(), c.tp() + c.fn_()),
        ("precision_score", Some(c)) => share(c.tp(), c.tp() + c.fp()),
        ("accuracy_score", None) => {
            let n = rows.unwrap_or(0);
            successes(value, n).map_or(Spread::Unknown, |x| Spread::share(x, n))
        }
        _ => Spread::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::{Document, Node};
    use super::*;

    fn node(text: &str) -> Node {
        match Document::read(text, "m.json").unwrap() {
            Document::One(node) => node,
            other => panic!("{other:?}"),
        }
    }

    fn run(text: &str) -> anyhow::Result<Found> {
        read(&At::root(&node(text), "m.json"))
    }

    #[test]
    fn a_share_is_one_only_where_the_counts_give_it() {
        let text = |recall: &str| {
            format!(
                r#"{{"true_negatives": 4.0, "false_positives": 1, "false_negatives": 2, "true_positives": 3, "example_count": 10,
                "recall_score": {recall}, "f1_score": 0.667, "roc_auc": NaN}}"#
            )
        };
        let found = run(&text("0.6")).unwrap();
        assert_eq!(found.metrics[0].spread, Spread::share(3, 5));
        assert_eq!(found.metrics[1].spread, Spread::Unknown);
        assert_eq!(found.metrics[2].value, Reading::NonFinite("NaN"));
        assert_eq!(found.groups[0].counts.tn(), 4);
        // A macro average of the same name.
        assert_eq!(run(&text("0.7")).unwrap().metrics[0].spread, Spread::Unknown);
    }

    #[test]
    fn a_share_of_nothing_is_not_zero() {
        let text = |fp: u32, tn: u32| {
            format!(
                r#"{{"true_negatives": {tn}, "false_positives": {fp}, "false_negatives": 0, "true_positives": 0, "example_count": 10,
                "recall_score": 0.0, "precision_score": 0.0, "f1_score": 0.0, "accuracy_score": 0.8}}"#
            )
        };
        let values = |text: &str| -> Vec<Reading> {
            run(text).unwrap().metrics.into_iter().map(|m| m.value).collect()
        };
        let (none, zero) = (Reading::NonFinite("0/0"), Reading::Finite(0.0));
        let found = values(&text(2, 8));
        assert_eq!(found[..3], [none, zero, zero], "nobody was positive, two were predicted");
        assert_eq!(values(&text(0, 10))[..3], [none, none, none], "nobody was predicted either");
        assert_eq!(found[3], Reading::Finite(0.8));
    }

    #[test]
    fn counts_that_do_not_fit_are_refused_and_weights_are_told() {
        let text = |tp: &str| {
            format!(
                r#"{{"eval_true_negatives": 4, "eval_false_positives": 1, "eval_false_negatives": 2, "eval_true_positives": {tp},
                "eval_example_count": 10, "eval_accuracy_score": 0.7}}"#
            )
        };
        let found = run(&text("3")).unwrap();
        assert_eq!((found.metrics.len(), &found.metrics[0].spread), (1, &Spread::share(7, 10)));
        assert_eq!(found.metrics[0].name, "eval_accuracy_score");
        for (bad, wanted) in [
            ("4", "add up to example_count = 10, found 4 + 1 + 2 + 4"),
            ("-3", "m.json: eval_true_positives: wanted a whole number"),
            ("9223372036854775807", "m.json: eval_true_positives: wanted a whole number"),
        ] {
            let e = run(&text(bad)).unwrap_err().to_string();
            assert!(e.contains(wanted), "{bad}: {e}");
        }
        let weighted = run(&text("3.5")).unwrap();
        assert!(weighted.groups.is_empty() && weighted.notes[0].contains("weighted rows"), "{weighted:?}");
        assert_eq!(weighted.metrics.len(), 5);
    }
}
