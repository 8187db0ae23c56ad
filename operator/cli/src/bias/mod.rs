//! `placet bias`: counts per group of people from rows, what the gate makes of them, and the TestReport.
//!
//! Rows are read as a stream ([`read`]) by takers ([`rows::Sink`]) that keep counts ([`count`]) or parts of scores
//! ([`quantile`]), never rows. What is counted is whole numbers, so that the result is the same for any number of threads.
//! Nothing here decides: the verdict is the gate's, on the report as it would be applied ([`judge`]).

mod args;
mod bins;
mod count;
mod exact;
mod json;
mod judge;
mod quantile;
mod read;
mod report;
mod rows;
mod show;
mod small;
mod svg;
mod table;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use placet_api::testreport::TestReportSpec;
use placet_gate::fairness::{PositiveMeans, normal, round9};
use placet_gate::visible;

pub use args::BiasArgs;
use bins::ScoreBins;
use count::{Cells, Counter, MOST_ATTRIBUTES};
use judge::{Asked, Judged};
use quantile::{Cut, Pass, Threshold};
use read::Rows;
use rows::{Columns, Worker};
use small::Merged;
use table::Set;
use values::named;

use crate::args::{Global, PositiveArg, TableOrJson};
use crate::{sys, text, yaml};

/// Runs the command.
pub fn run(global: &Global, args: &BiasArgs) -> anyhow::Result<u8> {
    let namespace = global.namespace.as_deref();
    let z = normal::z_two_sided(args.confidence)
        .filter(|_| (0.5..1.0).contains(&round9(args.confidence)))
        .with_context(|| {
            format!("--confidence: wanted at least 0.5 and less than 1, found {}", args.confidence)
        })?;
    report::check(args)?;
    let bins = args.score_bins.as_deref().map(ScoreBins::parse).transpose()?.map(Arc::new);
    let names = attributes(args)?;
    let asked = judge::read(args, namespace)?;
    let counted = count(args, &names, bins.as_ref())?;
    let mut notes = counted.notes;
    let names: Vec<String> = names.into_iter().map(|(name, _)| name).collect();
    let own: Vec<Vec<usize>> = sets(&names, asked.as_ref());

    let means = match args.positive_means {
        PositiveArg::Favourable => PositiveMeans::Favourable,
        PositiveArg::Unfavourable => PositiveMeans::Unfavourable,
    };
    let title =
        args.file.file_name().map_or_else(|| args.file.display().to_string(), |n| n.to_string_lossy().into());
    let all = tables(&names, &counted.cells, &own, means);
    let headline = headline(args, &title, counted.rows, counted.cells.len(), counted.cut);
    let page = |judged: Option<&Judged>| match args.output {
        TableOrJson::Table => Ok(pages(&headline, &all, z, args.confidence, judged)),
        TableOrJson::Json => {
            let sets: Vec<Set> = own.iter().map(|set| exported(&names, &counted.cells, set, means)).collect();
            text::json(&json::of(args, counted.rows, &sets, z, judged))
        }
    };

    let merged = small::merge(counted.cells.clone(), &kept(&names, &counted.cells, asked.as_ref()));
    note_small(&merged, &mut notes);
    if let Some(path) = &args.svg {
        let sets: Vec<Set> = own.iter().map(|set| exported(&names, &counted.cells, set, means)).collect();
        sys::write(path, svg::draw(&title, &sets, z, args.confidence).as_bytes())?;
    }
    let judged = match report::spec(args, &names, &merged.cells, bins.as_deref()) {
        Ok((value, spec)) => {
            notes.extend(crate::report::unjudged(&spec));
            let own: Vec<Vec<String>> =
                own.iter().map(|set| set.iter().map(|at| names[*at].clone()).collect()).collect();
            let judged = asked.as_ref().map(|asked| {
                let raw = (merged.groups > 0)
                    .then(|| raw(args, (&names, &counted.cells), bins.as_deref(), asked, &mut notes))
                    .flatten();
                asked.judge(raw.as_ref(), &spec, &own)
            });
            Ok((report::object(args, namespace, &value), judged.transpose()?))
        }
        Err(why) => Err(why),
    };
    let judged = match judged {
        Ok((object, judged)) => {
            notes.extend(judged.as_ref().and_then(Judged::differs));
            tell(args, &page(judged.as_ref())?, &notes, object.as_ref().map(yaml::document).as_deref())?;
            judged
        }
        // What was asked for cannot be had: the tables are of use all the same.
        Err(why) if args.artifact.is_some() || asked.is_some() => {
            sys::tell(&page(None)?);
            for note in &notes {
                sys::tell(&visible::line(&format!("note: {note}")));
            }
            return Err(why);
        }
        Err(why) => {
            notes.push(format!("no TestReport can be made of this: {}", text::chain(&why)));
            tell(args, &page(None)?, &notes, None)?;
            None
        }
    };
    Ok(u8::from(judged.is_some_and(|j| !j.holds)))
}

