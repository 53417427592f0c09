//! What the server is told: defaults, a TOML file, `BUILDIT_*` variables; what comes later wins.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::Deserialize;

use crate::providers::ProviderSettings;

/// Settings of a server. Each is a key of the TOML file and, in capitals behind `BUILDIT_`, an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The folder of everything that is kept: `./buildit-data`.
    pub data: PathBuf,
    /// Where to listen: `127.0.0.1:30080`.
    pub listen: SocketAddr,
    /// How people reach it: `https://ci.example.com`, or `https://example.com/ci` where it is mounted below a path. Links,
    /// cookies (`Secure` behind `https`) and origins go by it; without, `http://localhost` and the port.
    pub external_url: Option<String>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// `sqlite:PATH` or `postgres://…`; without, `buildit.db` in the data folder.
    pub store: Option<String>,
    /// Requests that one key, user or unknown address may make each second.
    pub requests_per_second: NonZeroU32,
    /// How many runs this server drives at once; none for one that serves pages only.
    pub runs: usize,
    /// For how many seconds it goes on answering when it is told to stop, while `/health/ready` says 503: longer than a
    /// balancer in front of it takes to see that.
    pub leave_seconds: u64,
    /// How many jobs this server runs at once.
    pub jobs: usize,
    /// After how many days a login ends.
    pub session_days: u32,
    /// Whether jobs of every tenant may run as the server's own user: such a job can read all that the server has. Without,
    /// only those of the owner's first tenant may; the jobs of others run in Docker, or not at all.
    pub local_for_all: bool,
    /// How many gibibytes the caches of all pipelines may hold together: those whose last use is longest ago go first.
    pub cache_gib: u64,
    /// The mail server: `smtps://USER:PASSWORD@HOST`, `smtp://USER:PASSWORD@HOST?tls=required` (STARTTLS), or `smtp://HOST`
    /// for one that is spoken to in the clear. Without, links that people would be sent are in the server's log.
    pub smtp_url: Option<Hidden>,
    /// Whom mail is from: `BuildIt <ci@example.com>`.
    pub mail_from: Option<String>,
    /// Whether channels may lead to this machine and to networks of one's own (`10.0.0.0/8` and the like): whoever may set a
    /// channel can then reach what the server reaches there. Addresses that are local to a link are never asked.
    pub private_targets: bool,
    /// What whoever reads `/metrics` brings as a bearer token; without one, only somebody at this machine reads them.
    pub metrics_token: Option<Hidden>,
    /// The collector of OpenTelemetry that is told of runs, by OTLP over HTTP: `http://localhost:4318`, or the whole address of
    /// where it takes traces.
    pub traces_url: Option<String>,
    /// What it is sent with each request: `NAME=VALUE`, with commas in between.
    pub traces_headers: Option<Hidden>,
    /// How the server's log is written.
    pub log_format: LogFormat,
    /// Whether repositories may be folders of this machine, or at hosts that only this machine sees: whoever connects one
    /// reads what the server can read there.
    pub local_repositories: bool,
    /// How large the copy of a repository may be, in MiB.
    pub repository_mebibytes: u64,
    /// How much of the log of a stage is kept, in MiB, without what is beyond but for its end; 0 for all of it.
    pub log_mebibytes: u64,
    /// With whom people may sign in, where the server was built for it: tables of the file, or a list of JSON objects in the
    /// variable.
    pub oidc: Vec<ProviderSettings>,
    /// Whether jobs may run in Docker, where the server was built with it and finds it.
    pub docker: bool,
}

/// How a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// An object of JSON on each line.
    Json,
}

/// A text that `Debug` does not show: it has, or is, a password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: "buildit-data".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 30080)),
            external_url: None,
            trusted_proxies: Vec::new(),
            store: None,
            requests_per_second: NonZeroU32::new(100).unwrap_or(NonZeroU32::MAX),
            runs: 64,
            leave_seconds: 0,
            jobs: std::thread::available_parallelism().map_or(4, |cores| 2 * cores.get()),
            session_days: 30,
            local_for_all: false,
            cache_gib: 20,
            smtp_url: None,
            mail_from: None,
            private_targets: false,
            metrics_token: None,
            traces_url: None,
            traces_headers: None,
            log_format: LogFormat::Text,
            local_repositories: false,
            repository_mebibytes: 8 * 1024,
            log_mebibytes: 256,
            oidc: Vec::new(),
            docker: true,
        }
    }
}

impl Settings {
    /// Reads them from this file, if one is given, and the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a file that is not there, for keys that nobody knows and for values that cannot be meant.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_with(file, Environment::default())
    }

    fn load_with(file: Option<&Path>, environment: Environment) -> Result<Self, ConfigError> {
        let environment = environment.prefix("BUILDIT").prefix_separator("_");
        let lists = environment.clone().try_parsing(true).list_separator(",").with_list_parse_key("trusted_proxies");
        let mut builder = Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        // Variables of other parts of BuildIt begin like that too, so one that is not known is none of ours.
        // What is text stays it, also when it looks like a number: only lists are taken apart.
        let lists = Config::builder().add_source(lists).build()?.get::<config::Value>("trusted_proxies").ok();
        let known = Config::builder().add_source(environment).set_override_option("trusted_proxies", lists)?.build()?;
        for key in KEYS {
            builder = builder.set_override_option(key, known.get::<config::Value>(key).ok())?;
        }
        if let Ok(providers) = known.get_string("oidc") {
            let providers: config::Value = serde_json::from_str(&providers).map_err(foreign)?;
            builder = builder.set_override("oidc", providers)?;
        }
        let mut settings: Self = builder.build()?.try_deserialize()?;
        for provider in &mut settings.oidc {
            if let Ok(secret) = known.get_string(&provider.variable()) {
                (provider.client_secret, provider.client_secret_file) = (Some(secret.into()), None);
            }
        }
        Ok(settings)
    }

    /// The path that it is mounted below, as `/ci`; empty for none.
    #[must_use]
    pub fn base(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once("://").unwrap_or(("", &url));
        rest.find('/').map_or_else(String::new, |at| rest[at..].to_owned())
    }

    /// The address without the path: what a browser calls the origin of a page.
    #[must_use]
    pub fn origin(&self) -> String {
        let url = self.url();
        url.strip_suffix(&self.base()).unwrap_or(&url).to_owned()
    }

    /// How people reach it, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.external_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://localhost:{}", self.listen.port()),
        }
    }
}

