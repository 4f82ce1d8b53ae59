//! Properties of the parsers of settings (`fuzz/README.md`).
#![expect(clippy::unwrap_used, reason = "a property that does not hold panics")]

use std::time::Duration;

use crate::{Endpoint, duration};

/// Parsing never panics, and shows no password.
///
/// # Panics
/// The property does not hold.
pub fn value(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = duration(&text);
    match Endpoint::parse(&text) {
        Ok(endpoint) => {
            let again = Endpoint::parse(endpoint.base()).unwrap();
            assert_eq!(
                again.base(),
                endpoint.base(),
                "a base URL is its own base URL"
            );
            assert!(!endpoint.base().ends_with('/'));
            assert!(endpoint.join("/x").starts_with(endpoint.base()));
            assert!(endpoint.is_tls() || endpoint.origin().starts_with("http://"));
        }
        Err(invalid) => {
            let shown = format!("{invalid} {invalid:?}");
            let has_password = ["http://user:hunter2@", "https://user:hunter2@"]
                .iter()
                .any(|start| text.trim().starts_with(start));
            assert!(!has_password || !shown.contains("hunter2"), "{shown}");
        }
    }
    durations_round_trip(bytes);
}

fn durations_round_trip(bytes: &[u8]) {
    let number = bytes.iter().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(*byte))
    });
    // An hour is the largest unit: its number has a limit.
    let number = u64::from(number % 1_000_000);
    for (unit, expected) in [
        ("ms", Duration::from_millis(number)),
        ("s", Duration::from_secs(number)),
        ("m", Duration::from_secs(number * 60)),
        ("h", Duration::from_secs(number * 3600)),
    ] {
        assert_eq!(duration(&format!("{number}{unit}")), Ok(expected));
    }
}

#[cfg(test)]
#[test]
fn properties_of_values_hold() {
    testkit::corpus::hold("settings", value);
}
