//! The issuer's rules: what happens to a card's money when somebody asks, and what follows by itself.
//!
//! Pure: time is an argument, nothing is written here. [`Issuer::authorize`], [`Issuer::operate`] and [`Issuer::due`] say
//! which entries a request makes; [`Issuer::apply`] makes an entry so and cannot fail, which is also how the state is
//! rebuilt from the book. A request whose key is known makes no entry: its answer is read from the state.
//!
//! Held always, per authorisation: captured + released ≤ approved, refunded + on its way ≤ captured, disputed ≤ captured.

mod answers;
mod apply;
mod notices;

use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::cards::{DisputeReason, Later, TestCard, ThreeDs};
use crate::entry::{Asked, Authentication, AuthorizationId, Currency, Entry, Key, Operation, Text, What};
use crate::message::{Authorize, Dispute, DisputeStatus, Notice, Operate, Progress, Status, Step, Sums, Trouble};
use crate::reason::Reason;

/// Largest amount: DE4 of an ISO 8583 message has twelve digits. More is declined, as an issuer would.
pub const AMOUNT_MAX: i64 = 999_999_999_999;

/// Steps that one authorisation takes; more is a caller in a loop.
pub const OPERATIONS_MAX: usize = 200;

/// Everything the issuer knows.
pub struct Issuer {
    authorizations: Vec<Authorization>,
    operations: Vec<Taken>,
    keys: HashMap<Key, Known>,
    due: BTreeSet<(Timestamp, Due)>,
    /// What nobody has acknowledged yet, by the entry that it is about.
    notices: BTreeMap<u64, Notice>,
    currencies: BTreeMap<Currency, Sums>,
    last_seq: u64,
    seed: u64,
    later: SignedDuration,
}

/// What is known under a key.
#[derive(Clone, Copy)]
enum Known {
    Authorization(AuthorizationId),
    Operation(usize),
}

/// One authorisation and what moved since.
struct Authorization {
    key: Key,
    card: &'static TestCard,
    amount: i64,
    currency: Currency,
    status: Status,
    asked: Asked,
    at: Timestamp,
    captured: i64,
    released: i64,
    refunded: i64,
    refund_pending: i64,
    disputed: i64,
    disputes: Vec<Dispute>,
    operations: Vec<usize>,
    due_at: Option<Timestamp>,
}

/// One step that was taken on, or refused.
struct Taken {
    authorization: AuthorizationId,
    key: Key,
    step: Step,
    amount: i64,
    reference: Option<Text>,
    reason: Reason,
    answered: Progress,
    status: Progress,
    due_at: Option<Timestamp>,
}

/// What is still to follow by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    AfterCapture(AuthorizationId),
    AfterRefund(usize),
}

impl Issuer {
    /// An issuer that nobody has asked anything. `seed` makes the network's names; `later` is how long disputes and slow
    /// refunds take.
    pub fn new(seed: u64, later: SignedDuration) -> Issuer {
        Issuer {
            authorizations: Vec::new(),
            operations: Vec::new(),
            keys: HashMap::new(),
            due: BTreeSet::new(),
            notices: BTreeMap::new(),
            currencies: BTreeMap::new(),
            last_seq: 0,
            seed,
            later,
        }
    }

    /// The number of the last entry that was applied.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The entries that an authorisation makes; none if its key is known.
    pub fn authorize(&self, ask: &Authorize, at: Timestamp) -> Result<Vec<Entry>, Trouble> {
        if let Some(known) = self.keys.get(&ask.key) {
            return match known {
                Known::Authorization(id) if self.authorization(*id).answers(ask) => Ok(Vec::new()),
                Known::Authorization(_) | Known::Operation(_) => Err(Trouble::KeyReused(ask.key.as_str().into())),
            };
        }
        if ask.amount < 0 || (ask.amount == 0 && ask.capture) {
            return Err(Trouble::Misuse(
                "`amount` must be at least 1, or 0 with `capture` false to check a card".into(),
            ));
        }
        let number = u32::try_from(self.authorizations.len() + 1).expect("the book is full long before 2^32 entries");
        let id = AuthorizationId(number);
        let (status, reason) = verdict(ask);
        let asked = Asked {
            capture: ask.capture,
            three_ds: ask.three_ds,
            description: ask.description.clone(),
            reason,
            code: reason.into(),
            network_transaction_id: network_transaction_id(self.seed, id),
        };
        let seq = self.last_seq + 1;
        let entry = |seq, what| Entry {
            seq,
            at,
            what,
            authorization: id,
            key: Some(ask.key.clone()),
            reference: None,
            card: ask.card,
            amount: ask.amount,
            currency: ask.currency,
            more: false,
        };
        Ok(match status {
            Status::Declined => vec![entry(seq, What::Declined(asked))],
            Status::Challenge => vec![entry(seq, What::Challenged(asked))],
            Status::Approved if ask.capture => vec![
                Entry {
                    more: true,
                    ..entry(seq, What::Authorized(asked))
                },
                entry(
                    seq + 1,
                    What::Captured {
                        last: true,
                        released: 0,
                    },
                ),
            ],
            Status::Approved => vec![entry(seq, What::Authorized(asked))],
        })
    }

