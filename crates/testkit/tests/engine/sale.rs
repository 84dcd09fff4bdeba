//! A sale, commit by commit.

use florin_core::order::CaptureAt;
use florin_services::ask::{State, What};

use crate::world::{PLACES, World, answered, eur, is, word};

#[tokio::test]
async fn a_direct_sale_is_two_commits_and_its_money_is_at_the_provider_once() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let sold = answered(engine.ask(world.sale("A-1")).await);
        assert_eq!(word(&sold.order), "captured", "{place:?}");
        assert_eq!((sold.state, sold.replayed), (State::Over, false));
        let order = sold.order.order.id;
        assert_eq!(world.commits(order).await, 2, "{place:?}");
        let stands = world.server.provider.lock().unwrap().stands(order);
        assert_eq!((stands[&1].taken, stands[&1].back), (1099, 0));
        assert_eq!(world.server.seen("POST /v1/payment_intents").len(), 1);

        let again = answered(engine.ask(world.sale("A-1")).await);
        assert_eq!((again.state, again.replayed), (State::Over, true));
        assert_eq!(again.order.order, sold.order.order, "the same answer");
        assert_eq!(world.server.seen("POST").len(), 1);
    }
}

#[tokio::test]
async fn a_page_is_known_before_the_payer_is_sent_there_and_paid_in_three_commits() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let made = answered(
            engine
                .ask(world.create("A-1", 2500, CaptureAt::Once, Some("hosted")))
                .await,
        );
        assert_eq!(word(&made.order), "requires_action");
        let order = made.order.order.id;
        assert_eq!(world.commits(order).await, 2);
        let page = world.server.provider.lock().unwrap().open_pages().pop().unwrap();
        assert_eq!(
            made.order.memos[&1]["session"], page,
            "what the payer needs was durable first"
        );

        assert!(
            world
                .server
                .provider
                .lock()
                .unwrap()
                .pay(&page, "card_visa", world.clock_now())
        );
        let events = world.events();
        assert_eq!(world.deliver(&engine, &events).await, events.len());
        world.until(&engine, order, is("captured")).await;
        assert_eq!(world.commits(order).await, 3, "{place:?}");

        let again = answered(
            engine
                .ask(world.create("A-1", 2500, CaptureAt::Once, Some("hosted")))
                .await,
        );
        assert_eq!(
            word(&again.order),
            "requires_action",
            "the call was answered when it needed the payer"
        );
        assert_eq!(again.order.order, made.order.order);
    }
}

#[tokio::test]
async fn a_payer_who_comes_back_is_looked_up_and_not_believed() {
    let world = World::new(PLACES[0]).await;
    let engine = world.engine(1).await;
    let made = answered(
        engine
            .ask(world.create("A-1", 2500, CaptureAt::Once, Some("hosted")))
            .await,
    );
    let order = made.order.order.id;
    let back = || {
        world.ask(
            "back",
            What::Back {
                order,
                params: [("status".to_owned(), "paid".to_owned())].into(),
            },
        )
    };
    let mut unpaid = back();
    unpaid.key = None;
    assert_eq!(word(&answered(engine.ask(unpaid).await).order), "requires_action");
    let page = world.server.provider.lock().unwrap().open_pages().pop().unwrap();
    world
        .server
        .provider
        .lock()
        .unwrap()
        .pay(&page, "card_visa", world.clock_now());
    let mut paid = back();
    paid.key = None;
    assert_eq!(word(&answered(engine.ask(paid).await).order), "captured");
}

#[tokio::test]
async fn what_is_held_is_captured_in_part_and_refunded_in_part() {
    for place in PLACES {
        let world = World::new(place).await;
        let engine = world.engine(1).await;
        let made = answered(
            engine
                .ask(world.create("A-1", 5000, CaptureAt::Later, Some("card_visa")))
                .await,
        );
        assert_eq!(word(&made.order), "authorized");
        let order = made.order.order.id;
        let capture = What::Capture {
            order,
            amount: Some(eur(3000)),
            last: true,
        };
        let captured = answered(engine.ask(world.ask("capture", capture)).await);
        assert_eq!(word(&captured.order), "captured");
        for (number, amount) in [(1, 1000), (2, 500)] {
            let refund = What::Refund {
                order,
                amount: Some(eur(amount)),
            };
            let refunded = answered(engine.ask(world.ask(&format!("refund {number}"), refund)).await);
            assert_eq!(word(&refunded.order), "partially_refunded");
        }
        let rest = What::Refund { order, amount: None };
        assert_eq!(
            word(&answered(engine.ask(world.ask("rest", rest)).await).order),
            "refunded"
        );
        let stands = world.server.provider.lock().unwrap().stands(order)[&1];
        assert_eq!((stands.taken, stands.back, stands.held), (3000, 3000, 0), "{place:?}");
    }
}

#[tokio::test]
async fn what_is_held_is_given_back() {
    let world = World::new(PLACES[0]).await;
    let engine = world.engine(1).await;
    let made = answered(
        engine
            .ask(world.create("A-1", 5000, CaptureAt::Later, Some("card_visa")))
            .await,
    );
    let order = made.order.order.id;
    let voided = answered(engine.ask(world.ask("void", What::Void { order })).await);
    assert_eq!(word(&voided.order), "canceled");
    let stands = world.server.provider.lock().unwrap().stands(order)[&1];
    assert_eq!((stands.held, stands.taken), (0, 0));
}

#[tokio::test]
async fn a_decline_is_an_answer_and_another_card_pays() {
    let world = World::new(PLACES[0]).await;
    let engine = world.engine(1).await;
    let made = answered(
        engine
            .ask(world.create("A-1", 5000, CaptureAt::Once, Some("card_visa_chargeDeclined")))
            .await,
    );
    assert_eq!(word(&made.order), "created");
    let order = made.order.order.id;
    let confirm = What::Confirm {
        order,
        pay: world.pay("card_visa"),
    };
    let paid = answered(engine.ask(world.ask("again", confirm)).await);
    assert_eq!(word(&paid.order), "captured");
    let replayed = answered(
        engine
            .ask(world.create("A-1", 5000, CaptureAt::Once, Some("card_visa_chargeDeclined")))
            .await,
    );
    assert_eq!(
        (word(&replayed.order), replayed.replayed),
        ("created", true),
        "as it was answered then"
    );
}
