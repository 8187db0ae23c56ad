//! Versions of policies, roles and signers that wait for a second person: they decide nothing until then, here as on the cluster.

use placet_api::Kind;
use placet_api::approvalrole::ApprovalRoleSpec;
use placet_api::trustedsigner::TrustedSignerSpec;
use placet_gate::guard::Guarded;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::live::is_live;
use crate::files::Loaded;

/// What becomes of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It decides.
    Decides,
    /// It is as if it were not there, or as if the version before were; why, in words.
    LeftOut(String),
    /// Another version decides, which the log alone has.
    NotKnown,
}

/// KIND/NAME as commands take it.
pub fn target(object: &Loaded) -> String {
    format!("{}/{}", object.kind.short(), object.name)
}

/// What becomes of a version. `replaced` are versions that the files replace on a cluster; `installed`: there is one.
///
/// A status that says that a version waits is believed where believing it lets less in: of a policy, which asks for something,
/// only if the cluster itself says it.
pub fn fate(object: &Loaded, replaced: &[Loaded], installed: bool) -> Fate {
    let guarded = matches!(object.kind, Kind::ReleasePolicy | Kind::ApprovalRole | Kind::TrustedSigner);
    if !guarded {
        return Fate::Decides;
    }
    let status = |at: &str| object.value.pointer(at).filter(|found| !found.is_null());
    if status("/status/waiting").is_some() {
        let stands = status("/status/inForce").is_some();
        let believed = object.kind != Kind::ReleasePolicy || is_live(object);
        return if stands || !believed {
            Fate::NotKnown
        } else {
            Fate::LeftOut(format!(
                "{} waits for a second person's approval and counts for nothing: placet why {}",
                object.label(),
                target(object)
            ))
        };
    }
    if is_live(object) || object.stamped() || !installed {
        return Fate::Decides;
    }
    let before = replaced.iter().find(|r| r.kind == object.kind && r.name == object.name);
    let ways = match object.kind {
        Kind::TrustedSigner => ways::<TrustedSignerSpec>(before, object),
        Kind::ApprovalRole => ways::<ApprovalRoleSpec>(before, object),
        _ => Vec::new(),
    };
    if ways.is_empty() {
        return Fate::Decides;
    }
    let decides = if before.is_some() { "that of the cluster decides" } else { "it counts for nothing" };
    Fate::LeftOut(format!(
        "{} lets more in ({}) and waits for a second person's approval, unless the installation is being set up: until then {decides}",
        object.label(),
        ways.join("; ")
    ))
}

fn ways<S: Guarded + DeserializeOwned>(before: Option<&Loaded>, after: &Loaded) -> Vec<String> {
    let read = |spec: &Value| serde_json::from_value::<S>(spec.clone()).ok();
    let Some(after) = read(&after.value["spec"]) else { return Vec::new() };
    let before = before.and_then(|b| read(&b.value["spec"]));
    // Names stand here as they were written: no token took their place.
    S::ways(before.as_ref(), &after)
        .into_iter()
        .map(|way| way.replace("<person:", "").replace('>', ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, file: &str, spec: &Value, status: &Value) -> Loaded {
        let value = json!({"apiVersion": "placet.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"},
                           "spec": spec, "status": status});
        Loaded::new(value, file, 0, Some("lending")).unwrap()
    }

    const LIVE: &str = "(cluster)";

    fn signer(roles: &[&str]) -> Value {
        json!({"key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUJNQPtaTVrYbbr5nqgOMWSeMNrHq17L1VIWmQvVsX5", "user": "erin", "roles": roles})
    }

    #[test]
    fn what_waits_decides_nothing_and_of_what_replaces_another_that_is_not_known() {
        let waiting = json!({"waiting": {"digest": "sha256:0"}});
        let stands = json!({"waiting": {"digest": "sha256:0"}, "inForce": "sha256:1"});
        for kind in ["TrustedSigner", "ApprovalRole", "ReleasePolicy"] {
            assert_eq!(fate(&object(kind, LIVE, &json!({}), &json!({})), &[], true), Fate::Decides);
            let said = fate(&object(kind, LIVE, &json!({}), &waiting), &[], true);
            assert!(matches!(&said, Fate::LeftOut(why) if why.contains("placet why")), "{said:?}");
            assert_eq!(fate(&object(kind, LIVE, &json!({}), &stands), &[], true), Fate::NotKnown);
        }
        // A status in a file takes no policy away.
        let file = |kind| object(kind, "f.yaml", &json!({}), &waiting);
        assert_eq!(fate(&file("ReleasePolicy"), &[], false), Fate::NotKnown);
        assert!(matches!(fate(&file("TrustedSigner"), &[], false), Fate::LeftOut(_)));
        assert_eq!(fate(&object("AISystem", LIVE, &json!({}), &waiting), &[], true), Fate::Decides);
    }

    #[test]
    fn what_would_wait_on_a_cluster_is_left_out_and_what_lets_less_in_is_not() {
        let more = object("TrustedSigner", "f.yaml", &signer(&["risk-officer", "executive"]), &json!({}));
        let before = object("TrustedSigner", LIVE, &signer(&["risk-officer"]), &json!({}));
        let said = |one: &Loaded, replaced: &[Loaded]| match fate(one, replaced, true) {
            Fate::LeftOut(why) => why,
            other => panic!("{other:?}"),
        };
        let new = said(&more, &[]);
        assert!(
            new.contains("erin could sign as executive, risk-officer")
                && new.contains("it counts for nothing"),
            "{new}"
        );
        let replaced = said(&more, std::slice::from_ref(&before));
        assert!(
            replaced.contains("roles: executive added") && replaced.contains("that of the cluster decides"),
            "{replaced}"
        );
        let less = object("TrustedSigner", "f.yaml", &signer(&["risk-officer"]), &json!({}));
        assert_eq!(fate(&less, std::slice::from_ref(&more), true), Fate::Decides);
        let role = |scope: Value| {
            object(
                "ApprovalRole",
                "f.yaml",
                &json!({"title": "T", "answersFor": "A", "scope": scope}),
                &json!({}),
            )
        };
        assert!(said(&role(json!("Namespace")), &[]).contains("scope"));
        assert_eq!(fate(&role(json!("Cluster")), &[], true), Fate::Decides);
        // Without a cluster nothing is installed, and files are what is there.
        assert_eq!(fate(&more, &[], false), Fate::Decides);
    }
}
