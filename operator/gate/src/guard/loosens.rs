//! In which ways a version of a policy asks for less than the one before it.
//!
//! Total: each field of the spec is taken apart by name, so that one that is added later does not compile before somebody
//! has said here what loosens it; and each change that is not known to ask for more counts as loosening. Where a version
//! loosens nothing, nothing is cleared under it that was not cleared under the one before, whatever other policies apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use placet_api::aisystem::Categories;
use placet_api::approval::Covers;
use placet_api::controlrule::ControlsRule;
use placet_api::guard::PolicyGuard;
use placet_api::impactassessment::RiskDomain;
use placet_api::obligation::{Obligation, ProhibitedFrom};
use placet_api::releasepolicy::{
    AcceptanceAuthority, AcceptanceNeeds, AppliesTo, ApprovalRule, AssessmentRule, EmptyDigest,
    FreshnessRule, LabelSelector, Proof, ReleasePolicySpec, Replacements, ScopePart, SeparationOfDuties,
    TestRule, Validity, WhenIndeterminate, WildcardGrants,
};
use placet_api::scalar::Decimal;
use placet_api::testreport::TestType;

use crate::fairness::Eligibility;
use crate::people::Person;
use crate::policy;

/// Each way in which `new` asks for less than `old`: the field, and what became of it. Empty if in none.
pub fn loosens(old: &ReleasePolicySpec, new: &ReleasePolicySpec) -> Vec<String> {
    let mut out = Found(Vec::new());
    let ReleasePolicySpec {
        applies_to,
        classification,
        assessment,
        tests,
        data,
        reporters,
        attribute_sets,
        categories,
        documentation: _,
        verification: _,
        validation: _,
        oversight: _,
        transparency: _,
        change: _,
        risk_appetite,
        risk_matrix,
        controls,
        acceptance_authority,
        approvals,
        separation_of_duties: _,
        validity,
        platform_images,
        // Says when a version applies, not what it asks for.
        applies_to_cleared: _,
        replacements,
        obligations,
        prohibited_from,
        minimum_class,
        custom_gates,
        guard,
    } = old;
    let AppliesTo { classes, namespace_selector } = applies_to;
    out.differs("appliesTo.classes", &set(classes), &set(&new.applies_to.classes));
    let selectors = (plain(namespace_selector.as_ref()), plain(new.applies_to.namespace_selector.as_ref()));
    out.differs("appliesTo.namespaceSelector", &selectors.0, &selectors.1);
    // Naming who confirms a class below High lets in what nobody could confirm.
    out.differs("classification", classification, &new.classification);
    out.assessment(assessment.as_ref(), new.assessment.as_ref());
    out.tests(&policy::tests_of(tests.as_deref()), &policy::tests_of(new.tests.as_deref()));
    out.data(data.as_ref(), new.data.as_ref());
    // What somebody reports who may not fails all the same, and passes nothing: naming a role asks for more.
    for rule in reporters.iter().flatten() {
        if !new.reporters.iter().flatten().any(|r| r == rule) {
            out.say(format!("reporters[{}]: {} left out", rule.type_, rule.role));
        }
    }
    // A set more can turn a test that failed into one that does not show which way it goes.
    out.differs("attributeSets", attribute_sets, &new.attribute_sets);
    out.loses("categories", &expected(categories.as_ref()), &expected(new.categories.as_ref()));
    out.life_cycle(old, new);
    out.at_most("riskAppetite", *risk_appetite, new.risk_appetite);
    // A level that is higher may be accepted by others.
    out.differs("riskMatrix", risk_matrix, &new.risk_matrix);
    // So it is where another control counts, or one no longer does.
    let (before, after) = (accepted(controls.as_ref()), accepted(new.controls.as_ref()));
    out.differs("controls.alsoAccepted", &before, &after);
    out.differs("controls.excluded", &excluded(controls.as_ref()), &excluded(new.controls.as_ref()));
    out.authority(acceptance_authority.as_deref(), new.acceptance_authority.as_deref());
    out.approvals((old, approvals), (new, &new.approvals));
    out.duties(&old.duties(), &new.duties());
    // How long before an acceptance ends it is told.
    let terms = |v: &Option<Validity>| {
        v.as_ref().map(|Validity { first_use_days, running_days, warn_days: _, role_loss: _ }| {
            (*first_use_days, *running_days)
        })
    };
    let (before, after) = (terms(validity), terms(&new.validity));
    out.at_most("validity.firstUseDays", before.map(|t| t.0), after.map(|t| t.0));
    out.at_most("validity.runningDays", before.map(|t| t.1), after.map(|t| t.1));
    if old.voids_on_role_loss() && !new.voids_on_role_loss() {
        out.add("validity.roleLoss", "Void", "Keep");
    }
    let images = |spec: &ReleasePolicySpec| -> BTreeSet<String> {
        spec.platform_images.iter().flatten().map(|i| i.image.to_string()).collect()
    };
    let _ = platform_images;
    out.gains("platformImages", &images(old), &images(new));
    if *replacements != Some(Replacements::Start) && new.replacements == Some(Replacements::Start) {
        out.add("replacements", "Hold", "Start");
    }
    out.obligations(obligations.as_deref(), new.obligations.as_deref());
    out.prohibited(prohibited_from.as_deref(), new.prohibited_from.as_deref());
    // A higher class is asked for other things, not always for more.
    out.differs("minimumClass", minimum_class, &new.minimum_class);
    // What another expression asks is not known to be more.
    for gate in custom_gates.iter().flatten() {
        match new.custom_gates.iter().flatten().find(|g| g.name == gate.name) {
            // Words, and who is named in them, ask for nothing.
            Some(same) if same.expression == gate.expression => {}
            Some(_) => out.say(format!("customGates[{}]: changed", gate.name)),
            None => out.say(format!("customGates[{}]: left out", gate.name)),
        }
    }
    // Whoever may approve the next loosening is somebody whom this version asks.
    if !super::unguarded(old) {
        out.gains("guard", &super::roles(old), &super::roles(new));
    }
    let PolicyGuard { role: _, loosening } = guard.clone().unwrap_or_default();
    let after = new.guard.clone().unwrap_or_default();
    if loosening.is_some_and(|l| l == placet_api::guard::Loosening::Apply) {
        // It may be loosened by anybody who may edit it.
    } else if after.loosening == Some(placet_api::guard::Loosening::Apply) {
        out.add("guard.loosening", "Wait", "Apply");
    }
    out.0
}

