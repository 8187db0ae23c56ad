//! Which Rejects stand in a namespace.

use placet_api::approval::ApprovalSpec;

use super::World;
use crate::gates::rejects::{Rejecting, is_of, stands_already};
use crate::object::Object;
use crate::signature::Trust;

impl World {
    /// The Reject that makes another one in this namespace add nothing.
    pub fn stands_already<'w>(
        &'w self,
        namespace: &'w str,
        new: Rejecting<'_>,
    ) -> Option<&'w Object<ApprovalSpec>> {
        let all = self.approvals.in_namespace(namespace);
        let same: Vec<_> = all.filter(|a| a.spec.as_ref().is_ok_and(|s| is_of(s, new.spec))).collect();
        let (signers, remembered) = self.trust(same.iter().map(|a| &a.record));
        let trust = Trust { signers: &signers, remembered: &remembered };
        stands_already(new, same.into_iter().map(|a| &**a), trust)
    }
}
