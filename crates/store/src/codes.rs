//! How small words and big sums are written in both databases.

use florin_core::money::Currency;

use crate::{DeliveryStatus, Fault, Mode};

impl Mode {
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Test => 0,
            Self::Live => 1,
        }
    }

    pub(crate) fn from_code(code: i16) -> Result<Self, Fault> {
        [Self::Test, Self::Live]
            .into_iter()
            .find(|mode| mode.code() == code)
            .ok_or_else(|| Fault::Refused(format!("{code} in the database is no mode")))
    }
}

impl DeliveryStatus {
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Succeeded => 1,
            Self::Failed => 2,
        }
    }

    pub(crate) fn from_code(code: i16) -> Result<Self, Fault> {
        [Self::Pending, Self::Succeeded, Self::Failed]
            .into_iter()
            .find(|status| status.code() == code)
            .ok_or_else(|| Fault::Refused(format!("{code} in the database is no delivery status")))
    }
}

/// A sum of a balance: decimal text.
pub(crate) fn sum(text: &str) -> Result<i128, Fault> {
    text.parse()
        .map_err(|_| Fault::Refused(format!("`{text}` in the database is no sum of 128 bits")))
}

/// Adds to a balance.
pub(crate) fn plus(sum: i128, change: i128) -> Result<i128, Fault> {
    sum.checked_add(change)
        .ok_or_else(|| Fault::Refused(format!("{sum} and {change} exceed 128 bits")))
}

/// A currency's three letters.
pub(crate) fn currency(code: &str) -> Result<Currency, Fault> {
    code.parse()
        .map_err(|error| Fault::Refused(format!("a balance in the database: {error}")))
}

/// Whether a fold may write its balances: one reader keeps the books, so that the place up to which they stand is one.
pub(crate) fn may_fold(fold: &crate::Fold) -> Result<(), Fault> {
    if !fold.balances.is_empty() && fold.reader != crate::BOOKS {
        return Err(Fault::Refused(format!(
            "reader `{}` folds balances; only `{}` may",
            fold.reader,
            crate::BOOKS
        )));
    }
    Ok(())
}
