//! h: `placet bias` on Parquet with two attributes, beside Fairlearn's `MetricFrame` on the same file. Both read the file and
//! compute selection, true positive and false positive rate of every intersection; Python's start and imports are not counted
//! against Fairlearn, the start of `placet` is counted against us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use serde_json::Value;

use crate::report::{Aim, Report};
use crate::stats::now;

/// Rows of a row group: what pyarrow writes unless told otherwise.
const ROW_GROUP: usize = 1 << 20;

/// Runs of ours, of which the median counts.
const RUNS: usize = 5;

/// The packages of the comparison, complete: installed with `--no-deps`.
const PACKAGES: [&str; 13] = [
    "cloudpickle==3.1.2",
    "fairlearn==0.15.0",
    "joblib==1.6.0",
    "narwhals==2.29.0",
    "numpy==2.4.6",
    "pandas==3.1.1",
    "pyarrow==26.0.1",
    "python-dateutil==4.0.0",
    "scikit-learn==1.9.1",
    "scipy==1.17.1",
    "six==1.17.0",
    "threadpoolctl==3.8.0",
    "tzdata==2026.6",
];

const SCRIPT: &str = r#"
import json, sys, time
import pandas
from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate, true_positive_rate

start = time.perf_counter()
rows = pandas.read_parquet(sys.argv[1], columns=["sex", "race", "label", "prediction"])
metrics = {"rows": count, "selection": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
frame = MetricFrame(metrics=metrics, y_true=rows["label"], y_pred=rows["prediction"], sensitive_features=rows[["sex", "race"]])
groups = frame.by_group
seconds = time.perf_counter() - start
groups = [{"sex": at[0], "race": at[1], **{k: float(v) for k, v in row.items()}} for at, row in groups.iterrows()]
json.dump({"seconds": seconds, "groups": groups}, sys.stdout)
"#;

/// What Fairlearn says.
#[derive(Debug, Deserialize)]
struct Fairlearn {
    seconds: f64,
    groups: Vec<Rates>,
}

/// Rates of one group.
#[derive(Debug, Deserialize)]
struct Rates {
    sex: String,
    race: String,
    rows: f64,
    selection: f64,
    tpr: f64,
    fpr: f64,
}

/// Measures.
pub fn measure(report: &mut Report, dir: &Path, rows: usize) -> anyhow::Result<()> {
    let work = tempfile::tempdir_in(dir)?;
    let file = work.path().join("rows.parquet");
    write(&file, rows)?;
    let placet = beside("placet")?;
    let (mut seconds, mut groups) = (Vec::new(), BTreeMap::new());
    for _ in 0..RUNS {
        let start = now();
        groups = ours(&placet, &file)?;
        seconds.push(now().saturating_duration_since(start).as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    let rate = |seconds: f64| rows as f64 / seconds;
    let value = rate(seconds[RUNS / 2]);
    let name = "h: rows of Parquet by two attributes, placet bias / Fairlearn";
    match fairlearn(work.path(), &file) {
        Ok(said) => {
            agree(&groups, &said.groups)?;
            let aims = [Aim::AtLeast(20e6), Aim::RatioAtLeast(30.0)];
            report.add(name, value, "rows/s", Some(rate(said.seconds)), &aims);
        }
        Err(why) => {
            eprintln!("h: not compared with Fairlearn: {why:#}");
            report.add(name, value, "rows/s", None, &[Aim::AtLeast(20e6)]);
        }
    }
    Ok(())
}

/// A program that was built with this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(
        path.is_file(),
        "wanted {} (cargo build --release --workspace --bins), found none",
        path.display()
    );
    Ok(path)
}

/// Rows from a generator of numbers: two sexes, five races of unequal size, labels and predictions that depend on them.
#[expect(clippy::disallowed_methods, reason = "a bench writes the file that it measures with")]
fn write(path: &Path, rows: usize) -> anyhow::Result<()> {
    const SEXES: [&str; 2] = ["Female", "Male"];
    const RACES: [&str; 5] = ["Amer-Indian-Eskimo", "Asian-Pac-Islander", "Black", "Other", "White"];
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(ROW_GROUP))
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer: Option<ArrowWriter<std::fs::File>> = None;
    let mut left = rows;
    while left > 0 {
        let part = left.min(ROW_GROUP);
        left -= part;
        let (mut sexes, mut races, mut labels, mut predictions) = (vec![], vec![], vec![], vec![]);
        for _ in 0..part {
            let (a, b) = (next(), next());
            let sex = usize::from(a % 100 < 67);
            let race = match a / 100 % 100 {
                0 => 0,
                1..4 => 1,
                4..14 => 2,
                14 => 3,
                _ => 4,
            };
            let label = i64::from(b % 100 < if sex == 1 { 30 } else { 11 });
            let predicted = if label == 1 { 60 } else { 6 };
            sexes.push(SEXES[sex]);
            races.push(RACES[race]);
            labels.push(label);
            predictions.push(i64::from(b / 100 % 100 < predicted));
        }
        let batch = RecordBatch::try_from_iter([
            ("sex", Arc::new(StringArray::from(sexes)) as ArrayRef),
            ("race", Arc::new(StringArray::from(races))),
            ("label", Arc::new(Int64Array::from(labels))),
            ("prediction", Arc::new(Int64Array::from(predictions))),
        ])?;
        if writer.is_none() {
            let file = std::fs::File::create(path)?;
            writer = Some(ArrowWriter::try_new(file, batch.schema(), Some(properties.clone()))?);
        }
        writer.as_mut().context("just made")?.write(&batch)?;
    }
    writer.context("wanted at least one row")?.close()?;
    Ok(())
}

