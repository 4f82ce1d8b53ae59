//! SOQL tokenizer.
use super::super::rules::Refusal;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    /// A number, a date or a datetime.
    Literal(String),
    Symbol(&'static str),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(text) | Self::Text(text) | Self::Literal(text) => write!(f, "'{text}'"),
            Self::Symbol(text) => write!(f, "'{text}'"),
        }
    }
}

pub(super) fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::bad("MALFORMED_QUERY", message)
}

pub(super) fn tokens(query: &str) -> Result<Vec<Token>, Refusal> {
    let chars: Vec<char> = query.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if c.is_whitespace() {
            at += 1;
        } else if c == '\'' {
            let (text, next) = quoted(&chars, at + 1)?;
            found.push(Token::Text(text));
            at = next;
        } else if c.is_ascii_digit()
            || (c == '-' && chars.get(at + 1).is_some_and(char::is_ascii_digit))
        {
            let end = end_of(&chars, at + 1, |c| {
                c.is_ascii_alphanumeric() || "+-:.".contains(c)
            });
            found.push(Token::Literal(chars[at..end].iter().collect()));
            at = end;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let end = end_of(&chars, at + 1, |c| {
                c.is_ascii_alphanumeric() || c == '_' || c == '.'
            });
            found.push(Token::Word(chars[at..end].iter().collect()));
            at = end;
        } else {
            let two: String = chars[at..(at + 2).min(chars.len())].iter().collect();
            let symbol = ["<=", ">=", "!=", "<>", "=", "<", ">", "(", ")", ","]
                .into_iter()
                .find(|symbol| two.starts_with(symbol))
                .ok_or_else(|| malformed(format!("unexpected token: '{c}'")))?;
            found.push(Token::Symbol(if symbol == "<>" { "!=" } else { symbol }));
            at += symbol.len();
        }
    }
    Ok(found)
}

fn end_of(chars: &[char], from: usize, inside: impl Fn(char) -> bool) -> usize {
    (from..chars.len())
        .find(|at| !inside(chars[*at]))
        .unwrap_or(chars.len())
}

fn quoted(chars: &[char], from: usize) -> Result<(String, usize), Refusal> {
    let mut text = String::new();
    let mut at = from;
    loop {
        match (chars.get(at), chars.get(at + 1)) {
            (Some('\''), _) => return Ok((text, at + 1)),
            (Some('\\'), Some(escaped)) => {
                text.push(match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => *other,
                });
                at += 2;
            }
            (Some(c), _) => {
                text.push(*c);
                at += 1;
            }
            (None, _) => return Err(malformed("unterminated string")),
        }
    }
}
