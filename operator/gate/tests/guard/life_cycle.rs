//! What policies may say of documentation, verification, validation, oversight, transparency and changes, for the properties on
//! policies that loosen nothing.

use serde_json::{Value, json};

pub fn variants() -> Vec<(&'static str, Vec<Value>)> {
    let of = |field, said: Vec<Value>| (field, [Value::Null].into_iter().chain(said).collect());
    vec![
        of(
            "documentation",
            vec![json!({"parts": ["ModelCard"]}), json!({"parts": ["ModelCard", "DesignRationale"]})],
        ),
        of(
            "verification",
            vec![
                json!({"records": ["Seed"]}),
                json!({"tests": ["Performance"]}),
                json!({"records": ["Seed", "CodeCommit"], "tests": ["Robustness"]}),
            ],
        ),
        of(
            "validation",
            vec![
                json!({"role": "validator"}),
                json!({"role": "validator", "tests": ["Bias"]}),
                json!({"role": "risk-officer", "notInGroups": ["staff", "developers"]}),
            ],
        ),
        of(
            "oversight",
            vec![
                json!({}),
                json!({"overseers": 2}),
                json!({"overseers": 3}),
                json!({"drillMaxAgeDays": 100}),
                json!({"drillMaxAgeDays": 10, "parts": ["AppealChannel"]}),
            ],
        ),
        of(
            "transparency",
            vec![
                json!({}),
                json!({"article50": false}),
                json!({"duties": ["PersonsInformed"]}),
                json!({"duties": ["WorkersInformed"], "article50": false}),
            ],
        ),
        of(
            "change",
            vec![
                json!({}),
                json!({"parts": ["Technical"]}),
                json!({"rollbackTarget": true}),
                json!({"parts": ["Technical", "Societal"], "rollbackTarget": true}),
            ],
        ),
    ]
}
