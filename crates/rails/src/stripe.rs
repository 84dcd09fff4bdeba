//! Stripe: Checkout Sessions for payers who choose on Stripe's page, PaymentIntents for stored and test methods.
//!
//! ```text
//! Hosted  ▸ session ▸ page ▸ look … look ▸ done           Stored ▸ intent ▸ done, or challenge ▸ look ▸ done
//! capture, cancel, expire, refund ▸ done                  Reverse: look ▸ expire, cancel or refund, whatever is needed
//! ```
//!
//! Every message that changes something goes under an idempotency key, so it may be repeated for as long as Stripe remembers. Nothing is
//! believed but an object that Stripe shows us: webhooks and returning payers only make us look, and so do silence and refusals. A look
//! means something else in each place, so it has a name for each:
//!
//! | exchange | asked | "it was not done" means |
//! | --- | --- | --- |
//! | `look` | in a wait, after silence | it may still happen: wait |
//! | `look_refused` | after a refusal that proves itself | declined |
//! | `look_last` | after a deadline: no copy of the message can be under way any more | declined, or nothing to undo |
//! | `look_finished`, `look_disputes` | about a step that is over | nothing new |
//!
//! The memo holds of the attempt `session`, `payment_intent`, `started` (when its first message was made: where a lost intent is looked
//! for), `page` and `challenge` (the addresses that the payer was given), `reason` of each dispute; and of one step `at` (its wait), `stood` (its end), `stuck`,
//! `refused` (why), `refund` (Stripe's id), `sent_expire`, `sent_cancel`, `sent_refund` (its way to undoing).

mod ask;
mod decline;
mod extra;
mod heard;
mod listed;
mod money;
mod notice;
mod object;
mod verdict;
mod waits;

use florin_core::money::STRIPE;
use florin_core::rail::{
    Account, Can, Event, Exchange, Heard, Instrument, Listed, Notice, Opened, Rail, Reply, Step, Table, Task, Turn,
    Unfit, Unsupported,
};
use florin_core::time::Timestamp;

use crate::memo;
use crate::turn::{send, stuck};

/// The rail `stripe`.
#[derive(Debug)]
pub struct Stripe;

static TABLE: Table = Table {
    name: "stripe",
    steps: &[
        Can::whole(Step::Sale),
        Can::whole(Step::Authorize),
        Can::part(Step::Capture),
        Can::whole(Step::Void),
        Can::whole(Step::Cancel),
        Can::whole(Step::Reverse),
        Can::parts(Step::Refund),
    ],
    currencies: STRIPE,
    hosts: &["api.stripe.com", "loopback"],
    secrets: &["api_key", "webhook_secret"],
    exchanges: &[
        "session",
        "expire",
        "intent",
        "capture",
        "cancel",
        "refund",
        "look",
        "look_refused",
        "look_last",
        "look_finished",
        "look_disputes",
    ],
    waits: waits::NAMES,
    refs: &["payment_intent", "session"],
    remembers_s: ask::REMEMBERS_S,
    refund_days: 365,
};

