//! Properties of the simulated PHP (`fuzz/README.md`).

use crate::whmcs::{Php, parse_form, unserialize_base64};

/// Parsing a form, and a serialised value in base64, never panics.
pub fn php(bytes: &[u8]) {
    let _ = parse_form(bytes, 1000);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = unserialize_base64(text);
    }
}

/// The text that a map in base64 has for the id 7.
#[must_use]
pub fn map_entry(encoded: &str) -> Option<String> {
    match unserialize_base64(encoded)?.get("7")? {
        Php::Text(text) => Some(text.clone()),
        Php::Array(_) => None,
    }
}

#[cfg(test)]
#[test]
fn properties_of_php_hold() {
    testkit::corpus::hold("php", php);
}
