//! Which obligations apply to a system, and from when. What they are and their dates is data of the policies
//! ([`Obligation`]); here is only how a system's facts are held against it: region, role, class and grounds, deployers, and
//! when it was placed on the market. What a system does not say is taken as what brings the earlier date.

use jiff::Timestamp;
use placet_api::aisystem::{AISystemSpec, DeployerKind, Modification, OrganisationRole};
use placet_api::common::Class;
use placet_api::obligation::{Obligation, Transitional};
use placet_api::scalar::{Line, Moment};
use serde::Serialize;

use crate::class::{Derived, Ground};
use crate::regions;
use crate::time::{self, Now};

/// An obligation with its days read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dated {
    /// The obligation.
    pub obligation: Obligation,
    from: Timestamp,
    transitional: Vec<Rule>,
}

/// A transitional rule with its days read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Rule {
    placed_before: Timestamp,
    deployers: Option<Vec<DeployerKind>>,
    from: Option<Timestamp>,
    until_design_change: bool,
}

impl Dated {
    /// Reads the days of an obligation.
    ///
    /// # Errors
    /// It can never be held against a system as it is meant: a day does not exist, or nothing has one of its grounds.
    pub fn new(obligation: Obligation) -> Result<Self, String> {
        let id = &obligation.id;
        let day = |text: &Moment| {
            time::moment(text).ok_or_else(|| {
                format!("obligation {id}: wanted a day that exists, found {:?}", text.as_str())
            })
        };
        let rule = |rule: &Transitional| {
            Ok(Rule {
                placed_before: day(&rule.placed_before)?,
                deployers: rule.deployers.clone(),
                from: rule.from.as_ref().map(day).transpose()?,
                until_design_change: rule.until_design_change == Some(true),
            })
        };
        let transitional =
            obligation.transitional.iter().flatten().map(rule).collect::<Result<_, String>>()?;
        let from = day(&obligation.from)?;
        if let Some(unknown) = obligation.grounds.iter().flatten().find(|g| !is_ground(g)) {
            return Err(format!(
                "obligation {id}: wanted a ground such as AnnexI, AnnexIII/5(b), Article50/2, Article5Exception, Derogation, \
                 Profiling or PersonalData, found {:?}",
                unknown.as_str()
            ));
        }
        Ok(Self { obligation, from, transitional })
    }
}

/// An obligation of a system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<'a> {
    /// The obligation.
    pub obligation: &'a Obligation,
    /// From when it applies to this system.
    pub from: Timestamp,
}

/// Obligations of a system, by date and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations<'a> {
    /// Those that apply.
    pub apply: Vec<Due<'a>>,
    /// Those to come.
    pub next: Vec<Due<'a>>,
}

/// Obligations that apply to a system now, and those to come. The days of those to come bound how long that holds.
pub fn of<'a>(
    system: &AISystemSpec,
    derived: &Derived,
    obligations: impl IntoIterator<Item = &'a Dated>,
    now: &Now,
) -> Obligations<'a> {
    let roles = roles(system, derived);
    // A day that does not exist is none: then there is no other date.
    let placed = system.placed_on_market_at.as_ref().and_then(time::moment);
    let changed = system.design_changed_at.as_ref().map(|at| time::moment(at).unwrap_or(Timestamp::MIN));
    let mut out = Obligations::default();
    let obligations: Vec<&Dated> = obligations.into_iter().collect();
    let anywhere = system.intended_use.regions.is_empty()
        || !unknown_regions(system, obligations.iter().copied()).is_empty();
    for dated in obligations {
        let obligation = &dated.obligation;
        let concerns = is_class(obligation, derived.class)
            && obligation.grounds.as_ref().is_none_or(|g| g.iter().any(|g| has_ground(system, derived, g)))
            && obligation.roles.as_ref().is_none_or(|wanted| wanted.iter().any(|r| roles.contains(r)))
            && (anywhere || is_used_in(obligation, system));
        if !concerns {
            continue;
        }
        let deployers = system.intended_use.deployers.as_deref();
        let Some(from) = begins(dated, deployers, (placed, changed)) else { continue };
        let due = Due { obligation, from };
        if now.reached(from) { out.apply.push(due) } else { out.next.push(due) }
    }
    for list in [&mut out.apply, &mut out.next] {
        list.sort_by(|a, b| (a.from, &a.obligation.id).cmp(&(b.from, &b.obligation.id)));
    }
    out
}

