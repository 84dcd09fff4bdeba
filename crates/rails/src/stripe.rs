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
//! for), `page` and `challenge` (the addresses that the payer was given); and of one step `at` and `lasts` (its wait), `stood` (its end),
//! `refused` (why), `refund` (Stripe's id), `sent_expire`, `sent_cancel`, `sent_refund` (its way to undoing).

mod ask;
mod decline;
mod extra;
mod money;
mod notice;
mod object;
mod verdict;
mod waits;

use florin_core::decline::{Code, Decline};
use florin_core::rail::{
    Can, Event, Exchange, Happened, Heard, Instrument, Next, Notice, Opened, Outcome, Rail, Reply, Report, Step, Table,
    Task, Turn, Unsupported,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use self::object::{Dispute, ErrorBody, Intent, List, Refund, Session};
use self::verdict::{Verdict, undoes};
use crate::http::{come_back, safe_id};
use crate::memo;

/// The rail `stripe`.
#[derive(Debug)]
pub struct Stripe;

static TABLE: Table = Table {
    name: "stripe",
    steps: &[
        Can {
            step: Step::Sale,
            partial: false,
            many: false,
        },
        Can {
            step: Step::Authorize,
            partial: false,
            many: false,
        },
        Can {
            step: Step::Capture,
            partial: true,
            many: false,
        },
        Can {
            step: Step::Void,
            partial: false,
            many: false,
        },
        Can {
            step: Step::Cancel,
            partial: false,
            many: false,
        },
        Can {
            step: Step::Reverse,
            partial: false,
            many: false,
        },
        Can {
            step: Step::Refund,
            partial: true,
            many: true,
        },
    ],
    currencies: money::CURRENCIES,
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
        let cannot = |why: String| Unsupported { rail: TABLE.name, why };
        let intent = memo::id(task, "payment_intent");
        let known = intent.ok_or_else(|| cannot("Stripe has no payment intent of this attempt".into()));
        let first = match task.step {
            Step::Sale | Step::Authorize => return pay(task).map_err(cannot),
            Step::Capture => ask::capture(task, known?).map_err(cannot)?,
            Step::Refund => ask::refund(task, known?).map_err(cannot)?,
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

    fn read(&self, task: &Task, exchange: &str, heard: Heard<'_>) -> Turn {
        match heard {
            Heard::Reply(reply) if (200..300).contains(&reply.status) => answered(task, exchange, reply),
            Heard::Reply(reply) => refused(task, exchange, reply),
            Heard::Silence => silent(task, exchange),
            Heard::Unsent => unsent(task, exchange),
        }
    }

    fn wake(&self, task: &Task, wait: &str, event: Event<'_>) -> Turn {
        let over = matches!(event, Event::Over);
        match wait {
            "page" if over => undo(task, "expire").unwrap_or_else(|| send(ask::look(task, "look_last"))),
            "challenge" if over => undo(task, "cancel").unwrap_or_else(|| send(ask::look(task, "look_last"))),
            "processing" | "unknown" if over => send(ask::look(task, "look_last")),
            "page" | "challenge" | "processing" | "unknown" => send(ask::look(task, "look")),
            "asking" if over => waits::stuck(task),
            "asking" => send(ask::look(task, "look_last")),
            "finished" => match (event, memo::id(task, "payment_intent")) {
                (Event::Told(item), Some(intent)) if item.facts.get("object").is_some_and(|kind| kind == "dispute") => {
                    send(ask::disputes(task, intent))
                }
                (Event::Told(_) | Event::Back(_) | Event::Tick | Event::Over, _) => {
                    send(ask::look(task, "look_finished"))
                }
            },
            _ if over => waits::stuck(task),
            _ => send(ask::look(task, "look_last")),
        }
    }

    fn open(&self, notice: &Notice) -> Opened {
        notice::open(notice)
    }
}

/// Why an object was read, and so what it means that something was not done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// As the answer to what we asked for.
    Answer,
    /// On a question while the step may still be under way.
    Asked,
    /// After a refusal that proves itself.
    Refused,
    /// After a deadline.
    Quiet,
    /// When the step is over.
    Finished,
}

impl Said {
    fn of(task: &Task, exchange: &str) -> Self {
        match exchange {
            "look" => Self::Asked,
            "look_refused" => Self::Refused,
            "look_last" => Self::Quiet,
            "look_finished" | "look_disputes" => Self::Finished,
            // An authorise step ends its own page or challenge only when the deadline has passed.
            "expire" | "cancel" if pays(task.step) => Self::Quiet,
            _ => Self::Answer,
        }
    }
}

fn pays(step: Step) -> bool {
    matches!(step, Step::Sale | Step::Authorize)
}

fn pay(task: &Task) -> Result<Turn, String> {
    if !task.money.is_positive() {
        return Err(format!("{} is no amount to pay", task.money));
    }
    let exchange = match &task.instrument {
        Instrument::Hosted if task.urls.back.is_empty() => {
            return Err("its page needs an address to come back to".into());
        }
        Instrument::Hosted => ask::session(task)?,
        Instrument::Stored(method) => ask::intent(task, method)?,
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
    memo::learn_own(&mut turn, task, format!("sent_{name}"), "yes");
    Some(turn)
}

/// Whether this step has sent `exchange` on its way to undoing something.
fn sent(task: &Task, exchange: &str) -> bool {
    memo::own(task, &format!("sent_{exchange}")).is_some()
}

// ---- heard ----------------------------------------------------------------------------------------------------------------------

/// An object of Stripe's, with what we may keep of it.
fn answered(task: &Task, exchange: &str, reply: &Reply) -> Turn {
    let said = Said::of(task, exchange);
    if exchange == "look_disputes" {
        let disputes = list::<Dispute>(&reply.body).map(|list| extra::of_disputes(task, &list.data));
        return disputes.map_or(Turn::new(Next::Unclear), |also| waits::nothing_but(task, also));
    }
    let mut learned = Turn::new(Next::Unclear);
    let Some((verdict, also)) = judge(task, exchange, &reply.body, &mut learned) else {
        return unclear(task, said);
    };
    let mut known = task.clone();
    known.memo.extend(
        learned
            .learn
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone())),
    );
    let mut turn = match verdict {
        Judged::Further(after) => send(ask::look_further(task, look_name(exchange), &after)),
        Judged::As(verdict) if said == Said::Finished => finished(&known, verdict, also),
        Judged::As(verdict) => follow(&known, said, verdict),
    };
    learned.learn.append(&mut turn.learn);
    learned.next = turn.next;
    learned
}

