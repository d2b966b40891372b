//! Numbers: whole ones exact over all of `i64` and `u64`, the others `f64`; compared by their size, whatever they are.

use std::cmp::Ordering;
use std::hash::Hasher;

use super::budget::Stop;

/// A number. Whole numbers lie within `i64::MIN..=u64::MAX`, fractions are finite.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    /// An `i64`.
    Int(i64),
    /// A `u64` above all `i64`.
    Large(u64),
    Float(f64),
}

/// The five operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Number {
    pub(super) const ZERO: Self = Self::Int(0);

    pub(super) fn of_count(count: usize) -> Self {
        Self::whole(i128::try_from(count).unwrap_or(i128::MAX)).unwrap_or(Self::Large(u64::MAX))
    }

    /// A whole number, where there is room for it.
    pub(super) fn whole(number: i128) -> Option<Self> {
        let small = i64::try_from(number).ok().map(Self::Int);
        small.or_else(|| u64::try_from(number).ok().map(Self::Large))
    }

    /// A fraction, unless it is infinite or none.
    pub(super) fn float(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self::Float(number))
    }

    /// What JSON (or a text that looks like it) says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.bytes().next_back().is_some_and(|last| last.is_ascii_digit()) {
            return None; // "inf", "NaN", "1."
        }
        let small = text.parse().ok().map(Self::Int);
        let whole = small.or_else(|| text.parse().ok().map(Self::Large));
        whole.or_else(|| text.parse().ok().and_then(Self::float))
    }

    pub(super) fn is_zero(self) -> bool {
        self.compare(Self::ZERO).is_eq()
    }

    /// Rounded towards zero, held within `i64`.
    pub(super) fn truncated(self) -> i64 {
        match self {
            Self::Int(number) => number,
            Self::Large(_) => i64::MAX,
            Self::Float(number) => {
                let whole = truncate(number);
                i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
            }
        }
    }

    pub(super) fn as_float(self) -> f64 {
        match self {
            Self::Int(number) => nearest(i128::from(number)),
            Self::Large(number) => nearest(i128::from(number)),
            Self::Float(number) => number,
        }
    }

    fn as_whole(self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(number)),
            Self::Large(number) => Some(i128::from(number)),
            Self::Float(_) => None,
        }
    }

    /// Exact: 2^53 + 1 is more than 9007199254740992.0.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self.as_whole(), other.as_whole()) {
            (Some(left), Some(right)) => left.cmp(&right),
            (Some(left), None) => compare_mixed(left, other.as_float()),
            (None, Some(right)) => compare_mixed(right, self.as_float()).reverse(),
            (None, None) => {
                self.as_float().partial_cmp(&other.as_float()).unwrap_or(Ordering::Equal)
            }
        }
    }

    /// The same for equal numbers, and for few others.
    pub(super) fn mark(self, hasher: &mut impl Hasher) {
        hasher.write_u64(if self.is_zero() { 0 } else { self.as_float().to_bits() });
    }

    /// Whole numbers stay whole and are exact or an error; a fraction makes a fraction.
    pub(super) fn calculate(self, operation: Arithmetic, other: Self) -> Result<Self, Stop> {
        let result = match (self.as_whole(), other.as_whole()) {
            (Some(left), Some(right)) => whole(left, operation, right).and_then(Self::whole),
            _ => Self::float(fraction(self.as_float(), operation, other.as_float())),
        };
        result.ok_or(Stop::Error)
    }

    /// As people write it: a fraction that is whole like a whole number, and as the reference does from
    /// 1e21 on and below 0.0001 with an exponent of at least two digits.
    pub(super) fn show(self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Large(number) => number.to_string(),
            Self::Float(number) => show(number),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.compare(*other).is_eq()
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(*other)
    }
}

fn whole(left: i128, operation: Arithmetic, right: i128) -> Option<i128> {
    match operation {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Remainder => left.checked_rem(right),
    }
}

fn fraction(left: f64, operation: Arithmetic, right: f64) -> f64 {
    match operation {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    }
}

fn compare_mixed(whole: i128, float: f64) -> Ordering {
    let below = truncate(float);
    whole.cmp(&below).then_with(|| nearest(below).partial_cmp(&float).unwrap_or(Ordering::Equal))
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "rounds towards zero and saturates, as it should"
)]
fn truncate(float: f64) -> i128 {
    float as i128
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "the nearest f64 is meant")]
fn nearest(whole: i128) -> f64 {
    whole as f64
}

fn show(number: f64) -> String {
    if Number::Float(number).is_zero() {
        return "0".to_owned(); // also for the negative one
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..21).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Number {
        Number::parse(text).expect(text)
    }

    #[test]
    fn numbers_are_shown_as_the_reference_does() {
        let rows = [
            ("1.0", "1"),
            ("-0.0", "0"),
            ("-0", "0"),
            ("0.1", "0.1"),
            ("1295.50", "1295.5"),
            ("100000000000000000000", "100000000000000000000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("-2.5e21", "-2.5e+21"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-300", "1.5e-300"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
        ];
        for (given, shown) in rows {
            assert_eq!(parsed(given).show(), shown, "{given}");
        }
    }

    #[test]
    fn comparing_is_exact_where_no_float_could_be() {
        let rows = [
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "18446744073709551615", Ordering::Equal),
            ("18446744073709551615", "1.8446744073709552e19", Ordering::Less),
            ("-1", "18446744073709551615", Ordering::Less),
            ("1", "1.0", Ordering::Equal),
            ("0", "-0.5", Ordering::Greater),
            ("-1", "-0.5", Ordering::Less),
            ("1", "1e300", Ordering::Less),
        ];
        for (left, right, expected) in rows {
            assert_eq!(parsed(left).compare(parsed(right)), expected, "{left} {right}");
            assert_eq!(parsed(right).compare(parsed(left)), expected.reverse(), "{left} {right}");
        }
    }

    #[test]
    fn whole_numbers_do_not_wrap() {
        let most = Number::Int(i64::MAX);
        let sum = most.calculate(Arithmetic::Add, Number::Int(1)).expect("room in u64");
        assert_eq!(sum.show(), "9223372036854775808");
        let large = Number::Large(u64::MAX);
        assert!(large.calculate(Arithmetic::Multiply, large).is_err());
        assert!(most.calculate(Arithmetic::Divide, Number::ZERO).is_err());
        assert!(Number::Float(1.0).calculate(Arithmetic::Divide, Number::ZERO).is_err());
    }

    #[test]
    fn truncating_saturates() {
        for (given, expected) in [("-1.9", -1), ("1e300", i64::MAX), ("-1e300", i64::MIN), ("7", 7)]
        {
            assert_eq!(parsed(given).truncated(), expected, "{given}");
        }
        for text in ["inf", "NaN", "1e999", "", "x", "1.", "-"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }
}
