//! Scores of an impact assessment: a table look-up, never a product, and never typed.
//!
//! A risk's base level is the matrix at (likelihood, severity); the level rises by one, up to VeryHigh, when the
//! stakeholder impact (the largest of reach, reversibility and vulnerability over the risk's harms) is 4 or 5. The
//! system's level is the largest of its risks, not their mean, which would hide the worst.

use std::borrow::Cow;
use std::collections::BTreeMap;

use placet_api::common::Level;
use placet_api::impactassessment::{
    ControlStatus, Harm, ImpactAssessmentSpec, Reversibility, Risk, RiskControl, RiskDomain,
};

use crate::controls::{self, Standard};
use crate::object::Object;

/// A level matrix: rows are likelihood 1 to 5, columns severity 1 to 5.
pub type Matrix = [[Level; 5]; 5];

/// The 5×5 matrix of ISO/IEC 27005 practice, as published with the CISO Assistant's matrices.
pub const ISO_27005: Matrix = {
    use Level::{High as H, Low as L, Medium as M, VeryHigh as VH, VeryLow as VL};
    [[VL, VL, L, L, L], [VL, L, L, M, M], [L, L, M, H, H], [L, M, H, H, VH], [M, H, H, VH, VH]]
};

/// Reads a matrix from a policy.
///
/// # Errors
/// Not 5×5, or falling along an axis.
pub fn matrix(rows: &[Vec<Level>]) -> Result<Matrix, String> {
    let rows: Vec<[Level; 5]> =
        rows.iter().filter_map(|r| <[Level; 5]>::try_from(r.as_slice()).ok()).collect();
    let matrix: Matrix =
        rows.try_into().map_err(|_| "riskMatrix: wanted five rows of five levels".to_owned())?;
    for i in 0..5 {
        for j in 0..5 {
            if (i > 0 && matrix[i][j] < matrix[i - 1][j]) || (j > 0 && matrix[i][j] < matrix[i][j - 1]) {
                return Err(format!(
                    "riskMatrix: wanted levels that never fall with likelihood or severity, found a fall at likelihood {}, severity {}",
                    i + 1,
                    j + 1
                ));
            }
        }
    }
    Ok(matrix)
}

/// Computed levels of a risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Id of the risk.
    pub id: String,
    /// Level without controls.
    pub inherent: Level,
    /// Level after controls.
    pub residual: Level,
    /// How the residual level was looked up.
    pub arithmetic: String,
    /// Where residual values were lowered and no control that counts carries that, so that the inherent level counts: why each
    /// control that is cited does not. Empty if none is.
    pub raised: Option<Vec<Doubt>>,
}

/// Why a control lowers no risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The control, as it is cited.
    pub control: String,
    /// In words, which go on after its name.
    pub why: String,
    /// What the words name: objects, people, days.
    pub about: Vec<String>,
    /// Whether it did until a term ended.
    pub ended: bool,
    /// Whether it never did, by what the assessment and the policies say of it.
    pub never: bool,
}

impl Doubt {
    /// That of a control.
    pub fn new(control: &RiskControl, why: impl Into<String>) -> Self {
        let control = control.control.to_string();
        Self { control, why: why.into(), about: Vec::new(), ended: false, never: true }
    }
}

/// Where a risk stands in a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Likelihood, 1 to 5.
    pub likelihood: i32,
    /// Severity, 1 to 5.
    pub severity: i32,
    /// Stakeholder impact, 1 to 5; 1 of risks of domain Information, which have none.
    pub impact: i32,
    /// The level: that of the matrix, and one up where the impact is 4 or 5.
    pub level: Level,
}

/// A risk by its numbers alone: its levels were its controls to count, and were they not to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// Id of the risk.
    pub id: String,
    /// Without controls.
    pub inherent: Place,
    /// After controls, as the assessment claims it.
    pub claimed: Place,
    /// How the level without controls was looked up.
    without: String,
    /// How the level after controls was looked up.
    with: String,
}

