//! Rejects: no quota and no budget keeps them out, so what they can take has bounds of its own. One is of a bounded size
//! ([`crate::quota::REJECT`]), and a second one that adds nothing to the first is refused.

use placet_api::Kind;
use placet_api::approval::{ApprovalSpec, Covers, SubjectKind};
use placet_gate::gates::rejects::Rejecting;
use placet_gate::object::place_of;
use placet_gate::stamp::StampText;
use serde_json::Value;

use super::Admission;
use super::own_mutate::blocks;
use crate::coming::{WAIT, Word};
use crate::quota;

/// A Reject that makes another one add nothing.
struct Stands {
    name: String,
    what: Where,
}

enum Where {
    Live,
    Deleted,
    Coming,
}

/// Whether what is written is kept out by no quota and no budget: it can only stop something, is of a bounded size, and is not
/// the same as before under the same name (as a robot applies it again after somebody deleted it).
///
/// # Errors
/// It is a Reject that adds nothing to another one: which, and how that is answered.
pub fn exempt(
    a: &Admission,
    (object, old): (&Value, Option<&Value>),
    stamp: &StampText,
) -> Result<bool, String> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    if !blocks(spec, old) {
        return Ok(false);
    }
    let Ok((kind, Some(namespace), name)) = place_of(object) else { return Ok(false) };
    if kind != Kind::Approval {
        return Ok(true);
    }
    let small = quota::is_small(object);
    if old.is_some() {
        return Ok(small);
    }
    let Ok(spec) = serde_json::from_value::<ApprovalSpec>(spec.clone()) else { return Ok(false) };
    match stands(a, &namespace, &name, (object, &spec), stamp) {
        None => Ok(small),
        // Under its own name, or as it was before: nothing new is said.
        Some(stands) if stands.name == name || stamp.restored.is_some() => Ok(false),
        Some(stands) => Err(refusal(&namespace, &spec, stamp.decider(), &stands)),
    }
}

fn stands(
    a: &Admission,
    namespace: &str,
    name: &str,
    (object, spec): (&Value, &ApprovalSpec),
    stamp: &StampText,
) -> Option<Stands> {
    let by = a.state.reading.people.person(stamp.decider());
    let by_wildcard = stamp.role.as_ref().is_some_and(|r| r.wildcard);
    let new = Rejecting { by: &by, by_wildcard, spec };
    let known = a.state.world().stands_already(namespace, new).map(|reject| Stands {
        name: reject.name().to_owned(),
        what: if reject.live { Where::Live } else { Where::Deleted },
    });
    known.or_else(|| {
        let word = Word::of(stamp.decider(), object)?;
        let name = a.state.coming.same(namespace, name, &word)?;
        Some(Stands { name, what: Where::Coming })
    })
}

fn refusal(namespace: &str, spec: &ApprovalSpec, user: &str, stands: &Stands) -> String {
    let (subject, role, name) = (&spec.subject, &spec.role, &stands.name);
    let what = format!("{} {}", subject.kind.as_str(), subject.name);
    let how = match stands.what {
        Where::Live => String::new(),
        Where::Deleted => ", and stands although it was deleted".to_owned(),
        Where::Coming => format!(
            ", and was let through a moment ago (if something else refused it, apply it again, or another one after {} s)",
            WAIT.as_secs()
        ),
    };
    let until = match subject.kind {
        SubjectKind::RiskAcceptance => "it withdraws the acceptance for good".to_owned(),
        kind => {
            let covers = match (kind, subject.covers) {
                (SubjectKind::ModelRelease, _) | (_, Covers::Content) => String::new(),
                (_, covers) => format!(" --covers {covers}"),
            };
            format!(
                "it stands until it is answered: placet approve {}/{} --role {role}{covers} --answers {name} -n {namespace}",
                kind.kind().short(),
                subject.name
            )
        }
    };
    format!(
        "spec.decision: wanted a Reject that adds something, found that {name} by {user} rejects this content of {what} as \
         {role} already{how}; {until}. A second one says nothing more: leave it out"
    )
}

#[cfg(test)]
#[path = "own_reject_tests.rs"]
mod tests;
