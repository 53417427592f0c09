//! The value of an expression in a run.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{Expr, operators};
use cel::{Context, Env, ExecutionError, IdedExpr, Value};

use super::kinds::{self, Kind};
use super::parse::{self, Parsed, Use, identifier};
use crate::condition::{ConditionError, Flow, Globs, Verdict, properties};
use crate::variables::{ResolveError, Resolver, Scope};

/// CEL's own functions; made once, because it takes longer than any expression.
static LIBRARY: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

pub(in crate::condition) fn evaluate(source: &str, scope: &Scope<'_>, flow: Flow) -> Result<Verdict, ConditionError> {
    let parsed = parse::parse(source).map_err(first)?;
    if flow.need_failed && !parsed.has_status_function() {
        return Ok(Verdict { holds: false, clause: "success()".into() });
    }
    let bound = Bound::new(&parsed, scope, flow)?;
    let holds = bound.truth(&parsed.tree)?;
    let clause = if holds { source.to_owned() } else { bound.false_clause(&parsed.tree, source) };
    Ok(Verdict { holds, clause })
}

fn first(errors: Vec<crate::variables::NameError>) -> ConditionError {
    let unreadable = || crate::variables::NameError::new("bad-expression", "this is no expression");
    ConditionError::Invalid(errors.into_iter().next().unwrap_or_else(unreadable))
}

/// An expression with the values of its names.
struct Bound<'v> {
    context: Context<'v, 'v>,
    /// Why a name has no value. That counts only when the value is asked for: `has(custom.x) && custom.x == '1'`.
    missing: Vec<(String, ResolveError)>,
}

impl Bound<'_> {
    fn new(parsed: &Parsed, scope: &Scope<'_>, flow: Flow) -> Result<Self, ConditionError> {
        let mut context = Context::with_env(Arc::clone(&LIBRARY));
        let mut missing = Vec::new();
        let resolver = Resolver::new(scope);
        for (index, used) in parsed.uses.iter().enumerate() {
            match value(used, &resolver) {
                Ok(value) => context.add_variable_from_value(identifier(index), value),
                Err(error) => missing.push((identifier(index), error)),
            }
        }
        let changed = parsed.calls.iter().filter(|call| call.function == "changed");
        let changed = changed.filter_map(|call| call.literal.clone()).map(|glob| {
            let set = Globs::new([glob.as_str()])?;
            Ok((glob, properties::changed(&set, scope.context)))
        });
        let changed: Vec<(String, bool)> = changed.collect::<Result<_, super::super::GlobError>>()?;
        let functions = [
            context.add_function("success", move || !flow.need_failed),
            context.add_function("failure", move || flow.any_failed_before),
            context.add_function("always", || true),
            context.add_function("changed", move |glob: Arc<String>| {
                changed.iter().any(|(known, changed)| *known == *glob && *changed)
            }),
        ];
        for added in functions {
            added.map_err(|error| ConditionError::Failed { message: error.to_string() })?;
        }
        Ok(Self { context, missing })
    }

    fn truth(&self, tree: &IdedExpr) -> Result<bool, ConditionError> {
        match self.context.resolve(tree) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(other) => Err(ConditionError::NotBool { kind: kind_of(&other) }),
            Err(ExecutionError::UndeclaredReference(name)) => {
                let known = self.missing.iter().find(|(identifier, _)| *identifier == *name);
                Err(match known {
                    Some((_, error)) => ConditionError::Variable(error.clone()),
                    None => ConditionError::Failed { message: format!("there is no `{name}`") },
                })
            }
            Err(error) => Err(ConditionError::Failed { message: describe(&error) }),
        }
    }

    /// The first of the clauses that `&&` joins which is false; the whole where that cannot be told.
    fn false_clause(&self, tree: &IdedExpr, source: &str) -> String {
        let mut clauses = Vec::new();
        conjuncts(tree, &mut clauses);
        let texts = split(source);
        if texts.len() != clauses.len() {
            return source.to_owned();
        }
        let falls = |clause: &IdedExpr| matches!(self.truth(clause), Ok(false));
        clauses.iter().position(|clause| falls(clause)).map_or(source, |index| texts[index]).to_owned()
    }
}

/// An error of the evaluator, without the values in it: they may be long, and are not for a log.
fn describe(error: &ExecutionError) -> String {
    match error {
        ExecutionError::ValuesNotComparable(left, right) => {
            format!("{} cannot be compared with {}", kind_of(left), kind_of(right))
        }
        ExecutionError::NoSuchOverload(error) => {
            format!("`{}` cannot be applied to values of these kinds", error.function())
        }
        ExecutionError::FunctionError { function, .. } => format!("`{function}` cannot take this value"),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "a division by zero".into(),
        ExecutionError::Overflow(..) => "a number is too large".into(),
        ExecutionError::IndexOutOfBounds(_) => "an index is outside the list".into(),
        _ => "an operation cannot be applied to these values".into(),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Null => "nothing",
        _ => "something else",
    }
}

/// The value of a name.
fn value(used: &Use, resolver: &Resolver<'_, '_>) -> Result<Value, ResolveError> {
    let template = resolver.variable(&used.variable);
    if used.is_test {
        return Ok(Value::Bool(template.is_ok()));
    }
    let template = template?;
    let Some(text) = template.plain() else {
        return Err(ResolveError::SecretHere { variable: used.variable.to_string() });
    };
    Ok(match kinds::of_variable(used) {
        Kind::Bool => Value::Bool(text == "true"),
        // No pull request: number 0.
        Kind::Number => Value::Int(text.parse().unwrap_or(0)),
        Kind::Text | Kind::List => Value::String(Arc::new(text.to_owned())),
    })
}

fn conjuncts<'t>(tree: &'t IdedExpr, all: &mut Vec<&'t IdedExpr>) {
    match &tree.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => {
            call.args.iter().for_each(|arg| conjuncts(arg, all));
        }
        _ => all.push(tree),
    }
}

/// The text between the `&&` of the outermost level.
fn split(source: &str) -> Vec<&str> {
    let bytes = source.as_bytes();
    let (mut parts, mut from, mut depth, mut quote) = (Vec::new(), 0, 0i32, None);
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth -= 1,
            (None, b'&') if depth == 0 && bytes.get(at + 1) == Some(&b'&') => {
                parts.push(source[from..at].trim());
                from = at + 2;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(source[from..].trim());
    parts
}

/// What is wrong with a pattern, as the evaluator sees it.
pub(super) fn pattern_error(pattern: &str) -> Option<String> {
    let mut context = Context::with_env(Arc::clone(&LIBRARY));
    context.add_variable_from_value("pattern", Value::String(Arc::new(pattern.to_owned())));
    let tree = cel::parser::PrattParser::new().parse("''.matches(pattern)").ok()?;
    match context.resolve(&tree) {
        Err(ExecutionError::FunctionError { message, .. }) => {
            Some(message.lines().last().unwrap_or("it cannot be read").trim().to_owned())
        }
        Err(_) => Some("it cannot be read".to_owned()),
        Ok(_) => None,
    }
}