/// Why obligations of a provider apply to an organisation that is none by what it says: it changed the model of a supplier
/// substantially, and the system is High (AI Act Article 25(1)(b)). None where it says so, or did not.
pub fn provider_because(system: &AISystemSpec, class: Option<Class>) -> Option<String> {
    let says = system.organisation_roles.contains(&OrganisationRole::Provider);
    let changed = changed_suppliers(system).collect::<Vec<_>>();
    (class == Some(Class::High) && !says && !changed.is_empty()).then(|| {
        format!(
            "Article 25(1)(b): the model of {} is substantially modified, so that you are the provider of a High system",
            changed.join(", ")
        )
    })
}

/// Suppliers whose model was changed substantially.
fn changed_suppliers(system: &AISystemSpec) -> impl Iterator<Item = &str> {
    let changed = system.suppliers.iter().flatten();
    changed.filter(|s| s.modification == Some(Modification::Substantial)).map(|s| s.name.as_str())
}

fn roles(system: &AISystemSpec, derived: &Derived) -> Vec<OrganisationRole> {
    let provider = provider_because(system, derived.class).map(|_| OrganisationRole::Provider);
    system.organisation_roles.iter().copied().chain(provider).collect()
}

/// While the class is not known, it may be any.
fn is_class(obligation: &Obligation, class: Option<Class>) -> bool {
    let (Some(wanted), Some(class)) = (&obligation.classes, class) else { return true };
    wanted.contains(&class)
}

fn is_used_in(obligation: &Obligation, system: &AISystemSpec) -> bool {
    let used = &system.intended_use.regions;
    let Some(wanted) = &obligation.regions else { return true };
    wanted.iter().any(|w| used.iter().any(|u| regions::overlap(u, w)))
}

/// Regions of a system that may be any: neither the EU nor a country by its code, nor what one of these obligations names.
pub fn unknown_regions<'s, 'o>(
    system: &'s AISystemSpec,
    obligations: impl IntoIterator<Item = &'o Dated>,
) -> Vec<&'s str> {
    let used = system.intended_use.regions.iter().map(Line::as_str);
    let mut unknown: Vec<&str> = used.filter(|used| !regions::is_known(used)).collect();
    if unknown.is_empty() {
        return unknown;
    }
    let mut named = obligations.into_iter().flat_map(|o| o.obligation.regions.iter().flatten()).peekable();
    if named.peek().is_none() {
        return Vec::new();
    }
    for region in named {
        unknown.retain(|used| !regions::overlap(used, region));
    }
    unknown
}

/// What a system's class rests on, in the words of [`Obligation::grounds`]: what is before the slash, and all that is behind it.
fn grounds<'a>(
    system: &AISystemSpec,
    derived: &'a Derived,
) -> impl Iterator<Item = (&'static str, &'a [String])> {
    let of_class = derived.basis.iter().filter_map(|ground| match ground {
        Ground::Article5Excepted { .. } => Some(("Article5Exception", [].as_slice())),
        Ground::AnnexI { .. } => Some(("AnnexI", [].as_slice())),
        Ground::AnnexIII { points } => Some(("AnnexIII", points.as_slice())),
        Ground::Derogated { .. } => Some(("Derogation", [].as_slice())),
        Ground::Article50 { paragraph } => Some(("Article50", std::slice::from_ref(paragraph))),
        Ground::Article5 { .. }
        | Ground::Article5NotYet { .. }
        | Ground::AnnexIIIExcepted { .. }
        | Ground::Profiling
        | Ground::NoTrigger => None,
    });
    let triggers = system.triggers.as_ref();
    let profiling = triggers.filter(|t| t.profiling == Some(true)).map(|_| ("Profiling", [].as_slice()));
    let personal =
        triggers.filter(|t| t.personal_data == Some(true)).map(|_| ("PersonalData", [].as_slice()));
    of_class.chain(profiling).chain(personal)
}

