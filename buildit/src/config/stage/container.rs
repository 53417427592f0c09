//! `image` and `service`.

use super::super::env::{self, Earlier};
use super::super::findings::Findings;
use super::super::node::{Node, Seen};
use super::super::shape::{self, Args, Field, Shape};
use super::super::values;
use super::{limits, list_of, text};
use crate::pipeline::{ImageSpec, Origins, PullPolicy, ReadySpec, RegistryCredentials, ServiceSpec};

const IMAGE: Shape = Shape {
    args: Args::One("the name of an image"),
    fields: &["pull", "user", "platform", "username", "password"],
    nodes: &[],
    many: &[],
};

const SERVICE: Shape = Shape {
    args: Args::One("a name"),
    fields: &[],
    nodes: &["image", "command", "env", "ready", "resources"],
    many: &["env"],
};

const READY: Shape = Shape { args: Args::One("a shell command"), fields: &["timeout"], nodes: &[], many: &[] };

const PULL: &[(&str, PullPolicy)] =
    &[("missing", PullPolicy::Missing), ("always", PullPolicy::Always), ("never", PullPolicy::Never)];

/// Reads an image; `part` is its path among the parts of the stage.
pub(crate) fn image(node: Node<'_>, part: &str, origins: &mut Origins, out: &mut Findings) -> Option<ImageSpec> {
    shape::check(node, &IMAGE, out);
    let value = node.arg();
    let mut image = ImageSpec::default();
    if let Some(value) = value {
        origins.insert(part, value.origin());
        image.reference = text(value, "bad-image", reference, out).unwrap_or_default();
    }
    if let Some(value) = Field::one(node, "pull", out) {
        image.pull = value.word(PULL, out).unwrap_or_default();
    }
    let (mut username, mut password) = (None, None);
    let settings = [
        ("user", "user", &mut image.user),
        ("platform", "platform", &mut image.platform),
        ("username", "credentials.username", &mut username),
        ("password", "credentials.password", &mut password),
    ];
    for (name, path, setting) in settings {
        if let Some(value) = Field::one(node, name, out) {
            origins.insert(format!("{part}.{path}"), value.origin());
            *setting = text(value, "bad-text", values::filled, out);
        }
    }
    match (username, password) {
        (Some(username), Some(password)) => {
            image.credentials = Some(RegistryCredentials { username, password });
        }
        (None, None) => {}
        // Where one was written but not readable, that has been told.
        (None, Some(_)) if Field::all(node, "username").next().is_none() => shape::missing(node, &["username"], out),
        (Some(_), None) if Field::all(node, "password").next().is_none() => shape::missing(node, &["password"], out),
        _ => {}
    }
    value.map(|_| image)
}

fn reference(text: &str) -> Result<String, values::Bad> {
    let text = values::filled(text)?;
    let bad = |why: &str| values::Bad::new(format!("the name of the image {why}"), "as in \"rust:1.90\"");
    if text.starts_with('-') {
        return Err(bad("begins with `-`"));
    }
    if text.contains("://") {
        return Err(bad("is no URL: leave the `…://` away"));
    }
    if !text.contains("${") && text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(bad("holds a space"));
    }
    Ok(text)
}

/// Reads `service "db" { image …; command …; env …; ready …; resources … }`.
pub(crate) fn service(
    node: Node<'_>,
    seen: &mut Seen,
    origins: &mut Origins,
    out: &mut Findings,
) -> Option<ServiceSpec> {
    shape::check(node, &SERVICE, out);
    let name = node.arg().and_then(|name| name.parsed("bad-name", values::host, out)).unwrap_or_default();
    if !name.is_empty() && !seen.insert("duplicate-service", &name, node, out) {
        return None;
    }
    let part = format!("services.{name}");
    origins.insert(part.as_str(), node.origin());
    let mut service = ServiceSpec { name, ..ServiceSpec::default() };
    let mut has_image = false;
    let mut variables = Earlier::new();
    for child in node.children() {
        match child.name() {
            "image" => {
                has_image = true;
                service.image = image(child, &format!("{part}.image"), origins, out).unwrap_or_default();
            }
            "command" => {
                let part = format!("{part}.command");
                list_of(child, &part, "a word", |text| Ok(text.to_owned()), &mut service.command, origins, out);
            }
            "env" => env::decode(child, &format!("{part}.env"), &mut variables, &mut service.env, origins, out),
            "ready" => service.ready = ready(child, &format!("{part}.ready"), origins, out),
            "resources" => {
                service.resources = limits::resources(child, &format!("{part}.resources"), origins, out);
            }
            _ => {}
        }
    }
    if !has_image {
        shape::missing(node, &["image"], out);
    }
    Some(service)
}

fn ready(node: Node<'_>, part: &str, origins: &mut Origins, out: &mut Findings) -> Option<ReadySpec> {
    shape::check(node, &READY, out);
    let timeout = Field::one(node, "timeout", out);
    let timeout = timeout.and_then(|value| value.parsed("bad-duration", values::duration, out));
    let value = node.arg()?;
    origins.insert(part, value.origin());
    let command = value.raw_text(out)?.to_owned();
    Some(ReadySpec { command, timeout: timeout.unwrap_or(ReadySpec::DEFAULT_TIMEOUT) })
}
