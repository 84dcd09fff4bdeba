//! The laws of the order machine (`order-machine.md` 8), held to events that were stored: could the machine have decided this here?
//!
//! Folding proves that a snapshot belongs to its events. This proves that the events belong to the rules: a row that was written by hand,
//! by a mistake, or by two nodes that did not see each other folds well and breaks here.

use florin_core::event::Event;
use florin_core::money::Money;
use florin_core::order::{ATTEMPTS_MAX, Attempt, Command, Leaving, Order, Phase, Place, Standing, StepKind, StepName};
use florin_core::status::{self, Attention};

use super::Law;

/// A breach, in words.
pub(super) type Breach = (Law, String);

/// Whether `event` could have led from `before` to `after`.
pub(super) fn transition(before: &Order, event: &Event, after: &Order, breaches: &mut Vec<Breach>) {
    match event.plain() {
        Event::Created { .. } => breaches.push((Law::Steps, "it was made a second time".to_owned())),
        Event::Amended { .. } => amended(before, breaches),
        Event::Canceled => expect(
            matches!(before.phase, Phase::Created),
            Law::Steps,
            "it was canceled without its attempt",
            breaches,
        ),
        Event::Started { attempt, plan } => started(before, *attempt, plan.amount, breaches),
        Event::StepStarted { step, amount, .. } => step_started(before, *step, *amount, breaches),
        Event::Approved { attempt, .. } | Event::Adopted { attempt } => won(before, *attempt, after, breaches),
        Event::Captured { step, amount } | Event::Refunded { step, amount } | Event::Increased { step, amount, .. } => {
            moved(before, *step, *amount, breaches);
        }
        Event::Voided { step } => known(before, *step, breaches),
        Event::Acting { attempt, .. }
        | Event::Continued { attempt, .. }
        | Event::Leaving { attempt, .. }
        | Event::LeftStray { attempt }
        | Event::StrayQuiet { attempt }
        | Event::Seen { attempt, .. }
        | Event::Unwanted { attempt, .. }
        | Event::Received { attempt, .. }
        | Event::HoldGone { attempt, .. }
        | Event::CapturedElsewhere { attempt, .. }
        | Event::VoidedElsewhere { attempt, .. }
        | Event::RefundedElsewhere { attempt, .. }
        | Event::RefundBackElsewhere { attempt, .. }
        | Event::Returned { attempt, .. }
        | Event::Disputed { attempt, .. }
        | Event::Fee { attempt, .. }
        | Event::Unasked { of: attempt, .. } => expect(
            before.attempt(*attempt).is_some(),
            Law::Steps,
            &format!("`{}` is about attempt {attempt}, which was never started", event.kind()),
            breaches,
        ),
        Event::Pending { step }
        | Event::Uncertain { step }
        | Event::UncertainLong { step }
        | Event::Stuck { step, .. }
        | Event::Settled { step }
        | Event::Declined { step, .. } => known(before, *step, breaches),
        // `plain` looks into it.
        Event::Resolved { .. } => {}
        // An older reversal, or money of a step that nobody knows, is heard all the same.
        Event::Undone { .. } | Event::TakenBack { .. } | Event::Alarmed { .. } => {}
        Event::Described | Event::WindowOver | Event::HoldOver | Event::CaptureDue | Event::HoldClosed => {}
    }
    let (was, is) = (number(before.winner()), number(after.winner()));
    if was.is_some() && was != is {
        let is = is.map_or_else(|| "nobody".to_owned(), |is| format!("attempt {is}"));
        breaches.push((
            Law::Winner,
            format!("attempt {} had won, and then {is} had", was.unwrap_or_default()),
        ));
    }
}

/// Whether an order may stand like this between two commits.
pub(super) fn standing(order: &Order, breaches: &mut Vec<Breach>) {
    if let Some(owed) = order.owed() {
        breaches.push((
            Law::Owed,
            format!("it owes itself {owed:?} at version {}", order.version),
        ));
    }
    for attempt in order.past.iter().map(|past| &past.attempt) {
        if matches!(attempt.standing, Standing::Sent | Standing::Uncertain) {
            breaches.push((
                Law::Steps,
                format!(
                    "attempt {} is over for us while its outcome is {:?}",
                    attempt.number, attempt.standing
                ),
            ));
        }
    }
    let numbers: Vec<u8> = order.attempts().map(|(_, attempt)| attempt.number).collect();
    if numbers.iter().zip(1_u8..).any(|(number, wanted)| *number != wanted) {
        breaches.push((
            Law::Steps,
            format!("its attempts are numbered {numbers:?}, not from 1 without gaps"),
        ));
    }
}

/// Whether everything that stands in suspense is under way, or a case for a person.
pub(super) fn explained(order: &Order, breaches: &mut Vec<Breach>) {
    if status::attention(order).contains(&Attention::StuckReversal) {
        return;
    }
    for attempt in order.past.iter().map(|past| &past.attempt) {
        let number = attempt.number;
        let again = Command::ReverseAgain { attempt: number };
        let cared_for = attempt.undoing() || order.timers().iter().any(|(_, command)| *command == again);
        if !cared_for && (attempt.held() > 0 || attempt.standing_money() > 0) {
            breaches.push((
                Law::Explained,
                format!(
                    "attempt {number} did not win; {} held and {} taken stand for it, and nobody sends them back",
                    attempt.held(),
                    attempt.standing_money()
                ),
            ));
        }
    }
}

