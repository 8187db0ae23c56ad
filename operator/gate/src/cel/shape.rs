//! What is said of an expression before it is evaluated: names and fields that exist, functions that are known, true or false as
//! what it comes to; and that deleting an object never makes it true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators as op,
};
use placet_api::Kind;
use serde_json::{Value, json};

use super::{LISTS, MAX_DEPTH, READS};

/// Functions and operators, each with the numbers of its arguments, its target counted.
const KNOWN: [(&str, &[usize]); 29] = [
    (op::CONDITIONAL, &[3]),
    (op::LOGICAL_AND, &[2]),
    (op::LOGICAL_OR, &[2]),
    (op::LOGICAL_NOT, &[1]),
    (op::NOT_STRICTLY_FALSE, &[1]),
    (op::EQUALS, &[2]),
    (op::NOT_EQUALS, &[2]),
    (op::LESS, &[2]),
    (op::LESS_EQUALS, &[2]),
    (op::GREATER, &[2]),
    (op::GREATER_EQUALS, &[2]),
    (op::IN, &[2]),
    (op::INDEX, &[2]),
    (op::ADD, &[2]),
    (op::SUBSTRACT, &[2]),
    (op::MULTIPLY, &[2]),
    (op::DIVIDE, &[2]),
    (op::MODULO, &[2]),
    (op::NEGATE, &[1]),
    ("size", &[1]),
    ("startsWith", &[2]),
    ("endsWith", &[2]),
    ("contains", &[2]),
    ("int", &[1]),
    ("double", &[1]),
    ("string", &[1]),
    ("timestamp", &[1]),
    ("duration", &[1]),
    ("has", &[1]),
];

/// Of these functions what comes out is true or false.
const TELLS: [&str; 13] = [
    op::LOGICAL_AND,
    op::LOGICAL_OR,
    op::LOGICAL_NOT,
    op::EQUALS,
    op::NOT_EQUALS,
    op::LESS,
    op::LESS_EQUALS,
    op::GREATER,
    op::GREATER_EQUALS,
    op::IN,
    "startsWith",
    "endsWith",
    "contains",
];

/// Leaves a field out of a schema: what it holds, or itself where that is a list of such.
fn leave_out(schema: &mut Value, path: &str) {
    let path = path.strip_suffix(".*").unwrap_or(path);
    let (parent, field) = path.rsplit_once('.').map_or(("", path), |(parent, field)| (parent, field));
    let mut at = schema;
    for step in parent.split('.').filter(|step| !step.is_empty()) {
        at = if step == "*" { &mut at["items"] } else { &mut at["properties"][step] };
    }
    if let Some(fields) = at["properties"].as_object_mut() {
        fields.remove(field);
    }
}

/// Schemas of what can be read, by name.
static SCHEMAS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    let of = |kind: Kind| {
        let crd = placet_api::crd::crds().into_iter().find(|crd| crd.spec.names.kind == kind.as_str());
        let crd = crd.and_then(|crd| serde_json::to_value(crd).ok()).unwrap_or_default();
        let spec = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
        let mut spec = spec.cloned().unwrap_or_default();
        // Of what names or describes people a decision sees tokens, with which nothing can be compared.
        for path in kind.personal_fields() {
            leave_out(&mut spec, path);
        }
        spec
    };
    let list = |kind: Kind| json!({"type": "array", "items": of(kind)});
    BTreeMap::from([
        ("system", of(Kind::AISystem)),
        ("assessment", of(Kind::ImpactAssessment)),
        ("release", of(Kind::ModelRelease)),
        ("reports", list(Kind::TestReport)),
        ("approvals", list(Kind::Approval)),
        ("acceptances", list(Kind::RiskAcceptance)),
        (
            "namespaceObject",
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {
                "name": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }}}}),
        ),
        ("now", json!({"type": "string"})),
    ])
});

/// What is known of a value: its schema, where it is a part of what is read.
type Known = Option<&'static Value>;

/// Names that the expression itself gives, the innermost first.
#[derive(Clone, Copy)]
struct Scope<'a> {
    name: &'a str,
    known: Known,
    outer: Option<&'a Scope<'a>>,
}

struct Check<'a> {
    source: &'a SourceInfo,
    reads: BTreeSet<&'static str>,
}

/// Which of [`READS`] it reads.
///
/// # Errors
/// Where it is wrong, what was wanted and what was found.
pub(super) fn check(expression: &IdedExpr, source: &SourceInfo) -> Result<BTreeSet<&'static str>, String> {
    let mut check = Check { source, reads: BTreeSet::new() };
    let known = check.walk(expression, None, 0)?;
    if !tells(expression, known) {
        return Err(check.at(expression, "wanted what is true or false, found something else"));
    }
    if check.reads.is_empty() {
        return Err(format!(
            "wanted an expression that reads at least one of {}, found none: it would always say the same",
            READS.join(", ")
        ));
    }
    check.grows(expression, None, true)?;
    Ok(check.reads)
}

