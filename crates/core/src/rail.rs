//! The trait of a provider, and the messages with holes that it writes.
//!
//! A rail turns what is asked and what is heard into what happens next. It is one file of pure functions: no I/O, no clock, no dice, no
//! secrets, no card data. Somebody else fills, signs, sends, waits and remembers. Two kinds of places exist in every rail: an
//! **exchange** (a message is out) ends in [`Rail::read`]; a **wait** (nothing is out) ends in [`Rail::wake`]. Where a rail stands is two
//! durable things: the name of its exchange or wait, and its [`Memo`].
//!
//! ```text
//! start ▸ commit{learn, exchange} ▸ fill · sign · send ▸ read ▸ commit{learn, next} ▸ …
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decline::Decline;
use crate::id::Key;
use crate::money::{Currency, Money};
use crate::time::Timestamp;

/// A name that is known when the program is built: an exchange, a wait, a header, a secret. Owned when it was read back from a row.
pub type Name = Cow<'static, str>;

/// What a rail learned, by name: readable by people and by the next release. This step's facts first, then the attempt's.
pub type Memo = BTreeMap<String, String>;

/// A provider, bank, operator or switch.
pub trait Rail: Sync + Send {
    /// What it can do, as data.
    fn table(&self) -> &'static Table;
    /// The first move of a step. `Err` only before any traffic.
    fn start(&self, task: &Task) -> Result<Turn, Unsupported>;
    /// An exchange is over: a proven reply, silence, or it surely never left.
    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn;
    /// Something happened while nothing was out.
    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn;
    /// A webhook: what must hold before it is believed, and what it says.
    fn open(&self, notice: &Notice) -> Opened {
        let _ = notice;
        Opened::default()
    }
    /// Asks what the provider has of ours since a moment, a page at a time: for holding a database against it that was put back to an
    /// earlier one. `None`: it cannot be asked that.
    fn list(&self, account: &Account, since: Timestamp, after: Option<&str>) -> Option<Exchange> {
        let _ = (account, since, after);
        None
    }
    /// What such a page says. `None`: it does not read.
    fn listed(&self, reply: &Reply) -> Option<Listed> {
        let _ = reply;
        None
    }
}

// ---- asked ----------------------------------------------------------------------------------------------------------------------

/// What is asked of a rail: one step of one order.
#[derive(Clone, Debug)]
pub struct Task {
    /// What to do.
    pub step: Step,
    /// Names this step at the provider.
    pub key: Key,
    /// How much.
    pub money: Money,
    /// With what.
    pub instrument: Instrument,
    /// Who pays and for what; never logged.
    pub payer: Payer,
    /// Where the payer comes back to.
    pub urls: Urls,
    /// The merchant's settings for this rail. No secrets.
    pub account: Account,
    /// What was learned: this step first, then the attempt it builds on.
    pub memo: Memo,
    /// The moment this turn is decided.
    pub now: Timestamp,
    /// The end of the order's pay window, if it has one: a hosted page need not live longer.
    pub until: Option<Timestamp>,
}

impl Task {
    /// What was learned under `name`, or nothing.
    pub fn learned(&self, name: &str) -> &str {
        self.memo.get(name).map_or("", String::as_str)
    }
}

/// The machine's steps in the words of a rail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Hold and take in one.
    Sale,
    /// Hold.
    Authorize,
    /// Check the card, hold nothing.
    Verify,
    /// Take what is held.
    Capture,
    /// Hold more or longer.
    Increment,
    /// Give a hold back.
    Void,
    /// The payer may no longer approve.
    Cancel,
    /// Nothing of this attempt may stand.
    Reverse,
    /// Give money back.
    Refund,
    /// Pay money out.
    Payout,
}

/// What the payer pays with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instrument {
    /// The payer chooses on the provider's page.
    Hosted,
    /// A token that the provider gave, or the name of one of its test methods.
    Stored(String),
}

/// Who pays and for what. Never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    /// The provider's own id of the customer, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the payer reads on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What is bought. The sum need not be the amount: tips and shipping are lines too, or there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Line>,
}

