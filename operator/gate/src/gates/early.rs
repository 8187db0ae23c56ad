//! Signed approvals that were applied before what they are about, as a robot may apply them.

use jiff::Timestamp;
use placet_api::approval::SubjectKind;

use super::Context;
use super::approvals::Wanted;
use crate::object::{Record, Standing};

/// Whether something else bore the subject's name since a signed approval was applied, which may come before what it is
/// about: it was of that.
pub(super) fn was_of_another(cx: &Context<'_>, wanted: &Wanted<'_>, since: Timestamp) -> bool {
    let other = |record: &Record, standing: Option<&Standing>| {
        record.uid != wanted.uid && standing.is_some_and(|s| s.created_at >= since)
    };
    let snapshot = cx.snapshot;
    match wanted.kind {
        SubjectKind::ModelRelease => snapshot.former.iter().any(|f| other(&f.record, f.standing())),
        SubjectKind::AISystem => snapshot.former_systems.iter().any(|f| other(&f.record, f.standing())),
        SubjectKind::RiskAcceptance => snapshot
            .former_acceptances
            .iter()
            .any(|a| a.name() == wanted.name && other(&a.record, a.standing())),
        _ => snapshot
            .assessments
            .iter()
            .any(|a| !a.live && a.name() == wanted.name && other(&a.record, a.standing())),
    }
}
