//! The whole shop over HTTP, against a strict stand-in for Florin.

#![allow(
    clippy::unwrap_used,
    reason = "test code; clippy knows that only inside of the tests themselves"
)]

#[path = "stand_in/mod.rs"]
mod stand_in;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use florin_shop::Config;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use stand_in::{Fault, Florin, until};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A shop that runs, and the folder of its records.
struct Shop {
    url: String,
    data: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: JoinHandle<Result<(), florin_shop::Error>>,
}

fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("florin-shop-it-{}-{number}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

async fn open_on(florin: &Florin, listener: TcpListener, data: PathBuf, origins: Vec<String>) -> Shop {
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = Config {
        api: florin.api.clone(),
        key: stand_in::KEY.into(),
        public_url: url.clone(),
        docs_url: format!("{}/docs", florin.api),
        data: data.clone(),
        checkout_origins: origins,
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(florin_shop::serve(listener, config, async {
        let _ = stopped.await;
    }));
    Shop {
        url,
        data,
        stop: Some(stop),
        task,
    }
}

async fn registered(florin: &Florin, shop: &Shop) {
    let hook = format!("{}/hooks/florin", shop.url);
    let kept = shop.data.join("webhook-endpoint.json");
    until("the endpoint is registered", || async {
        let there = florin.world().endpoints.iter().any(|endpoint| endpoint.url == hook);
        there && std::fs::read_to_string(&kept).is_ok_and(|text| text.contains(&hook))
    })
    .await;
}

/// Florin and a shop that has registered its webhooks.
async fn open() -> (Florin, Shop) {
    let florin = stand_in::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = open_on(&florin, listener, folder(), vec![florin.pay.clone()]).await;
    registered(&florin, &shop).await;
    (florin, shop)
}

impl Shop {
    /// The order that the journal's last line is about.
    fn last_record(&self) -> Value {
        let journal = std::fs::read_to_string(self.data.join("shop.jsonl")).unwrap();
        let last: Value = serde_json::from_str(journal.lines().last().unwrap()).unwrap();
        last["purchase"].clone()
    }

    async fn close(mut self) -> PathBuf {
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
        self.data
    }
}

/// A browser without scripts: it keeps cookies and shows redirects instead of following them.
struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    shop: String,
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    #[track_caller]
    fn says(&self, words: &str) {
        assert!(self.text.contains(words), "no `{words}` in:\n{}", self.text);
    }

    #[track_caller]
    fn says_not(&self, words: &str) {
        assert!(!self.text.contains(words), "`{words}` in:\n{}", self.text);
    }
}

impl Browser {
    fn new(shop: &Shop) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            client,
            shop: shop.url.clone(),
            cookie: None,
        }
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let answer = self
            .client
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .unwrap();
        let (head, body) = answer.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer {
            status: head.status,
            headers: head.headers,
            text,
        }
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.shop)
        };
        let request = Request::builder().method(method).uri(url);
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path), "").await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.header("sec-fetch-site", "same-origin"), form.to_owned())
            .await
    }

    async fn add(&mut self, product: &str, quantity: u32) {
        let answer = self
            .post("/cart/add", &format!("product={product}&quantity={quantity}"))
            .await;
        assert_eq!(answer.location(), "/cart");
        if let Some(cookie) = answer.headers.get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
    }

    /// Presses the button and gives the payment page.
    async fn check_out(&self) -> String {
        self.post("/checkout", "").await.location().to_owned()
    }

    /// The newest order's page.
    async fn order_path(&self) -> String {
        let orders = self.get("/orders").await;
        let at = orders.text.find("/orders/").expect("an order in the list");
        orders.text[at..].split('"').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_buyer_pays_and_the_webhook_packs_the_goods() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("enamel-mug", 2).await;
    browser.get("/cart").await.says("Pay 37.90\u{a0}EUR");

    let page = browser.check_out().await;
    assert!(page.starts_with(&florin.pay), "{page}");
    {
        let world = florin.world();
        assert_eq!(world.orders[0].body.amount, 2 * 1650 + 490);
        let back = world.orders[0].body.return_url.clone().unwrap();
        assert!(back.starts_with(&shop.url) && back.ends_with("/back"), "{back}");
    }
    let path = browser.order_path().await;
    browser.get(&path).await.says("The payment is not finished.");

    florin.provider(&page, "pay");
    let back = browser.get(&format!("{path}/back?session_id=x")).await;
    assert_eq!(back.location(), path);
    let packing = "Signature checked, written down, goods packed.";
    until("the goods are packed and the delivery shows it", || async {
        browser.get(&path).await.text.contains(packing)
    })
    .await;
    let order = browser.get(&path).await;
    for words in [
        "Your things are packed",
        "37.90",
        "Paid",
        "2 × Enamel mug",
        "Delivery",
        "receivable",
        "merchant",
        "Total posted, EUR",
        "order.captured",
    ] {
        order.says(words);
    }
    order.says("by <strong>card_visa</strong> over rail <strong>stripe</strong>");
    order.says(&format!(
        "curl {}/v1/orders/{}",
        florin.api,
        florin.world().orders[0].id
    ));
    order.says_not(stand_in::KEY);
    browser.get("/cart").await.says("There is nothing in your cart yet");
    browser.get("/orders").await.says("2 × Enamel mug");
}

