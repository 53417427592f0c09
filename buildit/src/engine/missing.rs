//! Where a secret is asked for that no source knows.

use std::collections::BTreeSet;

use super::place::placed;
use super::secrets::{in_reference, in_text};
use crate::diagnostic::Diagnostic;
use crate::pipeline::{ImageSpec, PipelineSpec, StageSpec};
use crate::variables::Reference;

/// A finding for each of these names, at the place of its first use in the pipeline or a selected stage.
pub(super) fn missing(spec: &PipelineSpec, selected: &[bool], names: &[String]) -> Vec<Diagnostic> {
    let mut open: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut findings = Vec::new();
    if open.is_empty() {
        return findings;
    }
    for (name, text) in &spec.env {
        for secret in in_a(text) {
            if open.remove(secret.as_str()) {
                let part = format!("env.{name}");
                let finding = finding(&secret).with_part(None, part.clone(), None);
                let origin = spec.origins.get(&part).or_else(|| spec.origins.get("env"));
                findings.push(match origin {
                    Some(origin) => finding.with_origin(origin.clone()),
                    None => finding,
                });
            }
        }
    }
    for (stage, _) in spec.stages.iter().zip(selected).filter(|(_, selected)| **selected) {
        uses(stage, &mut |part, secret| {
            if open.remove(secret) {
                findings.push(placed(stage, part, finding(secret)));
            }
        });
        if open.is_empty() {
            break;
        }
    }
    // What is used in a place that is not known here is told all the same.
    findings.extend(open.into_iter().map(finding));
    findings
}

fn finding(name: &str) -> Diagnostic {
    Diagnostic::error("missing-secret", format!("there is no secret `{name}`"))
}

/// Calls `each` with the part and the name for every use of a secret in a stage.
fn uses(stage: &StageSpec, each: &mut dyn FnMut(&str, &str)) {
    for (index, name) in stage.secrets.iter().enumerate() {
        each(&format!("secrets[{index}]"), name);
    }
    let mut within = |part: &str, text: &str| in_a(text).iter().for_each(|secret| each(part, secret));
    for (name, text) in &stage.env {
        within(&format!("env.{name}"), text);
    }
    for service in &stage.services {
        for (name, text) in &service.env {
            within(&format!("services.{}.env.{name}", service.name), text);
        }
        of_image(&service.image, &format!("services.{}.image", service.name), &mut within);
    }
    if let Some(image) = &stage.image {
        of_image(image, "image", &mut within);
    }
    for (index, command) in stage.run().iter().flat_map(|run| &run.commands).enumerate() {
        for reference in command.reads.iter().filter_map(|(_, read)| Reference::parse(read).ok()) {
            let mut names = BTreeSet::new();
            in_reference(&reference, &mut names);
            names.iter().for_each(|secret| each(&format!("run[{index}]"), secret));
        }
    }
}

fn of_image(image: &ImageSpec, part: &str, within: &mut dyn FnMut(&str, &str)) {
    if let Some(credentials) = &image.credentials {
        within(&format!("{part}.username"), &credentials.username);
        within(&format!("{part}.password"), &credentials.password);
    }
}

/// The names of the secrets that a text refers to.
fn in_a(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    in_text(text, &mut names);
    names
}
