//! Every wait and every count of an order, by name, with its reason (`order-machine.md` 6).

use super::{Abilities, Hold};
use crate::time::Timestamp;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// Silence of the rail after which a step is uncertain: the worker's lease (design decision 10). The worker says so earlier.
pub const ANSWER_S: i64 = 30;
/// What the payer has for one action if the rail does not say otherwise.
pub const ACTION_S: i64 = 15 * MINUTE_S;
/// The shortest time for an action: nobody approves on a phone in less.
pub const ACTION_S_MIN: i64 = MINUTE_S;
/// The longest time for an action: a request to pay that was agreed with the payer's bank.
pub const ACTION_S_MAX: i64 = 10 * DAY_S;
/// Uncertainty after which a person must look.
pub const UNCERTAIN_LONG_S: i64 = 72 * HOUR_S;
/// Between a refused reversal and the second one: what was in the way (a capture that settles) has passed.
pub const REVERSE_AGAIN_S: i64 = HOUR_S;
/// Reversals that the machine tries on its own; after as many refusals a person decides.
pub const REVERSALS_TRIED: u8 = 2;
/// Voids of a hold that were refused, after which the machine waits until the rail lets go of it: one that was asked for, and one at the
/// hold's deadline, when what was in the way days before may have passed.
pub const VOIDS_TRIED: usize = 2;
/// How long before the end of a hold we stop relying on it.
pub const HOLD_MARGIN_S: i64 = 6 * HOUR_S;
/// The life of a hold whose end the rail did not say: what card schemes give at least.
pub const HOLD_UNKNOWN_S: i64 = 7 * DAY_S;
/// No hold is over sooner than this after it was made.
pub const HOLD_S_MIN: i64 = MINUTE_S;
/// No hold is relied on for longer than this.
pub const HOLD_S_MAX: i64 = 30 * DAY_S;
/// A capture at a set time happens at the latest this long before the hold's deadline.
pub const CAPTURE_MARGIN_S: i64 = HOUR_S;
/// How long after a capture refunds are possible, if the rail does not say otherwise.
pub const REFUND_DAYS: i64 = 365;
/// The longest time in which any rail refunds.
pub const REFUND_DAYS_MAX: i64 = 540;
/// A stray is watched this much longer than the rail gives it.
pub const STRAY_MARGIN_S: i64 = DAY_S;
/// No stray is asked about for longer; its facts are still taken, for ever.
pub const STRAY_S_MAX: i64 = 30 * DAY_S;

/// Disputes that an order keeps apart, each with its own verdict. A later one that is lost is booked as money that was returned; what
/// else is said about it is an alarm (`docs/decisions/0105-what-an-order-remembers.md`).
pub const DISPUTES_MAX: usize = 8;
/// Provider's ids that an order remembers in order to book each once: every limit on steps and disputes together, twice. Beyond it a
/// money fact can no longer be told from its repeat, so it is an alarm that a person settles.
pub const BOOKED_MAX: usize = 256;
/// Alarms kept with the order. One already calls a person, who sees the rest in the inbox.
pub const ALARMS_MAX: usize = 16;
/// Replaced actions of an attempt that are remembered, so that an old notice does not send the payer back: more than any page asks for.
pub const REPLACED_MAX: usize = 16;
/// Currencies in which a provider may charge fees for one order: the order's, and those it settles in.
pub const FEE_CURRENCIES_MAX: usize = 4;

/// When a hold must be used or given back.
pub fn hold_deadline(hold: &Hold) -> Timestamp {
    let end = hold.end.unwrap_or(hold.at.plus_seconds(HOLD_UNKNOWN_S));
    end.plus_seconds(-HOLD_MARGIN_S)
        .min(hold.at.plus_seconds(HOLD_S_MAX))
        .max(hold.at.plus_seconds(HOLD_S_MIN))
}

/// When a capture at `time` happens for this hold.
pub fn capture_time(hold: &Hold, time: Timestamp) -> Timestamp {
    time.min(hold_deadline(hold).plus_seconds(-CAPTURE_MARGIN_S))
}

/// Until when a stray that was left at `at` is asked about.
pub fn stray_until(can: Abilities, at: Timestamp) -> Timestamp {
    at.plus_seconds((i64::from(can.stray_s) + STRAY_MARGIN_S).min(STRAY_S_MAX))
}

/// When the payer's time for an action that was asked at `at` is over.
pub fn action_until(can: Abilities, at: Timestamp) -> Timestamp {
    let wanted_s = if can.action_s == 0 {
        ACTION_S
    } else {
        i64::from(can.action_s)
    };
    at.plus_seconds(wanted_s.clamp(ACTION_S_MIN, ACTION_S_MAX))
}

/// Until when money taken at `at` can be given back.
pub fn refund_until(can: Abilities, at: Timestamp) -> Timestamp {
    let days = if can.refund_days == 0 {
        REFUND_DAYS
    } else {
        i64::from(can.refund_days).min(REFUND_DAYS_MAX)
    };
    at.plus_seconds(days * DAY_S)
}
