//! What a fact makes happen: never a refusal. A repeat, or what does not raise the rank of what is known, is acknowledged and ignored; a
//! money fact that no rule explains is an alarm, never dropped.

mod authorise;
mod happened;
mod steps;

use super::{About, Alarm, Fact, Order, Says, StepKind, StepName};
use crate::event::Event;
use crate::money::Money;

/// What was said about one step, and whether a person said it.
struct Said<'a> {
    step: StepName,
    says: &'a Says,
    by_person: bool,
}

impl Order {
    pub(crate) fn told(&self, fact: &Fact) -> Option<Event> {
        match fact {
            Fact::Answer { step, says, note } => {
                let event = self.answered(*step, says, note.is_some());
                match note {
                    None => event,
                    Some(note) => Some(Event::Resolved {
                        note: note.clone(),
                        event: Box::new(event.or_else(|| self.settled(*step))?),
                    }),
                }
            }
            Fact::Happened {
                attempt,
                id,
                what,
                money,
            } => self.happened(*attempt, id, *what, *money),
        }
    }

    fn answered(&self, step: StepName, says: &Says, by_person: bool) -> Option<Event> {
        let said = Said { step, says, by_person };
        let Some((place, attempt)) = self.attempt(step.attempt) else {
            return self.unknown_step(step, says);
        };
        match step.kind {
            StepKind::Authorize => self.authorise_told(place, attempt, &said),
            StepKind::Cancel | StepKind::Reverse => self.undo_told(attempt, &said),
            StepKind::Capture | StepKind::Void | StepKind::Increment | StepKind::Refund => {
                self.step_told(attempt, &said)
            }
        }
    }

    /// A person looked, and it is as we have it: an alarm about it is silent now.
    fn settled(&self, step: StepName) -> Option<Event> {
        let rings = self.alarms.iter().any(|alarm| match &alarm.about {
            About::Step(name) => *name == step,
            About::Fact(key) => step == StepName::authorize(key.attempt),
        });
        rings.then_some(Event::Settled { step })
    }

    /// Money of a step that we never started: an alarm. Anything else about it says nothing.
    fn unknown_step(&self, step: StepName, says: &Says) -> Option<Event> {
        match says {
            Says::Approved { money, .. } | Says::TakenBack { money } => self.alarm(About::Step(step), *money),
            Says::Released { moved } if !moved.is_zero() => self.alarm(About::Step(step), *moved),
            Says::Released { .. }
            | Says::Acting { .. }
            | Says::Pending
            | Says::Uncertain
            | Says::Declined(_)
            | Says::Stuck { .. } => None,
        }
    }

    /// An alarm, unless the same one rings.
    fn alarm(&self, about: About, said: Money) -> Option<Event> {
        let alarm = Alarm { about, said };
        if self.alarms.contains(&alarm) || self.alarms.len() >= super::limits::ALARMS_MAX {
            return None;
        }
        Some(Event::Alarmed {
            about: alarm.about,
            said,
        })
    }

    fn is_ours(&self, money: Money) -> bool {
        money.currency() == self.due.currency()
    }
}
