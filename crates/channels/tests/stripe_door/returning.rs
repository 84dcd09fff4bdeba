//! What payers are told who come back while it is not clear how their payment ended.

use crate::pages::{onward, opened};
use crate::world::World;

/// A provider that takes connections and answers nothing.
async fn silence(world: &World) -> tokio::net::TcpListener {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    world.provider_at(&format!("http://{address}")).await;
    listener
}

fn waits(page: &crate::world::Said) {
    assert_eq!((page.status, page.header("refresh")), (200, "3"), "{}", page.text);
    assert!(
        page.text.contains("We do not know yet how your payment ended"),
        "{}",
        page.text
    );
    assert!(page.text.contains("do not pay again"), "{}", page.text);
    for wrong in ["Nothing was charged", "redirect_status", "shop.test", "provider.test"] {
        assert!(!page.text.contains(wrong), "{wrong} in {}", page.text);
    }
}

#[tokio::test]
async fn a_payer_who_comes_back_while_the_provider_is_silent_waits_and_is_told_nothing_untrue() {
    let world = World::merchant().await;
    let _provider = silence(&world).await;
    let (_, url) = opened(&world).await;
    world.press(&url, &[]).await;
    let token = url.rsplit('/').next().unwrap();
    waits(&world.page(&format!("/c/back/{token}?result=asked")).await);

    let form = [
        ("amount", "3000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_threeDSecure2Required"),
        ("return_url", "https://shop.test/back"),
    ];
    let intent = world.post("/v1/payment_intents", &form).await;
    let challenge = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    let token = challenge.rsplit('/').next().unwrap();
    waits(&world.page(&format!("/c/back/{token}?result=asked")).await);
    waits(
        &world
            .native("GET", &format!("/return/{token}?result=asked"), None)
            .await,
    );
}

#[tokio::test]
async fn a_payer_who_comes_back_without_having_paid_can_go_on() {
    let world = World::merchant().await;
    let (_, url) = opened(&world).await;
    world.press(&url, &[]).await;
    let token = url.rsplit('/').next().unwrap();
    let back = world.page(&format!("/c/back/{token}")).await;
    let page = world.page(back.header("location")).await;
    assert_eq!(onward(&page.text).as_deref(), Some("http://provider.test/pay/1"));
    assert!(!page.text.contains("Nothing"), "{}", page.text);

    // The provider cannot be reached at all: the merchant hears no word of an end.
    let form = [
        ("amount", "3000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_threeDSecure2Required"),
        ("return_url", "https://shop.test/back"),
    ];
    let intent = world.post("/v1/payment_intents", &form).await;
    let challenge = intent["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    let token = challenge.rsplit('/').next().unwrap();
    for path in [format!("/c/back/{token}?result=asked"), format!("/c/back/{token}")] {
        let page = world.page(&path).await;
        assert!(!page.text.contains("Nothing was charged"), "{}", page.text);
        assert!(!page.text.contains("redirect_status"), "{}", page.text);
    }
}

#[tokio::test]
async fn who_paid_in_one_tab_and_leaves_in_another_is_not_told_that_they_have_not_paid() {
    let world = World::merchant().await;
    let (_, url) = opened(&world).await;
    world.press(&url, &[]).await;
    let token = url.rsplit('/').next().unwrap();
    world.page(&format!("/c/back/{token}?result=passed")).await;
    let left = world.page(&format!("/c/back/{token}?left=1")).await;
    assert!(!left.text.contains("You have not paid"), "{}", left.text);
    let page = world.page(left.header("location")).await;
    let shop = onward(&page.text).expect("the payer is led on");
    assert!(shop.starts_with("https://shop.test/thanks"), "{shop}");
}

#[tokio::test]
async fn who_left_a_page_that_may_still_be_paid_is_not_told_that_they_have_not_paid() {
    let world = World::merchant().await;
    world.over("script_without_way_back").await;
    let (_, url) = opened(&world).await;
    world.press(&url, &[]).await;
    let token = url.rsplit('/').next().unwrap();
    let careful = "An earlier try to pay is still being looked into: please do not pay again before you hear of it.";
    let left = world.page(&format!("/c/back/{token}?left=1")).await;
    assert!(left.text.contains("The payment is not finished"), "{}", left.text);
    assert!(!left.text.contains("You have not paid"), "{}", left.text);
    assert!(left.text.contains(careful), "{}", left.text);
    let form = world.page(&url).await;
    assert!(form.text.contains(careful), "{}", form.text);
}

/// A provider that answers every question, and counts them.
async fn counting(world: &World) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    world.provider_at(&format!("http://{address}")).await;
    let questions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&questions);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = [0; 4_096];
            if stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    questions
}

#[tokio::test]
async fn a_return_page_that_is_loaded_again_and_again_asks_the_provider_once_in_a_while() {
    let world = World::merchant().await;
    let questions = counting(&world).await;
    let asked = || questions.load(std::sync::atomic::Ordering::SeqCst);
    let (_, url) = opened(&world).await;
    world.press(&url, &[]).await;
    let token = url.rsplit('/').next().unwrap().to_owned();
    for path in [
        format!("/c/back/{token}?result=asked"),
        format!("/return/{token}?result=asked"),
    ] {
        let before = asked();
        let load = async || match path.starts_with("/return") {
            true => world.native("GET", &path, None).await,
            false => world.page(&path).await,
        };
        let first = load().await;
        assert_eq!(asked(), before + 1, "the payer's return asks");
        for _ in 0..5 {
            assert_eq!(load().await.text, first.text, "and what it found is shown");
        }
        assert_eq!(asked(), before + 1);
        world.clock.shift_millis(5_000);
        load().await;
        assert_eq!(asked(), before + 2, "a while later it asks again");
        world.clock.shift_millis(5_000);
    }
}

#[tokio::test]
async fn a_page_that_is_left_late_gives_up_no_other_attempt() {
    let world = World::merchant().await;
    let (_, url) = opened(&world).await;
    let token = url.rsplit('/').next().unwrap();
    let leave = async |attempt: u8| drop(world.page(&format!("/c/back/{token}?left={attempt}")).await);
    let status = async || {
        let orders = world.native("GET", "/v1/orders?limit=1", None).await.object();
        orders["data"][0]["payment_order_status"].as_str().unwrap().to_owned()
    };
    world.press(&url, &[]).await;
    leave(1).await;
    assert_eq!(status().await, "created");
    world.press(&url, &[]).await;
    assert_eq!(status().await, "requires_action");
    // The first page was open still, in another tab.
    leave(1).await;
    assert_eq!(status().await, "requires_action");
    leave(2).await;
    assert_eq!(status().await, "created");
}
