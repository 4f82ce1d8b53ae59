//! 15- and 18-character record ids.

const SUFFIX: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// Completes a 15-character id; an 18-character one is returned in its canonical case.
pub(crate) fn canonical(id: &str) -> Option<String> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    match id.len() {
        15 => Some(format!("{id}{}", checks(id))),
        18 => {
            let (short, _) = id.split_at(15);
            (format!("{short}{}", checks(short)) == id).then(|| id.to_owned())
        }
        _ => None,
    }
}

/// The three check characters of a 15-character id.
fn checks(short: &str) -> String {
    short
        .as_bytes()
        .chunks(5)
        .map(|group| {
            let bits = group
                .iter()
                .enumerate()
                .filter(|(_, byte)| byte.is_ascii_uppercase())
                .fold(0usize, |bits, (at, _)| bits | (1 << at));
            char::from(SUFFIX[bits])
        })
        .collect()
}

/// The n-th id with this prefix.
pub(crate) fn mint(prefix: &str, n: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut tail = [b'0'; 7];
    let mut left = n;
    for digit in tail.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(left % 62).unwrap_or(0)];
        left /= 62;
    }
    let short: String = prefix
        .chars()
        .chain("Sim00".chars())
        .chain(tail.map(char::from))
        .collect();
    let suffix = checks(&short);
    short + &suffix
}

/// The only user of the org.
pub(crate) fn integration_user() -> String {
    mint("005", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_characters_match_published_examples() {
        for (short, suffix) in [
            ("001M000000qfPyS", "IAU"),
            ("a0D30000001n7Pi", "EAI"),
            ("0F9E000000092w2", "KAA"),
        ] {
            assert_eq!(canonical(short), Some(format!("{short}{suffix}")));
        }
        assert_eq!(canonical("001M000000qfPySIAA"), None);
        assert_eq!(mint("801", 63).len(), 18);
    }
}
