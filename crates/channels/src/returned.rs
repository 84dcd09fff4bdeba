//! Where payers come back to from a provider's page: `GET /return/{token}`. It asks how things stand; it never marks anything paid.
//!
//! The token is the order's own letters and 128 random bits behind them, so that the order is found without an index and the page opens
//! for nobody who guesses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use florin_core::id::OrderId;
use florin_core::order::Order;
use florin_core::status::{self, Word};
use florin_core::time::Timestamp;
use florin_services::ask::{Answered, Ask, Denied, State as Stands, What};
use florin_services::dice;
use florin_services::view::View;
use florin_store::{Tenant, Wanted};
use subtle::ConstantTimeEq;

use crate::Doors;
use crate::api::says_to_payer;
use crate::problem::Problem;
use crate::stripe_compat::written;

/// Parameters that are passed on to the rail; more is hostile.
const PARAMS_MAX: usize = 32;
/// Longest name and longest value of one, in bytes.
const PARAM_NAME_BYTES_MAX: usize = 128;
const PARAM_VALUE_BYTES_MAX: usize = 2_048;
/// Letters of an order's id behind its prefix.
const ORDER_LETTERS: usize = 26;
/// After how many seconds a page that says "wait" looks again.
const WAIT_S: &str = "3";

/// A new token that opens the payer's side of an order.
pub fn token_of(order: OrderId) -> String {
    format!(
        "{}{}",
        order.to_string().trim_start_matches("ord_"),
        dice::token::<16>()
    )
}

/// The order that a token opens, if it opens one.
pub async fn opened_by(doors: &Doors, token: &str) -> Result<std::sync::Arc<View>, Problem> {
    let unknown = || Problem::from(Denied::NotFound);
    let (letters, _) = token.split_at_checked(ORDER_LETTERS).ok_or_else(unknown)?;
    let order: OrderId = format!("ord_{letters}").parse().map_err(|_| unknown())?;
    let found = doors
        .store
        .load(&Wanted {
            orders: vec![order],
            ..Wanted::default()
        })
        .await?;
    let tenant = found.orders.first().map(|row| row.tenant).ok_or_else(unknown)?;
    let view = doors.engine.view(tenant, order).await?;
    let right = view.details.page_token.as_deref().unwrap_or_default();
    if !right.is_empty() && bool::from(right.as_bytes().ct_eq(token.as_bytes())) {
        Ok(view)
    } else {
        Err(unknown())
    }
}

/// What a payer's browser brings from the provider's page: hostile input.
pub(crate) fn params_of(query: Option<String>) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .take(PARAMS_MAX)
        .filter(|(name, value)| name.len() <= PARAM_NAME_BYTES_MAX && value.len() <= PARAM_VALUE_BYTES_MAX)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// The payer left the attempt that the address names.
pub(crate) fn leaves(view: &View, params: &BTreeMap<String, String>) -> What {
    match params.get("left").and_then(|number| number.parse().ok()) {
        Some(attempt) => What::Leave {
            order: view.order.id,
            attempt,
        },
        None => What::leave(view),
    }
}

/// The payer is back: tells the engine, and sends them on to the merchant.
pub(crate) async fn back(
    State(doors): State<Doors>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = params_of(query);
    let view = match opened_by(&doors, &token).await {
        Ok(view) => view,
        Err(problem) if problem.status == 404 => return Ok(nothing_here()),
        Err(problem) => return Err(problem),
    };
    let (tenant, order) = (view.tenant, view.order.id);
    let left = params.contains_key("left");
    // Whatever the engine says (it may be over, or busy), the payer goes on: the merchant's page shows how it stands.
    let heard = if left {
        tell(&doors, &view, leaves(&view, &params)).await
    } else {
        is_back(&doors, &view, params).await
    };
    let details = &view.details;
    let target = if left {
        details.cancel_url.as_ref().or(details.return_url.as_ref())
    } else {
        details.return_url.as_ref()
    };
    match target.and_then(|url| url::Url::parse(url).ok()) {
        Some(mut url) => {
            url.query_pairs_mut().append_pair("order", &order.to_string());
            Ok(Redirect::to(url.as_str()).into_response())
        }
        None => Ok(said(&doors, tenant, order, heard).await?),
    }
}

/// The payer is back with these parameters: has the provider asked how the payment stands, unless the same return had it asked a moment ago.
/// Answers whether that question came to its end.
pub(crate) async fn is_back(doors: &Doors, view: &View, params: BTreeMap<String, String>) -> bool {
    let order = view.order.id;
    let attempt = view.order.running().map_or(0, |attempt| attempt.number);
    let returns = &doors.0.returns;
    if let Some(heard) = returns.asked((order, attempt), &params, doors.engine.now()) {
        return heard;
    }
    let heard = tell(doors, view, What::Back { order, params }).await;
    returns.ended((order, attempt), heard);
    heard
}