fn expect(holds: bool, law: Law, what: &str, breaches: &mut Vec<Breach>) {
    if !holds {
        breaches.push((law, what.to_owned()));
    }
}

fn number(attempt: Option<&Attempt>) -> Option<u8> {
    attempt.map(|attempt| attempt.number)
}

fn amended(before: &Order, breaches: &mut Vec<Breach>) {
    let may = match &before.phase {
        Phase::Created => true,
        Phase::Authorized(attempt) => attempt.charge.hold_step().is_none(),
        Phase::Pending(_) | Phase::Captured(_) | Phase::Ended(_) => false,
    };
    expect(
        may,
        Law::Steps,
        "its amount was changed while it was being paid",
        breaches,
    );
}

fn started(before: &Order, attempt: u8, amount: Money, breaches: &mut Vec<Breach>) {
    match &before.phase {
        Phase::Created => {}
        Phase::Pending(running) => breaches.push((
            Law::Steps,
            format!(
                "attempt {attempt} was started while attempt {} was {:?}",
                running.number, running.standing
            ),
        )),
        Phase::Authorized(winner) | Phase::Captured(winner) => breaches.push((
            Law::Winner,
            format!(
                "attempt {attempt} was started although attempt {} had won",
                winner.number
            ),
        )),
        Phase::Ended(_) => breaches.push((
            Law::Steps,
            format!("attempt {attempt} was started although the order was over"),
        )),
    }
    expect(
        attempt == before.next_attempt() && attempt <= ATTEMPTS_MAX,
        Law::Steps,
        &format!("attempt {attempt} was started where {} was next", before.next_attempt()),
        breaches,
    );
    expect(
        amount.currency() == before.due.currency() && amount.minor() >= before.due.minor(),
        Law::Bounds,
        &format!("attempt {attempt} asked for {amount} where {} was due", before.due),
        breaches,
    );
}

fn step_started(before: &Order, step: StepName, amount: Money, breaches: &mut Vec<Breach>) {
    let Some((place, attempt)) = before.attempt(step.attempt) else {
        breaches.push((
            Law::Steps,
            format!("step {step} is of an attempt that was never started"),
        ));
        return;
    };
    if attempt.step(step).is_some() {
        breaches.push((Law::Steps, format!("step {step} was started twice")));
    }
    let held = matches!(before.phase, Phase::Authorized(_)) && place == Place::Winner;
    let taken = matches!(before.phase, Phase::Authorized(_) | Phase::Captured(_)) && place == Place::Winner;
    let asked = i128::from(amount.minor());
    match step.kind {
        StepKind::Authorize => breaches.push((Law::Steps, format!("step {step} was started outside of an attempt"))),
        StepKind::Capture | StepKind::Void | StepKind::Increment => {
            expect(
                held,
                Law::Steps,
                &format!("step {step} was started where nothing was held"),
                breaches,
            );
            expect(
                attempt.charge.hold_step().is_none(),
                Law::Steps,
                &format!("step {step} was started while another one changed the hold"),
                breaches,
            );
            if step.kind == StepKind::Capture && asked > attempt.held() {
                breaches.push((
                    Law::Bounds,
                    format!("step {step} asked for {amount} where {} was held", attempt.held()),
                ));
            }
        }
        StepKind::Refund => {
            expect(
                taken && !attempt.undoing(),
                Law::Steps,
                &format!("step {step} was started where nothing could be refunded"),
                breaches,
            );
            if asked > attempt.refundable() {
                breaches.push((
                    Law::Bounds,
                    format!(
                        "step {step} asked for {amount} where {} could be refunded",
                        attempt.refundable()
                    ),
                ));
            }
        }
        StepKind::Cancel | StepKind::Reverse => expect(
            !attempt.undoing(),
            Law::Steps,
            &format!("step {step} was started while the attempt was already being undone"),
            breaches,
        ),
    }
}

fn won(before: &Order, winner: u8, after: &Order, breaches: &mut Vec<Breach>) {
    let Some((_, attempt)) = before.attempt(winner) else {
        breaches.push((Law::Winner, format!("attempt {winner} won without having been started")));
        return;
    };
    if number(before.winner()).is_some() || number(after.winner()) != Some(winner) {
        let other = number(before.winner()).map_or_else(String::new, |other| format!(": attempt {other} had won"));
        breaches.push((
            Law::Winner,
            format!("attempt {winner} was called paid and did not win{other}"),
        ));
    }
    if attempt.undoing() || attempt.leaving == Some(Leaving::Cancel) && attempt.undo.is_none() {
        breaches.push((
            Law::Undo,
            format!("attempt {winner} was called paid while it was being undone"),
        ));
    }
}

fn known(before: &Order, step: StepName, breaches: &mut Vec<Breach>) {
    let started = before
        .attempt(step.attempt)
        .is_some_and(|(_, attempt)| step.kind == StepKind::Authorize || attempt.step(step).is_some());
    expect(
        started,
        Law::Steps,
        &format!("something is said about step {step}, which was never started"),
        breaches,
    );
}

fn moved(before: &Order, step: StepName, amount: Money, breaches: &mut Vec<Breach>) {
    known(before, step, breaches);
    let asked = before.attempt(step.attempt).and_then(|(_, attempt)| attempt.step(step));
    if let Some(asked) = asked
        && (amount.currency() != asked.amount.currency() || amount.minor() > asked.amount.minor() || amount.minor() < 0)
    {
        breaches.push((
            Law::Bounds,
            format!("step {step} moved {amount} where {} was asked for", asked.amount),
        ));
    }
}
