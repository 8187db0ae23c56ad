//! Everything that decisions are made from, indexed. The operator feeds it from watches and the log, the command line
//! from files; both take the same [`Snapshot`]s from it.

mod asked;
mod assessments;
mod bases;
mod classes;
mod cleared;
mod datasets;
mod former;
mod guarded;
mod in_force;
mod proofs;
mod rejects;
mod signatures;
mod snapshot;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use placet_api::Kind;
use placet_api::aisystem::AISystemSpec;
use placet_api::approval::{ApprovalDecision, ApprovalSpec, Subject, SubjectKind};
use placet_api::approvalrole::ApprovalRoleSpec;
use placet_api::dataset::DatasetSpec;
use placet_api::impactassessment::ImpactAssessmentSpec;
use placet_api::modelrelease::ModelReleaseSpec;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_api::riskacceptance::RiskAcceptanceSpec;
use placet_api::testreport::TestReportSpec;
use placet_api::trustedsigner::TrustedSignerSpec;

use crate::object::{Object, Record};
use crate::policy::PolicySet;
use crate::signature::Remembered;
use table::Table;

pub use assessments::Reassess;
pub use classes::HadClass;
pub use cleared::WasCleared;
pub use proofs::reports_named;

/// A namespaced name.
pub type Key = (String, String);

/// Whether time can be trusted, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    /// The time.
    Trusted(Timestamp),
    /// The best guess, and why it is not more than that.
    Untrusted {
        /// The best guess.
        now: Timestamp,
        /// Why it cannot be trusted.
        why: String,
    },
}

impl Clock {
    /// The time or the best guess at it.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::Trusted(now) | Clock::Untrusted { now, .. } => *now,
        }
    }
}

/// Everything that decisions are made from.
#[derive(Debug, Default)]
pub struct World {
    systems: Table<AISystemSpec>,
    assessments: Table<ImpactAssessmentSpec>,
    releases: Table<ModelReleaseSpec>,
    reports: Table<TestReportSpec>,
    datasets: Table<DatasetSpec>,
    approvals: Table<ApprovalSpec>,
    acceptances: Table<RiskAcceptanceSpec>,
    policies: Table<ReleasePolicySpec>,
    /// Those of `policies` that decide; made anew when one of them changes.
    policy_set: Arc<PolicySet>,
    /// Which versions of policies took effect.
    in_force: in_force::InForce,
    /// Policies that each release was cleared under, for as long as it has not lost its clearance since, with its uid:
    /// one that is created again begins anew.
    bases: BTreeMap<Key, (String, Arc<PolicySet>)>,
    /// What those of `bases` come to beside the live policies, by the address of the set: many releases share one.
    standing: Vec<(Arc<PolicySet>, Option<Arc<PolicySet>>)>,
    roles: Table<ApprovalRoleSpec>,
    /// Names of the live ones of `roles` that decide.
    role_names: Arc<BTreeSet<String>>,
    signers: Table<TrustedSignerSpec>,
    /// What the log remembers of signatures.
    signatures: Remembered,
    /// What the log remembers of classes.
    classes: classes::Classes,
    /// What the log remembers of clearances.
    cleared: cleared::ClearedFirst,
    /// What asks for a new assessment, by system.
    reassess: BTreeMap<Key, BTreeSet<Reassess>>,
    namespaces: BTreeMap<String, Arc<BTreeMap<String, String>>>,
    first_use: BTreeMap<String, Timestamp>,
    not_ready: BTreeSet<String>,
}

