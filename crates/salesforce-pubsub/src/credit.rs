//! How many events the service may still send.

/// How much credit is open. The service's own count is what holds; only a grant that it has
/// not counted yet is added, or it would be given twice.
#[derive(Debug)]
pub(crate) struct Ledger {
    window: i32,
    pub(crate) known: i32,
    on_its_way: i32,
}

impl Ledger {
    pub(crate) fn new(window: i32) -> Self {
        Self {
            window,
            known: window,
            on_its_way: 0,
        }
    }

    pub(crate) fn received(&mut self, events: i32, pending: i32) {
        let pending = pending.max(0);
        // More than what deliveries explain: the grant has arrived.
        if pending.saturating_add(events) > self.known {
            self.on_its_way = 0;
        }
        self.known = pending;
    }

    pub(crate) fn due(&self) -> Option<i32> {
        let open = self.known.saturating_add(self.on_its_way);
        (open <= self.window / 2)
            .then(|| self.window - open)
            .filter(|events| *events > 0)
    }

    pub(crate) fn granted(&mut self, events: i32) {
        self.on_its_way += events;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_granted_at_half_the_window_and_a_grant_under_way_is_not_given_twice() {
        let mut ledger = Ledger::new(100);
        assert_eq!(ledger.due(), None);
        ledger.received(49, 51);
        assert_eq!(ledger.due(), None);
        ledger.received(1, 50);
        assert_eq!(ledger.due(), Some(50));
        ledger.granted(50);
        // Sent before the grant arrived there.
        ledger.received(10, 40);
        assert_eq!(ledger.due(), None);
        // Sent after it.
        ledger.received(10, 80);
        assert_eq!((ledger.due(), ledger.on_its_way), (None, 0));
        ledger.received(80, 0);
        assert_eq!(ledger.due(), Some(100));
    }

    #[test]
    fn a_window_of_one_keeps_moving() {
        let mut ledger = Ledger::new(1);
        assert_eq!(ledger.due(), None);
        ledger.received(1, 0);
        assert_eq!(ledger.due(), Some(1));
    }
}
