//! What the tests of `placet bias` share: rows, and files of them in each format.
#![allow(dead_code, reason = "each test binary uses some of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]
#![allow(clippy::disallowed_methods, reason = "tests write the files that are read")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::common::{Ran, placet};

/// What was tested.
pub const ARTIFACT: &str = "sha256:3ecc933942d7d90aa05aaf3da6798f19d4af1815b0890de094d100d7feae14d7";
/// On what.
pub const DATASET: &str = "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05";

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    pub sex: Option<&'static str>,
    pub region: i64,
    pub label: bool,
    pub prediction: bool,
    pub score: f64,
    pub weight: f64,
}

/// Rows from a generator of numbers: the same ones each time.
pub fn rows(count: usize) -> Vec<Row> {
    let mut state = 11_u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let row = |_| {
        let sex = [Some("female"), Some("male"), Some("male"), None][usize::try_from(next(4)).unwrap()];
        let score = f64::from(u32::try_from(next(1000)).unwrap()) / 1000.0;
        Row {
            sex,
            region: i64::try_from(next(3)).unwrap(),
            label: next(10) < 4,
            prediction: score > 0.55 || (sex == Some("male") && next(10) == 0),
            score,
            weight: f64::from(u32::try_from(1 + next(40)).unwrap()) / 10.0,
        }
    };
    (0..count).map(row).collect()
}

/// The counts of the rows, counted here: TP, FP, FN, TN by sex and region.
pub fn counted(rows: &[Row]) -> BTreeMap<(String, String), [u64; 4]> {
    let mut all: BTreeMap<(String, String), [u64; 4]> = BTreeMap::new();
    for row in rows {
        let key = (row.sex.unwrap_or("(missing)").to_owned(), row.region.to_string());
        let at = match (row.prediction, row.label) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        all.entry(key).or_default()[at] += 1;
    }
    all
}

/// The counts of a report, by the values of its attributes, which are in the order of their names.
pub fn counts_of(report: &Value) -> BTreeMap<Vec<String>, [u64; 4]> {
    let groups = report["spec"]["groups"].as_array().unwrap();
    let of = |g: &Value| {
        let sorted: BTreeMap<&String, &Value> = g["attributes"].as_object().unwrap().iter().collect();
        let values = sorted.values().map(|v| v.as_str().unwrap().to_owned());
        (values.collect(), ["tp", "fp", "fn", "tn"].map(|c| g[c].as_u64().unwrap()))
    };
    groups.iter().map(of).collect()
}

/// The rows as CSV.
pub fn csv(rows: &[Row]) -> String {
    let mut out = "sex,region,label,prediction,score,weight\n".to_owned();
    for r in rows {
        let sex = r.sex.unwrap_or("");
        let _ = writeln!(
            out,
            "{sex},{},{},{},{},{}",
            r.region,
            u8::from(r.label),
            u8::from(r.prediction),
            r.score,
            r.weight
        );
    }
    out
}

/// The rows as arrays: texts as a dictionary or plain, labels as numbers, predictions as true and false.
pub fn batch(rows: &[Row], dictionary: bool) -> RecordBatch {
    let sex: Vec<Option<&str>> = rows.iter().map(|r| r.sex).collect();
    let sex: ArrayRef = if dictionary {
        Arc::new(sex.into_iter().collect::<DictionaryArray<Int8Type>>())
    } else {
        Arc::new(StringArray::from(sex))
    };
    let label = Int64Array::from_iter_values(rows.iter().map(|r| i64::from(r.label)));
    let prediction: BooleanArray = rows.iter().map(|r| Some(r.prediction)).collect();
    RecordBatch::try_from_iter_with_nullable([
        // Columns that nobody asks for are not read.
        ("note", Arc::new(StringArray::from(vec!["x"; rows.len()])) as ArrayRef, false),
        ("sex", sex, true),
        ("region", Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.region))), true),
        ("prediction", Arc::new(prediction), true),
        ("label", Arc::new(label), false),
        ("score", Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.score))), false),
        ("weight", Arc::new(Float64Array::from_iter_values(rows.iter().map(|r| r.weight))), false),
    ])
    .unwrap()
}

