//! A Stripe-shaped payment intent that has succeeded: about 1.7 KB, and 1.4 KB more when its charge is expanded.
//!
//! Members and their order follow Stripe's published sample; what the caller sent is echoed, everything else is fixed.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::form;

/// When everything here was created: fixed, the stand-in has no clock.
const CREATED: u64 = 1_795_600_000;

/// What was asked for, as far as the answer shows it.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) amount: u64,
    currency: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    expands_charge: bool,
    expands_fee: bool,
}

impl<'a> Wanted<'a> {
    /// Reads the form of `POST /v1/payment_intents`, or names the parameter that is missing or unreadable.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, &'static str> {
        let mut wanted = Self::default();
        for (name, value) in form::pairs(body) {
            match &*name {
                "amount" => wanted.amount = value.parse().map_err(|_| "amount")?,
                "currency" => wanted.currency = value,
                "description" => wanted.description = Some(value),
                name if name.starts_with("expand[") => {
                    wanted.expands_charge |= value.starts_with("latest_charge");
                    wanted.expands_fee |= value == "latest_charge.balance_transaction";
                }
                name => {
                    if let Some(key) = name.strip_prefix("metadata[").and_then(|rest| rest.strip_suffix(']')) {
                        wanted.metadata.push((Cow::Owned(key.to_owned()), value));
                    }
                }
            }
        }
        match (wanted.amount, wanted.currency.len()) {
            (0, _) => Err("amount"),
            (_, 3) => Ok(wanted),
            (_, _) => Err("currency"),
        }
    }

    /// Writes the intent with this number.
    pub(crate) fn write(&self, number: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let amount = self.amount;
        write!(
            into,
            concat!(
                r#"{{"id":"pi_3B{number:022}","object":"payment_intent","amount":{amount},"amount_capturable":0"#,
                r#","amount_details":{{"discount_amount":0,"tax":{{"total_tax_amount":0}},"tip":{{}}}},"amount_received":{amount},"application":null"#,
                r#","application_fee_amount":null,"automatic_payment_methods":null,"canceled_at":null"#,
                r#","cancellation_reason":null,"capture_method":"automatic_async""#,
                r#","client_secret":"pi_3B{number:022}_secret_{number:025}","confirmation_method":"automatic""#,
                r#","created":{created},"currency":"#
            ),
            number = number,
            amount = amount,
            created = CREATED,
        )?;
        quote(&self.currency, into)?;
        into.extend_from_slice(br#","customer":null,"customer_account":null,"description":"#);
        match &self.description {
            Some(text) => quote(text, into)?,
            None => into.extend_from_slice(b"null"),
        }
        into.extend_from_slice(br#","excluded_payment_method_types":null,"last_payment_error":null,"latest_charge":"#);
        if self.expands_charge {
            self.write_charge(number, into)?;
        } else {
            write!(into, r#""ch_3B{number:022}""#)?;
        }
        into.extend_from_slice(br#","livemode":false,"metadata":{"#);
        for (position, (key, value)) in self.metadata.iter().enumerate() {
            if position > 0 {
                into.push(b',');
            }
            quote(key, into)?;
            into.push(b':');
            quote(value, into)?;
        }
        write!(
            into,
            concat!(
                r#"}},"next_action":null,"on_behalf_of":null,"payment_method":"pm_1B{number:022}""#,
                r#","payment_method_configuration_details":null,"payment_method_options":{{"card":{{"installments":null"#,
                r#","mandate_options":null,"network":null,"request_three_d_secure":"automatic"}}}}"#,
                r#","payment_method_types":["card"],"presentment_details":{{"presentment_amount":{amount}"#,
                r#","presentment_currency":"eur"}},"processing":null,"receipt_email":null,"review":null"#,
                r#","setup_future_usage":null,"shipping":{{"address":{{"city":"Amsterdam","country":"NL","line1":"Keizersgracht 1"#,
                r#"","line2":null,"postal_code":"1015 CC","state":null}},"carrier":null,"name":"Jenny Rosen"#,
                r#"","phone":null,"tracking_number":null}},"source":null,"statement_descriptor":null"#,
                r#","statement_descriptor_suffix":null,"status":"succeeded","transfer_data":null"#,
                r#","transfer_group":null,"hooks":{{"inputs":{{"tax":null}}}},"managed_payments":{{"enabled":false}}"#,
                r#","payment_details":{{"customer_reference":null,"order_reference":"prod_B{number:022}"}}}}"#
            ),
            number = number,
            amount = amount,
        )
    }

    fn write_charge(&self, number: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let amount = self.amount;
        write!(
            into,
            concat!(
                r#"{{"id":"ch_3B{number:022}","object":"charge","amount":{amount},"amount_captured":{amount}"#,
                r#","amount_refunded":0,"application":null,"application_fee":null,"application_fee_amount":null"#,
                r#","balance_transaction":"#
            ),
            number = number,
            amount = amount,
        )?;
        if self.expands_fee {
            self.write_transaction(number, into)?;
        } else {
            write!(into, r#""txn_3B{number:022}""#)?;
        }
        write!(into, r#","captured":true,"created":{CREATED},"currency":"#)?;
        quote(&self.currency, into)?;
        write!(
            into,
            concat!(
                r#","disputed":false,"failure_code":null,"failure_message":null,"fraud_details":{{}},"livemode":false"#,
                r#","outcome":{{"advice_code":null,"network_advice_code":null,"network_decline_code":null"#,
                r#","network_status":"approved_by_network","reason":null,"risk_level":"normal""#,
                r#","seller_message":"Payment complete.","type":"authorized"}},"paid":true"#,
                r#","payment_intent":"pi_3B{number:022}","payment_method":"pm_1B{number:022}""#,
                r#","payment_method_details":{{"card":{{"amount_authorized":{amount},"authorization_code":"123456""#,
                r#","brand":"visa","country":"US","exp_month":8,"exp_year":2030,"funding":"credit","last4":"4242""#,
                r#","network":"visa","network_transaction_id":"{number:015}","three_d_secure":null,"wallet":null}}"#,
                r#","type":"card"}},"refunded":false,"status":"succeeded"}}"#
            ),
            number = number,
            amount = amount,
        )
    }

    fn write_transaction(&self, number: u64, into: &mut Vec<u8>) -> io::Result<()> {
        // 1.5 % and 25 cents, the price of a European card.
        let fee = (self.amount * 15 / 1000 + 25).min(self.amount);
        write!(
            into,
            concat!(
                r#"{{"id":"txn_3B{number:022}","object":"balance_transaction","amount":{amount},"available_on":{created}"#,
                r#","created":{created},"currency":"#
            ),
            number = number,
            amount = self.amount,
            created = CREATED,
        )?;
        quote(&self.currency, into)?;
        write!(
            into,
            concat!(
                r#","exchange_rate":null,"fee":{fee},"fee_details":[{{"amount":{fee},"application":null"#,
                r#","currency":"eur","description":"Stripe processing fees","type":"stripe_fee"}}],"net":{net}"#,
                r#","reporting_category":"charge","source":"ch_3B{number:022}","status":"pending","type":"charge"}}"#
            ),
            fee = fee,
            net = self.amount - fee,
            number = number,
        )
    }
}

/// Writes a JSON string.
fn quote(text: &str, into: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(into, text).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn intent(form: &str) -> (Value, usize) {
        let mut written = Vec::new();
        Wanted::read(form.as_bytes()).unwrap().write(7, &mut written).unwrap();
        (serde_json::from_slice(&written).unwrap(), written.len())
    }

    #[test]
    fn an_intent_echoes_what_was_sent_and_has_the_size_of_a_real_one() {
        let (intent, bytes) =
            intent("amount=1099&currency=eur&description=a+%22kit%22&metadata[att]=att_1&metadata[b]=%0A");
        assert_eq!((&intent["amount"], &intent["currency"]), (&1099.into(), &"eur".into()));
        assert_eq!(intent["amount_received"], 1099);
        assert_eq!(intent["status"], "succeeded");
        assert_eq!(intent["description"], "a \"kit\"");
        assert_eq!(intent["metadata"], serde_json::json!({ "att": "att_1", "b": "\n" }));
        assert_eq!(intent["latest_charge"], "ch_3B0000000000000000000007");
        assert!((1600..1900).contains(&bytes), "about 1.7 KB, not {bytes} bytes");
    }

    #[test]
    fn a_charge_and_its_fee_are_shown_when_they_are_asked_for() {
        let (plain, _) = intent("amount=1099&currency=eur&expand[]=latest_charge");
        assert_eq!(plain["latest_charge"]["amount_captured"], 1099);
        assert_eq!(
            plain["latest_charge"]["balance_transaction"],
            "txn_3B0000000000000000000007"
        );
        let (with_fee, _) = intent("amount=1099&currency=eur&expand%5B0%5D=latest_charge.balance_transaction");
        let transaction = &with_fee["latest_charge"]["balance_transaction"];
        assert_eq!((&transaction["fee"], &transaction["net"]), (&41.into(), &1058.into()));
    }

    #[test]
    fn a_form_without_amount_or_currency_is_refused_by_name() {
        assert_eq!(Wanted::read(b"currency=eur").unwrap_err(), "amount");
        assert_eq!(Wanted::read(b"amount=ten&currency=eur").unwrap_err(), "amount");
        assert_eq!(Wanted::read(b"amount=10&currency=euro").unwrap_err(), "currency");
    }
}
