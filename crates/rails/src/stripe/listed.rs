//! What Stripe has of ours, as its list of intents says.

use florin_core::money::Money;
use florin_core::rail::{Listed, Payment, Reply};

use super::extra;
use super::object::{Intent, List};

/// Reads a page of intents. An intent whose amounts cannot be held makes the page unreadable: a list with a hole proves nothing.
pub(super) fn read(reply: &Reply) -> Option<Listed> {
    if reply.status != 200 {
        return None;
    }
    let page: List<Intent> = serde_json::from_slice(&reply.body).ok()?;
    let next = page
        .has_more
        .then(|| page.data.last().map(|intent| intent.id.clone()))
        .flatten();
    let payments = page.data.iter().map(payment).collect::<Option<_>>()?;
    Some(Listed { payments, next })
}

fn payment(intent: &Intent) -> Option<Payment> {
    let received = intent.money(intent.amount_received.unwrap_or(0))?;
    let mut taken = received.minor();
    let refunds = intent
        .charge()
        .and_then(|charge| Some(extra::moved(charge, &charge.refunds.as_ref()?.data)));
    for refund in refunds.into_iter().flatten() {
        match refund.status.as_deref() {
            Some("failed" | "canceled") => {}
            _ => taken = taken.checked_sub(refund.money()?.minor())?,
        }
    }
    Some(Payment {
        id: intent.id.clone(),
        key: intent.note("florin_key").and_then(|key| key.parse().ok()),
        taken: Money::new(taken, received.currency()),
        disputes: false,
        held: intent.money(intent.amount_capturable.unwrap_or(0))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: &str) -> Reply {
        Reply {
            status: 200,
            body: body.as_bytes().to_vec(),
            ..Reply::default()
        }
    }

    #[test]
    fn a_page_says_what_stands_of_each_payment() {
        let page = read(&reply(
            r#"{"object":"list","has_more":true,"data":[
                {"id":"pi_1","status":"succeeded","currency":"eur","amount_received":1000,"amount_capturable":0,
                 "latest_charge":{"id":"ch_1","amount":1000,"captured":true,"refunds":{"has_more":false,"data":[
                   {"id":"re_1","status":"succeeded","amount":300,"currency":"eur"},
                   {"id":"re_2","status":"failed","amount":200,"currency":"eur"}]}}},
                {"id":"pi_4","status":"succeeded","currency":"eur","amount_received":400,"amount_capturable":0,
                 "latest_charge":{"id":"ch_4","amount":1000,"amount_captured":400,"captured":true,"refunds":{"has_more":false,"data":[
                   {"id":"re_3","status":"succeeded","amount":600,"currency":"eur"}]}}},
                {"id":"pi_3","status":"canceled","currency":"eur","amount_received":0,"amount_capturable":0,
                 "latest_charge":{"id":"ch_3","amount":1000,"amount_captured":0,"captured":false,"refunds":{"has_more":false,"data":[
                   {"id":"re_4","status":"succeeded","amount":1000,"currency":"eur"}]}}},
                {"id":"pi_2","status":"requires_capture","currency":"eur","amount_received":0,"amount_capturable":500}]}"#,
        ))
        .unwrap();
        let sums: Vec<_> = page
            .payments
            .iter()
            .map(|one| (one.taken.minor(), one.held.minor()))
            .collect();
        // What of a hold was never captured is shown as a refund too, one that moved nothing.
        assert_eq!(sums, [(700, 0), (400, 0), (0, 0), (0, 500)]);
        assert_eq!(page.next.as_deref(), Some("pi_2"));
    }

    #[test]
    fn an_error_is_no_empty_page() {
        assert_eq!(read(&reply("{\"error\":{}}")), None);
        assert_eq!(
            read(&Reply {
                status: 401,
                ..reply("{\"data\":[],\"has_more\":false}")
            }),
            None
        );
    }
}