enum Judged {
    As(Verdict),
    /// The list goes on after this id.
    Further(String),
}

/// What the object says; nothing if it is none that we asked for.
fn judge(task: &Task, exchange: &str, body: &[u8], learned: &mut Turn) -> Option<(Judged, Vec<Happened>)> {
    #[derive(Deserialize)]
    struct Kind {
        object: String,
    }
    let nothing = Vec::new();
    let kind: Kind = parse(body)?;
    Some(match kind.object.as_str() {
        "checkout.session" => {
            let session: Session = parse(body)?;
            keep(task, learned, "session", &session.id)?;
            if let Some(id) = session.payment_intent.as_ref().map(|intent| match intent {
                object::Expandable::Id(id) => id,
                object::Expandable::Object(intent) => &intent.id,
            }) {
                keep(task, learned, "payment_intent", id)?;
            }
            let also = session
                .payment_intent
                .as_ref()
                .and_then(object::Expandable::object)
                .map(|it| extra::of_intent(task, it));
            (Judged::As(verdict::session(task, &session)), also.unwrap_or_default())
        }
        "payment_intent" => {
            let intent: Intent = parse(body)?;
            keep(task, learned, "payment_intent", &intent.id)?;
            (
                Judged::As(verdict::intent(task, &intent)),
                extra::of_intent(task, &intent),
            )
        }
        "refund" => {
            let refund: Refund = parse(body)?;
            keep_refund(task, learned, &refund)?;
            (Judged::As(verdict::refund(task, &refund)), nothing)
        }
        "list" if memo::id(task, "payment_intent").is_some() => {
            let refunds = list::<Refund>(body)?;
            if let Some(ours) = refunds
                .data
                .iter()
                .find(|one| one.note("florin_key") == Some(task.key.to_string().as_str()))
            {
                keep_refund(task, learned, ours)?;
            }
            (
                Judged::As(verdict::refunds(task, &refunds.data, refunds.has_more)),
                nothing,
            )
        }
        "list" => {
            let intents = list::<Intent>(body)?;
            match (verdict::ours(task, &intents.data), intents.data.last()) {
                (Some(ours), _) => {
                    keep(task, learned, "payment_intent", &ours.id)?;
                    (Judged::As(verdict::intent(task, ours)), nothing)
                }
                (None, Some(last)) if intents.has_more && exchange.starts_with("look") => (
                    Judged::Further(Some(last.id.clone()).filter(|id| safe_id(id))?),
                    nothing,
                ),
                (None, _) if intents.has_more => return None,
                (None, _) => (Judged::As(Verdict::Absent), nothing),
            }
        }
        _ => return None,
    })
}