/// Tells the engine what a payer did. Answers whether what that asks came to its end.
pub(crate) async fn tell(doors: &Doors, view: &View, what: What) -> bool {
    let ask = Ask {
        tenant: view.tenant,
        key: None,
        what,
    };
    let answer = doors.engine.ask(ask).await;
    let heard = is_heard(&answer);
    if let Err(denied) = answer {
        tracing::debug!(order = %view.order.id, %denied, "what a payer did changed nothing");
    }
    heard
}

/// For how long a page that a payer loads again shows what the question of the first time found, and asks nothing.
const RETURN_AGAIN_S: i64 = 5;
/// Returns with other parameters each that are asked about within that time: a challenge and the page behind it are two.
const RETURNS_ASKED_MAX: u8 = 4;
/// Returns that are remembered. When there are more within [`RETURN_AGAIN_S`], the provider is asked.
const RETURNS_KEPT_MAX: usize = 10_000;

/// Payers who came back a moment ago. Each node has its own.
#[derive(Default)]
pub(crate) struct Returns(Mutex<Lately>);

/// Whose return it is: the order and its attempt.
type Whose = (OrderId, u8);

#[derive(Default)]
struct Lately {
    known: HashMap<Whose, Return>,
    /// When they came, oldest first.
    since: VecDeque<(Timestamp, Whose)>,
}

struct Return {
    asked: u8,
    /// What stands for the parameters.
    params: [u8; 32],
    heard: bool,
}

impl Returns {
    /// What the question of this return found, if it was put a moment ago; if not, it is put now.
    fn asked(&self, whose: Whose, params: &BTreeMap<String, String>, now: Timestamp) -> Option<bool> {
        let params = fingerprint(params);
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Lately { known, since } = &mut *lately;
        // A moment that the clock went back behind is over too.
        let over = |came: &Timestamp| !(0..RETURN_AGAIN_S * 1_000).contains(&now.millis_since(*came));
        while let Some((_, gone)) = since.pop_front_if(|(came, _)| over(came)) {
            known.remove(&gone);
        }
        if let Some(known) = known.get_mut(&whose) {
            if known.params == params || known.asked >= RETURNS_ASKED_MAX {
                return Some(known.heard);
            }
            known.asked += 1;
            known.params = params;
            known.heard = false;
            return None;
        }
        if known.len() < RETURNS_KEPT_MAX {
            let new = Return {
                asked: 1,
                params,
                heard: false,
            };
            known.insert(whose, new);
            since.push_back((now, whose));
        }
        None
    }

    fn ended(&self, whose: Whose, heard: bool) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lately.known.get_mut(&whose) {
            known.heard = heard;
        }
    }
}

fn fingerprint(params: &BTreeMap<String, String>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for text in params.iter().flat_map(|(name, value)| [name, value]) {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let mut print = [0; 32];
    print.copy_from_slice(context.finish().as_ref());
    print
}

/// Whether the question that a payer's return asks has come to its end. If it has not, nobody knows yet whether they paid.
fn is_heard(answer: &Result<Answered, Denied>) -> bool {
    match answer {
        Ok(answered) => answered.state == Stands::Over,
        Err(Denied::Refused { .. }) => true,
        Err(_) => false,
    }
}

/// What may be said about the money of an order that is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpaid {
    /// None came in, and none is under way.
    Untouched,
    /// A step is under way, or nobody knows how one stands.
    Open,
    /// Some came in and went back.
    WentBack,
    /// Some may have come in, and a person has to look.
    Odd,
}

impl Unpaid {
    pub(crate) fn of(order: &Order) -> Self {
        if !order.in_flight().is_empty() {
            Self::Open
        } else if !status::attention(order).is_empty() {
            Self::Odd
        } else if order.attempts().any(|(_, attempt)| attempt.taken() > 0) {
            Self::WentBack
        } else {
            Self::Untouched
        }
    }

    /// What stands above those words where payers are who came back without having paid, as far as anybody knows.
    pub(crate) fn headline(self) -> &'static str {
        match self {
            Self::Untouched => "You have not paid",
            Self::Open => "The payment is not finished",
            Self::WentBack | Self::Odd => "The payment did not count",
        }
    }

    /// In words for payers.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Untouched => "Nothing was charged.",
            Self::Open => {
                "An earlier try to pay is still being looked into: please do not pay again before you hear of it."
            }
            Self::WentBack => "What was charged went back the way it came. Banks take a few days to show it.",
            Self::Odd => "If money has left your account, ask for it: somebody has to look at this payment.",
        }
    }
}

/// Has a page that says "wait" look again by itself.
pub(crate) fn looking_again(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::REFRESH, HeaderValue::from_static(WAIT_S));
    response
}

