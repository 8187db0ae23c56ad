//! Gate *data*: for each dataset that the release names there is a Dataset of its content, which permits the use made of it and the
//! system's purpose, and is as fresh, as good and as representative as the policies ask. Asked only where a policy has `spec.data`.

use std::collections::{BTreeMap, BTreeSet};

use placet_api::Kind;
use placet_api::datarule::DataFact;
use placet_api::dataset::DatasetSpec;
use placet_api::modelrelease::{DatasetUse, ModelReleaseSpec};
use placet_api::scalar::Moment;

use super::assessment::short;
use super::{Context, Outcome, gone};
use crate::digest::{self, changed_fields, in_order};
use crate::finding::{Gate, Reason};
use crate::object::Object;
use crate::policy::DataRules;
use crate::time;
use crate::visible::blank;

pub use check::check;

mod check;
mod measured;
mod standing;

const GATE: Gate = Gate::Data;
/// Who answers for what is said of data.
const CUSTODIAN: &str = "data custodian";
/// Fields that are named at most of those in which Datasets differ.
const MAX_FIELDS: usize = 5;

/// A Dataset with its spec.
type Found<'a> = (&'a Object<DatasetSpec>, &'a DatasetSpec);

/// A dataset as the release names it.
struct Named<'a> {
    name: &'a str,
    digest: &'a str,
    uses: BTreeSet<DatasetUse>,
}

/// Judges all datasets that the release names.
pub fn evaluate(cx: &Context<'_>) -> Outcome {
    let (Some(asked), Some((_, release))) = (cx.requirements, cx.release) else {
        return cx.requirements_unknown(GATE);
    };
    let mut out = Outcome::default();
    let Some(rules) = &asked.data else { return out };
    let all = named(release);
    uses(cx, rules, &all, &mut out);
    for one in &all {
        if let Some(dataset) = counting(cx, one, &mut out) {
            judge(cx, rules, one, dataset, &mut out);
        }
    }
    out
}

/// The datasets of a release, each once with all that it was used for.
fn named(release: &ModelReleaseSpec) -> Vec<Named<'_>> {
    let mut all: BTreeMap<(&str, &str), BTreeSet<DatasetUse>> = BTreeMap::new();
    for dataset in release.datasets.iter().flatten() {
        all.entry((&dataset.name, &dataset.digest)).or_default().insert(dataset.use_);
    }
    all.into_iter().map(|((name, digest), uses)| Named { name, digest, uses }).collect()
}

/// Whoever leaves a dataset out of the release escapes nothing.
fn uses(cx: &Context<'_>, rules: &DataRules, all: &[Named<'_>], out: &mut Outcome) {
    let mut missing = |item: String, wanted: String| {
        out.not_met(
            GATE,
            Reason::DatasetMissing,
            item,
            format!("{wanted}, as {} asks", cx.policy_names()),
            "the release names none",
            "data scientist",
            cx.new_release("that names in spec.datasets what the model was made with, by digest"),
        );
    };
    for wanted in &rules.uses {
        if !all.iter().any(|d| d.uses.contains(wanted)) {
            missing(format!("{wanted:?}"), format!("a dataset of use {wanted:?}"));
        }
    }
    if rules.uses.is_empty() && all.is_empty() {
        missing(String::new(), "at least one dataset".to_owned());
    }
}

/// The Dataset by which a content is judged, where there is one and nothing contradicts it.
fn counting<'a>(cx: &Context<'a>, named: &Named<'_>, out: &mut Outcome) -> Option<Found<'a>> {
    let all: Vec<&'a Object<DatasetSpec>> =
        cx.snapshot.datasets.iter().map(AsRef::as_ref).filter(|d| d.content() == named.digest).collect();
    let open: Vec<&'a Object<DatasetSpec>> =
        all.iter().copied().filter(|d| !standing::superseded(cx, d, &all)).collect();
    let mut clear = true;
    for dataset in &open {
        if let Some(problem) = dataset.problem() {
            out.problem(GATE, dataset, &problem);
            clear = false;
        }
    }
    let understood =
        open.iter().filter(|d| d.problem().is_none()).filter_map(|d| Some((*d, d.spec.as_ref().ok()?)));
    let understood: Vec<Found<'a>> = understood.collect();
    // Of several that say the same the first counts, so that its age is that of the first word on it.
    let first = understood.iter().copied().filter(|(d, _)| d.live);
    let first = first.min_by_key(|(d, _)| (d.standing().map(|s| s.created_at), d.name()));
    let Some(first) = first else {
        if clear {
            missing(cx, named, &open, out);
        }
        return None;
    };
    let says = |d: &Object<DatasetSpec>| digest::dataset(&d.record.spec.value()).ok();
    let differs = |(d, _): &&Found<'_>| says(d) != says(first.0);
    if understood.len() > 1
        && let Some((other, _)) = understood.iter().find(differs)
    {
        conflict(cx, named, (first.0, other), &all, out);
        return None;
    }
    clear.then_some(first)
}

