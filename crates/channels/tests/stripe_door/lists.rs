//! A page begins and ends at a place, whatever became of the object that names it.

use florin_core::id::{CustomerId, OrderId};
use florin_core::time::Timestamp;
use florin_services::directory::Customer;
use florin_store::{
    Batch, Changed, Cursor, DeliverySearch, DeliveryStatus, EventRow, Marks, OrderRow, Outcome, Search, Wanted,
};
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

/// So many event rows of an order of this tenant, one after the other, with these public names.
async fn fill(world: &World, rows: u32, news: Option<&str>) {
    let order = OrderId::from_uuid(world.doors.directory.new_uuid());
    let (tenant, time) = (world.tenant, world.doors.directory.now());
    let row = |version| EventRow {
        at: Cursor::START,
        order,
        tenant,
        version,
        count: 1,
        time,
        body: r#"{"e":[]}"#.to_owned(),
        postings: Some("[]".to_owned()),
        news: news.map(str::to_owned),
        hash: [7; 32],
    };
    let batch = Batch {
        new: vec![OrderRow {
            id: order,
            tenant,
            reference: order.to_string(),
            key: None,
            version: rows,
            state: "{}".to_owned(),
            chain: [7; 32],
            work: None,
            due: None,
            fence: 0,
            lease: None,
            created_at: time,
        }],
        events: (1..=rows).map(row).collect(),
        ..Batch::default()
    };
    world.doors.store.commit(&batch).await.expect("a store");
}

const PAID: &str = r#"[{"v":1,"n":"order.captured"}]"#;

#[tokio::test]
async fn a_rare_event_is_found_behind_more_newer_ones_than_a_page_looks_through() {
    let world = World::provider().await;
    let sold = world.post("/v1/payment_intents", &SALE).await;
    fill(&world, 2_100, Some(PAID)).await;
    let other = world.post("/v1/payment_intents", &SALE).await;
    let rare = "/v1/events?type=charge.succeeded";
    let found = world.get(rare).await;
    let of = |at: usize| &found["data"][at]["data"]["object"]["payment_intent"];
    assert_eq!(
        (of(0), found["has_more"] == true),
        (&other["id"], true),
        "as far as it looked"
    );
    let after = format!("{rare}&starting_after={}", ids(&found)[0]);
    let found = world.get(&after).await;
    assert_eq!(found["data"][0]["data"]["object"]["payment_intent"], sold["id"]);
    assert_eq!((ids(&found).len(), &found["has_more"]), (1, &false.into()));
    let before = world.get(&format!("{rare}&ending_before={}", ids(&found)[0])).await;
    assert_eq!(before["data"][0]["data"]["object"]["payment_intent"], other["id"]);
}

#[tokio::test]
async fn an_empty_page_of_events_is_the_last_one_or_says_what_to_do() {
    let world = World::provider().await;
    fill(&world, 20_100, Some(PAID)).await;
    let none = world.get("/v1/events?type=customer.updated").await;
    assert_eq!(
        (ids(&none).len(), &none["has_more"]),
        (0, &false.into()),
        "that never happens here"
    );
    let rare = "/v1/events?type=charge.dispute.created";
    let error = world.call("GET", rare, &[]).await.error(400);
    assert!(error["message"].as_str().unwrap().contains("`created`"), "{error}");
    let soon = world.doors.directory.now().seconds() + 60;
    let none = world.get(&format!("{rare}&created[gte]={soon}")).await;
    assert_eq!((ids(&none).len(), &none["has_more"]), (0, &false.into()));
}

#[tokio::test]
async fn an_order_whose_record_is_damaged_leaves_the_events_of_the_others_listed() {
    let world = World::provider().await;
    world.post("/v1/payment_intents", &SALE).await;
    fill(&world, 3, Some(PAID)).await;
    let all = world.get("/v1/events?limit=100").await;
    assert_eq!((ids(&all).len(), &all["has_more"]), (3, &false.into()));
}

/// Somebody wrote over the order's row.
async fn damage(world: &World, intent: &Value) {
    let id = intent["id"].as_str().expect("an id").replace("pi_", "ord_");
    let id: OrderId = id.parse().expect("an order's id");
    let wanted = Wanted {
        orders: vec![id],
        ..Wanted::default()
    };
    let row = world.doors.store.load(&wanted).await.expect("a store").orders.remove(0);
    let changed = Changed {
        read_version: row.version,
        row: OrderRow { chain: [7; 32], ..row },
    };
    let batch = Batch {
        changed: vec![changed],
        ..Batch::default()
    };
    assert_eq!(world.doors.store.commit(&batch).await, Ok(Outcome::Done));
}

