//! Which policies apply, and what they ask for together: the strictest value of each field (invariant 2).

mod approvals;
mod assessment;
mod criterion;
mod custom;
mod data;
mod later;
mod life_cycle;
mod minimum;
mod parity;
mod register;
mod set;
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use placet_api::common::Level;
use placet_api::releasepolicy::{
    AcceptanceAuthority, AcceptanceNeeds, ApprovalWhen, Proof, ReleasePolicySpec, Replacements, ScopePart,
    SeparationOfDuties, TestRule, WildcardGrants,
};
use placet_api::scalar::Title;
use placet_api::testreport::TestType;
use serde::Serialize;

use crate::digest;
use crate::object::Object;
use crate::obligations::Dated;
use crate::people::Person;
use crate::risk::{self, Matrix};

pub use approvals::{Approvals, CoversKey, covers_key};
pub(crate) use criterion::impossible as impossible_test;
pub(crate) use criterion::{confidence, criterion, eligibility, is_share};
pub use custom::{Custom, Customs, custom_problems};
pub(crate) use data::impossible as impossible_data;
pub use data::{DataRules, Limits};
pub use later::explained;
pub use life_cycle::LifeCycle;
pub use life_cycle::not_in_groups;
pub(crate) use life_cycle::undefined;
pub use parity::{incompatible, warnings};
pub use register::RegisterRules;
pub use set::{Matched, PolicySet, matching, selects};
pub(crate) use tests::{add_test, effective, same_groups, same_test, tests_of};

/// What all matching policies ask for together.
#[expect(clippy::struct_excessive_bools, reason = "each is one yes-or-no field of the policy")]
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requirements {
    /// Names and digests of the policies.
    pub policies: Vec<(String, String)>,
    /// Roles that confirm a class below High.
    pub classification_roles: BTreeSet<String>,
    /// Roles that approve a class that is lower than one of before.
    pub lowered_roles: BTreeSet<String>,
    /// Whether an assessment is asked for.
    pub assessment: bool,
    /// How old it may be, in days.
    pub assessment_max_age_days: Option<i32>,
    /// Parts of an assessment's scope that must hold what is there now.
    pub assessment_scope: BTreeSet<ScopePart>,
    /// Within how many days the obligations begin to apply that an assessment must have considered.
    pub obligations_lead_days: Option<i32>,
    /// Obligations, by id.
    pub obligations: BTreeMap<String, Dated>,
    /// What is asked of datasets, where a policy asks about them.
    pub data: Option<DataRules>,
    /// Tests; equal ones from several policies appear once, with the strictest thresholds.
    pub tests: Vec<Test>,
    /// Attribute sets of the policies.
    pub attribute_sets: BTreeSet<Vec<String>>,
    /// Values of attributes of which a bias report must have a group.
    pub categories: BTreeMap<String, BTreeSet<String>>,
    /// Highest level that needs no acceptance.
    pub appetite: Option<Level>,
    /// Matrix that levels are looked up in.
    pub matrix: Matrix,
    /// What is asked of the assessment's content, and which controls lower its risks.
    pub register: RegisterRules,
    /// What is asked of how a release is documented, verified, validated, overseen, disclosed and changed.
    pub life_cycle: LifeCycle,
    /// Who may accept a level: what each policy says, all of which must be satisfied.
    pub authority: BTreeMap<Level, BTreeSet<Authority>>,
    /// Gates that the policies' authors wrote.
    #[serde(skip)]
    pub custom: Customs,
    /// Approvals asked for, by role and what they cover.
    pub approvals: BTreeMap<(String, CoversKey), Approvals>,
    /// Whether the creator and listed developers may approve.
    pub author_may_approve: bool,
    /// Whether a person counts in one role only.
    pub one_role_per_person: bool,
    /// Groups whose members neither approve nor accept.
    pub barred_groups: BTreeSet<String>,
    /// Roles whose approvers cannot accept risks.
    pub acceptor_not_approver_as: BTreeSet<String>,
    /// Days for which who changed a policy does not count.
    pub policy_change_days: Option<i32>,
    /// Who changed the policies last, each with when: people who created or edited a policy, and its last change.
    pub policy_authors: Vec<(Person, Timestamp)>,
    /// Roles in which tests are reported, by type: whoever reports holds each of them.
    pub reporters: BTreeMap<TestType, BTreeSet<String>>,
    /// Whether reports by who made or develops the release count in its favour.
    pub authors_report: bool,
    /// Accounts of pipelines that every policy lists.
    pub pipelines: BTreeSet<Person>,
    /// Service accounts that every policy lists.
    pub service_accounts: BTreeSet<Person>,
    /// Whether a role counts that is held by a wildcard.
    pub wildcards_count: bool,
    /// Names that are the same person, each with the one that stands for all.
    pub aliases: BTreeMap<Person, Person>,
    /// Days until first use.
    pub first_use_days: Option<i32>,
    /// Days of use.
    pub running_days: Option<i32>,
    /// Whether who has lost the role counts no more.
    pub void_on_role_loss: bool,
    /// Images that every policy lists as platform images.
    pub platform_images: BTreeSet<String>,
    /// What happens to replacements once a clearance was taken back.
    pub hold_replacements: bool,
}