/// What a payer reads who came back.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// A title and a text.
    Known(&'static str, &'static str),
    /// Nobody knows yet: the page looks again by itself.
    Open,
}

impl Told {
    /// `heard`: the question that the payer's return asked came to its end.
    fn of(order: &Order, heard: bool) -> Self {
        match status::word(order) {
            Word::Captured | Word::Authorized | Word::PartiallyCaptured | Word::Verified => {
                Self::Known("Thank you", "Your payment went through.")
            }
            Word::Processing => Self::Known("Your bank is deciding", "Please do not pay again."),
            Word::PartiallyRefunded | Word::Refunded => {
                Self::Known("Your money is on its way back", "Banks take a few days to show it.")
            }
            Word::RequiresAction if heard => Self::Known(
                "The payment is not finished",
                "No payment has been heard of yet. If you have just paid, do not pay again: load this page again in a moment.",
            ),
            Word::RequiresAction => Self::Open,
            Word::Created | Word::Failed | Word::Canceled | Word::Expired => match Unpaid::of(order) {
                Unpaid::Open => Self::Open,
                unpaid => Self::Known("The payment was not finished", unpaid.text()),
            },
        }
    }
}

/// For payers whom the merchant did not tell where to go.
async fn said(doors: &Doors, tenant: Tenant, order: OrderId, heard: bool) -> Result<Response, Problem> {
    let view = doors.engine.view(tenant, order).await?;
    let merchant = doors.directory.merchant(tenant.merchant);
    let merchant = merchant.as_ref().map_or("the shop", |merchant| merchant.name.as_str());
    let facts = [
        ("Amount", written(view.order.due)),
        ("Reference", view.reference.clone()),
    ];
    let page = |title, text: &str| says_to_payer(StatusCode::OK, Some(merchant), title, text, &facts);
    Ok(match Told::of(&view.order, heard) {
        Told::Known(title, text) => {
            let text = format!("{text} You can close this page: {merchant} tells you what comes next.");
            page(title, &text)
        }
        Told::Open => looking_again(page(
            "We do not know yet how your payment ended",
            "Please do not pay again. This page looks again by itself every few seconds.",
        )),
    })
}

/// For payers whose address was cut short, and for those who guess.
pub(crate) fn nothing_here() -> Response {
    let text = "Check the address, or go back to the shop: it knows how your payment went.";
    says_to_payer(StatusCode::NOT_FOUND, None, "This page does not exist", text, &[])
}

#[cfg(test)]
mod tests {
    use florin_core::decline::{Code, Decline};
    use florin_core::money::{Currency, Money};
    use florin_core::order::{
        Abilities, About, Alarm, Command, End, Fact, Initiator, Phase, Plan, Says, StepKind, StepName, Terms, Why,
    };
    use florin_core::rail::{Action, Instrument};

    use super::*;

    #[test]
    fn nothing_was_charged_is_said_only_where_nobody_has_to_look() {
        let id = OrderId::from_uuid(uuid::Uuid::from_u128(1));
        let due = Money::new(1_099, Currency::EUR);
        let (mut order, _) = Order::open(
            id,
            Terms::payment(due, Timestamp::from_millis(60_000)),
            Timestamp::default(),
        );
        let untouched = Told::Known("The payment was not finished", "Nothing was charged.");
        assert_eq!(Told::of(&order, false), untouched, "nobody began to pay");
        for why in [
            Why::Failed(Some(Decline::new(Code::DoNotHonor))),
            Why::Canceled,
            Why::Expired,
        ] {
            order.phase = Phase::Ended(End {
                why,
                winner: None,
                at: None,
            });
            assert_eq!(Told::of(&order, true), untouched);
        }
        order.alarms.push(Alarm {
            about: About::Step(StepName::authorize(1)),
            said: due,
        });
        let Told::Known(title, text) = Told::of(&order, true) else {
            panic!("it is over")
        };
        assert!(
            title == "The payment was not finished" && !text.contains("Nothing"),
            "{text}"
        );
        assert_eq!(Unpaid::of(&order), Unpaid::Odd);
    }

    /// An order whose first try has been begun over a rail that can do this.
    fn begun(can: Abilities) -> Order {
        let due = Money::new(1_099, Currency::EUR);
        let terms = Terms::payment(due, Timestamp::from_millis(60_000));
        let (mut order, _) = Order::open(
            OrderId::from_uuid(uuid::Uuid::from_u128(1)),
            terms,
            Timestamp::default(),
        );
        let plan = Plan {
            channel: "web".to_owned(),
            method: "hosted".to_owned(),
            instrument: Instrument::Hosted,
            connection: florin_core::id::ConnectionId::from_uuid(uuid::Uuid::from_u128(2)),
            rail: "acme".to_owned(),
            amount: due,
            extras: None,
            initiator: Initiator::Payer,
            can,
        };
        let plan = plan.into();
        tell(&mut order, &Command::Start { number: 1, plan });
        order
    }

