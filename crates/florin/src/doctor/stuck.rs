//! What is stuck: work, notices and deliveries with their ages, uncertain steps, orders that need a person, endpoints that take nothing.

use std::collections::BTreeSet;

use florin_core::id::{ConnectionId, Key, OrderId, Part, PartId};
use florin_core::order::{Case, StepKind, StepName};
use florin_core::time::Timestamp;
use florin_services::clock::{Clock, SystemClock};
use florin_services::directory::Directory;
use florin_services::watch::{self, BEHIND_S, CaseOf, OUTBOX_OLD_S, Seen, Unknown};
use florin_store::Store;

use super::Doctor;

/// Notices and deliveries that lie for longer are worth a look.
const OLD_S: i64 = 300;

/// `mute` are the connections whose providers cannot be asked, for want of a secret or of the rail.
pub(super) async fn look(doctor: &mut Doctor, store: &dyn Store, directory: &Directory, mute: &BTreeSet<ConnectionId>) {
    let seen = match watch::look(store, directory, SystemClock.now()).await {
        Ok(seen) => seen,
        Err(fault) => {
            return doctor.wrong(
                "work",
                fault.to_string(),
                "see that the database answers, and ask again",
            );
        }
    };
    work(doctor, &seen);
    for (order, why) in &seen.damaged {
        doctor.wrong(
            "damaged",
            format!("{order}: {why}"),
            &format!("`florin audit --order {order}`, then `record_damaged` in docs/runbook.md"),
        );
    }
    uncertain(doctor, &seen, mute);
    for case in &seen.cases {
        attention(doctor, case);
    }
    let named: u64 = seen.cases.len() as u64;
    if seen.backlog.attention > named {
        let says = format!("{} more orders need a person", seen.backlog.attention - named);
        doctor.wrong("attention", says, "`florin orders --attention` lists them all");
    }
    for sick in &seen.sick {
        let says = format!(
            "endpoint {} has taken nothing for {}: {}",
            sick.endpoint,
            age(seen.at, sick.since),
            sick.last
        );
        doctor.wrong("webhooks", says, "`endpoint_sick` in docs/runbook.md");
    }
    if seen.more {
        doctor.note(
            "work",
            format!("only the {} soonest of all open orders were looked at", watch::OPEN_MAX),
            "",
        );
    }
}

fn work(doctor: &mut Doctor, seen: &Seen) {
    let backlog = &seen.backlog;
    let late =
        |since: Option<Timestamp>, bound_s: i64| since.filter(|since| seen.at.millis_since(*since) > bound_s * 1_000);
    let mut calm = true;
    if let Some(since) = late(backlog.oldest_due, OUTBOX_OLD_S) {
        calm = false;
        doctor.wrong(
            "work",
            format!("{} orders are due, the oldest for {}", backlog.due, age(seen.at, since)),
            "is a server running on this database? then `outbox_old` in docs/runbook.md",
        );
    }
    if let Some(since) = late(backlog.oldest_event, BEHIND_S) {
        calm = false;
        doctor.wrong(
            "work",
            format!(
                "lists, balances and webhooks stand still: the oldest event that is in none of them is {} old",
                age(seen.at, since)
            ),
            "is a server running on this database? then `reader_behind` in docs/runbook.md",
        );
    }
    if let Some(since) = late(backlog.oldest_notice, OLD_S) {
        calm = false;
        doctor.note(
            "work",
            format!(
                "{} notices of providers are about no order that we know, the oldest for {}",
                backlog.notices,
                age(seen.at, since)
            ),
            "they are put aside after a day; payments that somebody else made on the same account look like this",
        );
    }
    if let Some(since) = late(backlog.oldest_delivery, OLD_S) {
        calm = false;
        doctor.note(
            "work",
            format!(
                "{} webhooks are not delivered, the oldest for {}",
                backlog.deliveries,
                age(seen.at, since)
            ),
            "`florin webhooks deliveries --status pending` shows what their endpoints answer",
        );
    }
    if calm {
        doctor.good(
            "work",
            format!(
                "{} orders due, {} notices, {} webhooks: nothing is late",
                backlog.due, backlog.notices, backlog.deliveries
            ),
        );
    }
}

