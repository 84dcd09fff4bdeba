//! What happened to an order. Events are for ever: each kind has a name and a version, and every version that was ever written is read.
//!
//! A stored event is one JSON object, `{"v":1,"k":"approved","attempt":1,…}`. A kind is changed by raising its number in
//! [`Event::version`] and teaching [`read`] to lift the old shape; `golden/events/` holds every shape there was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decline::Decline;
use crate::id::OrderId;
use crate::money::Money;
use crate::order::{About, FactKey, HoldEnd, Leaving, Order, Plan, StepName, Terms, Verdict};
use crate::rail::Action;
use crate::time::Timestamp;

/// One change of an order. Amounts are what was said or asked; [`Order::apply`] and the ledger work out what that moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum Event {
    /// The order was made.
    Created {
        /// Its name.
        order: OrderId,
        /// What it is for.
        terms: Terms,
    },
    /// A person looked something up and reported it: what that brought about. Its version is that of the event within.
    Resolved {
        /// Who, and where they saw it.
        note: String,
        /// What happened by it.
        event: Box<Event>,
    },
    /// What it is for was described anew.
    Described,
    /// Another amount is due.
    Amended {
        /// What is due now.
        due: Money,
    },
    /// The merchant canceled it before an attempt ran.
    Canceled,
    /// The pay window ended.
    WindowOver,
    /// An attempt was started: its authorise step goes to the rail.
    Started {
        /// The attempt's number.
        attempt: u8,
        /// How.
        plan: Arc<Plan>,
    },
    /// Any other step was started.
    StepStarted {
        /// The step.
        step: StepName,
        /// How much.
        amount: Money,
        /// A capture: the last one. A refund: of a surplus.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// The payer must act.
    Acting {
        /// The attempt.
        attempt: u8,
        /// The how-manieth action.
        number: u16,
        /// What to do.
        action: Action,
    },
    /// The payer did what was asked.
    Continued {
        /// The attempt.
        attempt: u8,
        /// The action.
        number: u16,
    },
    /// Somebody wants the attempt to be over.
    Leaving {
        /// The attempt.
        attempt: u8,
        /// Who, and what then.
        why: Leaving,
    },
    /// The payer left and the rail cannot cancel: the attempt is over for us, and watched.
    LeftStray {
        /// The attempt.
        attempt: u8,
    },
    /// A stray was watched for long enough.
    StrayQuiet {
        /// The attempt.
        attempt: u8,
    },
    /// The provider takes its time over a step, and said so.
    Pending {
        /// The step.
        step: StepName,
    },
    /// Nobody knows how a step stands.
    Uncertain {
        /// The step.
        step: StepName,
    },
    /// A step was uncertain for too long: a person must look.
    UncertainLong {
        /// The step.
        step: StepName,
    },
    /// Nobody can be asked about a step: a person must look.
    Stuck {
        /// The step.
        step: StepName,
        /// Words for that person.
        why: String,
    },
    /// Something was said that no rule explains: a person must look.
    Alarmed {
        /// What it is about.
        about: About,
        /// The money that was stated.
        said: Money,
    },
    /// A person looked at what rang an alarm, and it is as we have it.
    Settled {
        /// The step; an authorise step stands for everything about its attempt.
        step: StepName,
    },
    /// The attempt won: held, or taken at once.
    Approved {
        /// The attempt.
        attempt: u8,
        /// How much.
        amount: Money,
        /// Held until then; none: taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HoldEnd>,
    },
    /// A success was heard during an undo of ours, or after it: booked, not adopted.
    Seen {
        /// The attempt.
        attempt: u8,
        /// How much.
        amount: Money,
        /// Held until then; none: taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HoldEnd>,
    },
    /// A success that nobody wants any more: booked, and to be reversed.
    Unwanted {
        /// The attempt.
        attempt: u8,
        /// How much.
        amount: Money,
        /// Held until then; none: taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<HoldEnd>,
    },
    /// What was booked in suspense pays the order after all.
    Adopted {
        /// The attempt.
        attempt: u8,
    },
    /// Money came in by itself (push rails), toward an attempt.
    Received {
        /// The attempt.
        attempt: u8,
        /// The provider's id, if it came as a fact of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// How much.
        amount: Money,
    },
    /// Money came in once more for an attempt that was paid: it becomes an attempt of its own, born as a stray.
    Unasked {
        /// The number of the new attempt.
        attempt: u8,
        /// The attempt that was paid.
        of: u8,
        /// The provider's id.
        id: String,
        /// How much.
        amount: Money,
    },
    /// A known no about a step.
    Declined {
        /// The step.
        step: StepName,
        /// Why.
        decline: Decline,
    },
    /// An attempt is undone: by a cancel or reversal of ours, or by the rail itself.
    Undone {
        /// The cancel, the reversal, or the authorise step.
        step: StepName,
        /// What moved back; zero if nothing stood.
        moved: Money,
    },
    /// Our deadline for the hold has passed.
    HoldOver,
    /// The moment of the terms to capture has come.
    CaptureDue,
    /// Money that was held is taken.
    Captured {
        /// The capture.
        step: StepName,
        /// How much.
        amount: Money,
    },
    /// The hold is given back.
    Voided {
        /// The void.
        step: StepName,
    },
    /// More is held, or for longer.
    Increased {
        /// The increment.
        step: StepName,
        /// How much more.
        amount: Money,
        /// The new end, if the rail said one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Money is back with the payer.
    Refunded {
        /// The refund.
        step: StepName,
        /// How much.
        amount: Money,
    },
    /// What a step had moved was taken back.
    TakenBack {
        /// The step.
        step: StepName,
        /// How much, in all.
        amount: Money,
    },
    /// The hold is gone at the rail.
    HoldGone {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
    },
    /// Nothing of the hold is left.
    HoldClosed,
    /// Captured at the provider's console.
    CapturedElsewhere {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
        /// How much.
        amount: Money,
    },
    /// Voided at the provider's console.
    VoidedElsewhere {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
        /// How much.
        amount: Money,
    },
    /// Refunded at the provider's console.
    RefundedElsewhere {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
        /// How much.
        amount: Money,
    },
    /// A refund made at the provider's console failed after all. Nothing moves if that refund was never heard of.
    RefundBackElsewhere {
        /// The attempt.
        attempt: u8,
        /// The provider's id of the refund.
        id: String,
        /// How much.
        amount: Money,
    },
    /// Taken back by the payer's bank.
    Returned {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
        /// How much.
        amount: Money,
    },
    /// A dispute was opened, won or lost.
    Disputed {
        /// The attempt.
        attempt: u8,
        /// The provider's id of the dispute.
        id: String,
        /// How it stands now.
        verdict: Verdict,
        /// How much it is about, or how much was lost.
        amount: Money,
    },
    /// The provider charged for something; below zero: it gave a charge back.
    Fee {
        /// The attempt.
        attempt: u8,
        /// The provider's id.
        id: String,
        /// How much, in the currency in which it is charged.
        amount: Money,
    },
}

/// Why stored bytes are no event.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not JSON, or not the shape of its kind.
    #[error("an event cannot be read: {0}")]
    Shape(#[from] serde_json::Error),
    /// Written by a newer release.
    #[error(
        "event `{kind}` has version {version}, and this release reads up to {known}: start the release that wrote it"
    )]
    Newer {
        /// Its kind.
        kind: &'static str,
        /// What was written.
        version: u16,
        /// What is known here.
        known: u16,
    },
}