#[tokio::test]
async fn without_a_webhook_the_page_tells_the_api_s_word_and_nothing_is_packed() {
    let (florin, shop) = open().await;
    florin.world().mute = true;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    florin.provider(&page, "pay");
    let path = browser.order_path().await;
    let order = browser.get(&path).await;
    order.says("Your payment has arrived");
    order.says("the webhook that the shop acts on has not come yet");
    order.says_not("are packed");
    florin.world().mute = false;
    florin.deliver_now().await;
    browser.get(&path).await.says("are packed");
}

#[tokio::test]
async fn ten_clicks_make_one_order_and_lead_to_one_page() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let clicks = (0..10).map(|_| {
        let browser = Browser {
            client: browser.client.clone(),
            shop: shop.url.clone(),
            cookie: browser.cookie.clone(),
        };
        tokio::spawn(async move { browser.check_out().await })
    });
    let mut pages = Vec::new();
    for click in clicks.collect::<Vec<_>>() {
        pages.push(click.await.unwrap());
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(florin.world().orders.len(), 1);
    assert_eq!(florin.world().orders[0].attempts.len(), 1);
    let reference = florin.world().orders[0].body.reference.clone();
    assert_eq!(florin.world().keys_of("/v1/orders"), [&*reference]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_not_ordered_again() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.fault(Fault::Lost);
    let page = browser.check_out().await;
    assert!(page.starts_with(&florin.pay));
    assert_eq!(florin.world().orders.len(), 1);
    assert_eq!(florin.world().keys_of("/v1/orders").len(), 1);
}

#[tokio::test]
async fn when_every_answer_is_lost_the_buyer_is_told_and_the_next_press_finds_the_order() {
    let (florin, shop) = open().await;
    // A webhook would tell the shop Florin's id.
    florin.world().mute = true;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    // The first call makes the order and its answer is lost; the repeats come to nothing.
    florin.fault(Fault::Lost);
    florin.fault(Fault::Busy(60));
    let trouble = browser.post("/checkout", "").await;
    assert_eq!(trouble.status, StatusCode::SERVICE_UNAVAILABLE);
    trouble.says("it stays one order");
    // Florin forgets keys after a while, references never.
    florin.world().keys.clear();
    let page = browser.check_out().await;
    assert!(page.starts_with(&florin.pay));
    assert_eq!(florin.world().orders.len(), 1);
}

#[tokio::test]
async fn an_answer_before_the_payment_page_is_ready_is_waited_for() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.fault(Fault::Unfinished);
    assert!(browser.check_out().await.starts_with(&florin.pay));
}

