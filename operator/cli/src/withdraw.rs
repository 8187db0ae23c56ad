//! `placet withdraw`: take back a release for good, a risk acceptance, or an approval.

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::keys::{ENFORCE, GROUP, HOLD_GATE, RELEASE, WITHDRAWN_BECAUSE};
use serde_json::{Value, json};

use crate::approve::{self, creator};
use crate::args::{ApproveArgs, Covers, NameOrJson, Signing, WithdrawArgs, WriteOutput};
use crate::cluster::{Cluster, Refused, path_of};
use crate::made::{readable, receipt, tell_unstamped};
use crate::text::Page;
use crate::{sys, target, text};

/// How often a write is tried again when somebody else wrote the object meanwhile: the operator's statuses do, but a
/// release that changes all the time is none.
const TRIES: usize = 5;
/// How many workloads are listed one by one.
const SHOWN: usize = 30;

/// What runs pods, and where it is listed.
const WORKLOADS: [(&str, &str, &str); 8] = [
    ("Deployment", "/apis/apps/v1", "deployments"),
    ("StatefulSet", "/apis/apps/v1", "statefulsets"),
    ("DaemonSet", "/apis/apps/v1", "daemonsets"),
    ("ReplicaSet", "/apis/apps/v1", "replicasets"),
    ("ReplicationController", "/api/v1", "replicationcontrollers"),
    ("Job", "/apis/batch/v1", "jobs"),
    ("CronJob", "/apis/batch/v1", "cronjobs"),
    ("Pod", "/api/v1", "pods"),
];

/// Runs the command.
pub fn run(cluster: &Cluster, args: &WithdrawArgs) -> anyhow::Result<u8> {
    let kinds = [Kind::ModelRelease, Kind::RiskAcceptance, Kind::Approval];
    let (kind, name) = target::ours(&args.target, &kinds)?;
    if args.role.is_some() && kind != Kind::RiskAcceptance {
        bail!("--role is for ra/NAME, found {}", args.target);
    }
    match kind {
        Kind::ModelRelease => release(cluster, args, &name),
        Kind::RiskAcceptance => acceptance(cluster, args, &name),
        _ => approval(cluster, args, &name),
    }
}

fn release(cluster: &Cluster, args: &WithdrawArgs, name: &str) -> anyhow::Result<u8> {
    let object = cluster.get(Kind::ModelRelease, name)?;
    if withdrawn(&object) {
        sys::tell(&format!("mr/{name} is withdrawn already"));
        return print(args.output, name, "unchanged", object);
    }
    let mut page = Page::default();
    let field = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("?");
    page.add(0, &format!("ModelRelease {name} in namespace {}", cluster.namespace));
    page.add(2, &format!("system {}, version {}", field("/spec/system"), field("/spec/version")));
    page.add(2, &format!("created by {}", creator(&object).unwrap_or_else(|| "nobody known".into())));
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let cleared = conditions.filter(|c| c["type"] == "Cleared").find_map(|c| c["message"].as_str());
    page.add(2, cleared.unwrap_or("not judged yet"));
    runs(cluster, name, &mut page);
    for consequence in consequences(cluster, &object) {
        page.add(0, &consequence);
    }
    sys::tell(page.text());
    let change = |object: &Value| {
        let mut change = json!({
            "metadata": {
                "uid": object.pointer("/metadata/uid"),
                "resourceVersion": object.pointer("/metadata/resourceVersion"),
            },
            "spec": {"withdrawn": true},
        });
        if let Some(because) = &args.because {
            change["metadata"]["annotations"] = json!({WITHDRAWN_BECAUSE: because});
        }
        change
    };
    if args.dry_run {
        let mut shown = readable(object);
        shown["spec"]["withdrawn"] = true.into();
        return print(args.output, name, "would be withdrawn (dry run)", shown);
    }
    sys::confirm("Withdraw it for good?", args.yes)?;
    let path = path_of(Kind::ModelRelease, &cluster.namespace, Some(name));
    let mut current = object.clone();
    for _ in 0..TRIES {
        match cluster.merge(&path, &change(&current)) {
            // The digest leaves `withdrawn` out, so that a receipt of before stays good.
            Ok(now) if receipt(&now).is_none() => {
                print(args.output, name, "withdrawn without a receipt", now)?;
                tell_unstamped(Kind::ModelRelease, name, &cluster.namespace);
                return Ok(1);
            }
            Ok(now) => return print(args.output, name, "withdrawn", now),
            // A status was written meanwhile, or it is another object by now.
            Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.code == 409) => {
                current = cluster.get(Kind::ModelRelease, name)?;
                same(&object, &current, name)?;
            }
            Err(e) => return Err(e),
        }
    }
    bail!(
        "mr/{name}: wanted it to stay as it is for a moment, found it written {TRIES} times meanwhile; try again"
    )
}

