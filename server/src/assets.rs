//! The front end's files, embedded in the binary, each with its compressed forms.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;
use std::sync::Arc;

#[derive(Embed)]
#[cfg_attr(debug_assertions, folder = "../target/site/debug")]
#[cfg_attr(not(debug_assertions), folder = "../target/site/release")]
#[allow_missing = true]
struct Site;

/// The folder of this build's files: named after their content, so that they can be kept for ever.
pub fn folder() -> String {
    let hash = Site::get("hash").map(|file| String::from_utf8_lossy(&file.data).into_owned());
    format!("pkg-{}", hash.as_deref().map_or("none", str::trim))
}

/// Serves one file.
pub async fn serve(
    State(folder): State<Arc<str>>,
    Path((pkg, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if pkg != *folder {
        return StatusCode::NOT_FOUND.into_response();
    }
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
    let wants =
        |coding: &str| accepts.split(',').any(|a| a.split(';').next().is_some_and(|a| a.trim() == coding));
    let forms = [("br", ".br"), ("gzip", ".gz")];
    let packed = forms
        .into_iter()
        .filter(|(coding, _)| wants(coding))
        .find_map(|(coding, ending)| Site::get(&format!("{name}{ending}")).map(|file| (Some(coding), file)));
    let Some((coding, file)) = packed.or_else(|| Site::get(&name).map(|file| (None, file))) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = mime_guess::from_path(&name).first_or_octet_stream();
    let etag = format!("\"{folder}-{}\"", coding.unwrap_or("plain"));
    let base = [
        (header::CONTENT_TYPE, kind.as_ref().to_owned()),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()),
        (header::VARY, "accept-encoding".to_owned()),
        (header::ETAG, etag.clone()),
    ];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, base).into_response();
    }
    let mut response = (base, file.data.into_owned()).into_response();
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static(coding));
    }
    response
}