#[tokio::test]
async fn a_busy_florin_is_waited_for_briefly_and_then_said_plainly() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.fault(Fault::Busy(0));
    assert!(browser.check_out().await.starts_with(&florin.pay));

    browser.add("enamel-mug", 1).await;
    florin.fault(Fault::Busy(30));
    let busy = browser.post("/checkout", "").await;
    assert_eq!(busy.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(busy.headers["retry-after"], "30");
    busy.says("try again in 30 seconds");
    busy.says("You have not been charged");
    busy.says("action=\"/checkout\"");
}

#[tokio::test]
async fn a_refusal_is_the_shop_s_mistake_and_says_so() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.fault(Fault::Refused("invalid"));
    let refused = browser.post("/checkout", "").await;
    assert_eq!(refused.status, StatusCode::BAD_GATEWAY);
    for words in [
        "The shop made a mistake",
        "not your fault",
        "amount must be positive",
        "read the reference",
    ] {
        refused.says(words);
    }
    assert_eq!(florin.world().orders.len(), 0);
}

#[tokio::test]
async fn a_declined_card_leads_to_a_second_attempt_of_the_same_order() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    florin.provider(&page, "decline");
    let path = browser.order_path().await;
    let order = browser.get(&path).await;
    order.says("Your card was declined.");
    order.says("Pay with another card 38.90\u{a0}EUR");
    // What came over the wire is text, never markup.
    order.says("the &#60;b&#62;card&#60;/b&#62; has insufficient funds");

    let again = format!("{path}/pay");
    let (one, two) = (browser.post(&again, ""), browser.post(&again, ""));
    let (one, two) = tokio::join!(one, two);
    assert_eq!(one.location(), two.location());
    assert_ne!(one.location(), page);
    assert_eq!(florin.world().orders.len(), 1);
    assert_eq!(florin.world().orders[0].attempts.len(), 2);
    assert_eq!(florin.world().keys_of("/confirm").len(), 1);
    // The cart's button leads to the same place.
    assert_eq!(browser.check_out().await, one.location());
}

#[tokio::test]
async fn who_abandons_and_comes_back_finds_the_same_page() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    browser
        .get("/cart")
        .await
        .says("already an order that waits for its payment");
    assert_eq!(browser.check_out().await, page);
    let path = browser.order_path().await;
    assert_eq!(browser.post(&format!("{path}/pay"), "").await.location(), page);
    assert_eq!(florin.world().orders.len(), 1);
}

#[tokio::test]
async fn a_changed_cart_replaces_the_unpaid_order() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    browser.check_out().await;
    browser.add("enamel-mug", 1).await;
    browser.check_out().await;
    let world = florin.world();
    let states: Vec<_> = world
        .orders
        .iter()
        .map(|order| (order.body.amount, order.status))
        .collect();
    assert_eq!(states, [(3890, "canceled"), (5540, "requires_action")]);
}

#[tokio::test]
async fn a_changed_cart_whose_first_order_was_paid_meanwhile_is_not_ordered_again() {
    let (florin, shop) = open().await;
    florin.world().mute = true;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    let paid = browser.order_path().await;
    browser.add("enamel-mug", 1).await;
    florin.provider(&page, "pay");
    assert_eq!(browser.check_out().await, paid);
    assert_eq!(florin.world().orders.len(), 1);
    // What was paid for has left the cart, what was added since is still there.
    let cart = browser.get("/cart").await;
    cart.says("Enamel mug");
    cart.says_not("Moka pot");
}

#[tokio::test]
async fn an_order_that_is_over_can_be_ordered_again_as_a_new_one() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    florin.provider(&page, "expire");
    let path = browser.order_path().await;
    browser.get(&path).await.says("The time to pay is over.");
    assert_eq!(browser.post(&format!("{path}/again"), "").await.location(), "/cart");
    let next = browser.check_out().await;
    assert!(next.starts_with(&florin.pay));
    let world = florin.world();
    assert_eq!(world.orders.len(), 2);
    assert_ne!(world.orders[0].body.reference, world.orders[1].body.reference);
}

