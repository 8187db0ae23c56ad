//! Changes of policies, roles and signers that wait for a second person: shown, approved or rejected, and explained.

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::guard::GuardedStatus;
use placet_gate::guard as gate;
use placet_gate::signed::ApprovalPayload;
use placet_gate::visible;
use serde_json::{Value, json};

use crate::args::{ApproveArgs, Global, TableOrJson, WhyArgs, WriteOutput};
use crate::cluster::Cluster;
use crate::made::{Made, Writing};
use crate::target::{self, Target};
use crate::text::{self, Page};
use crate::{approve, signed, sys, yaml};

/// Kinds that guard themselves.
pub const GUARDED: [Kind; 3] = [Kind::ReleasePolicy, Kind::ApprovalRole, Kind::TrustedSigner];

/// Whether a target is a policy, a role or a signer.
pub fn concerns(target: &str) -> bool {
    matches!(target::parse(target), Ok(Target::Ours(kind, _)) if GUARDED.contains(&kind))
}

/// The cluster with the operator's namespace: approvals of cluster-scoped objects count there alone.
pub fn cluster(global: &Global) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::connect(global)?;
    cluster.namespace.clone_from(&global.operator_namespace);
    Ok(cluster)
}

/// Approves (with the Rejects that it answers) or rejects a version of a policy, a role or a signer, or a policy's deletion.
pub fn decide(
    cluster: &Cluster,
    args: &ApproveArgs,
    answers: Option<&[String]>,
    deletion: bool,
) -> anyhow::Result<u8> {
    let (kind, name) = target::ours(&args.target, &GUARDED)?;
    let of = format!("{}/{name}", kind.short());
    if deletion && kind != Kind::ReleasePolicy {
        bail!(
            "{of}: wanted --deletion of a policy; deleting a role or a signer lets nothing in and needs no approval"
        );
    }
    target::name_of(&args.role).context("--role")?;
    let now = sys::now();
    let expires = args.expires.as_deref().map(|t| approve::later("--expires", t, now)).transpose()?;
    let object = cluster.get(kind, &name)?;
    let digest = digest_of(&object, (kind, &name), deletion)?;
    if let Some(wanted) = args.digest.as_ref().filter(|d| **d != digest) {
        bail!("--digest: {of} has the digest {digest} now, not {wanted}");
    }
    let user = cluster.whoami()?;
    let verb = if answers.is_some() { "approve" } else { "reject" };
    let shown = page(&object, (kind, &name), &digest, deletion);
    if args.show {
        let about = json!({"kind": kind.as_str(), "name": name, "digest": digest, "deletion": deletion});
        let out = json!({"subject": about, "role": args.role, "waiting": object.pointer("/status/waiting")});
        sys::print(&match args.output {
            WriteOutput::Name => shown.text().to_owned(),
            WriteOutput::Yaml => yaml::document(&out),
            WriteOutput::Json => text::json(&out)?,
        })?;
        return Ok(0);
    }
    sys::tell(shown.text());
    let mut said = Page::default();
    said.add(0, &format!("You, {user}, {verb} this as {}.", args.role));
    sys::tell(said.text());
    let mut spec = json!({
        "subject": {"kind": kind.as_str(), "name": name, "covers": "Content", "digest": digest},
        "role": args.role,
        "decision": if answers.is_some() { "Approve" } else { "Reject" },
    });
    if let Some(comment) = &args.comment {
        spec["comment"] = comment.as_str().into();
    }
    if let Some(answers) = answers.filter(|a| !a.is_empty()) {
        spec["answers"] = json!(answers);
    }
    if let Some(expires) = expires {
        spec["expiresAt"] = text::seconds(expires).into();
    }
    serde_json::from_value::<placet_api::approval::ApprovalSpec>(spec.clone()).context("the Approval")?;
    let mut parts = vec![name.as_str(), args.role.as_str()];
    parts.extend((answers.is_none()).then_some("reject"));
    parts.extend(deletion.then_some("deletion"));
    parts.extend((kind != Kind::ReleasePolicy).then_some(kind.short()));
    let made = Made { kind: Kind::Approval, name: text::object_name(&parts), spec };
    let question = format!("{}{} it?", verb[..1].to_uppercase(), &verb[1..]);
    let how = Writing { question: &question, yes: args.yes, dry_run: args.dry_run, output: args.output };
    if let Some(key) = &args.signing.sign_with {
        return signed::write::<ApprovalPayload>(cluster, (key, &args.signing), made, &how, now);
    }
    made.write(cluster, &how, now)
}

