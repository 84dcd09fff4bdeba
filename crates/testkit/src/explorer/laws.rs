//! The laws of `order-machine.md` 8, asked of a world. Written without the machine's own sums: the numbers are added up here again.

use florin_core::event::Event;
use florin_core::ledger::{Account, Posting, PostingPhase};
use florin_core::order::{Attempt, Kind, Order, Phase, Place, Standing, Step, StepKind, StepName, StepState, Verdict};
use florin_core::status::{Word as PublicWord, attention, word};

use super::provider::{Auth, Deal, Done, Saying, Word};
use super::world::World;

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its number in the paper.
    pub law: u8,
    /// What is wrong.
    pub how: String,
}

pub(super) fn broken<T>(law: u8, how: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { law, how: how.into() })
}

/// Debits without credits, posted and pending, by account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    posted: [i128; ACCOUNTS],
    pending: [i128; ACCOUNTS],
}

const ACCOUNTS: usize = Account::Bank as usize + 1;

impl Position {
    fn posted(&self, account: Account) -> i128 {
        self.posted[account as usize]
    }

    fn pending(&self, account: Account) -> i128 {
        self.pending[account as usize]
    }

    fn moves(&mut self, debit: Account, credit: Account, amount: i128) {
        self.posted[debit as usize] += amount;
        self.posted[credit as usize] -= amount;
    }

    fn holds(&mut self, debit: Account, credit: Account, amount: i128) {
        self.pending[debit as usize] += amount;
        self.pending[credit as usize] -= amount;
    }
}

/// What the books must show for an order, from its state.
pub(super) fn position(order: &Order) -> Position {
    let mut books = Position::default();
    for (place, attempt) in order.attempts() {
        match order.terms.kind {
            Kind::Payment | Kind::Verify => payment_position(&mut books, place, attempt),
            Kind::Credit => payout_position(&mut books, place, attempt),
        }
    }
    books
}

fn total(steps: &[Step], of: impl Fn(&Step) -> i64) -> i128 {
    steps.iter().map(|step| i128::from(of(step))).sum()
}

fn payment_position(books: &mut Position, place: Place, attempt: &Attempt) {
    use Account::{Disputed, Merchant, Receivable, RefundsMoving, Suspense};
    let charge = &attempt.charge;
    let owner = if place == Place::Winner { Merchant } else { Suspense };
    let disputes = |of: fn(&florin_core::order::Dispute) -> i64| -> i128 {
        charge.disputes.iter().map(|dispute| i128::from(of(dispute))).sum()
    };
    let open = disputes(|dispute| {
        if dispute.verdict == Verdict::Open {
            dispute.opened
        } else {
            0
        }
    });
    let lost = disputes(|dispute| {
        if dispute.verdict == Verdict::Lost {
            dispute.lost
        } else {
            0
        }
    });
    let returned = i128::from(charge.returned) + i128::from(charge.sale_back);
    let heard = i128::from(charge.sold)
        + i128::from(charge.captured_elsewhere)
        + total(&charge.captures, |step| step.moved().0);
    let untold = charge.seen.map_or(0, |seen| {
        let undone = seen.undone.map_or(charge.undone, |undone| undone.min(charge.undone));
        i128::from(seen.in_all) - i128::from(undone) - i128::from(charge.refunded_elsewhere)
    });
    let elsewhere = i128::from(charge.refunded_elsewhere) - i128::from(charge.refunded_elsewhere_back) + untold.max(0);
    let sent_back = i128::from(charge.undone) - i128::from(charge.undone_back) + elsewhere;
    let proof = [i128::from(charge.undone), returned, elsewhere, open + lost];
    let implied = proof
        .into_iter()
        .max()
        .unwrap_or(0)
        .min(attempt.plan.amount.minor().into());
    let taken = heard.max(implied).max(charge.undone.into());
    let taken = charge.seen.map_or(taken, |_| taken.max(sent_back));
    let back = sent_back + returned + total(&charge.captures, |step| step.moved().1);
    let refunded = total(&charge.refunds, |step| step.moved().0 - step.moved().1);
    let moving = total(
        &charge.refunds,
        |step| if step.in_flight() { step.amount.minor() } else { 0 },
    );
    books.moves(Receivable, owner, taken - back);
    books.moves(owner, Receivable, refunded);
    books.moves(owner, RefundsMoving, moving);
    books.moves(Disputed, Receivable, open);
    books.moves(owner, Receivable, lost);
    let short = -(taken - back - refunded - moving - lost);
    if owner == Suspense && short > 0 {
        books.moves(Merchant, Suspense, short);
    }
    fees(books, attempt);
    if attempt.standing != Standing::Undone && charge.hold.as_ref().is_some_and(|hold| !hold.closed) {
        let granted = charge.hold.as_ref().map_or(0, |hold| i128::from(hold.amount))
            + total(&charge.increments, |step| step.moved().0);
        let used = total(&charge.captures, |step| step.moved().0) + i128::from(charge.captured_elsewhere);
        let held = (granted - i128::from(charge.voided_elsewhere) - used).max(0);
        books.holds(Receivable, owner, held);
    }
}

