//! Answers in XML.
use std::io;

use quick_xml::{
    Writer,
    events::{BytesCData, BytesText},
};
use serde_json::Value;

use super::wire::Reply;

/// The answer to `responsetype=xml`. What is not JSON, such as an HTML page, stays as it is.
pub(super) fn rewrite(reply: Reply, action: &str, version: &str) -> Reply {
    if reply.kind != "application/json" {
        return reply;
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(&reply.body) else {
        return reply;
    };
    let mut writer = Writer::new(Vec::new());
    let written = writer
        .create_element("whmcsapi")
        .with_attribute(("version", version))
        .write_inner_content(|inside| {
            element(inside, "action", &Value::from(action))?;
            // `result` comes first, as in JSON.
            let (first, rest): (Vec<_>, Vec<_>) =
                fields.iter().partition(|(name, _)| *name == "result");
            for (name, value) in first.into_iter().chain(rest) {
                element(inside, name, value)?;
            }
            Ok(())
        });
    if written.is_err() {
        return reply;
    }
    let mut body = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n".to_vec();
    body.extend(writer.into_inner());
    Reply {
        kind: "application/xml",
        body,
        ..reply
    }
}

/// A list is its element repeated.
fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> io::Result<()> {
    // PHP's keys of lists are numbers, which are no names in XML.
    let name = match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => "item",
        false => name,
    };
    match value {
        Value::Array(items) => {
            for item in items {
                element(writer, name, item)?;
            }
            Ok(())
        }
        Value::Object(fields) => {
            let start = writer.create_element(name);
            start.write_inner_content(|inside| {
                fields
                    .iter()
                    .try_for_each(|(name, value)| element(inside, name, value))
            })?;
            Ok(())
        }
        Value::String(text) if text.contains(['&', '<']) && !text.contains("]]>") => {
            writer
                .create_element(name)
                .write_cdata_content(BytesCData::new(text.as_str()))?;
            Ok(())
        }
        Value::String(text) => content(writer, name, text),
        Value::Null => content(writer, name, ""),
        Value::Bool(flag) => content(writer, name, if *flag { "1" } else { "" }),
        Value::Number(number) => content(writer, name, &number.to_string()),
    }
}

fn content(writer: &mut Writer<Vec<u8>>, name: &str, text: &str) -> io::Result<()> {
    let start = writer.create_element(name);
    start.write_text_content(BytesText::new(text))?;
    Ok(())
}
