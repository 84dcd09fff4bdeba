//! What is open of an order: for each step in flight, the place where its rail stands, and when somebody has to look at it.
//!
//! These entries are the outbox row of the step. They are durable, plain data without secrets, and tell whoever takes the order over
//! everything that has to be known: the message that may have left, or the wait that it is in.

use std::sync::Arc;

use florin_core::order::StepName;
use florin_core::rail::{Exchange, Repeat, Wait};
use florin_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Copies of one message that may be sent after the first (`order-machine.md` 6).
pub const RESENDS_MAX: u32 = 5;
/// Times that a provider may say "not now" to one message before it counts as no answer.
pub const AGAINS_MAX: u16 = 20;
/// Seconds between questions that bring nothing, and between copies of one message.
const QUESTIONS_S: [i64; 6] = [5, 15, 60, 120, 300, 600];
/// Then hourly …
const LATER_S: i64 = 3_600;
/// … and after a day every six hours.
const DAY_S: i64 = 86_400;
const MUCH_LATER_S: i64 = 6 * 3_600;
/// The longest gap between tries of a message that never left: its provider may be back any moment, and costs nothing to look for.
const UNSENT_GAP_S_MAX: i64 = 600;
/// How long a message that never left is tried: then what it asks for was surely not done, and that is said.
const UNSENT_S_MAX: i64 = 72 * 3_600;
/// The longest that "not now" keeps copies back which would go before their time: rails give their providers a minute.
const NOT_BEFORE_S_MAX: i64 = 120;
/// A step that waits for another one's exchange is looked at this often, in case nobody came back to it.
const HELD_S: i64 = 60;
/// How often a case for a person is looked at without one.
const STUCK_POLL_S: [u32; 2] = [3_600, 7_200];
/// The name of that wait; every rail answers in it.
pub const STUCK: &str = "stuck";
/// The wait in which a rail hears of steps that are over.
pub const FINISHED: &str = "finished";

/// A step that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub step: StepName,
    /// Where its rail stands.
    pub at: Place,
    /// Since when.
    pub since: Timestamp,
    /// When somebody has to look at it.
    pub due: Timestamp,
    /// Copies or questions that brought nothing; of a step that is not begun, starts that did not succeed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked: u16,
    /// The order's fence up to which nobody unplanned has taken it over.
    pub fence: u32,
    /// The provider said "not now", and when to come back: no copy goes before, whatever happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// It is looked at before this, when it would have been due. Known to the lane that looks, and not written down.
    #[serde(skip)]
    pub early: Option<Timestamp>,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

/// Where a rail stands in a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Not begun: an exchange of the attempt's authorise step is out.
    Held,
    /// A message is out, or will be.
    Out {
        /// The very message: a copy has the same bytes.
        message: Arc<Exchange>,
        /// Whether a copy may have left.
        sent: bool,
        /// How often the provider said "not now".
        #[serde(default, skip_serializing_if = "is_zero")]
        agains: u16,
    },
    /// Nothing is out.
    Wait {
        /// Its name in the rail's table.
        name: String,
        /// Seconds after its start at which to ask; the last gap repeats.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        poll: Vec<u32>,
        /// When the thing is over at the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The rail was told that it is over.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        over: bool,
    },
}

/// A place by name: what a turn must still find when it comes to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A message is out.
    Out(String, Timestamp),
    /// A wait.
    Wait(String, Timestamp),
    /// The step is over.
    Finished,
}

/// What is to be done about an entry now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Send the message; `again` if an earlier copy may have arrived.
    Send {
        /// An earlier copy may have arrived.
        again: bool,
    },
    /// Write down that the message is about to be sent, then send it: it may go only once.
    Mark,
    /// No copy may be sent any more, and one may have arrived: let the rail find out.
    Silence,
    /// No copy ever left, and none will.
    Unsent,
    /// Ask.
    Tick,
    /// Say that the deadline has passed.
    Over,
    /// Nothing yet.
    Rest,
}

impl Entry {
    /// A step whose first message goes out with the commit that writes this.
    pub fn new(step: StepName, at: Place, now: Timestamp, fence: u32) -> Self {
        let mut entry = Self {
            step,
            at,
            since: now,
            due: now,
            asked: 0,
            fence,
            not_before: None,
            early: None,
        };
        entry.put_off(now, fence);
        entry
    }