/// There is no Dataset that counts of what the release names.
fn missing(cx: &Context<'_>, named: &Named<'_>, open: &[&Object<DatasetSpec>], out: &mut Outcome) {
    let same_name = cx.snapshot.datasets.iter().filter(|d| {
        d.live && d.content() != named.digest && d.spec.as_ref().is_ok_and(|s| s.name.as_str() == named.name)
    });
    let mut about = vec![named.digest.to_owned()];
    let mut found: Vec<String> = Vec::new();
    for dataset in open {
        found.push(format!("Dataset {} was deleted", dataset.name()));
        about.push(dataset.name().to_owned());
    }
    for dataset in same_name {
        let digest = dataset.content().into_owned();
        found.push(format!(
            "Dataset {} is of another content of that name, {}",
            dataset.name(),
            short(&digest)
        ));
        about.extend([dataset.name().to_owned(), digest]);
    }
    out.not_met(
        GATE,
        Reason::DatasetMissing,
        named.name,
        format!("a Dataset of {}, digest {}, as {} asks", named.name, short(named.digest), cx.policy_names()),
        if found.is_empty() { "there is none of this digest".to_owned() } else { found.join("; ") },
        CUSTODIAN,
        cx.command("kubectl apply -f DATASET.yaml"),
    )
    .about(about);
}

/// Two Datasets of one content say different things.
fn conflict(
    cx: &Context<'_>,
    named: &Named<'_>,
    (one, other): (&Object<DatasetSpec>, &Object<DatasetSpec>),
    all: &[&Object<DatasetSpec>],
    out: &mut Outcome,
) {
    let says = |d: &Object<DatasetSpec>| in_order(Kind::Dataset, d.record.spec.value());
    let mut fields = changed_fields(&says(one), &says(other), MAX_FIELDS + 1);
    fields.retain(|field| !field.starts_with("spec.supersedes"));
    fields.truncate(MAX_FIELDS);
    let differ = fields.join(", ");
    let mut found = vec![format!("{} and {}{} differ in {differ}", one.name(), other.name(), gone(other))];
    let mut about = vec![named.digest.to_owned(), one.name().to_owned(), other.name().to_owned()];
    about.extend(fields);
    for (by, old) in [(one, other), (other, one)] {
        if let Some(why) = standing::why_not(cx, by, old, all) {
            found.push(format!("{} does not supersede {}: {}", by.name(), old.name(), why.text));
            about.extend(why.about);
        }
    }
    out.unknown(
        GATE,
        Reason::DatasetsConflict,
        named.name,
        format!("one word on {}, digest {}", named.name, short(named.digest)),
        found.join("; "),
        CUSTODIAN,
        mend(cx, &format!("{}, {}", one.name(), other.name())),
    )
    .about(about);
}

/// How something that is said of data is corrected: its spec never changes.
fn mend(cx: &Context<'_>, names: &str) -> String {
    cx.command(&format!(
        "somebody who wrote neither it nor the release, its system or its assessment applies a corrected Dataset under another \
         name, with spec.supersedes: {{datasets: [{names}], reason: …}}: kubectl apply -f DATASET.yaml"
    ))
}

