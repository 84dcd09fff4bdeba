//! Why a payment was declined, in one vocabulary for every provider, and what may be done about it.
//!
//! The mapping rows are data (`data/decline-map.csv`). A code of class [`Retry::Unknown`] in a reply is no decline at all: nobody knows
//! what happened, so the rail asks or reverses, and nothing is retried or failed over.

use serde::{Deserialize, Serialize};

/// What the machine, the merchant or the payer may do after a decline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never again with this credential.
    Hard,
    /// Later, within the retry rules.
    Soft,
    /// The payer must do something.
    Action,
    /// Mend a field and try again.
    Data,
    /// Their system or ours, and surely not authorised: another rail may be tried.
    Tech,
    /// Nobody knows what happened: ask or reverse first; never retry, never fail over.
    Unknown,
}

macro_rules! codes {
    ($($variant:ident = $word:literal, $class:ident, $text:literal;)*) => {
        /// A decline, normalised (`specs/card-facts.md` 4).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code {
            $(#[doc = $text] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that the API shows.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What may usually be done; a mapping row may be stricter.
            pub const fn class(self) -> Retry {
                match self { $(Self::$variant => Retry::$class,)* }
            }

            /// One sentence for the merchant.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

codes! {
    InsufficientFunds = "insufficient_funds", Soft, "there is not enough money in the account";
    LimitExceeded = "limit_exceeded", Soft, "a limit on amount or count is reached";
    DoNotHonor = "do_not_honor", Soft, "the issuer gave no reason";
    GenericDecline = "generic_decline", Soft, "the payment was declined for an unknown reason";
    TryAgainLater = "try_again_later", Soft, "the issuer asks for a later retry";
    IssuerUnavailable = "issuer_unavailable", Tech, "the issuer or the switch cannot be reached";
    ProcessingError = "processing_error", Tech, "a system on the way failed, and nothing was authorised";
    TimeoutUnknown = "timeout_unknown", Unknown, "no answer came: the outcome is unknown";
    Duplicate = "duplicate", Unknown, "the same transaction was seen before: ask for its outcome";
    AuthenticationRequired = "authentication_required", Action, "the payer must authenticate (3-D Secure)";
    AuthenticationFailed = "authentication_failed", Action, "authentication failed or was abandoned";
    PayerCanceled = "payer_canceled", Action, "the payer canceled";
    PayerTimeout = "payer_timeout", Action, "the payer did not answer in time";
    IncorrectPin = "incorrect_pin", Data, "the PIN is wrong";
    PinTriesExceeded = "pin_tries_exceeded", Hard, "the PIN was wrong too often today";
    InvalidCvc = "invalid_cvc", Data, "the security code is wrong";
    InvalidNumber = "invalid_number", Data, "the card number is wrong";
    InvalidExpiry = "invalid_expiry", Data, "the expiry date is wrong";
    ExpiredCard = "expired_card", Data, "the card has expired";
    AvsFailed = "avs_failed", Data, "the address does not match";
    CardNotSupported = "card_not_supported", Hard, "brand, type or currency is not allowed here";
    RestrictedCard = "restricted_card", Hard, "the card is restricted";
    LostCard = "lost_card", Hard, "the card is reported lost";
    StolenCard = "stolen_card", Hard, "the card is reported stolen";
    PickupCard = "pickup_card", Hard, "the issuer wants the card to be kept";
    AccountClosed = "account_closed", Hard, "the account is closed";
    SuspectedFraud = "suspected_fraud", Hard, "the issuer suspects fraud";
    BlockedByRisk = "blocked_by_risk", Hard, "a risk rule of ours or of the provider blocked it";
    RevokedMandate = "revoked_mandate", Hard, "the payer revoked the mandate";
    InvalidAmount = "invalid_amount", Data, "the amount is not accepted";
    NotPermittedMerchant = "not_permitted_merchant", Tech, "the merchant is not set up for this";
    PayeeOrAccountInvalid = "payee_or_account_invalid", Data, "the provider knows no such payment method, account, wallet or phone number";
    LimitOfWallet = "limit_of_wallet", Soft, "the wallet's balance or daily limit is reached";
    Unsupported = "unsupported", Tech, "the provider cannot do this";
}

impl Code {
    /// The code that has this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }
}

/// A decline: what it means, what may be done, and the provider's own word for people who ask them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Decline {
    /// The normalised code.
    pub code: Code,
    /// What may be done; at least as strict as the code's own class.
    pub class: Retry,
    /// What the provider said, as it said it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

impl Decline {
    /// A decline with the code's own class.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            class: code.class(),
            raw: String::new(),
        }
    }

    /// What `source` (`stripe_decline_code`, `iso8583_de39`, …) means by `word`; none if the table does not know the word, which
    /// then proves nothing.
    pub fn from_table(source: &str, word: &str) -> Option<Self> {
        let prefix = format!("{source},{word},");
        let row = include_str!("../data/decline-map.csv")
            .lines()
            .find_map(|line| line.strip_prefix(prefix.as_str()))?;
        let mut fields = row.split(',');
        let code = Code::from_word(fields.next()?)?;
        let class = class_from_word(fields.next()?)?;
        Some(Self {
            code,
            class,
            raw: word.to_owned(),
        })
    }
}

fn class_from_word(word: &str) -> Option<Retry> {
    Some(match word {
        "hard" => Retry::Hard,
        "soft" => Retry::Soft,
        "action" => Retry::Action,
        "data" => Retry::Data,
        "tech" => Retry::Tech,
        "unknown" => Retry::Unknown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_reads_as_a_decline() {
        let mut rows = 0;
        for line in include_str!("../data/decline-map.csv")
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty())
        {
            let mut fields = line.split(',');
            let (source, word) = (fields.next().unwrap(), fields.next().unwrap());
            let decline = Decline::from_table(source, word).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(decline.code.word(), fields.next().unwrap(), "{line}");
            rows += 1;
        }
        assert_eq!(rows, 269);
    }

    #[test]
    fn a_code_of_class_unknown_stays_unknown_in_every_row() {
        for line in include_str!("../data/decline-map.csv")
            .lines()
            .skip(1)
            .filter(|line| !line.is_empty())
        {
            let mut fields = line.split(',');
            let (source, word) = (fields.next().unwrap(), fields.next().unwrap());
            let decline = Decline::from_table(source, word).unwrap();
            if decline.code.class() == Retry::Unknown {
                assert_eq!(decline.class, Retry::Unknown, "{line}");
            }
        }
    }

    #[test]
    fn a_word_outside_the_table_proves_nothing() {
        assert_eq!(Decline::from_table("stripe_decline_code", "new_word_of_2031"), None);
        assert_eq!(Decline::from_table("stripe_decline_code", ""), None);
    }

    #[test]
    fn words_read_back() {
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(*code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }
}
