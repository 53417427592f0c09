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
