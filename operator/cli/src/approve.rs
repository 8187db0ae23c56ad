//! `placet approve` and `placet reject`: show what is decided on, bind the decision to that content.

mod around;
mod page;
mod since;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_api::keys::STAMP;
use placet_gate::signed::ApprovalPayload;
use serde_json::{Value, json};

use crate::args::{ApproveArgs, Covers, WriteOutput};
use crate::cluster::{Cluster, path_of};
use crate::made::{Made, Writing};
use crate::{signed, sys, target, text, yaml};
use around::Around;
pub use page::levels;
use since::Since;

/// Runs the command: `approve`, with the Rejects that it answers, or else reject.
pub fn run(cluster: &Cluster, args: &ApproveArgs, answers: Option<&[String]>) -> anyhow::Result<u8> {
    let approve = answers.is_some();
    let answers = answers.unwrap_or_default();
    let verb = if approve { "approve" } else { "reject" };
    let kinds = [Kind::ModelRelease, Kind::AISystem, Kind::ImpactAssessment, Kind::RiskAcceptance];
    let (kind, name) = target::ours(&args.target, &kinds)?;
    target::name_of(&args.role).context("--role")?;
    let now = sys::now();
    let expires = args.expires.as_deref().map(|t| later("--expires", t, now)).transpose()?;
    // Each is read once, and nothing again after it was shown: what is shown is what is digested.
    let object = cluster.get(kind, &name)?;
    let around = (kind == Kind::ModelRelease).then(|| Around::read(cluster, &object));
    let (covered, unasked) = covered(&object, kind, args, approve)?;
    let digest = match (&around, covered) {
        (Some(around), Covers::Evidence) => around.evidence(&object, &cluster.namespace, &name)?,
        _ => digest_of(&object, kind, &cluster.namespace, &name, covered)?,
    };
    if let Some(wanted) = args.digest.as_ref().filter(|d| **d != digest) {
        bail!(
            "--digest: {kind} {name} has the digest {digest} now (covers: {}), not {wanted}",
            covers(covered)
        );
    }
    let user = cluster.whoami()?;
    let mut shown = page::describe(&cluster.namespace, &object, kind, &name, around.as_ref());
    let since = around.as_ref().map(|around| Since::of(cluster, &object, around, &residual(around)));
    let since = since.transpose();
    match &since {
        Ok(Some(Some(since))) => since.show(&mut shown),
        Ok(Some(None)) => {
            shown.add(2, "no other release of the system is cleared: there is nothing to compare with");
        }
        Ok(None) => {}
        Err(why) => shown.add(2, &format!("the release that was cleared last could not be read: {why}")),
    }
    shown.add(2, &format!("{} digest {digest}", covers(covered)));
    if args.show {
        let about = json!({"kind": kind.as_str(), "name": name, "namespace": cluster.namespace,
            "covers": covers(covered), "digest": digest});
        return show(
            &object,
            &about,
            around.as_ref(),
            since.ok().flatten().flatten().as_ref(),
            shown.text(),
            args,
        );
    }
    for reject in answers {
        let about =
            Rejected { kind, name: &name, role: &args.role, covers: covers(covered), digest: &digest };
        shown.add(2, &about.answered(cluster, reject)?);
    }
    // A Reject stands until it is answered, whatever its signature says of an end.
    let until =
        expires.filter(|_| approve).map_or_else(String::new, |t| format!(", until {}", text::seconds(t)));
    shown.add(0, &format!("You, {user}, {verb} this as {}{until}.", args.role));
    if approve && is_author(&object, kind, &user) {
        shown.add(
            0,
            "You wrote or developed it: policies with separation of duties do not count your approval.",
        );
    }
    if unasked {
        shown.add(0, &format!("No policy asks for an approval by {} here: see placet why.", args.role));
    }
    sys::tell(shown.text());
    let mut spec = json!({
        "subject": {"kind": kind.as_str(), "name": name, "covers": covers(covered), "digest": digest},
        "role": args.role,
        "decision": if approve { "Approve" } else { "Reject" },
    });
    if let Some(comment) = &args.comment {
        spec["comment"] = comment.as_str().into();
    }
    if !answers.is_empty() {
        spec["answers"] = json!(answers);
    }
    if let Some(expires) = expires {
        spec["expiresAt"] = text::seconds(expires).into();
    }
    // Checked here already, so that what cannot be is said before anybody is asked.
    serde_json::from_value::<placet_api::approval::ApprovalSpec>(spec.clone()).context("the Approval")?;
    // Names of objects stand in the log for good: whose decision it is does not belong into one.
    let mut parts = vec![name.as_str(), args.role.as_str()];
    if !approve {
        parts.push("reject");
    }
    let made = Made { kind: Kind::Approval, name: text::object_name(&parts), spec };
    let question = format!("{}{} it?", verb[..1].to_uppercase(), &verb[1..]);
    let how = Writing { question: &question, yes: args.yes, dry_run: args.dry_run, output: args.output };
    if let Some(key) = &args.signing.sign_with {
        return signed::write::<ApprovalPayload>(cluster, (key, &args.signing), made, &how, now);
    }
    made.write(cluster, &how, now)
}

