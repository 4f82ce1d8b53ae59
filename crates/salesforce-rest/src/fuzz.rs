//! Fuzz targets: query results (`fuzz/README.md`).

use domain::id::{AccountId, OrderId, OrderItemId};
use domain::time::Timestamp;
use serde_json::json;
use testkit::fuzz::Target;

use crate::wire::{Page, Row, write_time};

const FIELDS: &[&str] = &[
    "Id",
    "Status",
    "Quantity",
    "CreatedDate",
    "Account",
    "OrderItems",
    "records",
];

#[test]
fn parsing_query_results_never_panics() {
    let target = Target {
        name: "soql_page",
        dictionary: &[
            r#"{"done":true,"records":["#,
            r#"{"done":false,"nextRecordsUrl":"/services/data/v66.0/query/01g","records":["#,
            r#""OrderItems":{"done":true,"records":["#,
            r#""Account":{"Id":"#,
            r#""801000000000001AAA""#,
            r#""2026-11-24T01:51:16.000+0000""#,
            "1e400",
            "-0.000000000000000000000000000001",
            "null",
            "]}",
        ],
    };
    target.hold(|bytes| {
        if let Ok(page) = serde_json::from_slice::<Page>(bytes) {
            read_page(&page, 4);
        }
    });
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

#[test]
fn query_results_round_trip() {
    let target = Target {
        name: "soql_page",
        dictionary: &[],
    };
    target.hold(|bytes| {
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
    });
}
