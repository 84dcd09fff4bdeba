//! The shop's pages: which address answers what, and what every answer carries.

mod buying;
mod flow;
mod moment;
mod order;
mod scenery;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::assets::{MARK, SCRIPT, STYLE};
use crate::session::{Owner, is_own_form};
use crate::{Shop, assets, endpoint, hooks, policy};

pub(crate) type App = Arc<Shop>;

/// A form of ours holds a product and a number.
const FORM_BYTES: usize = 4 << 10;
/// Longer than the longest checkout: canceling one order and making another, each with its repeats, and the wait for the page.
const DEADLINE: Duration = Duration::from_secs(90);

pub(crate) fn router(shop: App) -> Router {
    let pages = Router::new()
        .route("/", get(buying::catalogue))
        .route("/products/{slug}", get(buying::product_page))
        .route("/cart", get(buying::cart_page))
        .route("/cart/add", post(buying::add))
        .route("/cart/set", post(buying::set))
        .route("/checkout", post(buying::checkout))
        .route("/orders", get(order::list))
        .route("/orders/{token}", get(order::page))
        .route("/orders/{token}/back", get(order::back))
        .route("/orders/{token}/live", get(order::live))
        .route("/orders/{token}/pay", post(order::pay))
        .route("/orders/{token}/cancel", post(order::cancel))
        .route("/orders/{token}/again", post(order::again))
        .route("/_policy", get(trouble::policy_control))
        .fallback(trouble::not_found)
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(middleware::from_fn_with_state(shop.clone(), guard));
    Router::new()
        .route(
            endpoint::PATH,
            post(hooks::receive).layer(DefaultBodyLimit::max(hooks::BODY_BYTES)),
        )
        .route(
            policy::REPORT_PATH,
            get(policy::count)
                .post(policy::report)
                .layer(DefaultBodyLimit::max(policy::REPORT_BYTES)),
        )
        .route("/assets/{name}", get(assets::asset))
        .route("/favicon.ico", get(assets::favicon))
        .route("/livez", get(|| async { "ok\n" }))
        .merge(pages)
        .layer(middleware::from_fn(deadline))
        .with_state(shop)
}

/// Whoever sends a body drop by drop is not waited for.
async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

/// Refuses forms of other sites, and gives every page its policy.
async fn guard(State(shop): State<App>, request: Request, next: Next) -> Response {
    let foreign = request.method() == Method::POST && !is_own_form(request.headers());
    let visitor = request.headers().clone();
    let mut response = if foreign {
        trouble::foreign_form(&shop, &visitor)
    } else {
        next.run(request).await
    };
    if is_bare(&response) {
        response = trouble::unread(&shop, &visitor, response.status());
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, shop.policy.clone());
    headers.insert(
        HeaderName::from_static("reporting-endpoints"),
        policy::reporting_endpoints(),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // An order page's address opens it, so it is told to nobody else.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a refusal is the framework's: an address or a form that does not read. No page of ours refuses without HTML.
fn is_bare(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    response.status().is_client_error() && kind.is_none_or(|kind| kind.starts_with(b"text/plain"))
}

/// What the frame of every page shows.
struct Frame {
    style: &'static assets::Asset,
    script: &'static assets::Asset,
    mark: &'static assets::Asset,
    docs: String,
    /// Pieces in the visitor's cart.
    pieces: u32,
    /// Which entry of the navigation is this page.
    here: Here,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Here {
    Shop,
    Orders,
    Cart,
    Elsewhere,
}

impl Frame {
    fn new(shop: &Shop, owner: Option<&Owner>, here: Here) -> Self {
        let pieces = owner.and_then(|owner| shop.book.read(|shelf| shelf.cart(owner).map(|cart| cart.pieces())));
        let docs = shop.docs_url.clone();
        Self {
            style: &STYLE,
            script: &SCRIPT,
            mark: &MARK,
            docs,
            pieces: pieces.unwrap_or(0),
            here,
        }
    }

    fn current(&self, here: Here) -> &'static str {
        if self.here == here { "page" } else { "false" }
    }
}

/// A rendered page.
fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(why) => {
            tracing::error!(%why, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn see_other(path: &str) -> Response {
    Redirect::to(path).into_response()
}

/// The visitor; one who is new gets a cookie on the way out.
struct Visitor {
    owner: Owner,
    cookie: Option<HeaderValue>,
}

impl Visitor {
    fn of(shop: &Shop, headers: &HeaderMap) -> Self {
        match Owner::from_headers(headers) {
            Some(owner) => Self { owner, cookie: None },
            None => {
                let (owner, cookie) = Owner::new(shop.secure);
                Self {
                    owner,
                    cookie: Some(cookie),
                }
            }
        }
    }

    fn remember(self, mut response: Response) -> Response {
        if let Some(cookie) = self.cookie {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}
