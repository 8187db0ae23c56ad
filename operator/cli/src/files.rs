//! Objects from files: YAML (many documents) and JSON, single objects and lists. Strict: a field that this version does
//! not know is an error with its line, since a release would otherwise be judged without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use placet_api::Kind;
use placet_api::keys::{GROUP, STAMP, VERSION};
use placet_gate::visible;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::sys::Named;
use crate::{sys, text};

/// An object and where it stands.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; None for cluster kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// As written.
    pub value: Value,
    /// The file, as it was named.
    pub file: String,
    /// Line on which it begins, from 1; 0 where there is none.
    pub line: u64,
}

impl Loaded {
    /// `Kind namespace/name`.
    pub fn label(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }

    /// `file:line`.
    pub fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}", self.file, self.line) }
    }

    /// Whether it carries a stamp, valid or not: it was exported from a cluster.
    pub fn stamped(&self) -> bool {
        self.value.pointer("/metadata/annotations").and_then(|a| a.get(STAMP)).is_some()
    }

    /// Reads kind, namespace and name of an object of ours.
    ///
    /// # Errors
    /// What is missing from it.
    pub fn new(value: Value, file: &str, line: u64, default_namespace: Option<&str>) -> Result<Self, String> {
        let text = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
        };
        let kind_name = text("/kind").unwrap_or_default();
        let kind = Kind::parse(&kind_name).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
            format!("wanted a kind of {GROUP} ({}), found {kind_name:?}", known.join(", "))
        })?;
        let api_version = text("/apiVersion").unwrap_or_default();
        if api_version != format!("{GROUP}/{VERSION}") {
            return Err(format!("{kind}: wanted apiVersion {GROUP}/{VERSION}, found {api_version:?}"));
        }
        let name = text("/metadata/name").ok_or_else(|| {
            let generated = text("/metadata/generateName").is_some();
            let why = if generated {
                "generateName, which is refused: the name is part of what is signed"
            } else {
                "none"
            };
            format!("{kind}: wanted metadata.name, found {why}")
        })?;
        let namespace = match (kind.namespaced(), text("/metadata/namespace")) {
            (false, _) => None,
            (true, Some(namespace)) => Some(namespace),
            (true, None) => Some(default_namespace.map(str::to_owned).ok_or_else(|| {
                format!(
                    "{kind} {name}: wanted metadata.namespace, found none; write it, or give -n NAMESPACE"
                )
            })?),
        };
        let mut value = value;
        if let Some(namespace) = &namespace {
            value["metadata"]["namespace"] = namespace.as_str().into();
        }
        Ok(Self { kind, namespace, name, value, file: file.to_owned(), line })
    }
}

/// What was found in files.
#[derive(Debug, Default)]
pub struct Input {
    /// Objects of ours, in the order of the files.
    pub objects: Vec<Loaded>,
    /// Labels of namespaces.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// What was left aside.
    pub notes: Vec<String>,
    /// What is wrong, each with file and line.
    errors: Vec<String>,
    /// Whether the file at hand was found in a directory: strangers are no error there.
    found: bool,
}

/// As [`load`], where no path at all gives nothing.
///
/// # Errors
/// As [`load`].
pub fn load_all(paths: &[PathBuf], default_namespace: Option<&str>) -> anyhow::Result<Input> {
    if paths.is_empty() { Ok(Input::default()) } else { load(paths, default_namespace) }
}

