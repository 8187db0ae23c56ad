//! `placet policy test`: runs the cases of a policy pack, as the packs of Placet are tested.

mod args;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::releasepolicy::ReleasePolicySpec;
use placet_cases::{Played, is_case, play, title};
use placet_gate::policy;

pub use args::{PolicyArgs, PolicyCommand};

use crate::sys::Named;
use crate::{COULD_NOT_ASK, files, sys, text};

/// The folder in which a pack's cases are, and the one in it with what they start from.
const CASES: &str = "cases";
const BASE: &str = "base";

/// What became of a case.
#[derive(Debug)]
pub enum Outcome {
    /// It was asked and answered.
    Played(Box<Played>),
    /// It could not be asked, and why.
    Error(String),
}

/// A case and what became of it.
#[derive(Debug)]
pub struct Tested {
    /// Its file.
    pub file: PathBuf,
    /// Its title, where it can be read.
    pub title: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a test of packs comes to.
#[derive(Debug, Default)]
pub struct Results {
    /// The cases, by file.
    pub cases: Vec<Tested>,
    /// What keeps packs from being tested at all.
    pub errors: Vec<String>,
    /// What packs ask for that cannot hold together.
    pub warnings: Vec<String>,
}

impl Results {
    fn failed(&self) -> usize {
        let fails = |t: &&Tested| matches!(&t.outcome, Outcome::Played(p) if !p.wrong.is_empty());
        self.cases.iter().filter(fails).count()
    }

    fn broken(&self) -> usize {
        self.cases.iter().filter(|t| matches!(t.outcome, Outcome::Error(_))).count()
    }

    fn code(&self) -> u8 {
        if self.broken() + self.errors.len() > 0 { COULD_NOT_ASK } else { u8::from(self.failed() > 0) }
    }
}

/// Runs a command on policies.
///
/// # Errors
/// A path that cannot be read, or in which there is nothing to test.
pub fn run(command: &PolicyCommand) -> anyhow::Result<u8> {
    let PolicyCommand::Test(args) = command;
    let results = test(&args.paths)?;
    show::print(&results, args.output)?;
    Ok(results.code())
}

/// What there is to test.
#[derive(Debug, Default)]
struct Found {
    cases: BTreeSet<PathBuf>,
    /// Files with a ReleasePolicy, each with whether its cases are to be looked for beside it.
    packs: BTreeMap<PathBuf, bool>,
}

fn test(paths: &[PathBuf]) -> anyhow::Result<Results> {
    let mut out = Results::default();
    let mut found = Found::default();
    for path in paths {
        find(path, &mut found, &mut out)?;
    }
    let mut beside = BTreeSet::new();
    for pack in found.packs.iter().filter(|(_, look)| **look).map(|(pack, _)| pack) {
        let dir = pack.parent().unwrap_or(Path::new("")).join(CASES);
        if dir.is_dir() {
            beside.extend(below(&dir)?.into_iter().filter(|file| in_cases(file)));
        }
    }
    if found.cases.is_empty() && found.packs.is_empty() && out.errors.is_empty() {
        let all: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
        bail!("{}: wanted policies or cases of them, found neither (see docs/policies.md)", all.join(" "));
    }
    let mut read: BTreeSet<PathBuf> = BTreeSet::new();
    for file in found.cases.iter().chain(beside.difference(&found.cases)) {
        let tested = one(file);
        if let Outcome::Played(played) = &tested.outcome {
            let policies: BTreeSet<PathBuf> = played.policies.iter().map(|p| whole(p)).collect();
            let asked = found.cases.contains(file) || policies.iter().any(|p| found.packs.contains_key(p));
            if !asked {
                continue;
            }
            read.extend(policies);
        }
        out.cases.push(tested);
    }
    out.cases.sort_by(|a, b| a.file.cmp(&b.file));
    for pack in found.packs.keys().filter(|pack| !read.contains(*pack)) {
        out.errors.push(format!(
            "{}: wanted at least one case that reads it (policies: [FILE]) in the folder {CASES} beside it, found none",
            shown(pack).display()
        ));
    }
    read.extend(found.packs.into_keys());
    for pack in &read {
        sound(&shown(pack), &mut out);
    }
    Ok(out)
}

/// The path of a file that is there, whichever way it was named.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// A path as short as it can be said here.
fn shown(path: &Path) -> PathBuf {
    let here = Path::new(".").canonicalize().unwrap_or_default();
    path.strip_prefix(&here).map_or_else(|_| path.to_owned(), Path::to_owned)
}

/// Whether a file is a case by the folder that it is in; what the folders above this one are called says nothing.
fn in_cases(path: &Path) -> bool {
    let path = shown(path);
    let folder = |name: &str| path.parent().is_some_and(|p| p.components().any(|c| c.as_os_str() == name));
    folder(CASES) && !folder(BASE)
}

fn below(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut all, mut left_out) = (Vec::new(), Vec::new());
    files::below(dir, 0, &mut all, &mut left_out)?;
    Ok(all.iter().map(|file| whole(file)).collect())
}

