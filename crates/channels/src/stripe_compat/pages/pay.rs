//! `/c/pay/{token}`: the page of a Checkout Session. What it shows follows from how the order stands, so it can be loaded again at any time.
//!
//! The page of the pretend provider has a form for a card: the digits become the name of a published test card while the form is read, and
//! whatever is no test card is refused. A merchant's own page has one button, which sends the payer on to the provider.

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use florin_core::decline::Code;
use florin_core::rail::Action;
use florin_core::time::Timestamp;
use florin_services::ask::{Ask, Denied, What};

use super::{Alert, Door, Due, Frame, Opened, Says, Tone, due_of, is_ours, params_of, written};
use crate::returned::{Unpaid, looking_again};
use crate::stripe_compat::cards::{self, Card, CardTable, Example, Undue};
use crate::stripe_compat::form::{self, Node};
use crate::stripe_compat::shape::session::Stands;
use crate::stripe_compat::shape::{self, Seen};
use crate::stripe_compat::{DoorKind, ids, sessions};

/// Longest name on a card that is kept while the form is shown again.
const NAME_CHARS_MAX: usize = 100;

/// The form for a card.
#[derive(Template)]
#[template(path = "pay/card.html")]
struct CardPage<'a> {
    frame: Frame<'a>,
    due: Due,
    alert: Option<Alert>,
    wrong: Wrong,
    kept: Kept,
    examples: Vec<Example>,
    back: Option<String>,
}

/// The button that leads to the provider.
#[derive(Template)]
#[template(path = "pay/onward.html")]
struct OnwardPage<'a> {
    frame: Frame<'a>,
    due: Due,
    alert: Option<Alert>,
    back: Option<String>,
}

/// Something that the payer began and has not finished.
#[derive(Template)]
#[template(path = "pay/acting.html")]
struct ActingPage<'a> {
    frame: Frame<'a>,
    due: Due,
    text: &'static str,
    verb: &'static str,
    onward: String,
    leave: String,
    back: Option<String>,
}

/// What is wrong with the fields.
#[derive(Default)]
struct Wrong {
    number: Option<&'static str>,
    exp: Option<&'static str>,
    cvc: Option<&'static str>,
}

/// What is written into the form again. Neither number nor security code are.
#[derive(Default)]
struct Kept {
    exp: String,
    name: String,
}

/// `GET`: how it stands.
pub(super) async fn show(
    State(door): State<Door>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    let going = params_of(query).contains_key("go");
    door.session_page(&opened, &token, going, Wrong::default(), Kept::default())
}

/// `POST`: somebody pressed "Pay".
pub(super) async fn pay(
    State(door): State<Door>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    if opened.note.session.is_none() {
        return Err(door.unknown());
    }
    if !is_ours(&headers, &door.doors.settings.stripe_url) {
        return Err(door.plain(
            StatusCode::FORBIDDEN,
            "This form was sent from another page",
            "Nothing was done",
            "Open the payment page again and pay there.",
        ));
    }
    if !sessions::is_payable(&opened.view) {
        return Ok(door.to(&format!("/c/pay/{token}")));
    }
    let method = match door.kind {
        DoorKind::Merchant { .. } => "hosted".to_owned(),
        DoorKind::Provider { cards, .. } => match Typed::read(&body, cards, door.doors.engine.now()) {
            Ok(typed) => typed.card.name.to_owned(),
            Err((wrong, kept)) => return door.session_page(&opened, &token, false, wrong, kept),
        },
    };
    let what = What::Confirm {
        order: opened.view.order.id,
        pay: sessions::pay(&door, &opened.view, method),
    };
    let ask = Ask {
        tenant: opened.view.tenant,
        key: None,
        what,
    };
    match door.doors.engine.ask(ask).await {
        // Another tab was faster, or it is paid already: the page shows which.
        Ok(_) | Err(Denied::Refused { .. }) => {}
        // The merchant's provider takes no such payment, or the merchant has switched it off: waiting helps in neither case.
        Err(
            denied @ Denied::Misuse {
                code: "unsupported" | "no_connection",
                ..
            },
        ) => {
            tracing::warn!(order = %opened.view.order.id, %denied, "a payer could not pay");
            return Err(door.not_here(&opened));
        }
        Err(denied) => {
            tracing::warn!(order = %opened.view.order.id, %denied, "a payer could not pay");
            return Err(door.not_now());
        }
    }
    Ok(door.to(&format!("/c/pay/{token}?go=1")))
}