/// Loads files and directories (their `.yaml`, `.yml` and `.json` files, whatever the case of these letters). Left out
/// with a note are those whose name begins with a dot, and what is no file to read from.
///
/// # Errors
/// Everything that is wrong, at once: a file that cannot be read, too, since what it holds may decide.
pub fn load(paths: &[PathBuf], default_namespace: Option<&str>) -> anyhow::Result<Input> {
    let mut input = Input::default();
    let mut files = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            files.push((path.clone(), false));
            continue;
        }
        match sys::named(path)? {
            Named::File => files.push((path.clone(), false)),
            Named::Directory => {
                let mut all = Vec::new();
                below(path, 0, &mut all, &mut input.notes)?;
                if all.is_empty() {
                    let left_out: Vec<String> = input.notes.iter().map(|note| format!("; {note}")).collect();
                    bail!(
                        "{}: wanted .yaml, .yml or .json files, found none{}",
                        path.display(),
                        left_out.concat()
                    );
                }
                files.extend(all.into_iter().map(|file| (file, true)));
            }
            Named::Other(what) => bail!(
                "{0}: wanted a file or a directory, found {what}; give what it holds as standard input: -f - < {0}",
                path.display()
            ),
        }
    }
    for (path, found) in &files {
        match sys::read_text(path) {
            Ok(text) => {
                input.found = *found;
                input.file(&path.display().to_string(), &text, default_namespace);
            }
            Err(e) => input.errors.push(text::chain(&e)),
        }
    }
    input.duplicates();
    if input.errors.is_empty() {
        return Ok(input);
    }
    // What is quoted from a file stays on the line that says what is wrong with it.
    let errors: Vec<_> = input.errors.iter().map(|e| visible::line(e)).collect();
    bail!("{}", errors.join("\n       "))
}

/// Whether a file is taken for objects by its name.
fn by_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e.eq_ignore_ascii_case(known)))
}

/// The files below a directory whose names are those of objects, sorted; and what was left out.
///
/// # Errors
/// A directory that cannot be listed, or more than 32 levels of them.
#[expect(clippy::disallowed_methods, reason = "a command line reads directories")]
pub fn below(
    dir: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    left_out: &mut Vec<String>,
) -> anyhow::Result<()> {
    if depth > 32 {
        bail!("{}: directories nested deeper than 32 levels", dir.display());
    }
    let listed = || format!("{}: cannot be listed", dir.display());
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(listed)? {
        paths.push(entry.with_context(listed)?.path());
    }
    paths.sort();
    for path in paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() {
            if !hidden {
                below(&path, depth + 1, files, left_out)?;
            }
        } else if by_name(&path) {
            if hidden {
                left_out.push(format!("{}: left out, its name begins with a dot", path.display()));
            } else if let Ok(Named::Other(what)) = sys::named(&path) {
                left_out.push(format!("{}: left out, it is {what} and no file", path.display()));
            } else {
                files.push(path);
            }
        }
    }
    Ok(())
}

/// Documents of a YAML stream with the number of lines before each. A line that begins with `---` or `...` cannot stand
/// inside a document (YAML 1.2, 9.1.2), so that splitting at them is exact. A document keeps its directives (`%YAML 1.2`),
/// which stand before its `---`.
fn documents(text: &str) -> Vec<(u64, String)> {
    let marker = |line: &str, mark: &str| {
        line.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    };
    let empty = |text: &str| text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#'));
    let directives = |text: &str| {
        text.lines().any(|l| l.starts_with('%')) && text.lines().all(|l| l.starts_with('%') || empty(l))
    };
    let mut out = vec![(0, String::new())];
    for (before, line) in (0_u64..).zip(text.trim_start_matches('\u{feff}').split_inclusive('\n')) {
        let bare = line.trim_end_matches(['\n', '\r']);
        if marker(bare, "---") {
            match out.last_mut() {
                Some((_, document)) if directives(document) => document.push_str(line),
                _ => out.push((before, line["---".len()..].to_owned())),
            }
        } else if marker(bare, "...") {
            out.push((before + 1, String::new()));
        } else if let Some((_, document)) = out.last_mut() {
            document.push_str(line);
        }
    }
    out.retain(|(_, document)| !empty(document));
    out
}

/// An object with its spec parsed strictly.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "read to see that nothing else is there")]
struct Strict<S> {
    api_version: IgnoredAny,
    kind: IgnoredAny,
    metadata: IgnoredAny,
    spec: S,
    #[serde(default)]
    status: Option<IgnoredAny>,
}