/// What a path that somebody names holds.
fn find(path: &Path, found: &mut Found, out: &mut Results) -> anyhow::Result<()> {
    match sys::named(path)? {
        Named::File => {
            let file = whole(path);
            if is_case(&sys::read_text(path)?) || in_cases(&file) {
                found.cases.insert(file);
            } else {
                found.packs.insert(file, true);
            }
        }
        Named::Directory => {
            for file in below(path)? {
                if in_cases(&file) {
                    found.cases.insert(file);
                } else if !shown(&file).components().any(|c| c.as_os_str() == CASES) {
                    match has_policy(&file) {
                        Ok(true) => {
                            found.packs.entry(file).or_insert(false);
                        }
                        Ok(false) => {}
                        Err(e) => out.errors.push(text::chain(&e)),
                    }
                }
            }
        }
        Named::Other(what) => bail!("{}: wanted a file or a directory, found {what}", path.display()),
    }
    Ok(())
}

/// Whether a file holds a ReleasePolicy: one with roles alone needs no cases.
fn has_policy(path: &Path) -> anyhow::Result<bool> {
    let text = sys::read_text(path)?;
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text)
        .with_context(|| format!("{}: wanted YAML", shown(path).display()))?;
    let is_policy = |d: &serde_json::Value| d["kind"] == "ReleasePolicy";
    let lists =
        |d: &serde_json::Value| d["items"].as_array().is_some_and(|items| items.iter().any(is_policy));
    Ok(documents.iter().any(|d| is_policy(d) || lists(d)))
}

fn one(path: &Path) -> Tested {
    let file = shown(path);
    let read = |path: &Path| sys::read_text(path).map_err(|e| text::chain(&e));
    let outcome = match play(&file, &read) {
        Ok(played) => Outcome::Played(Box::new(played)),
        Err(e) => Outcome::Error(e.to_string()),
    };
    let title = match &outcome {
        Outcome::Played(played) => played.title.clone(),
        Outcome::Error(_) => read(path).ok().and_then(|text| title(&text)).unwrap_or_default(),
    };
    Tested { file, title, outcome }
}

/// Reads a pack as strictly as `check` does, and notes what it asks for that cannot hold together.
fn sound(path: &Path, out: &mut Results) {
    let input = match files::load(&[path.to_owned()], None) {
        Ok(input) => input,
        Err(e) => return out.errors.push(text::chain(&e)),
    };
    for object in input.objects.iter().filter(|o| o.kind == Kind::ReleasePolicy) {
        let Ok(spec) = serde_json::from_value::<ReleasePolicySpec>(object.value["spec"].clone()) else {
            continue;
        };
        let place = |text: String| format!("{}: policy {}: {text}", object.place(), object.name);
        out.errors.extend(policy::custom_problems(&spec).into_iter().map(place));
        let warnings = policy::warnings(&spec).into_iter();
        out.warnings.extend(warnings.map(place));
    }
}