fn payout_position(books: &mut Position, place: Place, attempt: &Attempt) {
    use Account::{Bank, Merchant, PayoutMoving, Suspense};
    let charge = &attempt.charge;
    let owner = if place == Place::Winner { Merchant } else { Suspense };
    let returned = i128::from(charge.returned) + i128::from(charge.sale_back);
    let undone = i128::from(charge.undone);
    let implied = undone.max(returned).min(attempt.plan.amount.minor().into());
    let paid = i128::from(charge.sold).max(implied).max(undone);
    let back = undone - i128::from(charge.undone_back) + returned;
    books.moves(owner, Bank, paid - back);
    if owner == Suspense && back > paid {
        books.moves(Suspense, Merchant, back - paid);
    }
    let moving = matches!(
        attempt.standing,
        Standing::Sent | Standing::Acting | Standing::Waiting | Standing::Uncertain
    );
    if moving {
        books.moves(Merchant, PayoutMoving, attempt.plan.amount.minor().into());
    }
    fees(books, attempt);
}

fn fees(books: &mut Position, attempt: &Attempt) {
    let fees: i128 = attempt.charge.fees.iter().map(|fee| i128::from(fee.minor())).sum();
    books.moves(Account::Merchant, Account::Receivable, fees);
}

/// Law 5: the postings of an event are what its change of state must move, and each is a movement between two accounts.
pub(super) fn postings_fit(before: &Order, after: &Order, event: &Event, postings: &[Posting]) -> Result<(), Broken> {
    let mut books = position(before);
    for posting in postings {
        if !posting.amount.is_positive() || posting.debit == posting.credit {
            return broken(5, format!("{posting:?} moves nothing"));
        }
        let amount = i128::from(posting.amount.minor());
        match posting.phase {
            PostingPhase::Posted => books.moves(posting.debit, posting.credit, amount),
            PostingPhase::Pended => books.holds(posting.debit, posting.credit, amount),
            PostingPhase::Released => books.holds(posting.debit, posting.credit, -amount),
        }
    }
    let must = position(after);
    if books == must {
        return Ok(());
    }
    broken(
        5,
        format!("{} posts {postings:?}: books {books:?}, must be {must:?}", event.kind()),
    )
}

/// Laws 3, 4 and 8, of one event.
pub(super) fn event_keeps(world: &World, before: &Order, event: &Event) -> Result<(), Broken> {
    match event.plain() {
        Event::Started { attempt, .. } if before.attempt(*attempt).is_some() => {
            broken(8, format!("attempt {attempt} starts twice"))
        }
        Event::StepStarted { step, amount, .. } => {
            if world.requests.iter().any(|request| request.step == *step) {
                return broken(8, format!("step {step} starts twice"));
            }
            alone(before, *step)?;
            within_bounds(before, *step, amount.minor().into())
        }
        Event::Continued { attempt, number } => {
            let acting = before
                .running()
                .is_some_and(|current| current.number == *attempt && current.actions == *number);
            if acting {
                Ok(())
            } else {
                broken(8, format!("action {number} was replaced, and is answered"))
            }
        }
        _ => Ok(()),
    }
}

