//! Values of the fields of a policy, of which random policies are made.

use serde_json::{Value, json};

use super::common::merge;
use super::{life_cycle, register};

/// One value of each field that says nothing, something, and something else.
pub fn variants() -> Vec<(&'static str, Vec<Value>)> {
    let data = [("data", of_data())];
    of_people_and_tests().into_iter().chain(data).chain(of_law()).chain(life_cycle::variants()).collect()
}

/// Gates of policies' authors: what is so, what is not, what cannot be said.
fn custom() -> Vec<Value> {
    let gate = |name: &str, expression: &str| json!({"name": name, "expression": expression, "message": "x", "who": "y"});
    vec![
        Value::Null,
        json!([gate("a", "release.version == '2'")]),
        json!([gate("a", "release.version == '3'")]),
        json!([gate("a", "release.version == '2'"), gate("b", "reports.exists(r, r.type == 'Bias')")]),
        json!([gate("b", "reports.exists(r, r.rows > 0)")]),
    ]
}

/// What is asked of assessments, obligations, and practices that are refused later.
fn of_law() -> Vec<(&'static str, Vec<Value>)> {
    let obligation = |id: &str, version: &str, from: &str| json!({"id": id, "version": version, "title": "Do it", "jurisdiction": "EU", "article": "Article 1", "from": from, "source": "The act"});
    vec![
        (
            "reporters",
            vec![
                Value::Null,
                json!([{"type": "Bias", "role": "risk-officer"}]),
                json!([{"type": "Bias", "role": "risk-officer"}, {"type": "Performance", "role": "executive"}]),
            ],
        ),
        ("assessment", register::assessments()),
        ("controls", register::controls()),
        ("customGates", custom()),
        (
            "obligations",
            vec![
                Value::Null,
                json!([obligation("Act-1", "1", "2026-01-01")]),
                json!([obligation("Act-1", "2", "2026-01-01")]),
                json!([obligation("Act-1", "1", "2026-01-01"), obligation("Act-2", "1", "2027-06-01")]),
                json!([obligation("Act-1", "1", "2027-06-01")]),
            ],
        ),
        (
            "prohibitedFrom",
            vec![
                Value::Null,
                json!([{"letter": "ba", "from": "2026-12-02", "source": "The act"}]),
                json!([{"letter": "ba", "from": "2026-11-21", "source": "The act"}]),
                json!([{"letter": "ba", "from": "2026-12-02", "source": "The act"}, {"letter": "a", "from": "2030-01-01", "source": "None"}]),
            ],
        ),
    ]
}

/// What is asked of datasets: what they have, what they have not, and what nobody can tell.
fn of_data() -> Vec<Value> {
    let quality = |metric: &str, limit: &str| json!({"quality": [{"metric": metric, "atMost": limit}]});
    let groups = |share: Value, more: Value| {
        let mut rule =
            json!({"attributes": [{"attribute": "sex", "groups": [{"value": "female", "share": share}]}]});
        if share.is_null() {
            rule["attributes"][0]["groups"][0] = json!({"value": "female"});
        }
        merge(&mut rule, &more);
        json!({"representativeness": rule})
    };
    vec![
        Value::Null,
        json!({}),
        json!({"uses": ["Training"], "facts": ["Licence", "Custodian"]}),
        json!({"uses": ["Validation"]}),
        json!({"maxAgeDays": 330}),
        json!({"maxAgeDays": 300}),
        quality("MissingRate", "0.05"),
        quality("MissingRate", "0.005"),
        quality("LabelErrorRate", "0.02"),
        quality("LabelErrorRate", "0.007"),
        json!({"quality": [{"metric": "LabelErrorRate", "atMost": "0.02", "minRows": 5000}]}),
        groups(json!("0.5"), json!({"maxGap": "0.1"})),
        groups(json!("0.5"), json!({"maxGap": "0.01"})),
        groups(json!("0.4"), json!({"maxGap": "0.05"})),
        groups(Value::Null, json!({"minShare": "0.46"})),
        groups(Value::Null, json!({"minRows": 4500})),
    ]
}