/// Prints what there is to decide on.
fn show(
    object: &Value,
    about: &Value,
    around: Option<&Around>,
    since: Option<&Since>,
    page: &str,
    args: &ApproveArgs,
) -> anyhow::Result<u8> {
    let mut out = json!({"subject": about, "role": args.role, "createdBy": creator(object)});
    if let Some(around) = around {
        out["class"] = object.pointer("/status/class").cloned().unwrap_or_default();
        out["findings"] = json!(page::found(object));
        out["notes"] = json!(page::notes(object));
        out["residualRisks"] = json!(residual(around));
        out["since"] = json!(since);
    }
    sys::print(&match args.output {
        WriteOutput::Name => page.to_owned(),
        WriteOutput::Yaml => yaml::document(&out),
        WriteOutput::Json => text::json(&out)?,
    })?;
    Ok(0)
}

/// Residual levels of the assessments, by risk.
fn residual(around: &Around) -> BTreeMap<String, String> {
    let all = around.assessments.iter().flatten().flat_map(page::levels);
    all.filter_map(|(id, level, _)| Some((id, level?.to_string()))).collect()
}

/// What a decision covers, unless it is said: what the policies ask the role for. A Reject stands for the content, which
/// no change of anything else takes away. And whether no policy asks for an approval by the role.
///
/// # Errors
/// Nobody has said yet what the role is asked for.
fn covered(object: &Value, kind: Kind, args: &ApproveArgs, approve: bool) -> anyhow::Result<(Covers, bool)> {
    let of_release = approve && kind == Kind::ModelRelease;
    let judged =
        ["/status/observedGeneration", "/status/digests"].iter().any(|at| object.pointer(at).is_some());
    if of_release && args.covers.is_none() && !judged {
        bail!(
            "{kind} {}: wanted a release that is judged, so that it is known what {} is asked to cover, found one that is not yet; \
             wait until it is, or say --covers",
            object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default(),
            args.role
        );
    }
    let approvers = object.pointer("/status/approvers").and_then(Value::as_array);
    let asked = approvers.into_iter().flatten().find(|a| a["role"] == args.role.as_str());
    let by_policy = match asked.and_then(|a| a["covers"].as_str()) {
        Some("Evidence") if approve => Covers::Evidence,
        _ => Covers::Content,
    };
    let unasked = of_release && approvers.is_some() && asked.is_none();
    Ok((args.covers.unwrap_or(by_policy), unasked))
}

/// What a Reject has to be about, to be answered.
struct Rejected<'a> {
    kind: Kind,
    name: &'a str,
    role: &'a str,
    covers: &'a str,
    digest: &'a str,
}

impl Rejected<'_> {
    /// The Reject that is about to be answered, in words.
    ///
    /// # Errors
    /// It is none, or it is about something else, so that answering it would change nothing.
    fn answered(&self, cluster: &Cluster, reject: &str) -> anyhow::Result<String> {
        target::name_of(reject).context("--answers")?;
        let path = path_of(Kind::Approval, &cluster.namespace, Some(reject));
        let Some(object) = cluster.get_path(&path)? else {
            return Ok(format!(
                "answers {reject}, which is not there; a Reject that was deleted is remembered, and answered by its name"
            ));
        };
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).unwrap_or("?");
        // A Reject blocks whichever digest of the subject as it is now it names: one of another sort is compared by nobody
        // here.
        let same_sort = text("/spec/subject/covers") == self.covers;
        let digest = if same_sort { text("/spec/subject/digest") } else { self.digest };
        let pairs = [
            ("decision", text("/spec/decision"), "Reject"),
            ("subject.kind", text("/spec/subject/kind"), self.kind.as_str()),
            ("subject.name", text("/spec/subject/name"), self.name),
            ("role", text("/spec/role"), self.role),
            ("subject.digest", digest, self.digest),
        ];
        for (field, found, wanted) in pairs {
            if found != wanted {
                bail!(
                    "--answers {reject}: wanted a Reject of what you approve, in the same role; its {field} is {found}, not \
                     {wanted}, so that your approval would not answer it"
                );
            }
        }
        let by = creator(&object).unwrap_or_else(|| "nobody known".into());
        let why = object.pointer("/spec/comment").and_then(Value::as_str).unwrap_or("without a comment");
        Ok(format!("answers the Reject {reject} by {by}: {why}"))
    }
}

