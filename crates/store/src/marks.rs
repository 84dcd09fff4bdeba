//! What an order has, as far as lists ask for it. Once there, it stays: an order that was refunded once is one with refunds for ever.

/// A set of things that an order can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks(u8);

impl Marks {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// An attempt that its bank decided.
    pub const CHARGED: Self = Self(1);
    /// Money that was taken.
    pub const PAID: Self = Self(2);
    /// A refund, whatever became of it.
    pub const REFUNDED: Self = Self(4);
    /// A dispute, whatever became of it.
    pub const DISPUTED: Self = Self(8);
    /// Lines that say what is bought.
    pub const LINES: Self = Self(16);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These, if so.
    #[must_use]
    pub const fn when(self, so: bool) -> Self {
        if so { self } else { Self::NONE }
    }

    /// Whether all of those are among these.
    pub const fn holds(self, all: Self) -> bool {
        self.0 & all.0 == all.0
    }

    /// As databases keep them.
    pub(crate) const fn bits(self) -> i16 {
        self.0 as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_hold_what_was_added() {
        let both = Marks::PAID.and(Marks::REFUNDED);
        assert!(both.holds(Marks::PAID) && both.holds(both) && both.holds(Marks::NONE));
        assert!(!both.holds(Marks::DISPUTED) && !Marks::PAID.holds(both));
        assert_eq!(
            (Marks::LINES.when(true), Marks::LINES.when(false)),
            (Marks::LINES, Marks::NONE)
        );
    }
}
