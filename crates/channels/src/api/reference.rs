//! Pages of the API's origin: the reference, made from the same description as `openapi.json`; a page for each problem; the front; and what a
//! person reads who opens an address that is for programs. No scripts at all.

mod describe;

use std::fmt;
use std::sync::OnceLock;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use self::describe::{Group, Object, groups, objects};
use crate::Doors;
use crate::problem::{CODES, Problem};

const STYLE: &str = concat!(
    include_str!("../../assets/base.css"),
    include_str!("reference/style.css")
);
const PROBLEMS: &str = include_str!("../../../../docs/problems.md");
/// Only our own style sheet: no script, no frame, no form, no other origin.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /policy-reports";

#[derive(Template)]
#[template(path = "reference/index.html")]
struct Reference<'a> {
    api: &'a str,
    groups: Vec<Group>,
    objects: Vec<Object>,
}

#[derive(Template)]
#[template(path = "reference/problems.html")]
struct ProblemsPage {
    rows: &'static [(&'static str, u16, &'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "reference/problem.html")]
struct ProblemPage {
    code: &'static str,
    title: &'static str,
    status: u16,
    what: String,
    fix: &'static str,
}

#[derive(Template)]
#[template(path = "reference/front.html")]
struct Front<'a> {
    stripe: &'a str,
}

/// What a person is told who opened an address with a browser.
#[derive(Template)]
#[template(path = "reference/says.html")]
struct Says<'a> {
    title: &'a str,
    text: &'a str,
    /// What to do now.
    fix: &'a str,
    /// Small, for support.
    code: &'a str,
}

/// What a payer is told on a page of this origin.
#[derive(Template)]
#[template(path = "reference/payer.html")]
struct PayerPage<'a> {
    merchant: Option<&'a str>,
    title: &'a str,
    text: &'a str,
    facts: &'a [(&'a str, String)],
}

/// Text of a description on a page: what stands between backticks is code.
struct Marked<'a>(&'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = self.0.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        for (at, piece) in escaped.split('`').enumerate() {
            if at % 2 == 1 {
                write!(f, "<code>{piece}</code>")?;
            } else {
                f.write_str(piece)?;
            }
        }
        Ok(())
    }
}

impl HtmlSafe for Marked<'_> {}

pub(super) async fn page(State(doors): State<Doors>) -> Response {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let document = serde_json::to_value(super::document()).expect("the description is JSON");
        let reference = Reference {
            api: &doors.settings.api_url,
            groups: groups(&document),
            objects: objects(&document),
        };
        reference.render().expect("the reference's template renders")
    });
    html(StatusCode::OK, page.clone())
}

pub(super) async fn style() -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, "text/css; charset=utf-8"),
            (header::CACHE_CONTROL, "public, max-age=3600"),
        ],
        STYLE,
    )
}

pub(super) async fn mark() -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, "image/svg+xml"),
            (header::CACHE_CONTROL, "public, max-age=3600"),
        ],
        include_str!("../../assets/pay.svg"),
    )
}

pub(super) async fn front(State(doors): State<Doors>) -> Response {
    let front = Front {
        stripe: &doors.settings.stripe_url,
    };
    html(StatusCode::OK, front.render().expect("the front's template renders"))
}

pub(super) async fn problems() -> Response {
    let page = ProblemsPage { rows: CODES };
    html(StatusCode::OK, page.render().expect("the problems' template renders"))
}

pub(super) async fn problem(Path(code): Path<String>) -> Result<Response, Problem> {
    let row = CODES.iter().find(|row| row.0 == code).ok_or_else(|| {
        Problem::new("not_found", format!("there is no problem of the code `{code}`"))
            .fix("find it in the list at `/problems`")
    })?;
    let page = ProblemPage {
        code: row.0,
        title: row.2,
        status: row.1,
        what: paragraph(row.0),
        fix: row.3,
    };
    Ok(html(
        StatusCode::OK,
        page.render().expect("the problem's template renders"),
    ))
}

/// What `docs/problems.md` says about a code, without its title and what to do, which the page shows in its own places.
fn paragraph(code: &str) -> String {
    let heading = format!("## `{code}`");
    let lines = PROBLEMS
        .lines()
        .skip_while(|line| *line != heading)
        .skip(1)
        .take_while(|line| !line.starts_with("## "));
    let text: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("What to do:"))
        .collect();
    let text = text.join(" ");
    text.split_once("). ").map_or(text.clone(), |(_, what)| what.to_owned())
}

/// A page that says one thing.
pub(crate) fn says(status: StatusCode, title: &str, text: &str, fix: &str, code: &str) -> Response {
    let page = Says { title, text, fix, code };
    html(status, page.render().expect("the template renders"))
}

/// A page for a payer: nothing of it is about programs.
pub(crate) fn says_to_payer(
    status: StatusCode,
    merchant: Option<&str>,
    title: &str,
    text: &str,
    facts: &[(&str, String)],
) -> Response {
    let page = PayerPage {
        merchant,
        title,
        text,
        facts,
    };
    let mut response = html(status, page.render().expect("the template renders"));
    // What somebody paid stays on no machine that others use too.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn html(status: StatusCode, page: String) -> Response {
    let policy = (HeaderName::from_static("content-security-policy"), POLICY);
    let sniff = (HeaderName::from_static("x-content-type-options"), "nosniff");
    let referrer = (header::REFERRER_POLICY, "same-origin");
    (status, [policy, sniff, referrer], Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_payer_reads_is_kept_nowhere() {
        let page = says_to_payer(StatusCode::OK, None, "Thank you", "Your payment went through.", &[]);
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn every_problem_has_a_paragraph_that_says_what_it_means() {
        for row in CODES {
            let what = paragraph(row.0);
            assert!(what.len() > 20 && !what.contains("(HTTP"), "{}: {what}", row.0);
        }
    }

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_is_markup() {
        assert_eq!(
            Marked("with `confirm`: <b> & how").to_string(),
            "with <code>confirm</code>: &lt;b&gt; &amp; how"
        );
    }

    #[test]
    fn the_golden_description_is_the_one_that_is_served() {
        let path = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../../docs/openapi.json";
        let text = serde_json::to_string_pretty(&super::super::document()).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "the API has changed: read the difference after UPDATE_GOLDEN=1 and say it in CHANGELOG.md"
        );
    }
}
