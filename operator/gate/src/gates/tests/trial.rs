//! What a bias report would come to, apart from any release: for whoever tests before there is one. The judging is the
//! gate's; what a release brings (who wrote what, which dataset, how old) is left out.

use placet_api::aisystem::AISystemSpec;
use placet_api::releasepolicy::{ReleasePolicySpec, WhenIndeterminate};
use placet_api::testreport::{TestReportSpec, TestType};

use super::verdict::judge_report;
use super::{look, wanted_text};
use crate::fairness::Verdict;
use crate::object::Object;
use crate::policy;

/// What one bias test of the policies comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// What is asked for, and by whom.
    pub wanted: String,
    /// What the counts come to.
    pub verdict: Verdict,
    /// What was computed, or why it was not.
    pub found: String,
    /// What would decide, where nothing is decided.
    pub mend: Option<String>,
    /// Whether the policy takes an Indeterminate result for a warning.
    pub warns: bool,
}

/// Judges a bias report by each bias test of some policies, taken together as those of one release are. `otherwise`: the
/// attribute sets where neither policies nor system name any.
///
/// # Errors
/// The policies contradict each other; each text names both sides.
pub fn try_bias(
    policies: &[&Object<ReleasePolicySpec>],
    system: Option<&AISystemSpec>,
    report: &TestReportSpec,
    otherwise: &[Vec<String>],
) -> Result<Vec<Trial>, Vec<String>> {
    let requirements = policy::join(policies)?;
    let mut look = look(system, &requirements);
    if look.sets.is_empty() {
        look.sets = otherwise.to_vec();
    }
    let tests = requirements.tests.iter().filter(|test| test.rule.type_ == TestType::Bias);
    Ok(tests
        .map(|test| {
            let judged = judge_report(test, report, &look);
            let mend = (judged.verdict == Verdict::Indeterminate)
                .then(|| judged.more.clone().unwrap_or_else(|| judged.mend.words()));
            Trial {
                wanted: wanted_text(test),
                verdict: judged.verdict,
                found: judged.text,
                mend,
                warns: test.rule.when_indeterminate == Some(WhenIndeterminate::Warn)
                    && !judged.absent
                    && !judged.hides,
            }
        })
        .collect())
}

/// Whether policies and system name an attribute set.
///
/// # Errors
/// As [`try_bias`].
pub fn names_sets(
    policies: &[&Object<ReleasePolicySpec>],
    system: Option<&AISystemSpec>,
) -> Result<Vec<Vec<String>>, Vec<String>> {
    Ok(look(system, &policy::join(policies)?).sets)
}
