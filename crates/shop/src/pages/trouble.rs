//! Pages for when something is in the way. Each says what happened, whether money moved, and what to do now.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{App, Frame, Here, page};
use crate::Shop;
use crate::api::Failure;
use crate::checkout::Trouble;
use crate::session::Owner;

/// What the button of the page repeats.
pub(super) enum Retry {
    No,
    Checkout,
    Order(String),
}

#[derive(Template)]
#[template(path = "trouble.html", whitespace = "minimize")]
struct TroublePage {
    frame: Frame,
    title: String,
    what: String,
    money: &'static str,
    /// For support: small, beside the sentences.
    code: String,
    /// Where the button's form goes, and what it says.
    action: Option<(String, &'static str)>,
    /// Where the link goes, and what it says.
    link: (String, &'static str),
}

const SAME_ORDER: &str =
    "You have not been charged. Trying again is safe: it stays one order, however often you press.";
const NOT_CHARGED: &str = "You have not been charged.";
/// On pages that know of no order: it may be paid.
const CHARGES_NOTHING: &str = "Opening this page charges nothing. What you have paid stays paid.";

pub(super) fn page_for(shop: &Shop, headers: &HeaderMap, trouble: &Trouble, retry: Retry) -> Response {
    let owner = Owner::from_headers(headers);
    let frame = Frame::new(shop, owner.as_ref(), Here::Elsewhere);
    let mut wait_s = None;
    let (status, title, what, money, code) = match trouble {
        Trouble::Florin(Failure::Unreachable(why)) => {
            tracing::warn!(%why, "Florin cannot be reached");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "The payment service cannot be reached",
                "Florin, which takes payments for this shop, is not running or is just starting. Your cart is kept.".to_owned(),
                SAME_ORDER,
                "unreachable".to_owned(),
            )
        }
        Trouble::Florin(Failure::Lost(why)) => {
            tracing::warn!(%why, "an answer of Florin was lost");
            (
                StatusCode::BAD_GATEWAY,
                "The payment service did not answer",
                "We asked for a payment page and heard nothing. The order may already be registered.".to_owned(),
                SAME_ORDER,
                "no_answer".to_owned(),
            )
        }
        Trouble::Florin(Failure::Busy { after_s }) => {
            wait_s = Some(*after_s);
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too busy right now",
                format!("The payment service has more to do than it can take. Please try again in {}.", seconds(*after_s)),
                SAME_ORDER,
                "busy".to_owned(),
            )
        }
        Trouble::Florin(Failure::Refused { status, problem }) => {
            tracing::error!(%status, code = problem.code, detail = problem.detail, "Florin refused what the shop asked");
            let ours = if *status == StatusCode::UNAUTHORIZED {
                "The shop's key was not accepted.".to_owned()
            } else {
                format!("The payment service did not accept what this shop asked: {}.", problem.detail.trim_end_matches('.'))
            };
            let fix = if problem.fix.is_empty() { String::new() } else { format!(" For the shop: {}", problem.fix) };
            (
                StatusCode::BAD_GATEWAY,
                "The shop made a mistake",
                format!("{ours} This is not your fault.{fix}"),
                NOT_CHARGED,
                [&*problem.code, &*problem.request_id].join(" "),
            )
        }
        Trouble::Florin(Failure::Unreadable(why)) => {
            tracing::error!(%why, "an answer of Florin is unreadable");
            (
                StatusCode::BAD_GATEWAY,
                "The payment service answered in riddles",
                "The shop could not read its answer. The order may already be registered.".to_owned(),
                SAME_ORDER,
                "unreadable".to_owned(),
            )
        }
        Trouble::EarlierOrder(_) => (
            StatusCode::CONFLICT,
            "An earlier payment is still being decided",
            "You began to pay for this cart before you changed it, and we do not know yet how that ended. It would be wrong to let \
             you pay a second time."
                .to_owned(),
            "If the earlier payment went through, it counts. Its page shows how it stands.",
            "earlier_order".to_owned(),
        ),
        Trouble::Mismatch(reference) => {
            tracing::error!(reference, "Florin holds another order under the shop's reference");
            (
                StatusCode::CONFLICT,
                "This order does not match",
                format!("Florin already holds an order named {reference} with another amount. Change the cart and try again."),
                NOT_CHARGED,
                "mismatch".to_owned(),
            )
        }
        Trouble::NoOrder => return not_found_page(shop, headers),
        Trouble::Records(why) => {
            tracing::error!(%why, "the shop cannot write its records");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The shop cannot write this down",
                "Its disk is full or gone, and an order that is not written down is not begun.".to_owned(),
                NOT_CHARGED,
                "records".to_owned(),
            )
        }
    };
    let action = match (&retry, trouble) {
        (Retry::No, _) | (_, Trouble::EarlierOrder(_) | Trouble::Mismatch(_)) => None,
        (Retry::Checkout, _) => Some(("/checkout".to_owned(), "Try again")),
        (Retry::Order(token), _) => Some((format!("/orders/{token}/pay"), "Try again")),
    };
    let link = match (&retry, trouble) {
        (_, Trouble::EarlierOrder(token)) => (format!("/orders/{token}"), "Look at the earlier order"),
        (Retry::Order(token), _) => (format!("/orders/{token}"), "Back to the order"),
        (Retry::No | Retry::Checkout, _) => ("/cart".to_owned(), "Back to the cart"),
    };
    let mut response = page(
        status,
        &TroublePage {
            frame,
            title: title.to_owned(),
            what,
            money,
            code,
            action,
            link,
        },
    );
    if let Some(wait_s) = wait_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
    }
    response
}

