//! Which programs do what with their words.

/// A program that runs another, which its words name.
pub(super) struct Wrapper {
    pub(super) name: &'static str,
    /// Its options that take a word of their own.
    pub(super) valued: &'static str,
    /// Words of its own before the command: the duration of `timeout`.
    pub(super) operands: usize,
    /// Whether `NAME=value` may stand before the command.
    pub(super) assigns: bool,
    /// The option that takes code.
    pub(super) code: Option<char>,
}

const fn wrapper(name: &'static str, valued: &'static str, operands: usize) -> Wrapper {
    Wrapper { name, valued, operands, assigns: false, code: None }
}

/// Programs that run another.
pub(super) const WRAPPERS: &[Wrapper] = &[
    Wrapper { assigns: true, code: Some('S'), ..wrapper("env", "uC", 0) },
    Wrapper { assigns: true, ..wrapper("sudo", "ugpCrtTUDhR", 0) },
    wrapper("doas", "uC", 0),
    wrapper("command", "", 0),
    wrapper("builtin", "", 0),
    wrapper("exec", "a", 0),
    wrapper("nohup", "", 0),
    wrapper("nice", "n", 0),
    wrapper("ionice", "cnpPu", 0),
    wrapper("timeout", "sk", 1),
    wrapper("xargs", "nPIdELsa", 0),
    wrapper("time", "fo", 0),
    wrapper("stdbuf", "ioe", 0),
    wrapper("setsid", "", 0),
    wrapper("chroot", "", 1),
    wrapper("unshare", "", 0),
    wrapper("nsenter", "tSG", 0),
    wrapper("taskset", "", 1),
    wrapper("chrt", "", 1),
    Wrapper { code: Some('c'), ..wrapper("flock", "wE", 1) },
    wrapper("strace", "eopsuPEa", 0),
    wrapper("busybox", "", 0),
    wrapper("coproc", "", 0),
    wrapper("noglob", "", 0),
    wrapper("nocorrect", "", 0),
    wrapper("-", "", 0),
    wrapper("fakeroot", "", 0),
    wrapper("chronic", "", 0),
    wrapper("xvfb-run", "efnpsw", 0),
    wrapper("systemd-run", "pEuM", 0),
    wrapper("torsocks", "", 0),
];

/// Shells: `-c` takes code.
pub(super) const SHELLS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "ksh93",
    "mksh",
    "rbash",
    "yash",
    "fish",
    "csh",
    "tcsh",
    "pwsh",
    "powershell",
    "cmd",
    "nu",
    "elvish",
    "xonsh",
    "hush",
];

/// Programs and builtins all of whose words are code, or become code somewhere else.
pub(super) const ALL_CODE: &[&str] = &[
    "eval",
    "trap",
    "alias",
    "bind",
    "ssh",
    "rsh",
    "mosh",
    "slogin",
    "autossh",
    "parallel",
    "watch",
    "sqlite3",
    "sg",
    "at",
    "batch",
    "expect",
    "osascript",
    "fc",
    "emulate",
    "complete",
    "compgen",
    "sched",
    "zcompile",
    "mapfile",
    "readarray",
    "entr",
    "tmux",
    "screen",
];

/// An interpreter whose options take code.
pub(super) struct Interpreter {
    name: &'static str,
    /// The letters of those options.
    pub(super) letters: &'static [char],
    /// Whether its first operand is a script that it runs.
    pub(super) runs_file: bool,
}

const fn language(name: &'static str, letters: &'static [char]) -> Interpreter {
    Interpreter { name, letters, runs_file: true }
}

const fn client(name: &'static str, letters: &'static [char]) -> Interpreter {
    Interpreter { name, letters, runs_file: false }
}

const INTERPRETERS: &[Interpreter] = &[
    language("python", &['c']),
    language("pypy", &['c']),
    language("perl", &['e', 'E', 'm', 'M']),
    language("ruby", &['e']),
    language("node", &['e', 'p', 'r']),
    language("nodejs", &['e', 'p', 'r']),
    language("bun", &['e', 'p']),
    language("deno", &['e', 'p']),
    language("php", &['r', 'B', 'R', 'E']),
    language("lua", &['e', 'l']),
    language("luajit", &['e', 'l']),
    language("Rscript", &['e']),
    language("julia", &['e', 'E']),
    language("elixir", &['e']),
    language("groovy", &['e']),
    language("scala", &['e']),
    language("ghc", &['e']),
    language("tclsh", &[]),
    language("guile", &['c', 'e']),
    client("su", &['c']),
    client("runuser", &['c']),
    client("script", &['c']),
    client("psql", &['c']),
    client("mysql", &['e']),
    client("mariadb", &['e']),
    client("nix-shell", &[]),
];

/// Long options of interpreters that take code.
pub(super) const CODE_OPTIONS: &[&str] =
    &["--eval", "--print", "--execute", "--command", "--run", "--import", "--require", "eval"];

/// The interpreter of this name, with or without a version: `python3.13`.
pub(super) fn interpreter(name: &str) -> Option<&'static Interpreter> {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.iter().find(|known| known.name == name || known.name == plain)
}

/// Programs whose first operand is code.
pub(super) const FIRST_IS_CODE: &[&str] = &["awk", "gawk", "mawk", "nawk", "sed", "gsed", "ed", "ex", "jq", "yq", "dc"];

/// Commands that write their words as they are.
pub(super) const WRITERS: &[&str] = &["echo", "printf", "print"];

/// Builtins that take words as names of variables, whose subscripts are evaluated, or as options of the shell.
pub(super) const NAME_TAKERS: &[&str] = &[
    "unset",
    "unsetenv",
    "read",
    "getopts",
    "shopt",
    "setopt",
    "unsetopt",
    "enable",
    "compopt",
    "vared",
    "zparseopts",
    "zstyle",
    "zmodload",
    "autoload",
    "functions",
    "hash",
    "unalias",
    "unfunction",
    "repeat",
    "bindkey",
    "zle",
    "zformat",
    "zregexparse",
    "zstat",
    "sysread",
    "strftime",
    "foreach",
    "private",
];

/// Builtins that evaluate a number in zsh and ksh.
pub(super) const NUMBER_TAKERS: &[&str] =
    &["exit", "return", "shift", "break", "continue", "ulimit", "umask", "limit", "sleep", "bye", "logout"];

/// Operators of `[[ … ]]` that take their operands as text.
pub(super) const PLAIN_TESTS: &[&str] = &[
    "-z", "-n", "-e", "-f", "-d", "-r", "-w", "-x", "-s", "-L", "-h", "-p", "-S", "-b", "-c", "-g", "-u", "-k", "-O",
    "-G", "-N", "-nt", "-ot", "-ef",
];

/// Operators of `[` before an operand that is text.
pub(super) const UNARY_TESTS: &[&str] =
    &["-z", "-n", "-e", "-f", "-d", "-r", "-w", "-x", "-s", "-L", "-h", "-p", "-S", "-b", "-c"];

/// Operators of `[` between operands that are text.
pub(super) const BINARY_TESTS: &[&str] = &["=", "==", "!=", "<", ">", "-nt", "-ot", "-ef"];

/// Operators of `[` between numbers, which zsh and ksh evaluate.
pub(super) const NUMBER_TESTS: &[&str] = &["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