impl std::fmt::Debug for Payer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[payer]")
    }
}

/// One thing that is bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub unit: Money,
}

/// Where the payer comes back to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Urls {
    /// After paying: our own page, with an unguessable token of this attempt.
    pub back: String,
    /// After leaving.
    pub cancel: String,
}

/// A merchant's settings at a rail, approved by an operator. No secrets: those are named by [`Part::Secret`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The connection's id; names the secrets.
    pub connection: String,
    /// Where the provider is: `https://api.stripe.com`, or the pretend provider's address.
    pub base: String,
    /// Anything else the rail's sheet asks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

// ---- said -----------------------------------------------------------------------------------------------------------------------

/// What a rail says: what it learned and what comes next. Both go into one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Named facts for the memo.
    pub learn: Vec<(Name, String)>,
    /// What happens next.
    pub next: Next,
}

impl Turn {
    /// A turn that learned nothing.
    pub fn new(next: Next) -> Self {
        Self {
            learn: Vec::new(),
            next,
        }
    }

    /// The same turn, having learned `value` under `name`.
    #[must_use]
    pub fn learning(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.learn.push((Cow::Borrowed(name), value.into()));
        self
    }
}

/// What happens next in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This message goes out.
    Send(Exchange),
    /// The reply proves nothing: treat it as silence. The default for every unknown word.
    Unclear,
    /// "Not now", and the provider surely did nothing: the same message later.
    Again {
        /// How long to wait.
        after_s: u32,
    },
    /// Nothing is out; something may come.
    Wait(Wait),
    /// The provider said how it ended, or how it stands now for good.
    Done(Report),
    /// Uncertain, and nobody to ask: a case for a person.
    Stuck(Reason),
}

/// A message with holes. Plain data without secrets: the outbox row holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Its name in the rail's table.
    pub name: Name,
    /// How it is sent.
    pub method: Method,
    /// Where to: an address under the account's base.
    pub url: String,
    /// Headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(Name, Parts)>,
    /// What it says.
    #[serde(default, skip_serializing_if = "Body::is_none")]
    pub body: Body,
    /// May the same message go twice?
    pub repeat: Repeat,
    /// It only asks: nothing is learned before it and nothing changes at the provider, so it is not written down before it is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Read.
    Get,
    /// Make or do.
    Post,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// `application/x-www-form-urlencoded`, in this order.
    Form(Vec<Field>),
    /// `application/json`.
    Json(serde_json::Value),
}

/// A name and a value of a form. Most of both are words of the rail's own.
pub type Field = (Name, Cow<'static, str>);

impl Body {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A formula: computed by whoever sends or checks.
pub type Parts = Vec<Part>;

/// One piece of a formula. A scheme that needs more gets a new part, in review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Text as it stands. Text from outside is always this.
    Text(Cow<'static, str>),
    /// A secret of the connection, by name.
    Secret(Name),
    /// The raw bytes that came in (checks of notices).
    Received,
    /// A header of what came in.
    Header(Name),
    /// HMAC-SHA256 in lower-case hex: key, over.
    HmacSha256Hex(Parts, Parts),
}

/// May the same message go twice?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// No: after silence the rail asks, reverses or is stuck.
    Never,
    /// Yes, under the provider's key, or because it only reads.
    Same {
        /// Not sooner than this.
        every_s: u32,
        /// Not after this: what the provider remembers.
        for_s: u32,
    },
}

/// Nothing is out; something may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Its name in the rail's table.
    pub name: Name,
    /// Whom we wait for.
    pub why: Why,
    /// Seconds after the start of the wait at which to ask; the last gap repeats.
    pub poll: &'static [u32],
    /// Seconds after which the thing is over at the provider.
    pub until_s: u32,
}

/// Whom we wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The payer must act.
    Payer(Action),
    /// The provider takes its time, and says so.
    Provider,
    /// Nobody knows how it stands.
    Unknown,
}

/// What the payer must do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Go to this address.
    Redirect {
        /// The address.
        url: String,
    },
}

