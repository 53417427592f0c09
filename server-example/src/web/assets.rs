//! Styles, scripts and fonts, which are part of the program.

use std::sync::LazyLock;

use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;
use serde::Deserialize;

#[derive(Embed)]
#[folder = "assets"]
struct Assets;

/// What stands behind the name of each file: it changes whenever one of them does, so that browsers may keep them.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let files = Assets::iter().filter_map(|name| Assets::get(&name));
    let sum = files.fold(0_u64, |sum, file| {
        let hash = file.metadata.sha256_hash();
        let part = hash[..8].iter().fold(0_u64, |part, byte| part << 8 | u64::from(*byte));
        sum.rotate_left(7) ^ part
    });
    format!("{sum:016x}")
});

#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    v: Option<String>,
}

pub(crate) async fn serve(Path(name): Path<String>, Query(version): Query<Version>) -> Response {
    let Some(file) = Assets::get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let kept = match version.v {
        Some(version) if version == *VERSION => "public, max-age=31536000, immutable",
        _ => "public, max-age=300",
    };
    let headers =
        [(header::CONTENT_TYPE, file.metadata.mimetype().to_owned()), (header::CACHE_CONTROL, kept.to_owned())];
    (headers, file.data).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The colours that the styles name, each in the light theme and in the dark one.
    fn colours() -> HashMap<String, [[f64; 3]; 2]> {
        let file = Assets::get("app.css").unwrap().data;
        let css = std::str::from_utf8(&file).unwrap();
        let named = css.split("--").skip(1).filter_map(|part| {
            let (name, rest) = part.split_once(": light-dark(")?;
            let (light, dark) = rest.split_once(')')?.0.split_once(", ")?;
            Some((name.to_owned(), [rgb(light), rgb(dark)]))
        });
        named.collect()
    }

    fn rgb(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
    }

    /// As WCAG 2 defines them.
    fn luminance(colour: [f64; 3]) -> f64 {
        let linear =
            colour.map(|part| if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn every_text_is_told_from_its_surface() {
        const STATES: [&str; 8] =
            ["succeeded", "running", "failed", "lost", "waiting", "queued", "skipped", "cancelled"];
        assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
        let colours = colours();
        let of = |name: &str| colours[name];
        let texts = ["t0", "t1", "t2", "accent", "cyan"].into_iter().chain(STATES);
        let mut pairs: Vec<(&str, &str)> =
            texts.flat_map(|text| ["s0", "s1", "s2"].map(|surface| (text, surface))).collect();
        // What a log writes on a colour.
        pairs.extend(STATES.into_iter().chain(["cyan", "t0", "t1"]).map(|surface| ("s0", surface)));
        pairs.push(("on-accent", "accent"));
        for (text, surface) in pairs {
            for (theme, place) in [("light", 0), ("dark", 1)] {
                let ratio = contrast(of(text)[place], of(surface)[place]);
                assert!(ratio >= 4.5, "--{text} on --{surface} in the {theme} theme: {ratio:.2}");
            }
        }
    }
}