/// Learns an id. Nothing if it is none that may be kept, or another one than we know: then the object is not ours.
fn keep(task: &Task, learned: &mut Turn, name: &'static str, id: &str) -> Option<()> {
    let known = memo::id(task, name);
    if !safe_id(id) || known.is_some_and(|known| known != id) {
        return None;
    }
    memo::learn(learned, task, name, id.to_owned());
    Some(())
}

fn keep_refund(task: &Task, learned: &mut Turn, refund: &Refund) -> Option<()> {
    if !safe_id(&refund.id) || memo::own(task, "refund").is_some_and(|known| known != refund.id) {
        return None;
    }
    memo::learn_own(learned, task, "refund", &refund.id);
    Some(())
}

/// What comes after a verdict, in the place where it was heard.
fn follow(task: &Task, said: Said, verdict: Verdict) -> Turn {
    match (verdict, said) {
        (Verdict::Over(report), _) => done(task, report),
        (Verdict::Acting(acting), Said::Answer | Said::Asked | Said::Refused) => waits::acting(task, acting),
        (Verdict::Pending, Said::Answer | Said::Asked | Said::Refused) => waits::processing(task),
        // The payer was faster than the deadline of the page; the bank's own time begins only now.
        (Verdict::Pending, Said::Quiet) if memo::own(task, "at") != Some("processing") => waits::processing(task),
        (Verdict::Todo(next), _) if !sent(task, next) => undo(task, next).unwrap_or_else(|| unclear(task, said)),
        (Verdict::Absent, Said::Quiet) if undoes(task.step) => {
            done(task, Report::new(Outcome::Released, Some(task.money.with_minor(0))))
        }
        (Verdict::Todo(_) | Verdict::NotDone | Verdict::Absent, Said::Quiet) => {
            decline(task, decline::named(Code::ProcessingError, Some("never arrived")))
        }
        (Verdict::Todo(_) | Verdict::NotDone | Verdict::Absent, Said::Refused) => {
            let word = memo::own(task, "refused");
            decline(
                task,
                word.and_then(decline::known)
                    .unwrap_or_else(|| decline::named(Code::ProcessingError, word)),
            )
        }
        (
            Verdict::Acting(_)
            | Verdict::Pending
            | Verdict::Todo(_)
            | Verdict::NotDone
            | Verdict::Absent
            | Verdict::Unclear,
            said,
        ) => unclear(task, said),
    }
}

/// Nothing is proven.
fn unclear(task: &Task, said: Said) -> Turn {
    match said {
        Said::Answer | Said::Finished => Turn::new(Next::Unclear),
        Said::Asked => waits::stay(task),
        Said::Refused => waits::unknown(task),
        Said::Quiet => waits::asking(task),
    }
}

/// A notice for a step that is over can only add: what was done stays done.
fn finished(task: &Task, verdict: Verdict, also: Vec<Happened>) -> Turn {
    match (verdict, memo::own(task, "stood")) {
        (Verdict::Over(report), Some("declined" | "released" | "returned") | None) => done(task, report),
        (Verdict::Over(report), Some("held")) if matches!(report.outcome, Outcome::Held { .. }) => done(task, report),
        (Verdict::Over(report), Some("moved")) if matches!(report.outcome, Outcome::Moved | Outcome::Returned(_)) => {
            done(task, report)
        }
        (Verdict::Over(report), Some(_)) => {
            let mut turn = waits::nothing_but(task, also);
            if let Next::Done(known) = &mut turn.next {
                known.fee = report.fee;
            }
            turn
        }
        (
            Verdict::Acting(_)
            | Verdict::Pending
            | Verdict::Todo(_)
            | Verdict::NotDone
            | Verdict::Absent
            | Verdict::Unclear,
            _,
        ) => waits::nothing_but(task, also),
    }
}

