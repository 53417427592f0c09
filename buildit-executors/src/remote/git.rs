//! Running `git` for a repository that is elsewhere.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::address::Protocol;
use super::{RemoteAddress, RemoteError, ThisMachine, hosts};
use crate::source::{Git, SourceError};

/// How much of what `git` complains of is told, in characters and in bytes read.
const TOLD: usize = 1000;
const COMPLAINTS: u64 = 64 * 1024;

/// How much it may print: what is larger is no answer to a question of ours.
const PRINTED: u64 = 64 * 1024 * 1024;

/// What of this program's environment `git` sees: where programs are, and how the network is reached.
const PASSED_ON: [&str; 12] = [
    "PATH",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

/// Settings that hold for every call, whatever a repository says.
const ALWAYS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.quotePath=false",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "gc.auto=0",
    "credential.helper=",
    "protocol.version=2",
];

/// What lets somebody into a repository.
#[derive(Clone, Debug, Default)]
pub enum Credential {
    /// Nothing: everybody may read it.
    #[default]
    None,
    /// A token, shown to the web server of the address; `user:token` where the forge wants to know whose it is.
    Token(SecretString),
    /// A private key of `ssh`.
    Key(SecretString),
}

/// A repository that is elsewhere, and what lets us in.
#[derive(Clone, Debug)]
pub struct Remote {
    address: RemoteAddress,
    credential: Credential,
    here: ThisMachine,
    patience: Duration,
    host_keys: String,
}

impl Remote {
    /// The repository at this address. No call of `git` takes longer than `patience`.
    #[must_use]
    pub fn new(address: RemoteAddress, credential: Credential, here: ThisMachine, patience: Duration) -> Self {
        Self { address, credential, here, patience, host_keys: String::new() }
    }

    /// The same, where the host of its address is known by these keys (`sshd(8)`, a line for each, as
    /// [`Head::host_keys`](super::Head::host_keys) has them): one that shows none of them is not talked to. Without any, a
    /// host is known by the key that it has shown to the mirror at first.
    #[must_use]
    pub fn known_by(self, host_keys: impl Into<String>) -> Self {
        Self { host_keys: host_keys.into(), ..self }
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &RemoteAddress {
        &self.address
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn here(&self) -> ThisMachine {
        self.here
    }

    /// A way to ask it, once its host was looked at. `known` is where the keys of its hosts are remembered.
    pub(super) async fn reach(&self, known: &Path) -> Result<Reach, RemoteError> {
        let scope = self.address.as_str().to_owned();
        self.reach_of(&[&self.address], scope, known).await
    }

    /// A way to ask these, which are at hosts of their own: the token is shown at the host of this repository alone.
    pub(super) async fn reach_others(&self, others: &[&RemoteAddress], known: &Path) -> Result<Reach, RemoteError> {
        self.reach_of(others, format!("{}/", self.address.origin()), known).await
    }

    /// The same without what lets somebody in.
    pub(super) fn as_anybody(&self) -> Self {
        Self { credential: Credential::None, ..self.clone() }
    }

    async fn reach_of(&self, all: &[&RemoteAddress], scope: String, known: &Path) -> Result<Reach, RemoteError> {
        let mut reach = Reach::default();
        let proxied = PASSED_ON.iter().any(|name| name.contains("proxy") && std::env::var_os(name).is_some());
        for address in all {
            // A proxy finds the host by itself.
            if (!proxied || !address.is_web())
                && let Some(pin) = hosts::check(address, self.here).await?
            {
                reach.settings.push(format!("http.curloptResolve={pin}"));
            }
            reach.protocols.push(address.protocol());
        }
        match &self.credential {
            Credential::Token(token) if self.address.is_web() => {
                let exposed = token.expose_secret();
                let pair = if exposed.contains(':') { exposed.to_owned() } else { format!("x-access-token:{exposed}") };
                let shown = STANDARD.encode(pair);
                // An argument would be seen by every user of the machine.
                reach.variables.push(("GIT_CONFIG_COUNT", "1".into()));
                reach.variables.push(("GIT_CONFIG_KEY_0", format!("http.{scope}.extraHeader").into()));
                reach.variables.push(("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {shown}").into()));
                reach.hidden = vec![exposed.to_owned(), shown];
            }
            // Without an end of its last line it is no key for `ssh`.
            Credential::Key(key) => reach.key = Some(beside(known, key.expose_secret())?),
            Credential::Token(_) | Credential::None => {}
        }
        let mut known_host = None;
        if let Some((host, _)) = self.address.host().filter(|_| !self.host_keys.is_empty()) {
            let keys = reach.hosts.insert(beside(known, &self.host_keys)?);
            known_host = Some((host, keys.path()));
        }
        let config = reach.config.insert(beside(known, &ssh_config(known, known_host))?);
        let key = reach.key.as_ref().map(NamedTempFile::path);
        reach.variables.push(("GIT_SSH_COMMAND", ssh(key, config.path()).into()));
        Ok(reach)
    }
}

/// This text and the end of its last line in a file for its owner alone, which is gone with the answer.
fn beside(known: &Path, text: &str) -> Result<NamedTempFile, RemoteError> {
    use std::io::Write;
    let folder = known.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(text.trim_end().as_bytes())?;
        file.write_all(b"\n")?;
        file.flush()?;
        Ok(file)
    };
    write().map_err(|source| RemoteError::Folder { folder: folder.to_owned(), source })
}