    /// A copy or question brought nothing. One that went before its time is none of those that are counted, and its plan stays.
    pub fn brought_nothing(&mut self, now: Timestamp, fence: u32) {
        let plan = self.early.take().filter(|due| *due > now);
        if plan.is_none() {
            self.asked = self.asked.saturating_add(1);
        }
        self.put_off(now, fence);
        // A plan that was made by a clock that was ahead is none.
        self.due = plan.map_or(self.due, |due| due.min(self.due));
    }

    /// What is to be done at `now`, whether it is due or not, under the order's fence.
    pub fn act(&self, now: Timestamp, fence: u32) -> Act {
        match &self.at {
            Place::Held => Act::Rest,
            Place::Out { message, sent, agains } => {
                // A takeover counts as a copy: a message that kills its worker is parked.
                let tries = u32::from(self.asked) + fence.saturating_sub(self.fence);
                let patience = *agains < AGAINS_MAX;
                match message.repeat {
                    _ if !sent && !patience => Act::Unsent,
                    Repeat::Never if *sent => Act::Silence,
                    Repeat::Never => Act::Mark,
                    Repeat::Same { for_s, .. } => {
                        // What no copy of ever left, nobody has to remember.
                        let for_s = if *sent { i64::from(for_s) } else { UNSENT_S_MAX };
                        let remembered = now < self.since.plus_seconds(for_s);
                        if tries <= RESENDS_MAX && patience && remembered {
                            Act::Send { again: *sent }
                        } else if *sent {
                            Act::Silence
                        } else {
                            Act::Unsent
                        }
                    }
                }
            }
            Place::Wait { until, over, .. } => match until {
                Some(until) if now >= *until && !over => Act::Over,
                Some(_) | None => Act::Tick,
            },
        }
    }

    /// Sets the next look, after a copy or question that brought nothing.
    pub fn put_off(&mut self, now: Timestamp, fence: u32) {
        self.fence = fence + 1; // the claim that comes when it is due is planned
        self.due = match &self.at {
            Place::Held if self.asked > 0 => now.plus_seconds(self.gap_s(self.asked, now)),
            Place::Held => now.plus_seconds(HELD_S),
            Place::Out { message, .. } => {
                let every_s = match message.repeat {
                    Repeat::Never => 0,
                    Repeat::Same { every_s, .. } => i64::from(every_s),
                };
                let copies = match self.act(now, fence + 1) {
                    Act::Send { .. } | Act::Mark => true,
                    Act::Silence | Act::Unsent | Act::Tick | Act::Over | Act::Rest => false,
                };
                // Where no copy goes any more, the rail finds out soon, and if it cannot, by the plan of questions.
                let gap_s = if copies {
                    self.gap_s(self.asked, now).max(every_s)
                } else {
                    let copies = u16::try_from(RESENDS_MAX).unwrap_or(u16::MAX);
                    self.gap_s(self.asked.saturating_sub(copies), now)
                };
                now.plus_seconds(gap_s)
            }
            Place::Wait { poll, until, over, .. } => {
                let ask = next_poll(self.since, poll, now).unwrap_or(now.plus_seconds(MUCH_LATER_S));
                match until {
                    Some(until) if !over => ask.min(*until),
                    Some(_) | None => ask,
                }
            }
        };
    }

    /// Sets the next try of a message that surely did nothing: when the provider said, or, if it never left, by the plan of questions. It may
    /// be out of reach for hours, and what cannot be sent must not be called refused for that. A copy that went before its time is none of
    /// those that are counted.
    pub fn again(&mut self, now: Timestamp, fence: u32, after_s: u32, never_left: bool) {
        self.fence = fence + 1;
        let out_of_turn = self.early.take().is_some_and(|due| due > now);
        if let Place::Out { agains, .. } = &mut self.at {
            // What never left may be tried for as long as its provider remembers keys; "not now" is heard so often and not more.
            *agains = if never_left || out_of_turn {
                (*agains).max(1)
            } else {
                agains.saturating_add(1)
            };
        }
        let waited_s = now.millis_since(self.since) / 1_000;
        let gap_s = if never_left {
            (waited_s / 2).clamp(0, UNSENT_GAP_S_MAX)
        } else {
            0
        };
        self.due = now.plus_seconds(gap_s.max(i64::from(after_s)));
        self.not_before = (!never_left).then_some(self.due);
    }

    /// Whether a copy may go before the entry is due. No provider is given longer than it may ask for: a moment further ahead was written by
    /// a clock that was ahead.
    pub fn may_go_early(&self, now: Timestamp) -> bool {
        (self.not_before).is_none_or(|at| at <= now || at > now.plus_seconds(NOT_BEFORE_S_MAX))
    }

