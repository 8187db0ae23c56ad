//! Values of a column as numbers: each text has a code, so that rows are counted without texts.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::bail;

/// The value of rows whose attribute is not known; its code is 0.
pub const MISSING: &str = "(missing)";

/// The value under which groups of few people are put together when they are exported.
pub const SMALL: &str = "(small groups)";

/// Groups that are read at most.
pub const MOST_GROUPS: usize = 10_000;

/// Different labels or predictions that are read at most: beyond, a column holds scores.
const MOST_OUTCOMES: usize = 1_000;

/// Values that are named in one message.
const MOST_NAMED: usize = 8;

/// Values of a column, in the order in which they were met.
#[derive(Debug)]
pub struct Values {
    column: String,
    texts: Vec<Box<str>>,
    codes: HashMap<Box<str>, u32>,
    integers: HashMap<i64, u32>,
    floats: HashMap<u64, u32>,
    missing: Arc<[String]>,
    most: usize,
}

impl Values {
    /// None yet but the one that is not known, which the texts of `missing` stand for, too.
    pub fn new(column: &str, missing: &Arc<[String]>) -> Self {
        Self {
            column: column.to_owned(),
            texts: vec![MISSING.into()],
            codes: HashMap::from([("".into(), 0), (MISSING.into(), 0)]),
            integers: HashMap::new(),
            floats: HashMap::new(),
            missing: Arc::clone(missing),
            most: MOST_GROUPS,
        }
    }

    /// Texts by code.
    pub fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    /// The code of a text; white space around it is not part of it.
    ///
    /// # Errors
    /// More values than are read; one that means something else here.
    pub fn text(&mut self, text: &str) -> anyhow::Result<u32> {
        let text = text.trim();
        match self.codes.get(text) {
            Some(code) => Ok(*code),
            None => self.add(text),
        }
    }

    fn add(&mut self, text: &str) -> anyhow::Result<u32> {
        if self.missing.iter().any(|m| m.trim() == text) {
            self.codes.insert(text.into(), 0);
            return Ok(0);
        }
        if text == SMALL {
            bail!(
                "column {}: wanted values that are those of people, found {SMALL}, under which small groups are put together on \
                 export: give it another name",
                self.column
            );
        }
        // The first is not known, and no value.
        if self.texts.len() > self.most {
            bail!(
                "column {}: wanted at most {} different values, found more: {}",
                self.column,
                self.most,
                if self.most == MOST_OUTCOMES {
                    "a column of scores is given with --score and --threshold"
                } else {
                    "put values together (ages to bands, places to regions), or choose another column"
                }
            );
        }
        let code = u32::try_from(self.texts.len()).unwrap_or(u32::MAX); // at most 10,001
        self.texts.push(text.into());
        self.codes.insert(text.into(), code);
        Ok(code)
    }

    /// The code of a whole number.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn integer(&mut self, number: i64) -> anyhow::Result<u32> {
        if let Some(code) = self.integers.get(&number) {
            return Ok(*code);
        }
        let code = self.text(&number.to_string())?;
        self.integers.insert(number, code);
        Ok(code)
    }

    /// The code of a number; NaN is one that is not known, and 1.0 is 1: a column of whole numbers in which some are
    /// missing is often kept as one of fractions.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub fn float(&mut self, number: f64) -> anyhow::Result<u32> {
        if number.is_nan() {
            return Ok(0);
        }
        if let Some(code) = self.floats.get(&number.to_bits()) {
            return Ok(*code);
        }
        let code = self.text(&(number + 0.0).to_string())?;
        self.floats.insert(number.to_bits(), code);
        Ok(code)
    }
}

/// What a value of a label or a prediction says.
const NEGATIVE: u8 = 0;
/// As [`NEGATIVE`].
const POSITIVE: u8 = 1;
/// It says nothing, since it is not known.
const UNKNOWN: u8 = 2;
/// It says nothing, since nobody said what it means.
const UNCLEAR: u8 = 3;

/// Values of a label or a prediction, and what they say.
#[derive(Debug)]
pub struct Outcomes {
    /// The values.
    pub values: Values,
    means: Vec<u8>,
    positive: Arc<[String]>,
}

impl Outcomes {
    /// Positive is what `positive` names; without any, 1 and true.
    pub fn new(column: &str, missing: &Arc<[String]>, positive: &Arc<[String]>) -> Self {
        let values = Values { most: MOST_OUTCOMES, ..Values::new(column, missing) };
        Self { values, means: vec![UNKNOWN], positive: Arc::clone(positive) }
    }