/// An error. Refusals of a question, and whatever Stripe says of itself, prove nothing.
fn refused(task: &Task, exchange: &str, reply: &Reply) -> Turn {
    let problem = parse::<ErrorBody>(&reply.body).map(|body| body.error);
    let in_use = problem
        .as_ref()
        .is_some_and(|problem| problem.code.as_deref() == Some("idempotency_key_in_use"));
    if reply.status == 429 || (reply.status == 409 && in_use) {
        return Turn::new(Next::Again {
            after_s: come_back(reply),
        });
    }
    if exchange.starts_with("look") {
        return silent(task, exchange);
    }
    let Some(problem) = problem else {
        return Turn::new(Next::Unclear);
    };
    let mut turn = Turn::new(Next::Unclear);
    if let Some(intent) = problem.payment_intent.as_ref().filter(|_| exchange == "intent")
        && keep(task, &mut turn, "payment_intent", &intent.id).is_none()
    {
        return turn;
    }
    let Some(no) = decline::of_request(reply.status, &problem) else {
        return turn;
    };
    let mut known = task.clone();
    known
        .memo
        .extend(turn.learn.iter().map(|(name, value)| (name.to_string(), value.clone())));
    let next = match exchange {
        // Nobody has the address of a page that another copy may have made.
        "session" => decline(&known, no),
        // A copy that may have arrived earlier is not answered by this refusal.
        "intent" if reply.again => send(ask::look(&known, "look")),
        "intent" => decline(&known, no),
        _ if pays(task.step) => send(ask::look(&known, "look_last")),
        _ if reply.again => send(ask::look(&known, "look")),
        _ => {
            let mut turn = send(ask::look(&known, "look_refused"));
            memo::learn_own(&mut turn, task, "refused", &no.raw);
            turn
        }
    };
    turn.learn.extend(next.learn);
    turn.next = next.next;
    turn
}

/// No answer, and no more copies: nobody knows.
fn silent(task: &Task, exchange: &str) -> Turn {
    match Said::of(task, exchange) {
        // The payer never saw the page, so nothing can have moved.
        Said::Answer if exchange == "session" => decline(task, decline::named(Code::ProcessingError, Some("no page"))),
        Said::Answer => send(ask::look(task, "look")),
        Said::Quiet if !exchange.starts_with("look") => send(ask::look(task, "look_last")),
        said @ (Said::Asked | Said::Refused | Said::Quiet | Said::Finished) => unclear(task, said),
    }
}

/// It surely never left. A question is asked again by the wait; a message that changes something was not done.
fn unsent(task: &Task, exchange: &str) -> Turn {
    match Said::of(task, exchange) {
        Said::Answer => decline(task, decline::named(Code::ProcessingError, Some("never sent"))),
        Said::Asked | Said::Refused | Said::Quiet | Said::Finished => silent(task, exchange),
    }
}

// ---- said -----------------------------------------------------------------------------------------------------------------------

fn send(exchange: Exchange) -> Turn {
    Turn::new(Next::Send(exchange))
}

fn decline(task: &Task, decline: Decline) -> Turn {
    done(task, Report::new(Outcome::Declined(decline), None))
}

/// The end, noted for whatever is told about the step later.
fn done(task: &Task, report: Report) -> Turn {
    let word = match &report.outcome {
        Outcome::Held { .. } => "held",
        Outcome::Moved => "moved",
        Outcome::Released => "released",
        Outcome::Declined(_) => "declined",
        Outcome::Returned(_) => "returned",
    };
    let mut turn = Turn::new(Next::Done(report));
    memo::learn_own(&mut turn, task, "stood", word);
    turn
}

/// The table's own name of a look.
fn look_name(exchange: &str) -> &'static str {
    TABLE
        .exchanges
        .iter()
        .copied()
        .find(|name| *name == exchange && name.starts_with("look"))
        .unwrap_or("look")
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn list<T: DeserializeOwned>(body: &[u8]) -> Option<List<T>> {
    parse(body)
}
