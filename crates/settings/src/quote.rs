//! Values in environment files.

/// The value as a line `NAME=value` holds it, for systemd and shells alike.
///
/// Control characters are kept: an environment file must not have any.
#[must_use]
pub fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@,+%".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut text = String::from('"');
    for c in value.chars() {
        if "\\\"$`".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn shell_reads_every_value_as_it_was_given() {
        for value in [
            "plain",
            "",
            "a b",
            "$HOME `id` \\ \" ' !",
            "#x;y&z?a=b",
            "ü",
        ] {
            let script = format!("A={}\nprintf %s \"$A\"", quoted(value));
            let read = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(read.stdout).unwrap(), value);
        }
    }
}