/// `POST …/leave`: somebody wants to pay another way.
pub(super) async fn leave(
    State(door): State<Door>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let opened = door.open(&token).await?;
    if is_ours(&headers, &door.doors.settings.stripe_url) {
        door.try_ask(&opened.view, What::leave(&opened.view)).await;
    }
    Ok(door.to(&format!("/c/pay/{token}")))
}

impl Door {
    /// The page for how the order stands. `going`: the payer has just pressed a button, and is led on.
    fn session_page(
        &self,
        opened: &Opened,
        token: &str,
        going: bool,
        wrong: Wrong,
        kept: Kept,
    ) -> Result<Response, Response> {
        let (view, seen) = (&opened.view, Seen::new(&opened.view));
        let Some(session) = &opened.note.session else {
            return Err(self.unknown());
        };
        let back = session.cancel_url.clone();
        match Stands::of(&seen) {
            Stands::Complete => Ok(self.paid(opened)),
            Stands::Expired => Ok(self.over(opened)),
            Stands::Open => match shape::intent::acting(&seen) {
                // It is being left, or undone: it may have been paid before that.
                Some(attempt) if attempt.ends() => Ok(self.waiting(opened)),
                Some(attempt) => Ok(match &attempt.action {
                    Some(Action::Redirect { url }) => self.acting(opened, token, going, url),
                    None => self.waiting(opened),
                }),
                None if sessions::is_payable(view) => {
                    let alert = alert_of(seen.last_decline().map(|(_, why)| why.code), Unpaid::of(&view.order));
                    let status = if wrong.number.or(wrong.exp).or(wrong.cvc).is_some() {
                        StatusCode::UNPROCESSABLE_ENTITY
                    } else {
                        StatusCode::OK
                    };
                    let (frame, due) = (self.frame(view, None), due_of(view));
                    Ok(match self.kind {
                        DoorKind::Provider { cards, .. } => {
                            let examples = cards.examples();
                            self.page(
                                status,
                                &CardPage {
                                    frame,
                                    due,
                                    alert,
                                    wrong,
                                    kept,
                                    examples,
                                    back,
                                },
                            )
                        }
                        DoorKind::Merchant { .. } => self.page(
                            status,
                            &OnwardPage {
                                frame,
                                due,
                                alert,
                                back,
                            },
                        ),
                    })
                }
                None => Ok(self.waiting(opened)),
            },
        }
    }

    fn acting(&self, opened: &Opened, token: &str, going: bool, url: &str) -> Response {
        let (text, verb) = match self.kind {
            DoorKind::Provider { .. } => ("Your bank wants to confirm that it is you.", "Continue to your bank"),
            DoorKind::Merchant { .. } => (
                "You were on the page of our payment provider.",
                "Continue to the payment page",
            ),
        };
        let page = ActingPage {
            frame: self.frame(&opened.view, going.then(|| url.to_owned())),
            due: due_of(&opened.view),
            text,
            verb,
            onward: url.to_owned(),
            leave: format!("/c/pay/{token}/leave"),
            back: opened
                .note
                .session
                .as_ref()
                .and_then(|session| session.cancel_url.clone()),
        };
        self.page(StatusCode::OK, &page)
    }

    fn paid(&self, opened: &Opened) -> Response {
        let view = &opened.view;
        let id = ids::session(view.order.id, view.tenant.mode);
        let session = opened.note.session.as_ref();
        let success = session.and_then(|session| session.success_url.as_ref());
        // Stripe replaces the template wherever it stands, also where an encoder has been over it.
        let success = success.map(|url| {
            url.replace("{CHECKOUT_SESSION_ID}", &id)
                .replace("%7BCHECKOUT_SESSION_ID%7D", &id)
        });
        let frame = self.frame(view, success.clone());
        let next = success.map(|url| (url, format!("Back to {}", frame.merchant)));
        let reference = session.and_then(|session| session.client_reference_id.clone());
        let page = Says {
            title: format!("{} is paid", written(view.order.due)),
            tone: Tone::Good,
            headline: "Thank you",
            text: format!(
                "Your payment of {} went through. You are being taken back to {}.",
                written(view.order.due),
                frame.merchant
            ),
            facts: reference
                .map(|reference| ("Reference", reference))
                .into_iter()
                .collect(),
            next,
            frame,
        };
        self.page(StatusCode::OK, &page)
    }

