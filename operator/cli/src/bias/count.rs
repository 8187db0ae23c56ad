//! Counts per group. Whole numbers, so that neither threads nor row groups change the result.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::bail;

use super::bins::ScoreBins;
use super::exact::Exact;
use super::rows::{Batch, Sink, Worker};
use super::values::MOST_GROUPS;

/// Bits of the codes of all attributes together up to which groups are counted in a table of their own.
const DENSE_BITS: u32 = 18;

/// Bits of a code in a key: codes are at most 10,000.
const CODE_BITS: usize = 16;

/// Attributes at most: those of a group of a `TestReport`, and as many codes as a key holds.
pub const MOST_ATTRIBUTES: usize = 8;

/// What weights are multiplied with before they are squared, exactly: 2^400. The square of a weight of 10^-170 is below what
/// a double holds, and that of the sum of 2^53 weights of 10^12 is above where it is scaled more.
pub const SCALE: f64 = f64::from_bits((1023 + 400) << 52);

/// What is counted of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// Rows: neither predicted nor really positive (TN), really only (FN), predicted only (FP), both (TP).
    pub counts: [u64; 4],
    /// Weights, where there are any.
    pub weights: Option<Box<Weights>>,
    /// Rows by label (really negative, really positive) and bin of the score, where bins are asked for.
    pub scores: Option<Box<[Vec<u64>; 2]>>,
}

/// Sums of weights of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weights {
    /// As [`Cell::counts`].
    pub sums: [Exact; 4],
    /// Of the squares of [`SCALE`] times the weight.
    pub squares: Exact,
}

impl Cell {
    /// Rows.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        if let Some(more) = &other.weights {
            let weights = self.weights.get_or_insert_default();
            for (sum, more) in weights.sums.iter_mut().zip(&more.sums) {
                sum.merge(more);
            }
            weights.squares.merge(&more.squares);
        }
        if let Some(more) = &other.scores {
            let scores =
                self.scores.get_or_insert_with(|| Box::new(more.each_ref().map(|bins| vec![0; bins.len()])));
            for (count, more) in scores.iter_mut().flatten().zip(more.iter().flatten()) {
                *count += more;
            }
        }
    }
}

/// Counts rows.
#[derive(Debug, Default)]
pub struct Counter {
    /// Bits of each attribute's codes in the table.
    bits: Vec<u32>,
    /// Four counts for each group of the table.
    dense: Vec<u64>,
    /// By key: what was in a table before, or is in none.
    cells: HashMap<u128, Cell>,
    keys: Vec<u32>,
    /// Bins of the scores, if they are counted.
    bins: Option<Arc<ScoreBins>>,
}

impl Counter {
    /// One that counted nothing yet.
    pub fn new(bins: Option<Arc<ScoreBins>>) -> Self {
        Self { bins, ..Self::default() }
    }

    /// Where a group's codes are in a key.
    fn key(codes: impl Iterator<Item = u32>) -> u128 {
        codes.enumerate().map(|(i, code)| u128::from(code) << (CODE_BITS * i)).sum()
    }

    /// Makes the table large enough for all codes; false if it would be too large.
    fn fit(&mut self, sizes: &[usize]) -> bool {
        let wanted: Vec<u32> = sizes.iter().map(|size| size.next_power_of_two().trailing_zeros()).collect();
        if !self.bits.is_empty() && wanted.iter().zip(&self.bits).all(|(wanted, bits)| wanted <= bits) {
            return true;
        }
        self.flush();
        self.bits.clear();
        self.dense.clear();
        let all: u32 = wanted.iter().sum();
        if all > DENSE_BITS {
            return false;
        }
        self.bits = wanted;
        self.dense = vec![0; 4 << all];
        true
    }

    /// Moves what is in the table to the cells.
    fn flush(&mut self) {
        let bits = self.bits.clone();
        for (group, counts) in self.dense.chunks_exact_mut(4).enumerate() {
            if counts.iter().all(|c| *c == 0) {
                continue;
            }
            let mut rest = group;
            let key = Self::key(bits.iter().map(|bits| {
                let code = rest & ((1_usize << bits) - 1);
                rest >>= bits;
                u32::try_from(code).unwrap_or(u32::MAX) // at most 18 bits
            }));
            let cell = self.cells.entry(key).or_default();
            for (sum, count) in cell.counts.iter_mut().zip(counts) {
                *sum += std::mem::take(count);
            }
        }
    }

    /// Counts rows whose groups are in the table.
    fn count_dense(&mut self, batch: &Batch) {
        self.keys.clear();
        self.keys.extend(
            batch
                .actual
                .iter()
                .zip(&batch.predicted)
                .map(|(actual, predicted)| u32::from(*actual) | u32::from(*predicted) << 1),
        );
        let mut shift = 2;
        for (codes, bits) in batch.attributes.iter().zip(&self.bits) {
            for (key, code) in self.keys.iter_mut().zip(codes) {
                *key |= code << shift;
            }
            shift += bits;
        }
        for key in &self.keys {
            self.dense[*key as usize] += 1;
        }
    }

    /// Counts rows one by one.
    fn count_each(&mut self, batch: &Batch) -> anyhow::Result<()> {
        for row in 0..batch.rows {
            let key = Self::key(batch.attributes.iter().map(|codes| codes[row]));
            let cell = self.cells.entry(key).or_default();
            let outcome = usize::from(batch.actual[row] | batch.predicted[row] << 1);
            cell.counts[outcome] += 1;
            if let Some(weight) = batch.weights.get(row) {
                let weights = cell.weights.get_or_insert_default();
                weights.sums[outcome].add(*weight);
                let scaled = weight * SCALE;
                weights.squares.add(scaled * scaled);
            }
            if let (Some(bins), Some(score)) = (&self.bins, batch.scores.get(row)) {
                let bin = bins.of(*score)?;
                let scores = cell
                    .scores
                    .get_or_insert_with(|| Box::new([vec![0; bins.count()], vec![0; bins.count()]]));
                scores[usize::from(batch.actual[row])][bin] += 1;
            }
        }
        Ok(())
    }
}

impl Sink for Counter {
    fn take(&mut self, batch: &Batch) -> anyhow::Result<()> {
        if batch.weights.is_empty() && self.bins.is_none() && self.fit(&batch.sizes) {
            self.count_dense(batch);
        } else {
            self.count_each(batch)?;
        }
        few(self.cells.len())
    }
}

fn few(groups: usize) -> anyhow::Result<()> {
    if groups > MOST_GROUPS {
        bail!(
            "wanted at most {MOST_GROUPS} groups, found more: group by fewer attributes, or put values together (ages to bands, \
             places to regions)"
        );
    }
    Ok(())
}

/// All groups that have rows, by the values of their attributes.
pub type Cells = BTreeMap<Vec<String>, Cell>;

/// What all who read counted.
///
/// # Errors
/// More groups than are read.
pub fn cells(workers: Vec<Worker<Counter>>) -> anyhow::Result<Cells> {
    let mut all = Cells::new();
    for mut worker in workers {
        worker.sink.flush();
        for (key, cell) in &worker.sink.cells {
            let values = worker.attributes.iter().enumerate().map(|(i, values)| {
                let code = usize::try_from((key >> (CODE_BITS * i)) & 0xffff).unwrap_or(0);
                values.texts()[code].to_string()
            });
            all.entry(values.collect()).or_default().merge(cell);
        }
        few(all.len())?;
    }
    Ok(all)
}
