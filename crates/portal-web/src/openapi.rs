//! The customer API as an OpenAPI document.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::customer::{create_order, events, orders};

/// The content of `docs/openapi.json`.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "orderbridge customer API",
        description = "Creates orders and reports their status.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(create_order::create, orders::show, events::follow),
    tags((name = "orders", description = "A customer's own orders")),
    security(("token" = [])),
    modifiers(&Token),
)]
struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(
                "From the customers' identity provider, with the claims exp and account_id. The claim scope limits it to orders:read, orders:write and orders:price, the claim order_id to reading one order",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The customer API as an OpenAPI document, pretty-printed JSON.
///
/// # Errors
/// Serialization failed.
pub fn openapi() -> Result<String, serde_json::Error> {
    Document::openapi().to_pretty_json()
}
