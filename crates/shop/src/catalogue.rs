//! What the shop sells: a table. Prices include tax, in minor units of [`CURRENCY`].

use crate::money::Money;

/// An order has one currency, so the shop has one.
pub(crate) const CURRENCY: &str = "EUR";
/// Delivery of one order, in minor units.
pub(crate) const DELIVERY: i64 = 490;
/// From this value of goods on, delivery is free.
pub(crate) const FREE_DELIVERY_FROM: i64 = 6000;

/// One thing on the shelf.
pub(crate) struct Product {
    /// Its name in addresses and records; never changes.
    pub(crate) slug: &'static str,
    pub(crate) name: &'static str,
    /// One line for the catalogue.
    pub(crate) line: &'static str,
    /// The paragraph of its own page.
    pub(crate) story: &'static str,
    /// What it is made of, how large it is.
    pub(crate) facts: &'static [(&'static str, &'static str)],
    pub(crate) price: i64,
    /// A drawing without text or size, coloured by the style sheet.
    pub(crate) picture: &'static str,
}

impl Product {
    pub(crate) fn money(&self) -> Money {
        Money::new(self.price, CURRENCY)
    }
}

/// The whole catalogue, in the order of the page.
pub(crate) const PRODUCTS: &[Product] = &[
    Product {
        slug: "enamel-mug",
        name: "Enamel mug",
        line: "For the first coffee and the last tea.",
        story: "Steel, glazed twice and fired at 820 degrees. It will chip if you drop it on stone, and be the better for it.",
        facts: &[
            ("Holds", "350 ml"),
            ("Made of", "Enamelled steel"),
            ("Care", "Dishwasher; no microwave"),
        ],
        price: 1650,
        picture: include_str!("../assets/pictures/enamel-mug.svg"),
    },
    Product {
        slug: "linen-notebook",
        name: "Linen notebook",
        line: "144 pages that lie flat.",
        story: "Thread-sewn in sixteens, so that it opens flat at every page, and bound in linen that takes on the colour of your bag.",
        facts: &[
            ("Size", "A5, 144 pages"),
            ("Paper", "90 g, dotted"),
            ("Cover", "Washed linen"),
        ],
        price: 1490,
        picture: include_str!("../assets/pictures/linen-notebook.svg"),
    },
    Product {
        slug: "table-brush",
        name: "Table brush",
        line: "Crumbs have nowhere to hide.",
        story: "A short brush of pear wood and goat hair that stands on its own and lives beside the bread board.",
        facts: &[
            ("Length", "17 cm"),
            ("Handle", "Oiled pear wood"),
            ("Bristles", "Goat hair"),
        ],
        price: 2200,
        picture: include_str!("../assets/pictures/table-brush.svg"),
    },
    Product {
        slug: "moka-pot",
        name: "Moka pot",
        line: "Three cups, four minutes.",
        story: "Eight sides, three parts, no electronics. It announces itself when the coffee is ready.",
        facts: &[
            ("Makes", "3 cups, 150 ml"),
            ("Made of", "Cast aluminium"),
            ("Stove", "Gas and electric"),
        ],
        price: 3400,
        picture: include_str!("../assets/pictures/moka-pot.svg"),
    },
    Product {
        slug: "herb-pot",
        name: "Herb pot",
        line: "Thyme for the window sill.",
        story: "Terracotta that breathes, with a saucer that is large enough. Comes with seeds of thyme, which forgive a great deal.",
        facts: &[
            ("Diameter", "14 cm"),
            ("Made of", "Terracotta"),
            ("With", "Saucer and thyme seeds"),
        ],
        price: 1850,
        picture: include_str!("../assets/pictures/herb-pot.svg"),
    },
    Product {
        slug: "olive-oil",
        name: "Olive oil",
        line: "This year's harvest, cold-pressed.",
        story: "Picked green in November above Fiesole and pressed the same evening. Bitter first, then pepper.",
        facts: &[
            ("Holds", "500 ml"),
            ("Harvest", "November, by hand"),
            ("Keep", "Dark and cool"),
        ],
        price: 1990,
        picture: include_str!("../assets/pictures/olive-oil.svg"),
    },
    Product {
        slug: "stacked-bowls",
        name: "Three bowls",
        line: "Soup, salad, everything else.",
        story: "Thrown by hand in three sizes that stack. No two are the same, and no two need to be.",
        facts: &[
            ("Sizes", "12, 15 and 18 cm"),
            ("Made of", "Stoneware"),
            ("Care", "Dishwasher, microwave"),
        ],
        price: 5800,
        picture: include_str!("../assets/pictures/stacked-bowls.svg"),
    },
    Product {
        slug: "wool-blanket",
        name: "Wool blanket",
        line: "One more chapter.",
        story: "Woven in Prato from recycled wool, as they have done there since the fourteenth century. Warm without weight.",
        facts: &[
            ("Size", "130 × 180 cm"),
            ("Made of", "Recycled wool"),
            ("Care", "Air it; wash by hand"),
        ],
        price: 8900,
        picture: include_str!("../assets/pictures/wool-blanket.svg"),
    },
];

pub(crate) fn product(slug: &str) -> Option<&'static Product> {
    PRODUCTS.iter().find(|product| product.slug == slug)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_product_has_a_name_of_its_own_a_price_and_a_picture() {
        let slugs: BTreeSet<_> = PRODUCTS.iter().map(|product| product.slug).collect();
        assert_eq!(slugs.len(), PRODUCTS.len());
        for product in PRODUCTS {
            assert!(product.price > 0, "{}", product.slug);
            assert!(
                product.slug.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{}",
                product.slug
            );
            assert!(product.picture.starts_with("<svg "), "{}", product.slug);
            // Pictures stand in the page: no style of their own, which the policy would block, and no script.
            for banned in ["style", "script", "href", "<text"] {
                assert!(!product.picture.contains(banned), "{} has `{banned}`", product.slug);
            }
        }
    }
}