/// Reasons that the text on a level names.
const NAMED: usize = 3;

impl Rated {
    /// Whether its residual values are lower than the inherent ones, which a control has to carry.
    pub fn lowered(&self) -> bool {
        (self.claimed.likelihood, self.claimed.severity) != (self.inherent.likelihood, self.inherent.severity)
    }

    /// The levels, where `counts` says of each control whether it lowers a risk. One that does is enough.
    pub fn settle(&self, risk: &Risk, counts: impl Fn(&RiskControl) -> Result<(), Doubt>) -> Score {
        let score = |residual: Place, arithmetic: String, raised| Score {
            id: self.id.clone(),
            inherent: self.inherent.level,
            residual: residual.level,
            arithmetic,
            raised,
        };
        if !self.lowered() {
            return score(self.claimed, self.with.clone(), None);
        }
        let mut doubts = Vec::new();
        for control in risk.controls.iter().flatten() {
            match counts(control) {
                Ok(()) => return score(self.claimed, self.with.clone(), None),
                Err(doubt) => doubts.push(doubt),
            }
        }
        let implemented = risk.controls.iter().flatten().any(|c| c.status == ControlStatus::Implemented);
        let why = if implemented {
            let mut named: Vec<String> =
                doubts.iter().take(NAMED).map(|d| format!("{} {}", d.control, d.why)).collect();
            if doubts.len() > NAMED {
                named.push(format!("{} more", doubts.len() - NAMED));
            }
            format!("lowered by controls that do not count ({})", named.join("; "))
        } else {
            "lowered without an implemented control".to_owned()
        };
        let arithmetic = format!("{}; {why}, so the inherent level counts", self.without);
        score(self.inherent, arithmetic, Some(doubts))
    }
}

/// Whether a control may lower a risk of a domain as far as the assessment alone says it: it is Implemented, by somebody and
/// since some day, and in the catalogue of the domain. What policies and other objects say of it is not asked here.
///
/// # Errors
/// Why it may not.
pub fn by_content(domain: RiskDomain, control: &RiskControl) -> Result<(), Doubt> {
    implemented(control)?;
    in_catalogue(domain, control)
}

/// Whether a control says that it works, who answers for it, and since when.
pub(crate) fn implemented(control: &RiskControl) -> Result<jiff::Timestamp, Doubt> {
    if control.status != ControlStatus::Implemented {
        return Err(Doubt::new(control, format!("is {:?}, not Implemented", control.status)));
    }
    if control.owner.as_ref().is_none_or(|o| crate::visible::blank(o)) {
        return Err(Doubt::new(control, "has no owner"));
    }
    let since = control.implemented_at.as_ref();
    since.and_then(crate::time::moment).ok_or_else(|| {
        let found = since.map_or("does not say since when it works".to_owned(), |at| {
            format!("works since {at}, which is no day")
        });
        Doubt::new(control, found)
    })
}

/// Whether a control is in the catalogue of a domain.
pub(crate) fn in_catalogue(domain: RiskDomain, control: &RiskControl) -> Result<(), Doubt> {
    let wanted = Standard::of(domain);
    let why = match controls::find(&control.control) {
        Some(known) if known.standard == wanted => return Ok(()),
        Some(known) => format!(
            "is of {}, which lowers risks of domain {:?}; this one is of domain {domain:?}",
            known.standard,
            known.standard.domain()
        ),
        None => format!(
            "is neither in Annex A of {wanted} ({}/A.…) nor listed in a policy's controls.alsoAccepted",
            wanted.prefix()
        ),
    };
    Err(Doubt::new(control, why))
}

