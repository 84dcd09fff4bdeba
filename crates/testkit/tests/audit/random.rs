//! Random operations over the real engine, with an issuer in trouble: the model is the issuer's own book and the laws.

use std::sync::Arc;

use florin_core::order::CaptureAt;
use florin_services::ask::What;

use crate::faults::full;
use crate::world::{Place, World, eur};

/// Orders of one walk, and operations on each; a night does more.
const ORDERS: u64 = 24;
const ORDERS_FULL: u64 = 1_000;
const OPERATIONS: u64 = 6;

/// Dice that say their seed: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_52_random_operations_leave_books_that_the_issuer_agrees_with() {
    let seed = std::env::var("FLORIN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(52);
    println!("FLORIN_SEED={seed}");
    for place in [Place::Memory, Place::Sqlite] {
        let world = Arc::new(World::new(place).await);
        world.trouble(50, seed);
        let engine = world.engine().await;
        let orders = if full() { ORDERS_FULL } else { ORDERS };
        let walks: Vec<_> = (0..orders)
            .map(|number| {
                let (world, engine) = (Arc::clone(&world), Arc::clone(&engine));
                tokio::spawn(async move {
                    let mut dice = Dice((seed + 1) * 7_919 + number);
                    let capture = [CaptureAt::Once, CaptureAt::Later][dice.roll(2) as usize];
                    let cards = [
                        "card_visa",
                        "card_visa",
                        "card_visa",
                        "card_visa_chargeDeclined",
                        "card_visa_chargeDeclinedInsufficientFunds",
                    ];
                    let card = cards[dice.roll(5) as usize];
                    let made = engine
                        .ask(world.create(&format!("A-{number}"), 1_000, capture, Some(card)))
                        .await;
                    let Ok(made) = made else { return };
                    let order = made.order.order.id;
                    for operation in 0..OPERATIONS {
                        let amount = Some(eur(1 + dice.roll(1_100) as i64));
                        let what = match dice.roll(7) {
                            0 | 1 => What::Capture {
                                order,
                                amount,
                                last: true,
                            },
                            2 | 3 => What::Refund { order, amount },
                            4 => What::Void { order },
                            5 => What::Cancel { order },
                            _ => What::Confirm {
                                order,
                                pay: world.pay("card_visa"),
                            },
                        };
                        // Refusals are answers; some calls come twice.
                        let ask = world.ask(&format!("{number} {operation}"), what);
                        let _ = engine.ask(ask.clone()).await;
                        if dice.roll(4) == 0 {
                            let _ = engine.ask(ask).await;
                        }
                    }
                })
            })
            .collect();
        for walk in walks {
            walk.await.unwrap();
        }
        world.faults.clear();
        world.rest().await;
        engine.halt().await;
        world.fold().await;
        let compared = world.is_clean().await;
        assert_eq!(compared.moving, 0, "{place:?}, FLORIN_SEED={seed}");
        assert!(
            compared.attempts >= orders,
            "{place:?}, FLORIN_SEED={seed}: {compared:?}"
        );
    }
}