fn uncertain(doctor: &mut Doctor, seen: &Seen, mute: &BTreeSet<ConnectionId>) {
    if seen.uncertain == 0 {
        return doctor.good("uncertain", "nobody is in doubt about any step");
    }
    for unknown in seen.unknown.iter().filter(|unknown| unknown.case.is_none()) {
        let says = format!("{} for {}", step(unknown), age(seen.at, unknown.since));
        if mute.contains(&unknown.connection) {
            doctor.wrong(
                "uncertain",
                format!("{says}: nobody asks the provider, since the connection lacks what `connections` names above"),
                "mend the connection: questions go out again by themselves",
            );
        } else {
            doctor.note(
                "uncertain",
                says,
                "the provider is asked; nothing has to be done unless it becomes a case",
            );
        }
    }
    for unknown in seen.unknown.iter().filter(|unknown| unknown.case.is_some()) {
        let why = match unknown.case {
            Some(Case::Nobody) => "its provider was asked for three days and did not tell, or cannot be asked",
            Some(Case::Long) | None => "it has been uncertain for three days",
        };
        doctor.wrong(
            "uncertain",
            format!("{} for {}: {why}", step(unknown), age(seen.at, unknown.since)),
            &settles(unknown.order, unknown.step),
        );
    }
}

fn step(unknown: &Unknown) -> String {
    let key = Key::new(unknown.order, unknown.step);
    format!(
        "{} {} at {} (provider's key {key})",
        unknown.order,
        name(unknown.order, unknown.step),
        unknown.connection
    )
}

fn attention(doctor: &mut Doctor, case: &CaseOf) {
    let words: Vec<&str> = case.words.iter().map(|word| word.as_str()).collect();
    let says = format!("{} needs a person: {}", case.order, words.join(", "));
    let mend = match case.steps.as_slice() {
        [] => format!("`florin get {}`, then its page in docs/runbook.md", case.order),
        steps => steps
            .iter()
            .map(|step| settles(case.order, *step))
            .collect::<Vec<_>>()
            .join("; "),
    };
    doctor.wrong("attention", says, &mend);
}

/// The command that settles a step, once somebody has seen how it stands.
fn settles(order: OrderId, step: StepName) -> String {
    format!(
        "florin attempts resolve {} --as approved|declined|undone --note \"who saw it, and where\"",
        name(order, step)
    )
}

/// A step as the command line names it.
fn name(order: OrderId, step: StepName) -> String {
    let attempt = PartId {
        kind: Part::Attempt,
        order,
        number: step.attempt.into(),
    };
    match step.kind {
        StepKind::Authorize => attempt.to_string(),
        StepKind::Cancel
        | StepKind::Reverse
        | StepKind::Capture
        | StepKind::Void
        | StepKind::Increment
        | StepKind::Refund => {
            // `1/ref/0` without its attempt.
            let text = step.to_string();
            let rest = text.split_once('/').map_or("", |(_, rest)| rest);
            format!("{attempt}/{rest}")
        }
    }
}

/// An age in its two largest units.
fn age(now: Timestamp, since: Timestamp) -> String {
    let s = now.millis_since(since).max(0) / 1_000;
    match s {
        0..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min", s / 60),
        7_200..=172_799 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_as_the_command_that_settles_it_reads_it() {
        let order = OrderId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
        let bare = order.to_string().replace("ord_", "att_");
        assert_eq!(name(order, StepName::authorize(2)), format!("{bare}02"));
        assert_eq!(
            name(order, StepName::new(1, StepKind::Refund, 3)),
            format!("{bare}01/ref/3")
        );
    }

    #[test]
    fn ages_are_said_in_their_two_largest_units() {
        let age_of = |s: i64| age(Timestamp::from_millis(s * 1_000), Timestamp::default());
        assert_eq!(
            [90, 600, 7_260, 200_000].map(age_of),
            ["90 s", "10 min", "2 h 1 min", "2 d 7 h"]
        );
    }
}
