//! Which account a payment goes to that names none.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn an_older_connection_that_is_made_the_default_again_is_the_only_one_and_used() {
    let world = World::merchant().await;
    let [old, new] = [
        world.provider_at("http://127.0.0.1:7").await,
        world.provider_at("http://127.0.0.1:8").await,
    ];
    let paid_by = async |reference: &str| {
        let body = json!({ "amount": 1099, "currency": "EUR", "reference": reference, "confirm": true, "method": "card_visa" });
        let order = world.native("POST", "/v1/orders", Some(body)).await.json();
        assert_eq!(order["payment_order_status"], "captured", "{order}");
        order["last_attempt"]["connection"].clone()
    };
    assert_eq!(paid_by("one").await, new.to_string());

    let path = format!("/v1/connections/{old}");
    let changed = world.native("POST", &path, Some(json!({ "default": true }))).await;
    assert_eq!((changed.status, &changed.json()["default"]), (200, &json!(true)));
    let listed = world.native("GET", "/v1/connections", None).await.json();
    let all = listed["data"].as_array().unwrap();
    let defaults: Vec<_> = all
        .iter()
        .filter(|each| each["default"] == true)
        .map(|each| &each["id"])
        .collect();
    assert_eq!((all.len(), defaults), (3, vec![&json!(old.to_string())]));
    let other = world
        .native("GET", &format!("/v1/connections/{new}"), None)
        .await
        .json();
    assert_eq!(other["default"], false);
    assert_eq!(paid_by("two").await, old.to_string());
}
