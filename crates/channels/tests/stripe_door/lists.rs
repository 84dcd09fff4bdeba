//! A page begins and ends at a place, whatever became of the object that names it.

use serde_json::Value;

use crate::world::World;

const SALE: [(&str, &str); 4] = [
    ("amount", "1099"),
    ("currency", "eur"),
    ("confirm", "true"),
    ("payment_method", "pm_card_visa"),
];

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().expect("a list");
    let id = |one: &Value| one["id"].as_str().expect("an object").to_owned();
    data.iter().map(id).collect()
}

async fn session(world: &World) -> String {
    let form = [
        ("mode", "payment"),
        ("success_url", "http://shop.test/thanks"),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "500"),
        ("line_items[0][price_data][product_data][name]", "Cup"),
    ];
    let made = world.post("/v1/checkout/sessions", &form).await;
    made["id"].as_str().expect("a session").to_owned()
}

#[tokio::test]
async fn a_page_goes_on_behind_an_object_that_the_filter_no_longer_has() {
    let world = World::provider().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(session(&world).await);
    }
    for over in [&made[0], &made[3]] {
        world.post(&format!("/v1/checkout/sessions/{over}/expire"), &[]).await;
    }
    let open = "/v1/checkout/sessions?status=open";
    let next = world.get(&format!("{open}&limit=1&starting_after={}", made[3])).await;
    assert_eq!((ids(&next), &next["has_more"]), (vec![made[2].clone()], &true.into()));
    let newer = world.get(&format!("{open}&ending_before={}", made[0])).await;
    assert_eq!(ids(&newer), [made[2].clone(), made[1].clone()]);
    let nearest = world.get(&format!("{open}&limit=1&ending_before={}", made[0])).await;
    assert_eq!(
        (ids(&nearest), &nearest["has_more"]),
        (vec![made[1].clone()], &true.into())
    );
}

#[tokio::test]
async fn a_search_goes_on_when_what_it_found_was_captured_meanwhile() {
    let world = World::provider().await;
    let hold = [
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
        ("capture_method", "manual"),
    ];
    for _ in 0..3 {
        world.post("/v1/payment_intents", &hold).await;
    }
    let search = "/v1/payment_intents/search?limit=1&query=status%3A%27requires_capture%27";
    let mut page = world.get(search).await;
    let mut captured = ids(&page);
    while let Some(next) = page["next_page"].as_str().map(str::to_owned) {
        let last = captured.last().unwrap();
        world.post(&format!("/v1/payment_intents/{last}/capture"), &[]).await;
        page = world.get(&format!("{search}&page={next}")).await;
        captured.extend(ids(&page));
    }
    assert_eq!(captured.len(), 3);
}

#[tokio::test]
async fn a_page_ends_before_an_event_that_is_not_asked_for() {
    let world = World::provider().await;
    for _ in 0..3 {
        world.post("/v1/payment_intents", &SALE).await;
    }
    let charges = ids(&world.get("/v1/events?type=charge.succeeded").await);
    let paid = "/v1/events?type=payment_intent.succeeded";
    let all = ids(&world.get(paid).await);
    assert_eq!((charges.len(), all.len()), (3, 3));
    let newer = world.get(&format!("{paid}&ending_before={}", charges[1])).await;
    assert_eq!(newer["data"][0]["id"], all[0].as_str());
    assert!(!ids(&newer).contains(&all[2]), "{newer}");
    let older = world.get(&format!("{paid}&starting_after={}", charges[1])).await;
    assert_eq!(ids(&older).last(), Some(&all[2]));
    assert!(!ids(&older).contains(&all[0]), "{older}");
}

#[tokio::test]
async fn events_page_backwards_as_they_page_forwards() {
    let world = World::provider().await;
    for _ in 0..3 {
        world.post("/v1/payment_intents", &SALE).await;
    }
    let all = ids(&world.get("/v1/events?limit=100").await);
    for limit in [1, 2, 5] {
        let mut back = vec![all.last().unwrap().clone()];
        loop {
            let path = format!("/v1/events?limit={limit}&ending_before={}", back[0]);
            let page = world.get(&path).await;
            back.splice(0..0, ids(&page));
            if page["has_more"] == false {
                break;
            }
        }
        assert_eq!(back, all, "limit {limit}");
    }
}

#[tokio::test]
async fn a_page_ends_before_a_customer_who_was_removed() {
    let world = World::provider().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        let customer = world.post("/v1/customers", &[("name", name)]).await;
        made.push(customer["id"].as_str().unwrap().to_owned());
    }
    world
        .call("DELETE", &format!("/v1/customers/{}", made[1]), &[])
        .await
        .object();
    let newer = world.get(&format!("/v1/customers?ending_before={}", made[1])).await;
    assert_eq!(ids(&newer), [made[2].clone()]);
    let none = world.call("GET", "/v1/customers?ending_before=cus_x", &[]).await;
    assert_eq!(none.error(400)["param"], "ending_before");
}

#[tokio::test]
async fn refunds_are_listed_by_the_charge_that_they_gave_back() {
    let world = World::provider().await;
    let declined = [
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa_chargeDeclined"),
    ];
    let error = world.call("POST", "/v1/payment_intents", &declined).await.error(402);
    let failed = error["charge"].as_str().unwrap().to_owned();
    let id = error["payment_intent"]["id"].as_str().unwrap().to_owned();
    let again = [("payment_method", "pm_card_visa")];
    world.post(&format!("/v1/payment_intents/{id}/confirm"), &again).await;
    world.post("/v1/refunds", &[("payment_intent", &*id)]).await;
    let of = |charge: &str| format!("/v1/refunds?charge={charge}");
    assert_eq!(ids(&world.get(&of(&failed)).await), Vec::<String>::new());
    let intent = world.get(&format!("/v1/payment_intents/{id}")).await;
    let paid = intent["latest_charge"].as_str().unwrap();
    assert_eq!(ids(&world.get(&of(paid)).await).len(), 1);
}
