//! What the tables show, as JSON: with every group, and all digits.

use placet_gate::fairness::{Rate, Verdict, round9};
use serde_json::{Map, Value, json};

use super::BiasArgs;
use super::judge::Judged;
use super::table::{Group, Set, rate};

/// All of it.
pub fn of(args: &BiasArgs, rows: u64, sets: &[Set], z: f64, judged: Option<&Judged>) -> Value {
    let sets: Vec<Value> = sets
        .iter()
        .map(|set| {
            let groups: Vec<Value> = set.groups.iter().map(|g| group(g, z)).collect();
            let metrics: Vec<Value> = set
                .values(z)
                .into_iter()
                .map(|v| {
                    json!({
                        "metric": v.metric,
                        "value": v.estimate.map(round9),
                        "interval": v.interval,
                        "between": v.between.map(|(a, b)| [a, b]),
                    })
                })
                .collect();
            json!({"attributes": set.names, "groups": groups, "metrics": metrics})
        })
        .collect();
    let tests = judged.map(|judged| {
        let tests = judged.trials.iter().map(|t| {
            json!({
                "wanted": t.wanted,
                "verdict": t.verdict,
                "found": t.found,
                "mend": t.mend,
                "warns": t.warns && t.verdict == Verdict::Indeterminate,
            })
        });
        json!({"holds": judged.holds, "tests": tests.collect::<Vec<_>>()})
    });
    json!({
        "rows": rows,
        "positiveMeans": format!("{:?}", args.positive_means),
        "confidence": args.confidence,
        "sets": sets,
        "gate": tests,
    })
}

/// A group: counts and rates with the favourable outcome as "positive".
fn group(group: &Group, z: f64) -> Value {
    let c = group.counts;
    let rates: Map<String, Value> = Rate::ALL
        .into_iter()
        .map(|of| {
            let value = rate(c, of, z)
                .map(|(value, lower, upper)| json!({"value": round9(value), "lower": lower, "upper": upper}));
            (format!("{of:?}"), value.into())
        })
        .collect();
    let weighted = group.weighted.map(|w| {
        let rates: Map<String, Value> =
            Rate::ALL.into_iter().map(|of| (format!("{of:?}"), w.rate(of).map(round9).into())).collect();
        json!({"sum": w.sum, "effectiveRows": w.effective, "rates": rates})
    });
    json!({
        "group": group.label,
        "rows": c.n(),
        "tp": c.tp(),
        "fp": c.fp(),
        "fn": c.fn_(),
        "tn": c.tn(),
        "rates": rates,
        "weighted": weighted,
    })
}
