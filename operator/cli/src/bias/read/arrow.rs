//! Rows of Arrow arrays, and Arrow IPC files and streams of them. Parquet is read into the same arrays.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{BufReader, Read, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{DataType, Schema};

use super::Pace;
use crate::bias::rows::{BATCH, Columns, Places, Sink, Source, Worker};
use crate::bias::values::Values;
use crate::sys;

/// What attributes, labels and predictions are read from.
const WORDS: &str = "text, whole numbers, numbers or true and false, plain or as a dictionary";

/// Some rows of a file. Columns that are not read are not there.
pub struct Arrays<'a> {
    /// The rows.
    pub batch: &'a RecordBatch,
}

/// Gives the codes of a primitive array.
fn each<T: ArrowPrimitiveType>(
    array: &dyn Array,
    out: &mut Vec<u32>,
    mut code: impl FnMut(T::Native) -> anyhow::Result<u32>,
) -> anyhow::Result<()> {
    let array = array.as_primitive::<T>();
    if array.null_count() == 0 {
        for value in array.values() {
            out.push(code(*value)?);
        }
    } else {
        for value in array {
            out.push(value.map_or(Ok(0), &mut code)?);
        }
    }
    Ok(())
}

/// Codes of whole numbers: those of one byte, which most are, by a table.
fn whole<T: ArrowPrimitiveType>(
    array: &dyn Array,
    values: &mut Values,
    out: &mut Vec<u32>,
    number: impl Fn(T::Native) -> Option<i64>,
    text: impl Fn(T::Native) -> String,
) -> anyhow::Result<()> {
    const NONE: u32 = u32::MAX;
    let mut known = [NONE; 256];
    each::<T>(array, out, |value| {
        let Some(integer) = number(value) else { return values.text(&text(value)) };
        let Ok(small) = u8::try_from(integer) else { return values.integer(integer) };
        let code = &mut known[usize::from(small)];
        if *code == NONE {
            *code = values.integer(integer)?;
        }
        Ok(*code)
    })
}

/// Codes of the values of an array.
fn codes(array: &dyn Array, values: &mut Values, out: &mut Vec<u32>) -> anyhow::Result<()> {
    fn texts<'a>(
        texts: impl Iterator<Item = Option<&'a str>>,
        values: &mut Values,
        out: &mut Vec<u32>,
    ) -> anyhow::Result<()> {
        for text in texts {
            out.push(text.map_or(Ok(0), |text| values.text(text))?);
        }
        Ok(())
    }
    macro_rules! integers {
        ($type:ty) => {
            whole::<$type>(array, values, out, |n| i64::try_from(n).ok(), |n| n.to_string())
        };
    }
    out.clear();
    out.reserve(array.len());
    match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let mut table = Vec::new();
            codes(dictionary.values().as_ref(), values, &mut table)?;
            keys(dictionary.keys(), &table, out)
        }
        DataType::Utf8 => texts(array.as_string::<i32>().iter(), values, out),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter(), values, out),
        DataType::Utf8View => texts(array.as_string_view().iter(), values, out),
        DataType::Boolean => {
            let both = [values.text("false")?, values.text("true")?];
            out.extend(array.as_boolean().iter().map(|b| b.map_or(0, |b| both[usize::from(b)])));
            Ok(())
        }
        DataType::Int8 => integers!(Int8Type),
        DataType::Int16 => integers!(Int16Type),
        DataType::Int32 => integers!(Int32Type),
        DataType::Int64 => integers!(Int64Type),
        DataType::UInt8 => integers!(UInt8Type),
        DataType::UInt16 => integers!(UInt16Type),
        DataType::UInt32 => integers!(UInt32Type),
        DataType::UInt64 => integers!(UInt64Type),
        DataType::Float32 => {
            let mut text = Vec::new();
            each::<Float32Type>(array, out, |n| {
                if n.is_nan() { Ok(0) } else { values.float(widen(n, &mut text)) }
            })
        }
        DataType::Float64 => each::<Float64Type>(array, out, |n| values.float(n)),
        DataType::Null => {
            out.resize(array.len(), 0);
            Ok(())
        }
        other => bail!("wanted {WORDS}, found {other}: convert it"),
    }
}

