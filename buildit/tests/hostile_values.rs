//! Guarantee G6: the text of a variable never becomes code of the stage's shell. Hostile values are run through real
//! shells in every place where a reference may stand; what is printed equals the value, and nothing else ran.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use buildit::pipeline::Shell;
use buildit::variables::shell::{Placement, compile};

/// What an attacker would call a branch. Each tries to make a file named `canary`.
fn hostile_values() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        "main",
        " leading and trailing ",
        "$(touch canary)",
        "`touch canary`",
        "${IFS}$(touch canary)",
        "; touch canary",
        "&& touch canary",
        "|| touch canary",
        "| touch canary",
        "& touch canary &",
        "\ntouch canary\n",
        "\r\ntouch canary\r\n",
        "'; touch canary; '",
        "\"; touch canary; \"",
        "'\"'\"'; touch canary #",
        "\\",
        "\\\\\"",
        "\\'; touch canary; \\'",
        "$'\\x27; touch canary",
        "EOF\ntouch canary\nEOF",
        "\tEOF\ntouch canary\n",
        ") ; touch canary ; (",
        "}; touch canary; {",
        ";; *) touch canary ;; esac",
        "a[$(touch canary)]",
        "$((a[$(touch canary)0]))",
        "* ? [a-z] ~ ~root {a,b} {1..3}",
        "-n -e -v --",
        "-c touch\\ canary",
        "!! !$ !-1 ^a^b",
        "%s %n %d %%",
        "${git.branch} ${secrets.TOKEN} $HOME",
        "<(touch canary) >(touch canary) > canary",
        "# not a comment",
        "ünïcödé 漢字 🦀 \u{202e}rtl\u{202c} \u{feff}",
        "\u{1}\u{7}\u{1b}[31m\u{7f}",
        "a\u{2028}b\u{85}c",
    ]
    .map(str::to_owned)
    .into();
    values.push("x$(touch canary)`;'\"".repeat(65_536 / 21));
    values.push("y".repeat(65_536));
    values
}

/// A place where a reference may stand. The script writes the value to standard output and nothing else; `trims` where
/// the shell takes trailing newlines off.
struct Place {
    script: &'static str,
    trims: bool,
}

const fn exact(script: &'static str) -> Place {
    Place { script, trims: false }
}

const fn trimmed(script: &'static str) -> Place {
    Place { script, trims: true }
}

const PLACES: &[Place] = &[
    exact("printf '%s' ${git.branch}"),
    exact("printf '%s' \"${git.branch}\""),
    exact("printf '%s%s' \"\"${git.branch}\"\" ''"),
    exact("x=${git.branch}; printf '%s' \"$x\""),
    exact("x=${git.branch} sh -c 'printf %s \"$x\"'"),
    exact("export X=${git.branch}; printf '%s' \"$X\""),
    exact("f() { printf '%s' \"$1\"; }\nf ${git.branch}"),
    exact("set -- ${git.branch}; printf '%s' \"$1\"; test $# = 1"),
    exact("for x in ${git.branch}; do printf '%s' \"$x\"; done"),
    exact("for x in \"${git.branch}\"; do printf '%s' \"$x\"; done"),
    exact("case ${git.branch} in\n  \"${git.branch}\") printf '%s' ${git.branch} ;;\n  *) printf 'no match' ;;\nesac"),
    exact("case x${git.branch} in x${git.branch}) printf '%s' \"${git.branch}\" ;; esac"),
    exact("if [ x = x ] && test \"x${git.branch}\" = x${git.branch}; then printf '%s' ${git.branch}; fi"),
    exact("# ${git.branch} it's a comment\nprintf '%s' ${git.branch} # ${git.branch} '"),
    exact("unset nothing; printf '%s' ${nothing:-${git.branch}}"),
    exact("unset nothing; printf '%s' \"${nothing:-${git.branch}}\""),
    exact("env X=${git.branch} sh -c 'printf %s \"$X\"'"),
    exact("{ printf '%s' ${git.branch}; }"),
    exact("(printf '%s' ${git.branch})"),
    exact("printf '%s' ${git.branch} | cat"),
    exact("if true; then :; else :; fi; : ${git.branch} \"${git.branch}\"; printf '%s' ${git.branch}"),
    trimmed("printf '%s' \"$(printf '%s' ${git.branch})\""),
    trimmed("printf '%s' \"$(printf '%s' \"${git.branch}\")\""),
    trimmed("x=$(printf '%s' ${git.branch}); printf '%s' \"$x\""),
    trimmed("printf '%s' \"$(printf %s \"$(printf '%s' ${git.branch})\" | cat)\""),
    trimmed("cat <<EOF\n${git.branch}\nEOF"),
    trimmed("cat <<-EOF\n${git.branch}\n\tEOF"),
    trimmed("cat <<EOF\n$(printf '%s' ${git.branch})\nEOF"),
    trimmed("printf '%s' \"$(cat <<EOF\n${git.branch}\nEOF\n)\""),
    trimmed("printf '%s' \"$(case a in a) printf '%s' ${git.branch};; esac)\""),
];

