//! `placet accept-risk`: show the levels of the named risks, bind the acceptance to the risks' content.

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::common::Level;
use placet_gate::signed::RiskAcceptancePayload;
use serde_json::{Value, json};

use crate::approve::{later, levels};
use crate::args::AcceptArgs;
use crate::cluster::Cluster;
use crate::made::{Made, Writing};
use crate::text::Page;
use crate::{signed, sys, target, text};

/// Runs the command.
pub fn run(cluster: &Cluster, args: &AcceptArgs) -> anyhow::Result<u8> {
    let (kind, name) = target::ours(&args.target, &[Kind::ImpactAssessment])?;
    target::name_of(&args.role).context("--role")?;
    let now = sys::now();
    let until = later("--until", &args.until, now)?;
    // Read once: what is shown is what is digested.
    let object = cluster.get(kind, &name)?;
    let spec = object.get("spec").context("the assessment has no spec")?;
    let all = levels(&object);
    let mut shown = Page::default();
    shown.add(0, &format!("ImpactAssessment {name} in namespace {}", cluster.namespace));
    let mut highest = Level::VeryLow;
    let mut accepted = Vec::new();
    for risk in &args.risks {
        let Some((_, level, how)) = all.iter().find(|(id, ..)| id == risk) else {
            let ids: Vec<&str> = all.iter().map(|(id, ..)| id.as_str()).collect();
            bail!("ia/{name}: wanted one of its risks ({}), found {risk}", ids.join(", "));
        };
        let Some(level) = level else {
            bail!("ia/{name}: the level of {risk} is not computable ({how}); mend the assessment first");
        };
        if *level == Level::VeryHigh {
            bail!(
                "ia/{name}: {risk} is VeryHigh ({how}), which nobody may accept: treat it or withdraw the release"
            );
        }
        let digest = placet_gate::digest::risk(&cluster.namespace, &name, spec, risk)?
            .with_context(|| format!("ia/{name} has no risk {risk}"))?;
        shown.add(2, &format!("{risk}: {level} after controls ({how})"));
        shown.add(4, &format!("Digest {digest}"));
        for group in small_groups(spec, risk) {
            shown.add(
                4,
                &format!(
                    "Too small to be compared in bias tests, and left out where a policy says so: {group}"
                ),
            );
        }
        accepted.push(json!({"id": risk, "digest": digest}));
        highest = highest.max(*level);
    }
    let level = args.level.map_or(highest, Level::from);
    if level < highest {
        bail!(
            "--level {level} is below the highest level of these risks, {highest}: it would accept nothing"
        );
    }
    let user = cluster.whoami()?;
    shown.add(
        0,
        &format!("You, {user}, accept this as {} up to {level} until {}.", args.role, text::seconds(until)),
    );
    sys::tell(shown.text());
    let mut spec = json!({
        "assessment": {"name": name},
        "risks": accepted,
        "role": args.role,
        "level": level,
        "rationale": args.rationale,
        "expiresAt": text::seconds(until),
    });
    if !args.conditions.is_empty() {
        spec["conditions"] = json!(args.conditions);
    }
    serde_json::from_value::<placet_api::riskacceptance::RiskAcceptanceSpec>(spec.clone())
        .context("the RiskAcceptance")?;
    // Without a user's name, as with approvals.
    let mut parts = vec![name.as_str()];
    parts.extend(args.risks.iter().map(String::as_str));
    let made = Made { kind: Kind::RiskAcceptance, name: text::object_name(&parts), spec };
    let how = Writing { question: "Accept?", yes: args.yes, dry_run: args.dry_run, output: args.output };
    if let Some(key) = &args.signing.sign_with {
        return signed::write::<RiskAcceptancePayload>(cluster, (key, &args.signing), made, &how, now);
    }
    made.write(cluster, &how, now)
}

/// The groups that a risk names, each as `race: Asian, sex: female`.
fn small_groups(assessment: &Value, risk: &str) -> Vec<String> {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let risks = items(&assessment["risks"]).into_iter().filter(|r| r["id"] == risk);
    risks.flat_map(|r| items(&r["groups"])).map(|group| said(&group["attributes"])).collect()
}