    /// Carries out a command, and what the order asks of itself then.
    fn tell(order: &mut Order, command: &Command) {
        let now = Timestamp::default();
        let event = order.decide(command, now).unwrap().expect("something happens");
        order.apply(&event, now);
        while let Some(owed) = order.owed() {
            let event = order.decide(&owed, now).unwrap().expect("what is owed happens");
            order.apply(&event, now);
        }
    }

    fn answer(order: &mut Order, kind: StepKind, says: Says) {
        let open = order.in_flight();
        let step = open.iter().map(|open| open.step).find(|step| step.kind == kind);
        let step = step.unwrap_or_else(|| panic!("{kind:?} is not open"));
        drop(open);
        tell(order, &Command::Fact(Fact::Answer { step, says, note: None }));
    }

    #[test]
    fn what_was_charged_and_went_back_is_not_called_nothing() {
        let mut order = begun(Abilities {
            sale: true,
            reverse: true,
            ..Abilities::default()
        });
        let money = order.due;
        answer(&mut order, StepKind::Authorize, Says::Uncertain);
        tell(&mut order, &Command::Cancel);
        // It had been charged: the order is canceled, so all of it goes back.
        answer(&mut order, StepKind::Reverse, Says::Released { moved: money });
        assert_eq!(Unpaid::of(&order), Unpaid::WentBack);
        let Told::Known(title, text) = Told::of(&order, true) else {
            panic!("it is over")
        };
        assert_eq!(title, "The payment was not finished");
        assert_eq!(
            text,
            "What was charged went back the way it came. Banks take a few days to show it."
        );
    }

    #[test]
    fn a_try_that_was_left_and_may_still_be_paid_is_no_word_that_nothing_was() {
        let mut order = begun(Abilities {
            sale: true,
            ..Abilities::default()
        });
        let action = Action::Redirect {
            url: "https://acme.test/pay".to_owned(),
        };
        answer(&mut order, StepKind::Authorize, Says::Acting { action });
        tell(&mut order, &Command::Leave { attempt: 1 });
        assert_eq!(order.phase, Phase::Created, "it can be paid another way");
        assert_eq!(Unpaid::of(&order), Unpaid::Open);
        assert_eq!(Unpaid::Open.headline(), "The payment is not finished");
        assert_eq!(Told::of(&order, true), Told::Open);
    }

    #[test]
    fn a_return_is_asked_about_once_in_a_moment_and_its_like_are_bounded() {
        let returns = Returns::default();
        let whose = (OrderId::from_uuid(uuid::Uuid::from_u128(1)), 1);
        let at = |ms: i64| Timestamp::from_millis(1_000_000 + ms);
        let with = |word: &str| BTreeMap::from([("result".to_owned(), word.to_owned())]);
        assert_eq!(returns.asked(whose, &with("a"), at(0)), None);
        assert_eq!(
            returns.asked(whose, &with("a"), at(1)),
            Some(false),
            "its question is on the way"
        );
        returns.ended(whose, true);
        assert_eq!(returns.asked(whose, &with("a"), at(4_999)), Some(true));
        assert_eq!(
            returns.asked((whose.0, 2), &with("a"), at(4_999)),
            None,
            "another attempt"
        );
        for word in ["b", "c", "d"] {
            assert_eq!(
                returns.asked(whose, &with(word), at(4_999)),
                None,
                "they say something else"
            );
        }
        assert_eq!(
            returns.asked(whose, &with("e"), at(4_999)),
            Some(false),
            "nobody returns so often"
        );
        assert_eq!(returns.asked(whose, &with("a"), at(5_000)), None, "the moment is over");
        for number in 0..2 * RETURNS_KEPT_MAX as u128 {
            let other = OrderId::from_uuid(uuid::Uuid::from_u128(2 + number));
            assert_eq!(returns.asked((other, 1), &with("a"), at(5_000)), None);
        }
        let kept = || returns.0.lock().unwrap().known.len();
        assert_eq!(kept(), RETURNS_KEPT_MAX);
        assert_eq!(returns.asked((whose.0, 3), &with("a"), at(10_000)), None);
        assert_eq!(kept(), 1, "what is over is forgotten");
        assert_eq!(returns.asked(whose, &with("a"), at(10_000)), None);
        assert_eq!(returns.asked(whose, &with("a"), at(9_000)), None, "the clock went back");
    }

    #[test]
    fn a_token_holds_its_order_and_128_bits_that_nobody_can_guess() {
        let order = OrderId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let (one, two) = (token_of(order), token_of(order));
        assert_ne!(one, two);
        assert_eq!(one.len(), ORDER_LETTERS + 32);
        assert_eq!(format!("ord_{}", &one[..ORDER_LETTERS]), order.to_string());
    }
}
