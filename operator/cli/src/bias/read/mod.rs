//! Reading a file once, from its first row to its last, by whoever takes the rows. Nothing of it is kept.

mod arrow;
mod csv;
mod parquet;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};

use super::rows::{Columns, Sink, Worker};
use crate::sys::{self, Progress};

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Parquet,
    ArrowFile,
    ArrowStream,
}

/// A file of rows.
#[derive(Debug)]
pub struct Rows {
    path: PathBuf,
    format: Format,
    delimiter: u8,
    threads: usize,
}

/// What came of reading a file.
pub struct Read<S> {
    /// Those who read it.
    pub workers: Vec<Worker<S>>,
    /// Rows.
    pub rows: u64,
}

/// How far the reading is, and who is told.
struct Pace<'a> {
    /// Of `whole`.
    done: &'a AtomicU64,
    whole: u64,
    rows: &'a AtomicU64,
    bar: Option<Progress>,
}

impl<'a> Pace<'a> {
    /// The same for somebody who tells nobody.
    fn silent(&self) -> Pace<'a> {
        Pace { bar: None, ..*self }
    }

    /// So much more was read.
    fn add(&mut self, done: u64, rows: u64) {
        let done = self.done.fetch_add(done, Ordering::Relaxed) + done;
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if let Some(bar) = &mut self.bar {
            let twentieths =
                usize::try_from((20 * done).checked_div(self.whole).unwrap_or(0).min(20)).unwrap_or(20);
            bar.tell(|| {
                format!(
                    "[{}{}] {} rows",
                    "#".repeat(twentieths),
                    ".".repeat(20 - twentieths),
                    super::show::thousands(rows)
                )
            });
        }
    }
}

impl Rows {
    /// Looks at what a file is.
    ///
    /// # Errors
    /// It cannot be read, is empty, or is in an encoding or a format that is not read.
    pub fn open(path: &Path, delimiter: &str, threads: Option<usize>) -> anyhow::Result<Self> {
        let file = path.display();
        let delimiter = match delimiter.as_bytes() {
            [one] if one.is_ascii() && !matches!(one, b'"' | b'\n' | b'\r') => *one,
            b"\\t" => b'\t',
            _ => bail!("--delimiter: wanted one character (, or ; or \\t), found {delimiter:?}"),
        };
        if threads == Some(0) {
            bail!("--threads: wanted at least 1, found 0");
        }
        let threads =
            threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
        let mut start = Vec::new();
        sys::open(path)?.take(8).read_to_end(&mut start).with_context(|| file.to_string())?;
        let format = match start.as_slice() {
            [] => bail!("{file}: wanted a header and rows, found an empty file"),
            [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
            [b'P', b'A', b'R', b'E', ..] => {
                bail!(
                    "{file}: wanted Parquet that can be read, found one whose footer is encrypted: decrypt it first"
                )
            }
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Format::ArrowFile,
            [0xff, 0xff, 0xff, 0xff, ..] => Format::ArrowStream,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => bail!(
                "{file}: wanted CSV in UTF-8, Parquet or Arrow IPC, found what looks like UTF-16: \
                 iconv -f UTF-16 -t UTF-8 {file} > utf8.csv"
            ),
            _ => Format::Csv,
        };
        Ok(Self { path: path.to_owned(), format, delimiter, threads })
    }

    /// Reads all rows, by takers that `new` makes.
    ///
    /// # Errors
    /// What is wrong with the file, a row or a value.
    pub fn read<S: Sink>(&self, columns: &Columns, new: &(dyn Fn() -> S + Sync)) -> anyhow::Result<Read<S>> {
        let (done, rows) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut pace = Pace { done: &done, whole: 0, rows: &rows, bar: Some(Progress::new()) };
        let _words = (self.format != Format::Csv).then(|| sys::end_with_words(format!(
            "{}: wanted a whole Parquet or Arrow IPC file, found one that is damaged: what its parts say of themselves does not fit \
             together; write it again",
            self.path.display()
        )));
        let workers = match self.format {
            Format::Csv => {
                let mut worker = Worker::new(columns, new());
                csv::read(&self.path, self.delimiter, columns, &mut worker, &mut pace).map(|()| vec![worker])
            }
            Format::ArrowFile | Format::ArrowStream => {
                let mut worker = Worker::new(columns, new());
                let whole_file = self.format == Format::ArrowFile;
                arrow::read(&self.path, whole_file, columns, &mut worker, &mut pace).map(|()| vec![worker])
            }
            Format::Parquet => parquet::read(&self.path, self.threads, columns, new, &mut pace),
        };
        let workers = workers.with_context(|| self.path.display().to_string())?;
        let rows = rows.into_inner();
        if rows == 0 {
            bail!("{}: wanted rows, found none", self.path.display());
        }
        Ok(Read { workers, rows })
    }
}