    fn over(&self, opened: &Opened) -> Response {
        let unpaid = Unpaid::of(&opened.view.order);
        let (headline, money) = match unpaid {
            Unpaid::Open => return self.waiting(opened),
            Unpaid::Untouched => ("Nothing was charged here", String::new()),
            Unpaid::WentBack | Unpaid::Odd => ("The payment did not count", format!("{} ", unpaid.text())),
        };
        let frame = self.frame(&opened.view, None);
        let back = opened
            .note
            .session
            .as_ref()
            .and_then(|session| session.cancel_url.clone());
        let page = Says {
            title: "This payment page is closed".to_owned(),
            tone: Tone::Note,
            headline,
            text: format!(
                "{money}This page can no longer be used. If you still want to pay, start again at {}.",
                frame.merchant
            ),
            facts: Vec::new(),
            next: back.map(|url| (url, format!("Back to {}", frame.merchant))),
            frame,
        };
        self.page(StatusCode::OK, &page)
    }

    fn not_here(&self, opened: &Opened) -> Response {
        let frame = self.frame(&opened.view, None);
        let session = opened.note.session.as_ref();
        let back = session.and_then(|session| session.cancel_url.clone());
        let page = Says {
            title: "This payment cannot be made here".to_owned(),
            tone: Tone::Note,
            headline: "Nothing was charged",
            text: format!(
                "The payment provider does not take this payment now, and trying again does not help. Ask {} for another way to pay.",
                frame.merchant
            ),
            facts: vec![("Amount", written(opened.view.order.due))],
            next: back.map(|url| (url, format!("Back to {}", frame.merchant))),
            frame,
        };
        self.page(StatusCode::UNPROCESSABLE_ENTITY, &page)
    }

    pub(super) fn waiting(&self, opened: &Opened) -> Response {
        let page = Says {
            frame: self.frame(&opened.view, None),
            title: "Waiting for your bank".to_owned(),
            tone: Tone::Wait,
            headline: "We do not know yet how your payment ended",
            text: "Please do not pay again. This page looks again by itself every few seconds.".to_owned(),
            facts: vec![("Amount", written(opened.view.order.due))],
            next: Some((String::new(), "Look again".to_owned())),
        };
        looking_again(self.page(StatusCode::OK, &page))
    }
}

/// What a payer is told about a try that failed: what to do, and not why, where the reason would help a thief.
fn alert_of(declined: Option<Code>, unpaid: Unpaid) -> Option<Alert> {
    let alert = match declined {
        Some(code) => alert_of_code(code),
        None => Alert {
            title: unpaid.headline(),
            text: unpaid.text(),
        },
    };
    match unpaid {
        Unpaid::Untouched => declined.map(|_| alert),
        // Another try than the one that failed may be paid, or was.
        Unpaid::Open | Unpaid::WentBack | Unpaid::Odd => Some(Alert {
            text: unpaid.text(),
            ..alert
        }),
    }
}

fn alert_of_code(code: Code) -> Alert {
    match code {
        Code::AuthenticationFailed | Code::AuthenticationRequired => Alert {
            title: "Your bank did not confirm the payment",
            text: "Nothing was charged. Try again, or use another card.",
        },
        Code::PayerCanceled | Code::PayerTimeout => Alert {
            title: "The payment was not finished",
            text: "Nothing was charged. Try again whenever you like.",
        },
        Code::IssuerUnavailable | Code::ProcessingError | Code::TryAgainLater => Alert {
            title: "The payment was declined",
            text: "A system on the way could not be reached. Nothing was charged: try again in a moment.",
        },
        _ => Alert {
            title: "The card was declined",
            text: "Nothing was charged. Use another card, or ask your bank.",
        },
    }
}

/// A form that was filled in right.
struct Typed {
    card: Card,
}