/// Who may accept risks of one level, as one policy says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// The roles.
    pub roles: BTreeSet<String>,
    /// Whether each of them must accept, by a different person.
    pub every: bool,
    /// Roles that are heard before.
    pub consulted: BTreeSet<String>,
    /// Days that an acceptance stands at most.
    pub max_days: Option<i32>,
    /// What must prove who accepted and who was heard; None: the operator's stamp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl Authority {
    fn new(said: &AcceptanceAuthority) -> Self {
        Self {
            roles: said.roles.iter().map(ToString::to_string).collect(),
            every: said.needs == Some(AcceptanceNeeds::EveryRole),
            consulted: said.consulted.iter().flatten().map(ToString::to_string).collect(),
            max_days: said.max_days,
            proof: said.proof.filter(|p| *p > Proof::Stamp),
        }
    }

    /// The roles alone, where nothing else is said: as earlier versions wrote it into digests.
    fn serialisable(&self) -> serde_json::Value {
        if self.every || !self.consulted.is_empty() || self.max_days.is_some() || self.proof.is_some() {
            serde_json::json!(self)
        } else {
            serde_json::json!(self.roles)
        }
    }
}

impl Requirements {
    /// Whether somebody is asked only if the system processes personal data.
    pub fn asks_for_personal_data(&self) -> bool {
        self.approvals.values().any(|a| !a.always && a.when.contains(&ApprovalWhen::PersonalData))
    }

    /// Whether something is held against facts of the system beside its class: an assessment against regions, roles and dates, data
    /// against the purpose.
    pub fn asks_for_facts(&self) -> bool {
        let assessed = !self.assessment_scope.is_empty() || self.obligations_lead_days.is_some();
        assessed || self.register.article27 || self.data.is_some()
    }

    /// The person that a name stands for.
    pub fn same<'a>(&'a self, person: &'a Person) -> &'a Person {
        self.aliases.get(person).unwrap_or(person)
    }
}

/// A test that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// The rule, with the strictest thresholds.
    pub rule: TestRule,
    /// The policy that asks for the strictest threshold.
    pub policy: String,
    /// The day on which it was asked for, where it is not asked for any more: when the first report on an artefact came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
}

/// What some policies ask for together, or in which ways they contradict each other.
#[derive(Debug, Clone)]
pub struct Joined {
    /// As [`join`] gives it.
    pub requirements: Result<Requirements, Vec<String>>,
    /// Digest of the requirements, as it goes into an evidence digest; empty when they contradict each other.
    pub digest: String,
}

impl Joined {
    /// Joins policies.
    pub fn new(policies: &[&Object<ReleasePolicySpec>]) -> Self {
        let requirements = join(policies);
        let digest = requirements.as_ref().ok().and_then(|r| digest::of_value(&serialisable(r)).ok());
        Self { requirements, digest: digest.unwrap_or_default() }
    }
}