impl Rail for Stripe {
    fn table(&self) -> &'static Table {
        &TABLE
    }

    fn start(&self, task: &Task) -> Result<Turn, Unsupported> {
        first(task)
    }

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        heard::read(task, exchange, heard)
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        let over = matches!(event, Event::Over);
        match wait {
            "page" if over => undo(task, "expire").unwrap_or_else(|| send(ask::look(task, "look_last"))),
            "challenge" if over => undo(task, "cancel").unwrap_or_else(|| send(ask::look(task, "look_last"))),
            "page" | "challenge" => send(ask::look(task, "look")),
            "processing" | "unknown" | "expiring" | "canceling" | "refunding" | "unknown_again" | "expiring_again"
            | "canceling_again" | "refunding_again" => send(ask::look(task, if over { "look_last" } else { "look" })),
            "asking" if over => stuck(task, waits::PERSON),
            "asking" => send(ask::look(task, "look_last")),
            "finished" => match (event, memo::id(task, "payment_intent")) {
                (Event::Told(item), Some(intent)) if item.facts.get("object").is_some_and(|kind| kind == "dispute") => {
                    send(ask::disputes(task, intent))
                }
                (Event::Told(_) | Event::Back(_) | Event::Tick | Event::Over, _) => {
                    send(ask::look(task, "look_finished"))
                }
            },
            _ if over => stuck(task, waits::PERSON),
            _ => send(ask::look(task, "look_last")),
        }
    }

    fn open(&self, notice: &Notice) -> Opened {
        notice::open(notice)
    }

    fn list(&self, account: &Account, since: Timestamp, after: Option<&str>) -> Option<Exchange> {
        Some(ask::everything(account, since, after))
    }

    fn listed(&self, reply: &Reply) -> Option<Listed> {
        listed::read(reply)
    }
}

/// The first message of a step.
fn first(task: &Task) -> Result<Turn, Unsupported> {
    let intent = memo::id(task, "payment_intent");
    let known = intent.ok_or_else(|| cannot("Stripe has no payment intent of this attempt".into()));
    let first = match task.step {
        Step::Sale | Step::Authorize => return pay(task),
        Step::Capture => ask::capture(task, known?).map_err(unwritable)?,
        Step::Refund => ask::refund(task, known?).map_err(unwritable)?,
        Step::Void => return Ok(undo(task, "cancel").unwrap_or_else(|| send(ask::look(task, "look")))),
        Step::Cancel => {
            let first = undo(task, "expire").or_else(|| undo(task, "cancel"));
            return Ok(first.unwrap_or_else(|| send(ask::look(task, "look"))));
        }
        Step::Reverse => ask::look(task, "look"),
        Step::Verify | Step::Increment | Step::Payout => {
            return Err(cannot(format!("it has no step {:?}", task.step)));
        }
    };
    Ok(send(first))
}

fn pays(step: Step) -> bool {
    matches!(step, Step::Sale | Step::Authorize)
}

fn cannot(why: String) -> Unsupported {
    let (rail, of) = (TABLE.name, Unfit::Method);
    Unsupported { rail, of, why }
}

/// The same, because of the amount alone.
fn unwritable(why: String) -> Unsupported {
    let of = Unfit::Amount;
    Unsupported { of, ..cannot(why) }
}

fn pay(task: &Task) -> Result<Turn, Unsupported> {
    if !task.money.is_positive() {
        return Err(unwritable(format!("{} is no amount to pay", task.money)));
    }
    let exchange = match &task.instrument {
        Instrument::Hosted if task.urls.back.is_empty() => {
            return Err(cannot("its page needs an address to come back to".into()));
        }
        Instrument::Hosted => ask::session(task).map_err(unwritable)?,
        Instrument::Stored(method) => ask::intent(task, method).map_err(unwritable)?,
    };
    let mut turn = send(exchange);
    memo::learn(&mut turn, task, "started", task.now.seconds().to_string());
    Ok(turn)
}

/// The next message on the way to undoing, and the note that it was sent; nothing if the memo does not know on what.
fn undo(task: &Task, name: &'static str) -> Option<Turn> {
    let exchange = match name {
        "expire" => ask::expire(task, memo::id(task, "session")?),
        "cancel" => ask::cancel(task, memo::id(task, "payment_intent")?),
        _ => ask::refund(task, memo::id(task, "payment_intent")?).ok()?,
    };
    let mut turn = send(exchange);
    memo::learn_own(&mut turn, task, &format!("sent_{name}"), "yes");
    Some(turn)
}

/// Whether this step has sent `exchange` on its way to undoing something.
fn sent(task: &Task, exchange: &str) -> bool {
    memo::own(task, &format!("sent_{exchange}")).is_some()
}
