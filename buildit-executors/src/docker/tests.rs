//! What the tests of this module share, and the snapshots of what containers are made of.

use std::sync::Arc;

use buildit::id::{JobId, RunId};
use buildit::job::JobSpec;
use buildit::pipeline::{Action, Command, ImageSpec, RunAction, StageSpec};

/// A job of this stage, always of the same run, that runs `echo hi` in `busybox:local`.
pub(super) fn job(stage: &str) -> JobSpec {
    let commands = vec![Command::new("echo hi")];
    let mut spec = StageSpec::new(stage, Action::Run(RunAction { commands, ..Default::default() }));
    spec.image = Some(Box::new(ImageSpec::new("busybox:local")));
    let run: RunId = uuid_of_tests();
    JobSpec {
        id: JobId { run, stage: stage.into(), attempt: 1 },
        stage: Arc::new(spec),
        index: 0,
        run_env: Arc::default(),
        variables: Default::default(),
    }
}

fn uuid_of_tests() -> RunId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

mod snapshots {
    use buildit::executor::JobSecrets;
    use buildit::pipeline::{ReadySpec, ResourceSpec, ServiceSpec};
    use secrecy::ExposeSecret;

    use super::super::config::{job_container, private_network, service_container};
    use super::super::entry::{job_feed, service_feed};
    use super::super::image::ImageFacts;
    use super::super::options::{DockerOptions, Network};
    use super::*;
    use crate::script::Marks;

    /// A secret in the job's environment and one in its service's.
    fn secrets() -> JobSecrets {
        let one = |name: &str| [(name.to_owned(), "it's a s3cret\n".to_owned().into())].into_iter().collect();
        JobSecrets {
            env: one("TOKEN"),
            services: [("db".to_owned(), one("PASSWORD"))].into_iter().collect(),
            ..Default::default()
        }
    }

    fn rich() -> JobSpec {
        let mut job = job("test[db=x]");
        let stage = Arc::make_mut(&mut job.stage);
        stage.image = Some(Box::new(ImageSpec { user: Some("1000".into()), ..ImageSpec::new("rust:1.90") }));
        stage.env.insert("TOKEN".into(), "${secrets.TOKEN}".into());
        stage.env.insert("RUST_BACKTRACE".into(), "1".into());
        stage.resources = ResourceSpec { cpu_millis: Some(1500), memory_bytes: Some(1 << 30) };
        stage.entrypoint = vec!["tini".into(), "--".into()];
        stage.workdir = Some("sub dir".into());
        stage.services.push(ServiceSpec {
            name: "db".into(),
            image: ImageSpec::new("postgres:16"),
            env: [("PASSWORD".to_owned(), "${secrets.P}".to_owned()), ("A".to_owned(), "b".to_owned())].into(),
            ready: Some(ReadySpec { command: "pg_isready".into(), timeout: ReadySpec::DEFAULT_TIMEOUT }),
            ..Default::default()
        });
        job
    }

    #[test]
    fn a_plain_job() {
        let job = job("build");
        let options = DockerOptions::new().with_network(Network::None);
        let body = job_container(&job, &ImageFacts::default(), &JobSecrets::default(), &options, &Marks::of(&job.id));
        insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(body) });
    }

    #[test]
    fn a_rich_job_and_its_service() {
        let job = rich();
        let marks = Marks::of(&job.id);
        let image = ImageFacts {
            entrypoint: vec!["docker-entrypoint.sh".into()],
            command: vec!["postgres".into()],
            ..Default::default()
        };
        let body = job_container(&job, &ImageFacts::default(), &secrets(), &DockerOptions::new(), &marks);
        let service = service_container(&job, &job.stage.services[0], &image, &secrets(), &marks);
        let all = serde_json::json!({ "job": body, "service": service, "network": private_network(&job) });
        assert!(!all.to_string().contains("s3cret"));
        insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(all) });
    }

    #[test]
    fn what_is_fed() {
        let job = rich();
        let marks = Marks::of(&job.id);
        insta::assert_snapshot!(job_feed(&job, &secrets(), &marks).unwrap().expose_secret());
        insta::assert_snapshot!(service_feed(&secrets().services["db"], &marks).unwrap().expose_secret());
    }
}
