//! An expression as a tree, each name of the language replaced by a variable of our own.
//!
//! `git.branch` is a selection on a map in CEL. Here the whole path becomes one identifier (`$0`), so that every name
//! is seen before anything is evaluated, a wrong one is never merely a missing key, and no map has to be built.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::PrattParser;

use super::guard;
use crate::variables::{Fixed, NAMESPACES, NameError, Variable, closest};

/// How long an expression may be. Longer ones belong in a script.
const LONGEST_SOURCE: usize = 1024;

/// How deep it may nest; a person loses track long before.
const DEEPEST: u16 = 32;

/// How many nodes its tree may have.
const MOST_NODES: usize = 500;

/// A parsed and guarded expression.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) tree: IdedExpr,
    /// The variables that it reads: the identifier `$N` is the N-th.
    pub(super) uses: Vec<Use>,
    /// The functions that it calls, with their first literal argument.
    pub(super) calls: Vec<Call>,
}

/// A variable that an expression reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) variable: Variable,
    /// Whether only its presence is asked for: `has(custom.x)`.
    pub(super) is_test: bool,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) function: String,
    pub(super) literal: Option<String>,
}

impl Parsed {
    pub(super) fn calls(&self, function: &str) -> bool {
        self.calls.iter().any(|call| call.function == function)
    }

    /// Whether it says itself what it makes of failures.
    pub(super) fn has_status_function(&self) -> bool {
        ["success", "failure", "always"].iter().any(|function| self.calls(function))
    }
}

/// The identifier of the N-th use. No expression can write one: `$` is not in CEL's alphabet.
pub(super) fn identifier(index: usize) -> String {
    format!("${index}")
}

/// Reads an expression.
///
/// # Errors
///
/// All that is wrong with it, as far as that shows without knowing the pipeline.
pub(super) fn parse(source: &str) -> Result<Parsed, Vec<NameError>> {
    if source.len() > LONGEST_SOURCE {
        let message = format!("the expression has {} bytes, more than {LONGEST_SOURCE}", source.len());
        return Err(vec![NameError::new("expression-too-long", message)]);
    }
    if let Some(at) = source.find("${") {
        let error = NameError::new("bad-expression", "an expression names variables without `${…}`");
        let name: String = source[at + 2..].chars().take_while(|c| *c != '}').take(40).collect();
        return Err(vec![error.help(format!("write `{name}`"))]);
    }
    let parser = PrattParser::new().max_recursion_depth(DEEPEST).max_expression_node_count(MOST_NODES);
    let mut tree = parser.parse(source).map_err(|errors| {
        let first = errors.errors.first().map(|error| error.msg.trim().to_owned());
        let message = format!("this is no expression: {}", first.unwrap_or_else(|| "it cannot be read".into()));
        vec![NameError::new("bad-expression", message)]
    })?;
    let mut walk = Walk::default();
    walk.visit(&mut tree);
    walk.errors.extend(guard::check(&tree));
    if walk.errors.is_empty() { Ok(Parsed { tree, uses: walk.uses, calls: walk.calls }) } else { Err(walk.errors) }
}

#[derive(Default)]
struct Walk {
    uses: Vec<Use>,
    calls: Vec<Call>,
    errors: Vec<NameError>,
    /// The variables that comprehensions around this place bind.
    bound: Vec<String>,
}

impl Walk {
    fn visit(&mut self, node: &mut IdedExpr) {
        if let Some((path, is_test)) = self.path(&node.expr) {
            match variable(&path) {
                Ok(variable) => {
                    let used = Use { variable, is_test };
                    let index = self.uses.iter().position(|known| *known == used).unwrap_or(self.uses.len());
                    if index == self.uses.len() {
                        self.uses.push(used);
                    }
                    node.expr = Expr::Ident(identifier(index));
                }
                Err(error) => self.errors.push(error),
            }
            return;
        }
        match &mut node.expr {
            Expr::Ident(name) => {
                if !self.bound.contains(name) {
                    self.errors.push(unknown_identifier(name));
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit(&mut entry.key);
                        self.visit(&mut entry.value);
                    }
                }
            }
            Expr::Select(SelectExpr { operand, .. }) => self.visit(operand),
            Expr::Comprehension(loops) => {
                self.visit(&mut loops.iter_range);
                let names = [Some(loops.iter_var.clone()), loops.iter_var2.clone()];
                for name in names.into_iter().flatten() {
                    if NAMESPACES.contains(&name.as_str()) {
                        let message = format!("`{name}` is a namespace and cannot be the variable of a loop");
                        self.errors.push(NameError::new("bad-expression", message));
                    }
                    self.bound.push(name);
                }
                self.bound.push(loops.accu_var.clone());
                let depth = self.bound.len();
                for part in [&mut loops.accu_init, &mut loops.loop_cond, &mut loops.loop_step, &mut loops.result] {
                    self.visit(part);
                }
                let own = 2 + usize::from(loops.iter_var2.is_some());
                self.bound.truncate(depth - own);
            }
            Expr::Struct(_) => self.errors.push(NameError::new("bad-expression", "a condition makes no messages")),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn call(&mut self, call: &mut CallExpr) {
        let literal = call.args.first().and_then(|arg| match &arg.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
            _ => None,
        });
        self.errors.extend(guard::check_call(call, literal.as_deref()));
        if !call.func_name.contains('_') {
            self.calls.push(Call { function: call.func_name.clone(), literal });
        }
        call.target.iter_mut().for_each(|target| self.visit(target));
        call.args.iter_mut().for_each(|arg| self.visit(arg));
    }

