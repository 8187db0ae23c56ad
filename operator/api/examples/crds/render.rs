//! The generated files as values: what `crds` writes, and what the drift test compares with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

/// Directories in which every file is generated.
pub const OWNED: [&str; 3] = ["crds", "charts/placet-crds/templates", "charts/placet/files/policies"];

/// Where the policy packs are written by hand; the chart carries copies, since Helm reads no file outside a chart.
pub const PACKS: &str = "policies/packs";

/// A file that could not be read, written or rendered.
#[derive(Debug)]
pub struct RenderError(String);

impl RenderError {
    /// A failure at a path.
    #[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
    pub fn at(path: &Path, source: std::io::Error) -> Self {
        Self(format!("{}: {source}", path.display()))
    }
}

impl std::fmt::Display for RenderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RenderError {}

/// All generated files: path from the repository's root, and text.
pub fn files(root: &Path) -> Result<BTreeMap<String, String>, RenderError> {
    let mut files = BTreeMap::new();
    for crd in placet_api::crds() {
        let name = format!("{}.placet.dev.yaml", crd.spec.names.plural);
        let mut value = serde_json::to_value(&crd).map_err(|e| RenderError(format!("{name}: {e}")))?;
        files.insert(format!("{}/{name}", OWNED[0]), yaml(&value));
        // Removing the chart must not remove every system, release and approval with it.
        value["metadata"]["annotations"]["helm.sh/resource-policy"] = Value::from("keep");
        files.insert(format!("{}/{name}", OWNED[1]), yaml(&value));
    }
    let packs = root.join(PACKS);
    for name in listing(&packs)? {
        let path = packs.join(&name);
        #[expect(clippy::disallowed_methods, reason = "a generator that runs by itself, outside any runtime")]
        let text = std::fs::read_to_string(&path).map_err(|source| RenderError::at(&path, source))?;
        files.insert(format!("{}/{name}", OWNED[2]), text);
    }
    Ok(files)
}

/// Names of the files (not directories) in a directory, sorted.
#[expect(clippy::disallowed_methods, reason = "a generator that runs by itself, outside any runtime")]
pub fn listing(dir: &Path) -> Result<Vec<String>, RenderError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|source| RenderError::at(dir, source))? {
        let entry = entry.map_err(|source| RenderError::at(dir, source))?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// YAML in block style, with sorted keys and every value that is a text in JSON's double quotes: YAML 1.1 and 1.2 readers then agree on
/// each value, whatever it looks like (`on`, `1e3`, `0x1f`, `~`).
pub fn yaml(value: &Value) -> String {
    let mut out = String::from("# Generated from operator/api by `make crds`. Do not edit.\n");
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            // Sorted here: whether serde_json sorts depends on features that other crates of the build turn on.
            for (key, value) in map.iter().collect::<BTreeMap<_, _>>() {
                let _ = write!(out, "{pad}{}:", plain_or_quoted(key));
                after_key(value, indent, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        block(item, indent + 2, &mut inner);
                        let _ = write!(out, "{pad}- {}", inner.trim_start());
                    }
                    other => {
                        let _ = writeln!(out, "{pad}- {other}");
                    }
                }
            }
        }
        other => {
            let _ = writeln!(out, "{pad}{other}");
        }
    }
}

/// A key without quotes where every reader takes it for a text.
fn plain_or_quoted(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-./".contains(c));
    let word = key.to_ascii_lowercase();
    let trap = ["y", "n", "on", "off", "yes", "no", "true", "false", "null"].contains(&word.as_str());
    if plain && !trap { key.to_owned() } else { Value::from(key).to_string() }
}

fn after_key(value: &Value, indent: usize, out: &mut String) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(value, indent + 2, out);
    } else {
        let _ = writeln!(out, " {value}");
    }
}
