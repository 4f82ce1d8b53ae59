//! What a token permits.

use serde::Deserialize;

/// The claim `scope`: separated by spaces, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ScopeClaim {
    Text(String),
    List(Vec<String>),
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    /// `orders:read`: read orders.
    pub(crate) read: bool,
    /// `orders:write`: create orders.
    pub(crate) write: bool,
    /// `orders:price`: name the prices of new orders.
    pub(crate) price: bool,
}

impl Scopes {
    /// Everything: without authentication.
    pub(super) const ALL: Self = Self {
        read: true,
        write: true,
        price: true,
    };

    /// The scopes of a token; without the claim it may read and create orders.
    pub(super) fn of(claim: Option<&ScopeClaim>) -> Self {
        let names: Vec<&str> = match claim {
            None => vec!["orders:read", "orders:write"],
            Some(ScopeClaim::Text(text)) => text.split(' ').collect(),
            Some(ScopeClaim::List(names)) => names.iter().map(String::as_str).collect(),
        };
        Self {
            read: names.contains(&"orders:read"),
            write: names.contains(&"orders:write"),
            price: names.contains(&"orders:price"),
        }
    }
}