    /// The path that begins at a namespace, if the node is one: `["stages", "build-app", "status"]`.
    fn path(&self, expr: &Expr) -> Option<(Vec<String>, bool)> {
        let mut path = Vec::new();
        let mut is_test = false;
        let mut expr = expr;
        loop {
            match expr {
                Expr::Ident(name) => {
                    path.push(name.clone());
                    break;
                }
                Expr::Select(select) => {
                    is_test |= select.test;
                    path.push(select.field.clone());
                    expr = &select.operand.expr;
                }
                Expr::Call(call) if call.func_name == operators::INDEX && call.target.is_none() => {
                    let [target, index] = call.args.as_slice() else { return None };
                    let Expr::Literal(LiteralValue::String(key)) = &index.expr else { return None };
                    path.push(key.inner().to_owned());
                    expr = &target.expr;
                }
                _ => return None,
            }
        }
        path.reverse();
        let root = path.first()?;
        (NAMESPACES.contains(&root.as_str()) && !self.bound.contains(root)).then_some((path, is_test))
    }
}

/// What a path names.
fn variable(path: &[String]) -> Result<Variable, NameError> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let own = |word: &str| word.to_owned();
    Ok(match words.as_slice() {
        ["stages", stage, "status"] => Variable::Status { stage: own(stage) },
        ["stages", stage, "outputs", key] => Variable::Output { stage: own(stage), key: own(key) },
        ["stages", ..] => {
            return Err(NameError::new("unknown-name", "of a stage there are `status` and `outputs.NAME`")
                .help("write `stages[\"NAME\"].status`"));
        }
        ["matrix", axis] => Variable::Matrix(own(axis)),
        ["params", name] => Variable::Param(own(name)),
        ["env", name] => Variable::Env(own(name)),
        ["secrets", name] => Variable::Secret(own(name)),
        ["approval", name] => Variable::Approval(own(name)),
        ["custom", first, rest @ ..] => Variable::Custom(dotted(first, rest)),
        ["environment", first, rest @ ..] => Variable::Environment(dotted(first, rest)),
        ["checksum", ..] => {
            return Err(NameError::new("not-here", "`checksum` is not known in a condition")
                .help("ask `changed(\"glob\")` instead"));
        }
        [namespace] => {
            return Err(NameError::new(
                "bad-expression",
                format!("`{namespace}` is no value: name what you want of it"),
            ));
        }
        [namespace, ..] => {
            let name = words.join(".");
            let Some(fixed) = Fixed::ALL.iter().find(|fixed| fixed.name() == name) else {
                let error = NameError::new("unknown-name", format!("there is no variable `{name}`"));
                let same = |known: &&str| known.split('.').next() == Some(namespace);
                let known = Fixed::ALL.iter().map(|fixed| fixed.name()).filter(same);
                return Err(match closest(&name, known) {
                    Some(meant) => error.help(format!("did you mean `{meant}`?")),
                    None => error,
                });
            };
            Variable::Fixed(*fixed)
        }
        [] => return Err(NameError::new("bad-expression", "a name is missing")),
    })
}

fn dotted(first: &str, rest: &[&str]) -> String {
    rest.iter().fold(first.to_owned(), |name, word| format!("{name}.{word}"))
}

fn unknown_identifier(name: &str) -> NameError {
    let error = NameError::new("unknown-name", format!("there is no `{name}`"));
    let functions = guard::FUNCTIONS.iter().copied();
    match closest(name, NAMESPACES.iter().copied()) {
        Some(meant) => error.help(format!("did you mean `{meant}`?")),
        None if functions.clone().any(|function| function == name) => error.help(format!("call it: `{name}()`")),
        None => error.help(format!("text stands in quotes: `'{name}'`")),
    }
}