fn withdrawn(object: &Value) -> bool {
    object.pointer("/spec/withdrawn").and_then(Value::as_bool) == Some(true)
}

/// Whether an object is still the one that was shown.
fn same(shown: &Value, current: &Value, name: &str) -> anyhow::Result<()> {
    let is = |at: &str| shown.pointer(at) == current.pointer(at);
    if is("/metadata/uid") && is("/spec") {
        return Ok(());
    }
    bail!(
        "mr/{name}: wanted the release that was shown, found that it was changed or made anew since; look again"
    )
}

fn print(output: NameOrJson, name: &str, what: &str, object: Value) -> anyhow::Result<u8> {
    sys::print(&match output {
        NameOrJson::Name => format!("modelrelease.{GROUP}/{name} {what}\n"),
        NameOrJson::Json => text::json(&readable(object))?,
    })?;
    Ok(0)
}

/// What carries the label of the release, as far as you may list it.
fn runs(cluster: &Cluster, name: &str, page: &mut Page) {
    let query = format!("labelSelector={}%3D{name}", RELEASE.replace('/', "%2F"));
    let mut lines = Vec::new();
    let mut refused = Vec::new();
    for (kind, api, plural) in WORKLOADS {
        let path = format!("{api}/namespaces/{}/{plural}", cluster.namespace);
        match cluster.list_path(&path, &query) {
            Ok(list) => lines.extend(list.iter().map(|o| workload(kind, o))),
            Err(e) => refused.push((plural, text::chain(&e))),
        }
    }
    if lines.is_empty() && refused.is_empty() {
        page.add(2, "nothing runs under it in this namespace");
    }
    for line in lines.iter().take(SHOWN) {
        page.add(2, line);
    }
    if lines.len() > SHOWN {
        page.add(2, &format!("and {} more", lines.len() - SHOWN));
    }
    if let Some((_, why)) = refused.first() {
        let kinds: Vec<&str> = refused.iter().map(|(plural, _)| *plural).collect();
        page.add(
            2,
            &format!("you may not list {}, so that what runs of them is not shown: {why}", kinds.join(", ")),
        );
    }
}

/// A workload in a line.
fn workload(kind: &str, object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("?");
    let number = |at: &str| object.pointer(at).and_then(Value::as_i64);
    let state = match kind {
        "Pod" => {
            let gates = object.pointer("/spec/schedulingGates").and_then(Value::as_array);
            let held = gates.is_some_and(|g| g.iter().any(|g| g["name"] == HOLD_GATE));
            let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or("unknown");
            if held { "held".to_owned() } else { phase.to_lowercase() }
        }
        "CronJob" => match object.pointer("/spec/suspend").and_then(Value::as_bool) {
            Some(true) => "suspended".to_owned(),
            _ => "not suspended".to_owned(),
        },
        "DaemonSet" => format!("{} ready", number("/status/numberReady").unwrap_or(0)),
        "Job" => format!("{} active", number("/status/active").unwrap_or(0)),
        _ => format!(
            "{} of {} ready",
            number("/status/readyReplicas").unwrap_or(0),
            number("/spec/replicas").unwrap_or(1)
        ),
    };
    format!("{} {name}: {state}", kind.to_lowercase())
}

/// What withdrawing does.
fn consequences(cluster: &Cluster, object: &Value) -> Vec<String> {
    let mut out = vec![
        "This cannot be taken back: what was withdrawn stays so, also when it is deleted and made anew. A new version is a \
         new ModelRelease."
            .to_owned(),
    ];
    let namespace = cluster.get_path(&format!("/api/v1/namespaces/{}", cluster.namespace));
    let labels = namespace.ok().flatten().map(|n| n["metadata"]["labels"].clone());
    let mode = labels.as_ref().map(|l| l[ENFORCE].as_str().unwrap_or_default().to_owned());
    let new = match mode.as_deref() {
        None => "New pods, and pods that replace them, are held or refused where the namespace enforces",
        Some("") => "This namespace enforces nothing: new pods start all the same",
        Some("warn" | "audit") => "This namespace only warns or records: new pods start all the same",
        Some("hold") => "New pods, and pods that replace them, are held",
        Some(_) => "New pods, and pods that replace them, are refused",
    };
    let unless = match mode.as_deref() {
        Some("" | "warn" | "audit") => "",
        _ => " (replacements start where every policy says replacements: Start)",
    };
    out.push(format!(
        "Pods that run go on running until somebody scales them down or deletes them. {new}{unless}."
    ));
    if let Some(target) = object.pointer("/spec/rollbackTarget").and_then(Value::as_str) {
        out.push(format!("Its rollback target is mr/{target}: put that name on the workloads."));
    }
    out
}

