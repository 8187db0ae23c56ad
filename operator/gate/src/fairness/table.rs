//! Groups, and the groups of fewer attributes that they add up to.

use std::collections::BTreeMap;

use super::counts::{Counts, MAX_ROWS, PositiveMeans};
use super::error::FairnessError;
use super::tally::Tally;

/// What is counted of the rows that share the same attribute values. A missing value is a category like any other:
/// the importer names it (for example `(missing)`), and nothing here treats it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<C = Counts> {
    /// Attribute name to value, for example `sex` to `female`.
    pub attributes: BTreeMap<String, String>,
    /// Counts of this group.
    pub counts: C,
}

/// How a group is named to people: `race=Asian, sex=Female`.
pub fn label(attributes: &BTreeMap<String, String>) -> String {
    label_of(attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn label_of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::with_capacity(24);
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

/// A group of one attribute set: its values in the order of the set's sorted attribute names, and its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled<C> {
    /// Name for people, see [`label`].
    pub label: String,
    /// Counts; those of a confusion matrix with the favourable outcome as "positive".
    pub counts: C,
}

/// A group of one attribute set with its confusion matrix.
pub type LabelledCounts = Labelled<Counts>;

/// Checked counts of all cells; those of a confusion matrix with the favourable outcome as "positive".
#[derive(Debug, Clone)]
pub struct Table<'a, C = Counts> {
    cells: Vec<(&'a BTreeMap<String, String>, C)>,
    rows: u64,
}

/// A group while it is judged: values borrowed from the cells.
#[derive(Debug, Clone)]
pub(super) struct Projected<'a, C = Counts> {
    /// Values, in the order of the sorted attribute names.
    pub(super) values: Vec<&'a str>,
    /// Counts.
    pub(super) counts: C,
}

impl<C> Projected<'_, C> {
    /// Name for people.
    pub(super) fn label(&self, names: &[&str]) -> String {
        label_of(names.iter().copied().zip(self.values.iter().copied()))
    }

    /// Whether `attributes` says exactly this group.
    pub(super) fn is(&self, names: &[&str], attributes: &BTreeMap<String, String>) -> bool {
        attributes.len() == names.len()
            && names
                .iter()
                .zip(&self.values)
                .all(|(name, value)| attributes.get(*name).is_some_and(|wanted| wanted == value))
    }
}

impl<'a> Table<'a> {
    /// Checks the cells of a report and turns them so that "positive" is the favourable outcome. `rows`, if
    /// given, is the number of rows that the report states; it uncovers a group that was left out.
    ///
    /// # Errors
    /// No cell; cells described by different attributes; the same cell twice; more than [`MAX_ROWS`] rows;
    /// rows that do not add up to `rows`.
    pub fn new(cells: &'a [Group], means: PositiveMeans, rows: Option<u64>) -> Result<Self, FairnessError> {
        let mut table = Self::of(cells, rows)?;
        for (_, counts) in &mut table.cells {
            *counts = counts.favourable(means);
        }
        Ok(table)
    }
}

impl<'a, C: Tally> Table<'a, C> {
    /// Checks the cells of a report, whatever is counted in them. As [`Table::new`], which turns confusion matrices besides.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn of(cells: &'a [Group<C>], rows: Option<u64>) -> Result<Self, FairnessError> {
        let first = cells.first().ok_or(FairnessError::NoGroups)?;
        let names = |group: &Group<C>| group.attributes.keys().cloned().collect::<Vec<_>>();
        let mut sum = 0_u64;
        for cell in cells {
            if !cell.attributes.keys().eq(first.attributes.keys()) {
                return Err(FairnessError::AttributesDiffer { wanted: names(first), found: names(cell) });
            }
            // both are at most 2^53
            sum += cell.counts.rows();
            if sum > MAX_ROWS {
                return Err(FairnessError::TooManyRows);
            }
        }
        let mut order: Vec<_> = cells.iter().map(|cell| (&cell.attributes, cell.counts.clone())).collect();
        order.sort_by_key(|(attributes, _)| *attributes);
        if let Some((twice, _)) =
            order.iter().zip(order.iter().skip(1)).find_map(|(a, b)| (a.0 == b.0).then_some(a))
        {
            return Err(FairnessError::DuplicateGroup { group: label(twice) });
        }
        match rows {
            Some(wanted) if wanted != sum => Err(FairnessError::RowsDoNotAddUp { wanted, found: sum }),
            _ => Ok(Self { cells: order, rows: sum }),
        }
    }

    /// Rows of all cells together.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The groups of an attribute set, sorted by value: each is the sum of its cells over all other
    /// attributes. With all attributes of the cells, the cells themselves.
    ///
    /// # Errors
    /// A set that is empty or names an attribute twice; an attribute that the cells do not have.
    pub fn groups(&self, attributes: &[String]) -> Result<Vec<Labelled<C>>, FairnessError> {
        let names = sorted(attributes)?;
        let groups = self.project(&names)?;
        Ok(groups
            .into_iter()
            .map(|group| Labelled { label: group.label(&names), counts: group.counts })
            .collect())
    }

    /// As [`Table::groups`], for names that are sorted and distinct already.
    pub(super) fn project(&self, names: &[&str]) -> Result<Vec<Projected<'a, C>>, FairnessError> {
        let mut groups: Vec<Projected<'a, C>> = Vec::with_capacity(self.cells.len());
        for (attributes, counts) in &self.cells {
            let mut values = Vec::with_capacity(names.len());
            for name in names {
                let value = attributes.get(*name).ok_or_else(|| FairnessError::AttributeMissing {
                    wanted: (*name).to_owned(),
                    found: attributes.keys().cloned().collect(),
                })?;
                values.push(value.as_str());
            }
            groups.push(Projected { values, counts: counts.clone() });
        }
        groups.sort_by(|a, b| a.values.cmp(&b.values));
        let mut sums: Vec<Projected<'a, C>> = Vec::with_capacity(groups.len());
        for group in groups {
            match sums.last_mut() {
                Some(last) if last.values == group.values => {
                    last.counts =
                        last.counts.clone().joined(&group.counts).ok_or(FairnessError::TooManyRows)?;
                }
                _ => sums.push(group),
            }
        }
        Ok(sums)
    }
}

/// The names of an attribute set, sorted.
///
/// # Errors
/// An empty set, or a name twice.
pub(super) fn sorted(attributes: &[String]) -> Result<Vec<&str>, FairnessError> {
    let mut names: Vec<&str> = attributes.iter().map(String::as_str).collect();
    names.sort_unstable();
    if names.is_empty() || names.iter().zip(names.iter().skip(1)).any(|(a, b)| a == b) {
        return Err(FairnessError::BadAttributeSet { found: attributes.to_vec() });
    }
    Ok(names)
}