/// Codes of the rows of a dictionary's keys, by the codes of its values.
fn keys(keys: &dyn Array, table: &[u32], out: &mut Vec<u32>) -> anyhow::Result<()> {
    fn all<T: ArrowPrimitiveType>(keys: &dyn Array, table: &[u32], out: &mut Vec<u32>) -> anyhow::Result<()>
    where
        T::Native: TryInto<usize> + Copy,
    {
        // Codes are at most 10,000.
        const WRONG: u32 = u32::MAX;
        let keys = keys.as_primitive::<T>();
        let of = |key: T::Native| {
            key.try_into().ok().and_then(|key: usize| table.get(key).copied()).unwrap_or(WRONG)
        };
        if keys.null_count() == 0 {
            out.extend(keys.values().iter().map(|key| of(*key)));
        } else {
            out.extend(keys.iter().map(|key| key.map_or(0, of)));
        }
        if out.contains(&WRONG) {
            bail!("wanted a value of its dictionary in each row, found a key beyond it: the file is damaged");
        }
        Ok(())
    }
    match keys.data_type() {
        DataType::Int8 => all::<Int8Type>(keys, table, out),
        DataType::Int16 => all::<Int16Type>(keys, table, out),
        DataType::Int32 => all::<Int32Type>(keys, table, out),
        DataType::Int64 => all::<Int64Type>(keys, table, out),
        DataType::UInt8 => all::<UInt8Type>(keys, table, out),
        DataType::UInt16 => all::<UInt16Type>(keys, table, out),
        DataType::UInt32 => all::<UInt32Type>(keys, table, out),
        DataType::UInt64 => all::<UInt64Type>(keys, table, out),
        other => bail!("wanted keys of a dictionary that are whole numbers, found {other}"),
    }
}

/// A number of 32 bits as one of 64: the one that the same text gives. 0.7 of 32 bits is a little less than 0.7, and a score
/// of 0.7 is to be at least a threshold of 0.7 in every format.
fn widen(number: f32, text: &mut Vec<u8>) -> f64 {
    text.clear();
    let shortest =
        write!(text, "{number:e}").ok().and_then(|()| std::str::from_utf8(text).ok()?.parse().ok());
    shortest.unwrap_or_else(|| f64::from(number))
}

/// That no whole number is beyond what a double holds exactly: two that differ would become one, on the same side of every
/// threshold. Each is given as its size and whether it is negative.
fn exact(mut numbers: impl Iterator<Item = (u64, bool)>) -> anyhow::Result<()> {
    match numbers.find(|(size, _)| *size > 1 << 53) {
        None => Ok(()),
        Some((size, negative)) => bail!(
            "wanted whole numbers from -2^53 to 2^53, beyond which neighbours cannot be told apart, found {}{size}: scale the scores",
            if negative { "-" } else { "" }
        ),
    }
}

/// Numbers of an array.
fn numbers(array: &dyn Array, out: &mut Vec<f64>) -> anyhow::Result<()> {
    fn all<T: ArrowPrimitiveType>(array: &dyn Array, out: &mut Vec<f64>, of: impl Fn(T::Native) -> f64) {
        let array = array.as_primitive::<T>();
        if array.null_count() == 0 {
            out.extend(array.values().iter().map(|n| of(*n)));
        } else {
            out.extend(array.iter().map(|n| n.map_or(f64::NAN, &of)));
        }
    }
    out.clear();
    match array.data_type() {
        DataType::Float64 => all::<Float64Type>(array, out, |n| n),
        DataType::Float32 => {
            let text = RefCell::new(Vec::with_capacity(16));
            all::<Float32Type>(array, out, |n| widen(n, &mut text.borrow_mut()));
        }
        DataType::Int8 => all::<Int8Type>(array, out, f64::from),
        DataType::Int16 => all::<Int16Type>(array, out, f64::from),
        DataType::Int32 => all::<Int32Type>(array, out, f64::from),
        DataType::UInt8 => all::<UInt8Type>(array, out, f64::from),
        DataType::UInt16 => all::<UInt16Type>(array, out, f64::from),
        DataType::UInt32 => all::<UInt32Type>(array, out, f64::from),
        DataType::Int64 => {
            exact(array.as_primitive::<Int64Type>().iter().flatten().map(|n| (n.unsigned_abs(), n < 0)))?;
            #[expect(clippy::cast_precision_loss, reason = "at most 2^53, which a double holds")]
            all::<Int64Type>(array, out, |n| n as f64);
        }
        DataType::UInt64 => {
            exact(array.as_primitive::<UInt64Type>().iter().flatten().map(|n| (n, false)))?;
            #[expect(clippy::cast_precision_loss, reason = "at most 2^53, which a double holds")]
            all::<UInt64Type>(array, out, |n| n as f64);
        }
        other => bail!("wanted numbers, found {other}: convert it"),
    }
    Ok(())
}

