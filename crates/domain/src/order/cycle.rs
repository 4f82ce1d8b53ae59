//! Billing cycles, by the names both systems use.

use std::fmt;
use std::str::FromStr;

/// How often a service is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cycle {
    /// Nothing is billed.
    Free,
    /// Billed once.
    OneTime,
    /// Every month.
    Monthly,
    /// Every three months.
    Quarterly,
    /// Every six months.
    SemiAnnually,
    /// Every year.
    Annually,
    /// Every two years.
    Biennially,
    /// Every three years.
    Triennially,
}

/// The text is not a billing cycle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid billing cycle")]
pub struct UnknownCycle(String);

impl Cycle {
    /// Every cycle.
    pub const ALL: [Self; 8] = [
        Self::Free,
        Self::OneTime,
        Self::Monthly,
        Self::Quarterly,
        Self::SemiAnnually,
        Self::Annually,
        Self::Biennially,
        Self::Triennially,
    ];

    /// The name used in requests to WHMCS and in `Billing_Cycle__c`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::OneTime => "onetime",
            Self::Monthly => "monthly",
            Self::Quarterly => "quarterly",
            Self::SemiAnnually => "semiannually",
            Self::Annually => "annually",
            Self::Biennially => "biennially",
            Self::Triennially => "triennially",
        }
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cycle {
    type Err = UnknownCycle;

    /// Parses requests (`semiannually`) and answers (`Semi-Annually`, `One Time`, `Free Account`)
    /// alike: case, blanks and hyphens are ignored.
    fn from_str(text: &str) -> Result<Self, UnknownCycle> {
        let plain: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_'))
            .flat_map(char::to_lowercase)
            .collect();
        if plain == "freeaccount" {
            return Ok(Self::Free);
        }
        Self::ALL
            .into_iter()
            .find(|cycle| cycle.name() == plain)
            .ok_or_else(|| UnknownCycle(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycle_names_of_requests_and_answers_parse() {
        for cycle in Cycle::ALL {
            assert_eq!(cycle.name().parse(), Ok(cycle));
        }
        for (text, cycle) in [
            ("Semi-Annually", Cycle::SemiAnnually),
            ("One Time", Cycle::OneTime),
            ("One-Time", Cycle::OneTime),
            ("Free Account", Cycle::Free),
            (" Monthly ", Cycle::Monthly),
        ] {
            assert_eq!(text.parse(), Ok(cycle), "{text}");
        }
        assert!("weekly".parse::<Cycle>().is_err());
    }
}
