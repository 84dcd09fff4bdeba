//! Everything the shop remembers, in memory: carts by visitor, orders by their page's address.
//!
//! It is the fold of the journal's lines. Each line carries whole records and the last one counts, so that applying a line twice
//! changes nothing. Both lists are bounded; what was touched longest ago is forgotten first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cart::Cart;
use crate::purchase::Purchase;
use crate::session::Owner;

/// Carts that are remembered; an abandoned one is about 200 bytes.
pub(crate) const CARTS: usize = 2_000;
/// Orders that are remembered; one is 2 to 12 KB with its webhooks. Florin remembers all of them.
pub(crate) const PURCHASES: usize = 2_000;

/// One line of the journal: what became new together.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Change {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cart: Option<Cart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purchase: Option<Purchase>,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.cart.is_none() && self.purchase.is_none()
    }
}

impl From<Cart> for Change {
    fn from(cart: Cart) -> Self {
        Self {
            cart: Some(cart),
            purchase: None,
        }
    }
}

impl From<Purchase> for Change {
    fn from(purchase: Purchase) -> Self {
        Self {
            cart: None,
            purchase: Some(purchase),
        }
    }
}

/// The shop's memory.
#[derive(Default)]
pub(crate) struct Shelf {
    carts: BTreeMap<Owner, Cart>,
    purchases: BTreeMap<String, Purchase>,
    by_reference: BTreeMap<String, String>,
    /// Who was touched when, so that the oldest is found without looking at all.
    cart_ages: BTreeMap<(Timestamp, Owner), ()>,
    purchase_ages: BTreeMap<(Timestamp, String), ()>,
}

impl Shelf {
    pub(crate) fn apply(&mut self, change: Change) {
        if let Some(cart) = change.cart {
            if let Some(old) = self.carts.get(&cart.owner) {
                self.cart_ages.remove(&(old.changed_at, old.owner.clone()));
            }
            self.cart_ages.insert((cart.changed_at, cart.owner.clone()), ());
            self.carts.insert(cart.owner.clone(), cart);
        }
        if let Some(purchase) = change.purchase {
            self.purchase_ages
                .insert((purchase.created_at, purchase.token.clone()), ());
            self.by_reference
                .insert(purchase.reference.clone(), purchase.token.clone());
            self.purchases.insert(purchase.token.clone(), purchase);
        }
        while self.carts.len() > CARTS {
            let Some(((_, owner), ())) = self.cart_ages.pop_first() else {
                break;
            };
            self.carts.remove(&owner);
        }
        while self.purchases.len() > PURCHASES {
            let Some(((_, token), ())) = self.purchase_ages.pop_first() else {
                break;
            };
            if let Some(gone) = self.purchases.remove(&token) {
                self.by_reference.remove(&gone.reference);
            }
        }
    }

    pub(crate) fn cart(&self, owner: &Owner) -> Option<&Cart> {
        self.carts.get(owner)
    }

    /// The visitor's cart, or a new one that is not remembered yet.
    pub(crate) fn cart_or_new(&self, owner: &Owner, now: Timestamp) -> Cart {
        self.cart(owner)
            .cloned()
            .unwrap_or_else(|| Cart::empty(owner.clone(), now))
    }

    pub(crate) fn purchase(&self, token: &str) -> Option<&Purchase> {
        self.purchases.get(token)
    }

    pub(crate) fn by_reference(&self, reference: &str) -> Option<&Purchase> {
        self.purchases.get(self.by_reference.get(reference)?)
    }

    /// A visitor's orders, newest first.
    pub(crate) fn purchases_of(&self, owner: &Owner) -> Vec<&Purchase> {
        let newest_first = self
            .purchase_ages
            .keys()
            .rev()
            .filter_map(|(_, token)| self.purchases.get(token));
        newest_first.filter(|purchase| purchase.owner == *owner).collect()
    }

    /// Every record once: what a rewritten journal holds.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Change> + '_ {
        let carts = self.carts.values().cloned().map(Change::from);
        carts.chain(self.purchases.values().cloned().map(Change::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::tests::purchase;

    #[test]
    fn the_last_line_about_a_record_counts() {
        let mut shelf = Shelf::default();
        let mut one = purchase("G-1");
        shelf.apply(one.clone().into());
        one.order = Some("ord_1".into());
        shelf.apply(one.clone().into());
        shelf.apply(one.clone().into());
        assert_eq!(shelf.by_reference("G-1"), Some(&one));
        assert_eq!(shelf.purchases_of(&one.owner), [&one]);
        assert_eq!(shelf.snapshot().count(), 1);
    }

    #[test]
    fn a_full_memory_forgets_what_was_touched_longest_ago() {
        let mut shelf = Shelf::default();
        for n in 0..CARTS + 2 {
            let at = Timestamp::from_second(n.try_into().unwrap()).unwrap();
            shelf.apply(Cart::empty(Owner::named(&n.to_string()), at).into());
            shelf.apply(
                Purchase {
                    created_at: at,
                    ..purchase(&n.to_string())
                }
                .into(),
            );
        }
        assert_eq!(shelf.snapshot().count(), CARTS + PURCHASES);
        assert!(shelf.cart(&Owner::named("1")).is_none());
        assert!(shelf.cart(&Owner::named("2")).is_some());
        assert!(shelf.by_reference("1").is_none());
        assert!(shelf.by_reference("2").is_some());
    }
}
