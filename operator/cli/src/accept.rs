//! `placet accept-risk`: show the levels of the named risks, bind the acceptance to the assessment's content.

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::common::Level;
use serde_json::json;

use crate::approve::{Made, later, levels};
use crate::args::{AcceptArgs, WriteOutput};
use crate::cluster::Cluster;
use crate::text::Page;
use crate::{sys, target, text};

/// Runs the command.
pub fn run(cluster: &Cluster, args: &AcceptArgs) -> anyhow::Result<u8> {
    let (kind, name) = target::ours(&args.target, &[Kind::ImpactAssessment])?;
    target::name_of(&args.role).context("--role")?;
    let now = sys::now();
    let until = later("--until", &args.until, now)?;
    // Read once: what is shown is what is digested.
    let object = cluster.get(kind, &name)?;
    let spec = object.get("spec").context("the assessment has no spec")?;
    let digest = placet_gate::digest::content(kind, Some(&cluster.namespace), &name, spec)?;
    let all = levels(&object);
    let mut shown = Page::default();
    shown.add(0, &format!("ImpactAssessment {name} in namespace {}", cluster.namespace));
    shown.add(2, &format!("Content digest {digest}"));
    let mut highest = Level::VeryLow;
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
        shown.add(2, &format!("{risk}: {level} after controls ({how})"));
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
        "assessment": {"name": name, "digest": digest},
        "risks": args.risks,
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
    let mut parts = vec![name.as_str()];
    parts.extend(args.risks.iter().map(String::as_str));
    parts.push(&user);
    let made = Made { kind: Kind::RiskAcceptance, name: text::object_name(&parts), spec };
    if args.dry_run || args.output == WriteOutput::Yaml {
        return made.show(cluster);
    }
    sys::confirm("Accept?", args.yes)?;
    made.create(cluster, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::LevelArg;
    use crate::testing::{Answers, cluster};
    use serde_json::Value;

    fn args(risks: &[&str]) -> AcceptArgs {
        AcceptArgs {
            target: "ia/impact".into(),
            risks: risks.iter().map(|r| (*r).to_owned()).collect(),
            role: "executive".into(),
            until: "2999-01-01".into(),
            level: None,
            rationale: "Reviewed by a person".into(),
            conditions: vec![],
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
                       "controls": [{"control": "ISO42001/A.6.2.4", "status": "Implemented"}]},
                      {"id": "R2", "domain": "AI", "harms": ["H1"]}]}})
    }

    #[test]
    fn levels_are_computed_and_the_assessment_is_pinned() {
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
            .with(create, 201, &json!({}));
        let (cluster, asked) = cluster(answers);
        assert_eq!(run(&cluster, &args(&["R1"])).unwrap(), 0);
        let body = asked.lock().unwrap().last().unwrap().body.clone();
        assert_eq!(body["spec"]["level"], "High");
        assert_eq!(body["metadata"]["name"], "impact-r1-frank");
        let digest = placet_gate::digest::content(
            Kind::ImpactAssessment,
            Some("lending"),
            "impact",
            &assessment()["spec"],
        )
        .unwrap();
        assert_eq!(body["spec"]["assessment"]["digest"], digest);

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