#[tokio::test]
async fn an_order_whose_record_is_damaged_leaves_all_others_in_every_list() {
    let world = World::provider().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.post("/v1/payment_intents", &SALE).await);
    }
    let all = ids(&world.get("/v1/payment_intents?limit=100").await);
    assert_eq!(all.len(), 5);
    let listed = world.native("GET", "/v1/orders?limit=100", None).await.object();
    damage(&world, &made[3]).await;

    let left = [&made[4], &made[2], &made[1], &made[0]].map(|one| one["id"].as_str().unwrap().to_owned());
    for (path, of_each) in [("payment_intents", 1), ("charges", 1), ("balance_transactions", 1)] {
        let page = world.get(&format!("/v1/{path}?limit=100")).await;
        assert_eq!(ids(&page).len(), of_each * left.len(), "{path}");
    }
    assert_eq!(ids(&world.get("/v1/payment_intents?limit=100").await), left);
    // A page that it would have filled does not look like the last one.
    for limit in [1, 2, 3] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = world
                .native("GET", &format!("/v1/orders?limit={limit}{after}"), None)
                .await
                .object();
            seen.extend(ids(&page));
            let Some(last) = seen.last().filter(|_| page["has_more"] == true) else {
                break;
            };
            after = format!("&after={last}");
        }
        assert_eq!(seen.len(), left.len(), "limit {limit}: {seen:?}");
    }
    // Who asks for it by its name is told, and not that there is none.
    let reference = listed["data"][1]["reference"].as_str().unwrap();
    let said = world
        .native("GET", &format!("/v1/orders?reference={reference}"), None)
        .await;
    assert_eq!((said.status, &said.json()["code"]), (500, &"record_damaged".into()));
}