#[tokio::test]
async fn the_same_goods_after_payment_are_a_new_order() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    for _ in 0..2 {
        browser.add("moka-pot", 1).await;
        let page = browser.check_out().await;
        florin.provider(&page, "pay");
        until("the cart is empty", || async {
            browser.get("/cart").await.text.contains("nothing in your cart")
        })
        .await;
    }
    assert_eq!(florin.world().orders.len(), 2);
}

#[tokio::test]
async fn a_buyer_can_cancel_and_a_refund_shows() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    browser.check_out().await;
    let path = browser.order_path().await;
    assert_eq!(browser.post(&format!("{path}/cancel"), "").await.location(), path);
    until("it is canceled", || async {
        browser.get(&path).await.text.contains("The order was canceled.")
    })
    .await;

    let page = browser.check_out().await;
    florin.provider(&page, "pay");
    florin.refund(500);
    let path = browser.order_path().await;
    until("the refund shows", || async {
        browser.get(&path).await.text.contains("5.00\u{a0}EUR goes back")
    })
    .await;
}

/// An event of the stand-in's only order, as `Florin::send` takes it.
fn event(florin: &Florin, kind: &str) -> Value {
    let world = florin.world();
    world.orders[0]
        .events
        .iter()
        .find(|event| event["type"] == kind)
        .expect("that event")
        .clone()
}

#[tokio::test]
async fn webhooks_that_come_twice_or_late_change_nothing() {
    let (florin, shop) = open().await;
    florin.world().mute = true;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    florin.provider(&page, "pay");
    let path = browser.order_path().await;
    let (url, secret) = {
        let world = florin.world();
        (world.endpoints[0].url.clone(), world.endpoints[0].secret.clone())
    };
    let captured = event(&florin, "order.captured");
    for _ in 0..3 {
        assert_eq!(florin.send(&url, &secret, &captured).await, Some(StatusCode::OK));
    }
    let late = event(&florin, "order.requires_action");
    assert_eq!(florin.send(&url, &secret, &late).await, Some(StatusCode::OK));
    let purchase = shop.last_record();
    assert_eq!(purchase["news"]["order"]["payment_order_status"], "captured");
    assert_eq!(purchase["packed"]["event"], captured["id"]);
    assert_eq!(purchase["heard"][0]["repeats"], 2);
    assert_eq!(purchase["heard"][1]["verdict"], "older");
    let order = browser.get(&path).await;
    order.says("Paid");
}

#[tokio::test]
async fn a_forged_webhook_is_refused_and_packs_nothing() {
    let (florin, shop) = open().await;
    florin.world().mute = true;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    browser.check_out().await;
    let url = florin.world().endpoints[0].url.clone();
    let mut forged = event(&florin, "order.created");
    forged["data"]["order"]["payment_order_status"] = json!("captured");
    forged["data"]["order"]["deliverable"] = json!(true);
    let wrong = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    assert_eq!(florin.send(&url, wrong, &forged).await, Some(StatusCode::UNAUTHORIZED));
    let unsigned = browser.post("/hooks/florin", &forged.to_string()).await;
    assert_eq!(unsigned.status, StatusCode::BAD_REQUEST);
    let path = browser.order_path().await;
    browser.get(&path).await.says_not("acked");
    assert_eq!(shop.last_record()["packed"], Value::Null);

    // Signed, but about an order of another amount: not the shop's.
    let secret = florin.world().endpoints[0].secret.clone();
    forged["data"]["order"]["amount"] = json!(1);
    assert_eq!(florin.send(&url, &secret, &forged).await, Some(StatusCode::OK));
    browser.get(&path).await.says_not("acked");
    assert_eq!(shop.last_record()["packed"], Value::Null);
}

#[tokio::test]
async fn a_restarted_shop_knows_its_carts_orders_and_endpoint() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    let path = browser.order_path().await;
    browser.add("enamel-mug", 1).await;
    let address = shop.url.strip_prefix("http://").unwrap().to_owned();
    let data = shop.close().await;
    // What happens while it is down is told when it is back.
    florin.world().mute = true;
    florin.provider(&page, "pay");
    let listener = TcpListener::bind(&address).await.unwrap();
    let shop = open_on(&florin, listener, data, vec![florin.pay.clone()]).await;
    registered(&florin, &shop).await;
    assert_eq!(florin.world().endpoints.len(), 1);
    browser.get("/cart").await.says("Enamel mug");
    browser.get(&path).await.says("Your payment has arrived");
    florin.world().mute = false;
    florin.deliver_now().await;
    browser.get(&path).await.says("are packed");
}

