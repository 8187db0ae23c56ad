//! Gates of policies' authors: what they ask together, and which of their expressions can never be evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use placet_api::releasepolicy::ReleasePolicySpec;
use serde::Serialize;

use super::Requirements;
use crate::cel::Program;

/// A gate that a policy's author wrote.
#[derive(Debug, Clone, Serialize)]
pub struct Custom {
    /// Its name.
    pub name: String,
    /// What must be true.
    pub expression: String,
    /// What is wanted, who can supply it, and which rule asks for it: words, which ask for nothing.
    #[serde(skip)]
    pub words: Words,
    /// The expression as it is evaluated.
    #[serde(skip)]
    pub program: Arc<Program>,
}

/// The words of a gate, and the policy that they are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The policy.
    pub policy: String,
    /// What is wanted.
    pub message: String,
    /// Who can supply it.
    pub who: String,
    /// Which rule asks for it.
    pub reason: Option<String>,
}

/// The gates of a policy that can be evaluated, and what is wrong with the others: where, what was wanted and found.
fn compiled(name: &str, spec: &ReleasePolicySpec) -> (Vec<Custom>, Vec<String>) {
    let (mut out, mut wrong) = (Vec::new(), Vec::new());
    for gate in spec.custom_gates.iter().flatten() {
        match Program::new(&gate.expression) {
            Ok(program) => out.push(Custom {
                name: gate.name.to_string(),
                expression: gate.expression.to_string(),
                words: Words {
                    policy: name.to_owned(),
                    message: gate.message.to_string(),
                    who: gate.who.to_string(),
                    reason: gate.reason.as_ref().map(ToString::to_string),
                },
                program: Arc::new(program),
            }),
            Err(why) => wrong.push(format!("customGates[{}].expression: {why}", gate.name)),
        }
    }
    (out, wrong)
}

/// What is wrong with the gates of a policy, each with its place; empty if all can be evaluated.
pub fn custom_problems(spec: &ReleasePolicySpec) -> Vec<String> {
    compiled("", spec).1
}

/// Adds those of a policy; gives what is wrong with them. The same expression under the same name is asked once.
pub(super) fn join(out: &mut Requirements, name: &str, spec: &ReleasePolicySpec) -> Vec<String> {
    let (gates, wrong) = compiled(name, spec);
    for gate in gates {
        out.custom.entry((gate.name.clone(), gate.expression.clone())).or_insert(gate);
    }
    wrong.into_iter().map(|why| format!("policy {name}: {why}")).collect()
}

/// Gates by name and expression.
pub type Customs = BTreeMap<(String, String), Custom>;
