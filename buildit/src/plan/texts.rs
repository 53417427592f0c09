//! Every text of a stage that a person writes, in one place, so that none is forgotten.

use crate::pipeline::{Action, ImageSpec, StageSpec};
use crate::variables::Place;

/// How a text is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// References in it become values.
    Resolve(Place),
    /// The same, and the words around it are a command line: it must not hand a value to an interpreter as code.
    Word(usize),
    /// It is read before values are known, or is a name: a reference in it is an error.
    Fixed,
    /// It is a script that runs where our variables are not: a reference in it is an error with another way out.
    Ready,
}

/// What is told of each text: its path, its treatment, and the text.
pub(super) type Each<'f, 's> = dyn FnMut(&dyn Fn() -> String, Treatment, &'s str) + 'f;

/// Calls `each` with the path, the treatment and the text of everything but scripts and conditions. The path is made
/// only when it is asked for.
pub(super) fn each<'s>(stage: &'s StageSpec, each: &mut Each<'_, 's>) {
    use Treatment::{Fixed, Ready, Resolve, Word};
    let text = Resolve(Place::Stage);
    if let Some(image) = &stage.image {
        each_of_image(image, "image", each);
    }
    for (position, (name, value)) in stage.env.iter().enumerate() {
        each(&|| format!("env.{name}"), Resolve(Place::StageEnv(position)), value);
    }
    for service in &stage.services {
        let part = || format!("services.{}", service.name);
        each(&part, Fixed, &service.name);
        each_of_image(&service.image, &format!("services.{}.image", service.name), each);
        for (index, word) in service.command.iter().enumerate() {
            each(&|| format!("{}.command[{index}]", part()), Word(index), word);
        }
        for (name, value) in &service.env {
            each(&|| format!("{}.env.{name}", part()), Resolve(Place::ServiceEnv), value);
        }
        if let Some(ready) = &service.ready {
            each(&|| format!("{}.ready", part()), Ready, &ready.command);
        }
    }
    for (index, artifact) in stage.artifacts.iter().enumerate() {
        each(&|| format!("artifacts[{index}]"), text, &artifact.path);
        if let Some(name) = &artifact.name {
            each(&|| format!("artifacts[{index}].name"), text, name);
        }
    }
    for (index, glob) in stage.reports.iter().flat_map(|reports| &reports.junit).enumerate() {
        each(&|| format!("reports.junit[{index}]"), text, glob);
    }
    for (index, glob) in stage.inputs.iter().enumerate() {
        each(&|| format!("inputs[{index}]"), text, glob);
    }
    if let Some(environment) = &stage.environment {
        each(&|| "environment".into(), Fixed, environment);
    }
    if let Some(workdir) = &stage.workdir {
        each(&|| "workdir".into(), text, workdir);
    }
    for (index, word) in stage.entrypoint.iter().enumerate() {
        each(&|| format!("entrypoint[{index}]"), Word(index), word);
    }
    if let Some(approval) = &stage.approval {
        if let Some(message) = &approval.message {
            each(&|| "approval.message".into(), Resolve(Place::Approval), message);
        }
        for (index, by) in approval.by.iter().enumerate() {
            each(&|| format!("approval.by[{index}]"), Fixed, by);
        }
        for field in &approval.fields {
            for value in field.choices.iter().chain(&field.default) {
                each(&|| format!("approval.fields.{}", field.name), Fixed, value);
            }
        }
    }
    let names = [("secrets", &stage.secrets), ("caches", &stage.caches), ("runs-on", &stage.runs_on)];
    for (part, (index, name)) in
        names.iter().flat_map(|(part, all)| all.iter().enumerate().map(move |name| (part, name)))
    {
        each(&|| format!("{part}[{index}]"), Fixed, name);
    }
    if let Some(executor) = &stage.executor {
        each(&|| "executor".into(), Fixed, executor);
    }
    for (axis, values) in stage.matrix.iter().flat_map(|matrix| &matrix.axes) {
        for (index, value) in values.iter().enumerate() {
            each(&|| format!("matrix.{axis}[{index}]"), Fixed, value);
        }
    }
    each_of_action(&stage.action, each);
}

fn each_of_image<'s>(image: &'s ImageSpec, part: &str, each: &mut Each<'_, 's>) {
    let text = Treatment::Resolve(Place::Stage);
    each(&|| part.to_owned(), text, &image.reference);
    for (name, value) in [("user", &image.user), ("platform", &image.platform)] {
        if let Some(value) = value {
            each(&|| format!("{part}.{name}"), text, value);
        }
    }
    if let Some(credentials) = &image.credentials {
        for (name, value) in [("username", &credentials.username), ("password", &credentials.password)] {
            each(&|| format!("{part}.{name}"), Treatment::Resolve(Place::Credentials), value);
        }
    }
}

fn each_of_action<'s>(action: &'s Action, each: &mut Each<'_, 's>) {
    let text = Treatment::Resolve(Place::Stage);
    match action {
        Action::Run(run) => each(&|| "shell".into(), Treatment::Fixed, run.shell.program()),
        Action::Deploy(deploy) => {
            each(&|| "deploy.service".into(), text, &deploy.service);
            each(&|| "deploy.environment".into(), text, &deploy.environment);
            if let Some(image) = &deploy.image {
                each(&|| "deploy.image".into(), text, image);
            }
        }
        Action::Terraform(terraform) => each(&|| "terraform.stack".into(), text, &terraform.stack),
        Action::BuildImage(build) => {
            let paths = [("dockerfile", &build.dockerfile), ("context", &build.context), ("target", &build.target)];
            for (name, value) in paths {
                if let Some(value) = value {
                    each(&|| format!("build-image.{name}"), text, value);
                }
            }
            for (index, tag) in build.tags.iter().enumerate() {
                each(&|| format!("build-image.tags[{index}]"), text, tag);
            }
            for (name, value) in &build.args {
                each(&|| format!("build-image.args.{name}"), text, value);
            }
        }
    }
}

/// The texts of [`each`] that become values when a job starts and that no secret may stand in. Environments and
/// credentials are apart: what they become can be secret.
pub(super) fn each_mut<E>(stage: &mut StageSpec, each: &mut dyn FnMut(&mut String) -> Result<(), E>) -> Result<(), E> {
    let images = stage.image.iter_mut().map(|image| &mut **image);
    for image in images.chain(stage.services.iter_mut().map(|service| &mut service.image)) {
        each(&mut image.reference)?;
        image.user.iter_mut().chain(&mut image.platform).try_for_each(&mut *each)?;
    }
    stage.services.iter_mut().flat_map(|service| &mut service.command).try_for_each(&mut *each)?;
    for artifact in &mut stage.artifacts {
        each(&mut artifact.path)?;
        artifact.name.iter_mut().try_for_each(&mut *each)?;
    }
    stage.reports.iter_mut().flat_map(|reports| &mut reports.junit).try_for_each(&mut *each)?;
    stage.inputs.iter_mut().chain(&mut stage.workdir).chain(&mut stage.entrypoint).try_for_each(&mut *each)?;
    match &mut stage.action {
        Action::Run(_) => Ok(()),
        Action::Deploy(deploy) => {
            each(&mut deploy.service)?;
            each(&mut deploy.environment)?;
            deploy.image.iter_mut().try_for_each(each)
        }
        Action::Terraform(terraform) => each(&mut terraform.stack),
        Action::BuildImage(build) => {
            let paths = build.dockerfile.iter_mut().chain(&mut build.context).chain(&mut build.target);
            paths.chain(&mut build.tags).chain(build.args.values_mut()).try_for_each(each)
        }
    }
}