/// Why a score cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScoreError {
    /// A harm that is not in the list.
    UnknownHarm {
        /// The risk.
        risk: String,
        /// The harm that it names.
        harm: String,
    },
    /// A value outside 1 to 5.
    OutOfRange {
        /// The risk.
        risk: String,
        /// Which value, and what it is.
        value: String,
    },
    /// A risk of domain AI without harms, or one of domain Information without impacts.
    Incomplete {
        /// The risk.
        risk: String,
        /// What is missing.
        wanted: &'static str,
    },
    /// A residual value above the inherent one.
    ResidualAboveInherent {
        /// The risk.
        risk: String,
        /// Both values.
        found: String,
    },
}

impl ScoreError {
    /// The risk.
    pub fn risk(&self) -> &str {
        match self {
            Self::UnknownHarm { risk, .. }
            | Self::OutOfRange { risk, .. }
            | Self::Incomplete { risk, .. }
            | Self::ResidualAboveInherent { risk, .. } => risk,
        }
    }
}

/// What is wrong, in words that go on after the risk's name.
impl std::fmt::Display for ScoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownHarm { harm, .. } => {
                write!(f, "it names the harm {harm}, which is not in spec.harms")
            }
            Self::OutOfRange { value, .. } => write!(f, "wanted values from 1 to 5, found {value}"),
            Self::Incomplete { wanted, .. } => write!(f, "wanted {wanted}, found none"),
            Self::ResidualAboveInherent { found, .. } => {
                write!(f, "wanted residual values that are not above the inherent ones, found {found}")
            }
        }
    }
}

/// All risks of an assessment by one matrix.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    matrix: Matrix,
    /// Each risk by its numbers, or why it has no level.
    pub(crate) rated: Vec<Result<Rated, ScoreError>>,
}

impl Scored {
    fn new(spec: &ImpactAssessmentSpec, matrix: &Matrix) -> Self {
        Self { matrix: *matrix, rated: rated(spec, matrix) }
    }
}

impl Object<ImpactAssessmentSpec> {
    /// Its risks by a matrix, kept for the one that was asked for first. `spec` is the object's.
    pub(crate) fn scored(&self, spec: &ImpactAssessmentSpec, matrix: &Matrix) -> Cow<'_, Scored> {
        let first = self.known().scores.get_or_init(|| Scored::new(spec, matrix));
        if first.matrix == *matrix { Cow::Borrowed(first) } else { Cow::Owned(Scored::new(spec, matrix)) }
    }

    /// Digests of its risks, by id ([`crate::digest::risk`]).
    pub fn risk_digests(&self) -> &BTreeMap<String, String> {
        self.known().risks.get_or_init(|| {
            let record = &self.record;
            let namespace = record.namespace.as_deref().unwrap_or_default();
            let risks = self.spec.iter().flat_map(|s| &s.risks);
            let spec = record.spec.value();
            let digest = |id: &str| crate::digest::risk(namespace, &record.name, &spec, id).ok().flatten();
            risks.filter_map(|r| Some((r.id.to_string(), digest(r.id.as_str())?))).collect()
        })
    }
}

/// Scores every risk of an assessment, in the order in which they are written, as far as the assessment alone says it: a
/// control counts as [`by_content`] has it.
pub fn scores(spec: &ImpactAssessmentSpec, matrix: &Matrix) -> Vec<Result<Score, ScoreError>> {
    let rated = rated(spec, matrix).into_iter().zip(&spec.risks);
    rated.map(|(rated, risk)| Ok(rated?.settle(risk, |c| by_content(risk.domain, c)))).collect()
}

/// Every risk of an assessment by its numbers, in the order in which they are written.
pub fn rated(spec: &ImpactAssessmentSpec, matrix: &Matrix) -> Vec<Result<Rated, ScoreError>> {
    spec.risks.iter().map(|risk| rate(spec, risk, matrix)).collect()
}

