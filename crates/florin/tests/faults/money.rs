//! Money in every size that currencies have, from the smallest piece to the most that an order may hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::{PLACES, World};

/// The most minor units that an order may hold, as `docs/openapi.json` says it.
const MOST: i64 = 9_223_372_036_854;

fn sale_in(currency: &str, amount: i64) -> Value {
    let reference = format!("{currency}-{amount}");
    json!({"amount": amount, "currency": currency, "reference": reference, "confirm": true, "method": "card_visa"})
}

/// What the provider of these tests takes of a sale, and keeps when it is given back: it has to be booked to the unit.
pub fn fee(amount: i64) -> i64 {
    25 + amount / 100
}

/// What the merchant has in each currency, by the balances.
pub async fn of_merchant(world: &World) -> BTreeMap<String, i128> {
    let balances = world.till.get("/v1/balances").await.said();
    let lines = balances.body["data"].as_array().cloned().unwrap_or_default();
    let mut sums = BTreeMap::new();
    for line in lines.iter().filter(|line| line["account"] == "merchant") {
        let posted = line["posted"].to_string();
        let posted: i128 = posted.trim_matches('"').parse().unwrap();
        *sums.entry(line["currency"].as_str().unwrap().to_owned()).or_default() -= posted;
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_54_every_size_of_money_up_to_the_most_there_is_stays_exact_and_is_never_rounded() {
    for place in PLACES {
        let (world, node) = World::new(place).await;
        let mut expected: BTreeMap<String, i128> = BTreeMap::new();
        // No decimals, two, and three, of which the provider takes two.
        for (currency, piece) in [("JPY", 1), ("EUR", 1), ("KWD", 10)] {
            for amount in [piece, MOST - MOST % piece] {
                let body = sale_in(currency, amount);
                let key = body["reference"].as_str().unwrap().to_owned();
                let sold = world.till.settle(&key, "/v1/orders", &body).await;
                assert_eq!((sold.status, sold.word()), (201, "captured"), "{place:?}: {sold:?}");
                assert_eq!(sold.body["amount_captured"], amount, "{place:?}");
                let mut kept = i128::from(amount - fee(amount));
                if amount > piece {
                    let refunds = format!("/v1/orders/{}/refunds", sold.text("id"));
                    let back = world
                        .till
                        .settle(&format!("{key}-back"), &refunds, &json!({"amount": piece}))
                        .await;
                    assert_eq!(back.status, 201, "{place:?}: {back:?}");
                    kept -= i128::from(piece);
                }
                *expected.entry(currency.to_owned()).or_default() += kept;
            }
        }
        let sent = world.psp.seen("POST").len();
        // Four decimals, which this provider does not take, and a piece that is too small for it: neither sent nor rounded.
        for (currency, amount) in [("CLF", 12_345), ("KWD", 1)] {
            let body = sale_in(currency, amount);
            let key = body["reference"].as_str().unwrap().to_owned();
            let told = world.till.settle(&key, "/v1/orders", &body).await;
            assert!(told.body["amount_captured"] != amount, "{place:?}: {told:?}");
            assert_ne!(told.word(), "captured", "{place:?}: {told:?}");
        }
        assert_eq!(world.psp.seen("POST").len(), sent, "{place:?}: nothing of it was sent");
        for amount in [
            json!(0),
            json!(-1),
            json!(MOST + 1),
            json!(i64::MAX),
            json!(10.5),
            json!("1000"),
            json!(1e3),
        ] {
            let mut body = sale_in("EUR", 1);
            (body["amount"], body["reference"]) = (amount.clone(), json!(format!("odd {amount}")));
            let told = world
                .till
                .unwritten(&node.api, &amount.to_string(), "/v1/orders", &body)
                .await
                .said();
            assert!(matches!(told.status, 400 | 422), "{place:?}: {amount}: {told:?}");
        }
        world.quiet().await;
        assert_eq!(of_merchant(&world).await, expected, "{place:?}");
        world.check(node).await;
    }
}
