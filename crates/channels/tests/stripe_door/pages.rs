//! What payers see and press.

use serde_json::json;

use crate::world::{ORIGIN, Said, World};

const CHECKOUT: &[(&str, &str)] = &[
    ("mode", "payment"),
    (
        "success_url",
        "https://shop.test/thanks?session={CHECKOUT_SESSION_ID}&a=b",
    ),
    ("cancel_url", "https://shop.test/cart"),
    ("line_items[0][price_data][currency]", "eur"),
    ("line_items[0][price_data][unit_amount]", "150000"),
    ("line_items[0][price_data][product_data][name]", "Teapot <b>"),
    ("line_items[0][quantity]", "2"),
];

fn card(number: &str) -> [(&str, &str); 4] {
    [
        ("number", number),
        ("exp", "12 / 34"),
        ("cvc", "123"),
        ("name", "Jenny"),
    ]
}

pub(crate) async fn opened(world: &World) -> (String, String) {
    let session = world.post("/v1/checkout/sessions", CHECKOUT).await;
    let text = |name: &str| session[name].as_str().expect("a text").to_owned();
    (text("id"), text("url"))
}

/// Where a page leads at once.
pub(crate) fn onward(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("http-equiv=\"refresh\" content=\"0; url=")?;
    Some(rest.split('"').next()?.replace("&#38;", "&").replace("&amp;", "&"))
}

#[tokio::test]
async fn somebody_pays_and_is_led_back_to_the_shop() {
    let world = World::provider().await;
    let (id, url) = opened(&world).await;
    let page = world.page(&url).await;
    assert_eq!(page.status, 200);
    for words in [
        "Pay Giglio",
        "3,000.00\u{a0}EUR",
        "Teapot &#60;b&#62;",
        "Card number",
        "Test mode",
        "https://shop.test/cart",
    ] {
        assert!(page.text.contains(words), "no {words} in {}", page.text);
    }
    assert!(!page.text.contains("<script"), "a page that takes cards has no script");
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("script-src 'none'") && policy.contains("form-action 'self';"),
        "{policy}"
    );
    assert_eq!(
        (page.header("cache-control"), page.header("referrer-policy")),
        ("no-store", "same-origin")
    );

    let pressed = world.press(&url, &card("1111")).await;
    assert_eq!(pressed.status, 303);
    assert_eq!(
        pressed.header("location"),
        format!("{}?go=1", url.strip_prefix(ORIGIN).unwrap())
    );
    let done = world.page(pressed.header("location")).await;
    assert_eq!(
        onward(&done.text),
        Some(format!("https://shop.test/thanks?session={id}&a=b"))
    );
    assert!(done.text.contains("is paid"), "{}", done.text);
    let again = world.press(&url, &card("1111")).await;
    assert_eq!(again.status, 303, "pressing twice pays once");
    let listed = world.get("/v1/charges").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_payer_who_cannot_pay_here_at_all_is_sent_to_the_shop_and_not_asked_to_try_again() {
    let world = World::merchant().await;
    world.over("script_in_euro").await;
    let mut form = CHECKOUT.to_vec();
    form[3].1 = "usd";
    let session = world.post("/v1/checkout/sessions", &form).await;
    let url = session["url"].as_str().unwrap();
    let page = world.press(url, &[]).await;
    assert_eq!(page.status, 422, "{}", page.text);
    for words in [
        "This payment cannot be made here",
        "Nothing was charged",
        "3,000.00\u{a0}USD",
        "Ask Giglio",
        "https://shop.test/cart",
    ] {
        assert!(page.text.contains(words), "no {words} in {}", page.text);
    }
    assert!(!page.text.contains("Load it again"), "{}", page.text);
    assert_eq!(page.header("retry-after"), "");
}