/// How a step stands at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Money as the provider states it; the order machine compares.
    pub money: Option<Money>,
    /// What the provider charges us for it, in its own figure.
    pub fee: Option<Fee>,
    /// What else the provider says of this attempt: money that nobody of ours moved (its console), disputes, returns.
    pub also: Vec<Happened>,
}

impl Report {
    /// An outcome and nothing else.
    pub fn new(outcome: Outcome, money: Option<Money>) -> Self {
        Self {
            outcome,
            money,
            fee: None,
            also: Vec::new(),
        }
    }
}

/// A provider's fee, by its own id, so that it is booked once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The provider's id of the movement.
    pub id: String,
    /// How much. In the order's currency, or it is left to settlement.
    pub money: Money,
}

/// Something that answers no step of ours, by the provider's own id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// The provider's id, for booking it once.
    pub id: String,
    /// What.
    pub what: What,
    /// How much.
    pub money: Money,
}

/// The kinds of what may happen without us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The hold is gone at the provider (lapsed, released at its console).
    HoldGone,
    /// Captured at the provider's console.
    Captured,
    /// Voided at the provider's console.
    Voided,
    /// Refunded at the provider's console.
    Refunded,
    /// That refund, named by the same id, failed after all: its money is with us again.
    RefundBack,
    /// Taken back after it was paid (direct debit, bank).
    Returned,
    /// The payer's bank disputes it.
    DisputeOpened,
    /// The dispute ended for us.
    DisputeWon,
    /// The dispute ended against us.
    DisputeLost,
    /// A fee.
    Fee,
    /// Money came in by itself (push rails): a part of what an attempt waits for, more than that, or once more.
    Received,
}

/// How a step ended, or stands for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Held until, if the provider says so.
    Held {
        /// When the provider lets go of it.
        until: Option<Timestamp>,
    },
    /// Taken, given back or paid out: the step did what was asked.
    Moved,
    /// The rail undid it itself, or a void, cancel or reversal is done. `Report.money` says how much of the attempt **moved back** in all
    /// (none: nothing stood).
    Released,
    /// A known no.
    Declined(Decline),
    /// It was done, and then was taken back (a refund that came back, a debit returned).
    Returned(Reason),
}

/// Words for a person.
pub type Reason = String;

/// Why a rail cannot do a step at all; said before any traffic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rail `{rail}` cannot do this: {why}")]
pub struct Unsupported {
    /// The rail.
    pub rail: &'static str,
    /// What of the task is in the way.
    pub of: Unfit,
    /// What it cannot do, and what would work.
    pub why: String,
}

/// What of a task a rail cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The amount: this rail cannot write it.
    Amount,
    /// Anything else: how the payment is made, or a step that the rail does not have.
    Method,
}

// ---- heard ----------------------------------------------------------------------------------------------------------------------

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A whole reply.
    Reply(&'a Reply),
    /// It may have arrived: no answer, a broken one, or a node died.
    Silence,
    /// Certain: no copy of it ever left, and the worker has given up.
    Unsent,
}

/// A whole reply.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Those of [`REPLY_HEADERS`] that came with it.
    pub headers: BTreeMap<String, String>,
    /// The body, at most [`REPLY_BYTES_MAX`].
    pub body: Vec<u8>,
    /// An earlier copy of the message may have arrived: an error now says nothing about that one.
    pub again: bool,
}

/// Headers that a rail is shown, in lower case: when the reply was sent, and when to come back. Stripe sends some thirty.
pub const REPLY_HEADERS: [&str; 2] = ["date", "retry-after"];

/// The largest reply a rail is shown; more is silence. Stripe's largest objects are below 100 KB.
pub const REPLY_BYTES_MAX: usize = 1 << 20;

/// What happened while nothing was out.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The payer returned; hostile input.
    Back(&'a BTreeMap<String, String>),
    /// A notice about this step.
    Told(&'a Item),
    /// The poll plan says: ask.
    Tick,
    /// The deadline passed; said once per wait.
    Over,
}

/// A webhook as it came.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The raw body.
    pub body: Vec<u8>,
}