    /// Turns codes of rows into 1 for positive and 0 for negative.
    ///
    /// # Errors
    /// The first row (`first` is the number of the first one) whose value says neither.
    pub fn read(&mut self, codes: &[u32], first: u64, out: &mut Vec<u8>) -> anyhow::Result<()> {
        for text in &self.values.texts[self.means.len()..] {
            self.means.push(meaning(text, &self.positive));
        }
        out.clear();
        let mut worst = 0;
        out.extend(codes.iter().map(|code| {
            let says = self.means[*code as usize];
            worst |= says;
            says
        }));
        if worst <= POSITIVE {
            return Ok(());
        }
        let bad = out.iter().position(|says| *says > POSITIVE).unwrap_or(0);
        let row = first + u64::try_from(bad).unwrap_or(0);
        let column = &self.values.column;
        if out[bad] == UNKNOWN {
            bail!(
                "row {row}, column {column}: wanted a value, found none: a row without one belongs to no cell of the counts, and \
                 leaving it out would choose who is tested; say outside what becomes of such rows"
            );
        }
        bail!(
            "row {row}, column {column}: wanted 0 and 1 or false and true, or --positive VALUE to say which value is positive; \
             found {}",
            self.found()
        );
    }

    /// Some of the values that were met.
    pub fn found(&self) -> String {
        named(self.values.texts.iter().skip(1).map(|t| &**t))
    }
}

/// Some values, and how many there are beside them.
pub fn named<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut values: Vec<&str> = values.collect();
    values.sort_unstable();
    let shown: Vec<String> = values.iter().take(MOST_NAMED).map(|v| format!("{v:?}")).collect();
    match values.len().saturating_sub(MOST_NAMED) {
        0 if values.is_empty() => "none".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether two values are the same: as texts, or as numbers (`1` and `1.0`).
pub fn same(one: &str, other: &str) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    one.trim() == other.trim() || number(one).is_some_and(|n| number(other) == Some(n))
}

/// What a value says.
fn meaning(text: &str, positive: &[String]) -> u8 {
    if !positive.is_empty() {
        return u8::from(positive.iter().any(|p| same(p, text)));
    }
    match text.to_ascii_lowercase().as_str() {
        "true" => POSITIVE,
        "false" => NEGATIVE,
        _ if same(text, "1") => POSITIVE,
        _ if same(text, "0") => NEGATIVE,
        _ => UNCLEAR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Arc<[String]> {
        Arc::new([])
    }

    #[test]
    fn a_value_has_one_code_however_it_is_written() {
        let missing: Arc<[String]> = Arc::new(["?".to_owned()]);
        let mut values = Values::new("a", &missing);
        assert_eq!(values.text(" Male").unwrap(), values.text("Male ").unwrap());
        assert_eq!(values.integer(1).unwrap(), values.float(1.0).unwrap());
        assert_eq!(values.float(-0.0).unwrap(), values.integer(0).unwrap());
        for unknown in ["", "  ", MISSING, "?", " ? "] {
            assert_eq!(values.text(unknown).unwrap(), 0, "{unknown:?}");
        }
        assert_eq!(values.float(f64::NAN).unwrap(), 0);
        assert_eq!(values.texts().len(), 4);
        assert!(values.text(SMALL).unwrap_err().to_string().contains("another name"));
    }

    #[test]
    fn what_is_positive_is_asked_for_unless_it_is_plain() {
        let read = |texts: &[&str], positive: &[&str]| {
            let positive: Arc<[String]> = positive.iter().map(|p| (*p).to_owned()).collect();
            let mut outcomes = Outcomes::new("y", &none(), &positive);
            let codes: Vec<u32> = texts.iter().map(|t| outcomes.values.text(t).unwrap()).collect();
            let mut out = Vec::new();
            outcomes.read(&codes, 10, &mut out).map(|()| out).map_err(|e| e.to_string())
        };
        assert_eq!(read(&["0", "1", "1.0", "true", "False"], &[]).unwrap(), [0, 1, 1, 1, 0]);
        assert_eq!(read(&["1", "2"], &["2"]).unwrap(), [0, 1]);
        assert_eq!(read(&["<=50K", ">50K."], &[">50K", ">50K."]).unwrap(), [0, 1]);
        let e = read(&["0", "yes", "no"], &[]).unwrap_err();
        assert!(e.contains("row 11, column y") && e.contains(r#"found "0", "no", "yes""#), "{e}");
        assert!(read(&["1", ""], &[]).unwrap_err().contains("row 11, column y: wanted a value, found none"));
    }
}
