//! Evaluates an expression, step by step and never more than so many.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators as op,
};
use jiff::{SignedDuration, Timestamp};

use super::MAX_STEPS;
use super::value::Val;

/// Why there is no value.
#[derive(Debug, Clone)]
enum Fault {
    /// Too many steps: nothing takes that back.
    Exhausted,
    /// Anything else, which the other side of `||` and `&&` may make irrelevant.
    Error(Rc<str>),
}

type Eval = Result<Val, Fault>;

fn error<T>(why: impl AsRef<str>) -> Result<T, Fault> {
    Err(Fault::Error(why.as_ref().into()))
}

/// Names and what they stand for, the innermost first.
#[derive(Clone, Copy)]
struct Scope<'a> {
    name: &'a str,
    value: &'a Eval,
    outer: Option<&'a Scope<'a>>,
}

struct Run<'a> {
    input: &'a BTreeMap<&'static str, Val>,
    left: Cell<u32>,
}

/// Whether an expression is true.
pub(super) fn run(expression: &IdedExpr, input: &BTreeMap<&'static str, Val>) -> Result<bool, String> {
    let run = Run { input, left: Cell::new(MAX_STEPS) };
    match run.eval(expression, None) {
        Ok(Val::Bool(b)) => Ok(b),
        Ok(other) => Err(format!("it comes to a {} and not to true or false", other.kind())),
        Err(Fault::Exhausted) => Err(format!("it takes more than {MAX_STEPS} steps")),
        Err(Fault::Error(why)) => Err(why.to_string()),
    }
}