impl Input {
    fn file(&mut self, file: &str, text: &str, default_namespace: Option<&str>) {
        let all = if Path::new(file).extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            vec![(0, text.to_owned())]
        } else {
            documents(text)
        };
        for (before, document) in all {
            match serde_saphyr::from_str::<Spanned<Value>>(&document) {
                Ok(found) => {
                    let line = before + found.referenced.line().max(1);
                    self.object(found.value, file, line, default_namespace, Some((before, &document)));
                }
                Err(e) => {
                    let said = said(file, before, &document, &e, None);
                    self.errors.push(format!("{said} (not YAML that can be read)"));
                }
            }
        }
    }

    /// One object or list. `source` is its text, where it is a document of its own.
    fn object(
        &mut self,
        value: Value,
        file: &str,
        line: u64,
        default_namespace: Option<&str>,
        source: Option<(u64, &str)>,
    ) {
        let place = format!("{file}:{line}");
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if value.is_null() {
            return;
        }
        if let Some(items) = value.as_array() {
            let ours = |i: &Value| i["apiVersion"].as_str().is_some_and(|v| v.starts_with(GROUP));
            if self.found && !items.iter().any(ours) {
                self.notes.push(format!("{place}: left aside, it is no Kubernetes object"));
            } else {
                self.errors.push(format!(
                    "{place}: wanted an object, a List (apiVersion: v1, kind: List, items: [...]) or several documents \
                     with --- between them, found an array of {}",
                    items.len()
                ));
            }
            return;
        }
        if kind.is_empty() && api_version.is_empty() && self.found {
            self.notes.push(format!("{place}: left aside, it is no Kubernetes object"));
        } else if kind.is_empty() || api_version.is_empty() {
            self.errors
                .push(format!("{place}: wanted an object with apiVersion and kind, found neither or one"));
        } else if kind.ends_with("List") && value.get("items").is_some() {
            let lines = source.and_then(|(before, text)| item_lines(before, text)).unwrap_or_default();
            let item_kind = kind.trim_end_matches("List").to_owned();
            let api_version = api_version.to_owned();
            let items = value.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
            for (i, mut item) in items.into_iter().enumerate() {
                // Items of a typed list carry neither.
                if item.get("kind").is_none() && !item_kind.is_empty() && item.is_object() {
                    item["kind"] = item_kind.as_str().into();
                    item["apiVersion"] = api_version.as_str().into();
                }
                self.object(item, file, lines.get(i).copied().unwrap_or(line), default_namespace, None);
            }
        } else if api_version == "v1" && kind == "Namespace" {
            let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let labels = value.pointer("/metadata/labels").cloned().unwrap_or_else(|| serde_json::json!({}));
            match serde_json::from_value(labels) {
                Ok(labels) => {
                    self.namespaces.insert(name, labels);
                }
                Err(e) => self.errors.push(format!("{place}: Namespace {name}, metadata.labels: {e}")),
            }
        } else if api_version.split('/').next() == Some(GROUP) {
            match Loaded::new(value, file, line, default_namespace) {
                Ok(loaded) => {
                    // What a cluster stored is judged as the cluster judges it; what is about to be applied is not yet.
                    let wrong = if loaded.stamped() { None } else { strictly(&loaded, source) };
                    self.errors.extend(wrong);
                    self.objects.push(loaded);
                }
                Err(e) => self.errors.push(format!("{place}: {e}")),
            }
        } else {
            self.notes.push(format!("{place}: {api_version} {kind} is left aside: not of {GROUP}"));
        }
    }

    fn duplicates(&mut self) {
        let mut seen: BTreeMap<(Kind, Option<&str>, &str), &Loaded> = BTreeMap::new();
        for object in &self.objects {
            let key = (object.kind, object.namespace.as_deref(), object.name.as_str());
            if let Some(first) = seen.insert(key, object) {
                self.errors.push(format!(
                    "{}: {} appears twice, first in {}; leave one out",
                    object.place(),
                    object.label(),
                    first.place()
                ));
            }
        }
    }
}

/// Lines on which the items of a list begin.
fn item_lines(before: u64, text: &str) -> Option<Vec<u64>> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Spanned<IgnoredAny>>,
    }
    let list: List = serde_saphyr::from_str(text).ok()?;
    Some(list.items.iter().map(|i| before + i.referenced.line()).collect())
}

