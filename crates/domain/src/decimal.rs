//! Exact decimal numbers, as they appear in JSON.

use std::fmt;
use std::str::FromStr;

/// A decimal number without rounding: `units` divided by ten to the `scale`.
///
/// Money and quantities arrive as decimal text; a binary float would change them.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    units: i128,
    scale: u32,
}

/// The text is not a decimal number of at most 30 digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal number")]
pub struct InvalidDecimal(String);

impl Decimal {
    /// The value as a whole number, or `None` when it has a fraction.
    #[must_use]
    pub fn whole(self) -> Option<i128> {
        let divisor = 10_i128.checked_pow(self.scale)?;
        (self.units % divisor == 0).then(|| self.units / divisor)
    }

    fn normalised(self) -> (i128, u32) {
        let (mut units, mut scale) = (self.units, self.scale);
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        (units, scale)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.normalised() == other.normalised()
    }
}

impl Eq for Decimal {}

impl From<i64> for Decimal {
    fn from(units: i64) -> Self {
        Self {
            units: units.into(),
            scale: 0,
        }
    }
}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    /// Reads `12`, `-3.50`, `1E+2` and `2.5e-3`, the forms JSON writers use.
    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        let invalid = || InvalidDecimal(text.chars().take(40).collect());
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                (mantissa, exponent.parse::<i32>().map_err(|_| invalid())?)
            }
            None => (text, 0),
        };
        let (sign, digits) = match mantissa.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(invalid());
        }
        if whole.len() + fraction.len() > 30 || !(-30..=30).contains(&exponent) {
            return Err(invalid());
        }
        let joined = format!("{whole}{fraction}");
        let mut units = sign * joined.parse::<i128>().map_err(|_| invalid())?;
        let scale = i32::try_from(fraction.len()).map_err(|_| invalid())? - exponent;
        let scale = match u32::try_from(scale) {
            Ok(scale) => scale,
            Err(_) => {
                let factor = 10_i128
                    .checked_pow(scale.unsigned_abs())
                    .ok_or_else(invalid)?;
                units = units.checked_mul(factor).ok_or_else(invalid)?;
                0
            }
        };
        Ok(Self { units, scale })
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let digits = self.units.unsigned_abs().to_string();
        let scale = self.scale as usize;
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_digits_and_compare_by_value() {
        let check = |text: &str, shown: &str, whole: Option<i128>| {
            let decimal: Decimal = text.parse().unwrap();
            assert_eq!(decimal.to_string(), shown, "{text}");
            assert_eq!(decimal.whole(), whole, "{text}");
        };
        check("12", "12", Some(12));
        check("1.0", "1.0", Some(1));
        check("-3.50", "-3.50", None);
        check("0.05", "0.05", None);
        check("1E+2", "100", Some(100));
        check("2.5e-3", "0.0025", None);
        assert_eq!("1.50".parse::<Decimal>().unwrap(), "1.5".parse().unwrap());
    }

    #[test]
    fn invalid_decimals_are_rejected() {
        for text in [
            "",
            ".",
            "1,5",
            "NaN",
            "--1",
            "1e99",
            "9".repeat(31).as_str(),
        ] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }
}
