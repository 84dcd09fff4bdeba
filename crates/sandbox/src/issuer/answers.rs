//! Answers, read from what the issuer knows.

use super::{Authorization, Issuer, Known, Taken, no_such};
use crate::entry::{AuthorizationId, Key};
use crate::message::{Authorized, Found, Operated, Progress, Status, Sums, Total, Totals, Trouble, View};
use crate::reason::Reason;

impl Issuer {
    /// The answer to the authorisation under this key, as it was given first.
    pub fn authorized(&self, key: &Key, replayed: bool) -> Option<Authorized> {
        let Known::Authorization(id) = *self.keys.get(key)? else {
            return None;
        };
        let it = self.authorization(id);
        let captured = if it.asked.capture && it.status == Status::Approved {
            it.amount
        } else {
            0
        };
        Some(Authorized {
            id,
            key: it.key.clone(),
            status: it.status,
            amount: it.amount,
            currency: it.currency,
            captured,
            code: it.asked.reason.code(),
            reason: it.asked.reason,
            network_transaction_id: it.asked.network_transaction_id.clone(),
            replayed,
        })
    }

    /// The answer to the step under this key, as it was given first.
    pub fn operated(&self, key: &Key, replayed: bool) -> Option<Operated> {
        let Known::Operation(taken) = *self.keys.get(key)? else {
            return None;
        };
        let it = &self.operations[taken];
        let reason = match it.answered {
            Progress::Refused => it.reason,
            Progress::Done | Progress::Pending | Progress::Failed => Reason::Approved,
        };
        Some(Operated {
            replayed,
            ..self.operation(it, it.answered, reason)
        })
    }

    /// An authorisation as it stands.
    pub fn view(&self, id: AuthorizationId) -> Result<View, Trouble> {
        let it = self.find(id).ok_or_else(|| no_such(id))?;
        Ok(View {
            id,
            key: it.key.clone(),
            status: it.status,
            open: it.held() > 0,
            card: it.card,
            capture: it.asked.capture,
            three_ds: it.asked.three_ds,
            amount: it.amount,
            currency: it.currency,
            sums: it.sums(),
            code: it.asked.reason.code(),
            reason: it.asked.reason,
            network_transaction_id: it.asked.network_transaction_id.clone(),
            description: it.asked.description.clone(),
            created_at: it.at,
            operations: it
                .operations
                .iter()
                .map(|taken| &self.operations[*taken])
                .map(|taken| self.operation(taken, taken.status, taken.reason))
                .collect(),
            disputes: it.disputes.clone(),
        })
    }

    /// What is known under a key, as it stands.
    pub fn by_key(&self, key: &Key) -> Result<Found, Trouble> {
        match self.keys.get(key) {
            Some(Known::Authorization(id)) => Ok(Found::Authorization(Box::new(self.view(*id)?))),
            Some(Known::Operation(taken)) => {
                let it = &self.operations[*taken];
                Ok(Found::Operation(self.operation(it, it.status, it.reason)))
            }
            None => Err(Trouble::NotFound(format!(
                "nothing was ever asked under the key `{}`",
                key.as_str()
            ))),
        }
    }

    /// The totals of up to `limit` authorisations after this one, oldest first, and the sums over all.
    pub fn totals(&self, after: u32, limit: usize) -> Totals {
        let rest = self.authorizations.iter().skip(after as usize);
        let data: Vec<_> = (after.saturating_add(1)..)
            .zip(rest)
            .take(limit)
            .map(|(number, it)| Total {
                authorization: AuthorizationId(number),
                key: it.key.clone(),
                card: it.card,
                currency: it.currency,
                status: it.status,
                sums: it.sums(),
            })
            .collect();
        let has_more = after as usize + data.len() < self.authorizations.len();
        Totals {
            data,
            has_more,
            currencies: self.currencies.clone(),
        }
    }

    fn operation(&self, it: &Taken, status: Progress, reason: Reason) -> Operated {
        Operated {
            id: it.authorization,
            operation: it.step.operation(),
            key: it.key.clone(),
            status,
            moved: if status == Progress::Done { it.amount } else { 0 },
            currency: self.authorization(it.authorization).currency,
            code: reason.code(),
            reason,
            replayed: false,
        }
    }
}

impl Authorization {
    fn sums(&self) -> Sums {
        Sums {
            authorized: if self.status == Status::Approved {
                self.amount.into()
            } else {
                0
            },
            captured: self.captured.into(),
            released: self.released.into(),
            refunded: self.refunded.into(),
            refund_pending: self.refund_pending.into(),
            disputed: self.disputed.into(),
        }
    }
}