#[derive(Deserialize)]
struct Stored {
    v: u16,
    #[serde(flatten)]
    event: Event,
}

/// Room for an event of common size.
const EVENT_BYTES: usize = 512;

/// The event as it is stored, for ever.
pub fn stored(event: &Event) -> String {
    let mut text = Vec::with_capacity(EVENT_BYTES);
    store(event, &mut text);
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Writes the event as it is stored behind what is there: its version, then its own members.
pub fn store(event: &Event, to: &mut Vec<u8>) {
    to.extend_from_slice(b"{\"v\":");
    serde_json::to_writer(&mut *to, &event.version()).expect("a number is JSON, and a vector takes all");
    let own = to.len();
    serde_json::to_writer(&mut *to, event).expect("an event has string keys and finite numbers");
    // Where its own members begin is the middle of ours.
    to[own] = b',';
}

/// A stored event, of whatever release.
pub fn read(text: &str) -> Result<Event, ReadError> {
    let Stored { v, event } = serde_json::from_str(text)?;
    let known = event.version();
    if v > known {
        return Err(ReadError::Newer {
            kind: event.kind(),
            version: v,
            known,
        });
    }
    Ok(event)
}

impl Event {
    /// The version in which this release writes the kind.
    pub fn version(&self) -> u16 {
        1
    }

    /// What happened, whether a rail or a person said so.
    pub fn plain(&self) -> &Self {
        if let Self::Resolved { event, .. } = self {
            event.plain()
        } else {
            self
        }
    }

    /// The order that this event makes, if it makes one.
    pub(crate) fn opens(&self, at: Timestamp) -> Option<Order> {
        match self {
            Self::Created { order, terms } => Some(Order::open(*order, terms.clone(), at).0),
            Self::Resolved { event, .. } => event.opens(at),
            Self::Described
            | Self::Amended { .. }
            | Self::Canceled
            | Self::WindowOver
            | Self::Started { .. }
            | Self::StepStarted { .. }
            | Self::Acting { .. }
            | Self::Continued { .. }
            | Self::Leaving { .. }
            | Self::LeftStray { .. }
            | Self::StrayQuiet { .. }
            | Self::Pending { .. }
            | Self::Uncertain { .. }
            | Self::UncertainLong { .. }
            | Self::Stuck { .. }
            | Self::Alarmed { .. }
            | Self::Settled { .. }
            | Self::Approved { .. }
            | Self::Seen { .. }
            | Self::Unwanted { .. }
            | Self::Adopted { .. }
            | Self::Received { .. }
            | Self::Unasked { .. }
            | Self::Declined { .. }
            | Self::Undone { .. }
            | Self::HoldOver
            | Self::CaptureDue
            | Self::Captured { .. }
            | Self::Voided { .. }
            | Self::Increased { .. }
            | Self::Refunded { .. }
            | Self::TakenBack { .. }
            | Self::HoldGone { .. }
            | Self::HoldClosed
            | Self::CapturedElsewhere { .. }
            | Self::VoidedElsewhere { .. }
            | Self::RefundedElsewhere { .. }
            | Self::RefundBackElsewhere { .. }
            | Self::Returned { .. }
            | Self::Disputed { .. }
            | Self::Fee { .. } => None,
        }
    }

    /// The word under which it is stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Resolved { .. } => "resolved",
            Self::Described => "described",
            Self::Amended { .. } => "amended",
            Self::Canceled => "canceled",
            Self::WindowOver => "window_over",
            Self::Started { .. } => "started",
            Self::StepStarted { .. } => "step_started",
            Self::Acting { .. } => "acting",
            Self::Continued { .. } => "continued",
            Self::Leaving { .. } => "leaving",
            Self::LeftStray { .. } => "left_stray",
            Self::StrayQuiet { .. } => "stray_quiet",
            Self::Pending { .. } => "pending",
            Self::Uncertain { .. } => "uncertain",
            Self::UncertainLong { .. } => "uncertain_long",
            Self::Stuck { .. } => "stuck",
            Self::Alarmed { .. } => "alarmed",
            Self::Settled { .. } => "settled",
            Self::Approved { .. } => "approved",
            Self::Seen { .. } => "seen",
            Self::Unwanted { .. } => "unwanted",
            Self::Adopted { .. } => "adopted",
            Self::Received { .. } => "received",
            Self::Unasked { .. } => "unasked",
            Self::Declined { .. } => "declined",
            Self::Undone { .. } => "undone",
            Self::HoldOver => "hold_over",
            Self::CaptureDue => "capture_due",
            Self::Captured { .. } => "captured",
            Self::Voided { .. } => "voided",
            Self::Increased { .. } => "increased",
            Self::Refunded { .. } => "refunded",
            Self::TakenBack { .. } => "taken_back",
            Self::HoldGone { .. } => "hold_gone",
            Self::HoldClosed => "hold_closed",
            Self::CapturedElsewhere { .. } => "captured_elsewhere",
            Self::VoidedElsewhere { .. } => "voided_elsewhere",
            Self::RefundedElsewhere { .. } => "refunded_elsewhere",
            Self::RefundBackElsewhere { .. } => "refund_back_elsewhere",
            Self::Returned { .. } => "returned",
            Self::Disputed { .. } => "disputed",
            Self::Fee { .. } => "fee",
        }
    }

    /// The provider's id under which it is booked once, if it is a fact of its own. Disputes have ranks instead.
    pub(crate) fn books(&self) -> Option<FactKey> {
        use crate::rail::What;
        let (attempt, what, id) = match self {
            Self::Received {
                attempt, id: Some(id), ..
            } => (attempt, What::Received, id),
            Self::Unasked { of, id, .. } => (of, What::Received, id),
            Self::HoldGone { attempt, id } => (attempt, What::HoldGone, id),
            Self::CapturedElsewhere { attempt, id, .. } => (attempt, What::Captured, id),
            Self::VoidedElsewhere { attempt, id, .. } => (attempt, What::Voided, id),
            Self::RefundedElsewhere { attempt, id, .. } => (attempt, What::Refunded, id),
            Self::RefundBackElsewhere { attempt, id, .. } => (attempt, What::RefundBack, id),
            Self::Returned { attempt, id, .. } => (attempt, What::Returned, id),
            Self::Fee { attempt, id, .. } => (attempt, What::Fee, id),
            Self::Resolved { event, .. } => return event.books(),
            Self::Created { .. }
            | Self::Described
            | Self::Amended { .. }
            | Self::Canceled
            | Self::WindowOver
            | Self::Started { .. }
            | Self::StepStarted { .. }
            | Self::Acting { .. }
            | Self::Continued { .. }
            | Self::Leaving { .. }
            | Self::LeftStray { .. }
            | Self::StrayQuiet { .. }
            | Self::Pending { .. }
            | Self::Uncertain { .. }
            | Self::UncertainLong { .. }
            | Self::Stuck { .. }
            | Self::Alarmed { .. }
            | Self::Settled { .. }
            | Self::Approved { .. }
            | Self::Seen { .. }
            | Self::Unwanted { .. }
            | Self::Adopted { .. }
            | Self::Received { id: None, .. }
            | Self::Declined { .. }
            | Self::Undone { .. }
            | Self::HoldOver
            | Self::CaptureDue
            | Self::Captured { .. }
            | Self::Voided { .. }
            | Self::Increased { .. }
            | Self::Refunded { .. }
            | Self::TakenBack { .. }
            | Self::HoldClosed
            | Self::Disputed { .. } => return None,
        };
        Some(FactKey {
            attempt: *attempt,
            what,
            id: id.clone(),
        })
    }
}
