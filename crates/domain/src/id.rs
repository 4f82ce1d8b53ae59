//! Salesforce record ids: 15 case-sensitive characters, or 18 with three check characters.
//!
//! The check characters: the 15 characters are split into three groups of five; in each group bit
//! *k* is set when character *k* is an upper-case letter; the five bits index
//! `ABCDEFGHIJKLMNOPQRSTUVWXYZ012345`. Everything is keyed by the 18-character form, because the
//! 15-character form does not survive a case-insensitive comparison.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

/// The type of record that an id names.
pub trait Kind {
    /// The record's name in messages.
    const NAME: &'static str;
    /// The three characters that every id of this kind starts with.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $alias:ident = $kind:ident, $name:literal, $prefix:literal;)*) => {
        /// Marker types, one for each [`Kind`].
        pub mod kind {
            $(#[doc = concat!("Marker: ", $name, ".")]
            #[derive(Debug)]
            pub enum $kind {}
            impl super::Kind for $kind {
                const NAME: &'static str = $name;
                const PREFIX: &'static str = $prefix;
            })*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
    };
}

kinds! {
    /// Id of a Salesforce Order.
    OrderId = Order, "Order", "801";
    /// Id of a line of a Salesforce Order.
    OrderItemId = OrderItem, "OrderItem", "802";
    /// Id of a Salesforce Account.
    AccountId = Account, "Account", "001";
    /// Id of a Salesforce Product2.
    Product2Id = Product2, "Product2", "01t";
    /// Id of a Salesforce Pricebook2.
    PricebookId = Pricebook, "Pricebook2", "01s";
    /// Id of a Salesforce PricebookEntry.
    PricebookEntryId = PricebookEntry, "PricebookEntry", "01u";
    /// Id of a Salesforce Contact.
    ContactId = Contact, "Contact", "003";
    /// Id of a Salesforce organisation.
    OrgId = Organization, "Organization", "00D";
}

/// An 18-character Salesforce id of one kind, its check characters verified.
pub struct Id<K> {
    text: [u8; 18],
    kind: PhantomData<fn() -> K>,
}

/// Why a text is not a valid id of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// Neither 15 nor 18 characters long.
    #[error("`{text}` is not a valid {kind} id: it has {length} characters, expected 15 or 18")]
    Length {
        /// The expected kind.
        kind: &'static str,
        /// The text, shortened.
        text: String,
        /// Its length in characters.
        length: usize,
    },
    /// A character outside `0-9A-Za-z`.
    #[error("`{text}` is not a valid {kind} id: only letters and digits are allowed")]
    Character {
        /// The expected kind.
        kind: &'static str,
        /// The text, shortened.
        text: String,
    },
    /// The last three characters do not match the first fifteen.
    #[error(
        "`{text}` is not a valid {kind} id: wrong check characters (`{expected}` expected), so a letter's case or a character was changed"
    )]
    Check {
        /// The expected kind.
        kind: &'static str,
        /// The text.
        text: String,
        /// The check characters that would match.
        expected: String,
    },
    /// An id of another type of record.
    #[error("`{text}` is not a valid {kind} id: it must begin with `{prefix}`")]
    Prefix {
        /// The expected kind.
        kind: &'static str,
        /// The text.
        text: String,
        /// The prefix of the kind.
        prefix: &'static str,
    },
}

impl<K> Id<K> {
    /// The 18 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("an id holds ASCII letters and digits only")
    }
}

impl<K: Kind> Id<K> {
    /// Parses 15 characters (and completes them) or 18 (and verifies the check characters).
    ///
    /// # Errors
    /// [`InvalidId`] names what is wrong; nothing is guessed or repaired.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let kind = K::NAME;
        let shown = || text.chars().take(40).collect::<String>();
        let length = text.chars().count();
        if length != 15 && length != 18 {
            return Err(InvalidId::Length {
                kind,
                text: shown(),
                length,
            });
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidId::Character {
                kind,
                text: shown(),
            });
        }
        let (body, given) = text.split_at(15);
        let check = check_characters(body.as_bytes());
        if !given.is_empty() && given.as_bytes() != check {
            let expected = String::from_utf8_lossy(&check).into_owned();
            return Err(InvalidId::Check {
                kind,
                text: shown(),
                expected,
            });
        }
        if !body.starts_with(K::PREFIX) {
            return Err(InvalidId::Prefix {
                kind,
                text: shown(),
                prefix: K::PREFIX,
            });
        }
        let mut whole = [0; 18];
        whole[..15].copy_from_slice(body.as_bytes());
        whole[15..].copy_from_slice(&check);
        Ok(Self {
            text: whole,
            kind: PhantomData,
        })
    }
}

fn check_characters(body: &[u8]) -> [u8; 3] {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let mut check = [0; 3];
    for (slot, group) in check.iter_mut().zip(body.chunks(5)) {
        let bits = group
            .iter()
            .enumerate()
            .filter(|(_, byte)| byte.is_ascii_uppercase())
            .fold(0_usize, |bits, (place, _)| bits | 1 << place);
        *slot = ALPHABET[bits];
    }
    check
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_characters_match_published_examples() {
        for (body, check) in [
            ("001M000000qfPyS", "IAU"),
            ("a0D30000001n7Pi", "EAI"),
            ("0F9E000000092w2", "KAA"),
        ] {
            assert_eq!(check_characters(body.as_bytes()), check.as_bytes());
        }
        assert_eq!(
            AccountId::parse("001M000000qfPyS").unwrap().as_str(),
            "001M000000qfPySIAU"
        );
    }

    #[test]
    fn invalid_id_error_names_the_reason() {
        let check = |text: &str, words: &str| {
            let error = OrderId::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        };
        check("", "0 characters");
        check("801000000000001AAAA", "19 characters");
        check("80100000000000é", "only letters and digits");
        check("801000000000001AAB", "`AAA` expected");
        check("001M000000qfPySIAU", "begin with `801`");
    }

    proptest! {
        #[test]
        fn both_lengths_round_trip(body in "801[0-9A-Za-z]{12}") {
            let id = OrderId::parse(&body).unwrap();
            prop_assert_eq!(OrderId::parse(id.as_str()).unwrap(), id);
            prop_assert_eq!(&id.as_str()[..15], body.as_str());
        }

        #[test]
        fn changed_letter_case_is_rejected(body in "801[0-9]{4}[a-z]{8}", at in 7_usize..15) {
            let id = OrderId::parse(&body).unwrap();
            let mut bytes = id.as_str().as_bytes().to_vec();
            bytes[at].make_ascii_uppercase();
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert!(OrderId::parse(&changed).is_err());
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,24}") {
            let _ = OrderId::parse(&text);
        }
    }
}
