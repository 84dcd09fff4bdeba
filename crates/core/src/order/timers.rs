//! What time will ask of an order, computed from its state: never stored, so never lost.
//!
//! Fair: every timer has a moment. Finite: what its command brings about removes it.

use super::limits::{ANSWER_S, REVERSE_AGAIN_S, UNCERTAIN_LONG_S, action_until, capture_time, hold_deadline};
use super::{CaptureAt, Command, Open, Order, Phase, Place, Standing};
use crate::time::Timestamp;

impl Order {
    /// Every timer that runs, with its moment.
    pub fn timers(&self) -> Vec<(Timestamp, Command)> {
        let mut timers = Vec::new();
        match &self.phase {
            Phase::Created | Phase::Pending(_) if !self.window_over => {
                timers.push((self.terms.expires_at, Command::WindowOver))
            }
            Phase::Created | Phase::Pending(_) | Phase::Authorized(_) | Phase::Captured(_) | Phase::Ended(_) => {}
        }
        if let Some(hold) = self.open_hold() {
            if !hold.over {
                timers.push((hold_deadline(hold), Command::HoldOver));
            }
            match self.terms.capture {
                CaptureAt::At(time) if !hold.capture_due => {
                    timers.push((capture_time(hold, time), Command::CaptureDue))
                }
                CaptureAt::At(_) | CaptureAt::Once | CaptureAt::Later => {}
            }
        }
        for (place, attempt) in self.attempts() {
            let number = attempt.number;
            if place == Place::Current && attempt.standing == Standing::Acting && self.action_over_pays(number) {
                let until = action_until(attempt.plan.can, attempt.since);
                timers.push((until, Command::ActionOver { attempt: number }));
            }
            if let Some(undo) = attempt
                .undo
                .as_ref()
                .filter(|_| self.wants_second_reversal(place, attempt))
            {
                timers.push((
                    undo.step.since.plus_seconds(REVERSE_AGAIN_S),
                    Command::ReverseAgain { attempt: number },
                ));
            }
            if let Some(until) = self.watched_until(number) {
                timers.push((until, Command::StrayOver { attempt: number }));
            }
        }
        for open in self.in_flight() {
            let case = self.open_step(open.step).and_then(|(_, _, case)| case);
            match open.state {
                Open::Sent => timers.push((
                    open.since.plus_seconds(ANSWER_S),
                    Command::AnswerOver { step: open.step },
                )),
                Open::Uncertain if case.is_none() => {
                    timers.push((
                        open.since.plus_seconds(UNCERTAIN_LONG_S),
                        Command::UncertainLong { step: open.step },
                    ));
                }
                Open::Acting | Open::Pending | Open::Uncertain => {}
            }
        }
        timers
    }

    fn action_over_pays(&self, attempt: u8) -> bool {
        matches!(
            self.decide(&Command::ActionOver { attempt }, Timestamp::default()),
            Ok(Some(_))
        )
    }
}
