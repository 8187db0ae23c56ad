//! What an assessment has to say, where the policies ask for it: interested parties, sections, threats, what AI Act
//! Article 27 lists, and when the risks were evaluated. And that what is High without controls cites one of an Annex A.

use placet_api::aisystem::{AISystemSpec, DeployerKind, OrganisationRole};
use placet_api::common::{Class, Level};
use placet_api::impactassessment::{
    FundamentalRights, HarmOn, ImpactAssessmentSpec, Section, StakeholderKind, Threat,
};

use super::{Context, Outcome};
use crate::class::Ground;
use crate::controls;
use crate::finding::{Finding, Gate, Reason};
use crate::object::Object;
use crate::policy::Requirements;
use crate::risk::{Score, ScoreError};
use crate::time;

const GATE: Gate = Gate::Assessment;

/// Judges the content of an assessment. `scored` holds its levels.
pub fn evaluate(
    cx: &Context<'_>,
    (assessment, spec): (&Object<ImpactAssessmentSpec>, &ImpactAssessmentSpec),
    scored: Option<&[Result<Score, ScoreError>]>,
    out: &mut Outcome,
) {
    let Some(requirements) = cx.requirements else { return };
    let rules = &requirements.register;
    let mut asked = Asked { cx, name: assessment.name(), out };
    for kind in &rules.stakeholders {
        asked.stakeholder(spec, *kind);
    }
    for section in &rules.sections {
        asked.section(spec, *section);
    }
    for threat in &rules.threats {
        asked.threat(spec, *threat);
    }
    if rules.article27 && applies(cx) {
        asked.fundamental_rights(spec);
    }
    asked.evaluated(spec, rules.risk_evaluation);
    if requirements.assessment {
        let levels = scored.into_iter().flatten().filter_map(|s| s.as_ref().ok());
        for score in levels.filter(|s| s.inherent >= Level::High) {
            asked.cites(spec, score);
        }
    }
}

/// What policies for the class High leave out that the class asks of an assessment (AI Act Articles 9, 15(5) and 27): it keeps
/// nothing, and whoever wrote them may have meant it.
pub fn left_out(cx: &Context<'_>, asked: &Requirements, out: &mut Outcome) {
    if cx.class() != Some(Class::High) {
        return;
    }
    let rules = &asked.register;
    let all = [
        Threat::InputManipulation,
        Threat::Poisoning,
        Threat::SensitiveInference,
        Threat::HiddenManipulation,
    ];
    let threats = all.iter().filter(|t| !rules.threats.contains(*t)).map(|t| format!("{t:?}"));
    let threats = threats.collect::<Vec<_>>().join(", ");
    let left_out = [
        (!threats.is_empty()).then(|| format!("assessment.threats ({threats})")),
        (!rules.article27 && applies(cx)).then(|| "assessment.article27".to_owned()),
        rules.approved_by.is_empty().then(|| "assessment.approvedBy".to_owned()),
    ];
    let left_out: Vec<String> = left_out.into_iter().flatten().collect();
    if !left_out.is_empty() {
        out.notes.push(format!(
            "warning: class High, and {} does not ask for {}",
            cx.policy_names(),
            left_out.join(", ")
        ));
    }
}

/// Whether AI Act Article 27 asks a deployer of this system for an assessment of fundamental rights: high-risk by Annex III,
/// other than by point 2; used by a public authority or by who provides public services, or, in the cases of 5(b) and 5(c), by
/// anybody. A system that does not say who uses it may be used by each of them, and a point without a letter may be any of it.
pub fn applies(cx: &Context<'_>) -> bool {
    let (Some((_, system)), Some(derived)) = (cx.system, cx.derived) else { return false };
    let points = derived.basis.iter().filter_map(|g| match g {
        Ground::AnnexIII { points } => Some(points),
        _ => None,
    });
    let points: Vec<&str> = points.flatten().map(String::as_str).filter(|p| !p.starts_with('2')).collect();
    let deploys = system.organisation_roles.contains(&OrganisationRole::Deployer);
    let of_all = points.iter().any(|p| ["5", "5(b)", "5(c)"].contains(p));
    derived.class == Some(Class::High) && deploys && !points.is_empty() && (of_all || public(system))
}

/// Whether a system may be used by a public authority or by who provides public services.
fn public(system: &AISystemSpec) -> bool {
    let said = system.intended_use.deployers.as_ref();
    said.is_none_or(|all| all.iter().any(|d| *d != DeployerKind::Private))
}

/// Whether a text says something.
fn says(text: &str) -> bool {
    !crate::visible::blank(text)
}

/// The questions that one assessment is asked.
struct Asked<'a, 'c> {
    cx: &'a Context<'c>,
    /// Name of the assessment.
    name: &'a str,
    out: &'a mut Outcome,
}

impl Asked<'_, '_> {
    fn missing(&mut self, reason: Reason, item: String, wanted: String, found: String) -> &mut Finding {
        let edit = self.cx.command(&format!("kubectl edit ia/{}", self.name));
        self.out.not_met(GATE, reason, item, wanted, found, "system owner", edit)
    }

    fn stakeholder(&mut self, spec: &ImpactAssessmentSpec, kind: StakeholderKind) {
        let of_kind = || spec.stakeholders.iter().flatten().filter(|s| s.kind == Some(kind));
        if of_kind().any(|s| s.considered || s.reason.as_ref().is_some_and(|r| says(r))) {
            return;
        }
        let found = if of_kind().next().is_some() {
            "left out without a reason".to_owned()
        } else {
            format!("none of kind {kind:?}")
        };
        self.missing(
            Reason::StakeholderNotConsidered,
            format!("{kind:?}"),
            format!("spec.stakeholders with one of kind {kind:?}, considered, or not and why"),
            found,
        );
    }

