//! What a door may ask of the engine, and what it is answered.
//!
//! `Engine::ask` is the only way in: a click, a merchant's call, a payer's return, a person's word all come through it.

use std::collections::BTreeMap;
use std::sync::Arc;

use florin_core::id::{ConnectionId, OrderId};
use florin_core::money::Money;
use florin_core::order::{CaptureAt, Initiator, Kind, Refusal, Says, StepName};
use florin_core::time::Timestamp;
use florin_store::{IdemKey, Tenant};
use thiserror::Error;

use crate::view::{Details, View};

/// One request to the engine.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose orders it may touch.
    pub tenant: Tenant,
    /// The caller's idempotency key with the hash of its request.
    pub key: Option<IdemKey>,
    /// What is asked.
    pub what: What,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum What {
    /// Register an order; with `start`, pay it in the same call.
    Create {
        /// What it is.
        order: Box<NewOrder>,
        /// How to pay it at once.
        start: Option<Pay>,
    },
    /// Pay an order that exists.
    Confirm {
        /// Which.
        order: OrderId,
        /// How.
        pay: Pay,
    },
    /// The payer left an attempt, or chooses another method.
    Leave {
        /// Which order.
        order: OrderId,
        /// Which attempt, as the payer saw it: another one that runs by now goes on.
        attempt: u8,
    },
    /// Take money that is held; all of it if no amount is given.
    Capture {
        /// Which.
        order: OrderId,
        /// How much.
        amount: Option<Money>,
        /// Nothing more will be taken.
        last: bool,
    },
    /// Give the hold back; a sale that is untouched is undone where the rail can.
    Void {
        /// Which.
        order: OrderId,
    },
    /// No payment is wanted any more.
    Cancel {
        /// Which.
        order: OrderId,
    },
    /// Give money back; all that is left if no amount is given.
    Refund {
        /// Which.
        order: OrderId,
        /// How much.
        amount: Option<Money>,
    },
    /// Another amount is due.
    Amend {
        /// Which.
        order: OrderId,
        /// What is due now.
        due: Money,
    },
    /// Other details: description, metadata. No money moves.
    Describe {
        /// Which.
        order: OrderId,
        /// The details that the caller saw.
        was: Arc<Details>,
        /// What it wants instead: the difference is what changes, whatever else has changed meanwhile.
        details: Box<Details>,
    },
    /// The payer came back from the provider.
    Back {
        /// Which order.
        order: OrderId,
        /// What the address said; hostile input.
        params: BTreeMap<String, String>,
    },
    /// A person looked it up: how a step stands.
    Resolve {
        /// Which order.
        order: OrderId,
        /// Which step.
        step: StepName,
        /// How it stands.
        says: Says,
        /// Who says so, and where they saw it.
        note: String,
    },
}

impl What {
    /// The attempt that runs in this view is left.
    pub fn leave(view: &View) -> Self {
        Self::Leave {
            order: view.order.id,
            attempt: view.order.running().map_or(0, |attempt| attempt.number),
        }
    }
}

/// An order that is to be registered.
#[derive(Clone, Debug)]
pub struct NewOrder {
    /// The id, if the door already named it (the Stripe door derives its own ids from it).
    pub id: Option<OrderId>,
    /// The merchant's name for it; unique per tenant.
    pub reference: String,
    /// Payment, check or payout.
    pub kind: Kind,
    /// How much.
    pub amount: Money,
    /// When it is taken.
    pub capture: CaptureAt,
    /// The end of the pay window, if not the default.
    pub expires_at: Option<Timestamp>,
    /// What it is for.
    pub details: Arc<Details>,
}

/// How an order is to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pay {
    /// `hosted`, `met_…`, or in test mode the name of a test method (`card_visa`).
    pub method: String,
    /// The account to use, if not the merchant's default.
    pub connection: Option<ConnectionId>,
    /// Where the payer stands: `api`, `web`, …
    pub channel: String,
    /// Who started it.
    pub initiator: Initiator,
    /// Where the payer comes back to after the provider's page, if not to our own return page.
    pub return_url: Option<String>,
}

/// What the engine answers.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The order as it stands (for a replay: as it stood at the version that answered).
    pub order: Arc<View>,
    /// The step that the call started, if it started one.
    pub step: Option<StepName>,
    /// Whether the call is over.
    pub state: State,
    /// Whether the same call was answered before.
    pub replayed: bool,
}

/// Whether a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its step has ended or needs the payer, or it had none.
    Over,
    /// Its step still runs, and the wait for it was over (or somebody else's call with the same key still waits): 202.
    Running,
}

/// Why the engine does not do it.
#[derive(Clone, Debug, Error)]
pub enum Denied {
    /// The rules say no. Kept under the call's key.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// The order as it stands.
        order: Arc<View>,
        /// Whether the same call was answered before.
        replayed: bool,
    },
    /// There is no such order of this tenant.
    #[error("there is no such order")]
    NotFound,
    /// The key came before with another body.
    #[error("this idempotency key was used with another request")]
    KeyReused,
    /// Another call made an order with this reference.
    #[error("the reference is taken by {order}")]
    ReferenceTaken {
        /// That order.
        order: OrderId,
    },
    /// The caller's mistake: a method, connection or address that does not exist or cannot be used.
    #[error("{detail}")]
    Misuse {
        /// Which member.
        param: &'static str,
        /// The error's code: `unknown_method`, `no_connection`, `unsupported`, …
        code: &'static str,
        /// What is wrong, with the values that would be right.
        detail: String,
    },
    /// A queue is full.
    #[error("too busy: try again in {retry_after_s} s")]
    Busy {
        /// When to come back.
        retry_after_s: u32,
    },
    /// The database does not answer; nothing happened, or it will be found by the key.
    #[error("the database does not answer: try again with the same key in {retry_after_s} s")]
    Unavailable {
        /// When to come back.
        retry_after_s: u32,
    },
    /// The disk is full: reads answer, writes do not.
    #[error("the disk is full")]
    Full,
    /// The order's stored bytes do not hold: no command, no answer from it.
    #[error("the record of this order is damaged")]
    Damaged,
}
