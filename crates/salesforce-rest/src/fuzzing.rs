//! Properties of the decoders of Salesforce's answers, and of queries (`fuzz/README.md`).
#![expect(clippy::unwrap_used, reason = "a property that does not hold panics")]

use domain::id::{AccountId, OrderId, OrderItemId};
use domain::time::Timestamp;
use serde_json::json;

use crate::error::{ApiError, ApiFailure};
use crate::wire::{Page, Row, quoted, write_time};

const FIELDS: &[&str] = &[
    "Id",
    "Status",
    "Quantity",
    "CreatedDate",
    "Account",
    "OrderItems",
    "records",
];

/// Parsing query results never panics, and no page is lost.
///
/// # Panics
/// The property does not hold.
pub fn query_results(bytes: &[u8]) {
    if let Ok(page) = serde_json::from_slice::<Page>(bytes) {
        read_page(&page, 4);
    }
    query_results_round_trip(bytes);
}

fn read_page(page: &Page, depth: u32) {
    // A page that is not the last must have a next page, or be an error.
    if let Ok(None) = page.rest() {
        assert!(page.done);
    }
    for row in &page.records {
        read_row(row, depth);
    }
}

fn read_row(row: &Row, depth: u32) {
    for field in FIELDS {
        if let Ok(Some(text)) = row.text(field) {
            assert!(!text.trim().is_empty());
        }
        if let Ok(Some(number)) = row.decimal(field) {
            let _ = (number.whole(), number.to_string());
        }
        let _ = row.time(field);
        let _: Result<Option<OrderId>, _> = row.id(field);
        let _: Result<Option<OrderItemId>, _> = row.id(field);
        let _: Result<Option<AccountId>, _> = row.id(field);
        if depth > 0 {
            if let Ok(Some(parent)) = row.row(field) {
                read_row(&parent, depth - 1);
            }
            if let Ok(Some(children)) = row.page(field) {
                read_page(&children, depth - 1);
            }
        }
    }
}

fn query_results_round_trip(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let number = i64::try_from(bytes.len()).unwrap() * 7 - 3;
    let at = Timestamp::from_millis(1_767_225_600_000 + number * 1_000_003);
    let page = json!({"done": true, "records": [{
        "Name": text, "Quantity": number, "At": write_time(at), "Id": "801000000000001AAA",
        "Nothing": null,
    }]});
    let page: Page = serde_json::from_str(&page.to_string()).unwrap();
    let row = &page.records[0];
    let kept = Some(text).filter(|text| !text.trim().is_empty());
    assert_eq!(row.text("name").unwrap(), kept);
    let quantity = row.decimal("QUANTITY").unwrap().unwrap();
    assert_eq!(quantity.whole(), Some(i128::from(number)));
    assert_eq!(row.time("At").unwrap(), Some(at));
    let order: Option<OrderId> = row.id("Id").unwrap();
    assert!(order.is_some());
    assert_eq!(row.text("Nothing").unwrap(), None);
}

/// Error texts are bounded and hold no control characters.
///
/// # Panics
/// The property does not hold.
pub fn error_answer(bytes: &[u8]) {
    let Ok(errors) = serde_json::from_slice::<Vec<ApiError>>(bytes) else {
        return;
    };
    let failure = ApiFailure {
        status: 400,
        errors,
    };
    let code = failure.errors.first().map_or(0, |error| error.code.len());
    let shown = failure.to_string();
    assert!(shown.chars().count() <= 520 + code, "{shown}");
    let _ = (failure.is_lock(), failure.is_gone());
}

/// A text in a query is read back unchanged: it cannot end its quotes.
///
/// # Panics
/// The property does not hold.
pub fn quoted_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let query = quoted(&text);
    let mut chars = query.chars();
    assert_eq!(chars.next(), Some('\''));
    let mut read = String::new();
    // A backslash takes the next character as it is; a bare quote ends the text.
    while let Some(c) = chars.next() {
        match c {
            '\\' => read.extend(chars.next()),
            '\'' => break,
            c => read.push(c),
        }
    }
    assert_eq!(read, text);
    assert_eq!(chars.as_str(), "", "something follows the text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::corpus::hold;

    #[test]
    fn properties_of_query_results_hold() {
        hold("soql_page", query_results);
    }

    #[test]
    fn properties_of_error_answers_hold() {
        hold("salesforce_error", error_answer);
    }

    #[test]
    fn texts_in_queries_are_read_back_unchanged() {
        hold("soql_text", quoted_text);
    }
}
