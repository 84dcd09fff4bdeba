//! What the API answers: the machine's state in public words (`order-machine.md` 12). Computed, never stored.

use std::sync::Arc;

use florin_core::id::{ConnectionId, CustomerId, OrderId, Part, PartId};
use florin_core::money::Currency;
use florin_core::order::Order;
use florin_core::rail::Action;
use florin_core::status;
use florin_core::time::Timestamp;
use florin_services::view::{Details, View};
use florin_store::Mode;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::params::Params;
use crate::Rails;
use crate::lists::Room;
use crate::problem::Problem;

/// A moment as RFC 3339 in UTC, always with three decimals of a second: such texts sort as the moments do.
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_| at.millis().to_string(), |at| format!("{at:.3}"))
}

/// An order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderShape {
    /// Its id.
    #[schema(value_type = String, example = "ord_01ka3x6g7hfzq8v9w2y4m5n6p7")]
    pub id: OrderId,
    /// `order`.
    pub object: &'static str,
    /// `test` or `live`.
    pub mode: &'static str,
    /// Your own name for it.
    #[schema(example = "A-17")]
    pub reference: String,
    /// What is due, in minor units.
    #[schema(example = 1099)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String, example = "EUR")]
    pub currency: Currency,
    /// `payment`, `verify` or `credit`.
    pub kind: &'static str,
    /// `at_once`, `later` or `at`.
    pub capture: &'static str,
    /// Where it stands.
    #[schema(example = "captured")]
    pub payment_order_status: &'static str,
    /// Whether nobody knows yet how something of it ended. Never charge again while this is true.
    pub uncertain: bool,
    /// Whether goods may go out.
    pub deliverable: bool,
    /// Held or taken at the approval.
    pub amount_authorized: i64,
    /// What can be captured now.
    pub amount_capturable: i64,
    /// What was taken.
    pub amount_captured: i64,
    /// What was given back.
    pub amount_refunded: i64,
    /// What is on its way back.
    pub amount_refund_pending: i64,
    /// What the payer's bank disputes, or won.
    pub amount_disputed: i64,
    /// What the payer's bank took back.
    pub amount_returned: i64,
    /// `open`, `won` or `lost`.
    #[schema(required)]
    pub dispute_status: Option<&'static str>,
    /// What needs a person: `stuck_reversal`, `amount_mismatch`, `uncertain_long`, `nobody_to_ask`.
    pub attention: Vec<&'static str>,
    /// What the payer must do now.
    #[schema(required)]
    pub next_action: Option<ActionShape>,
    /// The newest attempt.
    #[schema(required)]
    pub last_attempt: Option<AttemptShape>,
    /// The customer.
    #[schema(required, value_type = Option<String>)]
    pub customer: Option<CustomerId>,
    /// What the payer reads.
    #[schema(required)]
    pub description: Option<String>,
    /// Your own names and values.
    #[schema(value_type = BTreeMap<String, String>)]
    pub metadata: Metadata,
    /// Where the payer goes afterwards.
    #[schema(required)]
    pub return_url: Option<String>,
    /// The end of the pay window.
    pub expires_at: String,
    /// When it was made.
    pub created_at: String,
    /// Counts its events.
    pub version: u32,
    /// The capture that the call made which is answered; in answers to `/capture` alone. Others may capture the same order meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub capture_made: Option<StepShape>,
}

/// An order's own names and values, written from where the order keeps them.
#[derive(Clone, Debug)]
pub struct Metadata(Arc<Details>);

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.metadata.serialize(to)
    }
}

/// What the payer must do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ActionShape {
    /// Send the payer to this address.
    Redirect {
        /// The address.
        url: String,
    },
}

/// One try to pay an order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AttemptShape {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PartId,
    /// `attempt`.
    pub object: &'static str,
    /// The order.
    #[schema(value_type = String)]
    pub order: OrderId,
    /// `processing`, `requires_action`, `succeeded`, `declined`, `canceled` or `reversed`.
    pub status: &'static str,
    /// Whether nobody knows yet how it ended.
    pub uncertain: bool,
    /// The method, as the call named it.
    pub method: String,
    /// The connection it ran over.
    #[schema(value_type = String)]
    pub connection: ConnectionId,
    /// The provider.
    pub rail: String,
    /// How much, in minor units.
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// Why it was declined.
    #[schema(required)]
    pub decline: Option<DeclineShape>,
    /// What the payer must do now.
    #[schema(required)]
    pub next_action: Option<ActionShape>,
    /// The provider's own name for it.
    #[schema(required)]
    pub provider_reference: Option<String>,
    /// When it was started.
    pub created_at: String,
}

/// A decline.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeclineShape {
    /// For programs: `insufficient_funds`, …
    pub code: &'static str,
    /// What may be done: `hard`, `soft`, `action`, `data` or `tech`.
    pub class: String,
    /// For the merchant. A payer is told "declined" and no more.
    pub message: &'static str,
}