    fn gap_s(&self, tries: u16, now: Timestamp) -> i64 {
        let later = if now < self.since.plus_seconds(DAY_S) {
            LATER_S
        } else {
            MUCH_LATER_S
        };
        let step = usize::from(tries.saturating_sub(1));
        QUESTIONS_S.get(step).copied().unwrap_or(later)
    }

    /// Where it stands, by name.
    pub fn spot(&self) -> Option<Spot> {
        match &self.at {
            Place::Held => None,
            Place::Out { message, .. } => Some(Spot::Out(message.name.clone().into_owned(), self.since)),
            Place::Wait { name, .. } => Some(Spot::Wait(name.clone(), self.since)),
        }
    }

    /// Whether a copy or a question brought nothing, so that the next one waits for its moment.
    pub fn was_put_off(&self) -> bool {
        match &self.at {
            Place::Out { agains, .. } => self.asked > 0 || *agains > 0,
            Place::Held | Place::Wait { .. } => self.asked > 0,
        }
    }

    /// Whether a message is out, or will be.
    pub fn is_out(&self) -> bool {
        matches!(self.at, Place::Out { .. })
    }
}

impl Place {
    /// A message that goes out with the commit that writes this. The commit's lease is its mark, unless it may go only once.
    pub fn out(message: Exchange) -> Self {
        Self::Out {
            sent: message.repeat != Repeat::Never,
            message: Arc::new(message),
            agains: 0,
        }
    }

    /// The wait that a rail names.
    pub fn wait(wait: &Wait, now: Timestamp) -> Self {
        Self::Wait {
            name: wait.name.clone().into_owned(),
            poll: wait.poll.to_vec(),
            until: Some(now.plus_seconds(i64::from(wait.until_s))),
            over: false,
        }
    }

    /// A case for a person: asked about slowly, without end.
    pub fn stuck() -> Self {
        Self::Wait {
            name: STUCK.to_owned(),
            poll: STUCK_POLL_S.to_vec(),
            until: None,
            over: false,
        }
    }
}

