//! Properties of the decoder of the token endpoint's answers (`fuzz/README.md`).

use reqwest::StatusCode;

use crate::login::{Denied, classify, identity};

/// Every refusal has a reason of bounded length; an identity URL names an org and a user.
///
/// # Panics
/// The property does not hold.
pub fn answer(bytes: &[u8]) {
    for status in [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE] {
        if let Denied::Refused { error, description } = classify(status, bytes, Some(0)) {
            for text in [error, description] {
                assert!(text.chars().count() <= 200, "{text}");
                assert!(!text.contains(char::is_control), "{text}");
            }
        }
    }
    if let Some((org, user)) = identity(&String::from_utf8_lossy(bytes)) {
        assert!(org.starts_with("00D") && user.starts_with("005"));
    }
}

#[cfg(test)]
#[test]
fn properties_of_answers_hold() {
    testkit::corpus::hold("token_answer", answer);
}