/// A capture, void or refund.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepShape {
    /// Its id.
    #[schema(value_type = String)]
    pub id: PartId,
    /// `capture`, `void` or `refund`.
    pub object: &'static str,
    /// The order.
    #[schema(value_type = String)]
    pub order: OrderId,
    /// How much, in minor units.
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// `processing`, `succeeded`, `failed` or `returned`.
    pub status: &'static str,
    /// Whether nobody knows yet how it ended.
    pub uncertain: bool,
    /// Why the provider refused.
    #[schema(required)]
    pub decline: Option<DeclineShape>,
    /// When it was started.
    pub created_at: String,
}

/// Mode as a word.
pub fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Test => "test",
        Mode::Live => "live",
    }
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The items.
    pub data: Vec<T>,
    /// Whether there are more after the last one.
    pub has_more: bool,
}

impl<T: Serialize> List<T> {
    /// A page of at most `limit` of these items, and of as many bytes as a page may have; there is one more if there are more.
    pub fn page(items: impl IntoIterator<Item = T>, limit: u32) -> Self {
        let mut filling = Filling::of(limit);
        for item in items {
            if !filling.add(item) {
                break;
            }
        }
        filling.done()
    }

    /// The page that was asked for out of everything there is, newest first.
    pub fn of_all(all: Vec<T>, params: &Params, id_of: impl Fn(&T) -> String) -> Result<Self, Problem> {
        let limit = params.limit()?;
        let Some(after) = params.text("after") else {
            return Ok(Self::page(all, limit));
        };
        let Some(at) = all.iter().position(|item| id_of(item) == after) else {
            return Err(Problem::new("not_found", format!("`{after}` is not in this list"))
                .at("after")
                .fix("send the last id of the page before, or leave out `after` to begin again"));
        };
        Ok(Self::page(all.into_iter().skip(at + 1), limit))
    }
}

/// A page while it is filled.
pub(super) struct Filling<T> {
    room: Room,
    page: List<T>,
}

impl<T: Serialize> Filling<T> {
    /// For at most so many items.
    pub(super) fn of(limit: u32) -> Self {
        let page = List {
            data: Vec::new(),
            has_more: false,
        };
        Self {
            room: Room::of(limit as usize),
            page,
        }
    }

    /// Adds the next item, if there is room for it. When there is none, the page is full.
    pub(super) fn add(&mut self, item: T) -> bool {
        if self.room.takes(&item) {
            self.page.data.push(item);
        } else {
            self.page.has_more = true;
        }
        !self.page.has_more
    }

    pub(super) fn is_full(&self) -> bool {
        self.page.has_more
    }

    pub(super) fn is_empty(&self) -> bool {
        self.page.data.is_empty()
    }

    pub(super) fn done(self) -> List<T> {
        self.page
    }

    /// There may be more than was looked at.
    pub(super) fn cut_short(mut self) -> List<T> {
        self.page.has_more = true;
        self.page
    }
}

impl OrderShape {
    /// The order as it stood.
    pub fn of(view: &View, rails: Rails) -> Self {
        let (order, details) = (&view.order, &view.details);
        let amounts = status::amounts(order);
        let last_attempt = status::attempts(order).pop();
        let last_attempt = last_attempt.map(|attempt| AttemptShape::of(view, &attempt, rails));
        let action = order
            .running()
            .and(last_attempt.as_ref())
            .and_then(|attempt| attempt.next_action.clone());
        Self {
            id: order.id,
            object: "order",
            mode: mode_word(view.tenant.mode),
            reference: view.reference.clone(),
            amount: order.due.minor(),
            currency: order.due.currency(),
            kind: kind_word(order),
            capture: capture_word(order),
            payment_order_status: status::word(order).as_str(),
            uncertain: status::uncertain(order),
            deliverable: status::deliverable(order),
            amount_authorized: amounts.authorized.minor(),
            amount_capturable: amounts.capturable.minor(),
            amount_captured: amounts.captured.minor(),
            amount_refunded: amounts.refunded.minor(),
            amount_refund_pending: amounts.refund_pending.minor(),
            amount_disputed: amounts.disputed.minor(),
            amount_returned: amounts.returned.minor(),
            dispute_status: status::dispute_status(order).map(florin_core::order::Verdict::as_str),
            attention: status::attention(order)
                .into_iter()
                .map(status::Attention::as_str)
                .collect(),
            next_action: action,
            last_attempt,
            customer: details.customer,
            description: details.description.clone(),
            metadata: Metadata(Arc::clone(details)),
            return_url: details.return_url.clone(),
            expires_at: rfc3339(order.terms.expires_at),
            created_at: rfc3339(order.created_at),
            version: order.version,
            capture_made: None,
        }
    }
}

impl AttemptShape {
    /// Every attempt, oldest first.
    pub fn all(view: &View, rails: Rails) -> Vec<Self> {
        let all = status::attempts(&view.order);
        all.iter().map(|attempt| Self::of(view, attempt, rails)).collect()
    }

