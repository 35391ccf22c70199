//! Numbers as checks compare them: six decimals, so that what is written is what was compared.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A number with six decimals, counted in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Number(pub i64);

const ONE: i64 = 1_000_000;

impl Number {
    /// The largest that a threshold may be.
    pub const MOST: Self = Self(1_000_000_000 * ONE);

    /// A whole number.
    #[must_use]
    pub const fn whole(n: i64) -> Self {
        Self(n.saturating_mul(ONE))
    }

    /// With as many digits as people want to read: three decimals below ten, one below a thousand, then none.
    #[must_use]
    pub fn rounded(self) -> Self {
        let step = match self.0.unsigned_abs() {
            0..10_000_000 => 1_000,
            10_000_000..1_000_000_000 => 100_000,
            _ => ONE,
        };
        // What is small is not nothing.
        if self.0 != 0 && self.0.abs() < step {
            self
        } else {
            Self((self.0 as f64 / step as f64).round() as i64 * step)
        }
    }
}

impl TryFrom<f64> for Number {
    type Error = Invalid;
    fn try_from(n: f64) -> Result<Self, Invalid> {
        if n.is_nan() {
            return Err(Invalid::new("", "is not a number"));
        }
        // What is too large stays the largest there is.
        Ok(Self((n * ONE as f64).round() as i64))
    }
}

impl From<Number> for f64 {
    fn from(n: Number) -> Self {
        n.0 as Self / ONE as Self
    }
}

impl FromStr for Number {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = || Invalid::new("", "is not a number; write it like 3 or 0.5");
        let n: f64 = text.trim().parse().map_err(|_| refuse())?;
        if n.is_finite() { Self::try_from(n) } else { Err(refuse()) }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.unsigned_abs() / ONE as u64, self.0.unsigned_abs() % ONE as u64);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{rest:06}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_written_and_rounded() {
        for text in ["0", "1", "0.01", "-2.5", "1000000000", "0.000001"] {
            let n: Number = text.parse().unwrap();
            assert_eq!(n.to_string(), text);
            assert_eq!(serde_json::from_str::<Number>(&serde_json::to_string(&n).unwrap()).unwrap(), n);
        }
        assert!(
            "x".parse::<Number>().is_err()
                && "inf".parse::<Number>().is_err()
                && Number::try_from(f64::NAN).is_err()
        );
        let rounded = |text: &str| text.parse::<Number>().unwrap().rounded().to_string();
        assert_eq!([rounded("0.41234"), rounded("12.345"), rounded("123456.7")], ["0.412", "12.3", "123457"]);
        assert_eq!(rounded("0.0000123"), "0.000012", "what is small is not nothing");
    }
}