/// Tables and notes to people, the report to where it belongs.
fn tell(args: &BiasArgs, page: &str, notes: &[String], report: Option<&str>) -> anyhow::Result<()> {
    let said = |notes: &[String]| notes.iter().for_each(|n| sys::tell(&visible::line(&format!("note: {n}"))));
    match (report, &args.report) {
        (Some(report), Some(path)) => {
            sys::write(path, report.as_bytes())?;
            sys::print(page)?;
            said(notes);
        }
        (Some(report), None) => {
            sys::tell(page);
            said(notes);
            sys::print(report)?;
        }
        (None, _) => {
            sys::print(page)?;
            said(notes);
        }
    }
    Ok(())
}

/// Names of the attributes and their columns.
fn attributes(args: &BiasArgs) -> anyhow::Result<Vec<(String, String)>> {
    if args.attributes.len() > MOST_ATTRIBUTES {
        bail!("--attribute: wanted at most {MOST_ATTRIBUTES}, found {}", args.attributes.len());
    }
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for given in &args.attributes {
        let (name, column) = given.split_once('=').unwrap_or((given, given));
        if name.is_empty() || column.is_empty() {
            bail!("--attribute: wanted COLUMN or NAME=COLUMN, found {given:?}");
        }
        if !seen.insert(name) {
            bail!("--attribute: wanted each attribute once, found {name} twice");
        }
        names.push((name.to_owned(), column.to_owned()));
    }
    Ok(names)
}

/// What was counted.
struct Counted {
    cells: Cells,
    rows: u64,
    cut: Option<Cut>,
    notes: Vec<String>,
}

/// Reads the file, twice or more where a quantile of the scores is asked for.
fn count(
    args: &BiasArgs,
    names: &[(String, String)],
    bins: Option<&Arc<ScoreBins>>,
) -> anyhow::Result<Counted> {
    let threshold = args.threshold.as_deref().map(Threshold::parse).transpose()?;
    let mut notes = Vec::new();
    let rows = Rows::open(&args.file, &args.delimiter, args.threads)?;
    let file = args.file.display();
    let mut columns = Columns {
        attributes: names.iter().map(|(_, column)| column.clone()).collect(),
        label: Some(args.label.clone()),
        prediction: args.prediction.clone(),
        score: args.score.clone(),
        cut: threshold.and_then(Threshold::cut),
        weight: args.weight.clone(),
        missing: args.missing.clone().into(),
        positive: args.positive.clone().into(),
    };
    let mut before = None;
    if let (Some(threshold), None) = (threshold, columns.cut) {
        let scores = Columns { score: columns.score.clone(), ..Columns::default() };
        let (cut, passes) = quantile::find(threshold, |new: &(dyn Fn() -> Pass + Sync)| {
            let read = rows.read(&scores, new)?;
            before = Some(read.rows);
            Ok(read.workers.into_iter().map(|w| w.sink).collect())
        })?;
        notes.push(format!(
            "scores {cut} are a positive prediction, found by reading the scores {}",
            if passes == 1 { "once".to_owned() } else { format!("{passes} times") }
        ));
        columns.cut = Some(cut);
    }
    let read = rows.read(&columns, &|| Counter::new(bins.cloned()))?;
    if before.is_some_and(|before| before != read.rows) {
        bail!("{file}: wanted a file that stays as it is while it is read, found that it changed");
    }
    outcomes(&read.workers, &columns.positive, &mut notes)?;
    let rows = read.rows;
    let cells = count::cells(read.workers).with_context(|| file.to_string())?;
    if cells.values().map(count::Cell::rows).sum::<u64>() != rows {
        bail!(
            "{file}: wanted every row in a group, found {rows} rows and another number in the groups: this is a bug"
        );
    }
    let weightless = |cell: &count::Cell| {
        cell.weights.as_ref().is_some_and(|w| w.sums.iter().all(|sum| sum.value() <= 0.0))
    };
    if args.weight.is_some() && cells.values().all(weightless) {
        bail!(
            "{file}: wanted weights of which one is above 0, found only zeros: nothing can be weighted with them"
        );
    }
    for (at, (name, _)) in names.iter().enumerate() {
        let known: BTreeSet<&str> =
            cells.keys().map(|values| values[at].as_str()).filter(|v| *v != values::MISSING).collect();
        if known.len() < 2 {
            notes.push(format!(
                "{name}: a bias test compares at least two groups, found {}: it decides nothing",
                named(known.into_iter())
            ));
        }
    }
    Ok(Counted { cells, rows, cut: columns.cut, notes })
}

