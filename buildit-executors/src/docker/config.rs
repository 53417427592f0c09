//! From a job to the configuration of its containers: pure, so that it is tested without a container engine.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HostConfig, HostConfigLogConfig, NetworkCreateRequest, NetworkingConfig,
};
use buildit::executor::JobSecrets;
use buildit::job::{Environment, JobSpec};
use buildit::pipeline::{ResourceSpec, ServiceSpec};

use super::entry::{job_script, service_script};
use super::image::ImageFacts;
use super::names::{self, OUTPUT, SUMMARY, WORKSPACE};
use super::options::DockerOptions;
use crate::script::Marks;

/// The job's container: inert until it is fed. The secrets tell which variables must not stand in it.
pub(super) fn job_container(
    job: &JobSpec,
    facts: &ImageFacts,
    secrets: &JobSecrets,
    options: &DockerOptions,
    marks: &Marks,
) -> ContainerCreateBody {
    let stage = &job.stage;
    let image = stage.image.as_deref();
    let script = vec!["sh".to_owned(), "-c".to_owned(), job_script(marks), "buildit".to_owned()];
    let (entrypoint, cmd) = match stage.entrypoint.as_slice() {
        [] => (script, Vec::new()),
        words => (words.to_vec(), script),
    };
    let network = if stage.services.is_empty() {
        options.network.mode().map(str::to_owned)
    } else {
        Some(names::network(&job.id))
    };
    ContainerCreateBody {
        image: image.map(|image| facts.image(image)),
        user: image.and_then(|image| image.user.clone()),
        entrypoint: Some(entrypoint),
        cmd: Some(cmd),
        env: Some(job_environment(job, secrets)),
        working_dir: Some(WORKSPACE.to_owned()),
        open_stdin: Some(true),
        stdin_once: Some(false),
        labels: Some(names::labels(&job.id)),
        host_config: Some(HostConfig {
            network_mode: network,
            privileged: stage.privileged.then_some(true),
            binds: (!options.mounts.is_empty())
                .then(|| options.mounts.iter().map(|(source, target)| format!("{source}:{target}")).collect()),
            ..host_config(&stage.resources, whole_log())
        }),
        ..Default::default()
    }
}

/// The container of a service of the job, on the job's private network under the service's name.
pub(super) fn service_container(
    job: &JobSpec,
    service: &ServiceSpec,
    image: &ImageFacts,
    secrets: &JobSecrets,
    marks: &Marks,
) -> ContainerCreateBody {
    let network = names::network(&job.id);
    let hidden = secrets.services.get(&service.name).filter(|secrets| !secrets.is_empty());
    let command = || if service.command.is_empty() { image.command.clone() } else { service.command.clone() };
    let (entrypoint, cmd) = match hidden {
        // A script that reads the secrets has to come before the image's own entry point.
        Some(_) => {
            let script = vec!["sh".to_owned(), "-c".to_owned(), service_script(marks), "buildit".to_owned()];
            (Some(script), Some(image.entrypoint.iter().cloned().chain(command()).collect()))
        }
        None => (None, (!service.command.is_empty()).then(command)),
    };
    let shown = service.env.iter().filter(|(name, _)| hidden.is_none_or(|hidden| !hidden.contains_key(*name)));
    let endpoint = EndpointSettings { aliases: Some(vec![service.name.clone()]), ..Default::default() };
    ContainerCreateBody {
        image: Some(image.image(&service.image)),
        user: service.image.user.clone(),
        entrypoint,
        cmd,
        env: Some(shown.map(|(name, value)| format!("{name}={value}")).collect()),
        open_stdin: hidden.map(|_| true),
        stdin_once: hidden.map(|_| false),
        labels: Some(names::labels(&job.id)),
        host_config: Some(HostConfig {
            network_mode: Some(network.clone()),
            ..host_config(&service.resources, short_log())
        }),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }),
        ..Default::default()
    }
}

/// The private network of a job with services.
pub(super) fn private_network(job: &JobSpec) -> NetworkCreateRequest {
    NetworkCreateRequest {
        name: names::network(&job.id),
        driver: Some("bridge".to_owned()),
        labels: Some(names::labels(&job.id)),
        ..Default::default()
    }
}

/// The variables that stand in the job's configuration: all but what is secret.
fn job_environment(job: &JobSpec, secrets: &JobSecrets) -> Vec<String> {
    let mut all = Environment::new();
    all.insert("BUILDIT_OUTPUT".to_owned(), OUTPUT.to_owned());
    all.insert("BUILDIT_SUMMARY".to_owned(), SUMMARY.to_owned());
    all.insert("BUILDIT_WORKSPACE".to_owned(), WORKSPACE.to_owned());
    all.extend(job.environment());
    all.retain(|name, _| !secrets.env.contains_key(name));
    all.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn host_config(resources: &ResourceSpec, log: HostConfigLogConfig) -> HostConfig {
    let memory = resources.memory_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    HostConfig {
        nano_cpus: resources.cpu_millis.map(|millis| i64::from(millis) * 1_000_000),
        memory,
        // The same number means no swap beyond it: else a job over its limit slows the host down instead of ending.
        memory_swap: memory,
        log_config: Some(log),
        ..Default::default()
    }
}

/// The log of a job is read by following it from its start, so nothing of it may be rotated away, nor dropped when it
/// comes quickly, whatever the engine's own settings are. The driver does not take "no limit": an exbibyte is none.
fn whole_log() -> HostConfigLogConfig {
    json_file([("max-size", "1024p"), ("max-file", "1"), ("mode", "blocking"), ("compress", "false")])
}

/// What a service says is looked at only when it does not get ready.
fn short_log() -> HostConfigLogConfig {
    json_file([("max-size", "10m"), ("max-file", "1"), ("mode", "blocking"), ("compress", "false")])
}

fn json_file<const N: usize>(options: [(&str, &str); N]) -> HostConfigLogConfig {
    let config = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(HashMap::from(config)) }
}
