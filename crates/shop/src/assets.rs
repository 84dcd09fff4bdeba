//! The style sheet, the one script and the mark: compiled in, named by their content, allowed to be kept for ever.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, SHA384, digest};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::base64;
use crate::session::base32;

/// One file that pages ask for.
pub(crate) struct Asset {
    pub(crate) href: String,
    /// What the browser checks before it uses the file.
    pub(crate) integrity: String,
    kind: &'static str,
    text: &'static str,
}

impl Asset {
    fn new(name: &str, kind: &'static str, text: &'static str) -> Self {
        let (stem, extension) = name
            .split_once('.')
            .expect("asset names are written below, each with an extension");
        let hash = base32(digest(&SHA256, text.as_bytes()).as_ref(), 12);
        Self {
            href: format!("/assets/{stem}.{hash}.{extension}"),
            integrity: format!("sha384-{}", base64::encode(digest(&SHA384, text.as_bytes()).as_ref())),
            kind,
            text,
        }
    }
}

pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "shop.css",
        "text/css; charset=utf-8",
        concat!(include_str!("../assets/base.css"), include_str!("../assets/shop.css")),
    )
});
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "live.js",
        "text/javascript; charset=utf-8",
        include_str!("../assets/live.js"),
    )
});
pub(crate) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("florin.svg", "image/svg+xml", include_str!("../assets/florin.svg")));

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*MARK];
    match all
        .into_iter()
        .find(|asset| asset.href.strip_prefix("/assets/") == Some(&name))
    {
        Some(asset) => {
            let kept = "public, max-age=31536000, immutable";
            ([(CONTENT_TYPE, asset.kind), (CACHE_CONTROL, kept)], asset.text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// For browsers that ask for `/favicon.ico` whatever the page says.
pub(crate) async fn favicon() -> impl IntoResponse {
    ([(CONTENT_TYPE, MARK.kind)], MARK.text)
}
