//! Who is taken to have written what, and who holds which role, where no stamp says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use placet_api::Kind;
use placet_gate::stamp::{Identity, RoleAnswer, StampText};

use crate::files::Loaded;
use crate::{sys, target};

/// Who wrote the objects that carry no stamp.
#[derive(Debug, Default)]
pub struct Authors {
    all: Option<String>,
    one: BTreeMap<(Kind, String), String>,
}

impl Authors {
    /// Reads `USER` and `KIND/NAME=USER`.
    ///
    /// # Errors
    /// Two users for everything, or an empty one.
    pub fn parse(given: &[String]) -> anyhow::Result<Self> {
        let mut out = Self::default();
        for text in given {
            let object = text.split_once('=').and_then(|(object, user)| {
                let (kind, name) = object.split_once('/')?;
                Some(((target::kind(kind)?, name.to_owned()), user.to_owned()))
            });
            match object {
                Some((_, user)) if user.is_empty() => bail!("--as: wanted KIND/NAME=USER, found {text:?}"),
                Some((key, user)) => {
                    out.one.insert(key, user);
                }
                None if text.is_empty() => bail!("--as: wanted a user, found nothing"),
                None => {
                    if let Some(other) = out.all.replace(text.clone()) {
                        bail!("--as: wanted one user for everything else, found {other} and {text}");
                    }
                }
            }
        }
        Ok(out)
    }

    /// Who wrote an object.
    pub fn of(&self, object: &Loaded) -> Option<&str> {
        self.one.get(&(object.kind, object.name.clone())).or(self.all.as_ref()).map(String::as_str)
    }
}

/// Who holds which role.
#[derive(Debug)]
pub struct Roles(BTreeMap<String, BTreeSet<String>>);

impl Roles {
    /// Reads `{role: [users]}`; who may report in a role is under `report/role`.
    ///
    /// # Errors
    /// The file is not that.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = sys::read_text(path)?;
        let roles = serde_saphyr::from_str(&text).with_context(|| {
            format!("--roles {}: wanted YAML of the form {{role: [users]}}", path.display())
        })?;
        Ok(Self(roles))
    }
}

/// The stamp of an object that carries none; `signer` is whose signature it carries, if any; `reports_in`: roles in which a report
/// of its type is asked for.
pub fn stamp(
    object: &Loaded,
    user: &str,
    signer: Option<&str>,
    now: Timestamp,
    roles: Option<&Roles>,
    reports_in: &BTreeSet<String>,
) -> StampText {
    let holder = signer.unwrap_or(user);
    let role = object.value.pointer("/spec/role").and_then(serde_json::Value::as_str);
    let decides = matches!(object.kind, Kind::Approval | Kind::RiskAcceptance);
    let role = role.filter(|_| decides).map(|role| RoleAnswer {
        name: role.to_owned(),
        // Where holdings are not given, a finding of its own says that they are not known, and nothing is cleared.
        user: signer.map(str::to_owned),
        allowed: roles.is_none_or(|r| r.0.get(role).is_some_and(|users| users.contains(holder))),
        wildcard: false,
        at: now,
    });
    let may_report = |role: &str| {
        roles.is_none_or(|r| r.0.get(&format!("report/{role}")).is_some_and(|users| users.contains(user)))
    };
    let reports = reports_in.iter().map(|role| RoleAnswer {
        name: role.clone(),
        user: None,
        allowed: may_report(role),
        wildcard: false,
        at: now,
    });
    let reports = reports.collect();
    StampText {
        role,
        reports,
        ..StampText::new(Identity { user: user.to_owned(), ..Identity::default() }, now)
    }
}

/// Reads `KEY=VALUE` pairs.
///
/// # Errors
/// A text without `=`.
pub fn labels(given: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    given
        .iter()
        .map(|text| {
            let (key, value) = text
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .with_context(|| format!("--namespace-labels: wanted KEY=VALUE, found {text:?}"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_author_for_all_and_others_by_name() {
        let given: Vec<String> = ["alice", "apv/a=bob"].map(str::to_owned).to_vec();
        let authors = Authors::parse(&given).unwrap();
        assert_eq!(authors.one[&(Kind::Approval, "a".into())], "bob");
        assert_eq!(authors.all.as_deref(), Some("alice"));
        assert!(Authors::parse(&["a".into(), "b".into()]).is_err());
        assert!(labels(&["x".into()]).is_err());
    }
}
