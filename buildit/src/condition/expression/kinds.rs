//! Kinds of values, as far as they show in the tree: a comparison that can never hold is an error at load time.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators};

use super::parse::{Parsed, Use};
use crate::variables::{Fixed, NameError, Variable};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Number,
    Text,
    List,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
        }
    }
}

/// What a variable is in an expression. Where the language knows only text, so does this: a parameter is text.
pub(super) fn of_variable(used: &Use) -> Kind {
    match used.variable {
        _ if used.is_test => Kind::Bool,
        Variable::Fixed(Fixed::GitDirty | Fixed::PrFork) => Kind::Bool,
        Variable::Fixed(Fixed::PrNumber | Fixed::RunNumber | Fixed::StageIndex | Fixed::StageAttempt) => Kind::Number,
        _ => Kind::Text,
    }
}

/// Looks for comparisons of unlike kinds, and for a whole that is neither true nor false.
pub(super) fn check(parsed: &Parsed) -> Vec<NameError> {
    let mut errors = Vec::new();
    let whole = visit(&parsed.tree, &parsed.uses, &mut errors);
    if let Some(kind) = whole.filter(|kind| *kind != Kind::Bool) {
        let message = format!("the condition gives {}, not true or false", kind.name());
        errors.push(NameError::new("not-a-condition", message));
    }
    errors
}

fn visit(node: &IdedExpr, uses: &[Use], errors: &mut Vec<NameError>) -> Option<Kind> {
    match &node.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => Some(Kind::Bool),
        Expr::Literal(LiteralValue::String(_)) => Some(Kind::Text),
        Expr::Literal(LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_)) => Some(Kind::Number),
        Expr::Ident(name) => {
            let index: usize = name.strip_prefix('$')?.parse().ok()?;
            uses.get(index).map(of_variable)
        }
        Expr::List(list) => {
            for element in &list.elements {
                visit(element, uses, errors);
            }
            Some(Kind::List)
        }
        Expr::Call(call) => {
            if let Some(target) = &call.target {
                visit(target, uses, errors);
            }
            let args: Vec<Option<Kind>> = call.args.iter().map(|arg| visit(arg, uses, errors)).collect();
            match call.func_name.as_str() {
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS => {
                    if let [Some(left), Some(right)] = args.as_slice()
                        && left != right
                    {
                        errors.push(unlike(*left, *right));
                    }
                    Some(Kind::Bool)
                }
                operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::IN => {
                    Some(Kind::Bool)
                }
                "success" | "failure" | "always" | "changed" | "contains" | "startsWith" | "endsWith" | "matches"
                | "bool" => Some(Kind::Bool),
                "size" | "int" | "double" => Some(Kind::Number),
                "string" => Some(Kind::Text),
                operators::ADD => args.first().copied().flatten(),
                _ => None,
            }
        }
        _ => None,
    }
}

fn unlike(left: Kind, right: Kind) -> NameError {
    let error =
        NameError::new("unlike-kinds", format!("{} is compared with {}, which never holds", left.name(), right.name()));
    match (left, right) {
        (Kind::Text, Kind::Number) | (Kind::Number, Kind::Text) => {
            error.help("make a number of the text, `int(params.count) > 3`, or put the number in quotes")
        }
        (Kind::Bool, _) | (_, Kind::Bool) => error.help("`git.dirty` and `pr.fork` are true or false by themselves"),
        _ => error,
    }
}