/// Parquet of arrays, with row groups of so many rows.
pub fn parquet(batch: &RecordBatch, group: usize, compression: Compression, dictionary: bool) -> Vec<u8> {
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group))
        .set_compression(compression)
        .set_dictionary_enabled(dictionary)
        .build();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    out
}

/// An IPC file of arrays, or a stream, in parts of so many rows.
pub fn ipc(batch: &RecordBatch, part: usize, stream: bool, compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let parts =
        (0..batch.num_rows()).step_by(part).map(|at| batch.slice(at, part.min(batch.num_rows() - at)));
    let mut out = Vec::new();
    if stream {
        let mut writer = StreamWriter::try_new_with_options(&mut out, &batch.schema(), options).unwrap();
        parts.for_each(|p| writer.write(&p).unwrap());
        writer.finish().unwrap();
        drop(writer);
    } else {
        let mut writer = FileWriter::try_new_with_options(&mut out, &batch.schema(), options).unwrap();
        parts.for_each(|p| writer.write(&p).unwrap());
        writer.finish().unwrap();
        drop(writer);
    }
    out
}

/// The same rows in every format, each with its name.
pub fn files(rows: &[Row]) -> Vec<(&'static str, Vec<u8>)> {
    let (dictionary, plain) = (batch(rows, true), batch(rows, false));
    let zstd = Compression::ZSTD(ZstdLevel::default());
    vec![
        ("csv", csv(rows).into_bytes()),
        ("parquet, Snappy, many row groups", parquet(&dictionary, 257, Compression::SNAPPY, true)),
        ("parquet, Zstandard, one row group", parquet(&plain, 1 << 20, zstd, true)),
        (
            "parquet, gzip",
            parquet(&plain, 2_000, Compression::GZIP(parquet::basic::GzipLevel::default()), true),
        ),
        ("parquet, LZ4, without dictionaries", parquet(&plain, 5_000, Compression::LZ4_RAW, false)),
        ("parquet, uncompressed", parquet(&dictionary, 3_000, Compression::UNCOMPRESSED, false)),
        ("arrow file", ipc(&dictionary, 700, false, None)),
        ("arrow file, LZ4", ipc(&plain, 9_000, false, Some(CompressionType::LZ4_FRAME))),
        ("arrow stream, Zstandard", ipc(&plain, 1_000, true, Some(CompressionType::ZSTD))),
        ("arrow stream", ipc(&dictionary, 1 << 20, true, None)),
    ]
}

/// A file with this content, gone at the end of the test.
pub struct File {
    _dir: tempfile::TempDir,
    pub path: String,
}

pub fn file(content: impl AsRef<[u8]>) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows");
    std::fs::write(&path, content).unwrap();
    File { path: path.to_str().unwrap().to_owned(), _dir: dir }
}

impl File {
    /// A path beside it.
    pub fn beside(&self, name: &str) -> String {
        PathBuf::from(&self.path).with_file_name(name).to_str().unwrap().to_owned()
    }
}

/// Runs `placet bias` on a file.
pub fn bias(file: &File, more: &[&str]) -> Ran {
    placet(&[&["bias", &file.path, "--label", "label", "--positive-means", "Favourable"], more].concat())
}

/// The options of a report, with its moment fixed.
pub const REPORT: [&str; 6] =
    ["--artifact", ARTIFACT, "--dataset", DATASET, "--ran-at", "2026-11-23T10:00:00Z"];

/// The report of a file, and what was said.
pub fn report(file: &File, more: &[&str]) -> (Value, String) {
    let ran = bias(file, &[&REPORT, more].concat());
    assert!(ran.code < 2, "{}", ran.err);
    (serde_saphyr::from_str(&ran.out).unwrap(), ran.err)
}

/// What is said of a file that is refused.
pub fn refused(content: impl AsRef<[u8]>, more: &[&str]) -> String {
    let ran = bias(&file(content), more);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("error: "), "{}", ran.err);
    ran.err
}
