//! The environment of a job.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;

use buildit::executor::JobSecrets;
use buildit::job::JobSpec;
use indexmap::IndexMap;
use secrecy::ExposeSecret;

use super::spool::Spool;

/// The variable by which every process of a job is found, whatever session it has made.
pub(super) const JOB_ID: &str = "BUILDIT_JOB_ID";

/// The variables that a job inherits from the engine's process, beside `LC_*`.
const INHERITED: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSH_AUTH_SOCK"];

/// Those that a cacheable job inherits: where its tools are, which are no part of what its result is made of. What else
/// differs from one shell to the next would make its result differ.
const INHERITED_BY_CACHEABLE: [&str; 4] = ["PATH", "HOME", "USER", "TMPDIR"];

/// Where programs are looked for when the engine's own process has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What jobs inherit of this environment.
pub(super) fn inherited(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(String, OsString)> {
    let mut kept: Vec<(String, OsString)> = all
        .filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)))
        .filter(|(name, _)| INHERITED.contains(&name.as_str()) || name.starts_with("LC_"))
        .collect();
    if !kept.iter().any(|(name, _)| name == "PATH") {
        kept.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    kept
}

/// A variable that cannot be handed to a process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{name}` {problem}")]
pub(super) struct BadVariable {
    name: String,
    problem: &'static str,
}

/// The whole environment as a process takes it: what is inherited, what we set, the job's own, its secrets. The
/// variable that marks the job's processes comes last, whatever the job says.
pub(super) fn environment(
    inherited: &[(String, OsString)],
    job: &JobSpec,
    secrets: &JobSecrets,
    spool: &Spool,
    workspace: &std::path::Path,
) -> Result<Vec<CString>, BadVariable> {
    let id = job.id.backend_name();
    let (output, summary) = (spool.output(), spool.summary());
    let own = job.environment();
    let mut all: IndexMap<&str, &[u8]> = IndexMap::with_capacity(inherited.len() + own.len() + 8);
    let is_inherited = |name: &str| !job.stage.cacheable || INHERITED_BY_CACHEABLE.contains(&name);
    let inherited = inherited.iter().filter(|(name, _)| is_inherited(name));
    all.extend(inherited.map(|(name, value)| (name.as_str(), value.as_bytes())));
    all.insert("BUILDIT_OUTPUT", output.as_os_str().as_bytes());
    all.insert("BUILDIT_SUMMARY", summary.as_os_str().as_bytes());
    all.insert("BUILDIT_WORKSPACE", workspace.as_os_str().as_bytes());
    all.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    all.extend(secrets.env.iter().map(|(name, value)| (name.as_str(), value.expose_secret().as_bytes())));
    all.insert(JOB_ID, id.as_bytes());
    all.into_iter().map(|(name, value)| variable(name, value)).collect()
}

fn variable(name: &str, value: &[u8]) -> Result<CString, BadVariable> {
    let bad = |problem| BadVariable { name: name.replace('\0', "\u{fffd}"), problem };
    if name.is_empty() || name.contains('=') {
        return Err(bad("has no name that a process can have"));
    }
    CString::new([name.as_bytes(), b"=", value].concat()).map_err(|_| bad("holds a NUL, which no process can be given"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use buildit::id::{JobId, RunId};
    use buildit::job::Environment;
    use buildit::pipeline::{Action, RunAction, StageSpec};

    use super::*;

    fn job(env: &[(&str, &str)]) -> JobSpec {
        let mut stage = StageSpec::new("test", Action::Run(RunAction::default()));
        stage.env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        JobSpec {
            id: JobId { run: RunId::new(), stage: "test".into(), attempt: 1 },
            stage: Arc::new(stage),
            index: 0,
            run_env: Arc::default(),
            variables: Environment::new(),
        }
    }

    fn assembled(job: &JobSpec, secrets: &JobSecrets) -> Result<Vec<String>, BadVariable> {
        let host = [("PATH", "/bin"), ("LC_ALL", "C"), ("AWS_SECRET", "x"), ("HOME", "/root")];
        let host = inherited(host.into_iter().map(|(name, value)| (name.into(), value.into())));
        let all = environment(&host, job, secrets, &Spool::at("/s".into()), Path::new("/w"))?;
        Ok(all.into_iter().map(|variable| variable.into_string().unwrap()).collect())
    }

    #[test]
    fn only_the_named_variables_are_inherited_and_the_later_wins() {
        let job = job(&[("HOME", "/elsewhere"), ("A", "1"), (JOB_ID, "forged")]);
        let mut secrets = JobSecrets::default();
        secrets.env.insert("A".into(), "secret".into());
        let all = assembled(&job, &secrets).unwrap();
        for variable in ["PATH=/bin", "LC_ALL=C", "HOME=/elsewhere", "A=secret", "BUILDIT_OUTPUT=/s/output"] {
            assert!(all.iter().any(|found| found == variable), "{variable} in {all:?}");
        }
        assert!(all.contains(&format!("{JOB_ID}={}", job.id.backend_name())));
        assert!(!all.iter().any(|variable| variable.starts_with("AWS_SECRET")));
    }

    #[test]
    fn a_cacheable_job_inherits_where_its_tools_are_and_has_no_place_of_its_own() {
        let mut job = job(&[("A", "1")]);
        Arc::make_mut(&mut job.stage).cacheable = true;
        let all = assembled(&job, &JobSecrets::default()).unwrap();
        let names: Vec<&str> = all.iter().map(|variable| variable.split('=').next().unwrap()).collect();
        let own = ["BUILDIT_OUTPUT", "BUILDIT_SUMMARY", "BUILDIT_WORKSPACE"];
        assert_eq!(names, ["PATH", "HOME", own[0], own[1], own[2], "A", JOB_ID]);
    }

    #[test]
    fn what_no_process_can_be_given_is_named() {
        let error = assembled(&job(&[("A", "x\0y")]), &JobSecrets::default()).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable `A` holds a NUL, which no process can be given");
        assert!(assembled(&job(&[("A=B", "x")]), &JobSecrets::default()).is_err());
    }
}
