//! How a payment is to be made: from the words of a call to a plan that the order machine takes.

use std::sync::Arc;

use florin_core::card;
use florin_core::id::{CustomerId, MethodId, OrderId};
use florin_core::money::Money;
use florin_core::order::{Abilities, Plan};
use florin_core::rail::{Instrument, Rail, Step, Table};
use florin_store::{Mode, Tenant};

use super::Inner;
use crate::ask::{Denied, Pay};
use crate::directory::{Connection, Customer, DirectoryError, Method};
use crate::lane::Start;

/// Longest name of a test method.
const METHOD_CHARS_MAX: usize = 64;
/// How long an abandoned attempt may still succeed at a provider that cannot cancel it.
const STRAY_S: u32 = 24 * 3_600;

/// Whose order is to be paid.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payer {
    /// A new one's, that this customer is named in, if any is.
    Named(Option<CustomerId>),
    /// Whoever stands in this one.
    Of(OrderId),
}

impl Inner {
    pub(super) fn rail(&self, name: &str) -> Option<&'static dyn Rail> {
        self.rails.iter().copied().find(|rail| rail.table().name == name)
    }

    /// How an attempt is started. The amount is filled in by the lane, which knows what is due.
    pub(super) async fn start_of(
        &self,
        tenant: Tenant,
        pay: &Pay,
        payer: Payer,
        amount: Money,
    ) -> Result<Box<Start>, Denied> {
        let stored = match pay.method.parse::<MethodId>() {
            Ok(id) => Some(self.method(tenant, id).await?),
            Err(_) => None,
        };
        if let Some(owner) = stored.as_ref().and_then(|method| method.customer) {
            self.may_pay_with(tenant, &pay.method, owner, payer).await?;
        }
        let connection = match self.connection(tenant, pay, stored.as_ref()) {
            Ok(connection) => connection,
            // Another node may have made it, or switched it on, a moment ago.
            Err(_) => {
                self.directory.refresh().await.map_err(|error| unread(&error))?;
                self.connection(tenant, pay, stored.as_ref())?
            }
        };
        let rail = self
            .rail(&connection.rail)
            .ok_or_else(|| no_connection(format!("this release has no rail `{}`", connection.rail)))?;
        let instrument = match (&stored, pay.method.as_str()) {
            (Some(method), _) => Instrument::Stored(method.token.clone()),
            (None, "hosted") => Instrument::Hosted,
            // The id of a stored method that was cut short is no test card, whatever a provider makes of it.
            (None, name) if is_stored(name) && is_name(name) && !card::is_number(name) => {
                return Err(unknown_method(format!("there is no method {name}")));
            }
            (None, name) if tenant.mode == Mode::Test && is_name(name) && !card::is_number(name) => {
                if !(self.settings.test_method)(&connection.rail, name) {
                    return Err(unknown_method(format!("there is no test card `{name}`")));
                }
                Instrument::Stored(name.to_owned())
            }
            (None, name) if card::is_number(name) => {
                return Err(unknown_method(
                    "this looks like a card number, and none is taken here: send the payer to the provider's page (`hosted`)".to_owned(),
                ));
            }
            (None, name) => {
                let shown: String = name.chars().take(METHOD_CHARS_MAX).collect();
                let names = match tenant.mode {
                    Mode::Test => "`hosted`, a stored method `met_…`, or a test method such as `card_visa`",
                    Mode::Live => "`hosted` or a stored method `met_…`",
                };
                return Err(unknown_method(format!("`{shown}` is no method: use {names}")));
            }
        };
        Ok(Box::new(Start {
            plan: Plan {
                channel: pay.channel.clone(),
                method: pay.method.clone(),
                instrument,
                connection: connection.id,
                rail: connection.rail.clone(),
                amount,
                extras: None,
                initiator: pay.initiator,
                can: abilities(rail.table()),
            },
            return_url: pay.return_url.clone(),
        }))
    }

    /// What a customer keeps pays for nobody else, and for nobody when they are gone.
    async fn may_pay_with(&self, tenant: Tenant, method: &str, owner: CustomerId, payer: Payer) -> Result<(), Denied> {
        let payer = match payer {
            Payer::Named(customer) => customer,
            Payer::Of(order) => self.view(tenant, order).await?.details.customer,
        };
        if payer.is_some_and(|payer| payer != owner) {
            return Err(unknown_method(format!(
                "{method} belongs to another customer than the order"
            )));
        }
        match self.directory.get::<Customer>(Some(tenant), &owner.to_string()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(unknown_method(format!(
                "the customer of {method} was removed, and their methods with them"
            ))),
            Err(error) => Err(unread(&error)),
        }
    }

    async fn method(&self, tenant: Tenant, id: MethodId) -> Result<Method, Denied> {
        let found = self.directory.get::<Method>(Some(tenant), &id.to_string()).await;
        match found {
            Ok(Some(method)) => Ok(method),
            Ok(None) => Err(unknown_method(format!("there is no method {id}"))),
            Err(error) => Err(unread(&error)),
        }
    }

    fn connection(&self, tenant: Tenant, pay: &Pay, stored: Option<&Method>) -> Result<Arc<Connection>, Denied> {
        let fits = |connection: &Arc<Connection>| {
            connection.enabled && stored.is_none_or(|method| method.rail == connection.rail)
        };
        if let Some(id) = pay.connection {
            let named = self
                .directory
                .connection(id)
                .filter(|connection| connection.tenant == tenant);
            let named = named.ok_or_else(|| no_connection(format!("there is no connection {id}")))?;
            if !fits(&named) {
                return Err(no_connection(format!(
                    "connection {id} is switched off, or cannot use this method"
                )));
            }
            return Ok(named);
        }
        let default = self.directory.default_connection(tenant).filter(fits);
        default
            .or_else(|| self.directory.connections(tenant).into_iter().find(fits))
            .ok_or_else(|| {
                no_connection("there is no provider connection for this method: make one, and switch it on".into())
            })
    }
}

fn unread(error: &DirectoryError) -> Denied {
    tracing::warn!(%error, "cannot read what a payment is made with");
    Denied::Unavailable { retry_after_s: 1 }
}

/// A name may go into a message: letters, digits and `_` only.
fn is_name(name: &str) -> bool {
    (1..=METHOD_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a name begins as the id of a stored method.
fn is_stored(name: &str) -> bool {
    name.strip_prefix(MethodId::PREFIX)
        .is_some_and(|rest| rest.starts_with('_'))
}

/// What the machine must know of a rail.
pub fn abilities(table: &Table) -> Abilities {
    let can = |step| table.can(step).is_some();
    Abilities {
        sale: can(Step::Sale),
        cancel: can(Step::Cancel),
        reverse: can(Step::Reverse),
        void_sale: false, // a merchant gives a sale back by refunding it
        captures: table.can(Step::Capture).is_some_and(|can| can.many),
        increment: can(Step::Increment),
        push: false,
        stray_s: STRAY_S,
        action_s: 0,
        refund_days: table.refund_days,
    }
}

fn no_connection(detail: String) -> Denied {
    Denied::Misuse {
        param: "connection",
        code: "no_connection",
        detail,
    }
}

fn unknown_method(detail: String) -> Denied {
    Denied::Misuse {
        param: "method",
        code: "unknown_method",
        detail,
    }
}
