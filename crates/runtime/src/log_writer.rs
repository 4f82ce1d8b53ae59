//! Where log lines go.

use std::io::{self, Write};

use domain::text::escape_hidden;

/// Escapes in every line what the formatters leave: characters that override the direction of
/// text, carriage returns, and in JSON the control characters above ASCII.
pub(crate) struct EscapingWriter<W>(pub(crate) W);

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line is written whole. Colours are escape sequences of our own and stay; those in
        // values are escaped by the formatters.
        match std::str::from_utf8(bytes) {
            Ok(line) => {
                let parts = line.split_inclusive('\u{1b}');
                for part in parts {
                    let (text, own) = match part.strip_suffix('\u{1b}') {
                        Some(text) => (text, "\u{1b}"),
                        None => (part, ""),
                    };
                    self.0.write_all(escape_hidden(text).as_bytes())?;
                    self.0.write_all(own.as_bytes())?;
                }
            }
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direction_overrides_are_escaped_and_own_colours_stay() {
        for (line, written) in [
            ("plain\n", "plain\n"),
            ("a\rb\n", "a\\u000db\n"),
            (
                "\u{1b}[32mINFO\u{1b}[0m a\u{202e}b \u{9b}é\n",
                "\u{1b}[32mINFO\u{1b}[0m a\\u202eb \\u009bé\n",
            ),
        ] {
            let mut writer = EscapingWriter(Vec::new());
            writer.write_all(line.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(writer.0).unwrap(), written);
        }
    }
}
