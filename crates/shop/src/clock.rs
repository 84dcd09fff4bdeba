//! The one place where the shop reads the clock; everything else takes `now` as an argument.

use jiff::Timestamp;

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