/// Law 4, for what cannot be added up: one step at a time changes a hold, and a sale is either undone or refunded. Where a reversal is an
/// advice that cannot be refused, both would move.
fn alone(before: &Order, step: StepName) -> Result<(), Broken> {
    let in_flight = |kinds: &[StepKind]| {
        let open = before.in_flight();
        open.iter()
            .any(|open| open.step.attempt == step.attempt && kinds.contains(&open.step.kind))
    };
    let winner = before.winner().is_some_and(|winner| winner.number == step.attempt);
    let beside = match step.kind {
        StepKind::Capture | StepKind::Void | StepKind::Increment => {
            in_flight(&[StepKind::Capture, StepKind::Void, StepKind::Increment])
        }
        StepKind::Refund => in_flight(&[StepKind::Reverse]),
        StepKind::Reverse => winner && in_flight(&[StepKind::Refund]),
        StepKind::Authorize | StepKind::Cancel => false,
    };
    if beside {
        broken(4, format!("{step} starts beside a step that it must not meet"))
    } else {
        Ok(())
    }
}

/// Law 4, at the moment of a decision: no more is captured than is held, no more refunded than stands and is not promised.
fn within_bounds(before: &Order, step: StepName, amount: i128) -> Result<(), Broken> {
    let books = position(before);
    let winner = before.winner().is_some_and(|winner| winner.number == step.attempt);
    match step.kind {
        StepKind::Capture if amount > books.pending(Account::Receivable) => broken(
            4,
            format!("{step} captures {amount} of {}", books.pending(Account::Receivable)),
        ),
        StepKind::Refund if winner => {
            let fees: i128 = before
                .attempts()
                .flat_map(|(_, attempt)| &attempt.charge.fees)
                .map(|fee| i128::from(fee.minor()))
                .sum();
            let ours = -books.posted(Account::Merchant) + fees - books.posted(Account::Disputed);
            if amount > ours {
                broken(4, format!("{step} refunds {amount} of {ours}"))
            } else {
                Ok(())
            }
        }
        StepKind::Authorize
        | StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => Ok(()),
    }
}

/// Law 3: when an order is called paid, no cancel or reversal of that attempt is under way.
pub(super) fn win_is_safe(world: &World, number: u8) -> Result<(), Broken> {
    let undoes = world.requests.iter().filter(|request| {
        request.step.attempt == number && matches!(request.step.kind, StepKind::Cancel | StepKind::Reverse)
    });
    for request in undoes {
        let known = world.deal(number).and_then(|deal| deal.done(request.step));
        if known != Some(Done::No) {
            return broken(
                3,
                format!(
                    "the order is called paid by attempt {number} while our {} may still undo it",
                    request.step
                ),
            );
        }
    }
    Ok(())
}

/// Laws 1, 2 and 6, of a world.
pub(super) fn world_keeps(world: &World) -> Result<(), Broken> {
    for past in &world.order.past {
        if matches!(past.attempt.standing, Standing::Sent | Standing::Uncertain) {
            return broken(
                1,
                format!(
                    "attempt {} is over for us, and its outcome is not known",
                    past.attempt.number
                ),
            );
        }
    }
    for (_, attempt) in world.order.attempts() {
        knows_only_what_was_said(world, attempt)?;
    }
    let failed = matches!(
        word(&world.order),
        PublicWord::Failed | PublicWord::Canceled | PublicWord::Expired
    );
    let open = world.order.running().is_some();
    if failed && open {
        return broken(2, "a failed order has an attempt that runs".to_owned());
    }
    if world.is_quiet() { books_agree(world) } else { Ok(()) }
}

