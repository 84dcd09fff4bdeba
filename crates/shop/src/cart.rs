//! What a visitor wants to buy, kept by the shop; the browser holds only the session.
//!
//! A cart has a number of its own and counts its rounds: the same goods in the same round are the same order, however often the
//! button is pressed. A new round starts when an order of it is paid or over.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::{self, Product};
use crate::money::Money;
use crate::session::{Owner, base32, unguessable};

/// Of one product in one cart. More is a wholesale order.
pub(crate) const QUANTITY: u32 = 20;

/// One visitor's cart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Cart {
    pub(crate) owner: Owner,
    /// Random; part of what names an order.
    pub(crate) id: String,
    pub(crate) round: u32,
    /// Product ▸ quantity, never 0.
    pub(crate) goods: BTreeMap<String, u32>,
    pub(crate) changed_at: Timestamp,
}

/// A line of a cart or of an order: what, how many, at which price each.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// The product; empty for delivery.
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) quantity: u32,
    pub(crate) unit_amount: i64,
}

impl Line {
    pub(crate) fn amount(&self) -> i64 {
        i64::from(self.quantity) * self.unit_amount
    }

    /// What the line costs.
    pub(crate) fn sum(&self, currency: &str) -> Money {
        Money::new(self.amount(), currency)
    }

    /// What one of it costs.
    pub(crate) fn each(&self, currency: &str) -> Money {
        Money::new(self.unit_amount, currency)
    }

    pub(crate) fn product(&self) -> Option<&'static Product> {
        catalogue::product(&self.slug)
    }
}

impl Cart {
    pub(crate) fn empty(owner: Owner, now: Timestamp) -> Self {
        Self {
            owner,
            id: unguessable(),
            round: 0,
            goods: BTreeMap::new(),
            changed_at: now,
        }
    }

    pub(crate) fn add(&mut self, product: &Product, quantity: u32) {
        let now = self.goods.get(product.slug).copied().unwrap_or(0);
        self.set(product, now.saturating_add(quantity));
    }

    /// Sets a quantity, at most [`QUANTITY`]; 0 takes the product out.
    pub(crate) fn set(&mut self, product: &Product, quantity: u32) {
        if quantity == 0 {
            self.goods.remove(product.slug);
        } else {
            self.goods.insert(product.slug.to_owned(), quantity.min(QUANTITY));
        }
    }

    /// Takes out what an order has paid for and starts the next round.
    pub(crate) fn paid(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some(product) = line.product() {
                let left = self
                    .goods
                    .get(product.slug)
                    .copied()
                    .unwrap_or(0)
                    .saturating_sub(line.quantity);
                self.set(product, left);
            }
        }
        self.round += 1;
    }

    pub(crate) fn pieces(&self) -> u32 {
        self.goods.values().sum()
    }

    /// The goods as they are priced today, then delivery if it costs something.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<_> = catalogue::PRODUCTS
            .iter()
            .filter_map(|product| {
                let quantity = *self.goods.get(product.slug)?;
                let (slug, name) = (product.slug.to_owned(), product.name.to_owned());
                Some(Line {
                    slug,
                    name,
                    quantity,
                    unit_amount: product.price,
                })
            })
            .collect();
        let goods = total(&lines);
        if goods > 0 && goods < catalogue::FREE_DELIVERY_FROM {
            let (slug, name) = (String::new(), "Delivery".to_owned());
            lines.push(Line {
                slug,
                name,
                quantity: 1,
                unit_amount: catalogue::DELIVERY,
            });
        }
        lines
    }

    /// Names an order of exactly these goods in this round, e.g. `G-K7Q2-M3XZ-PDA4`: both the order's reference and the
    /// root of its idempotency keys.
    pub(crate) fn reference(&self) -> String {
        let mut text = format!("{}\n{}\n", self.id, self.round);
        for line in self.lines() {
            text.push_str(&format!("{} {} {}\n", line.slug, line.quantity, line.unit_amount));
        }
        let name = base32(digest(&SHA256, text.as_bytes()).as_ref(), 12).to_ascii_uppercase();
        format!("G-{}-{}-{}", &name[..4], &name[4..8], &name[8..])
    }
}

pub(crate) fn total(lines: &[Line]) -> i64 {
    lines.iter().map(Line::amount).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cart(goods: &[(&str, u32)]) -> Cart {
        let mut cart = Cart::empty(Owner::named("a"), Timestamp::UNIX_EPOCH);
        for (slug, quantity) in goods {
            cart.add(catalogue::product(slug).unwrap(), *quantity);
        }
        cart
    }

    #[test]
    fn the_total_is_goods_and_delivery_until_delivery_is_free() {
        assert_eq!(total(&cart(&[]).lines()), 0);
        assert_eq!(total(&cart(&[("enamel-mug", 2)]).lines()), 2 * 1650 + 490);
        assert_eq!(total(&cart(&[("stacked-bowls", 1)]).lines()), 5800 + 490);
        assert_eq!(total(&cart(&[("wool-blanket", 1)]).lines()), 8900);
    }

    #[test]
    fn a_quantity_has_a_bound_and_zero_takes_the_product_out() {
        let mut cart = cart(&[("enamel-mug", 3), ("enamel-mug", u32::MAX)]);
        assert_eq!(cart.pieces(), QUANTITY);
        cart.set(catalogue::product("enamel-mug").unwrap(), 0);
        assert_eq!(cart.lines(), []);
    }

    #[test]
    fn the_same_goods_name_the_same_order_whatever_happened_between() {
        let mut cart = cart(&[("enamel-mug", 2), ("moka-pot", 1)]);
        let first = cart.reference();
        cart.add(catalogue::product("olive-oil").unwrap(), 1);
        let second = cart.reference();
        assert_ne!(first, second);
        cart.set(catalogue::product("olive-oil").unwrap(), 0);
        assert_eq!(cart.reference(), first);
    }

    #[test]
    fn another_cart_and_the_next_round_name_another_order() {
        let first = cart(&[("enamel-mug", 1)]);
        let mut second = first.clone();
        second.id = unguessable();
        assert_ne!(first.reference(), second.reference());
        second = first.clone();
        second.round += 1;
        assert_ne!(first.reference(), second.reference());
    }

    #[test]
    fn paying_takes_out_what_was_bought_and_leaves_what_was_added_since() {
        let mut cart = cart(&[("enamel-mug", 2)]);
        let bought = cart.lines();
        cart.add(catalogue::product("enamel-mug").unwrap(), 1);
        cart.add(catalogue::product("olive-oil").unwrap(), 1);
        cart.paid(&bought);
        assert_eq!(
            cart.goods,
            BTreeMap::from([("enamel-mug".into(), 1), ("olive-oil".into(), 1)])
        );
        assert_eq!(cart.round, 1);
    }
}