/// What a notice is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// What must hold; an empty list refuses the notice.
    pub checks: Vec<Check>,
    /// What it says, item by item.
    pub items: Vec<Item>,
}

/// One thing that a notice says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The provider's id, for dedupe.
    pub id: String,
    /// Whom it is about.
    pub about: About,
    /// The provider's name of what happened, for people.
    pub kind: String,
    /// Named facts for the rail when it is woken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: Memo,
}

/// Whom an item is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A step of ours, by the key that we gave.
    Key(Key),
    /// Something of the provider's, by its own id: (kind, id).
    Ref(String, String),
    /// Nobody we know: kept, not acted on.
    Nobody,
}

/// What must hold before a notice is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// One of the given values equals the formula, compared in constant time. Tried once for every secret in force (rotation).
    Equal {
        /// Computed by the keyring.
        formula: Part,
        /// What came in.
        one_of: Vec<String>,
    },
    /// Made not longer ago, or further ahead, than this. Wall time.
    Fresh {
        /// When it says it was made.
        at: Timestamp,
        /// Tolerance.
        within_s: u32,
    },
}

// ---- listed ---------------------------------------------------------------------------------------------------------------------

/// A page of what a provider has of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Payments, in the provider's order.
    pub payments: Vec<Payment>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A payment at a provider, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// The provider's id, as a memo keeps it.
    pub id: String,
    /// The step that it was made for, where the provider kept our name for it.
    pub key: Option<Key>,
    /// Taken, and neither back with the payer nor on its way there, nor disputed if `disputes`.
    pub taken: Money,
    /// Whether what is disputed or lost in disputes was left out of what is taken: not every provider's list shows it.
    pub disputes: bool,
    /// Held.
    pub held: Money,
}

// ---- what it can do -------------------------------------------------------------------------------------------------------------

/// What a rail can do, as data: checked before `start`, so that the rest is refused without traffic.
#[derive(Debug)]
pub struct Table {
    /// The rail's name: `stripe`.
    pub name: &'static str,
    /// The steps it has, each with its limits.
    pub steps: &'static [Can],
    /// Currencies; empty means every one.
    pub currencies: &'static [&'static str],
    /// Hosts that a message may go to; `loopback` allows the pretend provider.
    pub hosts: &'static [&'static str],
    /// Secrets it names.
    pub secrets: &'static [&'static str],
    /// Exchanges it sends.
    pub exchanges: &'static [&'static str],
    /// Waits it has. Each rail has `finished`, where a notice for a step that is over arrives.
    pub waits: &'static [&'static str],
    /// Names in the memo that hold the provider's own ids, the most telling first: what [`About::Ref`] is looked up by, and what the API
    /// shows as `provider_reference`.
    pub refs: &'static [&'static str],
    /// How long the provider remembers an idempotency key.
    pub remembers_s: u32,
    /// Days after which the provider refuses refunds.
    pub refund_days: u32,
}

/// One step that a rail can do.
#[derive(Clone, Copy, Debug)]
pub struct Can {
    /// The step.
    pub step: Step,
    /// Part of the amount.
    pub partial: bool,
    /// More than once.
    pub many: bool,
}

impl Can {
    /// The whole amount, once.
    pub const fn whole(step: Step) -> Self {
        Self {
            step,
            partial: false,
            many: false,
        }
    }

    /// Part of the amount, once.
    pub const fn part(step: Step) -> Self {
        Self {
            step,
            partial: true,
            many: false,
        }
    }

    /// Part of the amount, more than once.
    pub const fn parts(step: Step) -> Self {
        Self {
            step,
            partial: true,
            many: true,
        }
    }
}

impl Table {
    /// Whether the rail has this step at all.
    pub fn can(&self, step: Step) -> Option<Can> {
        self.steps.iter().copied().find(|can| can.step == step)
    }

    /// Whether the rail takes this currency.
    pub fn takes(&self, currency: Currency) -> bool {
        self.currencies.is_empty() || self.currencies.contains(&currency.code())
    }
}