fn seconds(wait_s: u64) -> String {
    match wait_s {
        0 | 1 => "a second".to_owned(),
        2..120 => format!("{wait_s} seconds"),
        _ => format!("{} minutes", wait_s.div_ceil(60)),
    }
}

/// Before a payment page whose origin the policy of our forms does not know.
pub(super) fn leaving(shop: &Shop, headers: &HeaderMap, url: &str, origin: &str) -> Response {
    let owner = Owner::from_headers(headers);
    let leaving = TroublePage {
        frame: Frame::new(shop, owner.as_ref(), Here::Elsewhere),
        title: "Go on to the payment page".to_owned(),
        what: format!("The payment page is at {origin}. You come back here when you are done."),
        money: NOT_CHARGED,
        code: String::new(),
        action: None,
        link: (url.to_owned(), "Go to the payment page"),
    };
    page(StatusCode::OK, &leaving)
}

pub(super) async fn not_found(State(shop): State<App>, headers: HeaderMap) -> Response {
    not_found_page(&shop, &headers)
}

pub(super) fn not_found_page(shop: &Shop, headers: &HeaderMap) -> Response {
    let what = "There is nothing at this address, or the shop has forgotten it: a demonstration keeps its orders for a while only.";
    plain(shop, headers, StatusCode::NOT_FOUND, "Nothing here", what, "not_found")
}

pub(super) fn foreign_form(shop: &Shop, headers: &HeaderMap) -> Response {
    let what = "This request was sent by a page that does not belong to the shop, so nothing was done.";
    plain(
        shop,
        headers,
        StatusCode::FORBIDDEN,
        "Not from this shop",
        what,
        "foreign_form",
    )
}

/// An address or a form that does not read.
pub(super) fn unread(shop: &Shop, headers: &HeaderMap, status: StatusCode) -> Response {
    let what = "The shop could not read what was sent: the address may have been cut short, or a field of the form holds something else \
                than it should. Nothing was done.";
    plain(shop, headers, status, "That did not arrive", what, "unread")
}

fn plain(shop: &Shop, headers: &HeaderMap, status: StatusCode, title: &str, what: &str, code: &str) -> Response {
    let owner = Owner::from_headers(headers);
    let plain = TroublePage {
        frame: Frame::new(shop, owner.as_ref(), Here::Elsewhere),
        title: title.to_owned(),
        what: what.to_owned(),
        money: CHARGES_NOTHING,
        code: code.to_owned(),
        action: None,
        link: ("/".to_owned(), "Go to the shop"),
    };
    page(status, &plain)
}

#[derive(Template)]
#[template(path = "policy.html", whitespace = "minimize")]
struct PolicyControl {
    frame: Frame,
}

/// The control of the browser tests: a page with a script that the policy forbids. If its heading changes, the policy is broken;
/// if `/csp-reports` does not count it, the reports are.
pub(super) async fn policy_control(State(shop): State<App>) -> Response {
    page(
        StatusCode::OK,
        &PolicyControl {
            frame: Frame::new(&shop, None, Here::Elsewhere),
        },
    )
}
