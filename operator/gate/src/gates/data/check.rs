//! Whether what a Dataset says fits together, whatever policies ask for.

use std::collections::BTreeSet;

use placet_api::dataset::{DatasetSpec, QualityMeasure};
use placet_api::scalar::Decimal;

use crate::time;

/// What does not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotValid {
    /// The field, what was wanted and what was found, in words.
    pub text: String,
    /// Days that they name.
    pub about: Vec<String>,
}

/// What is wrong with a Dataset by itself, if anything: days that are not there, counts that do not add up, values that are not
/// those of their counts.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(spec: &DatasetSpec) -> Result<(), NotValid> {
    days(spec)?;
    let plain = |text: String| NotValid { text, about: Vec::new() };
    let people = &spec.personal_data;
    if !people.contained && !people.special_categories.is_empty() {
        return Err(plain(
            "spec.personalData: wanted contained: true, since special categories are of personal data, found false".into(),
        ));
    }
    let mut seen = BTreeSet::new();
    for group in spec.groups.iter().flatten() {
        let field = format!("spec.groups, {}", group.attribute);
        if !seen.insert(group.attribute.as_str()) {
            return Err(plain(format!("{field}: wanted each attribute once, found it again")));
        }
        let values: BTreeSet<&str> = group.counts.iter().map(|c| c.value.as_str()).collect();
        if values.len() != group.counts.len() {
            return Err(plain(format!("{field}: wanted each value once, found one again")));
        }
        let mut rows = group.counts.iter().map(|c| c.rows);
        let sum = rows.try_fold(0_i64, |sum, rows| sum.checked_add(rows).filter(|_| rows >= 0));
        if sum.is_none() || sum != spec.rows {
            let wanted =
                spec.rows.map_or("spec.rows".to_owned(), |rows| format!("the {rows} rows of the dataset"));
            let found = sum.map_or("counts that cannot be added".to_owned(), |sum| sum.to_string());
            return Err(plain(format!(
                "{field}: wanted counts that add up to {wanted} (those of an unknown value are (missing)), found {found}"
            )));
        }
    }
    let mut seen = BTreeSet::new();
    for measure in spec.quality.iter().flatten() {
        let found = if seen.insert(measure.metric.as_str()) {
            quality(measure, spec.rows)
        } else {
            Err("wanted each measure once, found it again".to_owned())
        };
        found.map_err(|why| plain(format!("spec.quality, {}: {why}", measure.metric)))?;
    }
    Ok(())
}

fn days(spec: &DatasetSpec) -> Result<(), NotValid> {
    let from = &spec.provenance;
    for (field, day) in [
        ("provenance.collectedFrom", &from.collected_from),
        ("provenance.collectedUntil", &from.collected_until),
        ("validUntil", &spec.valid_until),
    ] {
        if let Some(day) = day.as_ref().filter(|day| time::moment(day).is_none()) {
            let text = format!("spec.{field}: wanted a day that exists, found {day}");
            return Err(NotValid { text, about: vec![day.to_string()] });
        }
    }
    let (Some(first), Some(last)) = (&from.collected_from, &from.collected_until) else { return Ok(()) };
    if time::before(last, first) == Some(true) {
        let text =
            format!("spec.provenance: wanted collectedFrom before collectedUntil, found {first} and {last}");
        return Err(NotValid { text, about: vec![first.to_string(), last.to_string()] });
    }
    Ok(())
}

fn quality(measure: &QualityMeasure, of: Option<i64>) -> Result<(), String> {
    let rows = measure.rows;
    if rows < 1 || of.is_some_and(|of| rows > of) {
        let wanted =
            of.map_or("at least 1 row".to_owned(), |of| format!("at most the {of} rows of the dataset"));
        return Err(format!("wanted {wanted}, found {rows}"));
    }
    let Some(count) = measure.count else { return Ok(()) };
    if !(0..=rows).contains(&count) {
        return Err(format!("wanted a count among its {rows} rows, found {count}"));
    }
    // In billionths, exactly: |value · rows - count| is at most half a unit of the value's last digit for each row.
    let off = (measure.value.billionths() * i128::from(rows) - i128::from(count) * 1_000_000_000).abs();
    if off * 2 > unit(&measure.value) * i128::from(rows) {
        return Err(format!("wanted the value that {count} of {rows} rows give, found {}", measure.value));
    }
    Ok(())
}

/// One unit of the last digit of a number as it is written, in billionths; at least two, since nine digits may be all there is.
fn unit(value: &Decimal) -> i128 {
    let digits = value.as_str().split_once('.').map_or(0, |(_, after)| after.len());
    (digits..9).fold(1_i128, |unit, _| unit * 10).max(2)
}
