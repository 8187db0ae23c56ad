//! What a case expects, held against the decision.

use std::collections::BTreeMap;

use jiff::Timestamp;
use placet_gate::Decision;
use placet_gate::finding::{Finding, Gate, Reason};
use serde::Deserialize;

use crate::CaseError;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Expect {
    cleared: Option<String>,
    class: Option<String>,
    lapse: Option<String>,
    valid_until: Option<Timestamp>,
    #[serde(default)]
    gates: BTreeMap<String, String>,
    #[serde(default)]
    findings: Vec<ExpectedFinding>,
    #[serde(default)]
    only_findings: bool,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFinding {
    gate: String,
    reason: String,
    item: Option<String>,
    says: Option<String>,
}

impl ExpectedFinding {
    fn is(&self, finding: &Finding) -> bool {
        let texts = [&finding.wanted, &finding.found, &finding.command, &finding.who];
        finding.gate.as_str() == self.gate
            && finding.reason.as_str() == self.reason
            && self.item.as_ref().is_none_or(|item| finding.item == *item)
            && self.says.as_ref().is_none_or(|says| texts.iter().any(|t| t.contains(says.as_str())))
    }
}

fn one_of(what: &str, found: Option<&String>, wanted: &[&str]) -> Result<(), CaseError> {
    match found {
        Some(found) if !wanted.contains(&found.as_str()) => Err(CaseError::Case(format!(
            "expect: {what}: wanted one of {}, found {found:?}",
            wanted.join(", ")
        ))),
        _ => Ok(()),
    }
}

impl Expect {
    /// That it can hold at all, and can fail: a word that no decision ever says would always be wrong, and a case that
    /// expects nothing never is.
    pub fn sound(&self) -> Result<(), CaseError> {
        let Self { cleared, class, lapse, valid_until, gates, findings, only_findings, notes } = self;
        one_of("cleared", cleared.as_ref(), &["True", "False", "Unknown"])?;
        one_of("class", class.as_ref(), &["Minimal", "Limited", "High", "Prohibited", "Unknown"])?;
        one_of("lapse", lapse.as_ref(), &["Expired", "TakenBack", "Missing", "None"])?;
        let known: Vec<&str> = Gate::ALL.iter().map(|g| g.as_str()).collect();
        let reasons: Vec<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        for (gate, verdict) in gates {
            one_of("gates", Some(gate), &known)?;
            one_of(gate, Some(verdict), &["Met", "NotMet", "Unknown", "NotAsked"])?;
        }
        for finding in findings {
            one_of("findings: gate", Some(&finding.gate), &known)?;
            if !reasons.contains(&finding.reason.as_str()) {
                return Err(CaseError::Case(format!(
                    "expect: findings: there is no reason {} (docs/policies.md says where they are listed)",
                    finding.reason
                )));
            }
        }
        let texts = findings.iter().filter_map(|f| f.says.as_ref()).chain(notes);
        if texts.into_iter().any(String::is_empty) {
            return Err(CaseError::Case(
                "expect: an empty text is part of every text: wanted some words".into(),
            ));
        }
        let some = cleared.is_some() || class.is_some() || lapse.is_some() || valid_until.is_some();
        let nothing = !some && gates.is_empty() && findings.is_empty() && !only_findings && notes.is_empty();
        if nothing {
            return Err(CaseError::Case("expect: wanted at least one of its fields, found none".into()));
        }
        Ok(())
    }

    /// In which ways a decision is not what is expected.
    pub fn wrong(&self, decision: &Decision) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut same = |what: &str, wanted: Option<&String>, found: String| {
            if let Some(wanted) = wanted.filter(|w| **w != found) {
                wrong.push(format!("{what}: wanted {wanted}, found {found}"));
            }
        };
        same("cleared", self.cleared.as_ref(), format!("{:?}", decision.cleared));
        same("class", self.class.as_ref(), decision.class.map_or("Unknown".into(), |c| c.to_string()));
        same("lapse", self.lapse.as_ref(), decision.lapse.map_or("None".into(), |l| format!("{l:?}")));
        same(
            "validUntil",
            self.valid_until.map(|t| t.to_string()).as_ref(),
            decision.valid_until.map_or("None".into(), |t| t.to_string()),
        );
        for (gate, wanted) in &self.gates {
            let found = decision.gates.iter().find(|g| g.gate.as_str() == gate);
            let found = found.map_or("NotAsked".into(), |g| format!("{:?}", g.verdict));
            same(gate, Some(wanted), found);
        }
        for wanted in &self.findings {
            if !decision.findings().any(|f| wanted.is(f)) {
                let ExpectedFinding { gate, reason, item, says } = wanted;
                let of = item.as_ref().map_or_else(String::new, |i| format!(" [{i}]"));
                let says = says.as_ref().map_or_else(String::new, |s| format!(" that says {s:?}"));
                wrong.push(format!("no finding {gate} {reason}{of}{says}"));
            }
        }
        let others = decision.findings().filter(|f| !self.findings.iter().any(|wanted| wanted.is(f)));
        for other in others.filter(|_| self.only_findings) {
            wrong.push(format!(
                "an unexpected finding {} {} [{}]",
                other.gate.as_str(),
                other.reason.as_str(),
                other.item
            ));
        }
        for wanted in &self.notes {
            let mut notes = decision.gates.iter().flat_map(|g| &g.notes);
            if !notes.any(|n| n.contains(wanted.as_str())) {
                wrong.push(format!("no note that says {wanted:?}"));
            }
        }
        wrong
    }
}