impl Typed {
    /// Reads the form. The digits are looked up and dropped here; an answer never holds them.
    fn read(body: &[u8], cards: &dyn CardTable, now: Timestamp) -> Result<Self, (Wrong, Kept)> {
        let form = form::parse(body).unwrap_or_default();
        let field = |name: &str| {
            form.iter()
                .find(|(known, _)| known == name)
                .map_or("", |(_, node)| match node {
                    Node::Text(text) => text.trim(),
                    Node::Table(_) => "",
                })
        };
        let card = cards.by_number(field("number"));
        let wrong = Wrong {
            number: match (field("number"), &card) {
                ("", _) => Some("Enter the card number."),
                (_, None) => Some("This is not a test card. This page takes only the test cards below."),
                (_, Some(_)) => None,
            },
            exp: expiry(field("exp"), now).err(),
            cvc: {
                let digits = field("cvc");
                let fits = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
                (!fits).then_some("Enter the 3 or 4 digits of the security code.")
            },
        };
        match card {
            Some(card) if wrong.exp.is_none() && wrong.cvc.is_none() => Ok(Self { card }),
            Some(_) | None => {
                let kept =
                    |text: &str, most: usize| text.chars().filter(|letter| !letter.is_control()).take(most).collect();
                Err((
                    wrong,
                    Kept {
                        exp: kept(field("exp"), 9),
                        name: kept(field("name"), NAME_CHARS_MAX),
                    },
                ))
            }
        }
    }
}

/// Month and year, as people write them: `12/34`, `12 / 2034`, `1234`.
fn expiry(text: &str, now: Timestamp) -> Result<(u8, i16), &'static str> {
    const WRONG: &str = "Enter month and year, such as 08 / 30.";
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let odd = text
        .chars()
        .any(|letter| !(letter.is_ascii_digit() || matches!(letter, ' ' | '/' | '-')));
    if odd || !matches!(digits.len(), 3..=6) {
        return Err(WRONG);
    }
    let by_hand = text.split(['/', '-']).map(str::trim).collect::<Vec<_>>();
    let (month, year) = match by_hand.as_slice() {
        [month, year] => (*month, *year),
        _ => digits.split_at(2),
    };
    let month: u8 = month
        .parse()
        .ok()
        .filter(|month| (1..=12).contains(month))
        .ok_or(WRONG)?;
    let year: i16 = match (year.len(), year.parse::<i16>()) {
        (2, Ok(year)) => 2_000 + year,
        (4, Ok(year)) => year,
        (_, _) => return Err(WRONG),
    };
    match cards::valid(month.into(), year.into(), now) {
        Ok(()) => Ok((month, year)),
        Err(Undue::Month | Undue::Year) => Err("This date is not in the future."),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::cards::tests::Table;
    use super::*;

    /// 21 November 2026.
    const NOW: Timestamp = Timestamp::from_millis(1_795_219_200_000);

    #[test]
    fn people_write_dates_in_many_ways() {
        for (text, read) in [
            ("12/34", (12, 2034)),
            ("12 / 34", (12, 2034)),
            ("1/30", (1, 2030)),
            ("08-2031", (8, 2031)),
            ("1234", (12, 2034)),
            ("11/26", (11, 2026)),
        ] {
            assert_eq!(expiry(text, NOW), Ok(read), "{text}");
        }
        for text in [
            "", "13/30", "0/30", "10/26", "12", "12/3", "ab/cd", "12/34/56", "12/99", "12.34",
        ] {
            assert!(expiry(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn digits_become_a_name_and_are_not_given_back() {
        let form = |number: &str, exp: &str, cvc: &str| format!("number={number}&exp={exp}&cvc={cvc}&name=Jenny");
        let read = |text: String| Typed::read(text.as_bytes(), &Table, NOW).map(|typed| typed.card.name);
        assert_eq!(read(form("11+11", "12/34", "123")).ok(), Some("card_visa"));
        let (wrong, kept) = read(form("9999", "12/34", "123")).unwrap_err();
        assert!(wrong.number.is_some_and(|text| text.contains("test card")) && wrong.exp.is_none());
        assert_eq!((kept.exp.as_str(), kept.name.as_str()), ("12/34", "Jenny"));
        let (wrong, _) = read(form("1111", "12/20", "12x")).unwrap_err();
        assert!(wrong.number.is_none() && wrong.exp.is_some() && wrong.cvc.is_some());
        assert!(read("number[a]=1".to_owned()).is_err() && read("%".to_owned()).is_err());
    }

    #[test]
    fn a_payer_is_not_told_why_where_that_helps_a_thief() {
        for code in [
            Code::InsufficientFunds,
            Code::LostCard,
            Code::StolenCard,
            Code::SuspectedFraud,
            Code::DoNotHonor,
        ] {
            let alert = alert_of(Some(code), Unpaid::Untouched).unwrap();
            assert!(alert.title.contains("declined"), "{code:?}");
            assert!(
                !alert.text.contains("funds") && !alert.text.contains("stolen"),
                "{code:?}"
            );
        }
    }
}