impl Run<'_> {
    fn step(&self, steps: usize) -> Result<(), Fault> {
        let left = u32::try_from(steps).ok().and_then(|s| self.left.get().checked_sub(s));
        self.left.set(left.unwrap_or(0));
        left.map(|_| ()).ok_or(Fault::Exhausted)
    }

    fn eval(&self, expression: &IdedExpr, scope: Option<&Scope<'_>>) -> Eval {
        self.step(1)?;
        match &expression.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(b) => Ok(Val::Bool(*b.inner())),
                LiteralValue::Int(i) => Ok(Val::Int(*i.inner())),
                LiteralValue::Double(d) => number(*d.inner()),
                LiteralValue::String(s) => Ok(Val::text(s.inner())),
                LiteralValue::Null => Ok(Val::Null),
                LiteralValue::Bytes(_) | LiteralValue::UInt(_) => {
                    error("bytes and unsigned numbers are not known here")
                }
            },
            Expr::Ident(name) => self.ident(name, scope),
            Expr::Select(select) => {
                let of = self.eval(&select.operand, scope)?;
                let Val::Map(map) = &of else {
                    return error(format!("a {} has no field {}", of.kind(), select.field));
                };
                match map.get(&select.field) {
                    found if select.test => Ok(Val::Bool(found.is_some())),
                    Some(found) => Ok(found.clone()),
                    None => error(format!("there is no {}", select.field)),
                }
            }
            Expr::List(list) => {
                let items = list.elements.iter().map(|item| self.eval(item, scope));
                Ok(Val::List(Rc::new(items.collect::<Result<_, _>>()?)))
            }
            Expr::Map(map) => {
                let mut out = BTreeMap::new();
                for entry in &map.entries {
                    let EntryExpr::MapEntry(entry) = &entry.expr else {
                        return error("wanted a map, found a struct");
                    };
                    let Val::Text(key) = self.eval(&entry.key, scope)? else {
                        return error("wanted a string as the key of a map");
                    };
                    if out.insert(key.to_string(), self.eval(&entry.value, scope)?).is_some() {
                        return error("a key stands twice in a map");
                    }
                }
                Ok(Val::Map(Rc::new(out)))
            }
            Expr::Call(call) => self.call(call, scope),
            Expr::Comprehension(all) => self.comprehension(all, scope),
            Expr::Struct(_) | Expr::Unspecified => error("wanted a value, found none"),
        }
    }

    fn ident(&self, name: &str, scope: Option<&Scope<'_>>) -> Eval {
        let mut at = scope;
        while let Some(one) = at {
            if one.name == name {
                return one.value.clone();
            }
            at = one.outer;
        }
        self.input.get(name).cloned().map_or_else(|| error(format!("there is no {name}")), Ok)
    }

    /// `exists`, `all`, `map`, `filter` and their like, as the parser writes them.
    fn comprehension(&self, all: &ComprehensionExpr, scope: Option<&Scope<'_>>) -> Eval {
        let items = match self.eval(&all.iter_range, scope)? {
            Val::List(items) => items,
            Val::Map(map) => Rc::new(map.keys().map(|key| Val::text(key)).collect()),
            other => return error(format!("wanted a list or a map to go through, found a {}", other.kind())),
        };
        // What a step comes to stays, be it an error: a later element may make it irrelevant.
        let mut so_far = self.eval(&all.accu_init, scope);
        for item in items.iter() {
            let item = Ok(item.clone());
            let inner = Scope { name: &all.iter_var, value: &item, outer: scope };
            let accu = Scope { name: &all.accu_var, value: &so_far, outer: Some(&inner) };
            if !matches!(self.eval(&all.loop_cond, Some(&accu))?, Val::Bool(true)) {
                break;
            }
            so_far = match self.eval(&all.loop_step, Some(&accu)) {
                Err(Fault::Exhausted) => return Err(Fault::Exhausted),
                other => other,
            };
        }
        let accu = Scope { name: &all.accu_var, value: &so_far, outer: scope };
        self.eval(&all.result, Some(&accu))
    }

    fn bool(&self, expression: &IdedExpr, scope: Option<&Scope<'_>>) -> Result<bool, Fault> {
        match self.eval(expression, scope)? {
            Val::Bool(b) => Ok(b),
            other => error(format!("wanted true or false, found a {}", other.kind())),
        }
    }

    /// `||` with `decides` true, `&&` with false: either side that decides makes an error on the other irrelevant.
    fn either(&self, args: &[IdedExpr], scope: Option<&Scope<'_>>, decides: bool) -> Eval {
        let mut failed = None;
        for arg in args {
            match self.bool(arg, scope) {
                Ok(b) if b == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(Fault::Exhausted) => return Err(Fault::Exhausted),
                Err(other) => {
                    failed.get_or_insert(other);
                }
            }
        }
        failed.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn call(&self, call: &CallExpr, scope: Option<&Scope<'_>>) -> Eval {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (op::LOGICAL_OR, args) => return self.either(args, scope, true),
            (op::LOGICAL_AND, args) => return self.either(args, scope, false),
            (op::CONDITIONAL, [cond, then, other]) => {
                return if self.bool(cond, scope)? {
                    self.eval(then, scope)
                } else {
                    self.eval(other, scope)
                };
            }
            (op::NOT_STRICTLY_FALSE, [arg]) => {
                return match self.bool(arg, scope) {
                    Err(Fault::Exhausted) => Err(Fault::Exhausted),
                    other => Ok(Val::Bool(other.unwrap_or(true))),
                };
            }
            _ => {}
        }
        let args = call.target.as_deref().into_iter().chain(&call.args);
        let args = args.map(|arg| self.eval(arg, scope)).collect::<Result<Vec<_>, _>>()?;
        match args.as_slice() {
            [one] => self.unary(name, one),
            [one, other] => self.binary(name, one, other),
            _ => error(format!("{name} is not known with so many arguments")),
        }
    }

    /// What reads a text to its end takes as many steps as it is long.
    fn reads(&self, one: &Val) -> Result<(), Fault> {
        if let Val::Text(text) = one { self.step(text.len() / 16) } else { Ok(()) }
    }

    fn unary(&self, name: &str, one: &Val) -> Eval {
        self.reads(one)?;
        match (name, one) {
            (op::LOGICAL_NOT, Val::Bool(b)) => Ok(Val::Bool(!b)),
            (op::NEGATE, Val::Int(i)) => i.checked_neg().map_or_else(overflow, |i| Ok(Val::Int(i))),
            (op::NEGATE, Val::Double(d)) => Ok(Val::Double(-d)),
            ("size", Val::Text(text)) => length(text.chars().count()),
            ("size", Val::List(list)) => length(list.len()),
            ("size", Val::Map(map)) => length(map.len()),
            ("int" | "double", Val::Int(i)) if name == "int" => Ok(Val::Int(*i)),
            #[expect(clippy::cast_precision_loss, reason = "as cel-spec converts: to the nearest double")]
            ("double", Val::Int(i)) => Ok(Val::Double(*i as f64)),
            ("double", Val::Double(d)) => Ok(Val::Double(*d)),
            ("int", Val::Text(text)) => {
                text.parse().map(Val::Int).or_else(|_| error("wanted a whole number in the string"))
            }
            ("double", Val::Text(text)) => match text.parse() {
                Ok(d) => number(d),
                Err(_) => error("wanted a number in the string"),
            },
            ("string", Val::Text(text)) => Ok(Val::Text(Rc::clone(text))),
            ("string", Val::Int(i)) => Ok(Val::text(&i.to_string())),
            ("string", Val::Bool(b)) => Ok(Val::text(&b.to_string())),
            ("timestamp", Val::Text(text)) => moment(text).map(Val::Time),
            ("timestamp", Val::Time(at)) => Ok(Val::Time(*at)),
            ("duration", Val::Text(text)) => span(text).map(Val::Span),
            ("duration", Val::Span(span)) => Ok(Val::Span(*span)),
            (_, other) => error(format!("{} is not known of a {}", said(name), other.kind())),
        }
    }

    fn binary(&self, name: &str, one: &Val, other: &Val) -> Eval {
        self.reads(one)?;
        self.reads(other)?;
        let ordered = |wanted: &[Ordering]| match one.order(other) {
            Some(order) => Ok(Val::Bool(wanted.contains(&order))),
            None => error(format!("a {} and a {} have no order", one.kind(), other.kind())),
        };
        match name {
            op::EQUALS => Ok(Val::Bool(self.equal(one, other)?)),
            op::NOT_EQUALS => Ok(Val::Bool(!self.equal(one, other)?)),
            op::LESS => ordered(&[Ordering::Less]),
            op::LESS_EQUALS => ordered(&[Ordering::Less, Ordering::Equal]),
            op::GREATER => ordered(&[Ordering::Greater]),
            op::GREATER_EQUALS => ordered(&[Ordering::Greater, Ordering::Equal]),
            op::IN => match other {
                Val::List(items) => {
                    for item in items.iter() {
                        if self.equal(one, item)? {
                            return Ok(Val::Bool(true));
                        }
                    }
                    Ok(Val::Bool(false))
                }
                Val::Map(map) => Ok(Val::Bool(matches!(one, Val::Text(key) if map.contains_key(&**key)))),
                _ => error(format!("wanted a list or a map after in, found a {}", other.kind())),
            },
            op::INDEX => match (one, other) {
                (Val::List(items), Val::Int(at)) => {
                    let item = usize::try_from(*at).ok().and_then(|at| items.get(at));
                    item.cloned().map_or_else(|| error("the list has no such place"), Ok)
                }
                (Val::Map(map), Val::Text(key)) => {
                    map.get(&**key).cloned().map_or_else(|| error("the map has no such key"), Ok)
                }
                _ => error(format!("a {} has nothing by a {}", one.kind(), other.kind())),
            },
            "startsWith" | "endsWith" | "contains" => {
                let (Val::Text(text), Val::Text(part)) = (one, other) else {
                    return error(format!(
                        "{name} is of two strings, found a {} and a {}",
                        one.kind(),
                        other.kind()
                    ));
                };
                self.step((text.len() + part.len()) / 16)?;
                Ok(Val::Bool(match name {
                    "startsWith" => text.starts_with(&**part),
                    "endsWith" => text.ends_with(&**part),
                    _ => text.contains(&**part),
                }))
            }
            _ => self.arithmetic(name, one, other),
        }
    }

    fn arithmetic(&self, name: &str, one: &Val, other: &Val) -> Eval {
        let int = |found: Option<i64>| found.map_or_else(overflow, |i| Ok(Val::Int(i)));
        let time =
            |found: Result<Timestamp, jiff::Error>| found.map_or_else(|_| overflow(), |t| Ok(Val::Time(t)));
        let span = |found: Option<SignedDuration>| found.map_or_else(overflow, |s| Ok(Val::Span(s)));
        match (name, one, other) {
            (op::ADD, Val::Int(a), Val::Int(b)) => int(a.checked_add(*b)),
            (op::SUBSTRACT, Val::Int(a), Val::Int(b)) => int(a.checked_sub(*b)),
            (op::MULTIPLY, Val::Int(a), Val::Int(b)) => int(a.checked_mul(*b)),
            (op::DIVIDE | op::MODULO, Val::Int(_), Val::Int(0)) => error("a division by zero"),
            (op::DIVIDE, Val::Int(a), Val::Int(b)) => int(a.checked_div(*b)),
            (op::MODULO, Val::Int(a), Val::Int(b)) => int(a.checked_rem(*b)),
            (op::ADD, Val::Double(a), Val::Double(b)) => number(a + b),
            (op::SUBSTRACT, Val::Double(a), Val::Double(b)) => number(a - b),
            (op::MULTIPLY, Val::Double(a), Val::Double(b)) => number(a * b),
            (op::DIVIDE, Val::Double(a), Val::Double(b)) => number(a / b),
            (op::ADD, Val::Text(a), Val::Text(b)) => {
                self.step((a.len() + b.len()) / 16)?;
                Ok(Val::text(&format!("{a}{b}")))
            }
            (op::ADD, Val::List(a), Val::List(b)) => {
                self.step(a.len() + b.len())?;
                Ok(Val::List(Rc::new(a.iter().chain(b.iter()).cloned().collect())))
            }
            (op::ADD, Val::Time(at), Val::Span(by)) | (op::ADD, Val::Span(by), Val::Time(at)) => {
                time(at.checked_add(*by))
            }
            (op::SUBSTRACT, Val::Time(at), Val::Span(by)) => time(at.checked_sub(*by)),
            (op::SUBSTRACT, Val::Time(a), Val::Time(b)) => Ok(Val::Span(a.duration_since(*b))),
            (op::ADD, Val::Span(a), Val::Span(b)) => span(a.checked_add(*b)),
            (op::SUBSTRACT, Val::Span(a), Val::Span(b)) => span(a.checked_sub(*b)),
            _ => error(format!("{} is not known of a {} and a {}", said(name), one.kind(), other.kind())),
        }
    }

    fn equal(&self, one: &Val, other: &Val) -> Result<bool, Fault> {
        self.step(1)?;
        Ok(match (one, other) {
            (Val::Null, Val::Null) => true,
            (Val::List(a), Val::List(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Val::Map(a), Val::Map(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for ((key, a), (of, b)) in a.iter().zip(b.iter()) {
                    if key != of || !self.equal(a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Val::Text(a), Val::Text(b)) => {
                self.step(a.len().min(b.len()) / 16)?;
                a == b
            }
            _ => one.order(other) == Some(Ordering::Equal),
        })
    }
}

/// An operator as it is written.
fn said(name: &str) -> &str {
    name.trim_matches(['_', '@'])
}

fn overflow<T>() -> Result<T, Fault> {
    error("a number or a moment that is too large")
}

fn length(count: usize) -> Eval {
    i64::try_from(count).map_or_else(|_| overflow(), |n| Ok(Val::Int(n)))
}

fn number(d: f64) -> Eval {
    if d.is_finite() { Ok(Val::Double(d)) } else { error("a number that is not finite") }
}

/// A moment as objects write it: RFC 3339, or a day, which begins at 00:00 UTC.
fn moment(text: &str) -> Result<Timestamp, Fault> {
    let typed = placet_api::scalar::Moment::new(text).ok();
    let found = typed.as_ref().and_then(crate::time::moment);
    found.map_or_else(|| error("wanted a day or a moment (RFC 3339) in the string"), Ok)
}

/// A length of time: whole numbers with h, m, s or ms, as in `1h30m`.
fn span(text: &str) -> Result<SignedDuration, Fault> {
    let wrong = || error("wanted a length of time in the string, such as 720h or 1h30m");
    let (mut rest, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let mut total = SignedDuration::ZERO;
    if rest.is_empty() {
        return wrong();
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = rest.split_at(digits);
        let Ok(number) = number.parse::<i64>() else { return wrong() };
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let Some((name, of)) = units.into_iter().find(|(name, _)| unit.starts_with(name)) else {
            return wrong();
        };
        let part = number.checked_mul(of * sign).map(SignedDuration::from_millis);
        let Some(sum) = part.and_then(|part| total.checked_add(part)) else { return overflow() };
        total = sum;
        rest = &unit[name.len()..];
    }
    Ok(total)
}