/// Which hosts `ssh` talks to (`ssh_config(5)`): the one that is known, when it shows one of the keys of its file; any other, when
/// it is new or shows the key that was noted in `known`. A host of which keys of another kind are noted would be new to `ssh`, so
/// that file is not asked for the one that is known.
fn ssh_config(known: &Path, known_host: Option<(&str, &Path)>) -> String {
    let of = |hosts: &str, new: &str, noted: &Path, keys: &Path| {
        let (noted, keys) = (noted.display(), keys.display());
        format!(
            "Host {hosts}\nStrictHostKeyChecking {new}\nUserKnownHostsFile \"{noted}\"\nGlobalKnownHostsFile \"{keys}\"\n"
        )
    };
    let none = Path::new("/dev/null");
    let is_plain = |host: &str| host.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-_:".contains(letter));
    // Patterns tell capital letters apart, and names of hosts do not.
    let hosts = |host: &str| if is_plain(host) { format!("{host} {}", host.to_ascii_lowercase()) } else { "*".into() };
    let known_one = known_host.map(|(host, keys)| of(&hosts(host), "yes", none, keys));
    known_one.unwrap_or_default() + &of("*", "accept-new", known, none)
}

/// How `ssh` is called, by a shell: with these settings and none of its user's.
fn ssh(key: Option<&Path>, config: &Path) -> String {
    let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
    let mut command = format!(
        "ssh -F {} -o BatchMode=yes -o ConnectTimeout=20 -o IdentityAgent=none -o IdentitiesOnly=yes",
        quoted(config)
    );
    if let Some(key) = key {
        command.push_str(&format!(" -i {}", quoted(key)));
    }
    command
}

/// What a call of `git` may reach, and what it shows there. Without anything it reaches nothing.
#[derive(Debug, Default)]
pub(super) struct Reach {
    protocols: Vec<Protocol>,
    settings: Vec<String>,
    variables: Vec<(&'static str, OsString)>,
    /// What no message may hold.
    hidden: Vec<String>,
    key: Option<NamedTempFile>,
    hosts: Option<NamedTempFile>,
    config: Option<NamedTempFile>,
}

impl Reach {
    /// A folder of ours.
    pub(super) fn folder() -> Self {
        Self { protocols: vec![Protocol::File], ..Self::default() }
    }
}

/// With what `ssh` ends when a host shows another key than the one that is known, or one of a kind of which none is. What the
/// other side says begins with who says it.
const CHANGED: &str = "Host key verification failed.";

/// What `git` prints in this folder.
pub(super) async fn run(
    folder: &Path,
    reach: &Reach,
    patience: Duration,
    arguments: &[&str],
) -> Result<Vec<u8>, RemoteError> {
    let mut command = Command::new("git");
    let passed_on = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let protocols: Vec<&str> = reach.protocols.iter().map(|protocol| protocol.as_str()).collect();
    command
        .env_clear()
        .envs(passed_on)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", protocols.join(":"))
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("LC_ALL", "C")
        .envs(reach.variables.iter().map(|(name, value)| (name, value)))
        .args(ALWAYS.iter().copied().chain(reach.settings.iter().map(String::as_str)).flat_map(|set| ["-c", set]))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(RemoteError::NoGit)?;
    let mut group = Group(child.id());
    let Ok(ended) = tokio::time::timeout(patience, finish(&mut child)).await else {
        return Err(RemoteError::Slow(patience));
    };
    let (is_fine, printed, complaints) = ended.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => RemoteError::Git(error.to_string()),
        _ => RemoteError::NoGit(error),
    })?;
    // Its number may be another's from now on.
    group.0 = None;
    if is_fine {
        return Ok(printed);
    }
    if String::from_utf8_lossy(&complaints).lines().any(|line| line.trim_end() == CHANGED) {
        return Err(RemoteError::OtherHost);
    }
    Err(RemoteError::Git(told(&complaints, reach)))
}

async fn finish(child: &mut Child) -> io::Result<(bool, Vec<u8>, Vec<u8>)> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (printed, complaints) = tokio::try_join!(all_of(stdout, PRINTED), all_of(stderr, COMPLAINTS))?;
    if printed.len() as u64 > PRINTED {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "`git` prints more than it may"));
    }
    Ok((child.wait().await?.success(), printed, complaints))
}

