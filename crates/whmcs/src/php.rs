//! PHP's `serialize()` for a map of ids to strings, as WHMCS expects it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Base64 of the serialised map. Lengths count bytes; keys are decimal and so integers.
pub(crate) fn encoded_map<'a>(entries: impl IntoIterator<Item = (u64, &'a str)>) -> String {
    STANDARD.encode(serialized_map(entries))
}

fn serialized_map<'a>(entries: impl IntoIterator<Item = (u64, &'a str)>) -> String {
    let entries: Vec<_> = entries.into_iter().collect();
    let body: String = entries
        .iter()
        .map(|(key, value)| format!("i:{key};s:{}:\"{value}\";", value.len()))
        .collect();
    format!("a:{}:{{{body}}}", entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_bytes_and_keys_are_integers() {
        assert_eq!(serialized_map([(101, "7")]), "a:1:{i:101;s:1:\"7\";}");
        assert_eq!(
            serialized_map([(1, "é"), (2, "")]),
            "a:2:{i:1;s:2:\"é\";i:2;s:0:\"\";}"
        );
        assert_eq!(encoded_map([]), "YTowOnt9");
    }
}