#[tokio::test]
async fn rows_that_are_no_events_do_not_end_the_list_of_the_api() {
    let world = World::provider().await;
    world.post("/v1/payment_intents", &SALE).await;
    fill(&world, 2_100, None).await;
    let page = world.native("GET", "/v1/events?limit=1", None).await.object();
    assert_eq!((ids(&page).len(), &page["has_more"]), (1, &true.into()));
    let rest = format!("/v1/events?limit=100&after={}", ids(&page)[0]);
    let rest = world.native("GET", &rest, None).await.object();
    assert_eq!(rest["has_more"], false);
    assert!(ids(&rest).len() > 1, "{rest}");
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

/// The intents of the orders that a store finds by what they have, newest first.
async fn having(world: &World, search: Search) -> Vec<String> {
    world.doors.freshen().await;
    let found = world.doors.store.search(&search).await.expect("a store");
    let intent = |order: OrderId| order.to_string().replace("ord_", "pi_");
    found.into_iter().map(intent).collect()
}

#[tokio::test]
async fn the_database_leaves_out_orders_that_have_none_of_what_is_listed() {
    let world = World::provider().await;
    let waiting = world.post("/v1/payment_intents", &SALE[..2]).await;
    let declined = [
        SALE[0],
        SALE[1],
        SALE[2],
        ("payment_method", "pm_card_visa_chargeDeclined"),
    ];
    let error = world.call("POST", "/v1/payment_intents", &declined).await.error(402);
    let hold = [SALE[0], SALE[1], SALE[2], SALE[3], ("capture_method", "manual")];
    let held = world.post("/v1/payment_intents", &hold).await;
    let captured = world.post("/v1/payment_intents", &hold).await;
    let capture = format!("/v1/payment_intents/{}/capture", captured["id"].as_str().unwrap());
    world.post(&capture, &[]).await;
    let paid = world.post("/v1/payment_intents", &SALE).await;
    let refunded = world.post("/v1/payment_intents", &SALE).await;
    let by = [("payment_intent", refunded["id"].as_str().unwrap())];
    let refund = world.post("/v1/refunds", &by).await;
    let dispute = [SALE[0], SALE[1], SALE[2], ("payment_method", "pm_card_createDispute")];
    let disputed = world.post("/v1/payment_intents", &dispute).await;
    session(&world).await;

    let id = |intent: &Value| intent["id"].as_str().unwrap().to_owned();
    let charged = [&disputed, &refunded, &paid, &captured, &held, &error["payment_intent"]].map(id);
    let all = |marks| Search {
        marks,
        ..Search::of(world.tenant, 100)
    };
    assert_eq!(having(&world, all(Marks::CHARGED)).await, charged);
    assert_eq!(having(&world, all(Marks::PAID)).await, charged[..4]);
    assert_eq!(having(&world, all(Marks::REFUNDED)).await, [id(&refunded)]);
    assert_eq!(having(&world, all(Marks::DISPUTED)).await, [id(&disputed)]);
    assert_eq!(having(&world, all(Marks::LINES)).await.len(), 1);
    assert_eq!(having(&world, all(Marks::NONE)).await.len(), 8);
    assert!(!charged.contains(&id(&waiting)));

    assert_eq!(ids(&world.get("/v1/refunds").await), [id(&refund)]);
    for (list, count) in [
        ("disputes", 1),
        ("charges", 6),
        ("checkout/sessions", 1),
        ("balance_transactions?type=refund", 1),
        ("balance_transactions?type=adjustment", 1),
        ("balance_transactions?type=charge", 4),
    ] {
        let listed = world.get(&format!("/v1/{list}")).await;
        assert_eq!(
            (ids(&listed).len(), &listed["has_more"]),
            (count, &false.into()),
            "{list}"
        );
    }
    for (status, count) in [
        ("succeeded", 4),
        ("requires_capture", 1),
        ("requires_payment_method", 2),
        ("processing", 0),
        ("paid", 0),
        ("canceled' AND status:'succeeded", 0),
    ] {
        let query = format!("status:'{status}'");
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let found = world.get(&format!("/v1/payment_intents/search?query={query}")).await;
        assert_eq!(
            (ids(&found).len(), &found["has_more"]),
            (count, &false.into()),
            "{status}"
        );
    }
}

#[tokio::test]
async fn what_was_made_since_a_moment_is_found_with_an_order_from_before() {
    let world = World::provider().await;
    let old = world.post("/v1/payment_intents", &SALE).await;
    world.post("/v1/payment_intents", &SALE).await;
    world.clock.shift_millis(24 * 3_600 * 1_000);
    let refund = world
        .post("/v1/refunds", &[("payment_intent", old["id"].as_str().unwrap())])
        .await;
    let since = refund["created"].as_i64().unwrap();
    let refunds = world.get(&format!("/v1/refunds?created[gte]={since}")).await;
    assert_eq!(ids(&refunds), [refund["id"].as_str().unwrap()]);
    assert_eq!(refunds["has_more"], false);
    let charges = world.get(&format!("/v1/charges?created[gte]={since}")).await;
    assert_eq!((ids(&charges).len(), &charges["has_more"]), (0, &false.into()));
    let changed = Search {
        changed_from: Some(Timestamp::from_millis(since * 1_000)),
        ..Search::of(world.tenant, 100)
    };
    assert_eq!(having(&world, changed).await, [old["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_customer_is_found_by_e_mail_behind_more_newer_ones_than_a_call_looks_through() {
    const NEWER: usize = 20_100;
    let world = World::provider().await;
    let first = world.post("/v1/customers", &[("email", "first+\"ü\"@shop.test")]).await;
    let directory = &world.doors.directory;
    let customer = || Customer {
        id: CustomerId::from_uuid(directory.new_uuid()),
        name: None,
        email: Some("newer@shop.test".to_owned()),
        phone: None,
        description: None,
        metadata: Default::default(),
        door: Default::default(),
        created_at: directory.now(),
    };
    let drafts = (0..NEWER).map(|_| directory.draft(Some(world.tenant), &customer()).expect("a customer"));
    directory.make_all(drafts.collect()).await.expect("a store");
    let by_email = |email: &str| {
        let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
        format!("/v1/customers?limit=1&email={email}")
    };
    let found = world.get(&by_email("first+\"ü\"@shop.test")).await;
    assert_eq!(ids(&found), [first["id"].as_str().unwrap()]);
    assert_eq!(found["has_more"], false);
    let none = world.get(&by_email("nobody@shop.test")).await;
    assert_eq!((ids(&none).len(), &none["has_more"]), (0, &false.into()));
}

#[tokio::test]
async fn a_list_of_one_payment_still_asks_for_the_customer() {
    let world = World::provider().await;
    let customer = async |name: &str| {
        let made = world.post("/v1/customers", &[("name", name)]).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let (a, b) = (customer("a").await, customer("b").await);
    let sale = [SALE[0], SALE[1], SALE[2], SALE[3], ("customer", &*a)];
    let paid = world.post("/v1/payment_intents", &sale).await;
    let intent = paid["id"].as_str().unwrap();
    for (customer, count) in [(&a, 1), (&b, 0)] {
        let charges = format!("/v1/charges?customer={customer}&payment_intent={intent}");
        assert_eq!(ids(&world.get(&charges).await).len(), count);
    }
    let search = format!("/v1/payment_intents/search?query=customer%3A%27{a}%27%20AND%20customer%3A%27{b}%27");
    assert_eq!(ids(&world.get(&search).await).len(), 0);
}

#[tokio::test]
async fn endpoints_are_paged_behind_one_that_was_deleted_and_not_behind_an_unknown_one() {
    let world = World::provider().await;
    for number in 0..5 {
        let url = format!("https://shop.test/{number}");
        let form = [("url", &*url), ("enabled_events[]", "charge.succeeded")];
        world.post("/v1/webhook_endpoints", &form).await;
    }
    let (mut after, mut deleted) = (String::new(), 0);
    loop {
        let page = world.get(&format!("/v1/webhook_endpoints?limit=2{after}")).await;
        for id in ids(&page) {
            let path = format!("/v1/webhook_endpoints/{id}");
            world.call("DELETE", &path, &[]).await.object();
            after = format!("&starting_after={id}");
            deleted += 1;
        }
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(deleted, 5);
    assert_eq!(ids(&world.get("/v1/webhook_endpoints").await).len(), 0);
    let unknown = world
        .call("GET", "/v1/webhook_endpoints?starting_after=we_x", &[])
        .await;
    assert_eq!(unknown.error(400)["param"], "starting_after");
}

#[tokio::test]
async fn a_lookup_key_is_one_prices_until_another_one_takes_it_over() {
    let world = World::provider().await;
    let product = world.post("/v1/products", &[("name", "Tea")]).await;
    let price = |more: &[(&'static str, &'static str)]| {
        let product = product["id"].as_str().unwrap().to_owned();
        let mut form = vec![("currency", "eur"), ("unit_amount", "500"), ("lookup_key", "std")];
        form.extend_from_slice(more);
        (product, form)
    };
    let make = async |key: &str, more: &[(&'static str, &'static str)]| {
        let (product, mut form) = price(more);
        form.push(("product", &product));
        world.keyed("POST", "/v1/prices", &form, Some(key)).await
    };
    let first = make("one", &[]).await.object();
    let id = first["id"].as_str().unwrap();
    assert_eq!(make("one", &[]).await.object()["id"], id, "the same call again");
    let refused = make("two", &[]).await.error(400);
    assert_eq!(refused["param"], "lookup_key");
    assert_eq!(
        refused["message"],
        format!("A price (`{id}`) already uses that lookup key.")
    );
    let transfer = [("transfer_lookup_key", "true")];
    let second = make("three", &transfer).await.object();
    assert_eq!(make("three", &transfer).await.object()["id"], second["id"]);
    assert_eq!(world.get(&format!("/v1/prices/{id}")).await["lookup_key"], Value::Null);
    let found = world.get("/v1/prices?lookup_keys[]=std&active=true&currency=eur").await;
    assert_eq!(ids(&found), [second["id"].as_str().unwrap()]);
    let back = [("lookup_key", "std")];
    let path = format!("/v1/prices/{id}");
    world.call("POST", &path, &back).await.error(400);
    let taken = world.post(&path, &[back[0], transfer[0]]).await;
    assert_eq!(taken["lookup_key"], "std");
    let again = world.post(&path, &[back[0], ("nickname", "own")]).await;
    assert_eq!(again["nickname"], "own");
    assert_eq!(ids(&world.get("/v1/prices?lookup_keys[]=std").await), [id]);
}

#[tokio::test]
async fn what_was_never_sent_is_no_delivery() {
    let world = World::provider().await;
    let everything = [("url", "http://shop.test/hooks"), ("enabled_events[]", "*")];
    world.post("/v1/webhook_endpoints", &everything).await;
    for _ in 0..3 {
        let intent = world.post("/v1/payment_intents", &SALE[..2]).await;
        let cancel = format!("/v1/payment_intents/{}/cancel", intent["id"].as_str().unwrap());
        world.post(&cancel, &[]).await;
    }
    let all = world.native("GET", "/v1/deliveries?limit=100", None).await.object();
    let store = &world.doors.store;
    let search = DeliverySearch {
        tenant: world.tenant,
        endpoint: None,
        order: None,
        status: None,
        from: None,
        to: None,
        after: None,
        limit: 100,
    };
    let mut rows = store.deliveries(&search).await.unwrap();
    // No page of a session was ever there to expire, so nothing is sent, which is over at once.
    rows.retain(|row| row.name == "checkout.session.expired");
    assert_eq!(rows.len(), 3, "{all}");
    for row in &mut rows {
        (row.status, row.due) = (DeliveryStatus::Succeeded, None);
    }
    store.write_deliveries(&rows).await.unwrap();
    let said: Vec<String> = (ids(&all).into_iter())
        .filter(|id| rows.iter().all(|row| row.id.to_string() != *id))
        .collect();
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let page = format!("/v1/deliveries?limit=1{after}");
        let page = world.native("GET", &page, None).await.object();
        listed.extend(ids(&page));
        if page["has_more"] == false {
            break;
        }
        after = format!("&after={}", listed.last().unwrap());
    }
    assert_eq!(listed, said);
    let none = world
        .native("GET", "/v1/deliveries?status=succeeded", None)
        .await
        .object();
    assert_eq!((ids(&none).len(), &none["has_more"]), (0, &false.into()));
    let one = format!("/v1/deliveries/{}", rows[0].id);
    assert_eq!(world.native("GET", &one, None).await.status, 404);
}
