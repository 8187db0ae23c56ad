//! `placet report counts`: a TestReport from a table of counts per group. It holds counts only; Placet computes every
//! rate, interval and verdict from them. `placet report import` is a module of its own.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use csv::StringRecord;
use placet_api::scalar::{Digest, Id, Name, Title};
use placet_api::testreport::TestReportSpec;
use placet_gate::fairness::{Counts, Group, MAX_GROUPS, PositiveMeans, Table};
use placet_gate::visible;
use serde_json::{Value, json};

use crate::args::{CountsArgs, Global, PositiveArg, ReportCommand};
use crate::{sys, text, yaml};

/// The columns that every table ends with.
const COUNTS: [&str; 5] = ["n", "tp", "fp", "fn", "tn"];

/// The value of rows whose attribute is not known.
const MISSING: &str = "(missing)";

/// Runs the command.
pub fn run(global: &Global, command: &ReportCommand) -> anyhow::Result<u8> {
    let args = match command {
        ReportCommand::Counts(args) => args,
        ReportCommand::Import(args) => return crate::import::run(global, args),
    };
    let table = sys::read_text(&args.file)?;
    let file = args.file.display().to_string();
    let now = args.ran_at.clone().unwrap_or_else(|| text::seconds(sys::now()));
    let report = counts(global, args, &table, &file, &now)?;
    let mut notes = alone(&read(&table, &file)?);
    if notes.is_empty() {
        notes.extend(unjudged(&serde_json::from_value(report["spec"].clone()).context("the TestReport")?));
    }
    for note in notes {
        sys::tell(&visible::line(&format!("note: {file}: {note}")));
    }
    sys::print(&yaml::document(&report))?;
    Ok(0)
}

/// Why no gate would judge a report, whatever policies ask for.
pub fn unjudged(spec: &TestReportSpec) -> Option<String> {
    let why = placet_gate::gates::tests::check(spec).err()?;
    Some(format!(
        "no gate judges this report: {why}; mend the rows that it was counted from, and count again"
    ))
}

/// What says nothing about fairness: attributes of which one value is known.
pub fn alone(groups: &[Group]) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (attribute, value) in groups.iter().flat_map(|g| &g.attributes) {
        let known = values.entry(attribute).or_default();
        known.extend(Some(value.as_str()).filter(|v| *v != MISSING));
    }
    let lone = values.into_iter().filter(|(_, known)| known.len() < 2);
    lone.map(|(attribute, known)| {
        let found = known.first().map_or("none".to_owned(), |v| format!("{v} alone"));
        format!("{attribute}: a bias test compares at least two groups, found {found}: it decides nothing")
    })
    .collect()
}

/// The report as an object.
fn counts(
    global: &Global,
    args: &CountsArgs,
    table: &str,
    file: &str,
    ran_at: &str,
) -> anyhow::Result<Value> {
    let artifact = Digest::new(args.artifact.as_str()).context("--artifact")?;
    let dataset = Digest::new(args.dataset.as_str()).context("--dataset")?;
    let (tool, version) = args
        .tool
        .split_once('@')
        .filter(|(tool, version)| !tool.is_empty() && !version.is_empty())
        .with_context(|| format!("--tool: wanted NAME@VERSION, found {:?}", args.tool))?;
    text::moment("--ran-at", ran_at)?;
    let type_ = format!("{:?}", args.type_);
    let name = match &args.name {
        Some(name) => name.clone(),
        None => text::object_name(&[&type_, &args.artifact["sha256:".len()..][..12]]),
    };
    Name::new(name.as_str()).context("--name")?;
    let groups = read(table, file)?;
    let means = match args.positive_means {
        PositiveArg::Favourable => PositiveMeans::Favourable,
        PositiveArg::Unfavourable => PositiveMeans::Unfavourable,
    };
    // The same check as the gate's: groups that appear twice, too many rows.
    let rows = Table::new(&groups, means, None).with_context(|| file.to_owned())?.rows();
    if rows == 0 {
        bail!("{file}: wanted at least one row counted, found only zeros");
    }
    if groups.len() > MAX_GROUPS {
        bail!("{file}: wanted at most {MAX_GROUPS} groups, found {}", groups.len());
    }
    let groups: Vec<Value> = groups
        .iter()
        .map(|g| {
            let c = g.counts;
            json!({"attributes": g.attributes, "rows": c.n(), "tp": c.tp(), "fp": c.fp(), "fn": c.fn_(), "tn": c.tn()})
        })
        .collect();
    let mut metadata = json!({"name": name});
    if let Some(namespace) = &global.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    let spec = json!({
        "type": type_,
        "artifact": artifact,
        "dataset": dataset,
        "tool": {"name": tool, "version": version},
        "ranAt": ran_at,
        "positiveMeans": format!("{:?}", args.positive_means),
        "rows": rows,
        "groups": groups,
    });
    serde_json::from_value::<placet_api::testreport::TestReportSpec>(spec.clone())
        .context("the TestReport")?;
    Ok(json!({"apiVersion": "placet.dev/v1alpha1", "kind": "TestReport", "metadata": metadata, "spec": spec}))
}

/// Groups of a table: attribute columns, then `n` (or `rows`), `tp`, `fp`, `fn`, `tn`.
pub fn read(table: &str, file: &str) -> anyhow::Result<Vec<Group>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(table.as_bytes());
    let mut records = Vec::new();
    for record in reader.records() {
        records.push(record.with_context(|| format!("{file}: not a table of comma-separated values"))?);
    }
    let Some((header, rows)) = records.split_first() else {
        bail!("{file}: wanted a header (attributes, then n,tp,fp,fn,tn), found an empty file");
    };
    let attributes = attributes(header, file)?;
    if rows.is_empty() {
        bail!("{file}: wanted one line per group below the header, found none");
    }
    rows.iter().map(|row| group(row, &attributes, file)).collect()
}

