//! Flow control: how many events the service may still send.

/// The flow control window. The service's count of outstanding credits is authoritative; grants
/// that it has not counted yet are added, so that they are not granted twice.
#[derive(Debug)]
pub(crate) struct FlowControlWindow {
    window: i32,
    pub(crate) outstanding: i32,
    in_flight: i32,
}

impl FlowControlWindow {
    pub(crate) fn new(window: i32) -> Self {
        Self {
            window,
            outstanding: window,
            in_flight: 0,
        }
    }

    pub(crate) fn received(&mut self, events: i32, pending: i32) {
        let pending = pending.max(0);
        // More than the deliveries explain: the grant has arrived.
        if pending.saturating_add(events) > self.outstanding {
            self.in_flight = 0;
        }
        self.outstanding = pending;
    }

    pub(crate) fn due(&self) -> Option<i32> {
        let open = self.outstanding.saturating_add(self.in_flight);
        (open <= self.window / 2)
            .then(|| self.window - open)
            .filter(|events| *events > 0)
    }

    pub(crate) fn granted(&mut self, events: i32) {
        self.in_flight += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_granted_once_at_half_the_window() {
        let mut credits = FlowControlWindow::new(100);
        assert_eq!(credits.due(), None);
        credits.received(49, 51);
        assert_eq!(credits.due(), None);
        credits.received(1, 50);
        assert_eq!(credits.due(), Some(50));
        credits.granted(50);
        // Sent before the grant arrived.
        credits.received(10, 40);
        assert_eq!(credits.due(), None);
        // Sent after it.
        credits.received(10, 80);
        assert_eq!((credits.due(), credits.in_flight), (None, 0));
        credits.received(80, 0);
        assert_eq!(credits.due(), Some(100));
    }

    #[test]
    fn window_of_one_keeps_flowing() {
        let mut credits = FlowControlWindow::new(1);
        assert_eq!(credits.due(), None);
        credits.received(1, 0);
        assert_eq!(credits.due(), Some(1));
    }
}