fn of_people_and_tests() -> Vec<(&'static str, Vec<Value>)> {
    let bias = |least: &str, more: Value| {
        let mut rule =
            json!({"type": "Bias", "metric": "SelectionRateRatio", "compare": "MinMax", "atLeast": least});
        merge(&mut rule, &more);
        rule
    };
    let accuracy =
        |least: &str| json!({"type": "Performance", "metric": "BalancedAccuracy", "atLeast": least});
    let approval = |role: &str, count: i32| json!({"role": role, "count": count, "covers": "Content"});
    let when = |role: &str, when: &str| json!({"role": role, "count": 1, "covers": "Content", "when": when});
    vec![
        (
            "appliesTo",
            vec![
                json!({"classes": ["High"]}),
                json!({"classes": ["High", "Limited"]}),
                json!({"classes": ["Limited"]}),
                json!({"classes": ["High"], "namespaceSelector": {"matchLabels": {"tier": "prod"}}}),
            ],
        ),
        ("classification", vec![Value::Null, json!({"approvedBy": "risk-officer"})]),
        (
            "tests",
            vec![
                Value::Null,
                json!([bias("0.80", json!({}))]),
                json!([bias("0.99", json!({"whenIndeterminate": "Warn"}))]),
                json!([bias("0.99", json!({"whenIndeterminate": "Warn", "confidence": "0.999"}))]),
                json!([bias("0.99", json!({"confidence": "0.5"}))]),
                json!([
                    bias("0.80", json!({"minGroupSize": 4000, "whenIndeterminate": "Warn"})),
                    accuracy("0.70")
                ]),
                json!([bias(
                    "0.80",
                    json!({"minIntersectionSize": 4000, "ineligibleIntersectionShare": "1"})
                )]),
                json!([accuracy("0.70"), bias("0.80", json!({"maxAgeDays": 10}))]),
                json!([accuracy("0.785")]),
            ],
        ),
        ("attributeSets", vec![Value::Null, json!([["sex"]]), json!([["sex"], ["age"]])]),
        ("riskAppetite", vec![Value::Null, json!("Low"), json!("High"), json!("VeryHigh")]),
        ("riskMatrix", vec![Value::Null, json!(vec![vec!["Low"; 5]; 5]), json!(vec![vec!["High"; 5]; 5])]),
        (
            "acceptanceAuthority",
            vec![
                Value::Null,
                json!([{"level": "Medium", "roles": ["executive"]}]),
                json!([{"level": "High", "roles": ["executive"]}, {"level": "Medium", "roles": ["risk-officer"]}]),
                json!([{"level": "High", "roles": ["executive", "risk-officer"]}, {"level": "Medium", "roles": ["executive"]}]),
                json!([{"level": "High", "roles": ["executive", "risk-officer"], "needs": "EveryRole"}, {"level": "Medium", "roles": ["executive"], "maxDays": 5}]),
                json!([{"level": "High", "roles": ["executive"], "consulted": ["risk-officer"]}, {"level": "Medium", "roles": ["executive"]}]),
            ],
        ),
        (
            "approvals",
            vec![
                json!([approval("model-owner", 1)]),
                json!([approval("model-owner", 2)]),
                json!([approval("model-owner", 1), approval("risk-officer", 1)]),
                json!([approval("model-owner", 1), when("executive", "ResidualHighOrAbove")]),
                json!([
                    approval("model-owner", 1),
                    when("executive", "PersonalData"),
                    when("risk-officer", "ResidualHighOrAbove")
                ]),
                json!([{"role": "risk-officer", "count": 1, "covers": "Content", "notInGroups": ["staff"]}]),
                json!([{"role": "risk-officer", "count": 1, "covers": "Content", "proof": "Credential"}]),
            ],
        ),
        (
            "separationOfDuties",
            vec![
                Value::Null,
                json!({"authorMayApprove": true}),
                json!({"authorMayApprove": true, "oneRolePerPerson": false}),
                json!({"barredGroups": ["staff"]}),
                json!({"wildcardGrants": "Count"}),
                json!({"acceptorNotApproverAs": ["executive"]}),
                json!({"aliases": [{"names": ["bob", "erin"]}]}),
                json!({"aliases": [{"names": ["bob", "erin"]}, {"names": ["olga", "erin"]}]}),
                json!({"policyChangeDays": 365}),
                json!({"authorMayReport": true}),
                json!({"authorMayReport": false, "pipelines": ["tess"]}),
            ],
        ),
        (
            "validity",
            vec![
                Value::Null,
                json!({"firstUseDays": 30, "runningDays": 365}),
                json!({"firstUseDays": 10, "runningDays": 5}),
            ],
        ),
        ("minimumClass", vec![Value::Null, json!("High"), json!("Limited")]),
    ]
}
