//! The secrets of a run: found by name when it starts or goes on, kept in memory alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use crate::executor::JobSecrets;
use crate::pipeline::{ImageSpec, StageSpec, registry_of};
use crate::plan::{Plan, SecretTemplates, StageFlags};
use crate::secret::{Masker, RegistryLogin, SecretError, SecretReader, SecretSource};
use crate::store::NewRun;
use crate::variables::{MissingSecret, PieceKind, Reference, Variable, may_refer, pieces};

/// The name of an environment, if a stage has one.
type Place = Option<String>;

/// The secrets that a run's stages may read, or what they find may hold: by the environment that stages work in, and by
/// name. `Debug` shows names only.
#[derive(Default)]
pub(super) struct RunSecrets {
    values: BTreeMap<Place, BTreeMap<String, SecretString>>,
    /// Who fetches images that name nobody.
    logins: Vec<RegistryLogin>,
    /// Names that no source knows, of secrets that a job of this run is to get.
    pub(super) missing: Vec<String>,
}

impl Debug for RunSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.values().flat_map(BTreeMap::keys)).finish()
    }
}

impl RunSecrets {
    /// Asks the source for every secret that the pipeline, its selected stages and those that it goes on from name. What
    /// the latter left may hold theirs, so they are masked; no job gets them, so none of them is missing.
    pub(super) async fn find(
        plan: &Plan,
        selected: &[bool],
        new: &NewRun,
        source: &dyn SecretSource,
    ) -> Result<Self, SecretError> {
        let needed = names(plan, selected);
        let mut seen = selected.to_vec();
        for stage in new.carried.iter().filter_map(|carried| plan.graph().index(&carried.stage)) {
            seen[stage.index()] = true;
        }
        let mut found = Self::default();
        let has_images =
            plan.spec().stages.iter().zip(&seen).any(|(stage, seen)| *seen && images(stage).next().is_some());
        if has_images {
            found.logins = source.registries_for(reader(new, None)).await?;
        }
        for (place, wanted) in names(plan, &seen) {
            let reader = reader(new, place.as_deref());
            let mut values = BTreeMap::new();
            for name in wanted {
                match source.secret_for(reader, &name).await? {
                    Some(value) => drop(values.insert(name, value)),
                    None if needed.get(&place).is_some_and(|needed| needed.contains(&name)) => {
                        found.missing.push(name);
                    }
                    None => {}
                }
            }
            found.values.insert(place, values);
        }
        Ok(found)
    }

    /// The filter that keeps them out of everything else.
    pub(super) fn masker(&self) -> Result<Arc<Masker>, SecretError> {
        let logins = self.logins.iter().map(|login| (login.registry.as_str(), &login.password));
        let values = self.values.values().flatten().map(|(name, value)| (name.as_str(), value));
        let mut all = values.chain(logins).peekable();
        if all.peek().is_none() {
            return Ok(Arc::new(Masker::none()));
        }
        Ok(Arc::new(Masker::new(all)?))
    }

    /// The texts of a job that hold secrets, filled with those of its environment.
    pub(super) fn fill(
        &self,
        templates: &SecretTemplates,
        environment: Option<&str>,
    ) -> Result<JobSecrets, MissingSecret> {
        let values = self.values.get(&environment.map(str::to_owned));
        let lookup = |name: &str| values?.get(name);
        let mut filled = JobSecrets::default();
        for (name, template) in &templates.env {
            filled.env.insert(name.clone(), template.fill(lookup)?);
        }
        for (service, env) in &templates.services {
            let of_service = filled.services.entry(service.clone()).or_default();
            for (name, template) in env {
                of_service.insert(name.clone(), template.fill(lookup)?);
            }
        }
        for (image, (user, password)) in &templates.registries {
            let user = user.fill(lookup)?.expose_secret().to_owned();
            filled.registries.insert(image.clone(), (user, password.fill(lookup)?));
        }
        Ok(filled)
    }

    /// Adds who fetches the images of a stage, whose texts are resolved, that name nobody themselves.
    pub(super) fn log_in(&self, stage: &StageSpec, secrets: &mut JobSecrets) {
        if self.logins.is_empty() {
            return;
        }
        for image in images(stage).filter(|image| image.credentials.is_none()) {
            let registry = registry_of(&image.reference);
            if let Some(login) = self.logins.iter().find(|login| login.registry.eq_ignore_ascii_case(registry)) {
                let who = (login.username.clone(), login.password.clone());
                secrets.registries.entry(image.reference.clone()).or_insert(who);
            }
        }
    }
}

fn reader<'a>(new: &'a NewRun, environment: Option<&'a str>) -> SecretReader<'a> {
    SecretReader { tenant: new.tenant, pipeline: &new.plan.name, context: &new.context, environment }
}

/// The images of a stage: its own, and those of its services.
fn images(stage: &StageSpec) -> impl Iterator<Item = &ImageSpec> {
    stage.image.as_deref().into_iter().chain(stage.services.iter().map(|service| &service.image))
}

/// The names of all secrets that a pipeline and its selected stages refer to, by the environment of those stages. What
/// the pipeline itself names is for all of them.
fn names(plan: &Plan, selected: &[bool]) -> BTreeMap<Place, BTreeSet<String>> {
    let mut of_pipeline = BTreeSet::new();
    for text in plan.spec().env.values() {
        in_text(text, &mut of_pipeline);
    }
    let mut all = BTreeMap::from([(None, of_pipeline.clone())]);
    for ((stage, flags), selected) in plan.spec().stages.iter().zip(plan.flags()).zip(selected) {
        if *selected && !flags.has(StageFlags::PLAIN) {
            let names = all.entry(stage.environment.clone()).or_insert_with(|| of_pipeline.clone());
            of_stage(stage, names);
        }
    }
    all
}

fn of_stage(stage: &StageSpec, names: &mut BTreeSet<String>) {
    names.extend(stage.secrets.iter().cloned());
    for text in stage.env.values().chain(stage.services.iter().flat_map(|service| service.env.values())) {
        in_text(text, names);
    }
    for credentials in images(stage).filter_map(|image| image.credentials.as_ref()) {
        in_text(&credentials.username, names);
        in_text(&credentials.password, names);
    }
    for (_, read) in stage.run().iter().flat_map(|run| &run.commands).flat_map(|command| &command.reads) {
        if let Ok(reference) = Reference::parse(read) {
            in_reference(&reference, names);
        }
    }
}

pub(super) fn in_text(text: &str, names: &mut BTreeSet<String>) {
    if !may_refer(text) {
        return;
    }
    for piece in pieces(text) {
        if let PieceKind::Reference(reference) = piece.kind {
            in_reference(&reference, names);
        }
    }
}

pub(super) fn in_reference(reference: &Reference, names: &mut BTreeSet<String>) {
    if let Variable::Secret(name) = &reference.variable {
        names.insert(name.clone());
    }
    if let Some(default) = &reference.default {
        in_text(default, names);
    }
}
