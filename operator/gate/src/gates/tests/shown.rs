//! What a report shows as evidence of a control.

use placet_api::releasepolicy::WhenIndeterminate;
use placet_api::testreport::{TestReportSpec, TestType};

use super::relevant::whole;
use super::{look, reporter, verdict, wanted_text};
use crate::fairness::Verdict;
use crate::gates::Context;
use crate::object::Object;
use crate::time;

/// Why a report shows nothing.
pub struct Unshown {
    /// In words.
    pub text: String,
    /// Whether it is only too old.
    pub too_old: bool,
}

/// Whether a report shows what it measured: no test of its type that the policies ask for fails on it, is left open by it, or
/// finds it too old. That it passes one is not asked, since a control may be shown by what no policy has a threshold for.
///
/// # Errors
/// Which test it fails, or how old it is.
pub fn shows(
    cx: &Context<'_>,
    report: &Object<TestReportSpec>,
    spec: &TestReportSpec,
) -> Result<(), Unshown> {
    let Some(requirements) = cx.requirements else { return Ok(()) };
    if !whole(spec) {
        return Err(Unshown { text: "is not of a whole run".to_owned(), too_old: false });
    }
    if let Some(Err(why)) = report.standing().map(|s| reporter::holds_roles(cx, spec.type_, s)) {
        return Err(Unshown { text: format!("does not count: {}", why.text), too_old: false });
    }
    let look = look(cx.system.map(|(_, s)| s), requirements);
    for test in requirements.tests.iter().filter(|t| t.rule.type_ == spec.type_) {
        let judged = verdict(test, report, spec, &look);
        if judged.verdict == Verdict::Fail {
            let text = format!("fails: {}, and it says {}", wanted_text(test), judged.text);
            return Err(Unshown { text, too_old: false });
        }
        let asked = test.rule.type_ == TestType::Bias
            || spec.groups.is_some()
            || spec.metrics.iter().flatten().any(|m| m.name.as_str() == test.rule.metric.as_str());
        let waits = test.rule.when_indeterminate != Some(WhenIndeterminate::Warn);
        if judged.verdict == Verdict::Indeterminate && asked && waits {
            let text = format!("decides nothing: {}, and it says {}", wanted_text(test), judged.text);
            return Err(Unshown { text, too_old: false });
        }
        let Some(days) = test.rule.max_age_days else { continue };
        let start =
            time::moment(&spec.ran_at).into_iter().chain(report.standing().map(|s| s.created_at)).min();
        if start.is_some_and(|start| cx.now.reached(time::days_after(start, days))) {
            let text = format!("is older than the {days} days that {} allows", test.policy);
            return Err(Unshown { text, too_old: true });
        }
    }
    Ok(())
}
