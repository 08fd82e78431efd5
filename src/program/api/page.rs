//! `GET /`: the live page.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use rand::TryRng;
use rand::rngs::SysRng;

use super::answer::{Failure, Location};
use crate::program::web;

/// Its type.
pub(super) const HTML: &str = "text/html; charset=utf-8";

pub(super) async fn page() -> Result<impl IntoResponse, Failure> {
    let nonce = SysRng.try_next_u64().and_then(|high| Ok(format!("{high:016x}{:016x}", SysRng.try_next_u64()?)));
    let nonce = nonce.map_err(|why| {
        let what = format!("no random numbers for the page: {why}");
        Failure::of(StatusCode::INTERNAL_SERVER_ERROR, Location::Nowhere, "", what)
    })?;
    let headers = [
        (header::CONTENT_TYPE, HTML.to_owned()),
        (header::CONTENT_SECURITY_POLICY, web::policy(&nonce)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, web::page(&nonce)))
}
