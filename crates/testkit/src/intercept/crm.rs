//! Hooks of the CRM.

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::ClientId;
use domain::order::{
    CustomerOrder, ItemReport, OrderDetails, OrderGuard, PlaceRequest, Placed, Report, RetryAnswer,
};
use domain::ports::{CallError, CrmOrders, CustomerOrders, ReportAnswer, RetryRequests};

hooks! {
    CrmOrdersHooks for CrmOrders, "salesforce", CallError {
        fn details(order: OrderId) -> Option<OrderDetails>;
        fn order_guard(order: OrderId) -> Option<OrderGuard>;
        fn link_client(account: AccountId, client: ClientId) -> ();
        fn report_items(items: &[ItemReport]) -> ();
        fn report(order: OrderId, report: &Report) -> ReportAnswer;
    }
}

hooks! {
    CustomerOrdersHooks for CustomerOrders, "salesforce", CallError {
        fn place(request: &PlaceRequest) -> Placed;
        fn customer_orders(orders: &[OrderId]) -> Vec<CustomerOrder>;
    }
}

hooks! {
    RetryRequestsHooks for RetryRequests, "salesforce", CallError {
        fn request_retry(order: OrderId) -> RetryAnswer;
    }
}