/// Whether an expression may come to true or false.
fn tells(expression: &IdedExpr, known: Known) -> bool {
    match &expression.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::List(_) | Expr::Map(_) => false,
        Expr::Select(select) if select.test => true,
        Expr::Comprehension(all) => !matches!(all.accu_init.expr, Expr::List(_)),
        Expr::Call(call) if call.func_name == op::CONDITIONAL => {
            call.args.iter().skip(1).all(|arg| tells(arg, None))
        }
        Expr::Call(call) => call.func_name == op::INDEX || TELLS.contains(&call.func_name.as_str()),
        _ => known.is_none_or(|schema| schema["type"] == "boolean"),
    }
}

impl Check<'_> {
    /// A text with the place of an expression before it, where that is known.
    fn at(&self, expression: &IdedExpr, text: &str) -> String {
        let Some((start, _)) = self.source.offset_for(expression.id) else { return text.to_owned() };
        let before: String = self.source.source.chars().take(usize::try_from(start).unwrap_or(0)).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: {text}")
    }

    /// Looks at all names, fields and functions; gives what is known of the value.
    fn walk(
        &mut self,
        expression: &IdedExpr,
        scope: Option<&Scope<'_>>,
        depth: usize,
    ) -> Result<Known, String> {
        if depth > MAX_DEPTH {
            return Err(
                self.at(expression, &format!("wanted at most {MAX_DEPTH} operators within each other"))
            );
        }
        let wrong = |text: &str| Err(self.at(expression, text));
        match &expression.expr {
            Expr::Literal(LiteralValue::Bytes(_) | LiteralValue::UInt(_)) => {
                wrong("bytes and unsigned numbers are not known here")
            }
            Expr::Literal(_) => Ok(None),
            Expr::Ident(name) => self.name(expression, name, scope),
            Expr::Select(select) => {
                let of = self.walk(&select.operand, scope, depth + 1)?;
                self.field(expression, of, &select.field)
            }
            Expr::List(list) if list.optional_indices.is_empty() => {
                for item in &list.elements {
                    self.walk(item, scope, depth + 1)?;
                }
                Ok(None)
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return Err(self.at(expression, "structs are not known here"));
                    };
                    self.walk(&entry.key, scope, depth + 1)?;
                    self.walk(&entry.value, scope, depth + 1)?;
                }
                Ok(None)
            }
            Expr::Call(call) => self.call(expression, call, scope, depth),
            Expr::Comprehension(all) => self.comprehension(all, scope, depth),
            Expr::List(_) | Expr::Struct(_) | Expr::Unspecified => wrong("this is not known here"),
        }
    }

    fn name(&mut self, at: &IdedExpr, name: &str, scope: Option<&Scope<'_>>) -> Result<Known, String> {
        let mut inner = scope;
        while let Some(one) = inner {
            if one.name == name {
                return Ok(one.known);
            }
            inner = one.outer;
        }
        let Some(read) = READS.into_iter().find(|read| *read == name) else {
            return Err(self.at(at, &format!("wanted one of {}, found {name}", READS.join(", "))));
        };
        self.reads.insert(read);
        Ok(SCHEMAS.get(read))
    }

    /// The field of something whose schema is known, which must have it.
    fn field(&self, at: &IdedExpr, of: Known, field: &str) -> Result<Known, String> {
        let Some(schema) = of else { return Ok(None) };
        if let Some(fields) = schema.get("properties").and_then(Value::as_object) {
            return fields.get(field).map(Some).ok_or_else(|| {
                let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                self.at(at, &format!("wanted one of the fields {}, found {field}", known.join(", ")))
            });
        }
        if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_object()) {
            return Ok(Some(values));
        }
        match schema["type"].as_str() {
            Some("object") | None => Ok(None),
            Some(other) => Err(self.at(at, &format!("a {other} has no fields, found .{field}"))),
        }
    }

    fn call(
        &mut self,
        at: &IdedExpr,
        call: &CallExpr,
        scope: Option<&Scope<'_>>,
        depth: usize,
    ) -> Result<Known, String> {
        let name = call.func_name.as_str();
        let count = call.args.len() + usize::from(call.target.is_some());
        let many = [op::LOGICAL_AND, op::LOGICAL_OR].contains(&name) && count >= 2;
        match KNOWN.iter().find(|(known, _)| *known == name) {
            _ if many => {}
            Some((_, counts)) if counts.contains(&count) => {}
            Some((_, counts)) => {
                let text = format!("{name}: wanted {} arguments, found {count}", counts[0]);
                return Err(self.at(at, &text));
            }
            None => {
                let known: Vec<&str> = KNOWN
                    .iter()
                    .map(|(n, _)| *n)
                    .filter(|n| n.bytes().all(|b| b.is_ascii_alphabetic()))
                    .collect();
                let text = format!(
                    "wanted one of the functions {}, exists, all, exists_one, map and filter, found {name}",
                    known.join(", ")
                );
                return Err(self.at(at, &text));
            }
        }
        let mut first = None;
        for (i, arg) in call.target.as_deref().into_iter().chain(&call.args).enumerate() {
            let known = self.walk(arg, scope, depth + 1)?;
            if i == 0 {
                first = known;
            }
        }
        let of = first.filter(|_| name == op::INDEX);
        Ok(of.and_then(|schema| schema.get("items").or_else(|| schema.get("additionalProperties"))))
    }

    fn comprehension(
        &mut self,
        all: &ComprehensionExpr,
        scope: Option<&Scope<'_>>,
        depth: usize,
    ) -> Result<Known, String> {
        if all.iter_var2.is_some() {
            return Err(self.at(&all.iter_range, "wanted one name for what is gone through, found two"));
        }
        let range = self.walk(&all.iter_range, scope, depth + 1)?;
        self.walk(&all.accu_init, scope, depth + 1)?;
        let item = Scope { name: &all.iter_var, known: range.and_then(|r| r.get("items")), outer: scope };
        let accu = Scope { name: &all.accu_var, known: None, outer: Some(&item) };
        for part in [&all.loop_cond, &all.loop_step, &all.result] {
            self.walk(part, Some(&accu), depth + 1)?;
        }
        Ok(None)
    }

    /// That with fewer reports, approvals and acceptances it is never true where it was not. `wanted`: whether the whole is true
    /// if this part is.
    fn grows(&self, expression: &IdedExpr, bound: Option<&Scope<'_>>, wanted: bool) -> Result<(), String> {
        let Some(list) = reads_list(expression, bound) else { return Ok(()) };
        let wrong = || {
            Err(self.at(
                expression,
                &format!(
                    "of {list} it may only be asked whether there is one (exists): otherwise deleting an object could make \
                     it true"
                ),
            ))
        };
        match &expression.expr {
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (op::LOGICAL_AND | op::LOGICAL_OR, args) => {
                    args.iter().try_for_each(|arg| self.grows(arg, bound, wanted))
                }
                (op::LOGICAL_NOT, [arg]) => self.grows(arg, bound, !wanted),
                (op::CONDITIONAL, [cond, then, other]) if reads_list(cond, bound).is_none() => {
                    self.grows(then, bound, wanted).and_then(|()| self.grows(other, bound, wanted))
                }
                _ => wrong(),
            },
            Expr::Comprehension(all) => {
                let Some((exists, predicate)) = quantifier(all) else { return wrong() };
                let whole =
                    matches!(&all.iter_range.expr, Expr::Ident(name) if LISTS.contains(&name.as_str()));
                let of_list = reads_list(&all.iter_range, bound).is_some();
                if of_list && (!whole || exists != wanted) {
                    return wrong();
                }
                let inner = Scope { name: &all.iter_var, known: None, outer: bound };
                self.grows(predicate, Some(&inner), wanted)
            }
            _ => wrong(),
        }
    }
}