#[tokio::test]
async fn a_shop_that_lost_its_secret_gets_a_new_one_for_the_same_endpoint() {
    let (florin, shop) = open().await;
    let address = shop.url.strip_prefix("http://").unwrap().to_owned();
    let before = florin.world().endpoints[0].secret.clone();
    let data = shop.close().await;
    std::fs::remove_file(data.join("webhook-endpoint.json")).unwrap();
    let listener = TcpListener::bind(&address).await.unwrap();
    let shop = open_on(&florin, listener, data, vec![florin.pay.clone()]).await;
    registered(&florin, &shop).await;
    assert_eq!(florin.world().endpoints.len(), 1);
    assert_ne!(florin.world().endpoints[0].secret, before);
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.provider(&browser.check_out().await, "pay");
    let path = browser.order_path().await;
    until("the new secret works", || async {
        browser.get(&path).await.text.contains("are packed")
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_under_an_earlier_address_is_taken_away() {
    let (florin, shop) = open().await;
    let data = shop.close().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = open_on(&florin, listener, data, vec![florin.pay.clone()]).await;
    registered(&florin, &shop).await;
    until("the old one is gone", || async { florin.world().endpoints.len() == 1 }).await;
    assert!(florin.world().endpoints[0].url.starts_with(&shop.url));
}

#[tokio::test]
async fn a_shop_that_starts_before_florin_waits_for_it_and_says_so_meanwhile() {
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = api.local_addr().unwrap();
    drop(api);
    let florin_to_be = stand_in::start().await;
    let absent = florin_to_be.moved_to(&format!("http://{address}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = open_on(&absent, listener, folder(), vec![florin_to_be.pay.clone()]).await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let trouble = browser.post("/checkout", "").await;
    assert_eq!(trouble.status, StatusCode::SERVICE_UNAVAILABLE);
    trouble.says("The payment service cannot be reached");
    trouble.says("You have not been charged");
    let path = browser.order_path().await;
    browser.get(&path).await.says("Florin has not confirmed the order yet");
    let hook = browser.post("/hooks/florin", "{}").await;
    assert_eq!(hook.status, StatusCode::SERVICE_UNAVAILABLE);

    let florin = stand_in::start_on(TcpListener::bind(address).await.unwrap()).await;
    registered(&florin, &shop).await;
    // The payment page of this Florin is elsewhere than the policy says, so the buyer gets a link.
    let link = browser.post("/checkout", "").await;
    assert_eq!(link.status, StatusCode::OK);
    link.says(&format!("href=\"{}/pay/", florin.pay));
    assert_eq!(florin.world().orders.len(), 1);
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let request = browser
        .request(Method::POST, "/checkout")
        .header("sec-fetch-site", "cross-site");
    let refused = browser.send(request, "").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(florin.world().orders.is_empty());
}

#[tokio::test]
async fn what_does_not_read_is_answered_with_a_page() {
    let (florin, shop) = open().await;
    let browser = Browser::new(&shop);
    let answers = [
        browser.get("/orders/%ff").await,
        browser.get("/products/%ff").await,
        browser.post("/cart/add", "product=moka-pot&quantity=many").await,
        browser.post("/cart/add", "product=moka-pot&quantity=1&price=1").await,
        browser.get("/checkout").await,
    ];
    for answer in answers {
        assert!(answer.status.is_client_error(), "{}", answer.status);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        answer.says("Go to the shop");
    }
    assert!(florin.world().orders.is_empty());
}

#[tokio::test]
async fn an_open_page_is_told_only_what_is_new() {
    let (_florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    browser.check_out().await;
    let path = format!("{}/live", browser.order_path().await);
    // Deliveries may still be on their way: ask until the page stands still.
    let mut known = String::new();
    for _ in 0..50 {
        let request = browser.request(Method::GET, &path).header("if-none-match", &known);
        let answer = browser.send(request, "").await;
        if answer.status == StatusCode::NOT_MODIFIED {
            assert_eq!(answer.text, "");
            return;
        }
        answer.says("data-part");
        answer.says_not("<html");
        known = answer.headers["etag"].to_str().unwrap().to_owned();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the page never stood still");
}

#[tokio::test]
async fn every_page_is_small_strict_and_without_inline_script_or_style() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    let page = browser.check_out().await;
    florin.provider(&page, "pay");
    let order = browser.order_path().await;
    until("packed", || async {
        browser.get(&order).await.text.contains("are packed")
    })
    .await;
    browser.add("enamel-mug", 1).await;
    for path in [
        "/",
        "/products/moka-pot",
        "/cart",
        "/orders",
        &*order,
        "/nothing",
        "/orders/unknown",
    ] {
        let answer = browser.get(path).await;
        assert!(answer.text.len() < 18_000, "{path}: {} bytes", answer.text.len());
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains(&format!("form-action 'self' {};", florin.pay)),
            "{policy}"
        );
        assert_eq!(answer.headers["cache-control"], "no-store");
        for banned in [" style=", "<style", "javascript:", " onclick", "http-equiv"] {
            answer.says_not(banned);
        }
        for script in answer.text.split("<script").skip(1) {
            assert!(
                script.contains("integrity=\"sha384-") && script.contains("></script>"),
                "{path}"
            );
        }
        // Everything that a page asks for is there.
        for asset in answer.text.split("\"/assets/").skip(1) {
            let href = format!("/assets/{}", asset.split('"').next().unwrap());
            assert_eq!(browser.get(&href).await.status, StatusCode::OK, "{href}");
        }
    }
}

#[tokio::test]
async fn violations_of_the_policy_are_counted() {
    let (_florin, shop) = open().await;
    let browser = Browser::new(&shop);
    let request = browser
        .request(Method::POST, "/csp-reports")
        .header("content-type", "application/csp-report");
    let report = browser
        .send(request, r#"{"csp-report":{"blocked-uri":"inline"}}"#)
        .await;
    assert_eq!(report.status, StatusCode::NO_CONTENT);
    let request = browser
        .request(Method::POST, "/csp-reports")
        .header("content-type", "application/reports+json");
    browser
        .send(request, r#"[{"type":"csp-violation"},{"type":"csp-violation"}]"#)
        .await;
    assert_eq!(browser.get("/csp-reports").await.text, r#"{"violations":3}"#);
}

#[tokio::test]
async fn an_order_of_another_amount_under_our_reference_is_not_taken_for_ours() {
    let (florin, shop) = open().await;
    let mut browser = Browser::new(&shop);
    browser.add("moka-pot", 1).await;
    florin.fault(Fault::Busy(60));
    browser.post("/checkout", "").await;
    let reference = florin.world().keys_of("/v1/orders")[0].to_owned();
    let foreign = json!({ "amount": 1, "currency": "EUR", "reference": reference,
        "lines": [{ "name": "x", "quantity": 1, "unit_amount": 1 }] });
    let request = browser.request(Method::POST, &format!("{}/v1/orders", florin.api));
    let request = request
        .header("authorization", format!("Bearer {}", stand_in::KEY))
        .header("idempotency-key", "foreign");
    assert_eq!(
        browser.send(request, foreign.to_string()).await.status,
        StatusCode::CREATED
    );
    let trouble = browser.post("/checkout", "").await;
    assert_eq!(trouble.status, StatusCode::CONFLICT);
    trouble.says("This order does not match");
    trouble.says("You have not been charged");
}

#[tokio::test]
async fn an_order_page_that_the_shop_has_forgotten_says_nothing_about_its_money() {
    let (_florin, shop) = open().await;
    let page = Browser::new(&shop)
        .get("/orders/0123456789abcdef0123456789abcdef")
        .await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.says("Opening this page charges nothing");
    page.says_not("You have not been charged");
}
