//! The requests of the load: `POST /v1/orders` of about 0.8 KB, as a web shop would send them.
//!
//! A register makes the order and nothing else (one commit); a sale confirms and captures in the same call (two
//! commits and one call to the provider). References ascend, idempotency keys are random: what an index meets in life.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// What one request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Make the order.
    Register,
    /// Make, confirm and capture it.
    Sale,
}

impl Kind {
    /// What a good answer says; anything else is no progress and is not counted as such.
    pub(crate) fn marker(self) -> &'static [u8] {
        match self {
            Self::Register => br#""payment_order_status":"created""#,
            Self::Sale => br#""payment_order_status":"captured""#,
        }
    }

    fn confirmation(self) -> &'static str {
        match self {
            Self::Register => "",
            Self::Sale => r#","capture":"at_once","confirm":true,"method":"card_visa""#,
        }
    }
}

/// Sum of the fixed lines of an order, in cents: 2 x 12.50 and 1 x 8.99.
const FIXED_LINES: u64 = 2 * 1250 + 899;

/// The last line costs from 10.00 up, so that every amount has four digits and every body the same length.
const LAST_LINE_FROM: u64 = 1000;

/// Different prices of the last line: the dearest order costs 99.99.
const LAST_LINE_PRICES: u64 = 9999 - FIXED_LINES - LAST_LINE_FROM + 1;

/// Writes requests, one after the other, into one buffer.
pub(crate) struct Orders {
    kind: Kind,
    host: String,
    keys: Vec<String>,
    run: String,
    dice: Dice,
    body: Vec<u8>,
    request: Vec<u8>,
}

/// One request, ready to be sent.
pub(crate) struct Order<'a> {
    /// Which of the merchants sends it.
    pub(crate) merchant: usize,
    pub(crate) idempotency_key: String,
    pub(crate) body: &'a [u8],
    /// Head and body.
    pub(crate) request: &'a [u8],
}

impl Orders {
    /// `run` makes the references of this run differ from those of any other over the same data.
    pub(crate) fn new(kind: Kind, host: &str, keys: &[String], run: &str) -> Self {
        Self {
            kind,
            host: host.to_owned(),
            keys: keys.to_vec(),
            run: run.to_owned(),
            dice: Dice::new(),
            body: Vec::new(),
            request: Vec::new(),
        }
    }

    /// Writes request `number`.
    pub(crate) fn write(&mut self, number: u64) -> Order<'_> {
        let merchant = (number % self.keys.len() as u64) as usize;
        let idempotency_key = format!("{:016x}{:016x}", self.dice.roll(), self.dice.roll());
        self.write_body(number).expect("writing to memory cannot fail");
        self.request.clear();
        write!(
            self.request,
            "POST /v1/orders HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {idempotency_key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            self.keys[merchant],
            self.body.len()
        )
        .expect("writing to memory cannot fail");
        self.request.extend_from_slice(&self.body);
        Order {
            merchant,
            idempotency_key,
            body: &self.body,
            request: &self.request,
        }
    }

    fn write_body(&mut self, number: u64) -> std::io::Result<()> {
        let last = LAST_LINE_FROM + number % LAST_LINE_PRICES;
        self.body.clear();
        write!(
            self.body,
            concat!(
                r#"{{"amount":{amount},"currency":"EUR","reference":"{run}-{number:010}""#,
                r#","description":"Order {number:010} of the web shop: coffee, filters and a brewing kit""#,
                r#","metadata":{{"cart":"c-{number:010}","channel":"web","campaign":"autumn-2026","locale":"nl-NL""#,
                r#","customer_group":"returning","warehouse":"AMS-2","delivery":"standard, 1 to 2 working days""#,
                r#","delivery_note":"leave with the neighbours at number 14 when nobody is at home""#,
                r#","gift_message":"none","invoice":"with the parcel","terms_version":"2026-03"}}"#,
                r#","lines":[{{"name":"Espresso beans, medium roast, 500 g","quantity":2,"unit_amount":1250}}"#,
                r#",{{"name":"Paper filters, unbleached, box of 200","quantity":1,"unit_amount":899}}"#,
                r#",{{"name":"Brewing kit with kettle, scale and two cups","quantity":1,"unit_amount":{last}}}]"#,
                r#"{confirmation}}}"#
            ),
            amount = FIXED_LINES + last,
            run = self.run,
            number = number,
            last = last,
            confirmation = self.kind.confirmation(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::read_head;
    use serde_json::Value;

    fn orders(kind: Kind) -> Orders {
        Orders::new(
            kind,
            "127.0.0.1:4000",
            &["sk_test_one".to_owned(), "sk_test_two".to_owned()],
            "r1",
        )
    }

    #[test]
    fn the_length_in_the_head_is_the_length_of_the_body() {
        let mut orders = orders(Kind::Sale);
        let order = orders.write(41);
        let head = read_head(order.request).unwrap().unwrap();
        assert_eq!(&order.request[head.body_start..], order.body);
        assert_eq!(head.body_bytes, Some(order.body.len()));
        let text = String::from_utf8_lossy(&order.request[..head.body_start]);
        assert!(text.contains("Authorization: Bearer sk_test_two\r\n"), "{text}");
        assert!(
            text.contains(&format!("Idempotency-Key: {}\r\n", order.idempotency_key)),
            "{text}"
        );
        assert_eq!(order.idempotency_key.len(), 32);
    }

    #[test]
    fn an_order_costs_what_its_lines_cost_and_always_has_the_same_length() {
        let mut orders = orders(Kind::Register);
        let length = orders.write(0).body.len();
        assert!((700..900).contains(&length), "a body of about 0.8 KB, not {length}");
        for number in [0, 1, LAST_LINE_PRICES - 1, LAST_LINE_PRICES, 9_999_999_999] {
            let order = orders.write(number);
            assert_eq!(order.body.len(), length, "order {number}");
            let body: Value = serde_json::from_slice(order.body).unwrap();
            let lines = body["lines"].as_array().unwrap();
            let sum: i64 = lines
                .iter()
                .map(|l| l["quantity"].as_i64().unwrap() * l["unit_amount"].as_i64().unwrap())
                .sum();
            assert_eq!(body["amount"].as_i64().unwrap(), sum, "order {number}");
        }
    }

    #[test]
    fn only_a_sale_asks_for_money() {
        let body = |kind| serde_json::from_slice::<Value>(orders(kind).write(1).body).unwrap();
        let sale = body(Kind::Sale);
        assert_eq!(
            (&sale["confirm"], &sale["method"], &sale["capture"]),
            (&true.into(), &"card_visa".into(), &"at_once".into())
        );
        assert_eq!(body(Kind::Register).get("confirm"), None);
    }

    #[test]
    fn references_ascend_and_keys_do_not_repeat() {
        let mut orders = orders(Kind::Register);
        let mut seen = Vec::new();
        for number in [1, 2, 10, 100] {
            let order = orders.write(number);
            let body: Value = serde_json::from_slice(order.body).unwrap();
            seen.push((body["reference"].as_str().unwrap().to_owned(), order.idempotency_key));
        }
        assert!(
            seen.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 != two[1].1),
            "{seen:?}"
        );
    }
}
