//! What an expression may cost, decided on its tree before it is evaluated: the evaluator itself has no budget, and 225
//! bytes of nested loops keep it busy for half a minute.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, operators};

use crate::condition::Globs;
use crate::variables::{NameError, closest};

/// The functions of the language and those of CEL that are worth their risk.
pub(super) const FUNCTIONS: &[&str] = &[
    "success",
    "failure",
    "always",
    "changed",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "int",
    "double",
    "string",
    "bool",
];

/// How deep the tree may be. The evaluator takes some 30 KiB of stack for each level in a debug build, and a worker's
/// stack has 2 MiB; the parser's own limit counts brackets, not the length of `a + b + c`. `&&` and `||` are balanced by
/// the parser, so long chains of those stay flat.
const DEEPEST_TREE: usize = 20;

/// How long a pattern may be, and what its counted repetitions may multiply to: `((a{99}){99}){99}` is a million
/// states in 17 bytes.
const LONGEST_PATTERN: usize = 256;
const MOST_REPETITIONS: u64 = 1000;

/// How many patterns one expression may compile.
const MOST_PATTERNS: usize = 8;

/// Looks for what makes an expression costly.
pub(super) fn check(tree: &IdedExpr) -> Vec<NameError> {
    let mut walk = Walk::default();
    walk.visit(tree, None);
    if walk.deepest > DEEPEST_TREE {
        walk.errors.push(costly("it nests too deeply, or joins too many values"));
    }
    if walk.patterns > MOST_PATTERNS {
        walk.errors.push(costly(format!("more than {MOST_PATTERNS} patterns in one expression")));
    }
    walk.errors
}

fn costly(what: impl std::fmt::Display) -> NameError {
    NameError::new("expression-too-costly", format!("the expression may cost too much: {what}"))
}

#[derive(Default)]
struct Walk {
    patterns: usize,
    depth: usize,
    deepest: usize,
    errors: Vec<NameError>,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr, around: Option<&str>) {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.visit_parts(node, around);
        self.depth -= 1;
    }

    /// `around` is the accumulator of the loop around this node, if there is one.
    fn visit_parts(&mut self, node: &IdedExpr, around: Option<&str>) {
        match &node.expr {
            Expr::Comprehension(loops) => {
                if around.is_some() {
                    self.errors.push(costly("a loop within a loop"));
                    return;
                }
                // The range of a loop is evaluated once, but its own loop would make it as long as it likes.
                let own = Some(loops.accu_var.as_str());
                for part in [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result] {
                    self.visit(part, own);
                }
            }
            Expr::Call(call) => {
                if let Some(accumulator) = around {
                    self.check_in_loop(call, accumulator);
                }
                self.patterns += usize::from(call.func_name == "matches");
                call.target.iter().for_each(|target| self.visit(target, around));
                call.args.iter().for_each(|arg| self.visit(arg, around));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element, around)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key, around);
                        self.visit(&entry.value, around);
                    }
                }
            }
            Expr::Select(select) => self.visit(&select.operand, around),
            Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
        }
    }

    fn check_in_loop(&mut self, call: &CallExpr, accumulator: &str) {
        let is_own = |arg: &IdedExpr| matches!(&arg.expr, Expr::Ident(name) if name == accumulator);
        match call.func_name.as_str() {
            "matches" => self.errors.push(costly("a pattern within a loop")),
            // `map` and `filter` add to their own list; text that is put together in each turn is another matter.
            operators::ADD if !call.args.iter().any(is_own) => self.errors.push(costly("an addition within a loop")),
            _ => {}
        }
    }
}

/// Looks at one call: whether there is such a function, and whether its literal is one that it can take.
pub(super) fn check_call(call: &CallExpr, literal: Option<&str>) -> Option<NameError> {
    let name = call.func_name.as_str();
    // Operators are named `_&&_`, `@in`, `@not_strictly_false`.
    if name.starts_with(['_', '@', '!', '-']) {
        return matches!(name, operators::OPT_INDEX | operators::OPT_SELECT)
            .then(|| NameError::new("bad-expression", "optional values are not part of the language"));
    }
    if !FUNCTIONS.contains(&name) {
        let error = NameError::new("unknown-function", format!("there is no function `{name}`"));
        return Some(match closest(name, FUNCTIONS.iter().copied().chain(["exists", "all", "has"])) {
            Some(meant) => error.help(format!("did you mean `{meant}`?")),
            None => error.help(format!("known are {}", FUNCTIONS.join(", "))),
        });
    }
    let count = call.args.len() + usize::from(call.target.is_some());
    let wanted = match name {
        "success" | "failure" | "always" => 0,
        "contains" | "startsWith" | "endsWith" | "matches" => 2,
        _ => 1,
    };
    if count != wanted || (name == "changed" && call.target.is_some()) {
        return Some(NameError::new("bad-expression", format!("`{name}` is called with {count} values, not {wanted}")));
    }
    match name {
        "changed" => check_glob(literal),
        "matches" => check_pattern(if call.target.is_some() { literal } else { None }),
        _ => None,
    }
}

fn check_glob(literal: Option<&str>) -> Option<NameError> {
    let Some(glob) = literal else {
        return Some(NameError::new("bad-expression", "`changed` takes a glob in quotes: `changed('src/**')`"));
    };
    Globs::new([glob]).err().map(|error| NameError::new("bad-glob", error.to_string()))
}

fn check_pattern(literal: Option<&str>) -> Option<NameError> {
    let Some(pattern) = literal else {
        return Some(NameError::new(
            "bad-expression",
            "`matches` takes a pattern in quotes: `git.branch.matches('^v')`",
        ));
    };
    if pattern.len() > LONGEST_PATTERN {
        return Some(costly(format!("a pattern of more than {LONGEST_PATTERN} bytes")));
    }
    // Everything between braces that is a number counts, escaped or not: too much is better than too little here.
    let counts = pattern.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let largest = |count: &str| count.split(',').filter_map(|number| number.trim().parse().ok()).max().unwrap_or(1u64);
    let product = counts.map(largest).fold(1u64, |product, count| product.saturating_mul(count.max(1)));
    if product > MOST_REPETITIONS {
        return Some(costly("repetitions within repetitions of a pattern"));
    }
    super::evaluate::pattern_error(pattern)
        .map(|message| NameError::new("bad-expression", format!("`{pattern}` is no pattern: {message}")))
}