/// A text that is no JSON. What it is is not told: there may be a secret in it.
fn foreign(error: serde_json::Error) -> ConfigError {
    ConfigError::Message(format!("the variable of `oidc` is no list of JSON objects: line {}", error.line()))
}

/// What the environment may set as it stands there.
const KEYS: [&str; 23] = [
    "data",
    "listen",
    "external_url",
    "trusted_proxies",
    "store",
    "requests_per_second",
    "runs",
    "leave_seconds",
    "jobs",
    "session_days",
    "local_for_all",
    "cache_gib",
    "smtp_url",
    "mail_from",
    "private_targets",
    "metrics_token",
    "traces_url",
    "traces_headers",
    "log_format",
    "local_repositories",
    "repository_mebibytes",
    "log_mebibytes",
    "docker",
];

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(file.as_bytes()).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::load_with(Some(written.path()), Environment::default().source(Some(variables)))
    }

    #[test]
    fn nothing_need_be_said() {
        let settings = load("", &[]).unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.url(), "http://localhost:30080");
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "listen = \"0.0.0.0:80\"\nexternal_url = \"https://ci.example.com/\"\nruns = 3\n";
        let variables =
            [("BUILDIT_RUNS", "5"), ("BUILDIT_TRUSTED_PROXIES", "10.0.0.1,10.0.0.2"), ("BUILDIT_SECRET_KEY", "x")];
        let settings = load(file, &variables).unwrap();
        assert_eq!((settings.listen.port(), settings.runs, settings.trusted_proxies.len()), (80, 5, 2));
        assert_eq!(settings.url(), "https://ci.example.com");
        assert_eq!((settings.base().as_str(), settings.origin().as_str()), ("", "https://ci.example.com"));
    }

    #[test]
    fn a_password_is_not_shown_and_stays_as_it_is() {
        let settings =
            load("", &[("BUILDIT_SMTP_URL", "smtps://ci:007@mail.example.com"), ("BUILDIT_MAIL_FROM", "007")]);
        let settings = settings.unwrap();
        assert_eq!(settings.smtp_url.as_ref().map(Hidden::expose), Some("smtps://ci:007@mail.example.com"));
        assert_eq!(settings.mail_from.as_deref(), Some("007"), "what looks like a number");
        assert!(!format!("{settings:?}").contains("ci:007"));
    }

    #[test]
    fn providers_are_tables_or_json_and_their_secrets_variables() {
        let file = "[[oidc]]\nname = \"our-own\"\nissuer = \"https://id.example.com\"\nclient_id = \"ci\"\n\
            [[oidc.admit]]\norganization = \"acme\"\nrole = \"member\"\nemail_domain = \"example.com\"\n";
        let settings = load(file, &[("BUILDIT_OIDC_OUR_OWN_SECRET", "007")]).unwrap();
        let [provider] = &settings.oidc[..] else { panic!("{:?}", settings.oidc) };
        assert_eq!(provider.client_secret.as_ref().map(Hidden::expose), Some("007"));
        assert_eq!((provider.label(), provider.admit.len(), provider.scopes.len()), ("our-own", 1, 2));
        let json = r#"[{ "name": "b", "issuer": "https://b.example", "client_id": "x", "client_secret": "hush" }]"#;
        let settings = load(file, &[("BUILDIT_OIDC", json)]).unwrap();
        assert_eq!(settings.oidc.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>(), ["b"]);
        let told = load("", &[("BUILDIT_OIDC", "[{ \"client_secret\": \"hush\" ")]).unwrap_err().to_string();
        assert!(told.contains("oidc") && !told.contains("hush"), "{told}");
        assert!(load(&format!("{file}secret = 1"), &[]).is_err(), "a key that nobody knows");
    }

    #[test]
    fn it_may_be_mounted_below_a_path() {
        let settings = load("external_url = \"https://example.com/tools/ci/\"", &[]).unwrap();
        assert_eq!((settings.base().as_str(), settings.origin().as_str()), ("/tools/ci", "https://example.com"));
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for file in
            ["lisen = 1", "log_format = \"xml\"", "listen = \"nowhere\"", "requests_per_second = 0", "runs = -1", "= 5"]
        {
            assert!(load(file, &[]).is_err(), "{file}");
        }
        assert!(load("", &[("BUILDIT_LISTEN", "nowhere")]).is_err());
        assert!(Settings::load(Some(Path::new("/nowhere.toml"))).is_err());
    }
}
