//! Marking the services of an order that another program placed.
//!
//! WHMCS has no call that changes an order's notes, so a marker can be added through the API only
//! where a product has a custom field for it.

use domain::key::{LineMarker, ProductId, ServiceId};
use domain::ports::CallError;

use crate::answer::Kind;
use crate::form::Form;
use crate::{Whmcs, php};

impl Whmcs {
    /// The custom field for line markers of this product, where one is configured.
    #[must_use]
    pub fn line_marker_field(&self, product: ProductId) -> Option<u64> {
        self.options.line_markers.0.get(&product).copied()
    }

    /// Writes a line marker into this custom field of a service. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn mark_service(
        &self,
        service: ServiceId,
        field: u64,
        marker: LineMarker,
    ) -> Result<(), CallError> {
        let fields = php::encoded_map([(field, marker.to_string().as_str())]);
        let form = Form::new()
            .set("serviceid", service)
            .set("customfields", fields);
        let call = self.api.call(Kind::Effect, "UpdateClientProduct", form);
        call.await.map(|_| ())
    }
}
