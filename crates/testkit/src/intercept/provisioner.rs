//! Hooks of the provisioning system.

use async_trait::async_trait;
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{WhmcsClient, WhmcsOrder};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, NewClient, NewOrder, OrderDetail, PlaceAnswer,
    Provisioner, ProvisionerReads,
};

hooks! {
    ProvisionerReadsHooks for ProvisionerReads, "whmcs", CallError {
        fn client(client: ClientId) -> Option<WhmcsClient>;
        fn client_by_email(email: &str) -> Option<WhmcsClient>;
        fn catalogue(products: &[ProductId], freshness: Freshness) -> Option<Vec<CatalogueEntry>>;
        fn orders(
            client: ClientId,
            above: Option<WhmcsOrderId>,
            detail: OrderDetail
        ) -> Vec<WhmcsOrder>;
        fn order(client: ClientId, order: WhmcsOrderId) -> Option<WhmcsOrder>;
        fn probe() -> ();
    }
}

hooks! {
    ProvisionerHooks for Provisioner, "whmcs", CallError {
        fn create_client(client: &NewClient) -> ClientId;
        fn place_order(order: &NewOrder) -> PlaceAnswer;
        fn accept_order(order: WhmcsOrderId, run_modules: bool) -> ();
        fn create_service(service: ServiceId) -> ();
    }
}
