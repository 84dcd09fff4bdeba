//! What a merchant does with one order, and what it was told: a script drawn from the seed, every call repeated under its key until it is
//! answered.

use florin_core::id::OrderId;
use florin_core::money::{Currency, Money};
use florin_core::order::{CaptureAt, Initiator, Kind};
use florin_core::status;
use florin_services::ask::{Answered, Ask, Denied, NewOrder, Pay, State, What};
use florin_services::view::{Details, View};
use florin_store::{IdemKey, Tenant};

use super::dice::Dice;
use crate::check::{Answer, Call};

/// Calls of one client: its script is over after that, whatever the answers.
const CALLS_MAX: usize = 14;

/// A merchant's side of one order.
pub(super) struct Client {
    pub(super) number: usize,
    tenant: Tenant,
    amount: i64,
    capture: CaptureAt,
    hosted: bool,
    confirm_later: bool,
    expires_s: i64,
    pub(super) order: Option<OrderId>,
    pub(super) log: Vec<Call>,
    /// The call that is not answered yet, with its number.
    pub(super) open: Option<(u64, Ask)>,
    calls: u64,
    pub(super) done: bool,
}

/// What the client does when it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next call, after a while.
    Next,
    /// The same call under the same key.
    Repeat,
}

impl Client {
    pub(super) fn new(number: usize, tenant: Tenant, dice: &mut Dice) -> Self {
        let capture = match dice.below(4) {
            0 => CaptureAt::Later,
            _ => CaptureAt::Once,
        };
        Self {
            number,
            tenant,
            amount: dice.between(100, 9_999),
            capture,
            hosted: dice.permille(400),
            confirm_later: dice.permille(300),
            expires_s: dice.between(600, 7_200),
            order: None,
            log: Vec::new(),
            open: None,
            calls: 0,
            done: false,
        }
    }

    /// The call to make now: the open one again, or the next of the script. None: the script is over.
    pub(super) fn call(
        &mut self,
        view: Option<&View>,
        dice: &mut Dice,
        now: florin_core::time::Timestamp,
    ) -> Option<(u64, Ask)> {
        if let Some(open) = &self.open {
            return Some(open.clone());
        }
        if self.done || self.log.len() >= CALLS_MAX {
            self.done = true;
            return None;
        }
        let Some(what) = self.next(view, dice, now) else {
            self.done = true;
            return None;
        };
        self.calls += 1;
        let text = format!("client {} call {}", self.number, self.calls);
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.calls.to_be_bytes());
        let ask = Ask {
            tenant: self.tenant,
            key: Some(IdemKey {
                key: text.clone(),
                hash,
                earlier: None,
            }),
            what,
        };
        self.log.push(Call {
            key: text,
            reference: Some(format!("order {}", self.number)).filter(|_| self.calls == 1),
            answers: Vec::new(),
        });
        self.open = Some((self.calls, ask));
        self.open.clone()
    }

    fn next(&mut self, view: Option<&View>, dice: &mut Dice, now: florin_core::time::Timestamp) -> Option<What> {
        let Some(order) = self.order else {
            if self.calls > 0 {
                return None; // the order was refused for good
            }
            let new = NewOrder {
                id: None,
                reference: format!("order {}", self.number),
                kind: Kind::Payment,
                amount: Money::new(self.amount, Currency::EUR),
                capture: self.capture,
                expires_at: Some(now.plus_seconds(self.expires_s)),
                details: std::sync::Arc::new(Details {
                    page_token: Some(format!("token of {}", self.number)),
                    ..Details::default()
                }),
            };
            let start = (!self.confirm_later).then(|| self.pay(dice));
            return Some(What::Create {
                order: Box::new(new),
                start,
            });
        };
        let view = view?;
        let amounts = status::amounts(&view.order);
        match status::word(&view.order) {
            status::Word::Created => Some(if dice.permille(100) {
                What::Cancel { order }
            } else {
                What::Confirm {
                    order,
                    pay: self.pay(dice),
                }
            }),
            status::Word::RequiresAction | status::Word::Processing => match dice.below(10) {
                0 => Some(What::Cancel { order }),
                1 => Some(What::leave(view)),
                2 => Some(What::Confirm {
                    order,
                    pay: self.pay(dice),
                }),
                3..=6 => Some(What::Back {
                    order,
                    params: Default::default(),
                }),
                _ => None,
            },
            status::Word::Authorized | status::Word::PartiallyCaptured => match dice.below(6) {
                0 => Some(What::Void { order }),
                1 => None,
                2 => Some(What::Capture {
                    order,
                    amount: Some(part(amounts.capturable, dice)),
                    last: true,
                }),
                _ => Some(What::Capture {
                    order,
                    amount: None,
                    last: true,
                }),
            },
            status::Word::Captured | status::Word::PartiallyRefunded => match dice.below(4) {
                0 => Some(What::Refund { order, amount: None }),
                1 => Some(What::Refund {
                    order,
                    amount: Some(part(amounts.refundable, dice)),
                }),
                _ => None,
            },
            status::Word::Refunded
            | status::Word::Failed
            | status::Word::Canceled
            | status::Word::Expired
            | status::Word::Verified => None,
        }
    }

    fn pay(&self, dice: &mut Dice) -> Pay {
        let method = if self.hosted {
            "hosted"
        } else {
            match dice.below(10) {
                0 => "card_visa_chargeDeclined",
                1 => "card_visa_chargeDeclinedInsufficientFunds",
                2 | 3 => "card_threeDSecure2Required",
                _ => "card_visa",
            }
        };
        Pay {
            method: method.into(),
            connection: None,
            channel: "api".into(),
            initiator: Initiator::Payer,
            return_url: None,
        }
    }

    /// An answer to the open call came.
    pub(super) fn told(&mut self, call: u64, told: &Result<Answered, Denied>) -> Then {
        if self.open.as_ref().is_none_or(|(number, _)| *number != call) {
            return Then::Repeat; // an answer to a call that was answered already
        }
        match told {
            Ok(answered) => {
                let view = &answered.order;
                self.order = Some(view.order.id);
                let looks = matches!(&self.open, Some((_, ask)) if matches!(ask.what, What::Back { .. }));
                if let Some(call) = self.log.last_mut() {
                    call.answers.push(Answer {
                        order: view.order.id,
                        version: view.order.version,
                        word: status::word(&view.order).as_str().to_owned(),
                        over: answered.state == State::Over && !looks,
                    });
                }
                // Half of the clients ask for the final answer, the others go on.
                if answered.state == State::Running && self.number.is_multiple_of(2) && !looks {
                    return Then::Repeat;
                }
                self.open = None;
                Then::Next
            }
            Err(Denied::Busy { .. } | Denied::Unavailable { .. } | Denied::Full) => Then::Repeat,
            Err(
                Denied::Refused { .. }
                | Denied::NotFound
                | Denied::KeyReused
                | Denied::ReferenceTaken { .. }
                | Denied::Misuse { .. }
                | Denied::Damaged,
            ) => {
                self.open = None;
                Then::Next
            }
        }
    }
}

fn part(of: Money, dice: &mut Dice) -> Money {
    of.with_minor(dice.between(1, of.minor().max(1)))
}
