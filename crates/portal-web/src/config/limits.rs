//! Limits on what one account may do.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use governor::Quota;
use settings::{Invalid, number};

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
    ///
    /// # Errors
    /// Not such a rate.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let rate = || {
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
        };
        rate().ok_or_else(|| Invalid::new("Use a number above 0 per s, m or h, such as 120/m"))
    }

    pub(crate) fn quota(self) -> Quota {
        // A period of zero, the only invalid one, would need a count of more than 10^9.
        let period = (self.period / self.count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period).unwrap_or(Quota::per_minute(self.count));
        quota.allow_burst(self.count)
    }
}

/// Limits on what one account may do.
#[derive(Args, Clone, Copy, Debug)]
pub struct Limits {
    /// Reads of one account, opened event streams included: a number per s, m or h
    #[arg(
        long = "portal-read-limit",
        env = "PORTAL_READ_LIMIT",
        default_value = "120/m",
        value_parser = Rate::parse
    )]
    pub reads: Rate,
    /// New orders of one account: a number per s, m or h
    #[arg(
        long = "portal-order-limit",
        env = "PORTAL_ORDER_LIMIT",
        default_value = "20/m",
        value_parser = Rate::parse
    )]
    pub orders: Rate,
    /// Event streams that one account has open at once
    #[arg(
        long = "portal-stream-limit",
        env = "PORTAL_STREAM_LIMIT",
        default_value = "10",
        value_parser = number(NonZeroUsize::MIN..=NonZeroUsize::MAX)
    )]
    pub streams: NonZeroUsize,
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
            assert!(Rate::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn invalid_limits_name_their_setting() {
        let invalid = [
            ("PORTAL_READ_LIMIT", "many"),
            ("PORTAL_ORDER_LIMIT", "0/m"),
            ("PORTAL_STREAM_LIMIT", "0"),
        ];
        let text = settings::given::<Limits>(invalid).unwrap_err().to_string();
        for (name, _) in invalid {
            assert!(text.contains(name), "{text}");
        }
    }
}