/// Whether one of the grounds is the wanted one, a part of it, or may be it: a point that is given without its letter.
fn has_ground(system: &AISystemSpec, derived: &Derived, wanted: &str) -> bool {
    let (act, wanted) = wanted.split_once('/').map_or((wanted, None), |(act, point)| (act, Some(point)));
    let part = |of: &str, whole: &str| {
        of.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('('))
    };
    grounds(system, derived).any(|(of, points)| {
        let fits = |wanted| points.iter().any(|have| part(have, wanted) || part(wanted, have));
        of == act && wanted.is_none_or(fits)
    })
}

/// From when an obligation applies to a system; None: never. A system that several kinds of deployers use, or that does not
/// say who does, has the earliest date of them.
fn begins(
    dated: &Dated,
    deployers: Option<&[DeployerKind]>,
    (placed, changed): (Option<Timestamp>, Option<Timestamp>),
) -> Option<Timestamp> {
    let all = [DeployerKind::PublicAuthority, DeployerKind::PublicServiceProvider, DeployerKind::Private];
    let wanted = dated.obligation.deployers.as_ref();
    let concerned = deployers.unwrap_or(&all).iter().filter(|d| wanted.is_none_or(|w| w.contains(d)));
    let begins_for = |deployer: &DeployerKind| {
        let fits = |rule: &&Rule| {
            placed.is_some_and(|placed| placed < rule.placed_before)
                && rule.deployers.as_ref().is_none_or(|wanted| wanted.contains(deployer))
        };
        let mut rules = dated.transitional.iter().filter(fits).peekable();
        if rules.peek().is_none() {
            return Some(dated.from);
        }
        // Never before it applies to anybody.
        let anew = |rule: &Rule| changed.map(|at| at.max(dated.from)).filter(|_| rule.until_design_change);
        rules.flat_map(|rule| rule.from.into_iter().chain(anew(rule))).min()
    };
    concerned.filter_map(begins_for).min()
}

