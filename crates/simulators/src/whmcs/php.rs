//! PHP semantics: bracketed form names, truthiness, `unserialize`.
use base64::{Engine, engine::general_purpose::STANDARD};

/// A PHP value: text, or an array in insertion order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Php {
    Text(String),
    Array(Vec<(String, Php)>),
}

impl Default for Php {
    fn default() -> Self {
        Self::Array(Vec::new())
    }
}

impl Php {
    /// A member of an array.
    pub(crate) fn get(&self, key: &str) -> Option<&Php> {
        match self {
            Self::Array(items) => items
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            Self::Text(_) => None,
        }
    }

    /// A text member; blank counts as missing.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key)? {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A whole-number member, cast as PHP does: leading digits.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        cast(self.text(key)?)
    }

    /// Truthiness: everything but blank and `0`, so `false` is true.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.text(key).map(|text| text != "0")
    }

    /// The members of an array, with their keys.
    pub(crate) fn items(&self) -> &[(String, Php)] {
        match self {
            Self::Array(items) => items,
            Self::Text(_) => &[],
        }
    }

    fn set(&mut self, path: &[String], value: String) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::Text(value);
            return;
        };
        if !matches!(self, Self::Array(_)) {
            *self = Self::default();
        }
        let Self::Array(items) = self else { return };
        let key = if first.is_empty() {
            let next = items
                .iter()
                .filter_map(|(key, _)| key.parse::<u64>().ok())
                .max()
                .map_or(0, |top| top + 1);
            next.to_string()
        } else {
            first.clone()
        };
        let at = match items.iter().position(|(name, _)| *name == key) {
            Some(at) => at,
            None => {
                items.push((key, Self::default()));
                items.len() - 1
            }
        };
        items[at].1.set(rest, value);
    }
}

/// `(int) $text`.
pub(crate) fn cast(text: &str) -> Option<u64> {
    let digits: String = text
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

/// Parses a form body; variables beyond `max_input_vars` are silently dropped.
pub(crate) fn parse_form(body: &[u8], max_input_vars: usize) -> Php {
    from_pairs(form_urlencoded::parse(body).into_owned(), max_input_vars)
}

/// The variables of these fields; those beyond `max_input_vars` are silently dropped.
pub(crate) fn from_pairs(
    pairs: impl IntoIterator<Item = (String, String)>,
    max_input_vars: usize,
) -> Php {
    let mut root = Php::default();
    for (name, value) in pairs.into_iter().take(max_input_vars) {
        root.set(&path(&name), value);
    }
    root
}

fn path(name: &str) -> Vec<String> {
    let Some((head, tail)) = name.split_once('[') else {
        return vec![name.to_owned()];
    };
    let mut parts = vec![head.to_owned()];
    let mut rest = tail;
    while let Some((key, after)) = rest.split_once(']') {
        parts.push(key.to_owned());
        match after.strip_prefix('[') {
            Some(more) => rest = more,
            None => break,
        }
    }
    parts
}

/// `unserialize(base64_decode($text))` for arrays and scalars; `None` for invalid input.
pub(crate) fn unserialize_base64(text: &str) -> Option<Php> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    let mut reader = Reader {
        bytes: &bytes,
        at: 0,
    };
    let value = reader.value()?;
    (reader.at == bytes.len()).then_some(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn until(&mut self, stop: u8) -> Option<&str> {
        let start = self.at;
        let length = self
            .bytes
            .get(start..)?
            .iter()
            .position(|byte| *byte == stop)?;
        self.at = start + length + 1;
        std::str::from_utf8(&self.bytes[start..start + length]).ok()
    }

    fn eat(&mut self, expected: &[u8]) -> Option<()> {
        let end = self.at + expected.len();
        (self.bytes.get(self.at..end)? == expected).then(|| self.at = end)
    }

    fn value(&mut self) -> Option<Php> {
        let kind = *self.bytes.get(self.at)?;
        self.at += 1;
        if kind == b'N' {
            self.eat(b";")?;
            return Some(Php::Text(String::new()));
        }
        self.eat(b":")?;
        match kind {
            b'i' => {
                let number: i64 = self.until(b';')?.parse().ok()?;
                Some(Php::Text(number.to_string()))
            }
            b'b' => Some(Php::Text(self.until(b';')?.to_owned())),
            b'd' => {
                let number: f64 = self.until(b';')?.parse().ok()?;
                Some(Php::Text(number.to_string()))
            }
            b's' => {
                // The length counts bytes, not characters.
                let length: usize = self.until(b':')?.parse().ok()?;
                self.eat(b"\"")?;
                let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
                let text = std::str::from_utf8(text).ok()?.to_owned();
                self.at += length;
                self.eat(b"\";")?;
                Some(Php::Text(text))
            }
            b'a' => {
                let count: usize = self.until(b':')?.parse().ok()?;
                self.eat(b"{")?;
                let mut items = Vec::new();
                for _ in 0..count {
                    let Php::Text(key) = self.value()? else {
                        return None;
                    };
                    items.push((key, self.value()?));
                }
                self.eat(b"}")?;
                Some(Php::Array(items))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_make_arrays_and_last_value_wins() {
        let form = parse_form(b"pid%5B0%5D=5&pid[2]=7&x=1&x=2&a[b][c]=d&n[]=p&n[]=q", 1000);
        let pid = form.get("pid").unwrap();
        assert_eq!(pid.text("0"), Some("5"));
        assert_eq!(pid.text("2"), Some("7"));
        assert_eq!(form.text("x"), Some("2"));
        assert_eq!(
            form.get("a").unwrap().get("b").unwrap().text("c"),
            Some("d")
        );
        assert_eq!(form.get("n").unwrap().text("1"), Some("q"));
        assert_eq!(parse_form(b"a=1&b=2", 1).text("b"), None);
    }

    #[test]
    fn text_false_is_truthy() {
        let form = parse_form(b"a=false&b=0&c=", 1000);
        assert_eq!(form.flag("a"), Some(true));
        assert_eq!(form.flag("b"), Some(false));
        assert_eq!(form.flag("c"), None);
    }

    #[test]
    fn unserialize_counts_bytes() {
        let read = |text: &str| unserialize_base64(&STANDARD.encode(text));
        let map = read("a:2:{i:101;s:1:\"7\";s:1:\"k\";s:3:\"\u{fc}x\";}").unwrap();
        assert_eq!(map.text("101"), Some("7"));
        assert_eq!(map.text("k"), Some("\u{fc}x"));
        assert_eq!(read("a:1:{i:1;s:2:\"\u{fc}x\";}"), None);
        assert_eq!(read("nonsense"), None);
    }
}