    fn of(view: &View, attempt: &status::AttemptView<'_>, rails: Rails) -> Self {
        let order = view.order.id;
        Self {
            id: PartId {
                kind: Part::Attempt,
                order,
                number: attempt.number.into(),
            },
            object: "attempt",
            order,
            status: attempt.status.as_str(),
            uncertain: attempt.uncertain,
            method: attempt.plan.method.clone(),
            connection: attempt.plan.connection,
            rail: attempt.plan.rail.clone(),
            amount: attempt.plan.amount.minor(),
            currency: attempt.plan.amount.currency(),
            decline: attempt.decline.map(DeclineShape::of),
            next_action: attempt.action.map(|(_, action)| ActionShape::of(action)),
            provider_reference: provider_reference(view, attempt.number, &attempt.plan.rail, rails),
            created_at: rfc3339(attempt.started_at),
        }
    }
}

/// The most telling of the provider's ids: the first in the rail's own list that was learned.
fn provider_reference(view: &View, attempt: u8, rail: &str, rails: Rails) -> Option<String> {
    let memo = view.memos.get(&attempt)?;
    let table = rails
        .iter()
        .map(|known| known.table())
        .find(|table| table.name == rail)?;
    table.refs.iter().find_map(|name| memo.get(*name).cloned())
}

impl ActionShape {
    fn of(action: &Action) -> Self {
        match action {
            Action::Redirect { url } => Self::Redirect { url: url.clone() },
        }
    }
}

impl DeclineShape {
    fn of(decline: &florin_core::decline::Decline) -> Self {
        use florin_core::decline::Retry;
        let class = match decline.class {
            Retry::Hard => "hard",
            Retry::Soft => "soft",
            Retry::Action => "action",
            Retry::Data => "data",
            Retry::Tech => "tech",
            Retry::Unknown => "unknown",
        };
        Self {
            code: decline.code.word(),
            class: class.to_owned(),
            message: decline.code.text(),
        }
    }
}

impl StepShape {
    /// Captures, oldest first.
    pub fn captures(view: &View) -> Vec<Self> {
        Self::all(view, "capture", Part::Capture, status::captures(&view.order))
    }

    /// Voids, oldest first.
    pub fn voids(view: &View) -> Vec<Self> {
        Self::all(view, "void", Part::Void, status::voids(&view.order))
    }

    /// Refunds, oldest first.
    pub fn refunds(view: &View) -> Vec<Self> {
        Self::all(view, "refund", Part::Refund, status::refunds(&view.order))
    }

    fn all(view: &View, object: &'static str, kind: Part, steps: Vec<status::StepView<'_>>) -> Vec<Self> {
        let order = view.order.id;
        let shape = |step: status::StepView<'_>| Self {
            id: PartId {
                kind,
                order,
                number: step.index.into(),
            },
            object,
            order,
            amount: step.amount.minor(),
            currency: step.amount.currency(),
            status: step.status.as_str(),
            uncertain: step.uncertain,
            decline: step.decline.map(DeclineShape::of),
            created_at: rfc3339(step.asked_at),
        };
        steps.into_iter().map(shape).collect()
    }
}

fn kind_word(order: &Order) -> &'static str {
    use florin_core::order::Kind;
    match order.terms.kind {
        Kind::Payment => "payment",
        Kind::Verify => "verify",
        Kind::Credit => "credit",
    }
}

fn capture_word(order: &Order) -> &'static str {
    use florin_core::order::CaptureAt;
    match order.terms.capture {
        CaptureAt::Once => "at_once",
        CaptureAt::Later => "later",
        CaptureAt::At(_) => "at",
    }
}

/// What comes after the item of this id.
pub(super) fn rest<T>(items: Vec<T>, id: &str, id_of: impl Fn(&T) -> &String) -> Vec<T> {
    items.into_iter().skip_while(|item| id_of(item) != id).skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_sort_as_text_as_they_do_in_time() {
        let said = [0, 120, 125, 1_000].map(|millis| rfc3339(Timestamp::from_millis(1_763_797_000_000 + millis)));
        assert!(said.is_sorted(), "{said:?}");
        assert_eq!(said[1], "2025-11-22T07:36:40.120Z");
    }

    #[test]
    fn a_page_of_everything_begins_behind_the_id_that_was_named() {
        let all = || ["c", "b", "a"].map(str::to_owned).to_vec();
        let page = |query: &str| {
            let params = Params::read(Some(query), &[]).unwrap();
            List::of_all(all(), &params, String::clone).map(|list| (list.data.concat(), list.has_more))
        };
        assert_eq!(page("").unwrap(), ("cba".to_owned(), false));
        assert_eq!(page("limit=2").unwrap(), ("cb".to_owned(), true));
        assert_eq!(page("limit=2&after=b").unwrap(), ("a".to_owned(), false));
        assert_eq!(page("after=a").unwrap(), (String::new(), false));
        assert_eq!(page("after=x").unwrap_err().code, "not_found");
    }
}