/// A risk acceptance is withdrawn by a Reject whose subject it is.
fn acceptance(cluster: &Cluster, args: &WithdrawArgs, name: &str) -> anyhow::Result<u8> {
    let role = if let Some(role) = &args.role {
        role.clone()
    } else {
        let object = cluster.get(Kind::RiskAcceptance, name)?;
        let role = object.pointer("/spec/role").and_then(Value::as_str);
        role.with_context(|| format!("ra/{name}: wanted spec.role, found none; give --role"))?.to_owned()
    };
    sys::tell(&format!(
        "A risk acceptance is withdrawn by a Reject of it, in a role that you hold ({role}). It cannot be taken back: who \
         accepts the risk again makes a new acceptance."
    ));
    let reject = ApproveArgs {
        target: format!("ra/{name}"),
        role,
        comment: args.because.clone(),
        expires: None,
        covers: Some(Covers::Content),
        digest: None,
        show: false,
        yes: args.yes,
        dry_run: args.dry_run,
        signing: Signing::default(),
        output: match args.output {
            NameOrJson::Name => WriteOutput::Name,
            NameOrJson::Json => WriteOutput::Json,
        },
    };
    approve::run(cluster, &reject, None)
}

/// An Approve is withdrawn by deleting it, where you may; a Reject is not withdrawn but answered.
fn approval(cluster: &Cluster, args: &WithdrawArgs, name: &str) -> anyhow::Result<u8> {
    let object = cluster.get(Kind::Approval, name)?;
    let field = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("?");
    let (decision, role) = (field("/spec/decision"), field("/spec/role"));
    let (kind, subject) = (field("/spec/subject/kind"), field("/spec/subject/name"));
    let short = Kind::ALL.iter().find(|k| k.as_str() == kind).map_or("?", |k| k.short());
    let ns = &cluster.namespace;
    let mut page = Page::default();
    page.add(0, &format!("Approval {name} in namespace {ns}"));
    let by = creator(&object).unwrap_or_else(|| "nobody known".into());
    page.add(2, &format!("{decision} of {short}/{subject} as {role}, by {by}"));
    if decision != "Approve" {
        page.add(0, "A Reject is not withdrawn: it blocks until the same person or another holder of the role answers it by name:");
        sys::tell(page.text());
        sys::tell(&format!("  placet approve {short}/{subject} --role {role} --answers {name} -n {ns}"));
        return Ok(1);
    }
    let reject = format!("placet reject {short}/{subject} --role {role} -n {ns}");
    let may = cluster.may("delete", Kind::Approval.plural(), name, Some(ns))?;
    if !may {
        page.add(0, "An Approve ends when it is deleted, which you may not do here, or when a holder of the role rejects the \
                     same content. A Reject says more: it blocks until it is answered by name.");
        sys::tell(page.text());
        sys::tell(&format!("  {reject}"));
        return Ok(1);
    }
    page.add(0, "It counts no more from the moment it is deleted. To block the content, whoever else approves it, reject it:");
    sys::tell(page.text());
    sys::tell(&format!("  {reject}"));
    if args.because.is_some() {
        sys::tell("note: a deletion keeps no reason; --because is for releases and risk acceptances");
    }
    if args.dry_run {
        sys::print(&deleted(args.output, name, "would be deleted (dry run)", object)?)?;
        return Ok(0);
    }
    sys::confirm("Delete it?", args.yes)?;
    delete(cluster, name, &object)?;
    sys::print(&deleted(args.output, name, "deleted", object)?)?;
    Ok(0)
}

fn deleted(output: NameOrJson, name: &str, what: &str, object: Value) -> anyhow::Result<String> {
    Ok(match output {
        NameOrJson::Name => format!("approval.{GROUP}/{name} {what}\n"),
        NameOrJson::Json => text::json(&readable(object))?,
    })
}