/// The next moment of a poll plan after `now`: seconds after `since`, and the last gap repeats.
fn next_poll(since: Timestamp, poll: &[u32], now: Timestamp) -> Option<Timestamp> {
    let since = since.min(now); // what began later than now was written by a clock that was ahead
    let planned = poll.iter().map(|offset| since.plus_seconds(i64::from(*offset)));
    if let Some(next) = planned.clone().find(|at| *at > now) {
        return Some(next);
    }
    let last = *poll.last()?;
    let before = poll.len().checked_sub(2).map_or(0, |at| poll[at]);
    let gap_ms = i64::from(last.saturating_sub(before).max(1)) * 1_000;
    let past = now.millis_since(since.plus_seconds(i64::from(last)));
    Some(now.plus_millis(gap_ms - past.rem_euclid(gap_ms)))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use florin_core::rail::{Body, Method};

    use super::*;

    const T: Timestamp = Timestamp::from_millis(1_000_000_000_000);

    fn message(repeat: Repeat) -> Exchange {
        Exchange {
            name: Cow::Borrowed("intent"),
            method: Method::Post,
            url: "https://api.acme.test/v1".into(),
            headers: Vec::new(),
            body: Body::None,
            repeat,
            asks: false,
        }
    }

    fn out(repeat: Repeat) -> Entry {
        Entry::new(StepName::authorize(1), Place::out(message(repeat)), T, 0)
    }

    const SAME: Repeat = Repeat::Same {
        every_s: 5,
        for_s: 86_000,
    };

    #[test]
    fn a_message_with_a_key_goes_again_five_times_and_then_the_rail_finds_out() {
        let mut entry = out(SAME);
        let (mut now, mut fence, mut gaps) = (T, 0, Vec::new());
        for _ in 0..RESENDS_MAX {
            entry.asked += 1;
            entry.put_off(now, fence);
            gaps.push(entry.due.millis_since(now) / 1_000);
            now = entry.due;
            fence += 1; // claimed when due
            assert_eq!(entry.act(now, fence), Act::Send { again: true });
        }
        assert_eq!(gaps, [5, 15, 60, 120, 300]);
        entry.asked += 1;
        entry.put_off(now, fence);
        assert_eq!(entry.act(entry.due, fence + 1), Act::Silence);
    }

    #[test]
    fn when_no_copy_goes_any_more_the_rail_finds_out_within_seconds() {
        let mut entry = out(SAME);
        entry.asked = u16::try_from(RESENDS_MAX).unwrap();
        entry.brought_nothing(T, 0);
        assert_eq!((entry.act(entry.due, 1), entry.due), (Act::Silence, T.plus_seconds(5)));
    }

    #[test]
    fn a_copy_before_its_time_is_not_counted_and_the_plan_stays() {
        let mut entry = out(SAME);
        entry.brought_nothing(T, 0);
        let plan = entry.clone();
        for second in 1..5 {
            entry.early = Some(entry.due);
            entry.brought_nothing(T.plus_seconds(second), 0);
            assert_eq!(entry, plan);
        }
        entry.early = Some(entry.due);
        entry.brought_nothing(plan.due, 0);
        assert_eq!(entry.asked, plan.asked + 1, "it took until its time came");
    }

    #[test]
    fn what_cannot_leave_is_tried_for_as_long_as_its_key_is_remembered() {
        for sent in [false, true] {
            let (mut entry, mut now, mut tries) = (out(SAME), T, 0);
            if let Place::Out { sent: left, .. } = &mut entry.at {
                *left = sent;
            }
            while now < T.plus_seconds(85_000) {
                assert_eq!(entry.act(now, tries), Act::Send { again: sent }, "try {tries}");
                entry.again(now, tries, 5, true);
                (now, tries) = (entry.due, tries + 1);
            }
            assert!(tries < 170, "{tries} tries");
        }
    }

    #[test]
    fn not_now_to_a_copy_before_its_time_is_not_counted_and_the_next_one_waits_as_long_as_the_provider_said() {
        let mut entry = out(SAME);
        entry.brought_nothing(T, 0);
        for _ in 0..2 * AGAINS_MAX {
            entry.due = T.plus_seconds(5);
            entry.early = Some(entry.due);
            entry.again(T, 0, 60, false);
        }
        let due = T.plus_seconds(60);
        assert_eq!((entry.due, entry.act(due, 1)), (due, Act::Send { again: true }));
        assert!(!entry.may_go_early(due.plus_seconds(-1)) && entry.may_go_early(due));
        let written = serde_json::to_string(&entry).unwrap();
        let read: Entry = serde_json::from_str(&written).unwrap();
        assert!(!read.may_go_early(T), "another node knows it as well");
        assert!(read.may_go_early(T.plus_seconds(-3_600)), "the clock was ahead");
    }

    #[test]
    fn a_message_is_not_sent_again_after_the_provider_forgot_its_key() {
        let entry = out(SAME);
        assert_eq!(entry.act(T.plus_seconds(85_999), 1), Act::Send { again: true });
        assert_eq!(entry.act(T.plus_seconds(86_000), 1), Act::Silence);
    }

    #[test]
    fn a_message_that_kills_its_worker_is_parked() {
        let entry = out(SAME);
        assert_eq!(entry.act(T, 1), Act::Send { again: true });
        assert_eq!(entry.act(T, 6), Act::Send { again: true });
        assert_eq!(entry.act(T, 7), Act::Silence, "six takeovers without one answer");
    }

    #[test]
    fn a_message_that_may_go_once_is_marked_first_and_never_sent_twice() {
        let mut entry = out(Repeat::Never);
        assert_eq!(entry.act(T, 0), Act::Mark);
        if let Place::Out { sent, .. } = &mut entry.at {
            *sent = true;
        }
        assert_eq!(entry.act(T, 0), Act::Silence);
    }

    #[test]
    fn a_wait_asks_by_its_plan_and_says_once_that_it_is_over() {
        let wait = Wait {
            name: Cow::Borrowed("page"),
            why: florin_core::rail::Why::Provider,
            poll: &[10, 30, 90],
            until_s: 200,
        };
        let mut entry = Entry::new(StepName::authorize(1), Place::wait(&wait, T), T, 0);
        let (mut now, mut asked) = (T, Vec::new());
        while entry.act(now, 0) != Act::Over {
            entry.put_off(now, 0);
            now = entry.due;
            asked.push(now.millis_since(T) / 1_000);
        }
        assert_eq!(asked, [10, 30, 90, 150, 200]);
        if let Place::Wait { over, .. } = &mut entry.at {
            *over = true;
        }
        assert_eq!(entry.act(now, 0), Act::Tick);
        entry.put_off(now.plus_seconds(10_000), 0);
        assert!(
            entry.due > now.plus_seconds(10_000),
            "a node that slept does not ask for every moment it missed"
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        for at in [Place::Held, Place::out(message(SAME)), Place::stuck()] {
            let entry = Entry::new(StepName::authorize(2), at, T, 3);
            let text = serde_json::to_string(&entry).unwrap();
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
        }
    }
}