/// The digest of an object as it was read, or by which the deletion of the version of a policy in force is approved.
fn digest_of(object: &Value, (kind, name): (Kind, &str), deletion: bool) -> anyhow::Result<String> {
    let of = format!("{}/{name}", kind.short());
    let spec = object.get("spec").with_context(|| format!("{of}: wanted a spec, found none"))?;
    if !deletion {
        return Ok(placet_gate::digest::content(kind, None, name, spec)?);
    }
    let in_force = status(object).in_force.with_context(|| {
        format!(
            "{of}: wanted status.inForce, found none: no version of it decides, so that it can be deleted"
        )
    })?;
    Ok(placet_gate::digest::deletion(kind, name, in_force.as_str())?)
}

/// What all of these kinds say in their status.
fn status(object: &Value) -> GuardedStatus {
    object.get("status").and_then(|status| serde_json::from_value(status.clone()).ok()).unwrap_or_default()
}

/// The condition that says whether the version that is there decides: status and message.
fn in_force(object: &Value) -> Option<(String, String)> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array)?;
    let found = all.iter().find(|c| c["type"] == "InForce")?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("message")))
}

/// What is about to be decided on.
fn page(object: &Value, (kind, name): (Kind, &str), digest: &str, deletion: bool) -> Page {
    let mut out = Page::default();
    out.add(0, &format!("{kind} {name}"));
    let writers = approve::writers(object);
    let by =
        if writers.is_empty() { "nobody known: it carries no stamp".to_owned() } else { writers.join(", ") };
    out.add(2, &format!("written by {by}"));
    let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("?").to_owned();
    let less = match kind {
        Kind::TrustedSigner => {
            let list = |at: &str| -> String {
                let all = object.pointer(at).and_then(Value::as_array).into_iter().flatten();
                all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            };
            out.add(2, &format!("the key {}", text("/spec/key")));
            out.add(2, &format!("of {}, for {}", text("/spec/user"), list("/spec/roles")));
            out.add(2, &format!("in the groups: {}", list("/spec/groups")));
            "lets more in"
        }
        Kind::ApprovalRole => {
            out.add(2, &format!("{}: {}", text("/spec/title"), text("/spec/answersFor")));
            "lets more in"
        }
        _ => {
            out.add(2, &format!("applies to {}", text("/status/appliesTo")));
            "asks for less"
        }
    };
    if deletion {
        out.add(2, "its deletion: what it asks for would be asked by nobody");
    } else if let Some(waiting) = status(object).waiting {
        for way in &waiting.loosens {
            out.add(2, &format!("{less}: {way}"));
        }
    } else {
        out.add(2, "nothing of it waits for an approval");
    }
    out.add(2, &format!("{} digest {digest}", if deletion { "deletion" } else { "Content" }));
    out
}

