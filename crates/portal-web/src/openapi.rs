//! The customer API as an OpenAPI document.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::{api, events};

/// What `docs/openapi.json` holds.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "orderbridge customer API",
        description = "Places orders and tells where they are.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(api::place, api::show, events::follow),
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
                "From the customers' identity provider, with the claims exp and account_id",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The customer API as an OpenAPI document: JSON for people to read.
///
/// # Errors
/// It cannot be written as JSON.
pub fn openapi() -> Result<String, serde_json::Error> {
    Document::openapi().to_pretty_json()
}