fn rate(spec: &ImpactAssessmentSpec, risk: &Risk, matrix: &Matrix) -> Result<Rated, ScoreError> {
    let id = risk.id.to_string();
    let (likelihood, severity, impact) = match risk.domain {
        RiskDomain::AI => ai_inherent(spec, risk)?,
        RiskDomain::Information => {
            let i = risk
                .impacts
                .as_ref()
                .ok_or(ScoreError::Incomplete { risk: id.clone(), wanted: "impacts (domain Information)" })?;
            (i.likelihood, i.confidentiality.max(i.integrity).max(i.availability), 1)
        }
    };
    let place = |likelihood, severity| {
        let level = level(matrix, &id, likelihood, severity, impact)?;
        Ok(Place { likelihood, severity, impact, level })
    };
    let inherent = place(likelihood, severity)?;
    let claimed = match &risk.residual {
        None => inherent,
        Some(after) if after.likelihood > likelihood || after.severity > severity => {
            return Err(ScoreError::ResidualAboveInherent {
                risk: id,
                found: format!(
                    "residual likelihood {}, severity {}; inherent likelihood {likelihood}, severity {severity}",
                    after.likelihood, after.severity
                ),
            });
        }
        Some(after) => place(after.likelihood, after.severity)?,
    };
    let (without, with) = (arithmetic(matrix, inherent), arithmetic(matrix, claimed));
    Ok(Rated { id, inherent, claimed, without, with })
}

/// Inherent likelihood and severity of an AI risk are the largest over its harms; so is the stakeholder impact.
fn ai_inherent(spec: &ImpactAssessmentSpec, risk: &Risk) -> Result<(i32, i32, i32), ScoreError> {
    let id = risk.id.to_string();
    let mut values: Option<(i32, i32, i32)> = None;
    for harm_id in risk.harms.iter().flatten() {
        let harm = spec
            .harms
            .iter()
            .find(|h| h.id == *harm_id)
            .ok_or_else(|| ScoreError::UnknownHarm { risk: id.clone(), harm: harm_id.to_string() })?;
        let impact = stakeholder_impact(harm);
        values = Some(values.map_or((harm.likelihood, harm.severity, impact), |(l, s, i)| {
            (l.max(harm.likelihood), s.max(harm.severity), i.max(impact))
        }));
    }
    values.ok_or(ScoreError::Incomplete { risk: id, wanted: "at least one harm (domain AI)" })
}

/// The largest of reach (1 to 5), reversibility (Easy 1, Moderate 3, Difficult 4, Irreversible 5) and vulnerability (4 if
/// true, else 1).
fn stakeholder_impact(harm: &Harm) -> i32 {
    let reversibility = match harm.reversibility {
        Reversibility::Easy => 1,
        Reversibility::Moderate => 3,
        Reversibility::Difficult => 4,
        Reversibility::Irreversible => 5,
    };
    harm.reach.max(reversibility).max(if harm.vulnerable { 4 } else { 1 })
}

fn level(
    matrix: &Matrix,
    risk: &str,
    likelihood: i32,
    severity: i32,
    impact: i32,
) -> Result<Level, ScoreError> {
    let index = |name: &str, value: i32| {
        usize::try_from(value.saturating_sub(1))
            .ok()
            .filter(|i| *i < 5)
            .ok_or_else(|| ScoreError::OutOfRange { risk: risk.to_owned(), value: format!("{name} {value}") })
    };
    let base = matrix[index("likelihood", likelihood)?][index("severity", severity)?];
    index("stakeholder impact", impact)?;
    Ok(if impact >= 4 { Level::from_rank(base.rank() + 1) } else { base })
}

/// The level of the matrix at a place, before stakeholders weigh.
pub fn at(matrix: &Matrix, place: Place) -> Level {
    let index = |v: i32| usize::try_from(v.saturating_sub(1)).unwrap_or(0).min(4);
    matrix[index(place.likelihood)][index(place.severity)]
}

