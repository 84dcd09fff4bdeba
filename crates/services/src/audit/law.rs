//! The laws that an audit holds a database to: each has a name, a sentence, and what to do about a breach.

use serde::Serialize;

/// A law of `design.md` or of `order-machine.md` 8, in the form in which stored rows can keep or break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Law {
    /// Stored bytes read as what they are.
    Readable,
    /// Versions have no gaps.
    Versions,
    /// Each event row stands on the one before.
    Chain,
    /// An order and its events are one tenant's.
    Tenant,
    /// The order row is the fold of its events.
    Snapshot,
    /// The public names of a row are those of its events.
    News,
    /// The postings of a row are those of its events.
    Postings,
    /// An order's postings add up to what its state says.
    Ledger,
    /// At most one attempt wins.
    Winner,
    /// A step starts only when the machine lets it.
    Steps,
    /// What was being undone is not called paid.
    Undo,
    /// Amounts stay within what was approved, asked and captured.
    Bounds,
    /// What an order asks of itself is carried out in the same commit.
    Owed,
    /// The open work is what is in flight.
    Work,
    /// Whatever is open has its moment.
    Due,
    /// Nothing waits beyond its bound.
    Late,
    /// Money in suspense belongs to something that is open, or to a person.
    Explained,
    /// References and keys name one order.
    Names,
    /// Lists show orders as they stand.
    Lists,
    /// A tenant's list of events is what happened to its orders.
    Feed,
    /// A provider's names lead to their order.
    References,
    /// Deliveries are of events that happened.
    Deliveries,
    /// The stream of events and the orders are the same events.
    Stream,
    /// Balances are the sum of their postings.
    Balances,
    /// Debits are credits, in every currency, at every moment.
    Trial,
    /// Our books are the issuer's.
    Issuer,
}

impl Law {
    /// Every law.
    pub const ALL: [Self; 26] = [
        Self::Readable,
        Self::Versions,
        Self::Chain,
        Self::Tenant,
        Self::Snapshot,
        Self::News,
        Self::Postings,
        Self::Ledger,
        Self::Winner,
        Self::Steps,
        Self::Undo,
        Self::Bounds,
        Self::Owed,
        Self::Work,
        Self::Due,
        Self::Late,
        Self::Explained,
        Self::Names,
        Self::Lists,
        Self::Feed,
        Self::References,
        Self::Deliveries,
        Self::Stream,
        Self::Balances,
        Self::Trial,
        Self::Issuer,
    ];

    /// Its name, as `florin audit` prints it.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The law, in a sentence.
    pub const fn says(self) -> &'static str {
        self.row().1
    }

    /// What to do about a breach.
    pub const fn mend(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Readable => ("readable", "what is stored reads as what it is", DAMAGED),
            Self::Versions => ("versions", "the versions of an order have no gaps", DAMAGED),
            Self::Chain => (
                "chain",
                "each event row stands, by its hash, on the one before",
                DAMAGED,
            ),
            Self::Tenant => ("tenant", "an order and its events are one tenant's", DAMAGED),
            Self::Snapshot => (
                "snapshot",
                "an order's row is the fold of its events, or names their moments while they are few",
                DAMAGED,
            ),
            Self::News => (
                "news",
                "the public names of an event row are those of its events",
                DAMAGED,
            ),
            Self::Postings => (
                "postings",
                "an event row posts what its events move, and nothing else",
                DAMAGED,
            ),
            Self::Ledger => (
                "ledger",
                "an order's postings add up to what its state says, and each has two sides",
                DAMAGED,
            ),
            Self::Winner => (
                "winner",
                "at most one attempt of an order wins, and it stays the winner",
                RULES,
            ),
            Self::Steps => (
                "steps",
                "a step starts only where the machine lets it: no new attempt while one is open",
                RULES,
            ),
            Self::Undo => (
                "undo",
                "what was being undone when it succeeded is not called paid",
                RULES,
            ),
            Self::Bounds => (
                "bounds",
                "captured within approved, refunded within captured, moved within asked",
                RULES,
            ),
            Self::Owed => (
                "owed",
                "what an order asks of itself is carried out in the commit that made it so",
                RULES,
            ),
            Self::Work => ("work", "the open work of an order is what is in flight", WAKE),
            Self::Due => (
                "due",
                "whatever is open has a moment at which somebody looks at it",
                WAKE,
            ),
            Self::Late => (
                "late",
                "nothing waits for longer than its bound",
                "is a server running on this database, and can it reach the provider? `florin doctor` says what waits",
            ),
            Self::Explained => (
                "explained",
                "money in suspense belongs to something that is open, or to a case for a person",
                "look the attempt up at the provider and report what stands there: `florin attempts resolve`",
            ),
            Self::Names => ("names", "a reference and a key name one order of their tenant", DAMAGED),
            Self::Lists => ("lists", "lists show orders as they stand", READERS),
            Self::Feed => (
                "feed",
                "a merchant's list of events, and of ledger entries, has all of them",
                READERS,
            ),
            Self::References => ("references", "a provider's names lead to their order", READERS),
            Self::Deliveries => ("deliveries", "webhook deliveries are of events that happened", READERS),
            Self::Stream => (
                "stream",
                "the stream of events and the orders hold the same events",
                DAMAGED,
            ),
            Self::Balances => ("balances", "a balance is the sum of its postings", READERS),
            Self::Trial => (
                "trial",
                "debits are credits in every currency, at every moment",
                READERS,
            ),
            Self::Issuer => (
                "issuer",
                "what we say moved is what the issuer's book says moved",
                "stop new attempts on this connection, and look both up by the order's key before anything is sent",
            ),
        }
    }
}

const DAMAGED: &str =
    "keep a copy of the database as it is, then go by `record_damaged` in docs/runbook.md; the order takes no command";
const RULES: &str =
    "a rule of the order machine was broken when this was written: keep the database, and report it with this line";
const WAKE: &str =
    "nobody would look at this order: ask for anything on it (`florin get`, or a capture), and report this line";
const READERS: &str = "what readers keep can be made again from the events: keep a copy, and report this line";

impl std::fmt::Display for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_law_has_a_name_of_its_own_and_stands_in_the_page_of_the_audit() {
        let page = include_str!("../../../../docs/audit.md");
        for (at, law) in Law::ALL.into_iter().enumerate() {
            assert!(
                Law::ALL[..at].iter().all(|other| other.as_str() != law.as_str()),
                "{law} twice"
            );
            let row = format!("| `{law}` | {} |", law.says());
            assert!(page.contains(&row), "docs/audit.md has no row `{row}`");
        }
    }
}
