//! The lane to WHMCS: open, or paused because WHMCS refuses us as such.

use std::sync::Mutex;

use domain::time::Timestamp;

use crate::measure;

/// Whether WHMCS lets us in, as far as this process knows.
#[derive(Debug, Default)]
pub struct Lane(Mutex<Option<LaneView>>);

/// Why the lane is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneView {
    /// Since when.
    pub since: Timestamp,
    /// What WHMCS refuses and what to mend.
    pub detail: String,
}

impl Lane {
    /// Pauses the lane; says so once, however many calls are refused.
    pub fn pause(&self, now: Timestamp, detail: &str) {
        let mut paused = self.lock();
        if paused.is_none() {
            tracing::error!(
                detail,
                "WHMCS refuses the bridge; orders wait until it lets us in"
            );
            measure::lane_paused(1);
            *paused = Some(LaneView {
                since: now,
                detail: detail.to_owned(),
            });
        }
    }

    /// Opens the lane.
    pub fn open(&self) {
        if self.lock().take().is_some() {
            tracing::info!("WHMCS lets the bridge in again; waiting orders go on");
        }
    }

    /// Why it is paused, while it is.
    #[must_use]
    pub fn paused(&self) -> Option<LaneView> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<LaneView>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