    /// The entry that a step makes; none if its key is known.
    pub fn operate(&self, ask: &Operate, at: Timestamp) -> Result<Option<Entry>, Trouble> {
        if let Some(known) = self.keys.get(&ask.key) {
            return match known {
                Known::Operation(taken) if self.operations[*taken].answers(ask) => Ok(None),
                Known::Operation(_) | Known::Authorization(_) => Err(Trouble::KeyReused(ask.key.as_str().into())),
            };
        }
        let it = self.find(ask.authorization).ok_or_else(|| no_such(ask.authorization))?;
        if it.operations.len() >= OPERATIONS_MAX {
            return Err(Trouble::Misuse(format!(
                "{} has taken {OPERATIONS_MAX} steps and takes no more",
                ask.authorization
            )));
        }
        let amount = match ask.step {
            Step::Capture { amount, .. } | Step::Refund { amount } | Step::Dispute { amount } => amount,
            Step::Cancel => it.held(),
            Step::CloseDispute { .. } => it.open_dispute().map_or(0, |dispute| dispute.amount),
        };
        if amount < 1 && !matches!(ask.step, Step::Cancel | Step::CloseDispute { .. }) {
            return Err(Trouble::Misuse("`amount` must be at least 1".into()));
        }
        let what = it.step(ask.step).unwrap_or_else(|reason| What::Refused {
            operation: ask.step.operation(),
            last: matches!(ask.step, Step::Capture { last: true, .. }),
            won: matches!(ask.step, Step::CloseDispute { won: true }),
            reason,
            code: reason.into(),
        });
        Ok(Some(Entry {
            seq: self.last_seq + 1,
            at,
            what,
            authorization: ask.authorization,
            key: Some(ask.key.clone()),
            reference: ask.reference.clone(),
            card: it.card,
            amount,
            currency: it.currency,
            more: false,
        }))
    }

    /// When the next thing follows by itself.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The entry of the first thing that has fallen due by now; apply it and ask again until there is none.
    ///
    /// What fell due and has nothing left to happen to (a dispute of money that was refunded meanwhile) is dropped.
    pub fn due(&mut self, now: Timestamp) -> Option<Entry> {
        loop {
            let first = *self.due.first()?;
            if first.0 > now {
                return None;
            }
            self.due.remove(&first);
            let (id, key, reference, amount, what) = match first.1 {
                Due::AfterCapture(id) => match self.authorization(id).after_capture() {
                    Some((amount, what)) => (id, None, None, amount, what),
                    None => continue,
                },
                Due::AfterRefund(taken) => {
                    let it = &self.operations[taken];
                    match it.after_refund() {
                        Some(what) => {
                            let (key, reference) = (Some(it.key.clone()), it.reference.clone());
                            (it.authorization, key, reference, it.amount, what)
                        }
                        None => continue,
                    }
                }
            };
            let it = self.authorization(id);
            return Some(Entry {
                seq: self.last_seq + 1,
                at: now,
                what,
                authorization: id,
                key,
                reference,
                card: it.card,
                amount,
                currency: it.currency,
                more: false,
            });
        }
    }

    fn authorization(&self, id: AuthorizationId) -> &Authorization {
        self.find(id).expect("an id that this issuer gave out")
    }

    fn find(&self, id: AuthorizationId) -> Option<&Authorization> {
        self.authorizations.get(usize::try_from(id.0).ok()?.checked_sub(1)?)
    }
}

impl Authorization {
    /// Whether this is what a repeat of the request would ask for.
    fn answers(&self, ask: &Authorize) -> bool {
        (self.card, self.amount, self.currency) == (ask.card, ask.amount, ask.currency)
            && (self.asked.capture, self.asked.three_ds) == (ask.capture, ask.three_ds)
            && self.asked.description == ask.description
    }

    fn held(&self) -> i64 {
        match self.status {
            Status::Approved => self.amount - self.captured - self.released,
            Status::Declined | Status::Challenge => 0,
        }
    }

    fn refundable(&self) -> i64 {
        (self.captured - self.refunded - self.refund_pending - self.disputed).max(0)
    }

    /// The dispute that nobody has decided; there is one at most.
    fn open_dispute(&self) -> Option<&Dispute> {
        self.disputes
            .iter()
            .find(|dispute| dispute.status == DisputeStatus::Open)
    }