/// Law 2: what the order believes of a step, the provider said of that step.
fn knows_only_what_was_said(world: &World, attempt: &Attempt) -> Result<(), Broken> {
    let name = StepName::authorize(attempt.number);
    let Some(deal) = world.deal(attempt.number) else {
        return Ok(());
    };
    let heard = |saying: Saying| world.said.iter().any(|(said, heard)| *said == saying && *heard);
    match &attempt.standing {
        Standing::Declined(_) if !heard(Saying::Answer(name, Word::No)) => {
            return broken(2, format!("{name} is declined, and nobody said so"));
        }
        Standing::Undone if deal.auth != Auth::Undone => {
            return broken(
                2,
                format!("{name} is undone in our books, and {:?} at the provider", deal.auth),
            );
        }
        Standing::Approved
            if !matches!(deal.auth, Auth::Held | Auth::Sold | Auth::Undone) && !is_collected(attempt, deal) =>
        {
            return broken(
                2,
                format!("{name} is approved in our books, and {:?} at the provider", deal.auth),
            );
        }
        Standing::Sent
        | Standing::Acting
        | Standing::Waiting
        | Standing::Uncertain
        | Standing::Approved
        | Standing::Declined(_)
        | Standing::Undone => {}
    }
    for (name, step) in attempt.steps() {
        let known = deal.done(name);
        match &step.state {
            StepState::Declined(_) if !heard(Saying::Answer(name, Word::No)) => {
                return broken(2, format!("{name} is declined, and nobody said so"));
            }
            StepState::Done { moved, .. }
                if matches!(name.kind, StepKind::Capture | StepKind::Increment | StepKind::Refund) =>
            {
                let truth = match known {
                    Some(Done::Yes(amount)) => i64::from(amount),
                    Some(Done::Pending | Done::No) | None => -1,
                };
                if *moved > truth {
                    return broken(
                        2,
                        format!("{name} moved {moved} in our books, and {known:?} at the provider"),
                    );
                }
            }
            StepState::Done { .. }
            | StepState::Declined(_)
            | StepState::Sent
            | StepState::Pending
            | StepState::Uncertain => {}
        }
    }
    Ok(())
}

/// What a push rail brought in parts is an approval when it is what was asked, whatever the request itself became.
fn is_collected(attempt: &Attempt, deal: &Deal) -> bool {
    attempt.plan.can.push && i64::from(deal.sold) >= attempt.plan.amount.minor()
}

/// Law 6, as far as it holds whenever all is quiet: the books are the provider's book.
fn books_agree(world: &World) -> Result<(), Broken> {
    let books = position(&world.order);
    let owes: i128 = world.deals.iter().map(|deal| i128::from(deal.owes())).sum();
    let ours = match world.order.terms.kind {
        Kind::Payment | Kind::Verify => books.posted(Account::Receivable),
        Kind::Credit => books.posted(Account::Receivable) - books.posted(Account::Bank),
    };
    if ours != owes {
        return broken(
            6,
            format!("all is quiet: our books say {ours}, the provider's book says {owes}"),
        );
    }
    let held: i128 = world.deals.iter().map(|deal| i128::from(deal.held)).sum();
    let pending = books.pending(Account::Receivable);
    if pending != held {
        return broken(
            6,
            format!("all is quiet: our books hold {pending}, the provider holds {held}"),
        );
    }
    let both = |deal: &&Deal| deal.stands() > 0 || deal.held > 0;
    let charged = world.deals.iter().filter(both).count();
    if charged > 1 && attention(&world.order).is_empty() && world.order.owed().is_none() && !world.will_be_reversed() {
        return broken(6, format!("all is quiet: {charged} attempts are charged"));
    }
    Ok(())
}

/// The rest of law 6, when nothing will happen any more.
pub(super) fn end_keeps(world: &World) -> Result<(), Broken> {
    let order = &world.order;
    match &order.phase {
        Phase::Captured(_) | Phase::Ended(_) => {}
        Phase::Created | Phase::Pending(_) | Phase::Authorized(_) => {
            return broken(
                7,
                format!(
                    "nothing will happen any more, and the order is {}",
                    word(order).as_str()
                ),
            );
        }
    }
    if !world.is_quiet() {
        return broken(
            7,
            format!("nothing will happen any more, and {:?} is in flight", order.in_flight()),
        );
    }
    if !attention(order).is_empty() {
        return broken(
            7,
            format!(
                "nothing will happen any more, and {:?} waits for a person",
                attention(order)
            ),
        );
    }
    let books = position(order);
    for account in [
        Account::Suspense,
        Account::RefundsMoving,
        Account::PayoutMoving,
        Account::Disputed,
    ] {
        let sum = books.posted(account);
        if sum != 0 {
            return broken(6, format!("all is over, and {account:?} has {sum}"));
        }
    }
    let pending = books.pending(Account::Receivable);
    if pending != 0 {
        return broken(6, format!("all is over, and {pending} is held"));
    }
    if let Some(winner) = order.winner().filter(|winner| winner.plan.can.push) {
        let asked = order.due.minor() + winner.plan.extras.map_or(0, |extras| extras.minor());
        let stands = world.deal(winner.number).map_or(0, |deal| i64::from(deal.stands()));
        if stands > asked {
            return broken(6, format!("all is over, and {stands} stands where {asked} was due"));
        }
    }
    Ok(())
}
