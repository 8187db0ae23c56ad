//! Rows of a file as the counting reads them, whatever the format: codes of attributes, outcomes as bits, scores, weights.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::quantile::Cut;
use super::values::{Outcomes, Values, named};

/// Rows that are read at once.
pub const BATCH: usize = 1 << 16;

/// The largest weight.
const MOST_WEIGHT: f64 = 1e12;

/// The smallest weight beside 0: below, squares are lost even when they are kept scaled (`count::SCALE`).
const LEAST_WEIGHT: f64 = 1e-280;

/// Columns that are read, by their names in the file.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// By which people are grouped.
    pub attributes: Vec<String>,
    /// What really was; left out where scores alone are read.
    pub label: Option<String>,
    /// What was predicted.
    pub prediction: Option<String>,
    /// A score, instead of a prediction.
    pub score: Option<String>,
    /// Which scores are a positive prediction.
    pub cut: Option<Cut>,
    /// Weights.
    pub weight: Option<String>,
    /// Texts that stand for a value that is not known.
    pub missing: Arc<[String]>,
    /// Values that are positive.
    pub positive: Arc<[String]>,
}

/// Where the columns of [`Columns`] stand.
#[derive(Debug, Clone)]
pub struct Places {
    /// As there.
    pub attributes: Vec<usize>,
    /// As there.
    pub label: Option<usize>,
    /// As there.
    pub prediction: Option<usize>,
    /// As there.
    pub score: Option<usize>,
    /// As there.
    pub weight: Option<usize>,
}

impl Columns {
    /// Finds the columns among those of a file.
    ///
    /// # Errors
    /// A column that is not there, or twice.
    pub fn find(&self, header: &[&str]) -> anyhow::Result<Places> {
        let at = |name: &String| {
            let mut places = header.iter().enumerate().filter(|(_, found)| *found == name);
            match (places.next(), places.count()) {
                (Some((at, _)), 0) => Ok(at),
                (Some(_), more) => bail!(
                    "column {name}: wanted one of this name, found {}; which of them is meant cannot be told: rename or drop the \
                     others",
                    more + 1
                ),
                (None, _) => bail!("wanted the column {name}, found {}", named(header.iter().copied())),
            }
        };
        let one = |name: &Option<String>| name.as_ref().map(at).transpose();
        Ok(Places {
            attributes: self.attributes.iter().map(at).collect::<anyhow::Result<_>>()?,
            label: one(&self.label)?,
            prediction: one(&self.prediction)?,
            score: one(&self.score)?,
            weight: one(&self.weight)?,
        })
    }
}