impl Source for Arrays<'_> {
    fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn codes(&self, column: usize, values: &mut Values, out: &mut Vec<u32>) -> anyhow::Result<()> {
        codes(self.batch.column(column).as_ref(), values, out).with_context(|| self.name(column))
    }

    fn numbers(&self, column: usize, out: &mut Vec<f64>) -> anyhow::Result<()> {
        numbers(self.batch.column(column).as_ref(), out)
    }
}

impl Arrays<'_> {
    fn name(&self, column: usize) -> String {
        format!("column {}", self.batch.schema_ref().field(column).name())
    }
}

/// Where the columns stand in a file, and which of them are read.
pub fn find(columns: &Columns, schema: &Schema) -> anyhow::Result<(Places, Vec<usize>)> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    let places = columns.find(&names)?;
    let all = places.all();
    let kept: BTreeSet<&str> = all.iter().map(|at| names[*at]).collect();
    let kept: Vec<&str> = names.iter().copied().filter(|name| kept.contains(name)).collect();
    Ok((columns.find(&kept)?, all))
}

/// Rows of one batch, in parts that are not too large.
pub fn take<S: Sink>(
    batch: &RecordBatch,
    places: &Places,
    first: u64,
    worker: &mut Worker<S>,
) -> anyhow::Result<()> {
    let mut from = 0;
    while from < batch.num_rows() {
        let part = batch.slice(from, BATCH.min(batch.num_rows() - from));
        worker.read(&Arrays { batch: &part }, places, first + u64::try_from(from)?)?;
        from += part.num_rows();
    }
    Ok(())
}

/// A file of which is noted whether somebody read on where it ends.
struct ToItsEnd<R> {
    file: R,
    met: bool,
}

impl<R: Read> Read for ToItsEnd<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(out)?;
        self.met |= read == 0 && !out.is_empty();
        Ok(read)
    }
}

/// Reads all rows of an IPC file, or of a stream.
pub fn read<S: Sink>(
    path: &Path,
    whole_file: bool,
    columns: &Columns,
    worker: &mut Worker<S>,
    pace: &mut Pace<'_>,
) -> anyhow::Result<()> {
    const WANTED: &str = "wanted a whole Arrow IPC file or stream (uncompressed, LZ4 or Zstandard)";
    let mut file = BufReader::new(sys::open(path)?);
    let mut first = 1;
    let mut rows = |batch: RecordBatch, places: &Places| {
        let rows = u64::try_from(batch.num_rows())?;
        take(&batch, places, first, worker)?;
        first += rows;
        pace.add(0, rows);
        anyhow::Ok(())
    };
    if whole_file {
        let reader = FileReader::try_new(&mut file, None).context(WANTED)?;
        let (places, all) = find(columns, &reader.schema())?;
        file.rewind()?;
        let reader = FileReader::try_new(&mut file, Some(all)).context(WANTED)?;
        for batch in reader {
            rows(batch.context(WANTED)?, &places)?;
        }
    } else {
        let reader = StreamReader::try_new(&mut file, None).context(WANTED)?;
        let (places, all) = find(columns, &reader.schema())?;
        file.rewind()?;
        let mut file = ToItsEnd { file: &mut file, met: false };
        let reader = StreamReader::try_new(&mut file, Some(all)).context(WANTED)?;
        for batch in reader {
            rows(batch.context(WANTED)?, &places)?;
        }
        // A reader takes the end of the file for the mark that ends a stream.
        if file.met {
            bail!(
                "{WANTED}, found a stream without its mark of the end: rows may be missing; write it again"
            );
        }
    }
    Ok(())
}