/// The content, classification or evidence digest of an object as it was read.
///
/// # Errors
/// A digest that this kind does not have, or one that is not yet known.
pub fn digest_of(
    object: &Value,
    kind: Kind,
    namespace: &str,
    name: &str,
    covers: Covers,
) -> anyhow::Result<String> {
    let spec = object.get("spec").with_context(|| format!("{kind} {name}: wanted a spec, found none"))?;
    match (covers, kind) {
        (Covers::Content, _) => Ok(placet_gate::digest::content(kind, Some(namespace), name, spec)?),
        (Covers::Classification, Kind::AISystem) => {
            Ok(placet_gate::digest::classification(namespace, name, spec)?)
        }
        (Covers::Evidence, Kind::ModelRelease) => evidence_shown(object, namespace, name),
        (Covers::Classification, _) => bail!("--covers Classification is for an AISystem, found a {kind}"),
        (Covers::Evidence, _) => bail!("--covers Evidence is for a ModelRelease, found a {kind}"),
    }
}

/// The evidence digest that a release's status shows for its content.
///
/// # Errors
/// There is none, or the status is of another content.
fn evidence_shown(object: &Value, namespace: &str, name: &str) -> anyhow::Result<String> {
    let spec = object.get("spec").unwrap_or(&Value::Null);
    let status = |p: &str| object.pointer(p).and_then(Value::as_str);
    let content = placet_gate::digest::content(Kind::ModelRelease, Some(namespace), name, spec)?;
    if status("/status/digests/content") != Some(content.as_str()) {
        bail!(
            "mr/{name}: wanted a status for this content, found an older one or none; wait until it is judged"
        );
    }
    let evidence = status("/status/digests/evidence");
    Ok(evidence
        .with_context(|| {
            format!(
                "mr/{name}: wanted status.digests.evidence, found none: class, assessment or reports are not yet known; see placet why mr/{name} -n {namespace}"
            )
        })?
        .to_owned())
}

fn covers(covers: Covers) -> &'static str {
    match covers {
        Covers::Content => "Content",
        Covers::Evidence => "Evidence",
        Covers::Classification => "Classification",
    }
}

/// A date that is still to come.
pub fn later(what: &str, date: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let at = text::moment(what, date)?;
    if at <= now {
        bail!("{what}: wanted a date that is still to come, found {date}");
    }
    Ok(at)
}

/// Creator from the stamp, as the API server shows it: not verified here, and shown as such by being only a name.
pub fn creator(object: &Value) -> Option<String> {
    writers(object).into_iter().next()
}

/// Creator and editors from the stamp, in the same way. What else a stamp holds is not looked at.
pub fn writers(object: &Value) -> Vec<String> {
    let stamp = object.pointer("/metadata/annotations").and_then(|a| a.get(STAMP)).and_then(Value::as_str);
    let stamp: Value = stamp.and_then(|s| serde_json::from_str(s).ok()).unwrap_or(Value::Null);
    let editors = stamp["editors"].as_array().into_iter().flatten();
    let users = [&stamp["creator"]].into_iter().chain(editors).filter_map(|who| who["user"].as_str());
    users.map(str::to_owned).collect()
}

fn is_author(object: &Value, kind: Kind, user: &str) -> bool {
    let developers = object.pointer("/spec/developers").and_then(Value::as_array);
    let listed = kind == Kind::ModelRelease && developers.is_some_and(|d| d.iter().any(|x| x == user));
    listed || writers(object).iter().any(|c| c == user)
}

#[cfg(test)]
#[path = "approve/tests.rs"]
mod tests;
