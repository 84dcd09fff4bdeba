//! Faults that can be switched on while the issuer runs: which operation, what goes wrong, how often.
//!
//! A rule is armed by [`Faults::add`] and asked by [`Faults::draw`] once for every request. The dice are each rule's own,
//! from its seed, so the same requests in the same order meet the same faults. What a fault looks like on the wire is in
//! [`crate::http`]; here is only when.

use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rules armed at once; more is a test that never clears.
pub const RULES_MAX: usize = 64;

/// Longest a fault may hold a request.
pub const MS_MAX: u64 = 120_000;

/// One fault to arm. The JSON of `POST /faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests.
    pub operation: Target,
    /// What goes wrong.
    pub kind: Kind,
    /// Whether the request has its effect; absent: as [`Kind::when`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How long, for kinds that take time; absent: as [`Kind::ms`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Requests to let pass first.
    #[serde(default)]
    pub skip: u32,
    /// How often it may happen; absent: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// How likely it is each time, in thousandths.
    #[serde(default = "always")]
    pub permille: u16,
    /// Seed of the dice.
    #[serde(default)]
    pub seed: u64,
}

fn always() -> u16 {
    1_000
}

/// Which requests a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// All requests of the below.
    Any,
    /// `POST /authorizations`.
    Authorize,
    /// `POST …/capture`.
    Capture,
    /// `POST …/cancel`.
    Cancel,
    /// `POST …/refund`.
    Refund,
    /// `GET /authorizations/{id}` and `GET /by-key/{key}` at the control door. The read-only door always tells the truth.
    Read,
    /// A notice on its way out, and only for a rule that names it. It can be missing (`timeout_before`), late (`delay_ms`), doubled
    /// (`duplicate`), or come again because its answer was lost (`timeout_after`, `reset`).
    Notice,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No effect; nothing is heard for `ms`, then the connection is cut.
    TimeoutBefore,
    /// The effect happens; nothing is heard for `ms`, then the connection is cut.
    TimeoutAfter,
    /// Takes `ms` longer (before or after the effect), then answers truly.
    DelayMs,
    /// 500 with an error body.
    #[serde(rename = "status_500")]
    Status500,
    /// 429 with `Retry-After: 1`.
    #[serde(rename = "status_429")]
    Status429,
    /// The connection is reset without a byte.
    Reset,
    /// The answer breaks off in its middle.
    Truncated,
    /// 200, but not JSON.
    Garbage,
    /// The true answer, one byte every `ms`.
    SlowBytes,
    /// 200 and 10 MiB of JSON that nobody asked for.
    Huge,
    /// The true answer with one minor unit more.
    WrongAmount,
    /// The true answer with another currency.
    WrongCurrency,
    /// Says that it has seen this before (94), which proves nothing.
    Duplicate,
}

/// Whether the request has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It goes wrong before anything happens.
    Before,
    /// It happens, then it goes wrong.
    After,
}

impl Kind {
    /// When it strikes if the rule does not say.
    pub fn when(self) -> When {
        match self {
            Kind::TimeoutBefore | Kind::DelayMs | Kind::Status500 | Kind::Status429 | Kind::Duplicate => When::Before,
            Kind::TimeoutAfter
            | Kind::Reset
            | Kind::Truncated
            | Kind::Garbage
            | Kind::SlowBytes
            | Kind::Huge
            | Kind::WrongAmount
            | Kind::WrongCurrency => When::After,
        }
    }

    /// How long it takes if the rule does not say.
    pub fn ms(self) -> u64 {
        match self {
            // Longer than any client of ours waits.
            Kind::TimeoutBefore | Kind::TimeoutAfter => 60_000,
            Kind::DelayMs | Kind::SlowBytes => 1_000,
            Kind::Status500
            | Kind::Status429
            | Kind::Reset
            | Kind::Truncated
            | Kind::Garbage
            | Kind::Huge
            | Kind::WrongAmount
            | Kind::WrongCurrency
            | Kind::Duplicate => 0,
        }
    }

    /// The kinds that mean something for a message that the issuer sends.
    fn strikes_notices(self) -> bool {
        match self {
            Kind::TimeoutBefore | Kind::TimeoutAfter | Kind::DelayMs | Kind::Reset | Kind::Duplicate => true,
            Kind::Status500
            | Kind::Status429
            | Kind::Truncated
            | Kind::Garbage
            | Kind::SlowBytes
            | Kind::Huge
            | Kind::WrongAmount
            | Kind::WrongCurrency => false,
        }
    }

    /// The kinds whose name or nature says when they strike, so that a rule cannot.
    fn fixed(self) -> bool {
        match self {
            Kind::TimeoutBefore
            | Kind::TimeoutAfter
            | Kind::SlowBytes
            | Kind::Truncated
            | Kind::WrongAmount
            | Kind::WrongCurrency => true,
            Kind::DelayMs
            | Kind::Status500
            | Kind::Status429
            | Kind::Reset
            | Kind::Garbage
            | Kind::Huge
            | Kind::Duplicate => false,
        }
    }
}

/// A fault that strikes this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// Whether the request has its effect.
    pub when: When,
    /// How long it takes.
    pub ms: u64,
}

/// A rule in force. The JSON of `GET /faults`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Armed {
    /// Its number, to remove it by.
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// Requests of its kind that it saw.
    pub seen: u64,
    /// How often it struck.
    pub struck: u64,
    #[serde(skip)]
    dice: u64,
}

/// The switchboard: a handle that may be cloned and shared.
#[derive(Clone, Default)]
pub struct Faults {
    inner: Arc<Mutex<Board>>,
}

#[derive(Default)]
struct Board {
    armed: Vec<Armed>,
    last_id: u64,
}

