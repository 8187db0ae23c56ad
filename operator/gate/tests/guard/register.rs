//! What policies may say of assessments and of controls, for the properties on policies that loosen nothing.

use serde_json::{Value, json};

pub fn assessments() -> Vec<Value> {
    vec![
        Value::Null,
        json!({"required": true}),
        json!({"required": true, "maxAgeDays": 20}),
        json!({"required": false, "maxAgeDays": 365}),
        json!({"required": true, "freshness": {"scope": ["Regions"]}}),
        json!({"required": true, "freshness": {"scope": ["AffectedGroups"], "obligationsLeadDays": 0}}),
        json!({"required": true, "freshness": {"obligationsLeadDays": 400}}),
        json!({"required": true, "threats": ["Poisoning"], "sections": ["Individuals"], "riskEvaluation": true}),
        json!({"required": true, "stakeholders": ["Staff"], "article27": true}),
        json!({"required": true, "sections": ["Individuals"], "approvedBy": "risk-officer"}),
        json!({"required": true, "approvedBy": "executive"}),
    ]
}

pub fn controls() -> Vec<Value> {
    vec![
        Value::Null,
        json!({"excluded": [{"control": "ISO42001/A.6.2.4", "reason": "Bought in"}]}),
        json!({"alsoAccepted": [{"control": "ISO42001/A.6.2.4", "domain": "Information", "title": "x"}]}),
    ]
}