/// Whether every value that is said to be positive was met, and which were taken for not positive.
fn outcomes(
    workers: &[Worker<Counter>],
    positive: &Arc<[String]>,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    if positive.is_empty() {
        return Ok(());
    }
    let met = |of: &dyn Fn(&Worker<Counter>) -> Option<&values::Outcomes>| -> BTreeSet<String> {
        let texts = workers.iter().filter_map(of).flat_map(|o| o.values.texts().iter().skip(1));
        texts.map(ToString::to_string).collect()
    };
    let label = met(&|w| w.label.as_ref());
    let prediction = met(&|w| w.prediction.as_ref());
    let among = |found: &BTreeSet<String>, value: &str| found.iter().any(|f| values::same(f, value));
    for value in positive.iter() {
        if !among(&label, value) && !among(&prediction, value) {
            bail!(
                "--positive: wanted a value of the label or the prediction, found {value:?}, which neither has; label: {}; prediction: {}",
                named(label.iter().map(String::as_str)),
                named(prediction.iter().map(String::as_str))
            );
        }
    }
    for (what, found) in [("label", &label), ("prediction", &prediction)] {
        if found.is_empty() {
            continue;
        }
        let (yes, no): (Vec<&str>, Vec<&str>) =
            found.iter().map(String::as_str).partition(|f| positive.iter().any(|p| values::same(p, f)));
        if yes.is_empty() {
            bail!(
                "--positive: wanted the positive value of the {what} as well, found that it has only {}; give --positive once for \
                 each",
                named(no.into_iter())
            );
        }
        if no.is_empty() && yes.len() > 1 {
            bail!(
                "--positive: wanted a value of the {what} that is not positive, found that all it has are named: {}; name those alone \
                 that are positive",
                named(yes.into_iter())
            );
        }
        if no.len() > 1 {
            notes.push(format!("{what}: {} are taken for not positive", named(no.into_iter())));
        }
    }
    Ok(())
}

/// The attribute sets that are shown: each attribute, all together, and what policies and system ask for.
fn sets(names: &[String], asked: Option<&Asked>) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = (0..names.len()).map(|at| vec![at]).collect();
    let whole = (0..names.len()).collect();
    let wanted = asked.iter().flat_map(|a| &a.sets).filter_map(|set| {
        let mut places: Vec<usize> =
            set.iter().map(|name| names.iter().position(|n| n == name)).collect::<Option<_>>()?;
        places.sort_unstable();
        Some(places)
    });
    for set in wanted.chain([whole]).collect::<Vec<_>>() {
        if !all.contains(&set) {
            all.push(set);
        }
    }
    all
}

fn tables(names: &[String], cells: &Cells, sets: &[Vec<usize>], means: PositiveMeans) -> Vec<Set> {
    sets.iter().map(|set| table::set(names, cells, set, means)).collect()
}

/// The table of one set as it may leave: groups of few people are put together in it by itself, so that its other groups are
/// whole. Those of few people in larger sets were chosen against whoever knows it.
fn exported(names: &[String], cells: &Cells, set: &[usize], means: PositiveMeans) -> Set {
    let mut of_set = Cells::new();
    for (values, cell) in cells {
        of_set.entry(set.iter().map(|at| values[*at].clone()).collect()).or_default().merge(cell);
    }
    let all: Vec<usize> = (0..set.len()).collect();
    let names: Vec<String> = set.iter().map(|at| names[*at].clone()).collect();
    table::set(&names, &small::merge(of_set, &all).cells, &all, means)
}

