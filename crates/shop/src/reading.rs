//! What an order says about what may happen next. Everything that this shop does with money asks here.

use crate::api::shapes::{AttemptStatus, Order, Status};

impl Order {
    /// Whether both say the same about state and money. Florin counts more in `version` than it tells by webhooks.
    pub(crate) fn says_the_same_as(&self, other: &Self) -> bool {
        let money = |order: &Self| (order.amount_captured, order.amount_refunded, order.amount_disputed);
        let state = |order: &Self| (order.payment_order_status, order.uncertain, order.deliverable);
        money(self) == money(other) && state(self) == state(other)
    }

    /// Money of the buyer is ours or held for us, or was.
    pub(crate) fn is_paid(&self) -> bool {
        match self.payment_order_status {
            Status::Authorized
            | Status::PartiallyCaptured
            | Status::Captured
            | Status::PartiallyRefunded
            | Status::Refunded => true,
            Status::Created
            | Status::RequiresAction
            | Status::Processing
            | Status::Failed
            | Status::Canceled
            | Status::Expired
            | Status::Verified
            | Status::Unknown => false,
        }
    }

    /// Ended without money: these goods need a new order.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.payment_order_status,
            Status::Failed | Status::Canceled | Status::Expired
        )
    }

    /// Whether a new try may start: nobody is paying now, and how the last try ended is known.
    pub(crate) fn may_try_again(&self) -> bool {
        let known = self.last_attempt.as_ref().is_none_or(|last| match last.status {
            AttemptStatus::Declined | AttemptStatus::Canceled | AttemptStatus::Reversed => !last.uncertain,
            AttemptStatus::Processing
            | AttemptStatus::RequiresAction
            | AttemptStatus::Succeeded
            | AttemptStatus::Unknown => false,
        });
        self.payment_order_status == Status::Created && !self.uncertain && known
    }

    /// Whether the next moment may bring something: a page to go to, or how it ended.
    pub(crate) fn is_under_way(&self) -> bool {
        let status = self.payment_order_status;
        let acting = status == Status::RequiresAction && self.payment_page().is_none();
        (acting || status == Status::Processing || status == Status::Created && !self.may_try_again())
            && !self.uncertain
    }

    /// Where the payer has to go, if that is what the order waits for.
    pub(crate) fn payment_page(&self) -> Option<String> {
        let action = self.next_action.as_ref().filter(|action| action.kind == "redirect");
        (self.payment_order_status == Status::RequiresAction)
            .then_some(action?.url.clone())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::shapes::{Attempt, NextAction, tests::order};

    fn after(status: Status, last: AttemptStatus, uncertain: bool) -> Order {
        let mut order = order("G-1", status);
        order.uncertain = uncertain;
        order.last_attempt = Some(Attempt {
            id: "att_1".into(),
            status: last,
            uncertain,
            method: None,
            rail: None,
            amount: 1650,
            currency: "EUR".into(),
            decline: None,
            provider_reference: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
        });
        order
    }

    #[test]
    fn nobody_tries_again_while_the_last_try_may_still_succeed() {
        for last in [
            AttemptStatus::Processing,
            AttemptStatus::RequiresAction,
            AttemptStatus::Succeeded,
            AttemptStatus::Unknown,
        ] {
            assert!(!after(Status::Created, last, false).may_try_again(), "{last:?}");
        }
        for last in [
            AttemptStatus::Declined,
            AttemptStatus::Canceled,
            AttemptStatus::Reversed,
        ] {
            assert!(after(Status::Created, last, false).may_try_again(), "{last:?}");
            assert!(!after(Status::Created, last, true).may_try_again(), "{last:?}");
            for status in [
                Status::Processing,
                Status::RequiresAction,
                Status::Captured,
                Status::Failed,
                Status::Unknown,
            ] {
                assert!(!after(status, last, false).may_try_again(), "{status:?}");
            }
        }
        assert!(order("G-1", Status::Created).may_try_again());
    }

    #[test]
    fn only_a_redirect_of_an_open_order_is_a_payment_page() {
        let mut open = order("G-1", Status::RequiresAction);
        assert_eq!(open.payment_page(), None);
        assert!(open.is_under_way());
        open.next_action = Some(NextAction {
            kind: "redirect".into(),
            url: Some("http://pay/1".into()),
        });
        assert_eq!(open.payment_page().as_deref(), Some("http://pay/1"));
        assert!(!open.is_under_way());
        open.payment_order_status = Status::Captured;
        assert_eq!(open.payment_page(), None);
    }
}