#[tokio::test]
async fn a_payer_of_a_merchant_who_switched_the_provider_off_is_not_told_to_wait() {
    let world = World::merchant().await;
    let url = world.post("/v1/checkout/sessions", CHECKOUT).await["url"].clone();
    let listed = world.native("GET", "/v1/connections", None).await.json();
    for connection in listed["data"].as_array().unwrap() {
        let path = format!("/v1/connections/{}", connection["id"].as_str().unwrap());
        let off = world.native("POST", &path, Some(json!({ "enabled": false }))).await;
        assert_eq!(off.status, 200, "{}", off.text);
    }
    let page = world.press(url.as_str().unwrap(), &[]).await;
    assert_eq!(page.status, 422, "{}", page.text);
    for words in [
        "This payment cannot be made here",
        "Nothing was charged",
        "Back to Giglio",
    ] {
        assert!(page.text.contains(words), "no {words} in {}", page.text);
    }
}

#[tokio::test]
async fn a_declined_payer_is_told_what_to_do_but_not_why() {
    let world = World::provider().await;
    let (_, url) = opened(&world).await;
    world.press(&url, &card("4444")).await;
    let page = world.page(&url).await;
    assert!(
        page.text.contains("role=\"alert\"") && page.text.contains("The card was declined"),
        "{}",
        page.text
    );
    assert!(!page.text.to_lowercase().contains("funds"), "{}", page.text);
    assert!(onward(&page.text).is_none());
    world.press(&url, &card("1111")).await;
    assert!(
        onward(&world.page(&url).await.text).is_some(),
        "the same page is paid with another card"
    );
}

