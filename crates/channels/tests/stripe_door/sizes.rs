//! What a list may take: a page ends by its bytes as well, and a merchant has so many lists under way.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::world::World;

/// Orders that are too large together for one page, and few enough that it would have had them by their number.
const ORDERS: usize = 25;
/// What a page may have, as the limit says, and a little for what stands around its items.
const PAGE_BYTES_MAX: usize = (1 << 20) + 200;
/// Lists that one merchant may have under way.
const LISTS_MAX: usize = 16;

/// A world of orders that are as large as a body may be.
async fn of_large_orders() -> World {
    let world = World::provider().await;
    let metadata: Value = (0..50)
        .map(|at| (format!("name{at:02}"), json!("\u{1f600}".repeat(300))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for number in 0..ORDERS {
        let body =
            json!({ "amount": 100, "currency": "EUR", "reference": format!("A-{number}"), "metadata": metadata });
        let made = world.native("POST", "/v1/orders", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    world
}

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().expect("a list");
    let id = |one: &Value| one["id"].as_str().expect("an object").to_owned();
    data.iter().map(id).collect()
}

#[tokio::test]
async fn a_page_of_large_orders_ends_by_its_bytes_and_the_next_one_goes_on_there() {
    let world = of_large_orders().await;
    for path in ["/v1/orders", "/v1/events"] {
        let (mut all, mut pages, mut after) = (Vec::new(), 0, String::new());
        loop {
            let said = world.native("GET", &format!("{path}?limit=100{after}"), None).await;
            assert!(said.text.len() <= PAGE_BYTES_MAX, "{path}: {} bytes", said.text.len());
            let page = said.object();
            all.extend(ids(&page));
            pages += 1;
            if page["has_more"] == false {
                break;
            }
            after = format!("&after={}", all.last().expect("no page with more behind it is empty"));
        }
        assert!(pages > 1, "{path} was not cut");
        let once: BTreeSet<_> = all.iter().collect();
        assert_eq!((once.len(), all.len()), (ORDERS, ORDERS), "{path}");
    }
}

/// Pages through a list of the door there and back.
async fn there_and_back(world: &World, path: &str, count: usize) {
    let page = async |at: String| {
        let said = world.call("GET", &format!("{path}{at}"), &[]).await;
        assert!(
            said.text.len() <= PAGE_BYTES_MAX,
            "{path}{at}: {} bytes",
            said.text.len()
        );
        let page = said.object();
        (ids(&page), page["has_more"] == true)
    };
    let (mut forwards, mut more) = page(String::new()).await;
    assert!(more, "{path} was not cut");
    while more {
        let next = page(format!("&starting_after={}", forwards.last().expect("no empty page"))).await;
        forwards.extend(next.0);
        more = next.1;
    }
    let mut back = vec![forwards.last().expect("no empty page").clone()];
    let mut more = true;
    while more {
        let next = page(format!("&ending_before={}", back[0])).await;
        back.splice(0..0, next.0);
        more = next.1;
    }
    let once: BTreeSet<_> = forwards.iter().collect();
    assert_eq!((once.len(), forwards.len()), (count, count), "{path}");
    assert_eq!(back, forwards, "{path}");
}

#[tokio::test]
async fn the_door_cuts_its_pages_by_their_bytes_in_both_directions() {
    let world = of_large_orders().await;
    for path in ["/v1/payment_intents", "/v1/events"] {
        there_and_back(&world, &format!("{path}?limit=100"), ORDERS).await;
    }
}

#[tokio::test]
async fn a_page_is_cut_by_the_bytes_of_what_it_is_asked_to_show_as_well() {
    const SALES: usize = 30;
    let world = World::provider().await;
    let metadata: Vec<(String, String)> = (0..50)
        .map(|at| (format!("metadata[name{at:02}]"), "x".repeat(450)))
        .collect();
    let mut sale = vec![
        ("amount", "1099"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_visa"),
    ];
    sale.extend(metadata.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for _ in 0..SALES {
        world.post("/v1/payment_intents", &sale).await;
    }
    let bare = world.get("/v1/payment_intents?limit=100").await;
    assert_eq!((ids(&bare).len(), &bare["has_more"]), (SALES, &false.into()));
    let expand = "expand[]=data.latest_charge";
    there_and_back(&world, &format!("/v1/payment_intents?limit=100&{expand}"), SALES).await;
    let search = format!("/v1/payment_intents/search?limit=100&query=status%3A%27succeeded%27&{expand}");
    let mut page = world.get(&search).await;
    let mut found = ids(&page);
    while let Some(next) = page["next_page"].as_str().map(str::to_owned) {
        page = world.get(&format!("{search}&page={next}")).await;
        found.extend(ids(&page));
    }
    assert_eq!(found, ids(&bare));
}

async fn ask(router: &Router, path: &str, key: &str) -> Response {
    call(Method::GET, router, path, key).await
}

async fn call(method: Method, router: &Router, path: &str, key: &str) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "door.test")
        .header(header::AUTHORIZATION, format!("Bearer {key}"));
    let request = request.body(Body::empty()).expect("a request");
    router.clone().oneshot(request).await.expect("a router never fails")
}

#[tokio::test]
async fn a_merchant_whose_lists_are_not_fetched_gets_no_more_of_them_and_everybody_else_does() {
    let world = World::provider().await;
    let other = world.another().await;
    let intent = world
        .post("/v1/payment_intents", &[("amount", "1099"), ("currency", "eur")])
        .await;
    let (door, api) = (world.router(), florin_channels::api::router(world.doors.clone()));
    let mut unread = Vec::new();
    for at in 0..LISTS_MAX {
        // One count for both doors.
        let answer = match at % 2 {
            0 => ask(&door, "/v1/payment_intents", &world.key).await,
            _ => ask(&api, "/v1/orders", &world.key).await,
        };
        assert_eq!(answer.status(), StatusCode::OK);
        unread.push(answer);
    }
    tokio::time::pause(); // each of those below waits for a place
    for (router, path) in [
        (&door, "/v1/payment_intents"),
        (&api, "/v1/orders"),
        (&api, "/v1/events"),
    ] {
        let refused = ask(router, path, &world.key).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1", "{path}");
        let no_body = call(Method::HEAD, router, path, &world.key).await;
        assert_eq!(no_body.status(), StatusCode::TOO_MANY_REQUESTS, "HEAD {path}");
        assert_eq!(
            ask(router, path, &other).await.status(),
            StatusCode::OK,
            "{path}, somebody else"
        );
    }
    let one = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    assert_eq!(
        ask(&door, &one, &world.key).await.status(),
        StatusCode::OK,
        "one object"
    );
    // Who fetches an answer to its end, or goes away, has its place again.
    let first = axum::body::to_bytes(unread.remove(0).into_body(), 1 << 20).await;
    assert!(!first.expect("a whole body").is_empty());
    let again = ask(&api, "/v1/orders", &world.key).await;
    assert_eq!(again.status(), StatusCode::OK);
    assert_eq!(
        ask(&api, "/v1/orders", &world.key).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    // So has who comes a moment too early.
    let (early, ()) = tokio::join!(ask(&api, "/v1/orders", &world.key), async { drop(again) });
    assert_eq!(early.status(), StatusCode::OK);
    drop((early, unread));
    assert_eq!(ask(&api, "/v1/orders", &world.key).await.status(), StatusCode::OK);
}
