//! The class of an AI system, derived from the facts that its AISystem states (Regulation (EU) 2024/1689, Articles 5, 6
//! and 50, Annexes I and III).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use placet_api::aisystem::{AISystemSpec, DerogationCondition};
use placet_api::common::Class;
use serde::Serialize;

use crate::object::Object;
use crate::{time, visible};

/// What follows from the triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The class, unless a trigger that could raise it is not answered.
    pub class: Option<Class>,
    /// Why.
    pub basis: Vec<Ground>,
    /// Triggers that are not answered.
    pub unanswered: Vec<&'static str>,
    /// What is wrong with a derogation or an exception that was claimed.
    pub refused: Vec<String>,
}

/// One reason for a class. Digests are taken of it as it is serialised, people read its text: other words void nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "ground")]
pub enum Ground {
    /// A practice of Article 5, with the exception that the article knows for it: at least High.
    Article5Excepted {
        /// For example `5(1)(h)`.
        point: String,
    },
    /// A practice that the policies of the namespace refuse from some later day on only: at least High until then.
    Article5NotYet {
        /// For example `5(1)(ba)`.
        point: String,
    },
    /// A prohibited practice.
    Article5 {
        /// For example `5(1)(a)`.
        point: String,
    },
    /// A safety component or product under an act of Annex I.
    AnnexI {
        /// The act.
        act: String,
    },
    /// A point of Annex III, with the exception that the point itself knows.
    AnnexIIIExcepted {
        /// For example `5(b)`.
        point: String,
    },
    /// Points of Annex III, not high-risk after Article 6(3).
    Derogated {
        /// The points.
        points: Vec<String>,
        /// The condition of Article 6(3).
        condition: DerogationCondition,
    },
    /// Points of Annex III.
    AnnexIII {
        /// The points.
        points: Vec<String>,
    },
    /// Profiling of natural persons, which excludes the derogation.
    Profiling,
    /// A transparency obligation.
    Article50 {
        /// The paragraph.
        paragraph: String,
    },
    /// Every trigger is answered and none applies.
    NoTrigger,
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ground::Article5Excepted { point } => {
                write!(f, "Article {point} with the exception recorded for it: at least High")
            }
            Ground::Article5NotYet { point } => {
                write!(f, "Article {point}: not refused yet, as the policies say: at least High")
            }
            Ground::Article5 { point } => write!(f, "Article {point}: prohibited practice"),
            Ground::AnnexI { act } => write!(f, "Annex I: {act}"),
            Ground::AnnexIIIExcepted { point } => {
                write!(f, "Annex III {point}: excepted by the point itself")
            }
            Ground::Derogated { points, condition } => {
                write!(f, "Annex III {}, not high-risk after Article 6(3): {condition:?}", points.join(", "))
            }
            Ground::AnnexIII { points } => write!(f, "Annex III {}", points.join(", ")),
            Ground::Profiling => {
                f.write_str("profiling of natural persons: no derogation under Article 6(3)")
            }
            Ground::Article50 { paragraph } => write!(f, "Article 50({paragraph}): transparency"),
            Ground::NoTrigger => f.write_str("no trigger applies"),
        }
    }
}

impl Derived {
    /// Why, in words.
    pub fn in_words(&self) -> Vec<String> {
        self.basis.iter().map(ToString::to_string).collect()
    }
}

/// A class with what goes into digests.
#[derive(Debug, Clone)]
pub(crate) struct Classified {
    /// The class.
    pub(crate) derived: Derived,
    /// Digest of the basis; empty if it has none.
    pub(crate) basis: String,
}

impl Object<AISystemSpec> {
    /// The class that follows from this spec, worked out once. `spec` is the object's.
    pub(crate) fn classified(&self, spec: &AISystemSpec) -> &Classified {
        self.known().class.get_or_init(|| Classified::new(derive(spec)))
    }

    /// The same where the practices of Article 5(1) with the letters `later` are not refused yet.
    pub(crate) fn classified_before(
        &self,
        spec: &AISystemSpec,
        later: &BTreeSet<String>,
    ) -> Cow<'_, Classified> {
        if later.is_empty() {
            return Cow::Borrowed(self.classified(spec));
        }
        Cow::Owned(Classified::new(derive_before(spec, later)))
    }
}

impl Classified {
    fn new(derived: Derived) -> Self {
        let basis = crate::digest::class_basis(&derived.basis).unwrap_or_default();
        Self { derived, basis }
    }
}

/// Exceptions that a point itself names: the point and the grounds on which it excepts.
type Exceptions = &'static [(&'static str, &'static [&'static str])];

/// Points of Annex III that carry an exception of their own: 1(a) biometric verification, 5(b) detection of financial fraud,
/// 5(c) other insurance than life and health, 7(d) verification of travel documents, 8(b) output to which people are not
/// directly exposed.
const ANNEX_III_EXCEPTIONS: Exceptions = &[
    ("1(a)", &["Verification"]),
    ("5(b)", &["FraudDetection"]),
    ("5(c)", &["OtherInsurance"]),
    ("7(d)", &["TravelDocuments"]),
    ("8(b)", &["NotDirectlyExposed"]),
];
/// Points of Article 5 that carry an exception of their own: 5(1)(f) medical or safety reasons, 5(1)(h) its cases (i) to
/// (iii).
const ARTICLE_5_EXCEPTIONS: Exceptions = &[
    ("5(1)(f)", &["Medical", "Safety"]),
    ("5(1)(h)", &["VictimSearch", "ThreatPrevention", "SuspectLocalisation"]),
];

