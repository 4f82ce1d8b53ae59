//! The product catalogue.

use std::sync::Arc;
use std::time::Duration;

use domain::key::ProductId;
use domain::order::Cycle;
use domain::ports::{CallError, CatalogueEntry, Freshness, Module, ModuleKind};
use error_chain::chain;
use moka::future::Cache;
use serde_json::{Map, Value};

use crate::answer::{Denial, Kind};
use crate::form::Form;
use crate::{Whmcs, wire};

/// How long an answer is kept for [`Freshness::Recent`].
const KEPT: Duration = Duration::from_secs(60);
/// Number of answers that are kept.
const ANSWERS: u64 = 1000;

/// Answers of GetProducts, by the products asked for.
pub(crate) type Answers = Cache<Vec<ProductId>, Option<Vec<CatalogueEntry>>>;

/// An empty cache.
pub(crate) fn answers() -> Answers {
    Cache::builder()
        .max_capacity(ANSWERS)
        .time_to_live(KEPT)
        .build()
}

/// The error of a call that several callers waited for.
fn shared(error: Arc<CallError>) -> CallError {
    Arc::try_unwrap(error).unwrap_or_else(|error| match &*error {
        CallError::NotSent {
            retry_after,
            source,
        } => CallError::NotSent {
            retry_after: *retry_after,
            source: chain(&**source).to_string().into(),
        },
        CallError::Unknown { source } => CallError::Unknown {
            source: chain(&**source).to_string().into(),
        },
        CallError::Refused(refusal) => CallError::Refused(refusal.clone()),
        CallError::Denied { detail, source } => CallError::Denied {
            detail: detail.clone(),
            source: chain(&**source).to_string().into(),
        },
    })
}

impl Whmcs {
    /// The catalogue entries of these products. Callers that ask for the same at the same time share
    /// one call.
    pub(crate) async fn catalogue_of(
        &self,
        products: &[ProductId],
        freshness: Freshness,
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        match freshness {
            Freshness::Recent => {
                let read = self.read_catalogue(products);
                let answer = self.catalogue.try_get_with(products.to_vec(), read);
                answer.await.map_err(shared)
            }
            Freshness::Now => {
                let answer = self.read_catalogue(products).await?;
                let kept = answer.clone();
                self.catalogue.insert(products.to_vec(), kept).await;
                Ok(answer)
            }
        }
    }

    /// The catalogue entries of these products, or `None` if we may not read the catalogue. That is
    /// acceptable, since AddOrder itself refuses what it cannot sell.
    async fn read_catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        let ids: Vec<_> = products.iter().map(ToString::to_string).collect();
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let form = Form::new().set("pid", ids.join(","));
        let answer = match self.api.call(Kind::Read, "GetProducts", form).await {
            Ok(answer) => answer,
            Err(error) if Denial::closes_one_action(&error) => {
                tracing::warn!(error = %chain(&error), "catalogue not readable; mappings are not checked");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(found) = wire::list(&answer, "products", "product") else {
            return Ok(None);
        };
        Ok(Some(
            found
                .into_iter()
                .filter_map(|product| self.entry(product))
                .collect(),
        ))
    }

    fn entry(&self, product: &Map<String, Value>) -> Option<CatalogueEntry> {
        let module = product.get("module").and_then(Value::as_str);
        let name = module.unwrap_or_default().to_owned();
        let kind = match module {
            Some("") => ModuleKind::None,
            Some(name) if self.options.idempotent_modules.contains(name) => ModuleKind::Idempotent,
            _ => ModuleKind::Unlisted,
        };
        Some(CatalogueEntry {
            product: ProductId(wire::id(product.get("pid"))?),
            module: Module { name, kind },
            closed_cycles: closed_cycles(product),
        })
    }
}

/// Recurring cycles without a price (`-1.00`) in every currency.
fn closed_cycles(product: &Map<String, Value>) -> Vec<Cycle> {
    let recurring = wire::text(product.get("paytype")).eq_ignore_ascii_case("recurring");
    let Some(pricing) = product
        .get("pricing")
        .and_then(Value::as_object)
        .filter(|_| recurring)
    else {
        return Vec::new();
    };
    let closed = |cycle: &Cycle| {
        let prices: Vec<_> = pricing
            .values()
            .filter_map(|price| price.get(cycle.name()))
            .collect();
        !prices.is_empty()
            && prices.iter().all(|price| match price {
                Value::String(text) => text.trim().starts_with('-'),
                other => other.as_f64().is_some_and(|price| price < 0.0),
            })
    };
    Cycle::ALL.into_iter().filter(closed).collect()
}