/// Why a policy, a role or a signer does not decide as it is, if so.
pub fn why(cluster: &Cluster, args: &WhyArgs) -> anyhow::Result<u8> {
    let (kind, name) = target::ours(&args.target, &GUARDED)?;
    let object = cluster.get(kind, &name)?;
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let status = status(&object);
    if status.observed_generation.is_none() || status.observed_generation != generation {
        bail!(
            "{}/{name}: wanted a status for this generation, found an older one or none; wait until it is judged",
            kind.short()
        );
    }
    let (decides, message) =
        in_force(&object).unwrap_or_else(|| ("True".into(), "this version decides".into()));
    let decides = decides == "True";
    let waiting = status.waiting.as_ref();
    sys::print(&match args.output {
        TableOrJson::Json => text::json(&json!({
            (gate::said(kind)): name, "decides": decides, "message": message, "inForce": status.in_force, "waiting": waiting,
        }))?,
        TableOrJson::Table => {
            let mut out =
                format!("{name} {}\n", if decides { "is in force" } else { "is not in force as it is" });
            let less = if kind == Kind::ReleasePolicy { "asks for less" } else { "lets more in" };
            for way in waiting.into_iter().flat_map(|w| &w.loosens) {
                out.push_str(&visible::line(&format!("  {less}: {way}")));
                out.push('\n');
            }
            out.push_str(&visible::line(&message));
            out.push('\n');
            out
        }
    })?;
    Ok(u8::from(!decides))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Signing, WriteOutput};
    use crate::testing::{Answers, cluster, received};

    const SELF: &str = "POST /apis/authentication.k8s.io/v1/selfsubjectreviews";
    const POLICY: &str = "GET /apis/placet.dev/v1alpha1/releasepolicies/high";
    const CREATE: &str = "POST /apis/placet.dev/v1alpha1/namespaces/lending/approvals";

    fn object() -> Value {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
        json!({"metadata": {"name": "high", "generation": 2}, "spec": {"appliesTo": {"classes": ["High"]}},
               "status": {"observedGeneration": 2, "inForce": digest('1'),
                   "waiting": {"digest": digest('2'), "roles": ["risk-officer"], "loosens": ["approvals[a].count: 2 before, 1 now"]},
                   "conditions": [{"type": "InForce", "status": "False", "reason": "WaitsForApproval",
                       "message": "waits", "lastTransitionTime": "2026-11-20T12:00:00Z"}]}})
    }

    fn args() -> ApproveArgs {
        ApproveArgs {
            target: "rp/high".into(),
            role: "risk-officer".into(),
            comment: None,
            expires: None,
            covers: None,
            digest: None,
            show: false,
            yes: true,
            dry_run: false,
            signing: Signing::default(),
            output: WriteOutput::Name,
        }
    }

    fn decided(deletion: bool) -> Value {
        let (cluster, asked) = cluster(
            Answers::default()
                .with(SELF, 201, &json!({"status": {"userInfo": {"username": "erin"}}}))
                .with(POLICY, 200, &object())
                .with(CREATE, 201, &received()),
        );
        assert_eq!(decide(&cluster, &args(), Some(&[]), deletion).unwrap(), 0);
        let asked = asked.lock().unwrap();
        asked.iter().find(|a| a.request == CREATE).unwrap().body["spec"]["subject"].clone()
    }

    #[test]
    fn a_version_is_approved_by_its_content_and_a_deletion_by_what_is_in_force() {
        let content =
            placet_gate::digest::content(Kind::ReleasePolicy, None, "high", &object()["spec"]).unwrap();
        let in_force = object()["status"]["inForce"].as_str().unwrap().to_owned();
        let deletion = placet_gate::digest::deletion(Kind::ReleasePolicy, "high", &in_force).unwrap();
        for (is_deletion, digest) in [(false, content), (true, deletion)] {
            assert_eq!(
                decided(is_deletion),
                json!({"kind": "ReleasePolicy", "name": "high", "covers": "Content", "digest": digest})
            );
        }
    }

    #[test]
    fn what_waits_is_shown_and_exits_1() {
        let (cluster, _) = cluster(Answers::default().with(POLICY, 200, &object()));
        let args = WhyArgs { target: "rp/high".into(), output: TableOrJson::Table };
        assert_eq!(why(&cluster, &args).unwrap(), 1);
        let shown = page(&object(), (Kind::ReleasePolicy, "high"), "sha256:x", false);
        assert!(shown.text().contains("asks for less: approvals[a].count: 2 before, 1 now"));
    }

    #[test]
    fn who_approves_a_key_sees_it_and_whose_it_is() {
        let digest = |c: char| format!("sha256:{}", c.to_string().repeat(64));
        let signer = json!({"metadata": {"name": "erin", "generation": 1},
            "spec": {"key": "ssh-ed25519 AAAA erin", "user": "erin", "roles": ["risk-officer"]},
            "status": {"observedGeneration": 1, "waiting": {"digest": digest('2'), "roles": ["risk-officer"],
                "loosens": ["user: erin could sign as risk-officer"]}}});
        let shown = page(&signer, (Kind::TrustedSigner, "erin"), &digest('2'), false);
        for line in [
            "the key ssh-ed25519 AAAA erin",
            "of erin, for risk-officer",
            "lets more in: user: erin could sign as risk-officer",
        ] {
            assert!(shown.text().contains(line), "{line}: {}", shown.text());
        }
        let (cluster, asked) = cluster(
            Answers::default()
                .with(SELF, 201, &json!({"status": {"userInfo": {"username": "olga"}}}))
                .with("GET /apis/placet.dev/v1alpha1/trustedsigners/erin", 200, &signer)
                .with(CREATE, 201, &received()),
        );
        let args = ApproveArgs { target: "ts/erin".into(), ..args() };
        assert_eq!(decide(&cluster, &args, Some(&[]), false).unwrap(), 0);
        let content =
            placet_gate::digest::content(Kind::TrustedSigner, None, "erin", &signer["spec"]).unwrap();
        let asked = asked.lock().unwrap();
        let made = &asked.iter().find(|a| a.request == CREATE).unwrap().body;
        assert_eq!(made["spec"]["subject"]["kind"], "TrustedSigner");
        assert_eq!(made["spec"]["subject"]["digest"], content.as_str());
        drop(asked);
        let said = decide(&cluster, &args, Some(&[]), true).unwrap_err().to_string();
        assert!(said.contains("needs no approval"), "{said}");
    }
}
