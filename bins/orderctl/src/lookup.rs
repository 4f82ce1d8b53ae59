//! Finding an order and its client.

use domain::key::ClientId;
use domain::order::Progress;
use operations::{OrderQuery, OrderRow, OrderViews};

use crate::screen::Stop;

/// Finds the one order with this id or number.
pub(crate) async fn find(reader: &dyn OrderViews, text: &str) -> Result<OrderRow, Stop> {
    let query = OrderQuery {
        text: Some(text.to_owned()),
        limit: 2,
        ..OrderQuery::default()
    };
    let mut found = reader.orders(&query).await?;
    match (found.pop(), found.is_empty()) {
        (Some(row), true) => Ok(row),
        (None, _) => Err(Stop::NotFound(format!(
            "no order `{text}` in the store. Give a Salesforce order id or number, or a WHMCS order id"
        ))),
        (Some(_), false) => Err(Stop::failed(format!(
            "`{text}` matches more than one order. Run `orderctl orders list --search {text}` and give an order id"
        ))),
    }
}

/// The WHMCS client, once recorded.
pub(crate) fn client_of(progress: &Progress) -> Option<ClientId> {
    match progress {
        Progress::Nothing | Progress::CreatingClient(_) => None,
        Progress::ClientResolved { client }
        | Progress::Placing { client, .. }
        | Progress::Placed { client, .. }
        | Progress::Activating { client, .. }
        | Progress::Accepted { client, .. } => Some(*client),
    }
}