/// What comes, but for what is beyond the limit: of that a byte is kept, so that one sees that there was more.
async fn all_of(from: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(mut from) = from else { return Ok(bytes) };
    (&mut from).take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 <= limit {
        return Ok(bytes);
    }
    if limit < PRINTED {
        // It would wait for a reader.
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// What `git` complains of, without what is secret.
fn told(complaints: &[u8], reach: &Reach) -> String {
    let mut said = String::from_utf8_lossy(complaints).into_owned();
    for hidden in reach.hidden.iter().filter(|hidden| !hidden.is_empty()) {
        said = said.replace(hidden, "***");
    }
    let lines = said.lines().map(|line| line.trim_start_matches("fatal: ").trim()).filter(|line| !line.is_empty());
    let told: String = lines.collect::<Vec<_>>().join("; ").chars().filter(|c| !c.is_control()).take(TOLD).collect();
    if told.is_empty() { "`git` failed and said nothing".to_owned() } else { told }
}

/// Ends whatever a call has started, when nobody waits for it any more.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(leader) = self.0.and_then(|leader| i32::try_from(leader).ok()) {
            use nix::sys::signal::{Signal, killpg};
            // One that has ended has no group any more.
            let _ = killpg(nix::unistd::Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// The same `git` for questions about a folder, which reach nothing.
#[derive(Debug)]
pub(super) struct Apart {
    pub(super) patience: Duration,
}

#[async_trait]
impl Git for Apart {
    async fn ask(&self, folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, SourceError> {
        let told = |message| SourceError::Git { command: arguments.join(" "), message };
        match run(folder, &Reach::default(), self.patience, arguments).await {
            Ok(printed) => Ok(printed),
            Err(RemoteError::NoGit(error)) => Err(SourceError::NoGit(error)),
            Err(RemoteError::Git(message)) => Err(told(message)),
            Err(other) => Err(told(other.to_string())),
        }
    }
}

/// The file in which the keys of hosts are remembered, of a repository that is kept in this folder.
pub(super) fn known_hosts(folder: &Path) -> PathBuf {
    folder.join("known_hosts")
}

/// What is remembered of one host and port.
pub(super) fn of_host(noted: &str, (host, port): (&str, u16)) -> String {
    let name = if port == Protocol::Ssh.port() { host.to_owned() } else { format!("[{host}]:{port}") };
    let is_it = |line: &&str| line.split(' ').next().is_some_and(|noted| noted.eq_ignore_ascii_case(&name));
    let lines = noted.lines().filter(is_it);
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// What is remembered of hosts (`sshd(8)`, a line for each key) when these lines were and those are shown now: of a host that
/// shows any, those alone.
pub(super) fn of_hosts(before: &str, shown: &str) -> String {
    let host = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let hosts: HashSet<String> = shown.lines().map(host).collect();
    let stay = before.lines().filter(|line| !hosts.contains(&host(line)));
    stay.chain(shown.lines()).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_host_that_shows_keys_those_alone_are_remembered() {
        let before = "a.example ssh-ed25519 OLD\n[b.example]:22 ssh-ed25519 B\n";
        let shown = "a.example ssh-ed25519 NEW\na.example ssh-rsa ALSO\n";
        let expected = "[b.example]:22 ssh-ed25519 B\na.example ssh-ed25519 NEW\na.example ssh-rsa ALSO\n";
        assert_eq!(of_hosts(before, shown), expected);
        assert_eq!((of_hosts(before, ""), of_hosts("", shown)), (before.to_owned(), shown.to_owned()));
        assert_eq!(of_host(shown, ("a.example", 22)), shown);
        assert_eq!(of_host("[b.example]:23 ssh-ed25519 B\n", ("b.example", 23)), "[b.example]:23 ssh-ed25519 B\n");
        assert_eq!(of_host(shown, ("b.example", 22)), "");
    }

    #[test]
    fn no_path_becomes_code_of_the_shell() {
        let command = ssh(Some(Path::new("/a b/it's; id")), Path::new("/a b/c'n"));
        assert!(command.ends_with(r"-i '/a b/it'\''s; id'"), "{command}");
        assert!(command.starts_with(r"ssh -F '/a b/c'\''n' "), "{command}");
    }

    #[test]
    fn a_host_that_is_known_is_known_by_its_keys_alone() {
        let (known, keys) = (Path::new("/a b/known"), Path::new("/a b/keys"));
        let others = "Host *\nStrictHostKeyChecking accept-new\nUserKnownHostsFile \"/a b/known\"\n\
                      GlobalKnownHostsFile \"/dev/null\"\n";
        assert_eq!(ssh_config(known, None), others);
        let of = |hosts: &str| {
            format!(
                "Host {hosts}\nStrictHostKeyChecking yes\nUserKnownHostsFile \"/dev/null\"\n\
                 GlobalKnownHostsFile \"/a b/keys\"\n{others}"
            )
        };
        assert_eq!(ssh_config(known, Some(("git.example", keys))), of("git.example git.example"));
        assert_eq!(ssh_config(known, Some(("git example", keys))), of("*"));
    }

    #[test]
    fn complaints_are_told_without_secrets() {
        let reach = Reach { hidden: vec!["hunter2".into(), "aHVudGVyMg==".into()], ..Reach::default() };
        let said = b"fatal: no hunter2 here\nfatal: Basic aHVudGVyMg==\n\x1b[31mred\n";
        assert_eq!(told(said, &reach), "no *** here; Basic ***; [31mred");
        assert_eq!(told(b"\n", &reach), "`git` failed and said nothing");
    }
}
