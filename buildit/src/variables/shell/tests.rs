use super::*;

fn compiled_by(source: &str, shell: &str) -> Script {
    compile(&[source], &Shell::new(shell)).remove(0)
}

fn compiled(source: &str) -> Script {
    compiled_by(source, "sh")
}

/// `@` stands for the reference, `«"»` for what it becomes.
fn expands(source: &str) {
    let bare = source.replace('@', "${git.tag}");
    let script = compiled(&bare.replace('%', "${git.tag}"));
    let wanted = source.replace('@', "\"${BUILDIT_GIT_TAG}\"").replace('%', "${BUILDIT_GIT_TAG}");
    assert_eq!(script.text, wanted, "{source}");
    assert!(script.references.iter().all(|placed| placed.placement == Placement::Expanded), "{source}: {script:?}");
}

fn refuses_in(source: &str, refusal: Refusal, shell: &str) -> Option<String> {
    let script = compiled_by(&source.replace('@', "${git.tag}"), shell);
    let placement = &script.references.last().unwrap_or_else(|| panic!("{source}")).placement;
    if *placement != Placement::Refused(refusal) {
        return Some(format!("{source}: {placement:?}, not {refusal:?}"));
    }
    None
}

fn refuses(source: &str, refusal: Refusal) -> Option<String> {
    refuses_in(source, refusal, "bash")
}

#[test]
fn references_are_quoted_for_their_place() {
    // `@` is a bare reference and `%` one between double quotes.
    for source in [
        "echo @",
        "echo a@b@",
        "echo \"%\" @ \"x % y\"",
        "echo \"$(echo @ \"%\")\"",
        "echo $(echo @)",
        "x=@; y=\"%\"",
        "x=@ y=@ make all",
        "cat <<EOF\na % $(echo @) 'x' \"y\"\nEOF\necho @",
        "cat <<-EOF\n\t% \\$x\n\tEOF\necho @",
        "cat <<A <<B\n%\nA\n%\nB\necho @",
        "cat <<EOF\nx\\\nEOF\n%\nEOF\necho @",
        "if [ @ = main ]; then echo @; else echo \"%\"; fi",
        "case @ in\n  main|dev) echo @ ;;\n  (@) echo 2;;\n  *) x=$(case @ in a) echo @;; esac) ;;\nesac; echo @",
        "f() { echo @ \"$1\"; }\nf @",
        "function f { echo @; }; f @",
        "for x in a @ b; do echo @; done",
        "while read -r x; do echo @; done < @",
        "echo @ > @ 2>&1",
        "echo ${x:-@} \"${x:-%}\" ${x:-\"%\"}",
        "echo \"it's %\" @",
        "echo '\"' @ '\"'",
        "echo \\' @",
        "echo \\\\@",
        "echo a#@ # not '@' a quote\necho @".replace("not '@'", "not").as_str(),
        "(cd @ && ls); { echo @; }",
        "echo @ | grep @ && echo @ || echo @ &",
        "export X=@ Y=1; readonly Z=@; local q=@",
        "set -- @ @",
        "[ -n @ ] && [ \"%\" = x ] && [ @ -eq 3 ] && test -f @",
        "[[ @ == main && -n @ || x =~ ^(a|b)$ ]] && echo @",
        "env A=@ B=1 printf %s @".replace("%s", "x").as_str(),
        "sudo -u root cp @ /x",
        "timeout 5 cp @ x",
        "xargs -n 1 cp @",
        "sh -c 'echo \"$BUILDIT_GIT_TAG\"' && echo @",
        "bash ./deploy.sh @ \"%\"",
        "curl x | sh -s -- @",
        "python3 deploy.py @",
        "awk -v x=@ '{ print x }' @",
        "file=@; size=$(du -b \"$file\"); echo $((size / 1024))",
        "tag=@; CMD=\"docker build --tag\"; $CMD \"app:$tag\"",
        "read -r name < x; echo @ | cat; n=1; echo $((n + 1)) \"%\"",
        "log() { echo \"$*\"; }; log @; i=0; i=$((i + 1))",
        "retry() { n=$1; shift; until \"$*\"; do n=$((n - 1)); done; }; echo @",
        "run() { shift; $*; }; run 3 deploy @ \"%\"",
        "name=@; n=3; while [ $n -gt 0 ]; do n=$((n - 1)); echo \"$name\"; done",
        "sed -e s/a/b/ @",
        "./scripts/@.sh",
        "diff <(echo @) >(cat)",
        "a=(x @ \"%\"); echo @",
        "echo $x ${y#z} $1 $@x @".replace("$@x ", "").as_str(),
        "echo $((1 + 2)) $(( (1) )) @",
        "tag=@; $SUDO docker tag app \"$tag\"",
        "x=@ sh -c 'echo \"$x\"'; export Y=@; bash -c 'echo \"$Y\"'",
        "m=@; n=1; echo $((n + 1))",
        "echo `date` @",
        "echo $'a\\n' @",
        "echo {a,b} * ? [a-z] ~ @",
        "git commit -m \"% $(date +'%Y')\"".replace("'%Y'", "'x'").as_str(),
        "trap 'rm -f x' EXIT; echo @",
        "eval \"$x\"; echo @",
        "cat <<'EOF'\nit's \"\nEOF\necho @",
        "cat <<EOF\nit's \"\nEOF\necho @",
        "grep -c @ file",
        "docker run --rm -e X=@ image",
        "docker exec x sh -c 'ls'; echo @",
    ] {
        expands(source);
    }
}

