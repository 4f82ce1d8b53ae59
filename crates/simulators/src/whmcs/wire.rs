//! Responses in the shape that the options select.
use serde_json::{Map, Value, json};

use super::options::{EmptyList, RuntimeOptions};

/// Result of an action: its fields beside `result`, or its error text.
pub(crate) type Outcome = Result<Map<String, Value>, String>;

/// The fields of a JSON object literal.
pub(crate) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl RuntimeOptions {
    /// An id or a count.
    pub(crate) fn id(&self, number: u64) -> Value {
        if self.string_ids {
            Value::from(number.to_string())
        } else {
            Value::from(number)
        }
    }

    /// `{singular: [...]}` in the selected shape.
    pub(crate) fn list(&self, singular: &str, items: Vec<Value>) -> Value {
        if items.is_empty() {
            return match self.empty_list {
                EmptyList::Wrapped => json!({singular: []}),
                EmptyList::Text => json!(""),
                EmptyList::Array => json!([]),
                EmptyList::Object => json!({}),
                EmptyList::Null => Value::Null,
            };
        }
        if self.bare_single && items.len() == 1 {
            return json!({singular: items[0]});
        }
        if self.numeric_keys {
            let keyed: Map<String, Value> = items
                .into_iter()
                .enumerate()
                .map(|(at, item)| ((at * 2).to_string(), item))
                .collect();
            return json!({singular: keyed});
        }
        json!({singular: items})
    }
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Whether the body is sent byte by byte.
    pub(crate) trickle: bool,
}

impl Reply {
    pub(crate) fn new(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind,
            body: body.into(),
            headers: Vec::new(),
            trickle: false,
        }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn error(status: u16, text: &str) -> Self {
        Self::json(status, &json!({"result": "error", "message": text}))
    }

    pub(crate) fn html(status: u16, title: &str) -> Self {
        let page = format!(
            "<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
        );
        Self::new(status, "text/html; charset=utf-8", page)
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response to an action; business errors have status 200.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        match outcome {
            Ok(rest) => {
                // `result` comes first; clients may rely on it when reading truncated JSON.
                let rest = Value::Object(rest.clone()).to_string();
                let rest = rest.get(1..).unwrap_or("}");
                let comma = if rest == "}" { "" } else { "," };
                let body = format!("{{\"result\":\"success\"{comma}{rest}");
                Self::new(200, "application/json", body)
            }
            Err(text) => Self::error(200, text),
        }
    }
}

/// `Semi-Annually` for `semiannually`.
pub(crate) fn cycle_name(cycle: &str) -> &'static str {
    match cycle {
        "monthly" => "Monthly",
        "quarterly" => "Quarterly",
        "semiannually" => "Semi-Annually",
        "annually" => "Annually",
        "biennially" => "Biennially",
        "triennially" => "Triennially",
        "free" => "Free Account",
        _ => "One Time",
    }
}

/// Text as WHMCS stores and answers it: with HTML entities.
pub(crate) fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#039;"),
            other => out.push(other),
        }
    }
    out
}

/// `9.95`.
pub(crate) fn money(amount: f64) -> String {
    format!("{amount:.2}")
}