#[tokio::test]
async fn what_is_no_test_card_is_refused_and_not_repeated() {
    let world = World::provider().await;
    let (_, url) = opened(&world).await;
    for (form, words) in [
        (card("9876 5432"), "This is not a test card"),
        (card(""), "Enter the card number"),
        (
            [("number", "1111"), ("exp", "12/20"), ("cvc", "123"), ("name", "")],
            "not in the future",
        ),
        (
            [("number", "1111"), ("exp", "12/34"), ("cvc", "1x"), ("name", "")],
            "security code",
        ),
    ] {
        let page = world.press(&url, &form).await;
        assert_eq!(page.status, 422, "{form:?}");
        assert!(
            page.text.contains(words) && page.text.contains("aria-invalid=\"true\""),
            "{}",
            page.text
        );
        assert!(
            !page.text.contains("9876") && !page.text.contains("value=\"1111\""),
            "digits are not sent back"
        );
    }
    let listed = world.get("/v1/charges").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_challenge_ends_as_the_payer_chooses() {
    for (answer, paid) in [("passed", true), ("failed", false)] {
        let world = World::provider().await;
        let (_, url) = opened(&world).await;
        let pressed = world.press(&url, &card("3333")).await;
        let going = world.page(pressed.header("location")).await;
        let challenge = onward(&going.text).expect("a payer who pressed Pay is led on");
        assert!(challenge.starts_with(&format!("{ORIGIN}/challenge/")));
        assert!(
            onward(&world.page(&url).await.text).is_none(),
            "who comes back by hand is not sent away again"
        );
        let question = world.page(&challenge).await;
        for words in [
            "3-D Secure",
            "3,000.00\u{a0}EUR",
            "Visa ending in 3220",
            "Complete authentication",
        ] {
            assert!(question.text.contains(words), "no {words} in {}", question.text);
        }
        let back = world.press(&challenge, &[("result", answer)]).await;
        assert_eq!(back.status, 303);
        let back = world.page(back.header("location")).await;
        assert_eq!(back.status, 303);
        let page = world.page(back.header("location")).await;
        assert_eq!(onward(&page.text).is_some(), paid, "{}", page.text);
        assert_eq!(page.text.contains("Your bank did not confirm the payment"), !paid);
    }
}

#[tokio::test]
async fn a_payer_may_choose_another_way_while_a_challenge_waits() {
    let world = World::provider().await;
    let (_, url) = opened(&world).await;
    world.press(&url, &card("3333")).await;
    let page = world.page(&url).await;
    assert!(page.text.contains("Pay another way"), "{}", page.text);
    assert_eq!(world.press(&format!("{url}/leave"), &[]).await.status, 303);
    assert!(world.page(&url).await.text.contains("Card number"));
    world.press(&url, &card("1111")).await;
    assert!(onward(&world.page(&url).await.text).is_some());
}

#[tokio::test]
async fn an_intents_payer_is_challenged_and_led_to_the_address_of_the_merchant() {
    let world = World::provider().await;
    let form = [
        ("amount", "3000"),
        ("currency", "eur"),
        ("confirm", "true"),
        ("payment_method", "pm_card_threeDSecure2Required"),
        ("return_url", "https://shop.test/back?cart=1"),
    ];
    let intent = world.post("/v1/payment_intents", &form).await;
    let action = &intent["next_action"];
    assert_eq!(
        (&intent["status"], &action["type"]),
        (&"requires_action".into(), &"redirect_to_url".into())
    );
    assert_eq!(action["redirect_to_url"]["return_url"], "https://shop.test/back?cart=1");
    let challenge = action["redirect_to_url"]["url"].as_str().unwrap();
    let back = world.press(challenge, &[("result", "passed")]).await;
    let page = world.page(back.header("location")).await;
    let shop = onward(&page.text).expect("the payer is led on");
    let id = intent["id"].as_str().unwrap();
    assert!(
        shop.starts_with(&format!(
            "https://shop.test/back?cart=1&payment_intent={id}&payment_intent_client_secret={id}_secret_"
        )),
        "{shop}"
    );
    assert!(shop.ends_with("&redirect_status=succeeded"), "{shop}");
    assert_eq!(
        world.get(&format!("/v1/payment_intents/{id}")).await["status"],
        "succeeded"
    );

    let form = [&form[..4], &[]].concat();
    let nowhere = world.post("/v1/payment_intents", &form).await;
    let challenge = nowhere["next_action"]["redirect_to_url"]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let back = world.press(&challenge, &[("result", "failed")]).await;
    let page = world.page(back.header("location")).await;
    assert!(
        onward(&page.text).is_none() && page.text.contains("You can close this page"),
        "{}",
        page.text
    );
    let failed = world
        .get(&format!("/v1/payment_intents/{}", nowhere["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        failed["last_payment_error"]["code"],
        "payment_intent_authentication_failure"
    );
}

#[tokio::test]
async fn a_merchants_own_page_sends_the_payer_to_the_provider_and_takes_no_card() {
    let world = World::merchant().await;
    let (id, url) = opened(&world).await;
    let page = world.page(&url).await;
    assert!(
        page.text.contains("Pay 3,000.00\u{a0}EUR") && !page.text.contains("Card number"),
        "{}",
        page.text
    );
    let pressed = world.press(&url, &[]).await;
    let going = world.page(pressed.header("location")).await;
    assert_eq!(onward(&going.text).as_deref(), Some("http://provider.test/pay/1"));
    let token = url.rsplit('/').next().unwrap();
    let left = world.page(&format!("/c/back/{token}?left=1")).await;
    assert_eq!(onward(&left.text).as_deref(), Some("https://shop.test/cart"));
    world.press(&url, &[]).await;
    let back = world.page(&format!("/c/back/{token}?result=passed")).await;
    let done = world.page(back.header("location")).await;
    assert!(
        onward(&done.text).is_some_and(|shop| shop.starts_with("https://shop.test/thanks")),
        "{}",
        done.text
    );
    assert_eq!(
        world.get(&format!("/v1/checkout/sessions/{id}")).await["payment_status"],
        "paid"
    );
    assert_eq!(
        world.page(&format!("/challenge/{token}")).await.status,
        404,
        "only the pretend provider has a bank"
    );
}

#[tokio::test]
async fn an_amount_that_is_long_is_written_smaller() {
    let world = World::merchant().await;
    for (currency, unit, long) in [("eur", "49999999", false), ("idr", "99999999999", true)] {
        let form: Vec<_> = CHECKOUT
            .iter()
            .map(|(name, value)| match name.rsplit('[').next() {
                Some("currency]") => (*name, currency),
                Some("unit_amount]") => (*name, unit),
                _ => (*name, *value),
            })
            .collect();
        let session = world.post("/v1/checkout/sessions", &form).await;
        let page = world.page(session["url"].as_str().unwrap()).await;
        assert_eq!(page.text.contains("amount money long"), long, "{}", page.text);
        assert_eq!(page.text.contains("receipt long"), long, "{}", page.text);
    }
}

#[tokio::test]
async fn a_page_opens_for_nobody_who_guesses() {
    let world = World::provider().await;
    let (_, url) = opened(&world).await;
    let (stem, last) = url.split_at(url.len() - 1);
    let other = format!("{stem}{}", if last == "0" { "1" } else { "0" });
    for guess in [
        other.as_str(),
        "/c/pay/x",
        "/c/back/x",
        "/challenge/x",
        &url[..url.len() - 32],
    ] {
        assert_eq!(world.page(guess).await.status, 404, "{guess}");
    }
    let plain = world
        .post("/v1/payment_intents", &[("amount", "100"), ("currency", "eur")])
        .await;
    assert!(plain["client_secret"].as_str().unwrap().len() > 60);
}

#[tokio::test]
async fn a_form_of_another_page_pays_nothing() {
    let world = World::provider().await;
    let (_, url) = opened(&world).await;
    let request = http::Request::post(url.strip_prefix(ORIGIN).unwrap())
        .header("host", "door.test")
        .header("origin", "http://evil.test");
    assert_eq!(world.send(request, &card("1111")).await.status, 403);
    assert_eq!(world.get("/v1/charges").await["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_page_that_is_over_says_that_nothing_was_charged() {
    let world = World::provider().await;
    let (id, url) = opened(&world).await;
    world.post(&format!("/v1/checkout/sessions/{id}/expire"), &[]).await;
    let page = world.page(&url).await;
    assert!(
        page.text.contains("Nothing was charged") && page.text.contains("https://shop.test/cart"),
        "{}",
        page.text
    );
    assert_eq!(world.press(&url, &card("1111")).await.status, 303);
    assert_eq!(world.get("/v1/charges").await["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn what_the_policy_stopped_is_counted() {
    let world = World::provider().await;
    let report = http::Request::post("/c/reports").header("content-type", "application/csp-report");
    assert_eq!(
        world.send(report, &[("x", "y")]).await.status,
        400,
        "a form is no report"
    );
    let count = |said: Said| said.json()["violations"].clone();
    assert_eq!(count(world.page("/c/reports").await), 0);
    let page = world.page(&opened(&world).await.1).await;
    let style = page
        .text
        .split("/c/assets/")
        .nth(2)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let asset = world.page(&format!("/c/assets/{style}")).await;
    assert!(
        asset.status == 200 && asset.header("cache-control").contains("immutable"),
        "{style}"
    );
    assert_eq!(world.page("/c/assets/x.css").await.status, 404);
}

/// Whether the page names a style sheet that this door has, and its policy lets it in.
pub(crate) async fn is_dressed(world: &World, page: &Said) -> bool {
    let sheet = page.text.split("rel=\"stylesheet\" href=\"").nth(1);
    let sheet = sheet.and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let styles = page.header("content-security-policy").contains("style-src 'self'");
    styles && world.page(sheet).await.header("content-type").starts_with("text/css")
}

#[tokio::test]
async fn whoever_mistypes_the_address_of_a_page_reads_a_page() {
    let world = World::provider().await;
    for path in [
        "/c/pay/%ff",
        "/c/%ff",
        "/c/nothing",
        "/c/pay/guess/and/more",
        "/challenge/%ff",
    ] {
        let page = world.page(&format!("{ORIGIN}{path}")).await;
        assert_eq!(page.status, 404, "{path}");
        assert!(page.text.contains("This page does not exist"), "{path}: {}", page.text);
        assert!(is_dressed(&world, &page).await, "{path}: {}", page.text);
        // It may be the page of somebody who has paid.
        for wrong in ["Nothing was charged", "start again"] {
            assert!(!page.text.contains(wrong), "{path}: {}", page.text);
        }
    }
}