/// Whether an exception is recorded for a point, on a ground that the point knows. What is recorded and does not count goes
/// to `refused`.
fn excepted(
    spec: &AISystemSpec,
    exceptions: Exceptions,
    (point, called): (&str, &str),
    refused: &mut Vec<String>,
) -> bool {
    let Some(record) = spec.exceptions.iter().flatten().find(|e| e.point.as_str() == point) else {
        return false;
    };
    let Some((_, grounds)) = exceptions.iter().find(|(of, _)| *of == point) else {
        refused.push(format!("{called} {point} carries no exception of its own"));
        return false;
    };
    let known = grounds.contains(&record.ground.as_str());
    if !known {
        refused.push(format!(
            "exceptions[{point}]: wanted the ground {}, found {:?}",
            grounds.join(" or "),
            record.ground.as_str()
        ));
    }
    let based = !visible::blank(&record.legal_basis);
    if !based {
        refused.push(format!(
            "exceptions[{point}]: wanted a legal basis, found a text of which nothing can be seen"
        ));
    }
    known && based
}

/// Derives the class: the maximum over all triggers.
pub fn derive(spec: &AISystemSpec) -> Derived {
    derive_before(spec, &BTreeSet::new())
}

/// The same where the practices of Article 5(1) with the letters `later` are not refused yet.
pub(crate) fn derive_before(spec: &AISystemSpec, later: &BTreeSet<String>) -> Derived {
    let mut out = Derived { class: None, basis: Vec::new(), unanswered: Vec::new(), refused: Vec::new() };
    let none = placet_api::aisystem::Triggers {
        article5: None,
        annex_i: None,
        annex_iii: None,
        article50: None,
        profiling: None,
        personal_data: None,
    };
    let triggers = spec.triggers.as_ref().unwrap_or(&none);
    for (name, missing) in [
        ("article5", triggers.article5.is_none()),
        ("annexI", triggers.annex_i.is_none()),
        ("annexIII", triggers.annex_iii.is_none()),
        ("article50", triggers.article50.is_none()),
        ("profiling", triggers.profiling.is_none()),
        ("personalData", triggers.personal_data.is_none()),
    ] {
        if missing {
            out.unanswered.push(name);
        }
    }
    let mut class = Class::Minimal;
    for letter in triggers.article5.iter().flatten() {
        let point = format!("5(1)({letter})");
        if excepted(spec, ARTICLE_5_EXCEPTIONS, (&point, "Article"), &mut out.refused) {
            class = class.max(Class::High);
            out.basis.push(Ground::Article5Excepted { point });
        } else if later.contains(letter.as_str()) {
            class = class.max(Class::High);
            out.basis.push(Ground::Article5NotYet { point });
        } else {
            class = Class::Prohibited;
            out.basis.push(Ground::Article5 { point });
        }
    }
    for act in triggers.annex_i.iter().flatten() {
        class = class.max(Class::High);
        out.basis.push(Ground::AnnexI { act: act.to_string() });
    }
    let mut annex_iii: Vec<String> = Vec::new();
    for point in triggers.annex_iii.iter().flatten() {
        if excepted(spec, ANNEX_III_EXCEPTIONS, (point, "Annex III"), &mut out.refused) {
            out.basis.push(Ground::AnnexIIIExcepted { point: point.to_string() });
        } else {
            annex_iii.push(point.to_string());
        }
    }
    if !annex_iii.is_empty() {
        let points = annex_iii;
        match derogation(spec, triggers.profiling) {
            Ok(Some(condition)) => {
                out.basis.push(Ground::Derogated { points, condition });
            }
            Ok(None) => {
                class = class.max(Class::High);
                out.basis.push(Ground::AnnexIII { points });
                if triggers.profiling == Some(true) {
                    out.basis.push(Ground::Profiling);
                }
            }
            Err(why) => {
                class = class.max(Class::High);
                out.basis.push(Ground::AnnexIII { points });
                out.refused.push(why);
            }
        }
    }
    for paragraph in triggers.article50.iter().flatten() {
        class = class.max(Class::Limited);
        out.basis.push(Ground::Article50 { paragraph: paragraph.to_string() });
    }
    if out.basis.is_empty() && out.unanswered.is_empty() {
        out.basis.push(Ground::NoTrigger);
    }
    // What is not answered could only raise the class; Prohibited is the maximum already.
    out.class = (out.unanswered.is_empty() || class == Class::Prohibited).then_some(class);
    out
}

/// Whether the derogation of Article 6(3) holds: its condition's name if so, None if none was claimed.
fn derogation(spec: &AISystemSpec, profiling: Option<bool>) -> Result<Option<DerogationCondition>, String> {
    let Some(record) = &spec.derogation else { return Ok(None) };
    if profiling != Some(false) {
        return Err("derogation: Article 6(3) excludes systems that profile natural persons".into());
    }
    if visible::blank(&record.no_significant_risk) || visible::blank(&record.no_material_influence) {
        return Err("derogation: wanted why there is no significant risk and no material influence, found an empty text".into());
    }
    time::moment(&record.assessed_at)
        .ok_or_else(|| format!("derogation: there is no day {}", record.assessed_at))?;
    if let Some(placed) = &spec.placed_on_market_at {
        let before = time::before(&record.assessed_at, placed)
            .ok_or_else(|| format!("derogation: placedOnMarketAt: there is no day {placed}"))?;
        if !before {
            return Err(format!(
                "derogation: wanted assessedAt before the system was placed on the market (Article 6(4)), found assessed {} and \
                 placed {placed}",
                record.assessed_at
            ));
        }
    }
    Ok(Some(record.condition))
}
