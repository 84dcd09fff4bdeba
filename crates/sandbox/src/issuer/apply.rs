//! Makes entries so: while requests are answered, and again when the state is rebuilt from the book.

use jiff::Timestamp;

use super::{Authorization, Due, Issuer, Known, Taken};
use crate::cards::Later;
use crate::entry::{Asked, DisputeId, Entry, Operation, What};
use crate::message::{Dispute, DisputeStatus, Happened, Progress, Status, Step, Sums};
use crate::reason::Reason;

impl Issuer {
    /// Makes an entry so. It was decided by these rules, so it fits; the book has seen to it that none is missing.
    pub fn apply(&mut self, entry: &Entry) {
        self.last_seq = entry.seq;
        let amount = entry.amount;
        match &entry.what {
            What::Authorized(asked) => self.add(entry, asked, Status::Approved),
            What::Declined(asked) => self.add(entry, asked, Status::Declined),
            What::Challenged(asked) => self.add(entry, asked, Status::Challenge),
            What::Captured { last, released } => {
                self.change(entry).captured += amount;
                self.change(entry).released += released;
                self.sums(entry).captured += i128::from(amount);
                self.sums(entry).released += i128::from(*released);
                self.take(entry, Step::Capture { amount, last: *last }, Progress::Done);
                self.owe_after_capture(entry);
            }
            What::Canceled => {
                self.change(entry).released += amount;
                self.sums(entry).released += i128::from(amount);
                self.take(entry, Step::Cancel, Progress::Done);
            }
            What::RefundPending => {
                self.change(entry).refund_pending += amount;
                self.sums(entry).refund_pending += i128::from(amount);
                let taken = self.take(entry, Step::Refund { amount }, Progress::Pending);
                self.owe_after_refund(entry, taken);
            }
            What::Refunded => {
                self.change(entry).refunded += amount;
                self.sums(entry).refunded += i128::from(amount);
                if self.settle(entry, Progress::Done) {
                    self.change(entry).refund_pending -= amount;
                    self.sums(entry).refund_pending -= i128::from(amount);
                    self.tell(entry, Happened::Refunded);
                } else {
                    let taken = self.take(entry, Step::Refund { amount }, Progress::Done);
                    self.owe_after_refund(entry, taken);
                }
            }
            What::RefundFailed { .. } => {
                self.change(entry).refunded -= amount;
                self.sums(entry).refunded -= i128::from(amount);
                self.settle(entry, Progress::Failed);
                self.tell(entry, Happened::RefundFailed);
            }
            What::Refused {
                operation, last, won, ..
            } => {
                let step = match operation {
                    Operation::Capture => Step::Capture { amount, last: *last },
                    Operation::Cancel => Step::Cancel,
                    Operation::Refund => Step::Refund { amount },
                    Operation::Dispute => Step::Dispute { amount },
                    Operation::CloseDispute => Step::CloseDispute { won: *won },
                };
                self.take(entry, step, Progress::Refused);
            }
            What::Disputed { reason } => {
                self.change(entry).disputed += amount;
                self.change(entry).disputes.push(Dispute {
                    id: DisputeId(entry.seq),
                    amount,
                    reason: *reason,
                    status: DisputeStatus::Open,
                });
                self.sums(entry).disputed += i128::from(amount);
                self.follow(entry);
                self.take(entry, Step::Dispute { amount }, Progress::Done);
                self.tell(entry, Happened::Disputed);
            }
            What::DisputeWon => {
                self.change(entry).disputed -= amount;
                self.sums(entry).disputed -= i128::from(amount);
                self.close_dispute(entry, DisputeStatus::Won);
                self.take(entry, Step::CloseDispute { won: true }, Progress::Done);
                self.tell(entry, Happened::DisputeWon);
            }
            What::DisputeLost => {
                self.close_dispute(entry, DisputeStatus::Lost);
                self.take(entry, Step::CloseDispute { won: false }, Progress::Done);
                self.tell(entry, Happened::DisputeLost);
            }
            What::Inquired | What::FraudWarned => self.follow(entry),
            What::Acknowledged { notice } => {
                self.notices.remove(notice);
            }
        }
    }

