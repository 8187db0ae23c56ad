//! Counts per group of people: a table as `placet report counts` reads it, or JSON:
//!
//! ```json
//! {"schema": "placet.dev/counts/v1", "tool": {"name": "fairlearn", "version": "0.15.0"}, "ranAt": "2026-11-22T06:55:00Z",
//!  "positiveMeans": "Favourable", "artifact": "sha256:…", "dataset": "sha256:…",
//!  "groups": [{"attributes": {"sex": "female"}, "n": 5, "tp": 2, "fp": 1, "fn": 1, "tn": 1}]}
//! ```
//!
//! All fields but `schema` and `groups` may be left out.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use placet_api::scalar::{Id, Title};
use placet_gate::fairness::{Counts, Group, PositiveMeans};

use super::found::Found;
use super::node::{At, Node};

/// Values of attributes in one group, by the API's schema.
const MOST_ATTRIBUTES: usize = 8;

/// A table.
pub fn table(text: &str, file: &str) -> anyhow::Result<Found> {
    let groups = crate::report::read(text, file)?;
    Ok(Found { notes: crate::report::alone(&groups), groups, ..Found::default() })
}

/// The same as JSON.
pub fn object(at: &At<'_>) -> anyhow::Result<Found> {
    only(at, &["schema", "tool", "ranAt", "positiveMeans", "artifact", "dataset", "groups"])?;
    let schema = at.field("schema")?;
    if schema.text()? != "placet.dev/counts/v1" {
        return Err(schema.wanted("placet.dev/counts/v1"));
    }
    let text = |name: &str| at.get(name).map(|v| v.text().map(str::to_owned)).transpose();
    let tool = match at.get("tool") {
        Some(tool) => {
            only(&tool, &["name", "version"])?;
            Some((tool.field("name")?.text()?.to_owned(), tool.field("version")?.text()?.to_owned()))
        }
        None => None,
    };
    let positive_means = match at.get("positiveMeans") {
        Some(means) => Some(match means.text()? {
            "Favourable" => PositiveMeans::Favourable,
            "Unfavourable" => PositiveMeans::Unfavourable,
            _ => return Err(means.wanted("Favourable or Unfavourable")),
        }),
        None => None,
    };
    let groups = at.field("groups")?;
    let items = groups.items()?;
    if items.is_empty() {
        return Err(groups.wanted("at least one group"));
    }
    let groups = items.iter().map(group).collect::<anyhow::Result<Vec<Group>>>()?;
    Ok(Found {
        tool,
        ran_at: at.get("ranAt").map(|t| super::time(&t)).transpose()?,
        artifacts: text("artifact")?.into_iter().collect(),
        dataset: text("dataset")?,
        positive_means,
        notes: crate::report::alone(&groups),
        groups,
        ..Found::default()
    })
}

/// A group.
fn group(at: &At<'_>) -> anyhow::Result<Group> {
    only(at, &["attributes", "n", "tp", "fp", "fn", "tn"])?;
    let named = at.field("attributes")?;
    let mut attributes = BTreeMap::new();
    for (name, value) in named.fields()? {
        Id::new(name).with_context(|| named.place().to_owned())?;
        // A group of rows whose attribute is not known has a name as well: none may be lost.
        if *value.node == Node::Null {
            return Err(value.wanted("a value; one that is not known is written (missing)"));
        }
        let title = Title::new(value.text()?).with_context(|| value.place().to_owned())?;
        attributes.insert(name.to_owned(), title.to_string());
    }
    if attributes.is_empty() || attributes.len() > MOST_ATTRIBUTES {
        bail!("{}: wanted 1 to {MOST_ATTRIBUTES} attributes, found {}", named.place(), attributes.len());
    }
    let count = |name: &str| -> anyhow::Result<i64> { Ok(i64::try_from(at.field(name)?.count()?)?) };
    let counts = Counts::new(count("n")?, count("tp")?, count("fp")?, count("fn")?, count("tn")?)
        .with_context(|| at.place().to_owned())?;
    Ok(Group { attributes, counts })
}

/// Refuses a field that is not known: what it says would be lost.
fn only(at: &At<'_>, known: &[&str]) -> anyhow::Result<()> {
    match at.fields()?.iter().find(|(key, _)| !known.contains(key)) {
        Some((key, _)) => bail!("{}: wanted the fields {}, found {key}", at.place(), known.join(", ")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::Document;
    use super::*;

    fn run(text: &str) -> anyhow::Result<Found> {
        let Document::One(node) = Document::read(text, "c.json").unwrap() else { panic!("{text}") };
        object(&At::root(&node, "c.json"))
    }

    fn groups(groups: &str) -> String {
        format!(r#"{{"schema": "placet.dev/counts/v1", "groups": {groups}}}"#)
    }

    #[test]
    fn counts_that_are_none_are_refused_where_they_stand() {
        let group = |counts: &str| groups(&format!(r#"[{{"attributes": {{"sex": "f"}}, {counts}}}]"#));
        let found = run(&group(r#""n": 3, "tp": 1.0, "fp": 1, "fn": 0, "tn": 1"#)).unwrap();
        assert_eq!(found.groups[0].counts.n(), 3);
        assert!(found.notes[0].contains("at least two groups"), "{found:?}");
        for (text, wanted) in [
            (group(r#""n": 3, "tp": 1, "fp": 1, "fn": 0, "tn": 2"#), "c.json: groups.0"),
            (group(r#""n": 3, "tp": -1, "fp": 1, "fn": 0, "tn": 3"#), "groups.0.tp: wanted a whole number"),
            (
                group(r#""n": 3, "tp": 0.5, "fp": 1, "fn": 0, "tn": 1.5"#),
                "groups.0.tp: wanted a whole number",
            ),
            (
                group(r#""n": 9223372036854775807, "tp": 0, "fp": 0, "fn": 0, "tn": 0"#),
                "groups.0.n: wanted a whole",
            ),
            (group(r#""n": NaN, "tp": 0, "fp": 0, "fn": 0, "tn": 0"#), "groups.0.n: wanted a whole"),
            (group(r#""n": 1, "tp": 1, "fp": 0, "fn": 0"#), "groups.0: wanted the field tn"),
            (group(r#""n": 1, "tp": 1, "fp": 0, "fn": 0, "tn": 0, "weight": 2"#), "found weight"),
            (groups("[]"), "c.json: groups: wanted at least one group"),
            (
                groups(r#"[{"attributes": {}, "n": 0, "tp": 0, "fp": 0, "fn": 0, "tn": 0}]"#),
                "wanted 1 to 8 attributes",
            ),
            (
                groups(r#"[{"attributes": {"sex": null}, "n": 0, "tp": 0, "fp": 0, "fn": 0, "tn": 0}]"#),
                "groups.0.attributes.sex: wanted a value; one that is not known is written (missing)",
            ),
            (
                groups(r#"[{"attributes": {"se x": "f"}, "n": 0, "tp": 0, "fp": 0, "fn": 0, "tn": 0}]"#),
                "groups.0.attributes",
            ),
            (
                r#"{"schema": "placet.dev/counts/v2", "groups": []}"#.into(),
                "schema: wanted placet.dev/counts/v1",
            ),
            (r#"{"schema": "placet.dev/counts/v1", "group": []}"#.into(), "found group"),
        ] {
            let e = format!("{:#}", run(&text).unwrap_err());
            assert!(e.contains(wanted), "{text}: {e}");
        }
    }
}
