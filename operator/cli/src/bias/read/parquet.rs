//! Rows of Parquet. Row groups are read by several threads; texts are kept as dictionaries, so that a text is looked at once
//! and not in each row.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, anyhow, bail};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::{Pace, arrow};
use crate::bias::rows::{BATCH, Columns, Places, Sink, Worker};
use crate::sys;

const WANTED: &str = "wanted a whole Parquet file (uncompressed, Snappy, gzip, LZ4 or Zstandard)";

/// What the threads share.
struct Plan<'a> {
    path: &'a Path,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    places: Places,
    columns: &'a Columns,
    /// The number of the first row of each row group.
    firsts: Vec<u64>,
    next: AtomicUsize,
    failed: AtomicBool,
}

/// The schema with texts of the columns that are read as dictionaries.
fn dictionaries(schema: &Schema, worded: &[usize]) -> Arc<Schema> {
    let fields = schema.fields().iter().enumerate().map(|(at, field)| {
        let text = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
            DataType::Dictionary(_, of) => {
                matches!(**of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
            }
            _ => false,
        };
        if text && worded.contains(&at) {
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(Field::clone(field).with_data_type(dictionary))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

/// Reads all rows of a file.
pub fn read<S: Sink>(
    path: &Path,
    threads: usize,
    columns: &Columns,
    new: &(dyn Fn() -> S + Sync),
    pace: &mut Pace<'_>,
) -> anyhow::Result<Vec<Worker<S>>> {
    let found = ArrowReaderMetadata::load(&sys::open(path)?, ArrowReaderOptions::new()).context(WANTED)?;
    let (places, all) = arrow::find(columns, found.schema())?;
    let names: Vec<&str> = found.schema().fields().iter().map(|f| f.name().as_str()).collect();
    let worded = columns.find(&names)?.worded();
    let options = ArrowReaderOptions::new().with_schema(dictionaries(found.schema(), &worded));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).context(WANTED)?;
    let mut first = 1;
    let mut firsts = Vec::new();
    for group in metadata.metadata().row_groups() {
        firsts.push(first);
        first += u64::try_from(group.num_rows()).context("wanted rows, found a negative number of them")?;
    }
    let wanted = first - 1;
    pace.whole = wanted;
    let groups = firsts.len();
    let plan = &Plan {
        path,
        mask: ProjectionMask::roots(metadata.parquet_schema(), all),
        metadata,
        places,
        columns,
        firsts,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    };
    let workers = std::thread::scope(|scope| {
        let mut others = Vec::new();
        for n in 1..threads.min(groups) {
            let mut pace = pace.silent();
            let work = move || plan.work(new, &mut pace);
            others.push(std::thread::Builder::new().name(format!("rows-{n}")).spawn_scoped(scope, work)?);
        }
        let mut workers = vec![plan.work(new, pace)];
        for other in others {
            workers
                .push(other.join().unwrap_or_else(|_| Err(anyhow!("reading a part of the file broke off"))));
        }
        workers.into_iter().collect::<anyhow::Result<Vec<_>>>()
    })?;
    let rows = pace.rows.load(Ordering::Relaxed);
    if rows != wanted {
        bail!("{WANTED}, found {rows} rows where its footer says {wanted}");
    }
    Ok(workers)
}

impl Plan<'_> {
    /// Reads row groups until none is left.
    fn work<S: Sink>(&self, new: &(dyn Fn() -> S + Sync), pace: &mut Pace<'_>) -> anyhow::Result<Worker<S>> {
        let mut worker = Worker::new(self.columns, new());
        while !self.failed.load(Ordering::Relaxed) {
            let group = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(first) = self.firsts.get(group) else { break };
            if let Err(e) = self.group(group, *first, &mut worker, pace) {
                self.failed.store(true, Ordering::Relaxed);
                return Err(e);
            }
        }
        Ok(worker)
    }

    fn group<S: Sink>(
        &self,
        group: usize,
        mut first: u64,
        worker: &mut Worker<S>,
        pace: &mut Pace<'_>,
    ) -> anyhow::Result<()> {
        // Opened again: what was opened once has one place at which it is read.
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(sys::open(self.path)?, self.metadata.clone())
                .with_projection(self.mask.clone())
                .with_row_groups(vec![group])
                .with_batch_size(BATCH)
                .build()
                .context(WANTED)?;
        for batch in reader {
            let batch = batch.context(WANTED)?;
            arrow::take(&batch, &self.places, first, worker)?;
            let rows = u64::try_from(batch.num_rows())?;
            first += rows;
            pace.add(rows, rows);
        }
        Ok(())
    }
}