/// Attributes of a group in the order of their names, whatever order they were read in.
fn said(attributes: &Value) -> String {
    let mut parts: Vec<String> = attributes
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or_default()))
        .collect();
    parts.sort();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{LevelArg, Signing, WriteOutput};
    use crate::testing::{Answers, cluster};

    fn args(risks: &[&str]) -> AcceptArgs {
        AcceptArgs {
            target: "ia/impact".into(),
            risks: risks.iter().map(|r| (*r).to_owned()).collect(),
            role: "executive".into(),
            until: "2999-01-01".into(),
            level: None,
            rationale: "Reviewed by a person".into(),
            conditions: vec![],
            signing: Signing::default(),
            yes: true,
            dry_run: false,
            output: WriteOutput::Name,
        }
    }

    fn assessment() -> Value {
        json!({"metadata": {"generation": 1}, "spec": {
            "system": "scoring", "scope": {"datasets": []},
            "harms": [{"id": "H1", "affects": "Individuals", "description": "x", "likelihood": 4, "severity": 4, "reach": 3,
                       "reversibility": "Difficult", "vulnerable": true}],
            "risks": [{"id": "R1", "domain": "AI", "harms": ["H1"], "residual": {"likelihood": 2, "severity": 4},
                       "controls": [{"control": "ISO42001/A.6.2.4", "status": "Implemented", "owner": "Model Risk", "implementedAt": "2026-10-01"}]},
                      {"id": "R2", "domain": "AI", "harms": ["H1"]}]}})
    }

    #[test]
    fn groups_that_a_risk_names_are_shown() {
        let spec = json!({"risks": [{"id": "R1", "groups": [
            {"attributes": {"sex": "other"}}, {"attributes": {"sex": "female", "race": "Asian"}}]}, {"id": "R2"}]});
        assert_eq!(small_groups(&spec, "R1"), ["sex: other", "race: Asian, sex: female"]);
        assert!(small_groups(&spec, "R2").is_empty() && small_groups(&spec, "R9").is_empty());
    }

    #[test]
    fn levels_are_computed_and_each_risk_is_pinned() {
        let create = "POST /apis/placet.dev/v1alpha1/namespaces/lending/riskacceptances";
        let answers = Answers::default()
            .with(
                "GET /apis/placet.dev/v1alpha1/namespaces/lending/impactassessments/impact",
                200,
                &assessment(),
            )
            .with(
                "POST /apis/authentication.k8s.io/v1/selfsubjectreviews",
                201,
                &json!({"status": {"userInfo": {"username": "frank"}}}),
            )
            .with(create, 201, &crate::testing::received());
        let (cluster, asked) = cluster(answers);
        assert_eq!(run(&cluster, &args(&["R1"])).unwrap(), 0);
        let body = asked.lock().unwrap().last().unwrap().body.clone();
        assert_eq!(body["spec"]["level"], "High");
        assert_eq!(body["metadata"]["name"], "impact-r1");
        let digest =
            placet_gate::digest::risk("lending", "impact", &assessment()["spec"], "R1").unwrap().unwrap();
        assert_eq!(body["spec"]["assessment"], json!({"name": "impact"}));
        assert_eq!(body["spec"]["risks"], json!([{"id": "R1", "digest": digest}]));

        // Signed, it is printed for Git and nothing is created.
        let before = asked.lock().unwrap().len();
        let signing =
            Signing { sign_with: Some("/nonexistent/key".into()), cluster_name: Some("prod-eu".into()) };
        let signed = run(&cluster, &AcceptArgs { signing, ..args(&["R1"]) }).unwrap_err().to_string();
        assert!(signed.contains("/nonexistent/key: wanted a private key"), "{signed}");
        assert!(asked.lock().unwrap()[before..].iter().all(|a| a.request != create));

        let e = |a: &AcceptArgs| run(&cluster, a).unwrap_err().to_string();
        assert!(e(&args(&["R9"])).contains("wanted one of its risks (R1, R2), found R9"));
        assert!(e(&args(&["R2"])).contains("VeryHigh"));
        assert!(
            e(&AcceptArgs { level: Some(LevelArg::Low), ..args(&["R1"]) })
                .contains("below the highest level")
        );
        assert!(e(&AcceptArgs { until: "2020-01-01".into(), ..args(&["R1"]) }).contains("still to come"));
    }
}