/// The attributes in the order in which their groups are kept whole where some are put together: first those that an
/// attribute set asks for alone, then those of other sets; among them, first those of which no value is of few people.
fn kept(names: &[String], cells: &Cells, asked: Option<&Asked>) -> Vec<usize> {
    let rank = |at: usize| {
        let sets = asked.iter().flat_map(|a| &a.sets).filter(|set| set.contains(&names[at]));
        let smallest_set = sets.map(Vec::len).min();
        let mut rows: BTreeMap<&str, u64> = BTreeMap::new();
        for (values, cell) in cells {
            *rows.entry(&values[at]).or_default() += cell.rows();
        }
        let small = rows.values().any(|rows| *rows < small::FEWEST);
        (smallest_set.unwrap_or(usize::MAX), small, at)
    };
    let mut all: Vec<usize> = (0..names.len()).collect();
    all.sort_by_key(|at| rank(*at));
    all
}

/// The report with all groups, which never leaves: what is judged. Of more groups than are judged, those by the attributes
/// that are asked for.
fn raw(
    args: &BiasArgs,
    (names, cells): (&[String], &Cells),
    bins: Option<&ScoreBins>,
    asked: &Asked,
    notes: &mut Vec<String>,
) -> Option<TestReportSpec> {
    if let Ok((_, spec)) = report::spec(args, names, cells, bins) {
        return Some(spec);
    }
    let wanted: Vec<usize> =
        (0..names.len()).filter(|at| asked.sets.iter().flatten().any(|name| *name == names[*at])).collect();
    let mut by_wanted = Cells::new();
    for (values, cell) in cells {
        by_wanted.entry(wanted.iter().map(|at| values[*at].clone()).collect()).or_default().merge(cell);
    }
    let names: Vec<String> = wanted.iter().map(|at| names[*at].clone()).collect();
    let spec = report::spec(args, &names, &by_wanted, bins).ok().filter(|_| !wanted.is_empty());
    if spec.is_none() {
        notes.push(format!(
            "{} groups are more than are judged: the verdict is that of the exported groups, which is never better",
            cells.len()
        ));
    }
    spec.map(|(_, spec)| spec)
}

/// All tables, and the verdict below them.
fn pages(headline: &str, sets: &[Set], z: f64, level: f64, judged: Option<&Judged>) -> String {
    let mut page = headline.to_owned();
    for set in sets {
        page.push('\n');
        page.push_str(&show::set(set, z, level));
    }
    if let Some(judged) = judged {
        page.push('\n');
        page.push_str(&judged.text);
    }
    page
}

fn headline(args: &BiasArgs, title: &str, rows: u64, groups: usize, cut: Option<Cut>) -> String {
    let predicted = match (&args.prediction, &args.score, cut) {
        (_, Some(score), Some(cut)) => format!("{score} {cut}"),
        (Some(prediction), ..) => prediction.clone(),
        _ => String::new(),
    };
    let selected = match args.positive_means {
        PositiveArg::Favourable => "a positive prediction is favourable, and is what is called selected",
        PositiveArg::Unfavourable => {
            "a positive prediction is unfavourable: the other one is what is called selected and positive here"
        }
    };
    let words = format!(
        "{title}: {} rows in {} group{}; label {}, predicted by {predicted}; {selected}; intervals of {} %",
        show::thousands(rows),
        show::thousands(groups as u64),
        if groups == 1 { "" } else { "s" },
        args.label,
        round9(args.confidence * 100.0)
    );
    text::wrap(&words, sys::width(), "", "  ")
}

fn note_small(merged: &Merged, notes: &mut Vec<String>) {
    if merged.groups > 0 {
        notes.push(format!(
            "{} groups with {} rows are exported under {}: groups below {} people are not exported on their own, nor is what they \
             could be subtracted from. By attributes whose value they keep, everybody is counted; by others the gate compares \
             nobody with them, and decides nothing. With fewer attributes or wider values there are no such groups. Tables show \
             all groups: treat them as you treat the rows",
            merged.groups,
            merged.rows,
            values::SMALL,
            small::FEWEST
        ));
    }
}
