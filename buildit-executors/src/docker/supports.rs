//! What a container engine cannot do for a job.

use buildit::executor::{Missing, Unsupported};
use buildit::job::JobSpec;
use buildit::pipeline::Action;

use super::options::{DockerOptions, Privileged};

/// Says all that is missing at once.
pub(super) fn supports(job: &JobSpec, options: &DockerOptions) -> Result<(), Unsupported> {
    let stage = &job.stage;
    let name = &options.name;
    let mut missing = Vec::new();
    let mut lacks = |part: &str, reason: String| missing.push(Missing { part: part.to_owned(), reason });
    match &stage.action {
        Action::Run(_) => {}
        other => lacks(other.name(), format!("the {name} executor cannot `{}`", other.name())),
    }
    if stage.image.is_none() {
        lacks("image", format!("the {name} executor needs an image"));
    }
    if stage.privileged && options.privileged == Privileged::Refused {
        lacks("privileged", format!("the {name} executor permits no privileged containers"));
    }
    if !stage.runs_on.is_empty() {
        lacks("runs-on", format!("the {name} executor has no labels: {}", stage.runs_on.join(", ")));
    }
    Unsupported::unless_empty(missing)
}

#[cfg(test)]
mod tests {
    use buildit::pipeline::{ImageSpec, RunAction};

    use super::*;
    use crate::docker::tests::job;

    #[test]
    fn all_that_is_missing_is_said_at_once() {
        let mut job = job("a");
        assert!(supports(&job, &DockerOptions::new()).is_ok());
        let stage = std::sync::Arc::make_mut(&mut job.stage);
        stage.image = None;
        stage.privileged = true;
        let missing = supports(&job, &DockerOptions::new()).unwrap_err().missing;
        let missing: Vec<String> = missing.into_iter().map(|missing| missing.reason).collect();
        let privileged = "the docker executor permits no privileged containers";
        assert_eq!(missing, ["the docker executor needs an image", privileged]);
        assert!(supports(&job, &DockerOptions::new().with_privileged(Privileged::Permitted)).is_err());
        let stage = std::sync::Arc::make_mut(&mut job.stage);
        stage.image = Some(Box::new(ImageSpec::new("x")));
        stage.action = Action::Run(RunAction::default());
        assert!(supports(&job, &DockerOptions::new().with_privileged(Privileged::Permitted)).is_ok());
    }
}