fn attributes<'a>(header: &'a StringRecord, file: &str) -> anyhow::Result<Vec<&'a str>> {
    let fields: Vec<&str> = header.iter().map(|f| f.trim_start_matches('\u{feff}').trim()).collect();
    let split = fields.len().saturating_sub(COUNTS.len());
    let (attributes, counts) = fields.split_at(split);
    let fits = counts.len() == COUNTS.len()
        && counts
            .iter()
            .zip(COUNTS)
            .all(|(found, wanted)| *found == wanted || (wanted == "n" && *found == "rows"));
    if !fits || attributes.is_empty() {
        bail!(
            "{file}: line 1: wanted at least one attribute column and then n,tp,fp,fn,tn (n may be called rows), found {}",
            fields.join(",")
        );
    }
    for (i, attribute) in attributes.iter().enumerate() {
        Id::new(*attribute).with_context(|| format!("{file}: line 1, column {}", i + 1))?;
        if attributes[..i].contains(attribute) {
            bail!("{file}: line 1, column {}: the attribute {attribute} appears twice", i + 1);
        }
    }
    Ok(attributes.to_vec())
}

fn group(row: &StringRecord, attributes: &[&str], file: &str) -> anyhow::Result<Group> {
    let line = row.position().map_or(0, csv::Position::line);
    let wanted = attributes.len() + COUNTS.len();
    if row.len() != wanted {
        bail!("{file}: line {line}: wanted {wanted} columns as in the header, found {}", row.len());
    }
    let mut values = BTreeMap::new();
    for (i, (attribute, value)) in attributes.iter().zip(row.iter()).enumerate() {
        let value = value.trim();
        Title::new(value).with_context(|| {
            format!("{file}: line {line}, column {} ({attribute}); a value that is not known is written (missing)", i + 1)
        })?;
        values.insert((*attribute).to_owned(), value.to_owned());
    }
    let mut counts = [0_i64; 5];
    for (i, (name, field)) in COUNTS.iter().zip(row.iter().skip(attributes.len())).enumerate() {
        let at = || format!("{file}: line {line}, column {} ({name})", attributes.len() + i + 1);
        let field = field.trim();
        let digits = !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
        counts[i] = match field.parse::<i64>() {
            Ok(count) if digits => count,
            _ => bail!("{}: wanted a whole number of at least 0, found {field:?}", at()),
        };
    }
    let [n, tp, fp, fn_, tn] = counts;
    let counts = Counts::new(n, tp, fp, fn_, tn).with_context(|| format!("{file}: line {line}"))?;
    Ok(Group { attributes: values, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(table: &str) -> String {
        format!("{:#}", read(table, "t.csv").unwrap_err())
    }

    #[test]
    fn errors_name_line_and_column() {
        for (table, wanted) in [
            ("", "found an empty file"),
            ("sex,n,tp,fp,fn,tn\n", "one line per group"),
            ("n,tp,fp,fn,tn\n1,1,0,0,0\n", "line 1: wanted at least one attribute column"),
            ("sex,n,tp,fn,fp,tn\nf,1,1,0,0,0\n", "line 1: wanted at least one attribute column"),
            ("sex,sex,n,tp,fp,fn,tn\nf,f,1,1,0,0,0\n", "line 1, column 2: the attribute sex appears twice"),
            ("sex,n,tp,fp,fn,tn\nf,1,1,0,0\n", "line 2: wanted 6 columns as in the header, found 5"),
            ("sex,n,tp,fp,fn,tn\nf,1,1,0,0,0\nm,5,x,0,0,0\n", "line 3, column 3 (tp): wanted a whole number"),
            (
                "sex,n,tp,fp,fn,tn\nf,-1,-1,0,0,0\n",
                "line 2, column 2 (n): wanted a whole number of at least 0, found \"-1\"",
            ),
            ("sex,n,tp,fp,fn,tn\nf,1.0,1,0,0,0\n", "found \"1.0\""),
            ("sex,n,tp,fp,fn,tn\nf,5,1,0,0,0\n", "line 2: tp + fp + fn + tn: wanted n = 5, found 1"),
            ("sex,n,tp,fp,fn,tn\n,1,1,0,0,0\n", "line 2, column 1 (sex)"),
        ] {
            let e = fails(table);
            assert!(e.contains(wanted), "{table:?}: {e}");
        }
    }

    #[test]
    fn one_error_says_it_once_and_one_group_is_noted() {
        let e = fails("sex,n,tp,fp,fn,tn\nf,5,1,0,0,0\n");
        assert_eq!(e.matches("tp + fp + fn + tn").count(), 1, "{e}");
        let notes = |table: &str| alone(&read(table, "t").unwrap());
        assert_eq!(notes("sex,n,tp,fp,fn,tn\nf,1,1,0,0,0\nm,1,1,0,0,0\n"), Vec::<String>::new());
        let one = notes("sex,age,n,tp,fp,fn,tn\nf,old,1,1,0,0,0\n(missing),young,1,1,0,0,0\n");
        assert_eq!(one, ["sex: a bias test compares at least two groups, found f alone: it decides nothing"]);
    }

    #[test]
    fn rows_is_another_name_of_n() {
        let groups = read("sex,age,rows,tp,fp,fn,tn\nfemale,old,4,1,1,1,1\n", "t").unwrap();
        assert_eq!(groups[0].attributes.len(), 2);
        assert_eq!(groups[0].counts.n(), 4);
    }
}
