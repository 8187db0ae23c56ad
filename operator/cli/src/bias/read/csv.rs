//! Rows of comma-separated values.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, bail};
use csv::{ByteRecord, Reader, ReaderBuilder};

use super::Pace;
use crate::bias::rows::{Columns, Sink, Source, Worker};
use crate::bias::values::Values;
use crate::sys;

/// Rows that are kept before they are taken: texts are larger than codes.
const RECORDS: usize = 1 << 12;

/// Some rows; `used` of the records are filled.
struct Records {
    read: Vec<ByteRecord>,
    used: usize,
    header: Vec<String>,
}

impl Records {
    /// A text of a row.
    fn text(&self, row: usize, column: usize) -> anyhow::Result<&str> {
        let record = &self.read[row];
        let at = || {
            let line = record.position().map_or(0, csv::Position::line);
            format!("line {line}, column {}", self.header[column])
        };
        // The reader refuses rows of another length than the header's.
        let bytes = record.get(column).unwrap_or_default();
        if broken(bytes) {
            bail!(
                "{}: wanted a value on one line, found one of several: a quote before it that is not closed makes one value of \
                 all that follows; mend the file",
                at()
            );
        }
        std::str::from_utf8(bytes).map_err(|_| {
            anyhow::anyhow!(
                "{}: wanted UTF-8, found {:?}: convert the file first (iconv -f ISO-8859-1 -t UTF-8, if that is what it is)",
                at(),
                String::from_utf8_lossy(bytes)
            )
        })
    }
}

/// Whether a value is of more than one line.
fn broken(value: &[u8]) -> bool {
    value.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
}

/// Refuses a file that ends within quotes: the last value holds what are more rows.
fn closed(path: &Path, last: &ByteRecord) -> anyhow::Result<()> {
    if !last.iter().next_back().is_some_and(broken) {
        return Ok(());
    }
    let mut file = sys::open(path)?;
    let from = file.metadata().map_or(0, |m| m.len()).saturating_sub(64);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    if end.trim_ascii_end().ends_with(b"\"") {
        return Ok(());
    }
    bail!(
        "line {}: wanted quotes that are closed, found one that is open until the file ends: all rows below it would be one value; \
         mend the file",
        last.position().map_or(0, csv::Position::line)
    )
}

impl Source for Records {
    fn rows(&self) -> usize {
        self.used
    }

    fn codes(&self, column: usize, values: &mut Values, out: &mut Vec<u32>) -> anyhow::Result<()> {
        out.clear();
        for row in 0..self.used {
            out.push(values.text(self.text(row, column)?)?);
        }
        Ok(())
    }

    fn numbers(&self, column: usize, out: &mut Vec<f64>) -> anyhow::Result<()> {
        out.clear();
        for row in 0..self.used {
            let text = self.text(row, column)?.trim();
            out.push(if text.is_empty() {
                f64::NAN
            } else {
                text.parse().map_err(|_| {
                    let line = self.read[row].position().map_or(0, csv::Position::line);
                    anyhow::anyhow!("line {line}: wanted a number, found {text:?}")
                })?
            });
        }
        Ok(())
    }
}

/// Reads all rows of a file.
pub fn read<S: Sink>(
    path: &Path,
    delimiter: u8,
    columns: &Columns,
    worker: &mut Worker<S>,
    pace: &mut Pace<'_>,
) -> anyhow::Result<()> {
    let file = sys::open(path)?;
    pace.whole = file.metadata().map_or(0, |m| m.len());
    let mut reader: Reader<_> =
        ReaderBuilder::new().delimiter(delimiter).buffer_capacity(1 << 18).from_reader(file);
    let header = reader.byte_headers()?.clone();
    let header: Vec<String> = header
        .iter()
        .map(|name| match std::str::from_utf8(name) {
            Ok(name) => Ok(name.trim_start_matches('\u{feff}').trim().to_owned()),
            Err(_) => {
                bail!("line 1: wanted column names in UTF-8, found {:?}", String::from_utf8_lossy(name))
            }
        })
        .collect::<anyhow::Result<_>>()?;
    let names: Vec<&str> = header.iter().map(String::as_str).collect();
    let places = columns.find(&names).with_context(|| {
        if names.len() == 1 {
            "one column was found: --delimiter says what separates them"
        } else {
            "the first line is the names of the columns"
        }
    })?;
    let mut records = Records { read: vec![ByteRecord::new(); RECORDS], used: 0, header: header.clone() };
    let (mut first, mut before) = (1, 0);
    loop {
        records.used = 0;
        while records.used < RECORDS && reader.read_byte_record(&mut records.read[records.used])? {
            records.used += 1;
        }
        let rows = u64::try_from(records.used)?;
        if rows > 0 {
            worker.read(&records, &places, first)?;
        }
        first += rows;
        let at = reader.position().byte();
        pace.add(at - before, rows);
        before = at;
        if records.used < RECORDS {
            let last = if rows > 0 { records.used } else { RECORDS };
            return closed(path, &records.read[last - 1]);
        }
    }
}