    fn section(&mut self, spec: &ImpactAssessmentSpec, section: Section) {
        let harms = spec.harms.iter().any(|h| match section {
            Section::Individuals => h.affects == HarmOn::Individuals,
            Section::Groups => h.affects == HarmOn::Groups,
            Section::Society => h.affects == HarmOn::Society,
            Section::Misuse => h.misuse == Some(true),
        });
        let none = spec.no_harms.iter().flatten().any(|n| n.section == section && says(&n.reason));
        if harms || none {
            return;
        }
        let of = match section {
            Section::Misuse => "misuse: true".to_owned(),
            _ => format!("affects: {section:?}"),
        };
        self.missing(
            Reason::SectionMissing,
            format!("{section:?}"),
            format!("a harm with {of}, or {section:?} in spec.noHarms with the reason why there is none"),
            "neither".to_owned(),
        );
    }

    fn threat(&mut self, spec: &ImpactAssessmentSpec, threat: Threat) {
        let risk = spec.risks.iter().any(|r| r.threat == Some(threat));
        let excluded = spec.threats_excluded.iter().flatten().any(|t| t.threat == threat && says(&t.reason));
        if risk || excluded {
            return;
        }
        let what = match threat {
            Threat::InputManipulation => "inputs made to mislead the model",
            Threat::Poisoning => "training data or a model that was tampered with",
            Threat::SensitiveInference => "sensitive data read out of what the model answers",
            Threat::HiddenManipulation => "opacity that hides manipulation",
        };
        self.missing(
            Reason::ThreatNotAddressed,
            format!("{threat:?}"),
            format!("a risk with threat: {threat:?} ({what}), or it in spec.threatsExcluded with the reason why it is none"),
            "neither".to_owned(),
        );
    }

    fn fundamental_rights(&mut self, spec: &ImpactAssessmentSpec) {
        let none = FundamentalRights::default();
        let said = spec.fundamental_rights.as_ref().unwrap_or(&none);
        let text = |field: &Option<placet_api::scalar::Paragraph>| field.as_ref().is_some_and(|t| says(t));
        let affected = said.affected.iter().flatten().any(|a| says(a));
        let parts = [
            ("a", "processes", "the processes in which it is used", text(&said.processes)),
            ("b", "period", "for how long and how often it is used", text(&said.period)),
            ("c", "affected", "the persons and groups that it is likely to affect", affected),
            (
                "d",
                "risks",
                "the risks of harm to them, by id",
                said.risks.as_ref().is_some_and(|r| !r.is_empty()),
            ),
            ("e", "oversight", "how people oversee it", text(&said.oversight)),
            (
                "f",
                "measures",
                "what is done when a risk materialises, and where to complain",
                text(&said.measures),
            ),
        ];
        for (letter, field, what, there) in parts {
            if !there {
                self.missing(
                    Reason::FundamentalRightsMissing,
                    format!("27(1)({letter})"),
                    format!("spec.fundamentalRights.{field}: {what} (AI Act Article 27)"),
                    "nothing".to_owned(),
                );
            }
        }
        let unknown: Vec<String> = said
            .risks
            .iter()
            .flatten()
            .filter(|id| !spec.risks.iter().any(|r| r.id == **id))
            .map(ToString::to_string)
            .collect();
        if !unknown.is_empty() {
            self.missing(
                Reason::FundamentalRightsMissing,
                "27(1)(d)".to_owned(),
                "spec.fundamentalRights.risks: ids of risks of this assessment".to_owned(),
                format!("{}, of which it has none", unknown.join(", ")),
            )
            .about(unknown);
        }
    }

    /// The risks are evaluated after it is known whom they fall on (ISO/IEC 42001 clause 6.1.4).
    fn evaluated(&mut self, spec: &ImpactAssessmentSpec, asked: bool) {
        let wanted =
            "spec.risksEvaluatedAt, a day that has come and is not before spec.assessedAt".to_owned();
        let item = self.name.to_owned();
        let Some(typed) = &spec.risks_evaluated_at else {
            if asked {
                self.missing(Reason::RiskEvaluationMissing, item, wanted, "no date".to_owned());
            }
            return;
        };
        let not = match self.cx.now.has_come(typed) {
            Some(true) => None,
            Some(false) => Some("which is still to come"),
            None => Some("which is no day"),
        };
        if let Some(not) = not {
            let found = format!("{typed}, {not}");
            self.missing(Reason::RiskEvaluationMissing, item, wanted, found).about([typed.to_string()]);
            return;
        }
        if let Some(at) = spec.assessed_at.as_ref().filter(|at| time::before(typed, at) == Some(true)) {
            let found = format!("evaluated {typed}, assessed {at}");
            self.missing(Reason::RiskEvaluationTooEarly, item, wanted, found)
                .about([typed.to_string(), at.to_string()]);
        }
    }

    fn cites(&mut self, spec: &ImpactAssessmentSpec, score: &Score) {
        let Some(risk) = spec.risks.iter().find(|r| r.id.as_str() == score.id) else { return };
        if risk.controls.iter().flatten().any(|c| controls::find(&c.control).is_some()) {
            return;
        }
        self.missing(
            Reason::ControlNotCited,
            score.id.clone(),
            format!(
                "a control of ISO/IEC 42001 or ISO/IEC 27001 Annex A in the controls of {}, which is {} without any",
                score.id, score.inherent
            ),
            match risk.controls.iter().flatten().count() {
                0 => "none".to_owned(),
                other => format!("{other} that are in neither"),
            },
        )
        .about([score.inherent.to_string()]);
    }
}