/// Requirements without what JSON cannot hold as a map key.
///
/// What later versions of Placet added is there only where a policy says it: otherwise an upgrade would void every approval
/// of evidence.
fn serialisable(requirements: &Requirements) -> serde_json::Value {
    let approvals: Vec<_> =
        requirements.approvals.iter().map(|((role, covers), a)| (role, covers, a)).collect();
    let authority: BTreeMap<String, serde_json::Value> = requirements
        .authority
        .iter()
        .map(|(level, said)| {
            let mut said: Vec<_> = said.iter().map(Authority::serialisable).collect();
            let value = if said.len() == 1 { said.remove(0) } else { said.into() };
            (level.to_string(), value)
        })
        .collect();
    let mut out = serde_json::json!({
        "classificationRoles": requirements.classification_roles,
        "assessment": requirements.assessment,
        "assessmentMaxAgeDays": requirements.assessment_max_age_days,
        // Why it is asked for is no part of what is asked for.
        "tests": requirements.tests.iter().map(|t| TestRule { why: None, ..t.rule.clone() }).collect::<Vec<_>>(),
        "attributeSets": requirements.attribute_sets,
        "appetite": requirements.appetite,
        "matrix": requirements.matrix,
        "authority": authority,
        "approvals": approvals,
        "authorMayApprove": requirements.author_may_approve,
        "oneRolePerPerson": requirements.one_role_per_person,
        "firstUseDays": requirements.first_use_days,
        "runningDays": requirements.running_days,
    });
    let added = serde_json::json!({
        "reporters": (!requirements.reporters.is_empty()).then_some(&requirements.reporters),
        "authorsReport": (!requirements.authors_report).then_some(false),
        "pipelines": requirements.pipelines,
        "barredGroups": requirements.barred_groups,
        "acceptorNotApproverAs": requirements.acceptor_not_approver_as,
        "policyChangeDays": requirements.policy_change_days,
        "serviceAccounts": requirements.service_accounts,
        "wildcardsCount": requirements.wildcards_count.then_some(true),
        "customGates": requirements.custom.values().collect::<Vec<_>>(),
        "voidOnRoleLoss": requirements.void_on_role_loss.then_some(true),
    });
    if !requirements.assessment_scope.is_empty() {
        out["assessmentScope"] = serde_json::json!(requirements.assessment_scope);
    }
    if let Some(lead) = requirements.obligations_lead_days {
        out["obligationsLeadDays"] = lead.into();
        out["obligations"] =
            serde_json::json!(requirements.obligations.values().map(|o| &o.obligation).collect::<Vec<_>>());
    }
    if let Some(data) = &requirements.data {
        out["data"] = serde_json::json!(data);
    }
    if !requirements.categories.is_empty() {
        out["categories"] = serde_json::json!(requirements.categories);
    }
    if requirements.lowered_roles != requirements.classification_roles {
        out["loweredRoles"] = serde_json::json!(requirements.lowered_roles);
    }
    for (key, value) in added.as_object().into_iter().flatten() {
        let said = value.as_array().map_or(!value.is_null(), |list| !list.is_empty());
        if said {
            out[key] = value.clone();
        }
    }
    if requirements.register != RegisterRules::default() {
        out["register"] = serde_json::json!(requirements.register);
    }
    if requirements.life_cycle != LifeCycle::default() {
        out["lifeCycle"] = serde_json::json!(requirements.life_cycle);
    }
    out
}

/// Joins policies.
///
/// # Errors
/// They contradict each other; each text names both sides.
pub fn join(policies: &[&Object<ReleasePolicySpec>]) -> Result<Requirements, Vec<String>> {
    let mut conflicts = Vec::new();
    let mut out = Requirements {
        policies: Vec::new(),
        classification_roles: BTreeSet::new(),
        lowered_roles: BTreeSet::new(),
        assessment: false,
        assessment_max_age_days: None,
        assessment_scope: BTreeSet::new(),
        obligations_lead_days: None,
        obligations: BTreeMap::new(),
        data: None,
        tests: Vec::new(),
        attribute_sets: BTreeSet::new(),
        categories: BTreeMap::new(),
        appetite: None,
        matrix: risk::ISO_27005,
        register: RegisterRules::default(),
        life_cycle: LifeCycle::default(),
        authority: BTreeMap::new(),
        custom: Customs::new(),
        approvals: BTreeMap::new(),
        author_may_approve: true,
        one_role_per_person: false,
        barred_groups: BTreeSet::new(),
        acceptor_not_approver_as: BTreeSet::new(),
        policy_change_days: None,
        policy_authors: Vec::new(),
        reporters: BTreeMap::new(),
        authors_report: true,
        pipelines: BTreeSet::new(),
        service_accounts: BTreeSet::new(),
        wildcards_count: true,
        aliases: BTreeMap::new(),
        first_use_days: None,
        running_days: None,
        void_on_role_loss: false,
        platform_images: BTreeSet::new(),
        hold_replacements: false,
    };
    let mut looked_up: Option<(&str, Matrix)> = None;
    let mut obligation_of: BTreeMap<String, &str> = BTreeMap::new();
    for (i, policy) in policies.iter().enumerate() {
        let Ok(spec) = &policy.spec else { continue };
        let name = policy.name();
        out.policies.push((name.to_owned(), policy.digest().to_owned()));
        out.classification_roles.extend(spec.classification.iter().map(|c| c.approved_by.to_string()));
        let lowered = spec.classification.iter().map(|c| c.lowered_by.as_ref().unwrap_or(&c.approved_by));
        out.lowered_roles.extend(lowered.map(ToString::to_string));
        assessment::join(&mut out, spec.assessment.as_ref());
        conflicts.extend(assessment::join_obligations(&mut out, &mut obligation_of, name, spec));
        out.attribute_sets.extend(
            spec.attribute_sets
                .iter()
                .flatten()
                .map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>()),
        );
        conflicts.extend(data::join(&mut out, name, spec.data.as_ref()));
        conflicts.extend(tests::join(&mut out, name, spec));
        conflicts.extend(custom::join(&mut out, name, spec));
        out.appetite = smaller(out.appetite, spec.risk_appetite);
        match matrix_of(spec) {
            Some(Err(why)) => conflicts.push(format!("policy {name}: {why}")),
            Some(Ok(matrix)) => match looked_up {
                Some((other, known)) if known != matrix => {
                    conflicts.push(format!(
                        "policies {other} and {name} use different risk matrices (a policy that says none uses that of ISO/IEC 27005)"
                    ));
                }
                _ => {
                    looked_up = Some((name, matrix));
                    out.matrix = matrix;
                }
            },
            None => {}
        }
        out.register.join(name, spec, i == 0);
        for authority in spec.acceptance_authority.iter().flatten() {
            out.authority.entry(authority.level).or_default().insert(Authority::new(authority));
        }
        for rule in &spec.approvals {
            approvals::add(&mut out.approvals, rule, spec);
        }
        conflicts.extend(life_cycle::join(&mut out, name, spec));
        join_duties(&mut out, &spec.duties(), i == 0);
        if let Some(standing) = policy.standing() {
            if standing.edits.is_empty() {
                out.policy_authors.extend(standing.authors.iter().map(|p| (p.clone(), standing.changed_at)));
            }
            out.policy_authors.extend(standing.edits.iter().cloned());
        }
        out.first_use_days = smaller(out.first_use_days, spec.validity.as_ref().map(|v| v.first_use_days));
        out.running_days = smaller(out.running_days, spec.validity.as_ref().map(|v| v.running_days));
        out.void_on_role_loss |= spec.voids_on_role_loss();
        join_images(&mut out, spec, i == 0);
        out.hold_replacements |= spec.replacements != Some(Replacements::Start);
    }
    approvals::widest(&mut out.approvals);
    out.policies.sort();
    if conflicts.is_empty() { Ok(out) } else { Err(conflicts) }
}

