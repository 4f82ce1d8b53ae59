//! Texts of other systems, made safe to show.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes what a terminal or a reader could be deceived with, as `\u001b`: control characters
/// except line feed and tab, and the characters that override the direction of text. The escapes
/// are valid inside JSON strings.
#[must_use]
pub fn escape_hidden(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hidden(c) {
            // Writing to a string cannot fail; every such character is below U+10000.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Whether the character controls a terminal or the direction of text.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            true
        }
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_direction_overrides_are_escaped() {
        for (text, escaped) in [
            ("plain é 你 text\n\tnext", "plain é 你 text\n\tnext"),
            ("\u{1b}[31mred\u{7}", "\\u001b[31mred\\u0007"),
            ("a\rb\0c\u{9b}", "a\\u000db\\u0000c\\u009b"),
            ("\u{202e}gpj.exe\u{2069}", "\\u202egpj.exe\\u2069"),
        ] {
            assert_eq!(escape_hidden(text), escaped);
        }
    }
}