fn is_ground(text: &str) -> bool {
    let one_of = |text: &str, range: std::ops::RangeInclusive<char>| {
        let mut chars = text.chars();
        chars.next().is_some_and(|c| range.contains(&c)) && chars.next().is_none()
    };
    match text.split_once('/') {
        None => [
            "AnnexI",
            "AnnexIII",
            "Article50",
            "Article5Exception",
            "Derogation",
            "Profiling",
            "PersonalData",
        ]
        .contains(&text),
        Some(("Article50", paragraph)) => one_of(paragraph, '1'..='4'),
        Some(("AnnexIII", point)) => match point.split_once('(') {
            None => one_of(point, '1'..='8'),
            Some((point, letter)) => {
                one_of(point, '1'..='8') && letter.strip_suffix(')').is_some_and(|l| one_of(l, 'a'..='g'))
            }
        },
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn system(patch: &Value) -> AISystemSpec {
        let mut value = json!({
            "title": "Scoring", "owner": {"function": "Lending"}, "organisationRoles": ["Deployer"], "purpose": "Estimate",
            "intendedUse": {"users": [], "decisions": [], "affectedGroups": [], "regions": ["EU"]},
            "triggers": {"annexIII": ["5(b)"], "article5": [], "annexI": [], "article50": ["2"], "profiling": true, "personalData": true},
            "stage": "Operation",
        });
        for (key, patched) in patch.as_object().unwrap() {
            let inner = patched.as_object().filter(|_| value[key].is_object());
            match inner {
                Some(fields) => fields.iter().for_each(|(k, v)| value[key][k] = v.clone()),
                None => value[key] = patched.clone(),
            }
        }
        serde_json::from_value(value).unwrap()
    }

    fn obligation(patch: &Value) -> Result<Dated, String> {
        let mut value = json!({
            "id": "O", "version": "1", "title": "Do it", "jurisdiction": "EU", "article": "Article 1", "from": "2027-12-02",
            "source": "the act",
        });
        patch.as_object().unwrap().iter().for_each(|(k, v)| value[k] = v.clone());
        Dated::new(serde_json::from_value(value).unwrap())
    }

    /// From when an obligation applies: the day, or `never`.
    fn from(of_obligation: &Value, of_system: &Value) -> String {
        let (obligation, system) = (obligation(of_obligation).unwrap(), system(of_system));
        let now = Now::new("2026-11-20T12:00:00Z".parse().unwrap());
        let all = of(&system, &crate::class::derive(&system), [&obligation], &now);
        assert!(all.apply.len() + all.next.len() <= 1);
        let due = all.apply.first().or(all.next.first());
        assert_eq!(
            now.horizon(),
            all.next.first().map(|d| d.from),
            "the next day bounds the answer, and no other"
        );
        due.map_or("never".into(), |d| d.from.strftime("%Y-%m-%d").to_string())
    }

    #[test]
    fn region_role_class_ground_and_deployer_each_have_to_fit() {
        let is = "2027-12-02";
        for (obligation, of_system, wanted) in [
            (json!({}), json!({}), is),
            (json!({"regions": ["eu", "UK"]}), json!({}), is),
            (json!({"regions": ["UK"]}), json!({}), "never"),
            (json!({"regions": ["UK"]}), json!({"intendedUse": {"regions": []}}), is),
            (json!({"regions": ["EU"]}), json!({"intendedUse": {"regions": ["DE"]}}), is),
            (json!({"regions": ["DE"]}), json!({}), is),
            (json!({"regions": ["FR"]}), json!({"intendedUse": {"regions": ["DE"]}}), "never"),
            (json!({"regions": ["EU"]}), json!({"intendedUse": {"regions": ["US", "UK"]}}), "never"),
            // Who knows where that is: it may be any.
            (json!({"regions": ["EU"]}), json!({"intendedUse": {"regions": ["US", "Germany"]}}), is),
            (json!({"regions": ["California"]}), json!({"intendedUse": {"regions": ["california"]}}), is),
            (json!({"regions": ["California"]}), json!({"intendedUse": {"regions": ["US"]}}), "never"),
            (json!({"roles": ["Provider", "Deployer"]}), json!({}), is),
            (json!({"roles": ["Provider"]}), json!({}), "never"),
            (json!({"roles": ["Provider"]}), json!({"organisationRoles": ["Deployer", "Provider"]}), is),
            (json!({"classes": ["High"]}), json!({}), is),
            (json!({"classes": ["Limited"]}), json!({}), "never"),
            // High and Article 50 at once: both.
            (json!({"grounds": ["Article50"]}), json!({}), is),
            (json!({"grounds": ["Article50/2"]}), json!({}), is),
            (json!({"grounds": ["Article50/1"]}), json!({}), "never"),
            (json!({"grounds": ["AnnexIII"]}), json!({}), is),
            (json!({"grounds": ["AnnexIII/5"]}), json!({}), is),
            (json!({"grounds": ["AnnexIII/5(b)", "AnnexI"]}), json!({}), is),
            (json!({"grounds": ["AnnexIII/5(c)"]}), json!({}), "never"),
            (json!({"grounds": ["AnnexI"]}), json!({}), "never"),
            (json!({"grounds": ["AnnexI"]}), json!({"triggers": {"annexI": ["Machinery"]}}), is),
            // A point without its letter may be each of them.
            (json!({"grounds": ["AnnexIII/5(c)"]}), json!({"triggers": {"annexIII": ["5"]}}), is),
            (json!({"grounds": ["Profiling"]}), json!({}), is),
            (json!({"grounds": ["PersonalData"]}), json!({"triggers": {"personalData": false}}), "never"),
            (json!({"deployers": ["PublicAuthority"]}), json!({}), is),
            (
                json!({"deployers": ["PublicAuthority"]}),
                json!({"intendedUse": {"deployers": ["Private"]}}),
                "never",
            ),
        ] {
            assert_eq!(from(&obligation, &of_system), wanted, "{obligation} {of_system}");
        }
    }

    #[test]
    fn a_system_of_before_has_the_earliest_date_of_the_rules_that_fit() {
        let legacy = json!({"transitional": [
            {"placedBefore": "2027-12-02", "untilDesignChange": true},
            {"placedBefore": "2027-12-02", "deployers": ["PublicAuthority"], "from": "2030-08-02", "untilDesignChange": true}]});
        let only_public = json!({"transitional": [
            {"placedBefore": "2027-12-02", "deployers": ["PublicAuthority"], "from": "2030-08-02"}]});
        let placed = |deployers: Value| {
            let mut out = json!({"placedOnMarketAt": "2026-01-01"});
            if !deployers.is_null() {
                out["intendedUse"] = json!({"deployers": deployers});
            }
            out
        };
        let both = json!(["Private", "PublicAuthority"]);
        for (obligation, of_system, wanted) in [
            (&legacy, json!({}), "2027-12-02"),
            (&legacy, json!({"placedOnMarketAt": "2027-12-02"}), "2027-12-02"),
            (&legacy, json!({"placedOnMarketAt": "2026-02-30"}), "2027-12-02"),
            (&legacy, placed(json!(["Private"])), "never"),
            (&legacy, placed(json!(["PublicAuthority"])), "2030-08-02"),
            (&legacy, placed(both.clone()), "2030-08-02"),
            (&legacy, placed(Value::Null), "2030-08-02"),
            (&only_public, placed(json!(["PublicAuthority"])), "2030-08-02"),
            (&only_public, placed(both), "2027-12-02"),
            (&only_public, placed(Value::Null), "2027-12-02"),
        ] {
            assert_eq!(from(obligation, &of_system), wanted, "{obligation} {of_system}");
        }
        let changed = |at: &str| json!({"placedOnMarketAt": "2026-01-01", "designChangedAt": at, "intendedUse": {"deployers": ["Private"]}});
        assert_eq!(from(&legacy, &changed("2028-03-01")), "2028-03-01");
        assert_eq!(from(&legacy, &changed("2026-03-01")), "2027-12-02", "never before it applies to anybody");
        // A shorter term for systems of before.
        let marking = json!({"from": "2026-08-02", "transitional": [{"placedBefore": "2026-08-02", "from": "2026-12-02"}]});
        assert_eq!(from(&marking, &json!({"placedOnMarketAt": "2026-08-01"})), "2026-12-02");
        assert_eq!(from(&marking, &json!({"placedOnMarketAt": "2026-08-02"})), "2026-08-02");
    }

    #[test]
    fn who_modifies_a_suppliers_model_substantially_is_its_provider() {
        let of_provider = json!({"roles": ["Provider"]});
        let modified = |how: &str| json!({"suppliers": [{"name": "acme", "modification": how}]});
        assert_eq!(from(&of_provider, &modified("Unmodified")), "never");
        assert_eq!(from(&of_provider, &modified("Foreseen")), "never");
        assert_eq!(from(&of_provider, &modified("Substantial")), "2027-12-02");
        let mut limited = modified("Substantial");
        limited["triggers"] = json!({"annexIII": []});
        assert_eq!(from(&of_provider, &limited), "never", "Article 25 is about High systems");
        let said = provider_because(&system(&modified("Substantial")), Some(Class::High)).unwrap();
        assert!(said.contains("acme"), "{said}");
    }

    #[test]
    fn what_can_never_apply_is_told() {
        for (patch, wanted) in [
            (json!({"from": "2027-02-30"}), "wanted a day that exists, found \"2027-02-30\""),
            (
                json!({"transitional": [{"placedBefore": "2027-13-01"}]}),
                "wanted a day that exists, found \"2027-13-01\"",
            ),
            (json!({"grounds": ["AnnexIII/9"]}), "found \"AnnexIII/9\""),
            (json!({"grounds": ["AnnexIII/5(x)"]}), "found \"AnnexIII/5(x)\""),
            (json!({"grounds": ["Article51"]}), "found \"Article51\""),
        ] {
            let said = obligation(&patch).unwrap_err();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