    /// What a step does, or why it does not.
    fn step(&self, step: Step) -> Result<What, Reason> {
        match step {
            Step::Capture { .. } | Step::Cancel if self.held() == 0 => Err(Reason::NotOpen),
            Step::Capture { amount, .. } if amount > self.held() => Err(Reason::ExceedsAuthorized),
            Step::Capture { amount, last: true } => Ok(What::Captured {
                last: true,
                released: self.held() - amount,
            }),
            Step::Capture { last: false, .. } => Ok(What::Captured {
                last: false,
                released: 0,
            }),
            Step::Cancel => Ok(What::Canceled),
            Step::Refund { .. } | Step::Dispute { .. } if self.captured == 0 => Err(Reason::NotCaptured),
            Step::Refund { amount } if amount > self.refundable() => Err(Reason::ExceedsCaptured),
            Step::Refund { .. } => Ok(match self.card.later {
                Later::RefundPends => What::RefundPending,
                Later::Nothing | Later::RefundFails | Later::Dispute(_) | Later::Inquiry | Later::FraudWarning => {
                    What::Refunded
                }
            }),
            Step::Dispute { .. } if self.open_dispute().is_some() => Err(Reason::AlreadyDisputed),
            // A cardholder may dispute what was refunded already: that is how a merchant comes to pay twice.
            Step::Dispute { amount } if amount > self.captured - self.disputed => Err(Reason::ExceedsCaptured),
            Step::Dispute { .. } => Ok(What::Disputed {
                reason: DisputeReason::Fraudulent,
            }),
            Step::CloseDispute { .. } if self.open_dispute().is_none() => Err(Reason::NotDisputed),
            Step::CloseDispute { won: true } => Ok(What::DisputeWon),
            Step::CloseDispute { won: false } => Ok(What::DisputeLost),
        }
    }

    fn after_capture(&self) -> Option<(i64, What)> {
        match self.card.later {
            Later::Dispute(_) if self.refundable() == 0 || self.open_dispute().is_some() => None,
            Later::Dispute(reason) => Some((self.refundable(), What::Disputed { reason })),
            Later::Inquiry => Some((self.captured, What::Inquired)),
            Later::FraudWarning => Some((self.captured, What::FraudWarned)),
            Later::Nothing | Later::RefundPends | Later::RefundFails => None,
        }
    }
}

impl Taken {
    /// Whether this is what a repeat of the request would ask for.
    fn answers(&self, ask: &Operate) -> bool {
        (self.authorization, self.step, &self.reference) == (ask.authorization, ask.step, &ask.reference)
    }

    fn after_refund(&self) -> Option<What> {
        match self.status {
            Progress::Pending => Some(What::Refunded),
            Progress::Done => Some(What::RefundFailed {
                reason: Reason::AccountClosed,
            }),
            Progress::Refused | Progress::Failed => None,
        }
    }
}

impl Step {
    /// The step's name.
    pub fn operation(self) -> Operation {
        match self {
            Step::Capture { .. } => Operation::Capture,
            Step::Cancel => Operation::Cancel,
            Step::Refund { .. } => Operation::Refund,
            Step::Dispute { .. } => Operation::Dispute,
            Step::CloseDispute { .. } => Operation::CloseDispute,
        }
    }
}

/// What the issuer says to an authorisation. Authentication comes first, the card's own nature after it.
fn verdict(ask: &Authorize) -> (Status, Reason) {
    if ask.amount > AMOUNT_MAX {
        return (Status::Declined, Reason::InvalidAmount);
    }
    match (ask.card.three_ds, ask.three_ds) {
        (_, Authentication::Failed) => (Status::Declined, Reason::AuthenticationFailed),
        (ThreeDs::RequiredBroken, Authentication::None | Authentication::Passed)
        | (ThreeDs::SupportedBroken, Authentication::Passed) => (Status::Declined, Reason::AuthenticationUnavailable),
        (ThreeDs::Required, Authentication::None) => (Status::Challenge, Reason::AuthenticationRequired),
        (ThreeDs::Required | ThreeDs::Supported | ThreeDs::NotSupported, Authentication::Passed)
        | (ThreeDs::Supported | ThreeDs::NotSupported | ThreeDs::SupportedBroken, Authentication::None) => {
            match ask.card.verdict {
                Reason::Approved => (Status::Approved, Reason::Approved),
                declined => (Status::Declined, declined),
            }
        }
    }
}

fn no_such(id: AuthorizationId) -> Trouble {
    Trouble::NotFound(format!("there is no authorisation {id}"))
}

/// Fifteen characters, as Visa's have; letters among them, so that nobody takes one for a card number.
fn network_transaction_id(seed: u64, id: AuthorizationId) -> Text {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mut state = seed ^ (u64::from(id.0) << 32);
    let mut bits = u128::from(crate::faults::mix(&mut state)) << 64 | u128::from(crate::faults::mix(&mut state));
    let mut text = String::from("T");
    for _ in 0..14 {
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text.into()
}