/// In which ways a rule on a test asks for less than the one before it; of how old a result may be nothing is said.
pub(crate) fn test_loosens(before: &TestRule, after: &TestRule) -> bool {
    let mut out = Found::default();
    let after = TestRule { max_age_days: before.max_age_days, ..after.clone() };
    out.test("", before, &after);
    !out.0.is_empty()
}

/// A selector, with one that says nothing as nothing.
pub(super) fn plain(selector: Option<&LabelSelector>) -> LabelSelector {
    let mut selector = selector.cloned().unwrap_or_default();
    selector.match_labels = selector.match_labels.filter(|l| !l.is_empty());
    selector.match_expressions = selector.match_expressions.filter(|l| !l.is_empty());
    selector
}

/// Controls that a policy lists beside those of the catalogues.
pub(super) fn accepted(controls: Option<&ControlsRule>) -> BTreeSet<(String, RiskDomain)> {
    let listed = controls.and_then(|ControlsRule { also_accepted, excluded: _ }| also_accepted.as_ref());
    listed.into_iter().flatten().map(|c| (c.control.to_string(), c.domain)).collect()
}

/// The items of a list by name.
pub(super) fn named<T: std::fmt::Debug>(list: Option<&Vec<T>>) -> BTreeSet<String> {
    list.into_iter().flatten().map(|one| format!("{one:?}")).collect()
}

/// Categories that a policy expects, with their attribute.
fn expected(categories: Option<&BTreeMap<String, Categories>>) -> BTreeSet<String> {
    let all = categories.into_iter().flatten();
    all.flat_map(|(name, values)| values.0.iter().map(move |value| format!("{name}={value}"))).collect()
}

/// Controls that a policy excludes.
pub(super) fn excluded(controls: Option<&ControlsRule>) -> BTreeSet<String> {
    let listed = controls.and_then(|c| c.excluded.as_ref());
    listed.into_iter().flatten().map(|c| c.control.to_string()).collect()
}

