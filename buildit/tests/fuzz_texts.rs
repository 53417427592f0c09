//! Property tests of what reads text that anybody may have written: references, scripts, conditions. They start from the
//! small corpora beside them, cut into pieces and put together anew. `PROPTEST_CASES` makes them longer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use buildit::condition::{self, Flow};
use buildit::id::RunId;
use buildit::pipeline::{PipelineSpec, RunContext, Shell, When};
use buildit::variables::shell::{Placement, compile};
use buildit::variables::{Names, NoStages, PieceKind, Reference, RunInfo, Scope, pieces, resolve};
use indexmap::IndexMap;
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

/// Words of a corpus, with the blanks and quotes between them.
fn words(corpus: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(corpus);
    let mut words: Vec<String> =
        [" ", "\n", "\"", "'", "`", "$", "{", "}", "(", ")", "\\", "#", "<<EOF\n", "\nEOF\n", ";"]
            .map(str::to_owned)
            .into();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        words.extend(text.split_inclusive(&[' ', '\n', '"', '\'', '(', ')', '{', '}'][..]).map(str::to_owned));
        words.extend(text.lines().map(str::to_owned));
    }
    words
}

fn texts(corpus: &str) -> impl Strategy<Value = String> {
    let word = prop_oneof![8 => prop::sample::select(words(corpus)), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

fn in_scope<T>(look: impl FnOnce(&Scope<'_>) -> T) -> T {
    let (context, plan, environment) = (RunContext::manual(), PipelineSpec::default(), IndexMap::new());
    look(&Scope {
        context: &context,
        plan: &plan,
        run: RunInfo { id: RunId::new(), number: 1 },
        stage: None,
        index: 0,
        attempt: 1,
        stages: &NoStages,
        approval: None,
        environment: &environment,
    })
}

proptest! {
    /// The pieces of a text are the text, each byte once, and a reference reads back as itself.
    #[test]
    fn pieces_cover_the_text(text in texts("variables")) {
        let all = pieces(&text);
        let mut end = 0;
        for piece in &all {
            prop_assert_eq!(piece.range.start, end);
            prop_assert!(piece.range.end > end);
            end = piece.range.end;
            if let PieceKind::Reference(reference) = &piece.kind {
                prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
        prop_assert_eq!(end, text.len());
        let _ = in_scope(|scope| resolve(&text, scope).map(drop));
    }

    /// A script changes only where a reference or an escape stands, for every shell.
    #[test]
    fn scripts_change_only_where_references_stand(text in texts("variables"), shell in "sh|bash|zsh|ksh|fish") {
        let script = compile(&[&text], &Shell::new(shell)).remove(0);
        let mut rest = script.text.as_str();
        let mut placed = script.references.iter();
        for piece in pieces(&text) {
            let wanted = match piece.kind {
                PieceKind::Escape => "${".to_owned(),
                PieceKind::Reference(reference) => {
                    let placed = placed.next().unwrap();
                    prop_assert_eq!(&placed.reference, &reference);
                    prop_assert_eq!(&placed.range, &piece.range);
                    let expansion = format!("${{{}}}", buildit::variables::shell::environment_name(&reference));
                    match placed.placement {
                        Placement::Expanded if rest.starts_with('"') => format!("\"{expansion}\""),
                        Placement::Expanded => expansion,
                        _ => text[piece.range].to_owned(),
                    }
                }
                PieceKind::Text | PieceKind::Malformed(_) => text[piece.range].to_owned(),
            };
            prop_assert!(rest.starts_with(&wanted), "{:?} does not begin with {:?}", rest, wanted);
            rest = &rest[wanted.len()..];
        }
        prop_assert_eq!(rest, "");
    }

    /// A condition is refused or decided, and both at once: no expression takes long.
    #[test]
    fn conditions_are_decided_or_refused(text in texts("cel")) {
        let begun = clock_gettime(ClockId::ThreadCPUTime).tv_sec;
        let when = When::Expression(text);
        let spec = PipelineSpec::default();
        let checked = condition::check(&when, &Names::new(&spec).of(None));
        let decided = in_scope(|scope| condition::evaluate(&when, scope, Flow::default()));
        let is_malformed = checked.errors.iter().any(|error| error.code.starts_with("bad-") || error.code.starts_with("expression-"));
        prop_assert!(!is_malformed || decided.is_err());
        prop_assert!(clock_gettime(ClockId::ThreadCPUTime).tv_sec - begun < 3, "it took the processor seconds");
    }
}

/// Pieces of scripts that a shell can run without harm, with every kind of quoting among them.
const SCRIPT: &[&str] = &[
    ": ",
    "printf '%s' ",
    "\"",
    "'",
    "$(",
    ")",
    "`",
    "${x:-",
    "}",
    "$((",
    "))",
    "((",
    "<<EOF\n",
    "<<'EOF'\n",
    "<<-EOF\n",
    "\nEOF\n",
    "\\",
    "\n",
    " ",
    " ",
    ";",
    "#",
    "case a in a) ",
    ";; esac",
    "{ ",
    "; }",
    "[[ ",
    " ]]",
    "[ ",
    " ]",
    "$'",
    "$\"",
    "eval ",
    "sh -c ",
    "bash -ec ",
    "echo ",
    " | sh",
    "x=",
    "a[",
    "]",
    "let y=",
    "declare -i ",
    "export ",
    " -eq 1",
    "test ",
    "f() { ",
    "if ",
    "; then ",
    "; fi",
    "for x in ",
    "; do ",
    "; done",
    "&& ",
    "$x",
    "y#",
    "a=(",
    "trap ",
    "env ",
    "command ",
    "printf -v ",
    "printf ",
    "unset ",
    "<(",
    "${git.branch}",
    "${git.branch}",
    "${git.branch}",
    "${git.branch}",
];

/// Each tries ways out: of every kind of quoting at once, of arithmetic, of a list of words.
const VALUES: &[&str] = &[
    "';touch canary;'\";touch canary;\"$(touch canary)`touch canary`\ntouch canary\nEOF\ntouch canary\n);touch canary;(",
    "a[$(touch canary)]",
    "([$(touch canary)]=x)",
    "touch canary",
];

/// A reference, as it is written in the scripts below.
const REFERENCE: &str = "${git.branch}";

/// Scripts that a shell accepts, nested a few levels.
fn scripts() -> impl Strategy<Value = String> {
    let word = prop::sample::select(
        &[REFERENCE, "\"${git.branch}\"", "x${git.branch}y", "'x'", "\"$x\"", "a\\ b", "$((1))"][..],
    );
    let command = (prop::sample::select(COMMANDS), word).prop_map(|(command, word)| command.replace('@', word));
    command.prop_recursive(4, 24, 3, |inner| {
        let around = (prop::sample::select(AROUND), inner.clone(), inner);
        around.prop_map(|(around, one, two)| around.replace('@', &one).replace('%', &two))
    })
}

/// Commands with a word at `@`.
const COMMANDS: &[&str] = &[
    "printf '%s' @",
    ": @",
    "x=@",
    "x=@ :",
    "export X=@",
    "test -n @",
    "[ @ = x ]",
    "[[ @ == x ]]",
    "[[ @ -eq 1 ]]",
    "set -- @",
    "eval @",
    "sh -c @",
    "command @",
    "@",
    "trap @ EXIT",
    "cat <<EOF\n@\nEOF\n",
    "cat <<'EOF'\n@\nEOF\n",
    "sh <<EOF\n@\nEOF\n",
    "unset @",
    "a[@]=1",
    "a=(@)",
    "let x=@",
    "declare x=@",
    "local x=@",
    "printf -v @ x",
    "printf @",
    "read @",
    "echo @ | sh",
    "echo @ | cat",
    "env X=@ sh -c :",
    "env @",
    "exit @",
    ": ${x:-@}",
    ": \"${x:-@}\"",
    ": ${x#@}",
    ": ${x:@}",
    "$x @",
    ". @",
    "n=@; : $((n))",
    "n=b; : $((n))",
    "b=@",
    "f() { : $(( $1 )); }; f @",
    "f() { local n=$1; : $((n)); }",
    "set -- @; : $(( $1 ))",
    "read -r n <<< @; : $((n))",
    "echo @ | { read -r n; : $((n)); }",
    "read n <<EOF\n@\nEOF\n",
    ": $((n))",
    ": ${n:=@}",
    "k=@; unset \"c[$k]\"",
    "k=@; printf -v \"$k\" x",
    "k=@; read \"$k\" </dev/null",
    "k=@; [ -v \"$k\" ]",
    "k=@; : \"${!k}\"",
    "k=x_@; : ${!k}",
    "eval ': $((n))'",
    "printf -v n %s b",
    "n=$'\\x62'",
    "y=`echo $((n))`",
    "for ((i=0; i<n; i++)); do break; done",
    "bash -ec : @",
    "xargs sh -c @",
    "PS4=@; set -x; :",
    "printf '%d' @",
    "echo $[@]",
    "echo $((@))",
];

/// What commands at `@` and `%` can stand in.
const AROUND: &[&str] = &[
    "@; %",
    "@ && %",
    "@ | %",
    "if @; then %; fi",
    "while false; do @; done; %",
    "f() { @; }; f",
    "(@); { %; }",
    ": $(@) %",
    ": \"$(@)\"; %",
    ": `@`; %",
    "x=$(@); %",
    "case x in x) @;; *) %;; esac",
    "case \"$(@)\" in *) %;; esac",
    "# @\n%",
    "cat <<EOF\n$(@)\nEOF\n%",
    "sh -c '@'; %",
    "eval '@'; %",
    "eval \"@\"; %",
    "for x in $(@); do %; done",
    ": <(@); %",
    ": '@' \"%\"",
    ": $'@'; %",
    "((1)); @; %",
    "declare -i n; @; %",
];

/// The same script with nothing but references that are let through; none if there is no such reference.
fn let_through(source: &str, shell: &str) -> Option<String> {
    let mut source = source.to_owned();
    loop {
        let script = compile(&[&source], &Shell::new(shell)).remove(0);
        let is_refused = |placement: &Placement| matches!(placement, Placement::Refused(_));
        let Some(refused) = script.references.iter().find(|placed| is_refused(&placed.placement)) else {
            let is_expanded = script.references.iter().any(|placed| placed.placement == Placement::Expanded);
            return is_expanded.then_some(script.text);
        };
        source.replace_range(refused.range.clone(), "x");
    }
}

proptest! {
    /// Whatever the script, a value in a reference that was let through runs nothing.
    #[test]
    fn g6_no_value_runs_in_any_script_that_is_let_through(
        source in prop_oneof![
            3 => scripts(),
            1 => prop::collection::vec(prop::sample::select(SCRIPT), 2..12).prop_map(|parts| parts.concat()),
        ],
    ) {
        for shell in ["bash", "dash"] {
            let Some(script) = let_through(&source, shell) else { continue };
            let folder = tempfile::tempdir().unwrap();
            for value in VALUES {
                let ran = Command::new(shell)
                    .args(["-c", &script])
                    .current_dir(folder.path())
                    .env("BUILDIT_GIT_BRANCH", value)
                    .stdin(Stdio::null())
                    .output();
                // Without that shell on this machine there is nothing to learn from it.
                let Ok(ran) = ran else { continue };
                let canary = folder.path().join("canary").exists();
                let errors = String::from_utf8_lossy(&ran.stderr);
                prop_assert!(!canary, "{}:\n{}\nwith {}\n{}", shell, script, value, errors);
            }
        }
    }
}