/// TP, FP, FN, TN by sex and race, from the report that `placet bias` writes.
fn ours(placet: &Path, file: &Path) -> anyhow::Result<BTreeMap<(String, String), [f64; 4]>> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let output = Command::new(placet)
        .arg("bias")
        .arg(file)
        .args(["--label", "label", "--prediction", "prediction", "-a", "sex", "-a", "race"])
        .args(["--positive-means", "Favourable", "--artifact", &digest, "--dataset", &digest])
        .output()?;
    ensure!(output.status.success(), "placet bias: {}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_saphyr::from_str(std::str::from_utf8(&output.stdout)?)?;
    let groups = report["spec"]["groups"].as_array().context("wanted groups")?;
    groups
        .iter()
        .map(|g| {
            let of =
                |name: &str| g["attributes"][name].as_str().map(str::to_owned).context("wanted an attribute");
            let count = |name: &str| g[name].as_f64().context("wanted a count");
            Ok(((of("sex")?, of("race")?), [count("tp")?, count("fp")?, count("fn")?, count("tn")?]))
        })
        .collect()
}

/// Fairlearn in an environment of its own, which goes with the directory.
#[expect(clippy::disallowed_methods, reason = "a bench writes the script that it runs")]
fn fairlearn(dir: &Path, file: &Path) -> anyhow::Result<Fairlearn> {
    let venv = dir.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv)).context("python3 -m venv")?;
    let python = venv.join("bin/python");
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"];
    run(Command::new(&python).args(pip).args(PACKAGES)).context("pip install")?;
    let script = dir.join("compare.py");
    std::fs::write(&script, SCRIPT)?;
    let out = run(Command::new(&python).arg(&script).arg(file)).context("compare.py")?;
    Ok(serde_json::from_slice(&out)?)
}

/// What a program writes.
fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.lines().last().unwrap_or("it failed without a word"));
    }
    Ok(output.stdout)
}

/// Both computed the same: a figure of something else would be none.
fn agree(ours: &BTreeMap<(String, String), [f64; 4]>, theirs: &[Rates]) -> anyhow::Result<()> {
    ensure!(ours.len() == theirs.len(), "wanted {} groups, Fairlearn found {}", ours.len(), theirs.len());
    for group in theirs {
        let [tp, fp, fn_, tn] = ours
            .get(&(group.sex.clone(), group.race.clone()))
            .context("a group that only Fairlearn found")?;
        let rows = tp + fp + fn_ + tn;
        let both = [
            (rows, group.rows),
            ((tp + fp) / rows, group.selection),
            (tp / (tp + fn_), group.tpr),
            (fp / (fp + tn), group.fpr),
        ];
        for (ours, theirs) in both {
            ensure!(
                (ours - theirs).abs() <= 1e-12 * theirs.max(1.0),
                "{group:?}: wanted {theirs}, found {ours}"
            );
        }
    }
    Ok(())
}