/// The matrix in which a policy looks levels up; None if it asks nothing of levels.
fn matrix_of(spec: &ReleasePolicySpec) -> Option<Result<Matrix, String>> {
    if let Some(rows) = &spec.risk_matrix {
        return Some(risk::matrix(rows));
    }
    let of_levels = spec.risk_appetite.is_some()
        || spec.acceptance_authority.iter().flatten().next().is_some()
        || spec.approvals.iter().any(|a| a.when == Some(ApprovalWhen::ResidualHighOrAbove));
    of_levels.then_some(Ok(risk::ISO_27005))
}

/// Keeps the platform images that every policy lists; `first` if it is the first.
fn join_images(out: &mut Requirements, spec: &ReleasePolicySpec, first: bool) {
    let images: BTreeSet<String> =
        spec.platform_images.iter().flatten().map(|p| p.image.to_string()).collect();
    if first {
        out.platform_images = images;
    } else {
        out.platform_images.retain(|image| images.contains(image));
    }
}

/// Joins what a policy says of who may not approve; `first` if it is the first.
fn join_duties(out: &mut Requirements, duties: &SeparationOfDuties, first: bool) {
    out.author_may_approve &= duties.author_may_approve == Some(true);
    out.one_role_per_person |= duties.one_role_per_person != Some(false);
    out.wildcards_count &= duties.wildcard_grants == Some(WildcardGrants::Count);
    out.authors_report &= duties.author_may_report != Some(false);
    let listed = |list: &Option<Vec<Title>>| -> BTreeSet<Person> {
        list.iter().flatten().map(|a| Person::from_token(a)).collect()
    };
    let (accounts, pipelines) = (listed(&duties.service_accounts), listed(&duties.pipelines));
    if first {
        out.service_accounts = accounts;
        out.pipelines = pipelines;
    } else {
        out.service_accounts.retain(|a| accounts.contains(a));
        out.pipelines.retain(|a| pipelines.contains(a));
    }
    out.barred_groups.extend(duties.barred_groups.iter().flatten().map(ToString::to_string));
    let acceptors = duties.acceptor_not_approver_as.iter().flatten();
    out.acceptor_not_approver_as.extend(acceptors.map(ToString::to_string));
    out.policy_change_days = out.policy_change_days.max(duties.policy_change_days);
    for alias in duties.aliases.iter().flatten() {
        join_names(&mut out.aliases, alias.names.iter().map(|n| Person::from_token(n)));
    }
}

/// Makes names one person, together with all names that one of them was joined with before.
pub(crate) fn join_names(aliases: &mut BTreeMap<Person, Person>, names: impl Iterator<Item = Person>) {
    let names: BTreeSet<Person> = names.collect();
    let before: BTreeSet<Person> = names.iter().filter_map(|n| aliases.get(n).cloned()).collect();
    let Some(one) = names.iter().chain(&before).min().cloned() else { return };
    for stands_for in aliases.values_mut().filter(|p| before.contains(*p)) {
        *stands_for = one.clone();
    }
    aliases.extend(names.into_iter().map(|name| (name, one.clone())));
}

fn smaller<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
