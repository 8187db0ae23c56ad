//! Which system to look at first: an order, not a measure. Class before what remains of risk before what there is of it; what
//! is not known comes before what is, since nobody has shown that it is harmless.

use placet_api::common::{Class, Level};

use crate::risk::Score;

/// A rank, and what it follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// The class, where known.
    pub class: Option<Class>,
    /// The highest residual level, where every risk can be scored.
    pub residual: Option<Level>,
    /// The highest inherent level of the same.
    pub inherent: Option<Level>,
}

impl Rank {
    /// That of a system of this class, with the scores of the assessment that counts.
    pub fn of(class: Option<Class>, scores: Option<&[Score]>) -> Self {
        Self {
            class,
            residual: scores.and_then(|all| all.iter().map(|s| s.residual).max()),
            inherent: scores.and_then(|all| all.iter().map(|s| s.inherent).max()),
        }
    }

    /// Three digits, compared as a number: class (1 Minimal to 4 Prohibited, 5 not known), residual level and inherent level
    /// (each 1 `VeryLow` to 5 `VeryHigh`, 6 not known).
    pub fn value(&self) -> i32 {
        let class = match self.class {
            Some(Class::Minimal) => 1,
            Some(Class::Limited) => 2,
            Some(Class::High) => 3,
            Some(Class::Prohibited) => 4,
            None => 5,
        };
        class * 100 + digit(self.residual) * 10 + digit(self.inherent)
    }
}

fn digit(level: Option<Level>) -> i32 {
    match level {
        Some(Level::VeryLow) => 1,
        Some(Level::Low) => 2,
        Some(Level::Medium) => 3,
        Some(Level::High) => 4,
        Some(Level::VeryHigh) => 5,
        None => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(inherent: Level, residual: Level) -> Score {
        Score { id: "R".into(), inherent, residual, arithmetic: String::new(), raised: None }
    }

    #[test]
    fn class_before_residual_before_inherent_and_the_unknown_first() {
        let assessed = [score(Level::VeryHigh, Level::Low), score(Level::Medium, Level::Medium)];
        let value = |class, scores: Option<&[Score]>| Rank::of(class, scores).value();
        assert_eq!(value(Some(Class::High), Some(&assessed)), 335);
        let ranks = [
            value(Some(Class::Minimal), None),
            value(Some(Class::Limited), Some(&[score(Level::VeryHigh, Level::VeryHigh)])),
            value(Some(Class::High), Some(&[score(Level::Low, Level::VeryLow)])),
            value(Some(Class::High), Some(&[score(Level::High, Level::VeryLow)])),
            value(Some(Class::High), Some(&[score(Level::Low, Level::Low)])),
            value(Some(Class::High), None),
            value(Some(Class::Prohibited), Some(&assessed)),
            value(None, None),
        ];
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(value(Some(Class::High), Some(&[])), 366, "no risk is not a small one");
    }
}