/// What one decision reads. Nothing else decides.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The time.
    pub clock: Clock,
    /// Kinds that are not yet read or no longer heard of.
    pub not_ready: Vec<String>,
    /// Namespace of the release.
    pub namespace: String,
    /// Labels of the namespace.
    pub namespace_labels: Arc<BTreeMap<String, String>>,
    /// Name of the release that was asked about.
    pub name: String,
    /// The release.
    pub release: Option<Arc<Object<ModelReleaseSpec>>>,
    /// Versions of the release that are gone.
    pub former: Vec<Arc<Object<ModelReleaseSpec>>>,
    /// Its system.
    pub system: Option<Arc<Object<AISystemSpec>>>,
    /// Versions of the system that are gone.
    pub former_systems: Vec<Arc<Object<AISystemSpec>>>,
    /// Assessments of the system, remembered ones included.
    pub assessments: Vec<Arc<Object<ImpactAssessmentSpec>>>,
    /// Reports on the release's artefacts, remembered ones included.
    pub reports: Vec<Arc<Object<TestReportSpec>>>,
    /// Datasets of the contents that the release names, remembered ones included, and live ones of the same names.
    pub datasets: Vec<Arc<Object<DatasetSpec>>>,
    /// Further reports, which its assessments name as evidence of controls, and what supersedes them.
    pub proofs: Vec<Arc<Object<TestReportSpec>>>,
    /// Approvals of the release, its system, its assessments and their acceptances, remembered Rejects included.
    pub approvals: Vec<Arc<Object<ApprovalSpec>>>,
    /// Acceptances of the system's assessments.
    pub acceptances: Vec<Arc<Object<RiskAcceptanceSpec>>>,
    /// Acceptances that are gone, where what is there now has to be compared with them.
    pub former_acceptances: Vec<Arc<Object<RiskAcceptanceSpec>>>,
    /// All policies.
    pub policies: Arc<PolicySet>,
    /// The policies that the release stands on, where it is cleared and they are others than those of now.
    pub basis: Option<Arc<PolicySet>>,
    /// Versions of policies that are gone and that somebody approved evidence under.
    pub former_policies: Vec<Arc<Object<ReleasePolicySpec>>>,
    /// Names of all roles.
    pub roles: Arc<BTreeSet<String>>,
    /// Each TrustedSigner of the keys that signed what it holds, those that are gone included.
    pub signers: Vec<Arc<Object<TrustedSignerSpec>>>,
    /// What the log remembers of these signatures and keys.
    pub signatures: Remembered,
    /// Classes above that of now, which the system or another one with its artefacts had.
    pub had: Vec<HadClass>,
    /// What asks for a new assessment of the system.
    pub reassess: Vec<Reassess>,
    /// Releases that the release names, as the one before or the one to go back to, and that are not there.
    pub absent: BTreeSet<String>,
    /// Those that it names so and that are there, and versions of the others that were cleared, where a policy asks about
    /// changes.
    pub named: Vec<Arc<Object<ModelReleaseSpec>>>,
    /// Other releases of the system that were cleared before this one, where a policy asks about changes. None: it does not, or no
    /// log says what was cleared.
    pub cleared_before: Option<BTreeSet<WasCleared>>,
    /// When the first pod of this content was admitted.
    pub first_use: Option<Timestamp>,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// An object exists now, in this version.
    pub fn apply(&mut self, record: Record) {
        let key = key_of(&record);
        match record.kind {
            Kind::AISystem => self.systems.apply(key, record),
            Kind::ImpactAssessment => self.assessments.apply(key, record),
            Kind::ModelRelease => self.releases.apply(key, record),
            Kind::TestReport => self.reports.apply(key, record),
            Kind::Dataset => self.datasets.apply(key, record),
            Kind::Approval => self.approvals.apply(key, record),
            Kind::RiskAcceptance => self.acceptances.apply(key, record),
            Kind::ReleasePolicy => {
                self.policies.apply(key, record);
                self.policies_changed();
            }
            Kind::ApprovalRole => {
                self.roles.apply(key, record);
                self.roles_changed();
            }
            Kind::TrustedSigner => self.signers.apply(key, record),
        }
    }

    fn policies_changed(&mut self) {
        self.policy_set = Arc::new(PolicySet::new(self.effective().into_iter()));
        self.bases_changed();
    }

    fn roles_changed(&mut self) {
        let names = self.roles.live.keys().map(|(_, name)| name);
        let stand: BTreeSet<String> =
            names.filter(|name| self.role_in_force(name).is_some()).cloned().collect();
        self.in_force.roles.extend(stand.iter().cloned());
        self.role_names = Arc::new(stand);
    }

    /// An object is gone. What forgetting could clear is remembered.
    pub fn remove(&mut self, kind: Kind, namespace: Option<&str>, name: &str) {
        let key = (namespace.unwrap_or_default().to_owned(), name.to_owned());
        match kind {
            Kind::AISystem => self.systems.remove(&key),
            Kind::ImpactAssessment => self.assessments.remove(&key),
            Kind::ModelRelease => self.releases.remove(&key),
            Kind::TestReport => self.reports.remove(&key),
            Kind::Dataset => self.datasets.remove(&key),
            Kind::Approval => self.approvals.remove(&key),
            Kind::RiskAcceptance => self.acceptances.remove(&key),
            Kind::ReleasePolicy => {
                self.policies.remove(&key);
                self.policies_changed();
            }
            Kind::ApprovalRole => {
                self.roles.remove(&key);
                self.roles_changed();
            }
            Kind::TrustedSigner => self.signers.remove(&key),
        }
    }

    /// An object version was seen once, as the log says; it may or may not exist now.
    pub fn remember(&mut self, record: Record) {
        let key = key_of(&record);
        match record.kind {
            Kind::AISystem => self.systems.remember(key, record),
            Kind::ImpactAssessment => self.assessments.remember(key, record),
            Kind::ModelRelease => self.releases.remember(key, record),
            Kind::TestReport => self.reports.remember(key, record),
            Kind::Dataset => self.datasets.remember(key, record),
            Kind::Approval => self.approvals.remember(key, record),
            Kind::RiskAcceptance => self.acceptances.remember(key, record),
            Kind::ReleasePolicy => self.policies.remember(key, record),
            Kind::ApprovalRole => self.roles.remember(key, record),
            Kind::TrustedSigner => self.signers.remember(key, record),
        }
    }

    /// Bytes of what is remembered of a namespace's objects that are gone, and of classes that they had, about.
    pub fn remembered_bytes(&self, namespace: &str) -> u64 {
        self.systems.remembered(namespace)
            + self.assessments.remembered(namespace)
            + self.releases.remembered(namespace)
            + self.reports.remembered(namespace)
            + self.datasets.remembered(namespace)
            + self.approvals.remembered(namespace)
            + self.acceptances.remembered(namespace)
            + self.classes.bytes(namespace)
            + self.cleared.bytes(namespace)
    }

    /// Names of the live objects of a kind.
    pub fn names(&self, kind: Kind) -> Vec<Key> {
        match kind {
            Kind::AISystem => self.systems.live.keys().cloned().collect(),
            Kind::ImpactAssessment => self.assessments.live.keys().cloned().collect(),
            Kind::ModelRelease => self.releases.live.keys().cloned().collect(),
            Kind::TestReport => self.reports.live.keys().cloned().collect(),
            Kind::Dataset => self.datasets.live.keys().cloned().collect(),
            Kind::Approval => self.approvals.live.keys().cloned().collect(),
            Kind::RiskAcceptance => self.acceptances.live.keys().cloned().collect(),
            Kind::ReleasePolicy => self.policies.live.keys().cloned().collect(),
            Kind::ApprovalRole => self.roles.live.keys().cloned().collect(),
            Kind::TrustedSigner => self.signers.live.keys().cloned().collect(),
        }
    }

    /// A live AISystem.
    pub fn system(&self, namespace: &str, name: &str) -> Option<&Arc<Object<AISystemSpec>>> {
        self.systems.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// A live ImpactAssessment.
    pub fn assessment(&self, namespace: &str, name: &str) -> Option<&Arc<Object<ImpactAssessmentSpec>>> {
        self.assessments.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// A live ModelRelease.
    pub fn release(&self, namespace: &str, name: &str) -> Option<&Arc<Object<ModelReleaseSpec>>> {
        self.releases.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// A live TestReport.
    pub fn report(&self, namespace: &str, name: &str) -> Option<&Arc<Object<TestReportSpec>>> {
        self.reports.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// A live Dataset.
    pub fn dataset(&self, namespace: &str, name: &str) -> Option<&Arc<Object<DatasetSpec>>> {
        self.datasets.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// A live Approval.
    pub fn approval(&self, namespace: &str, name: &str) -> Option<&Arc<Object<ApprovalSpec>>> {
        self.approvals.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Approvals of this name: the live one, and Rejects that were deleted.
    pub fn approvals_named(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = &Arc<Object<ApprovalSpec>>> {
        let key = (namespace.to_owned(), name.to_owned());
        let gone = self.approvals.gone.get(&key).into_iter().flat_map(BTreeMap::values);
        self.approvals.live.get(&key).into_iter().chain(gone)
    }

    /// A live RiskAcceptance.
    pub fn acceptance(&self, namespace: &str, name: &str) -> Option<&Arc<Object<RiskAcceptanceSpec>>> {
        self.acceptances.live.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All live policies.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Object<ReleasePolicySpec>>> {
        self.policies.live.values()
    }

    /// A live ApprovalRole.
    pub fn role(&self, name: &str) -> Option<&Arc<Object<ApprovalRoleSpec>>> {
        self.roles.live.get(&(String::new(), name.to_owned()))
    }

    /// Whether a role exists, and does not wait to be approved.
    pub fn has_role(&self, name: &str) -> bool {
        self.role_names.contains(name)
    }

    /// A live TrustedSigner.
    pub fn signer(&self, name: &str) -> Option<&Arc<Object<TrustedSignerSpec>>> {
        self.signers.live.get(&(String::new(), name.to_owned()))
    }

    /// Labels of a namespace, as now seen.
    pub fn set_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) {
        self.namespaces.insert(name.to_owned(), Arc::new(labels));
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Labels of a namespace; none if it is not known.
    pub fn namespace_labels(&self, name: &str) -> Arc<BTreeMap<String, String>> {
        self.namespaces.get(name).cloned().unwrap_or_default()
    }

    /// All namespaces that are known, with their labels.
    pub fn namespaces(&self) -> impl Iterator<Item = (&String, &BTreeMap<String, String>)> {
        self.namespaces.iter().map(|(name, labels)| (name, &**labels))
    }

    /// A pod of the release content with this digest was admitted. Only the earliest time is kept.
    pub fn used(&mut self, content: &str, at: Timestamp) {
        let first = self.first_use.entry(content.to_owned()).or_insert(at);
        *first = at.min(*first);
    }

    /// Marks a kind of objects as not readable now, or readable again.
    pub fn set_ready(&mut self, what: &str, ready: bool) {
        if ready {
            self.not_ready.remove(what);
        } else if !self.not_ready.contains(what) {
            self.not_ready.insert(what.to_owned());
        }
    }

    /// Releases whose decision may depend on an object: those of its namespace and, where it names a system, of that
    /// system only.
    pub fn releases_touched(&self, kind: Kind, namespace: Option<&str>) -> Vec<Key> {
        match namespace {
            Some(namespace) if kind.namespaced() => self
                .releases
                .live
                .range((namespace.to_owned(), String::new())..)
                .take_while(|((ns, _), _)| ns == namespace)
                .map(|(key, _)| key.clone())
                .collect(),
            _ => self.releases.live.keys().cloned().collect(),
        }
    }

    /// What the decision on one release reads, whether or not the release exists.
    pub fn snapshot(&self, namespace: &str, name: &str, clock: Clock) -> Snapshot {
        let key = (namespace.to_owned(), name.to_owned());
        let release = self.releases.live.get(&key).cloned();
        let spec = release.as_ref().and_then(|r| r.spec.as_ref().ok());
        let system_name = spec.map(|s| s.system.to_string());
        self.snapshot_of((namespace, name), release, system_name.as_deref(), clock)
    }

    /// The same of a release and a system that were found.
    fn snapshot_of(
        &self,
        (namespace, name): (&str, &str),
        release: Option<Arc<Object<ModelReleaseSpec>>>,
        system_name: Option<&str>,
        clock: Clock,
    ) -> Snapshot {
        let key = (namespace.to_owned(), name.to_owned());
        let spec = release.as_ref().and_then(|r| r.spec.as_ref().ok());
        let mut former: Vec<_> = self.releases.versions(&key).cloned().collect();
        let system_key = system_name.map(|s| (namespace.to_owned(), s.to_owned()));
        let system = system_key.as_ref().and_then(|k| self.systems.live.get(k)).cloned();
        let mut former_systems: Vec<_> =
            system_key.map(|k| self.systems.versions(&k).cloned().collect()).unwrap_or_default();
        let assessments = self.assessments_of(namespace, system_name);
        let reports = self.reports_on(namespace, release.as_deref());
        let proofs = self.proofs(namespace, &assessments, &reports);
        let datasets = self.datasets_of(namespace, spec);
        let acceptances: Vec<_> = self
            .acceptances
            .in_namespace(namespace)
            .filter(|a| {
                a.live
                    && a.spec
                        .as_ref()
                        .is_ok_and(|s| assessments.iter().any(|i| i.name() == s.assessment.name.as_str()))
            })
            .cloned()
            .collect();
        let approvals: Vec<Arc<Object<ApprovalSpec>>> = self
            .approvals
            .in_namespace(namespace)
            .filter(|a| match &a.spec {
                Ok(spec) => {
                    // One about something else decides nothing here; with it in view, an approval of any release of the
                    // namespace would be a new input of all of them: a record and a status for each.
                    let about = is_about(&spec.subject, (name, system_name), |kind, named| match kind {
                        SubjectKind::ImpactAssessment => assessments.iter().any(|i| i.name() == named),
                        _ => acceptances.iter().any(|r| r.name() == named),
                    });
                    about && (a.live || spec.decision == ApprovalDecision::Reject)
                }
                Err(_) => a.live,
            })
            .cloned()
            .collect();
        // Of versions that are gone matter those with the content of now and those that somebody approved; others would make a
        // decision cite everything that a much edited object ever was.
        let mut approved: BTreeSet<&str> =
            approvals.iter().filter_map(|a| Some(a.spec.as_ref().ok()?.subject.digest.as_str())).collect();
        let basis = self.basis(&key);
        let seen = approvals.iter().filter_map(|a| a.standing()?.evidence.as_deref());
        let then = seen.clone().flat_map(|e| [e.content.as_str(), e.system.digest.as_str()]);
        approved.extend(then.chain(system.as_deref().map(Object::digest)));
        let former_policies = self.former_policies(basis.as_deref(), seen);
        let content = release.as_ref().map(|r| r.digest().to_owned()).unwrap_or_default();
        let last = former::last_stamped(release.as_ref(), &former);
        former.retain(|f| {
            f.digest() == content || approved.contains(f.digest()) || last.as_ref() == Some(&f.id)
        });
        let last = former::last_stamped(system.as_ref(), &former_systems);
        former_systems.retain(|f| {
            approved.contains(f.digest())
                || f.classification.as_deref().is_some_and(|c| approved.contains(c))
                || last.as_ref() == Some(&f.id)
                // Whoever signed what it was made from is an author.
                || (f.record.signature.is_some()
                    && system.as_ref().is_some_and(|s| s.record.uid == f.record.uid))
        });
        let former_acceptances = self.former_acceptances(namespace, &acceptances, &approvals);
        let signed = approvals.iter().map(|a| &a.record);
        let signed = signed.chain(acceptances.iter().map(|a| &a.record));
        let signed = signed.chain(release.iter().chain(&former).map(|r| &r.record));
        let signed = signed.chain(system.iter().chain(&former_systems).map(|s| &s.record));
        let signed = signed.chain(assessments.iter().map(|a| &a.record));
        let (signers, signatures) = self.trust(signed);
        let first_use = release.as_ref().and_then(|r| self.first_use.get(r.digest())).copied();
        let named = spec.into_iter().flat_map(|s| s.previous.iter().chain(&s.rollback_target));
        let named = named.map(ToString::to_string);
        let absent =
            named.filter(|n| !self.releases.live.contains_key(&(namespace.to_owned(), n.clone()))).collect();
        let cleared_before = self.cleared_before(namespace, release.as_deref(), basis.as_deref());
        Snapshot {
            named: self.named((namespace, name), spec, cleared_before.as_ref(), basis.as_deref()),
            cleared_before,
            had: self.had_above(namespace, release.as_deref(), system.as_deref()),
            reassess: self.reassessments(namespace, system_name),
            clock,
            not_ready: self.not_ready.iter().cloned().collect(),
            namespace: namespace.to_owned(),
            namespace_labels: self.namespace_labels(namespace),
            name: name.to_owned(),
            release,
            former,
            system,
            former_systems,
            assessments,
            reports,
            datasets,
            proofs,
            approvals,
            acceptances,
            former_acceptances,
            policies: Arc::clone(&self.policy_set),
            basis,
            former_policies,
            roles: Arc::clone(&self.role_names),
            signers,
            signatures,
            absent,
            first_use,
        }
    }
}

/// Whether an approval of this subject is one of a release or its system, or `of_these`: an assessment or an acceptance.
fn is_about(
    subject: &Subject,
    (release, system): (&str, Option<&str>),
    of_these: impl Fn(SubjectKind, &str) -> bool,
) -> bool {
    let named = subject.name.as_str();
    match subject.kind {
        SubjectKind::ModelRelease => named == release,
        SubjectKind::AISystem => system == Some(named),
        SubjectKind::ImpactAssessment | SubjectKind::RiskAcceptance => of_these(subject.kind, named),
        // Which version of these decides is asked before.
        SubjectKind::ReleasePolicy | SubjectKind::ApprovalRole | SubjectKind::TrustedSigner => false,
    }
}

fn key_of(record: &Record) -> Key {
    (record.namespace.clone().unwrap_or_default(), record.name.clone())
}