/// Runs a compiled script once for each value, in a folder of its own, and gives what each run printed; fails if
/// anything was left there. One process runs it for all values, each in a subshell: a process for each would take
/// minutes.
fn run(shell: &str, script: &str, values: &[String], folder: &Path) -> Vec<String> {
    let once = |at: usize| format!("(\nexport BUILDIT_GIT_BRANCH=\"$VALUE_{at}\"\n{script}\n)\nprintf '\\000'\n");
    let file = folder.join("script");
    fs::write(&file, (0..values.len()).map(once).collect::<String>()).unwrap();
    let output = Command::new(shell)
        .args(["-e".as_ref(), file.as_os_str()])
        .current_dir(folder)
        .envs(values.iter().enumerate().map(|(at, value)| (format!("VALUE_{at}"), value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["script"], "{shell} ran something else:\n{script}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}:\n{script}\n{errors}");
    let printed = String::from_utf8(output.stdout).unwrap();
    printed.split_terminator('\0').map(str::to_owned).collect()
}

fn shells() -> Vec<&'static str> {
    let is_there = |shell: &&str| Command::new(shell).args(["-c", ":"]).output().is_ok_and(|run| run.status.success());
    let found: Vec<&str> = ["sh", "bash", "zsh", "dash"].into_iter().filter(is_there).collect();
    assert!(!found.is_empty(), "no shell to test with");
    found
}

#[test]
fn g6_hostile_values_are_printed_and_nothing_else_runs() {
    shells().into_iter().for_each(prints_hostile_values);
}

#[test]
#[ignore = "needs ksh"]
fn g6_hostile_values_are_printed_and_nothing_else_runs_under_ksh() {
    prints_hostile_values("ksh");
}

fn prints_hostile_values(shell: &str) {
    let values = hostile_values();
    let folder = tempfile::tempdir().unwrap();
    for place in PLACES {
        let script = compile(&[place.script], &Shell::new(shell)).remove(0);
        for placed in &script.references {
            assert!(
                matches!(placed.placement, Placement::Expanded | Placement::Comment),
                "{shell}: {} {:?}",
                place.script,
                placed.placement
            );
        }
        let printed = run(shell, &script.text, &values, folder.path());
        assert_eq!(printed.len(), values.len(), "{shell}:\n{}", place.script);
        for (printed, value) in printed.iter().zip(&values) {
            let (printed, wanted) = if place.trims {
                (printed.trim_end_matches('\n'), value.trim_end_matches('\n'))
            } else {
                (printed.as_str(), value.as_str())
            };
            assert!(printed == wanted, "{shell}:\n{}\nprinted {printed:?}\nnot {wanted:?}", place.script);
        }
    }
}