#[test]
fn references_are_refused_where_no_expansion_is_safe() {
    use Refusal::{
        Arithmetic, Backslash, Backticks, CommandWord, DollarQuotes, EndWord, Expansion, Interpreter, Name,
        QuotedHereDocument, SingleQuotes, Subscript, Test, Unclear, Unclosed,
    };
    let mut wrong = Vec::new();
    for (source, refusal) in [
        ("echo '@'", SingleQuotes),
        ("echo \"a\"'b @'", SingleQuotes),
        ("sh -c 'echo @'", SingleQuotes),
        ("echo $(echo '@')", SingleQuotes),
        ("echo $'@'", DollarQuotes),
        ("echo $'it\\'s' @", Unclear),
        ("cat <<'EOF'\n@\nEOF", QuotedHereDocument),
        ("cat <<\"EOF\"\n@\nEOF", QuotedHereDocument),
        ("cat <<\\EOF\n@\nEOF", QuotedHereDocument),
        ("cat <<-'E'\n\t@\n\tE", QuotedHereDocument),
        ("cat <<@\nx\n@", EndWord),
        ("echo `echo @`", Backticks),
        ("echo \"`echo @`\"", Backticks),
        ("echo $((1 + @))", Arithmetic),
        ("echo \"$(( @ ))\"", Arithmetic),
        ("echo $(( $(echo @) ))", Arithmetic),
        ("(( x = @ ))", Arithmetic),
        ("for ((i=0; i<@; i++)); do :; done", Unclear),
        ("echo $[ @ ]", Unclear),
        ("echo $[1+@]", Arithmetic),
        ("let x=@", Arithmetic),
        ("declare -i n; n=@", Arithmetic),
        ("n=@; f() { declare -i n; }", Arithmetic),
        ("n=@; echo $((n + 1))", Arithmetic),
        ("n=@; (( $n > 1 ))", Arithmetic),
        ("if [[ $n -gt 1 ]]; then :; fi; n=@", Arithmetic),
        ("for n in @; do x=${y:n}; done", Arithmetic),
        ("for n in 1 @; do a[n]=1; done", Arithmetic),
        ("local n=@; let n++", Arithmetic),
        ("a=(@); n=a\\ b; : $((n))", Arithmetic),
        ("f() { echo $((n)); }; n=\"$m\"; m='1 + a'; a=@", Arithmetic),
        ("a_b=@; for n in 1 a\"_\"b; do : $((n)); done", Arithmetic),
        ("declare n=a; a=@; let x=n", Arithmetic),
        ("name=@; greet=\"echo $name\"; eval \"$greet\"", Arithmetic),
        ("n=@; y=`echo $((n + 1))`", Arithmetic),
        ("eval 'echo $((n))'; n=@", Arithmetic),
        ("var=x_@; echo \"${!var}\"", Arithmetic),
        (": \"${n:=@}\"; echo $((n))", Arithmetic),
        ("IFS=. read -r a b <<< @; echo $((b + 1))", Arithmetic),
        ("echo @ | while read n; do : $((n)); done", Arithmetic),
        ("while read n; do : $((n)); done <<E\n@\nE", Arithmetic),
        ("declare -i n; read n <<E\n@\nE", Arithmetic),
        ("key=@; read \"$key\" < x", Arithmetic),
        ("key=@; unset \"cache[$key]\"", Arithmetic),
        ("key=@; printf -v \"$key\" x", Arithmetic),
        ("key=@; [ -v \"$key\" ]", Arithmetic),
        ("key=@; declare \"$key=1\"", Arithmetic),
        ("printf -v n %s a; : $((n)); a=@", Arithmetic),
        ("f() { local n=(a); }; a=@; : $((n))", Arithmetic),
        ("n=$'\\x61'; : $((n)); a=@", Arithmetic),
        ("n=fo\\\no; : $((n)); foo=@", Arithmetic),
        ("bump() { echo $(( $1 + 1 )); }; bump @", Arithmetic),
        ("f @; function f { local n=$1; echo $((n)); }", Arithmetic),
        ("f() { echo $(( $1 )); }; x=@; f a \"$x\"", Arithmetic),
        ("set -- @; : $(( ${1} ))", Arithmetic),
        ("run() { $*; }; run @ a", Arithmetic),
        ("set -- @ a; $* b", Arithmetic),
        ("run() { eval \"$*\"; }; run a @", Arithmetic),
        ("x=@; $x a", Arithmetic),
        ("x=@; eval \"echo $x\"", Arithmetic),
        ("x=@ sh -c \"echo $x\"", Arithmetic),
        ("eval sh <<EOF\n@\nEOF", Interpreter),
        ("docker exec -i app sh <<EOF\n@\nEOF", Interpreter),
        ("$x <<EOF\n@\nEOF", Interpreter),
        ("declare x=@", Name),
        ("export @", Name),
        ("unset @", Name),
        ("read @", Name),
        ("a[@]=1", Subscript),
        ("a[x@]+=1", Subscript),
        ("a=([@]=1)", Subscript),
        ("echo ${a[@]}", Expansion),
        ("echo ${x#@}", Expansion),
        ("echo ${x/a/@}", Expansion),
        ("echo ${x:@}", Expansion),
        ("echo \"${x:-\"@\"}\"", Unclear),
        ("[[ @ -eq 3 ]]", Test),
        ("[[ -v @ ]]", Test),
        ("[ -v @ ]", Test),
        ("[ @ @ ]", Test),
        ("echo \\@", Backslash),
        ("echo \"\\@\"", Backslash),
        ("cat <<EOF\n\\@\nEOF", Backslash),
        ("eval echo @", Interpreter),
        ("eval \"$(echo @)\"", Interpreter),
        ("sh -c \"echo @\"", Interpreter),
        ("/bin/bash -ec \"echo @\"", Interpreter),
        ("bash -o pipefail -c \"x\" @", Interpreter),
        ("bash @", Interpreter),
        ("s'h' -c @", Interpreter),
        ("\\eval @", Interpreter),
        ("env A=b sh -c \"echo @\"", Interpreter),
        ("sudo -u x -- bash -c \"echo @\"", Interpreter),
        ("exec sh -c @", Interpreter),
        ("command eval @", Interpreter),
        ("xargs -I{} sh -c \"echo @\"", Interpreter),
        ("timeout 5 nohup sh -c @", Interpreter),
        ("ssh host \"deploy @\"", Interpreter),
        ("ssh host <<EOF\ndeploy @\nEOF", Interpreter),
        ("bash <<EOF\ndeploy @\nEOF", Interpreter),
        ("cat <<EOF | sh\ndeploy @\nEOF", Interpreter),
        ("sh <<< @", Interpreter),
        ("echo @ | sh", Interpreter),
        ("echo @ | tr a b | sudo bash", Interpreter),
        ("su -c \"x @\"", Interpreter),
        ("su app -c @", Interpreter),
        ("python3 -c \"print('@')\"", Interpreter),
        ("perl -ne \"print '@'\"", Interpreter),
        ("node -e \"x('@')\"", Interpreter),
        ("awk \"/@/ { print }\"", Interpreter),
        ("sed -i \"s/x/@/\" file", Interpreter),
        ("find . -exec sh -c \"x @\" \\;", Interpreter),
        ("docker exec app sh -c \"x @\"", Interpreter),
        ("trap \"rm @\" EXIT", Interpreter),
        ("alias x=@", Interpreter),
        ("PS4=@; set -x", Interpreter),
        ("export BASH_ENV=@", Interpreter),
        ("make VERSION=@", Interpreter),
        ("env -S @", Interpreter),
        ("@ --version", CommandWord),
        ("\"@\"", CommandWord),
        ("x=1 @", CommandWord),
        ("exec @", CommandWord),
        ("sudo @", CommandWord),
        ("sudo -u x @", CommandWord),
        ("timeout @ ls", CommandWord),
        ("timeout 5 @", CommandWord),
        ("$x @", CommandWord),
        ("\"$x\" y @", CommandWord),
        ("/bin/e* @", CommandWord),
        (". @", CommandWord),
        ("if @; then :; fi", CommandWord),
        ("printf @ x", Name),
        ("printf -v @ x", Name),
        ("set @", Name),
        ("echo @ '", Unclosed),
        ("echo @ \"", Unclosed),
        ("cat <<EOF\n@", Unclosed),
        ("echo $(echo @", Unclosed),
        ("echo @ )", Unclear),
        ("echo ${ echo @; }", Unclear),
    ] {
        wrong.extend(refuses(source, refusal));
    }
    for shell in ["zsh", "ksh"] {
        for (source, refusal) in
            [("[ @ -eq 3 ]", Test), ("printf %d @", Arithmetic), ("exit @", Arithmetic), ("print -P @", Name)]
        {
            wrong.extend(refuses_in(source, refusal, shell));
        }
    }
    for shell in ["fish", "pwsh", "/usr/bin/python3", "nu"] {
        wrong.extend(refuses_in("echo @", Refusal::OtherShell, shell));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_comment_is_left_alone() {
    let source = "echo a # ${git.tag} it's\necho ${git.tag}";
    let script = compiled(source);
    assert_eq!(script.text, "echo a # ${git.tag} it's\necho \"${BUILDIT_GIT_TAG}\"");
    assert_eq!(script.references[0].placement, Placement::Comment);
}

#[test]
fn escapes_and_foreign_expansions_stay() {
    assert_eq!(compiled("echo '$${git.sha}' ${HOME} $x $(ls)").text, "echo '${git.sha}' ${HOME} $x $(ls)");
    let script = compiled("echo ${git.tag:-${git.sha}} ${env.X} ${secrets.TOKEN} ${git.shaa}");
    let names: Vec<String> = script.references.iter().map(|placed| environment_name(&placed.reference)).collect();
    assert!(names[0].starts_with("BUILDIT_GIT_TAG_OR_"), "{names:?}");
    assert_eq!(names[1..], ["BUILDIT_ENV_X", "TOKEN"]);
    assert_eq!(script.malformed.len(), 1);
}

#[test]
fn scripts_share_what_one_shell_keeps() {
    let prompt = compiled_by("n=${git.tag}; echo \"${n@P}\"", "bash");
    assert_eq!(prompt.references[0].placement, Placement::Refused(Refusal::Arithmetic));
    // A script that cannot be read may do anything with what another one assigns.
    let unread = compile(&["n=${git.tag}", "for ((i=0; i<n; i++)); do :; done"], &Shell::new("bash"));
    assert_eq!(unread[0].references[0].placement, Placement::Refused(Refusal::Arithmetic));
    let texts = |sources: &[&str]| compile(sources, &Shell::default());
    let scripts = texts(&["declare -i n", "n=${git.tag}"]);
    assert_eq!(scripts[1].references[0].placement, Placement::Refused(Refusal::Arithmetic));
    let scripts = texts(&["echo '", "echo ${git.tag}"]);
    assert_eq!(scripts[1].references[0].placement, Placement::Refused(Refusal::Unclosed));
    let scripts = texts(&["echo $'\\''", "echo ${git.tag}"]);
    assert_eq!(scripts[1].references[0].placement, Placement::Expanded);
}

#[test]
fn deep_nesting_is_refused_and_long_scripts_are_read_quickly() {
    for open in ["$(", "\"$(", "${x:-", "$((", "`", "(", "<(", "a=(", "case x in x) "] {
        let source = format!("{}${{git.tag}}", open.repeat(50_000));
        assert!(matches!(compiled(&source).references[0].placement, Placement::Refused(_)), "{open}");
    }
    let source = format!("{}echo ${{git.tag}}", "cat <<E\n$(a) \\\n'\nE\n".repeat(20_000));
    assert_eq!(compiled(&source).references[0].placement, Placement::Expanded);
    let many = "$(a $x)".repeat(20_000);
    let chain: String = (0..20_000).map(|at| format!("n{at}=n{}; f{at}() {{ g $n{at}; }}; ", at + 1)).collect();
    let source = format!("x=\"{many}\"; eval \"{many}\"; : $(({many})); {chain} : $((n0)); n20000=${{git.tag}}");
    assert_eq!(compiled(&source).references[0].placement, Placement::Refused(Refusal::Arithmetic));
}

#[test]
fn words_of_a_command_line_can_be_code() {
    assert!(is_code(&["sh", "-c", "x"], 2));
    assert!(is_code(&["env", "A=b", "bash", "-ec", "x"], 4));
    assert!(!is_code(&["redis-server", "--port", "x"], 2));
    assert!(!is_code(&["sh", "./run.sh", "x"], 2));
}
