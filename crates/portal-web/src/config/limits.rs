//! Limits on what one account may do.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use governor::Quota;
use settings::Problems;

/// Limits of the customer API, as given.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// Reads of one account: a number per s, m or h [default: 120/m]
    #[arg(long, env = "PORTAL_READ_LIMIT")]
    pub portal_read_limit: Option<String>,
    /// New orders of one account: a number per s, m or h [default: 20/m]
    #[arg(long, env = "PORTAL_ORDER_LIMIT")]
    pub portal_order_limit: Option<String>,
    /// Event streams that one account has open at once [default: 10]
    #[arg(long, env = "PORTAL_STREAM_LIMIT")]
    pub portal_stream_limit: Option<String>,
}

/// How often something may happen. All of it may happen in one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    period: Duration,
}

impl Rate {
    /// So many in each minute.
    #[must_use]
    pub const fn per_minute(count: NonZeroU32) -> Self {
        Self {
            count,
            period: Duration::from_secs(60),
        }
    }

    /// Parses `10/s`, `120/m` or `1000/h`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Self {
            count: count.trim().parse().ok()?,
            period: Duration::from_secs(seconds),
        })
    }

    pub(crate) fn quota(self) -> Quota {
        // A period of zero, the only invalid one, would need a count of more than 10^9.
        let period = (self.period / self.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(self.count));
        quota.allow_burst(self.count)
    }
}

/// Limits on what one account may do.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reads, opened event streams included.
    pub reads: Rate,
    /// New orders.
    pub orders: Rate,
    /// Event streams that are open at once.
    pub streams: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        const fn per_minute(count: u32) -> Rate {
            Rate::per_minute(NonZeroU32::new(count).expect("not zero"))
        }
        Self {
            reads: per_minute(120),
            orders: per_minute(20),
            streams: NonZeroUsize::new(10).expect("not zero"),
        }
    }
}

impl LimitArgs {
    /// The limits; `None` after a problem was noted.
    pub(super) fn check(&self, problems: &mut Problems) -> Option<Limits> {
        let mut rate = |name, given: &Option<String>, default| {
            let fix = "Use a number above 0 per s, m or h, such as 120/m";
            problems.parse(name, given.as_deref(), default, fix, Rate::parse)
        };
        let reads = rate("PORTAL_READ_LIMIT", &self.portal_read_limit, "120/m");
        let orders = rate("PORTAL_ORDER_LIMIT", &self.portal_order_limit, "20/m");
        let streams = problems.parse(
            "PORTAL_STREAM_LIMIT",
            self.portal_stream_limit.as_deref(),
            "10",
            "Use a whole number above 0",
            |text| text.parse().ok(),
        );
        Some(Limits {
            reads: reads?,
            orders: orders?,
            streams: streams?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_number_per_unit() {
        for (text, count, seconds) in [("120/m", 120, 60), ("1 / s", 1, 1), ("7/h", 7, 3600)] {
            let rate = Rate::parse(text).unwrap();
            assert_eq!(rate.count.get(), count, "{text}");
            assert_eq!(rate.period, Duration::from_secs(seconds), "{text}");
            assert_eq!(rate.quota().burst_size().get(), count, "{text}");
        }
        for text in ["", "120", "0/m", "-1/m", "5/d", "/m", "5000000000/s"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
    }

    #[test]
    fn invalid_limits_name_their_setting() {
        let args = LimitArgs {
            portal_read_limit: Some("many".to_owned()),
            portal_order_limit: Some("0/m".to_owned()),
            portal_stream_limit: Some("0".to_owned()),
        };
        let mut problems = Problems::new();
        assert!(args.check(&mut problems).is_none());
        let text = problems.to_string();
        for name in [
            "PORTAL_READ_LIMIT",
            "PORTAL_ORDER_LIMIT",
            "PORTAL_STREAM_LIMIT",
        ] {
            assert!(text.contains(name), "{text}");
        }
    }
}