fn judge(
    cx: &Context<'_>,
    rules: &DataRules,
    named: &Named<'_>,
    (dataset, spec): Found<'_>,
    out: &mut Outcome,
) {
    if let Err(why) = check(spec) {
        out.unknown(
            GATE,
            Reason::DatasetNotValid,
            named.name,
            "a Dataset that fits together",
            format!("{}: {}", dataset.name(), why.text),
            CUSTODIAN,
            mend(cx, dataset.name()),
        )
        .about([dataset.name().to_owned()].into_iter().chain(why.about));
        return;
    }
    if spec.name.as_str() != named.name {
        out.not_met(
            GATE,
            Reason::DatasetNameDiffers,
            named.name,
            format!("the name that Dataset {} gives this content, {}", dataset.name(), spec.name),
            format!("the release calls it {}", named.name),
            "data scientist",
            cx.new_release("with the right name and digest"),
        )
        .about([dataset.name(), spec.name.as_str()]);
    }
    permitted(cx, named, (dataset, spec), out);
    facts(cx, rules, named, (dataset, spec), out);
    people(cx, named, (dataset, spec), out);
    dates(cx, rules, named, (dataset, spec), out);
    measured::quality(cx, rules, named.name, (dataset, spec), out);
    measured::groups(cx, rules, named.name, (dataset, spec), out);
}

/// Whether it may be used for what it was used for, and for the system's purpose.
fn permitted(cx: &Context<'_>, named: &Named<'_>, (dataset, spec): Found<'_>, out: &mut Outcome) {
    let permits: Vec<String> = spec.permitted_uses.iter().map(|u| format!("{u:?}")).collect();
    for used in named.uses.iter().filter(|used| !spec.permitted_uses.contains(used)) {
        out.not_met(
            GATE,
            Reason::DatasetUseNotPermitted,
            format!("{} {used:?}", named.name),
            format!("a dataset that may be used for {used:?}"),
            format!("Dataset {} permits {}", dataset.name(), permits.join(", ")),
            format!("data scientist, or {CUSTODIAN}"),
            cx.new_release("of a model that was made without it"),
        )
        .about([dataset.name()]);
    }
    let Some((system, facts)) = cx.system else { return };
    // How a line is folded in YAML is no other purpose.
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let purpose = plain(&facts.purpose);
    if !spec.permitted_purposes.iter().any(|p| plain(p) == purpose) {
        out.not_met(
            GATE,
            Reason::DatasetPurposeNotPermitted,
            named.name,
            format!("the purpose of {} in permittedPurposes of Dataset {}", system.name(), dataset.name()),
            match spec.permitted_purposes.len() {
                1 => "the purpose permitted is another one".to_owned(),
                more => format!("each of the {more} purposes permitted is another one"),
            },
            CUSTODIAN,
            format!(
                "if the data may serve it, in the words of ais/{}: {}",
                system.name(),
                mend(cx, dataset.name())
            ),
        )
        .about([system.digest(), dataset.name(), dataset.digest()]);
    }
}

/// Whether a text says something.
fn seen(text: Option<&str>) -> bool {
    text.is_some_and(|text| !blank(text))
}

/// The field of a fact, and whether the Dataset fills it in.
fn fact(fact: DataFact, spec: &DatasetSpec) -> (&'static str, bool) {
    let from = &spec.provenance;
    match fact {
        DataFact::Custodian => ("custodian", seen(spec.custodian.as_deref())),
        DataFact::Acquisition => ("provenance.acquisition", from.acquisition.is_some()),
        DataFact::CollectionPeriod => (
            "provenance.collectedFrom and collectedUntil",
            from.collected_from.is_some() && from.collected_until.is_some(),
        ),
        DataFact::Process => ("provenance.process", from.process.is_some()),
        DataFact::Preprocessing => ("preprocessing", spec.preprocessing.iter().flatten().next().is_some()),
        DataFact::Licence => ("licence", seen(spec.licence.as_deref())),
        DataFact::LegalBasis => {
            let people = &spec.personal_data;
            ("personalData.legalBasis", !people.contained || seen(people.legal_basis.as_deref()))
        }
    }
}

fn facts(
    cx: &Context<'_>,
    rules: &DataRules,
    named: &Named<'_>,
    (dataset, spec): Found<'_>,
    out: &mut Outcome,
) {
    for wanted in &rules.facts {
        let (field, there) = fact(*wanted, spec);
        if !there {
            fact_missing(cx, (named.name, dataset.name()), &format!("{wanted:?}"), field, out);
        }
    }
}