fn arithmetic(matrix: &Matrix, place: Place) -> String {
    let Place { likelihood, severity, impact, level } = place;
    let base = at(matrix, place);
    if impact >= 4 {
        format!(
            "likelihood {likelihood}, severity {severity}: {base}; stakeholder impact {impact}: one up, {level}"
        )
    } else {
        format!("likelihood {likelihood}, severity {severity}: {base}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An assessment of one harm and one risk.
    fn assessment(likelihood: i32, severity: i32, stakeholders: (i32, &str, bool)) -> ImpactAssessmentSpec {
        let (reach, reversibility, vulnerable) = stakeholders;
        serde_json::from_value(json!({
            "system": "s", "assessedAt": "2026-10-20", "scope": {"datasets": []},
            "harms": [{"id": "H1", "affects": "Individuals", "description": "Refused", "likelihood": likelihood,
                "severity": severity, "reach": reach, "reversibility": reversibility, "vulnerable": vulnerable}],
            "risks": [{"id": "R1", "domain": "AI", "harms": ["H1"]}],
        }))
        .unwrap()
    }

    fn inherent(spec: &ImpactAssessmentSpec) -> Level {
        scores(spec, &ISO_27005)[0].as_ref().unwrap().inherent
    }

    /// The grid of ISO/IEC 27005 as published, by rank, and one up from it.
    #[test]
    fn every_level_is_that_of_the_published_grid_and_one_up_where_stakeholders_weigh() {
        let grid = [[0, 0, 1, 1, 1], [0, 1, 1, 2, 2], [1, 1, 2, 3, 3], [1, 2, 3, 3, 4], [2, 3, 3, 4, 4]];
        for likelihood in 1..=5 {
            for severity in 1..=5 {
                let rank =
                    grid[usize::try_from(likelihood - 1).unwrap()][usize::try_from(severity - 1).unwrap()];
                let at = |stakeholders| inherent(&assessment(likelihood, severity, stakeholders)).rank();
                for light in [(1, "Easy", false), (3, "Moderate", false)] {
                    assert_eq!(at(light), rank, "likelihood {likelihood}, severity {severity}");
                }
                for heavy in [
                    (4, "Easy", false),
                    (1, "Difficult", false),
                    (1, "Irreversible", false),
                    (1, "Easy", true),
                ] {
                    assert_eq!(at(heavy), (rank + 1).min(4), "likelihood {likelihood}, severity {severity}");
                }
            }
        }
    }

    #[test]
    fn the_worst_harm_counts_for_each_value_and_what_is_outside_of_the_scale_has_no_level() {
        let mut spec = assessment(2, 5, (1, "Easy", false));
        let mut other = assessment(4, 1, (1, "Difficult", false)).harms.remove(0);
        other.id = serde_json::from_value(json!("H2")).unwrap();
        spec.harms.push(other);
        spec.risks[0].harms = serde_json::from_value(json!(["H1", "H2"])).unwrap();
        // Likelihood 4, severity 5: VeryHigh, and no higher.
        assert_eq!(inherent(&spec), Level::VeryHigh);
        for (likelihood, severity) in [(0, 1), (6, 1), (1, 0), (1, 6), (i32::MIN, 1)] {
            let spec = assessment(likelihood, severity, (1, "Easy", false));
            let found = scores(&spec, &ISO_27005).remove(0);
            assert!(matches!(found, Err(ScoreError::OutOfRange { .. })), "{found:?}");
        }
        let unknown = serde_json::from_value(json!(["H9"])).unwrap();
        spec.risks[0].harms = unknown;
        assert!(matches!(scores(&spec, &ISO_27005)[0], Err(ScoreError::UnknownHarm { .. })));
    }

    #[test]
    fn a_matrix_that_falls_or_is_not_five_by_five_is_refused() {
        let rows = || ISO_27005.map(|row| row.to_vec()).to_vec();
        assert_eq!(matrix(&rows()), Ok(ISO_27005));
        assert!(matrix(&rows()[..4]).is_err());
        for (i, j) in [(4, 4), (2, 2)] {
            let mut fallen = rows();
            fallen[i][j] = Level::VeryLow;
            let why = matrix(&fallen).unwrap_err();
            assert!(why.contains(&format!("likelihood {}, severity {}", i + 1, j + 1)), "{why}");
        }
    }
}