    fn change(&mut self, entry: &Entry) -> &mut Authorization {
        let at = entry.authorization.0 as usize - 1;
        self.authorizations
            .get_mut(at)
            .expect("an entry names an authorisation that stands before it")
    }

    fn sums(&mut self, entry: &Entry) -> &mut Sums {
        self.currencies.entry(entry.currency).or_default()
    }

    fn add(&mut self, entry: &Entry, asked: &Asked, status: Status) {
        let key = entry.key.clone().expect("an authorisation has a key");
        self.keys.insert(key.clone(), Known::Authorization(entry.authorization));
        if status == Status::Approved {
            self.sums(entry).authorized += i128::from(entry.amount);
        }
        self.authorizations.push(Authorization {
            key,
            card: entry.card,
            amount: entry.amount,
            currency: entry.currency,
            status,
            asked: asked.clone(),
            at: entry.at,
            captured: 0,
            released: 0,
            refunded: 0,
            refund_pending: 0,
            disputed: 0,
            disputes: Vec::new(),
            operations: Vec::new(),
            due_at: None,
        });
    }

    /// Remembers a step under its key. The capture that came with an authorisation is part of it and no step of its own,
    /// and what happened by itself has no key.
    fn take(&mut self, entry: &Entry, step: Step, answered: Progress) -> Option<usize> {
        let key = entry
            .key
            .clone()
            .filter(|key| *key != self.authorization(entry.authorization).key)?;
        let taken = self.operations.len();
        self.keys.insert(key.clone(), Known::Operation(taken));
        self.change(entry).operations.push(taken);
        let reason = if let What::Refused { reason, .. } = entry.what {
            reason
        } else {
            Reason::Approved
        };
        self.operations.push(Taken {
            authorization: entry.authorization,
            key,
            step,
            amount: entry.amount,
            reference: entry.reference.clone(),
            reason,
            answered,
            status: answered,
            due_at: None,
        });
        Some(taken)
    }

    fn close_dispute(&mut self, entry: &Entry, status: DisputeStatus) {
        let disputes = &mut self.change(entry).disputes;
        let open = |dispute: &&mut Dispute| dispute.status == DisputeStatus::Open;
        if let Some(open) = disputes.iter_mut().find(open) {
            open.status = status;
        }
    }

    /// The step under this entry's key came to its end; false if there is none.
    fn settle(&mut self, entry: &Entry, status: Progress) -> bool {
        let Some(Known::Operation(taken)) = entry.key.as_ref().and_then(|key| self.keys.get(key)).copied() else {
            return false;
        };
        let it = &mut self.operations[taken];
        it.status = status;
        if let What::RefundFailed { reason } = entry.what {
            it.reason = reason;
        }
        if let Some(at) = it.due_at.take() {
            self.due.remove(&(at, Due::AfterRefund(taken)));
        }
        true
    }

    fn owe_after_capture(&mut self, entry: &Entry) {
        let follows = match entry.card.later {
            Later::Dispute(_) | Later::Inquiry | Later::FraudWarning => true,
            Later::Nothing | Later::RefundPends | Later::RefundFails => false,
        };
        let at = self.later_than(entry.at);
        let it = self.change(entry);
        if follows && it.due_at.is_none() {
            it.due_at = Some(at);
            self.due.insert((at, Due::AfterCapture(entry.authorization)));
        }
    }

    fn owe_after_refund(&mut self, entry: &Entry, taken: Option<usize>) {
        let follows = match entry.card.later {
            Later::RefundPends | Later::RefundFails => true,
            Later::Nothing | Later::Dispute(_) | Later::Inquiry | Later::FraudWarning => false,
        };
        let at = self.later_than(entry.at);
        if let (true, Some(taken)) = (follows, taken) {
            self.operations[taken].due_at = Some(at);
            self.due.insert((at, Due::AfterRefund(taken)));
        }
    }

    /// What was to follow the capture has followed. It follows once, so its time stays where it was.
    fn follow(&mut self, entry: &Entry) {
        if let Some(at) = self.change(entry).due_at {
            self.due.remove(&(at, Due::AfterCapture(entry.authorization)));
        }
    }

    fn later_than(&self, at: Timestamp) -> Timestamp {
        at.checked_add(self.later).unwrap_or(Timestamp::MAX)
    }
}