impl Faults {
    /// Arms a rule and says its number, or why the rule makes no sense.
    pub fn add(&self, rule: Rule) -> Result<Armed, String> {
        if rule.permille > 1_000 {
            return Err(format!(
                "`permille` is {}; it counts thousandths, so at most 1000",
                rule.permille
            ));
        }
        if rule.ms.is_some_and(|ms| ms > MS_MAX) {
            return Err(format!("`ms` is at most {MS_MAX}"));
        }
        if rule
            .when
            .is_some_and(|when| rule.kind.fixed() && when != rule.kind.when())
        {
            return Err("this `kind` says by itself when it strikes; leave `when` out".into());
        }
        if rule.operation == Target::Notice && !rule.kind.strikes_notices() {
            return Err("a notice can be missing (`timeout_before`), late (`delay_ms`), doubled (`duplicate`), or come again because its \
                        answer was lost (`timeout_after`, `reset`)"
                .into());
        }
        let mut board = self.board();
        if board.armed.len() >= RULES_MAX {
            return Err(format!(
                "{RULES_MAX} rules are armed; remove some first (DELETE /faults)"
            ));
        }
        board.last_id += 1;
        let armed = Armed {
            id: board.last_id,
            dice: rule.seed,
            rule,
            seen: 0,
            struck: 0,
        };
        board.armed.push(armed.clone());
        Ok(armed)
    }

    /// The fault that strikes a request of this kind, if any: the first rule that fits wins.
    pub fn draw(&self, target: Target) -> Option<Fault> {
        self.board().armed.iter_mut().find_map(|armed| armed.draw(target))
    }

    /// All rules, with what they did.
    pub fn list(&self) -> Vec<Armed> {
        self.board().armed.clone()
    }

    /// Removes one rule; false if there is none of this number.
    pub fn remove(&self, id: u64) -> bool {
        let mut board = self.board();
        let before = board.armed.len();
        board.armed.retain(|armed| armed.id != id);
        board.armed.len() < before
    }

    /// Removes all rules: from now on everything goes well.
    pub fn clear(&self) {
        self.board().armed.clear();
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing under the lock can leave it half-changed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn draw(&mut self, target: Target) -> Option<Fault> {
        let Armed { rule, .. } = self;
        if rule.operation != target && (rule.operation != Target::Any || target == Target::Notice) {
            return None;
        }
        if rule.count.is_some_and(|count| self.struck >= u64::from(count)) {
            return None;
        }
        self.seen += 1;
        if self.seen <= u64::from(rule.skip) || mix(&mut self.dice) % 1_000 >= u64::from(rule.permille) {
            return None;
        }
        self.struck += 1;
        let (kind, rule) = (rule.kind, &*rule);
        Some(Fault {
            kind,
            when: rule.when.unwrap_or(kind.when()),
            ms: rule.ms.unwrap_or(kind.ms()),
        })
    }
}

/// The next number of a seeded sequence (SplitMix64): dice for simulations, not for secrets.
pub(crate) fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(operation: Target, kind: Kind) -> Rule {
        Rule {
            operation,
            kind,
            when: None,
            ms: None,
            skip: 0,
            count: None,
            permille: 1_000,
            seed: 0,
        }
    }

    #[test]
    fn a_rule_skips_strikes_as_often_as_it_may_and_then_sleeps() {
        let faults = Faults::default();
        faults
            .add(Rule {
                skip: 2,
                count: Some(1),
                ..rule(Target::Capture, Kind::Reset)
            })
            .unwrap();
        assert_eq!(faults.draw(Target::Authorize), None, "another operation");
        let struck: Vec<bool> = (0..5).map(|_| faults.draw(Target::Capture).is_some()).collect();
        assert_eq!(struck, [false, false, true, false, false]);
        assert_eq!(faults.list()[0].struck, 1);
    }

    #[test]
    fn the_same_seed_rolls_the_same_dice_and_about_as_often_as_it_says() {
        let strikes = |seed| {
            let faults = Faults::default();
            faults
                .add(Rule {
                    permille: 250,
                    seed,
                    ..rule(Target::Any, Kind::Status500)
                })
                .unwrap();
            (0..1_000)
                .map(|_| faults.draw(Target::Refund).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
        let often = strikes(7).iter().filter(|struck| **struck).count();
        assert!((200..300).contains(&often), "{often} of 1000");
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused_and_says_why() {
        let faults = Faults::default();
        assert!(
            faults
                .add(Rule {
                    permille: 1_001,
                    ..rule(Target::Any, Kind::Reset)
                })
                .unwrap_err()
                .contains("1000")
        );
        assert!(
            faults
                .add(Rule {
                    ms: Some(MS_MAX + 1),
                    ..rule(Target::Any, Kind::DelayMs)
                })
                .is_err()
        );
        assert!(
            faults
                .add(Rule {
                    when: Some(When::After),
                    ..rule(Target::Any, Kind::TimeoutBefore)
                })
                .is_err()
        );
        for _ in 0..RULES_MAX {
            faults.add(rule(Target::Any, Kind::Garbage)).unwrap();
        }
        assert!(
            faults
                .add(rule(Target::Any, Kind::Garbage))
                .unwrap_err()
                .contains("DELETE /faults")
        );
    }

    #[test]
    fn rules_can_be_removed_one_by_one_or_all_at_once() {
        let faults = Faults::default();
        let first = faults.add(rule(Target::Any, Kind::Garbage)).unwrap();
        let second = faults.add(rule(Target::Any, Kind::Huge)).unwrap();
        assert!(faults.remove(first.id) && !faults.remove(first.id));
        assert_eq!(faults.draw(Target::Read).map(|fault| fault.kind), Some(Kind::Huge));
        assert_ne!(first.id, second.id);
        faults.clear();
        assert_eq!(faults.draw(Target::Read), None);
    }
}
