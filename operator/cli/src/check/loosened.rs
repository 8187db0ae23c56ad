//! Whether new policies ask for less than those that they replace: then they wait for a second person.

use placet_api::Kind;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_gate::guard;
use placet_gate::visible;
use serde::Serialize;

use crate::files::Loaded;

/// In which ways a policy asks for less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loosened {
    policy: String,
    /// Whether there was none of this name.
    new: bool,
    /// Empty: it takes effect as soon as it is applied.
    loosens: Vec<String>,
    /// Roles of which one holder, who did not edit it, has to approve it.
    roles: Vec<String>,
}

/// Compares each new policy with the one of its name, or with all that there are.
pub fn of(objects: &[Loaded], new: &[Loaded]) -> Vec<Loosened> {
    let read = |o: &Loaded| serde_json::from_value::<ReleasePolicySpec>(o.value["spec"].clone()).ok();
    let policies = |all: &[Loaded]| -> Vec<(String, ReleasePolicySpec)> {
        let all = all.iter().filter(|o| o.kind == Kind::ReleasePolicy);
        all.filter_map(|o| Some((o.name.clone(), read(o)?))).collect()
    };
    let before = policies(objects);
    let others: Vec<&ReleasePolicySpec> = before.iter().map(|(_, spec)| spec).collect();
    let one = |(name, after): (String, ReleasePolicySpec)| {
        let old = before.iter().find(|(n, _)| *n == name).map(|(_, spec)| spec);
        // Where there is no policy at all, the first one takes effect.
        let loosens = match old {
            None if others.is_empty() => Vec::new(),
            _ => guard::ways(old, Some(&after), &others),
        };
        let judges = old.map_or_else(|| others.clone(), |old| vec![old]);
        let roles: std::collections::BTreeSet<String> =
            judges.iter().filter(|_| !loosens.is_empty()).flat_map(|p| guard::roles(p)).collect();
        Loosened { policy: name, new: old.is_none(), loosens, roles: roles.into_iter().collect() }
    };
    policies(new).into_iter().map(one).collect()
}

/// In words, below the table of releases.
pub fn table(all: &[Loosened]) -> String {
    let mut out = String::from("\n");
    for Loosened { policy, loosens, roles, .. } in all {
        let line = if loosens.is_empty() {
            format!("policy {policy} asks for nothing less: it takes effect once it is applied")
        } else {
            format!(
                "policy {policy} asks for less, and waits until a holder of {} who did not edit it approves it:",
                roles.join(" or ")
            )
        };
        out.push_str(&visible::line(&line));
        out.push('\n');
        for way in loosens {
            out.push_str(&visible::line(&format!("  {way}")));
            out.push('\n');
        }
    }
    out
}