/// Whether it is `exists` or `all`, and of what.
fn quantifier(all: &ComprehensionExpr) -> Option<(bool, &IdedExpr)> {
    let Expr::Literal(LiteralValue::Boolean(begins)) = &all.accu_init.expr else { return None };
    let exists = !*begins.inner();
    let Expr::Call(step) = &all.loop_step.expr else { return None };
    let wanted = if exists { op::LOGICAL_OR } else { op::LOGICAL_AND };
    let is_accu = |e: &IdedExpr| matches!(&e.expr, Expr::Ident(name) if *name == all.accu_var);
    match step.args.as_slice() {
        [accu, predicate] if step.func_name == wanted && is_accu(accu) && is_accu(&all.result) => {
            Some((exists, predicate))
        }
        _ => None,
    }
}

/// The first of the lists of objects that an expression reads, if any.
fn reads_list(expression: &IdedExpr, bound: Option<&Scope<'_>>) -> Option<&'static str> {
    match &expression.expr {
        Expr::Ident(name) => {
            let mut inner = bound;
            while let Some(one) = inner {
                if one.name == name {
                    return None;
                }
                inner = one.outer;
            }
            LISTS.into_iter().find(|list| list == name)
        }
        Expr::Select(select) => reads_list(&select.operand, bound),
        Expr::List(list) => list.elements.iter().find_map(|item| reads_list(item, bound)),
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(e) => reads_list(&e.key, bound).or_else(|| reads_list(&e.value, bound)),
            EntryExpr::StructField(_) => None,
        }),
        Expr::Call(call) => {
            call.target.as_deref().into_iter().chain(&call.args).find_map(|arg| reads_list(arg, bound))
        }
        Expr::Comprehension(all) => {
            let inner = Scope { name: &all.iter_var, known: None, outer: bound };
            reads_list(&all.iter_range, bound)
                .or_else(|| reads_list(&all.loop_step, Some(&inner)))
                .or_else(|| reads_list(&all.result, Some(&inner)))
        }
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => None,
    }
}