impl Places {
    /// All of them, in the order of the file, each once.
    pub fn all(&self) -> Vec<usize> {
        let others = [self.label, self.prediction, self.score, self.weight];
        let mut all: Vec<usize> =
            self.attributes.iter().copied().chain(others.into_iter().flatten()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Those that hold words rather than numbers.
    pub fn worded(&self) -> Vec<usize> {
        let mut all = self.attributes.clone();
        all.extend(self.label.into_iter().chain(self.prediction));
        all
    }
}

/// What does something with rows.
pub trait Sink: Send {
    /// Takes some.
    ///
    /// # Errors
    /// They are not what it can take.
    fn take(&mut self, batch: &Batch) -> anyhow::Result<()>;
}

/// Some rows. Of each column that is read there is a value for each row.
#[derive(Debug, Default)]
pub struct Batch {
    /// Rows.
    pub rows: usize,
    /// Codes of attributes.
    pub attributes: Vec<Vec<u32>>,
    /// Codes that there are of each attribute.
    pub sizes: Vec<usize>,
    /// 1 for what really was positive.
    pub actual: Vec<u8>,
    /// 1 for what was predicted positive.
    pub predicted: Vec<u8>,
    /// Scores.
    pub scores: Vec<f64>,
    /// Weights.
    pub weights: Vec<f64>,
}

/// One of those who read a file: what the values mean to it, the rows at hand, and what becomes of them.
pub struct Worker<S> {
    /// Values of each attribute.
    pub attributes: Vec<Values>,
    /// Values of the label.
    pub label: Option<Outcomes>,
    /// Values of the prediction.
    pub prediction: Option<Outcomes>,
    /// What takes the rows.
    pub sink: S,
    names: (Option<String>, Option<String>),
    cut: Option<Cut>,
    batch: Batch,
    codes: Vec<u32>,
}

/// What fills the columns of a batch from a format's own.
pub trait Source {
    /// Rows.
    fn rows(&self) -> usize;

    /// Codes of the words of a column (its place).
    ///
    /// # Errors
    /// What no value can be read from.
    fn codes(&self, column: usize, values: &mut Values, out: &mut Vec<u32>) -> anyhow::Result<()>;

    /// Numbers of a column; NaN where there is none.
    ///
    /// # Errors
    /// What no number can be read from; the row within the batch is in the error where it is known.
    fn numbers(&self, column: usize, out: &mut Vec<f64>) -> anyhow::Result<()>;
}

impl<S: Sink> Worker<S> {
    /// One that read nothing yet.
    pub fn new(columns: &Columns, sink: S) -> Self {
        let values = |name: &String| Values::new(name, &columns.missing);
        let outcomes = |name: &String| Outcomes::new(name, &columns.missing, &columns.positive);
        Self {
            attributes: columns.attributes.iter().map(values).collect(),
            label: columns.label.as_ref().map(outcomes),
            prediction: columns.prediction.as_ref().map(outcomes),
            sink,
            names: (columns.score.clone(), columns.weight.clone()),
            cut: columns.cut,
            batch: Batch { attributes: vec![Vec::new(); columns.attributes.len()], ..Batch::default() },
            codes: Vec::new(),
        }
    }

    /// Reads rows, of which the first has the number `first`, from 1.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn read(&mut self, source: &impl Source, places: &Places, first: u64) -> anyhow::Result<()> {
        let rows = source.rows();
        let batch = &mut self.batch;
        batch.rows = rows;
        for ((place, values), codes) in
            places.attributes.iter().zip(&mut self.attributes).zip(&mut batch.attributes)
        {
            source.codes(*place, values, codes)?;
        }
        batch.sizes.clear();
        batch.sizes.extend(self.attributes.iter().map(|values| values.texts().len()));
        for (place, outcomes, out) in [
            (places.label, &mut self.label, &mut batch.actual),
            (places.prediction, &mut self.prediction, &mut batch.predicted),
        ] {
            if let (Some(place), Some(outcomes)) = (place, outcomes) {
                source.codes(place, &mut outcomes.values, &mut self.codes)?;
                outcomes.read(&self.codes, first, out)?;
            }
        }
        if let (Some(place), Some(name)) = (places.score, &self.names.0) {
            source.numbers(place, &mut batch.scores).with_context(|| format!("column {name}"))?;
            check(&batch.scores, first, name, "a finite score", f64::is_finite)?;
            if let Some(cut) = self.cut {
                batch.predicted.clear();
                batch.predicted.extend(batch.scores.iter().map(|score| u8::from(cut.positive(*score))));
            }
        }
        if let (Some(place), Some(name)) = (places.weight, &self.names.1) {
            source.numbers(place, &mut batch.weights).with_context(|| format!("column {name}"))?;
            check(&batch.weights, first, name, "a weight of 0, or of 10^-280 to 10^12", |w| {
                w == 0.0 || (LEAST_WEIGHT..=MOST_WEIGHT).contains(&w)
            })?;
        }
        self.sink.take(batch)
    }
}

/// Checks each number.
fn check(
    numbers: &[f64],
    first: u64,
    column: &str,
    wanted: &str,
    good: impl Fn(f64) -> bool,
) -> anyhow::Result<()> {
    if numbers.iter().fold(true, |all, number| all & good(*number)) {
        return Ok(());
    }
    let bad = numbers.iter().position(|number| !good(*number)).unwrap_or(0);
    let row = first + u64::try_from(bad).unwrap_or(0);
    let found = match numbers[bad] {
        number if number.is_nan() => "none (NaN or a missing value)".to_owned(),
        number => number.to_string(),
    };
    bail!(
        "row {row}, column {column}: wanted {wanted}, found {found}; it is neither 0 nor left out: mend it where it comes from"
    )
}