pub(super) fn set<T: Ord + Clone>(list: &[T]) -> BTreeSet<T> {
    list.iter().cloned().collect()
}

pub(super) fn wildcards(duties: Option<&SeparationOfDuties>) -> WildcardGrants {
    duties.and_then(|d| d.wildcard_grants).unwrap_or(WildcardGrants::Ignore)
}

pub(super) fn warns(rule: &TestRule) -> bool {
    rule.when_indeterminate == Some(WhenIndeterminate::Warn)
}

/// What was found.
#[derive(Default)]
pub(super) struct Found(pub(super) Vec<String>);

impl Found {
    pub(super) fn add(&mut self, field: &str, before: impl Display, after: impl Display) {
        self.0.push(format!("{field}: {before} before, {after} now"));
    }

    pub(super) fn say(&mut self, text: String) {
        self.0.push(text);
    }

    /// A field of which no change is known to ask for more.
    pub(super) fn differs<T: PartialEq>(&mut self, field: &str, before: &T, after: &T) {
        if before != after {
            self.0.push(format!("{field}: changed"));
        }
    }

    /// A maximum: less of it asks for more, and none is the most.
    pub(super) fn at_most<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        before: Option<T>,
        after: Option<T>,
    ) {
        match (before, after) {
            (Some(before), None) => self.add(field, before, "none"),
            (Some(before), Some(after)) if after > before => self.add(field, before, after),
            _ => {}
        }
    }

    /// A minimum: more of it asks for more, and none asks for nothing.
    pub(super) fn at_least<T: PartialOrd + Display>(
        &mut self,
        field: &str,
        before: Option<T>,
        after: Option<T>,
    ) {
        match (before, after) {
            (Some(before), None) => self.add(field, before, "none"),
            (Some(before), Some(after)) if after < before => self.add(field, before, after),
            _ => {}
        }
    }

    /// What is named in it is let in.
    fn gains<T: Ord + Display>(&mut self, field: &str, before: &BTreeSet<T>, after: &BTreeSet<T>) {
        for more in after.difference(before) {
            self.say(format!("{field}: {more} added"));
        }
    }

    /// What is named in it is kept out.
    pub(super) fn loses<T: Ord + Display>(&mut self, field: &str, before: &BTreeSet<T>, after: &BTreeSet<T>) {
        for less in before.difference(after) {
            self.say(format!("{field}: {less} left out"));
        }
    }

    fn assessment(&mut self, before: Option<&AssessmentRule>, after: Option<&AssessmentRule>) {
        let required = |rule: Option<&AssessmentRule>| rule.is_some_and(|r| r.required);
        if required(before) && !required(after) {
            self.add("assessment.required", true, false);
        }
        let age = |rule: Option<&AssessmentRule>| rule.and_then(|r| r.max_age_days);
        self.at_most("assessment.maxAgeDays", age(before), age(after));
        let fresh =
            |rule: Option<&AssessmentRule>| rule.and_then(|r| r.freshness.clone()).unwrap_or_default();
        self.freshness(&fresh(before), &fresh(after));
        self.assessment_content(before, after);
    }

    fn freshness(&mut self, before: &FreshnessRule, after: &FreshnessRule) {
        let FreshnessRule { scope, obligations_lead_days } = before;
        let parts = |scope: &Option<Vec<ScopePart>>| named(scope.as_ref());
        self.loses("assessment.freshness.scope", &parts(scope), &parts(&after.scope));
        self.at_least(
            "assessment.freshness.obligationsLeadDays",
            *obligations_lead_days,
            after.obligations_lead_days,
        );
    }

    /// One more asks for more; each that is left out or says something else may ask for less.
    fn obligations(&mut self, before: Option<&[Obligation]>, after: Option<&[Obligation]>) {
        for old in before.unwrap_or_default() {
            match after.unwrap_or_default().iter().find(|new| new.id == old.id) {
                Some(new) if new == old => {}
                Some(_) => self.say(format!("obligations[{}]: changed", old.id)),
                None => self.say(format!("obligations[{}]: left out", old.id)),
            }
        }
    }

    /// What is refused later is let in before.
    fn prohibited(&mut self, before: Option<&[ProhibitedFrom]>, after: Option<&[ProhibitedFrom]>) {
        for ProhibitedFrom { letter, from, source: _ } in after.unwrap_or_default() {
            let known = before.unwrap_or_default().iter().find(|old| old.letter == *letter);
            let was = known.and_then(|old| crate::time::moment(&old.from));
            match (was, crate::time::moment(from)) {
                // A day that does not exist delays nothing.
                (_, None) => {}
                (Some(was), Some(is)) if is <= was => {}
                _ => {
                    let before = known.map_or("at once".to_owned(), |old| old.from.to_string());
                    self.add(&format!("prohibitedFrom[{letter}]"), before, from);
                }
            }
        }
    }

    fn assessment_content(&mut self, before: Option<&AssessmentRule>, after: Option<&AssessmentRule>) {
        let Some(before) = before else { return };
        let AssessmentRule {
            required: _,
            stakeholders,
            sections,
            threats,
            article27,
            risk_evaluation,
            approved_by,
            max_age_days: _,
            freshness: _,
        } = before;
        let now = |of: fn(&AssessmentRule) -> BTreeSet<String>| after.map(of).unwrap_or_default();
        let at = |name: &str| format!("assessment.{name}");
        let is = now(|r| named(r.stakeholders.as_ref()));
        self.loses(&at("stakeholders"), &named(stakeholders.as_ref()), &is);
        self.loses(&at("sections"), &named(sections.as_ref()), &now(|r| named(r.sections.as_ref())));
        self.loses(&at("threats"), &named(threats.as_ref()), &now(|r| named(r.threats.as_ref())));
        if *article27 == Some(true) && after.and_then(|r| r.article27) != Some(true) {
            self.add(&at("article27"), true, false);
        }
        if *risk_evaluation == Some(true) && after.and_then(|r| r.risk_evaluation) != Some(true) {
            self.add(&at("riskEvaluation"), true, false);
        }
        let asked = after.and_then(|r| r.approved_by.as_ref());
        if let Some(role) = approved_by.as_ref().filter(|role| asked != Some(role)) {
            self.add(&at("approvedBy"), role, asked.map_or("nobody".to_owned(), ToString::to_string));
        }
    }

    fn tests(&mut self, before: &[TestRule], after: &[TestRule]) {
        let same = policy::same_test;
        for old in before {
            let field = format!("tests[{} {}]", old.type_, old.metric);
            let alike = after.iter().find(|new| same(old, new) && policy::same_groups(old, new));
            match alike.or_else(|| after.iter().find(|new| same(old, new))) {
                Some(new) => self.test(&field, old, new),
                None => self.say(format!("{field}: left out")),
            }
        }
        for new in after.iter().filter(|new| !before.iter().any(|old| same(old, new))) {
            if warns(new) {
                // Beside a stricter rule of another policy it could make Indeterminate, and so let in, what fails there.
                self.say(format!("tests[{} {}]: added with whenIndeterminate Warn", new.type_, new.metric));
            }
        }
    }

    fn test(&mut self, field: &str, before: &TestRule, after: &TestRule) {
        let TestRule {
            type_: _,
            metric: _,
            compare: _,
            reference: _,
            exact: _,
            at_least,
            at_most,
            confidence,
            // Says why, not what.
            why: _,
            datasets,
            min_group_size: _,
            min_intersection_size: _,
            min_positives: _,
            min_negatives: _,
            ineligible_intersection_share: _,
            exclude_below_share: _,
            min_rows,
            when_indeterminate: _,
            max_age_days,
        } = before;
        if policy::impossible_test(before).is_some() && policy::impossible_test(after).is_none() {
            self.say(format!("{field}: nothing satisfied it"));
        }
        let value = |d: &Option<Decimal>| d.as_ref().map(Decimal::value);
        self.at_least(&format!("{field}.atLeast"), value(at_least), value(&after.at_least));
        self.at_most(&format!("{field}.atMost"), value(at_most), value(&after.at_most));
        self.at_most(&format!("{field}.maxAgeDays"), *max_age_days, after.max_age_days);
        // Reports on others do not count, those that fail neither.
        self.differs(
            &format!("{field}.datasets"),
            &named(datasets.as_ref()),
            &named(after.datasets.as_ref()),
        );
        if !warns(before) && warns(after) {
            self.add(&format!("{field}.whenIndeterminate"), "Hold", "Warn");
        }
        // How much has to be there. With Warn any change counts: more of it makes Indeterminate, and so lets in, what fails.
        let sure = |d: &Option<Decimal>| d.as_ref().map_or(0.95, Decimal::value);
        let amounts = [
            ("confidence", sure(confidence), sure(&after.confidence)),
            ("minRows", f64::from(min_rows.unwrap_or(0)), f64::from(after.min_rows.unwrap_or(0))),
        ];
        for (name, before, now) in amounts {
            if now < before || (now > before && warns(after)) {
                self.add(&format!("{field}.{name}"), before, now);
            }
        }
        if before.type_ == TestType::Bias {
            self.groups(field, before, after);
        }
    }

    /// Which groups are compared. Whom a larger minimum leaves out may be who failed: that holds the test where it is said of
    /// a group of one attribute that nobody excludes, and does not where the policy warns or groups of several attributes are
    /// tolerated.
    fn groups(&mut self, field: &str, before: &TestRule, after: &TestRule) {
        let (was, is) = (policy::eligibility(before), policy::eligibility(after));
        let sizes = [
            ("minGroupSize", was.min_rows, is.min_rows, warns(after) || is.exclude_below_share.is_some()),
            ("minIntersectionSize", was.min_intersection_rows, is.min_intersection_rows, true),
            ("minPositives", was.min_positives, is.min_positives, true),
            ("minNegatives", was.min_negatives, is.min_negatives, true),
        ];
        for (name, was, is, more) in sizes {
            if is < was || (is > was && more) {
                self.add(&format!("{field}.{name}"), was, is);
            }
        }
        let tolerated = |e: &Eligibility| Some(e.ineligible_intersection_share);
        self.at_most(&format!("{field}.ineligibleIntersectionShare"), tolerated(&was), tolerated(&is));
        let excluded = |e: &Eligibility| Some(e.exclude_below_share.unwrap_or(0.0));
        self.at_most(&format!("{field}.excludeBelowShare"), excluded(&was), excluded(&is));
    }

    fn authority(&mut self, before: Option<&[AcceptanceAuthority]>, after: Option<&[AcceptanceAuthority]>) {
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let levels = |all: &[AcceptanceAuthority]| -> BTreeSet<_> { all.iter().map(|a| a.level).collect() };
        self.gains("acceptanceAuthority", &levels(before), &levels(after));
        self.loses("acceptanceAuthority", &levels(before), &levels(after));
        for old in before {
            let Some(new) = after.iter().find(|a| a.level == old.level) else { continue };
            let AcceptanceAuthority { level, roles, needs, consulted, max_days, proof } = old;
            let field = format!("acceptanceAuthority[{level}]");
            let every = |needs: &Option<AcceptanceNeeds>| *needs == Some(AcceptanceNeeds::EveryRole);
            if every(needs) {
                if !every(&new.needs) {
                    self.add(&format!("{field}.needs"), "EveryRole", "AnyRole");
                }
                self.loses(&format!("{field}.roles"), &set(roles), &set(&new.roles));
            } else {
                self.gains(&format!("{field}.roles"), &set(roles), &set(&new.roles));
            }
            let heard = |roles: &Option<Vec<_>>| set(roles.as_deref().unwrap_or_default());
            self.loses(&format!("{field}.consulted"), &heard(consulted), &heard(&new.consulted));
            self.at_most(&format!("{field}.maxDays"), *max_days, new.max_days);
            self.proven(&field, *proof, new.proof);
        }
    }

    fn proven(&mut self, field: &str, before: Option<Proof>, after: Option<Proof>) {
        if after.unwrap_or(Proof::Stamp) < before.unwrap_or(Proof::Stamp) {
            self.say(format!("{field}.proof: asks for less"));
        }
    }

    fn approvals(
        &mut self,
        (of_old, before): (&ReleasePolicySpec, &[ApprovalRule]),
        (of_new, after): (&ReleasePolicySpec, &[ApprovalRule]),
    ) {
        for old in before {
            let ApprovalRule { role, count, covers: _, empty_digest, when, not_in_groups: _, proof } = old;
            let field = format!("approvals[{role}]");
            let Some(new) = after.iter().find(|r| r.role == *role) else {
                self.say(format!("{field}: left out"));
                continue;
            };
            self.at_least(&format!("{field}.count"), Some(*count), Some(new.count));
            // Evidence binds the content too, and more: whoever approved it has approved the content.
            let (was, is) = (of_old.covers(old), of_new.covers(new));
            if was != is && is != Covers::Evidence {
                self.add(&format!("{field}.covers"), was, is);
            }
            if new.when.is_some() && new.when != *when {
                self.say(format!("{field}.when: asked for in fewer cases"));
            }
            let (was, is) = (of_old.not_in_groups(old), of_new.not_in_groups(new));
            self.loses(&format!("{field}.notInGroups"), &set(&was), &set(&is));
            self.proven(&field, *proof, new.proof);
            if *empty_digest != Some(EmptyDigest::Fill) && new.empty_digest == Some(EmptyDigest::Fill) {
                self.add(&format!("{field}.emptyDigest"), "Refuse", "Fill");
            }
        }
        for new in after.iter().filter(|new| !before.iter().any(|old| old.role == new.role)) {
            if new.empty_digest == Some(EmptyDigest::Fill) {
                self.add(&format!("approvals[{}].emptyDigest", new.role), "Refuse", "Fill");
            }
        }
    }

    fn duties(&mut self, before: &SeparationOfDuties, after: &SeparationOfDuties) {
        let SeparationOfDuties {
            author_may_approve,
            author_may_report,
            pipelines,
            one_role_per_person,
            barred_groups,
            acceptor_not_approver_as,
            policy_change_days,
            service_accounts,
            wildcard_grants: _,
            // Is in the others.
            high_defaults: _,
            aliases,
        } = before;
        let at = |name: &str| format!("separationOfDuties.{name}");
        if *author_may_approve != Some(true) && after.author_may_approve == Some(true) {
            self.add(&at("authorMayApprove"), false, true);
        }
        if *author_may_report == Some(false) && after.author_may_report != Some(false) {
            self.add(&at("authorMayReport"), false, true);
        }
        if *one_role_per_person != Some(false) && after.one_role_per_person == Some(false) {
            self.add(&at("oneRolePerPerson"), true, false);
        }
        let titles = |list: &Option<Vec<_>>| set(list.as_deref().unwrap_or_default());
        self.loses(&at("barredGroups"), &titles(barred_groups), &titles(&after.barred_groups));
        let names = |list: &Option<Vec<_>>| set(list.as_deref().unwrap_or_default());
        self.loses(
            &at("acceptorNotApproverAs"),
            &names(acceptor_not_approver_as),
            &names(&after.acceptor_not_approver_as),
        );
        self.at_least(&at("policyChangeDays"), *policy_change_days, after.policy_change_days);
        let accounts = |list: &Option<Vec<_>>| titles(list).len();
        let more = titles(&after.service_accounts).difference(&titles(service_accounts)).count();
        if more > 0 {
            self.add(&at("serviceAccounts"), accounts(service_accounts), accounts(&after.service_accounts));
        }
        let more = titles(&after.pipelines).difference(&titles(pipelines)).count();
        if more > 0 {
            self.add(&at("pipelines"), accounts(pipelines), accounts(&after.pipelines));
        }
        // Counting wildcards lets in approvals, not counting them lets go of Rejects.
        if wildcards(Some(before)) != wildcards(Some(after)) {
            self.say(format!("{}: changed", at("wildcardGrants")));
        }
        let joined = people(after);
        let apart = aliases.iter().flatten().any(|alias| {
            let ones: BTreeSet<Option<&Person>> =
                alias.names.iter().map(|n| joined.get(&Person::from_token(n))).collect();
            ones.len() != 1 || ones.contains(&None)
        });
        if apart {
            self.say(format!("{}: names of one person are taken apart", at("aliases")));
        }
    }
}

/// Names that are the same person, each with the one that stands for all.
fn people(duties: &SeparationOfDuties) -> BTreeMap<Person, Person> {
    let mut out = BTreeMap::new();
    for alias in duties.aliases.iter().flatten() {
        policy::join_names(&mut out, alias.names.iter().map(|n| Person::from_token(n)));
    }
    out
}