/// Deletes what was shown and nothing else.
fn delete(cluster: &Cluster, name: &str, shown: &Value) -> anyhow::Result<()> {
    let text = |o: &Value, at: &str| o.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    let uid = text(shown, "/metadata/uid");
    let mut version = text(shown, "/metadata/resourceVersion");
    for _ in 0..TRIES {
        match cluster.delete(Kind::Approval, name, &uid, &version) {
            Ok(_) => return Ok(()),
            Err(e) if e.downcast_ref::<Refused>().is_some_and(|r| r.code == 409) => {
                let current = cluster.get(Kind::Approval, name)?;
                if text(&current, "/metadata/uid") != uid {
                    bail!(
                        "apv/{name}: wanted the approval that was shown, found another of its name; look again"
                    );
                }
                version = text(&current, "/metadata/resourceVersion");
            }
            Err(e) => return Err(e),
        }
    }
    bail!(
        "apv/{name}: wanted it to stay as it is for a moment, found it written {TRIES} times meanwhile; try again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answers, Asked, cluster};

    const PATH: &str = "/apis/placet.dev/v1alpha1/namespaces/lending";

    fn args(target: &str) -> WithdrawArgs {
        WithdrawArgs {
            target: target.into(),
            because: Some("drift".into()),
            role: None,
            yes: true,
            dry_run: false,
            output: NameOrJson::Name,
        }
    }

    fn a_release() -> Value {
        json!({"metadata": {"name": "m-2", "uid": "u-1", "resourceVersion": "7"}, "spec": {"system": "scoring"}})
    }

    fn received(receipt: &str) -> Value {
        let mut object = a_release();
        object["metadata"]["annotations"] = json!({placet_api::keys::RECEIPT: receipt});
        object
    }

    #[test]
    fn what_no_webhook_saw_is_not_withdrawn_in_silence() {
        let code = |before: &Value, after: &Value| {
            let answers = Answers::default()
                .with(&format!("GET {PATH}/modelreleases/m-2"), 200, before)
                .with(&format!("PATCH {PATH}/modelreleases/m-2"), 200, after);
            run(&cluster(answers).0, &args("mr/m-2")).unwrap()
        };
        assert_eq!(code(&a_release(), &a_release()), 1);
        assert_eq!(code(&received("v1.1"), &received("v1.1")), 0);
        assert_eq!(code(&received("v1.1"), &a_release()), 1);
        assert_eq!(code(&received("v1.1"), &received("v1.2")), 0);
        assert_eq!(code(&a_release(), &received("v1.2")), 0);
    }

    fn an_approval(decision: &str) -> Value {
        json!({"metadata": {"name": "a-1", "uid": "u-2", "resourceVersion": "8"}, "spec": {"decision": decision,
            "role": "validator", "subject": {"kind": "ModelRelease", "name": "m-2", "covers": "Content", "digest": "sha256:1"}}})
    }

    fn writes(asked: &[Asked]) -> Vec<&Asked> {
        let reads = |a: &&Asked| a.request.starts_with("GET ") || a.request.contains("/selfsubject");
        asked.iter().filter(|a| !reads(a)).collect()
    }

    #[test]
    fn a_release_is_withdrawn_as_it_was_shown_and_what_runs_is_said() {
        let pods = json!({"items": [
            {"metadata": {"name": "p-1"}, "status": {"phase": "Running"}},
            {"metadata": {"name": "p-2"}, "spec": {"schedulingGates": [{"name": HOLD_GATE}]}}]});
        let deployments = json!({"items": [{"metadata": {"name": "credit"}, "spec": {"replicas": 2}, "status": {"readyReplicas": 1}}]});
        let no = json!({"kind": "Status", "reason": "Forbidden", "message": "jobs is forbidden"});
        let none = json!({"items": []});
        let mut answers = Answers::default()
            .with(&format!("GET {PATH}/modelreleases/m-2"), 200, &a_release())
            .with(&format!("PATCH {PATH}/modelreleases/m-2"), 200, &received("v1.2"));
        for (kind, api, plural) in WORKLOADS {
            let path = format!("GET {api}/namespaces/lending/{plural}");
            answers = match kind {
                "Pod" => answers.with(&path, 200, &pods),
                "Deployment" => answers.with(&path, 200, &deployments),
                "Job" => answers.with(&path, 403, &no),
                _ => answers.with(&path, 200, &none),
            };
        }
        let (cluster, asked) = cluster(answers);
        let mut page = Page::default();
        runs(&cluster, "m-2", &mut page);
        assert_eq!(
            page.text(),
            "  deployment credit: 1 of 2 ready\n  pod p-1: running\n  pod p-2: held\n  \
             you may not list jobs, so that what runs of them is not shown: jobs is forbidden\n"
        );
        assert_eq!(run(&cluster, &WithdrawArgs { dry_run: true, ..args("mr/m-2") }).unwrap(), 0);
        assert!(writes(&asked.lock().unwrap()).is_empty());
        assert_eq!(run(&cluster, &args("mr/m-2")).unwrap(), 0);
        let asked = asked.lock().unwrap();
        let [patch] = writes(&asked)[..] else { panic!("{asked:?}") };
        assert_eq!(
            patch.body,
            json!({"metadata": {"uid": "u-1", "resourceVersion": "7", "annotations": {WITHDRAWN_BECAUSE: "drift"}},
                   "spec": {"withdrawn": true}})
        );
    }

    #[test]
    fn what_is_withdrawn_stays_and_another_object_of_the_name_is_left_alone() {
        let mut gone = a_release();
        gone["spec"]["withdrawn"] = true.into();
        let (there, asked) =
            cluster(Answers::default().with(&format!("GET {PATH}/modelreleases/m-2"), 200, &gone));
        assert_eq!(run(&there, &args("mr/m-2")).unwrap(), 0);
        assert!(writes(&asked.lock().unwrap()).is_empty());
        let mut other = a_release();
        other["metadata"]["uid"] = "u-9".into();
        assert!(same(&a_release(), &other, "m-2").unwrap_err().to_string().contains("made anew"));
        let mut newer = a_release();
        newer["metadata"]["resourceVersion"] = "9".into();
        same(&a_release(), &newer, "m-2").unwrap();
        // A conflict that does not end is an error, not a loop.
        let conflict = json!({"kind": "Status", "reason": "Conflict", "message": "conflict"});
        let answers = Answers::default()
            .with(&format!("GET {PATH}/modelreleases/m-2"), 200, &a_release())
            .with(&format!("PATCH {PATH}/modelreleases/m-2"), 409, &conflict);
        let (busy, asked) = cluster(answers);
        assert!(run(&busy, &args("mr/m-2")).unwrap_err().to_string().contains("try again"));
        assert_eq!(writes(&asked.lock().unwrap()).len(), TRIES);
    }

    #[test]
    fn an_acceptance_is_withdrawn_by_a_reject_of_it() {
        let object = json!({"metadata": {"name": "r-1"}, "spec": {"role": "executive", "level": "High", "risks": ["R1"],
            "assessment": {"name": "i"}}});
        let answers = Answers::default()
            .with(
                "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
                201,
                &json!({"status": {"userInfo": {"username": "frank"}}}),
            )
            .with(&format!("GET {PATH}/riskacceptances/r-1"), 200, &object)
            .with(&format!("POST {PATH}/approvals"), 201, &received("v1.1"));
        let (cluster, asked) = cluster(answers);
        assert_eq!(run(&cluster, &args("ra/r-1")).unwrap(), 0);
        let asked = asked.lock().unwrap();
        let [made] = writes(&asked)[..] else { panic!("{asked:?}") };
        let spec = &made.body["spec"];
        assert_eq!(
            (&spec["decision"], &spec["role"], &spec["comment"]),
            (&json!("Reject"), &json!("executive"), &json!("drift"))
        );
        assert_eq!(
            (&spec["subject"]["kind"], &spec["subject"]["name"]),
            (&json!("RiskAcceptance"), &json!("r-1"))
        );
        assert!(spec.get("answers").is_none());
    }

    #[test]
    fn an_approval_is_deleted_where_that_is_allowed_and_otherwise_the_way_is_shown() {
        let ask = |decision: &str, may: bool| {
            let mut answers = Answers::default()
                .with(&format!("GET {PATH}/approvals/a-1"), 200, &an_approval(decision))
                .with(&format!("DELETE {PATH}/approvals/a-1"), 200, &json!({}));
            if may {
                answers = answers.may("a-1");
            }
            let (cluster, asked) = cluster(answers);
            let code = run(&cluster, &args("apv/a-1")).unwrap();
            let asked = asked.lock().unwrap();
            (code, writes(&asked).into_iter().cloned().collect::<Vec<_>>())
        };
        let (code, wrote) = ask("Approve", true);
        assert_eq!((code, wrote.len()), (0, 1));
        assert_eq!(wrote[0].request, format!("DELETE {PATH}/approvals/a-1"));
        assert_eq!(wrote[0].body["preconditions"], json!({"uid": "u-2", "resourceVersion": "8"}));
        for (decision, may) in [("Approve", false), ("Reject", true), ("Reject", false)] {
            let (code, wrote) = ask(decision, may);
            assert_eq!((code, wrote.len()), (1, 0), "{decision} {may}");
        }
        let (cluster, _) = cluster(Answers::default());
        let e = run(&cluster, &WithdrawArgs { role: Some("x".into()), ..args("apv/a-1") }).unwrap_err();
        assert!(e.to_string().contains("--role is for ra/NAME"));
        assert!(run(&cluster, &args("ais/scoring")).is_err());
    }
}
