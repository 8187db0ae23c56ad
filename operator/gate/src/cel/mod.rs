//! Expressions of custom gates, in CEL (Common Expression Language, cel-spec).
//!
//! The crate `cel` parses them. Evaluation is here, since a decision asks three things of it that no crate gives: it ends after a
//! number of steps, it comes to the same on every machine and in every replay (maps in order, no clock, no time zones), and what
//! is no field is an error and not false. `shape.rs` refuses, before a policy is admitted, what could never be evaluated and what
//! would be met by deleting an object.

mod eval;
mod shape;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use cel::common::ast::IdedExpr;
use cel::parser::Parser;

pub use value::Val;

/// What an expression may read.
pub const READS: [&str; 8] =
    ["system", "assessment", "release", "reports", "approvals", "acceptances", "namespaceObject", "now"];

/// Lists of objects, of which it may be asked whether there is one.
pub(crate) const LISTS: [&str; 3] = ["reports", "approvals", "acceptances"];

/// Steps that one evaluation takes at most: an operator, an element that is looked at, 16 bytes of a text that is copied.
pub const MAX_STEPS: u32 = 50_000;

/// Operators within operators at most.
const MAX_DEPTH: usize = 48;

/// An expression that can be evaluated.
#[derive(Debug, Clone)]
pub struct Program {
    expression: IdedExpr,
    reads: BTreeSet<&'static str>,
}

impl Program {
    /// Reads an expression, and looks at whether it can ever be evaluated.
    ///
    /// # Errors
    /// Where it is wrong, what was wanted and what was found.
    pub fn new(text: &str) -> Result<Self, String> {
        // The parser goes as deep as brackets and operators do.
        let deep = text.bytes().filter(|b| b"([{!?".contains(b)).count();
        if deep > 2 * MAX_DEPTH {
            return Err(format!(
                "wanted at most {} brackets, negations and conditions, found {deep}",
                2 * MAX_DEPTH
            ));
        }
        let parsed = Parser::new().max_recursion_depth(96).parse_with_source_info(text);
        let (expression, source) = parsed.map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let (line, column) = error.pos;
                format!("line {line}, column {column}: {}", one_line(&error.msg))
            }
            None => "wanted an expression in CEL, found none".to_owned(),
        })?;
        let reads = shape::check(&expression, &source)?;
        Ok(Self { expression, reads })
    }

    /// Whether it reads one of [`READS`].
    pub fn reads(&self, what: &str) -> bool {
        self.reads.contains(what)
    }

    /// What it reads.
    pub fn all_reads(&self) -> impl Iterator<Item = &'static str> {
        self.reads.iter().copied()
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn holds(&self, input: &BTreeMap<&'static str, Val>) -> Result<bool, String> {
        eval::run(&self.expression, input)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
