//! What the tables show, as JSON, with all digits. It leaves this machine as the report does: groups of few people are put
//! together in it.

use placet_gate::fairness::{Rate, Verdict, round9};
use placet_gate::gates::tests::Trial;
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
    // What is said of raw counts names groups of few people: in words, what is exported speaks for itself.
    let test = |raw: &Trial, exported: Option<&Trial>| {
        let said = exported.unwrap_or(raw);
        let mut test = json!({
            "wanted": raw.wanted,
            "verdict": raw.verdict,
            "found": said.found,
            "mend": said.mend,
            "warns": raw.warns && raw.verdict == Verdict::Indeterminate,
        });
        if let Some(exported) = exported {
            test["exportedVerdict"] = json!(exported.verdict);
        }
        test
    };
    let tests = judged.map(|judged| {
        let tests = judged.trials.iter().enumerate().map(|(at, raw)| test(raw, judged.exported.get(at)));
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