/// What is wrong with an object's fields, if anything: with the line of the field where the text is at hand.
fn strictly(object: &Loaded, source: Option<(u64, &str)>) -> Option<String> {
    use placet_api::{
        aisystem, approval, approvalrole, dataset, impactassessment, modelrelease, releasepolicy,
        riskacceptance, testreport, trustedsigner,
    };
    match object.kind {
        Kind::AISystem => typed::<aisystem::AISystemSpec>(object, source),
        Kind::ImpactAssessment => typed::<impactassessment::ImpactAssessmentSpec>(object, source),
        Kind::ModelRelease => typed::<modelrelease::ModelReleaseSpec>(object, source),
        Kind::TestReport => typed::<testreport::TestReportSpec>(object, source),
        Kind::Dataset => typed::<dataset::DatasetSpec>(object, source),
        Kind::Approval => typed::<approval::ApprovalSpec>(object, source),
        Kind::RiskAcceptance => typed::<riskacceptance::RiskAcceptanceSpec>(object, source),
        Kind::ReleasePolicy => typed::<releasepolicy::ReleasePolicySpec>(object, source),
        Kind::ApprovalRole => typed::<approvalrole::ApprovalRoleSpec>(object, source),
        Kind::TrustedSigner => typed::<trustedsigner::TrustedSignerSpec>(object, source),
    }
}

fn typed<S: DeserializeOwned>(object: &Loaded, source: Option<(u64, &str)>) -> Option<String> {
    if let Some((before, text)) = source
        && let Err(e) = serde_saphyr::from_str::<Strict<S>>(text)
    {
        return Some(format!(
            "{} ({})",
            said(&object.file, before, text, &e, Some(object.kind)),
            object.label()
        ));
    }
    // The value as JSON is what is digested and judged: a number where a text is wanted shows only here.
    serde_json::from_value::<Strict<S>>(object.value.clone()).err().map(|e| {
        format!("{}: {} ({})", object.place(), explained(Some(object.kind), e.to_string()), object.label())
    })
}

/// A parser's error with file, line and column.
fn said(file: &str, before: u64, document: &str, error: &serde_saphyr::Error, kind: Option<Kind>) -> String {
    let said = words(error);
    let found = error.location().map(|l| (l.line(), l.column()));
    let found = found.map(|at| unknown_field(document, at, &said).unwrap_or(at));
    let at = found.map_or_else(String::new, |(line, column)| format!(":{}:{column}", before + line));
    format!("{file}{at}: {}", explained(kind, said))
}

/// What a parser said of an object, with what it means where a policy asks for what comes later.
fn explained(kind: Option<Kind>, said: String) -> String {
    if kind == Some(Kind::ReleasePolicy) { placet_gate::policy::explained(said) } else { said }
}

/// Line and column of an unknown field: the parser names the map that it stands in, so that the field is looked for
/// from there.
fn unknown_field(document: &str, (line, column): (u64, u64), said: &str) -> Option<(u64, u64)> {
    let field = said.strip_prefix("unknown field `")?.split('`').next().filter(|f| !f.is_empty())?;
    let from = usize::try_from(line).ok()?.saturating_sub(1);
    for (i, text) in document.lines().enumerate().skip(from) {
        let start = if i == from { usize::try_from(column).ok()?.saturating_sub(1) } else { 0 };
        let before = |at: usize| text[..at].trim_end().chars().next_back();
        let key = text.match_indices(field).map(|(at, _)| at).filter(|at| *at >= start).find(|at| {
            let rest = text[at + field.len()..].trim_start_matches(['"', '\'']).trim_start();
            rest.starts_with(':') && before(*at).is_none_or(|c| "{,-\"'".contains(c))
        });
        if let Some(at) = key {
            let column = text[..at].chars().count() + 1;
            return Some((u64::try_from(i).ok()? + 1, u64::try_from(column).ok()?));
        }
    }
    None
}

/// The error without the places that it repeats.
fn words(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::WithSnippet { error, .. } => words(error),
        serde_saphyr::Error::Message { msg, .. } | serde_saphyr::Error::HookError { msg, .. } => msg.clone(),
        other => {
            let text = other.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.split(" at line ").next().unwrap_or(first).to_owned()
        }
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