fn fact_missing(cx: &Context<'_>, (item, dataset): (&str, &str), fact: &str, field: &str, out: &mut Outcome) {
    out.not_met(
        GATE,
        Reason::DatasetFactMissing,
        format!("{item} {fact}"),
        format!("spec.{field} of Dataset {dataset}, which {} asks for", cx.policy_names()),
        "it is left out, or nothing of it can be seen",
        CUSTODIAN,
        mend(cx, dataset),
    )
    .about([dataset]);
}

/// Personal data and special categories of it.
fn people(cx: &Context<'_>, named: &Named<'_>, (dataset, spec): Found<'_>, out: &mut Outcome) {
    let people = &spec.personal_data;
    let basis = people.special_basis.as_ref();
    let based = basis.is_some_and(|b| seen(Some(&*b.provision)) && seen(Some(&*b.justification)));
    if !people.special_categories.is_empty() && !based {
        let held: Vec<String> = people.special_categories.iter().map(|c| format!("{c:?}")).collect();
        out.not_met(
            GATE,
            Reason::SpecialCategoryWithoutBasis,
            named.name,
            "personalData.specialBasis: why these may be used (AI Act Article 10(5), GDPR Articles 9(2) and 10)",
            format!("Dataset {} holds {} and names none", dataset.name(), held.join(", ")),
            format!("{CUSTODIAN}, with the data protection officer"),
            mend(cx, dataset.name()),
        )
        .about([dataset.name()]);
    }
    let Some((system, facts)) = cx.system else { return };
    let denied = facts.triggers.as_ref().and_then(|t| t.personal_data) == Some(false);
    if people.contained && denied {
        out.not_met(
            GATE,
            Reason::PersonalDataNotDeclared,
            named.name,
            format!("triggers.personalData: true of AISystem {}", system.name()),
            format!("it says false, and Dataset {} holds personal data", dataset.name()),
            "system owner",
            cx.command(&format!("kubectl edit ais/{}", system.name())),
        )
        .about([system.name(), dataset.name()]);
    }
}

/// How old the data is, and until when it may be used.
fn dates(
    cx: &Context<'_>,
    rules: &DataRules,
    named: &Named<'_>,
    (dataset, spec): Found<'_>,
    out: &mut Outcome,
) {
    let until = spec.valid_until.as_ref().and_then(time::moment);
    if let Some(until) = until.filter(|until| cx.now.reached(*until)) {
        out.not_met(
            GATE,
            Reason::DatasetExpired,
            named.name,
            "a dataset that may be used now",
            format!("Dataset {} may be used until {} only", dataset.name(), time::day(until)),
            CUSTODIAN,
            "if the licence or the term was prolonged: ".to_owned() + &mend(cx, dataset.name()),
        )
        .about([dataset.name().to_owned(), until.to_string()]);
    }
    let to_come = |at: &&Moment| cx.now.has_come(at) == Some(false);
    let collected = [&spec.provenance.collected_from, &spec.provenance.collected_until];
    if let Some(at) = collected.into_iter().flatten().find(to_come) {
        out.unknown(
            GATE,
            Reason::DatasetNotValid,
            named.name,
            "data of days that have come",
            format!("Dataset {} is of {at}, which is still to come", dataset.name()),
            CUSTODIAN,
            mend(cx, dataset.name()),
        )
        .about([dataset.name(), at.as_str()]);
    }
    let Some(days) = rules.max_age_days else { return };
    let Some(end) = spec.provenance.collected_until.as_ref().and_then(time::moment) else {
        let field = "provenance.collectedUntil";
        return fact_missing(cx, (named.name, dataset.name()), "age", field, out);
    };
    let end = dataset.standing().map_or(end, |s| end.min(s.created_at));
    if cx.now.reached(time::days_after(end, days)) {
        out.not_met(
            GATE,
            Reason::DatasetStale,
            named.name,
            format!("data of at most {days} days, as {} asks", cx.policy_names()),
            format!("Dataset {} ends on {}", dataset.name(), time::day(end)),
            "data scientist",
            cx.new_release("of a model that was trained and evaluated on newer data"),
        )
        .about([dataset.name().to_owned(), end.to_string(), days.to_string()]);
    }
}
