//! Decimal arithmetic for `addf`, `subf`, `mulf` and `divf`, so that 0.1 + 0.2 is 0.3.
//!
//! Sums and products are exact; quotients are rounded half away from zero at 16 decimal places. A float enters with
//! the shortest digits that print it, and the result is the nearest float. Rules of shopspring/decimal v1.4.0.

use std::cmp::Ordering;

use crate::value::strconv::{FloatFormat, format_float};

/// Decimal places of a quotient.
const QUOTIENT_PLACES: i64 = 16;
/// One limb of an [`Integer`] holds nine decimal digits.
const LIMB: u64 = 1_000_000_000;
const LIMB_DIGITS: usize = 9;

/// `magnitude × 10^exponent`, negative or not.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    negative: bool,
    magnitude: Integer,
    exponent: i64,
}

/// A natural number: limbs of nine digits, lowest first, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Integer(Vec<u32>);

impl Decimal {
    /// # Errors
    /// The float is no number or infinite.
    pub(super) fn from_float(float: f64) -> Result<Decimal, String> {
        if !float.is_finite() {
            let name = if float.is_nan() {
                "NaN"
            } else if float > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            return Err(format!("Cannot create a Decimal from {name}"));
        }
        // `1.234e+05`: the shortest digits that read back as this float.
        let text = format_float(float.abs(), FloatFormat::Exponent, None);
        let (digits, exponent) = text.split_once('e').expect("the format writes an exponent");
        let fraction_digits = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent: i64 = exponent.parse().expect("the exponent is a number");
        Ok(Decimal {
            negative: float < 0.0,
            magnitude: Integer::parse(&digits.replace('.', "")),
            exponent: exponent - fraction_digits as i64,
        })
    }

    /// The nearest float.
    pub(super) fn to_float(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        let text = format!("{sign}{}e{}", self.magnitude.to_digits(), self.exponent);
        let float: f64 = text.parse().expect("digits and an exponent are a float");
        // Decimals have no negative zero.
        if float == 0.0 { 0.0 } else { float }
    }

    /// How long the number is; what reckoning with it costs.
    pub(super) fn limbs(&self) -> usize {
        self.magnitude.0.len()
    }

    pub(super) fn add(left: &Decimal, right: &Decimal) -> Result<Decimal, String> {
        let exponent = left.exponent.min(right.exponent);
        let (l, r) = (left.scaled_to(exponent), right.scaled_to(exponent));
        let (negative, magnitude) = if left.negative == right.negative {
            (left.negative, l.add(&r))
        } else if l.compare(&r) == Ordering::Less {
            (right.negative, r.subtract(&l))
        } else {
            (left.negative, l.subtract(&r))
        };
        Ok(Decimal { negative, magnitude, exponent })
    }

    pub(super) fn subtract(left: &Decimal, right: &Decimal) -> Result<Decimal, String> {
        Decimal::add(left, &Decimal { negative: !right.negative, ..right.clone() })
    }

    pub(super) fn multiply(left: &Decimal, right: &Decimal) -> Result<Decimal, String> {
        Ok(Decimal {
            negative: left.negative != right.negative,
            magnitude: left.magnitude.multiply(&right.magnitude),
            exponent: left.exponent + right.exponent,
        })
    }

    /// # Errors
    /// The divisor is zero.
    pub(super) fn divide(left: &Decimal, right: &Decimal) -> Result<Decimal, String> {
        if right.magnitude.0.is_empty() {
            return Err("decimal division by 0".into());
        }
        let shift = left.exponent - right.exponent + QUOTIENT_PLACES;
        let places = usize::try_from(shift.unsigned_abs()).expect("exponents of floats are small");
        let (dividend, divisor) = if shift >= 0 {
            (left.magnitude.shifted(places), right.magnitude.clone())
        } else {
            (left.magnitude.clone(), right.magnitude.shifted(places))
        };
        let (mut quotient, remainder) = dividend.divide(&divisor);
        if remainder.add(&remainder).compare(&divisor) != Ordering::Less {
            quotient = quotient.add(&Integer(vec![1]));
        }
        Ok(Decimal { negative: left.negative != right.negative, magnitude: quotient, exponent: -QUOTIENT_PLACES })
    }

    /// The magnitude at a smaller exponent.
    fn scaled_to(&self, exponent: i64) -> Integer {
        self.magnitude.shifted(usize::try_from(self.exponent - exponent).expect("the exponent asked for is smaller"))
    }
}

impl Integer {
    fn parse(digits: &str) -> Integer {
        let limbs = digits.as_bytes().rchunks(LIMB_DIGITS);
        let limb = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        Integer(limbs.map(limb).collect()).trimmed()
    }

    fn to_digits(&self) -> String {
        let mut limbs = self.0.iter().rev();
        let first = limbs.next().map_or("0".to_owned(), u32::to_string);
        limbs.fold(first, |digits, limb| digits + &format!("{limb:09}"))
    }

    fn trimmed(mut self) -> Integer {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }

    fn compare(&self, other: &Integer) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    fn add(&self, other: &Integer) -> Integer {
        let length = self.0.len().max(other.0.len());
        let mut limbs = Vec::with_capacity(length + 1);
        let mut carry = 0;
        for i in 0..=length {
            let sum = carry + self.limb(i) + other.limb(i);
            limbs.push((sum % LIMB) as u32);
            carry = sum / LIMB;
        }
        Integer(limbs).trimmed()
    }

    /// The difference; `other` must not be larger.
    fn subtract(&self, other: &Integer) -> Integer {
        let mut borrow = 0;
        let limb = |i: usize| {
            let taken = other.limb(i) + borrow;
            let have = self.limb(i);
            borrow = u64::from(have < taken);
            (have + borrow * LIMB - taken) as u32
        };
        Integer((0..self.0.len()).map(limb).collect()).trimmed()
    }

    fn multiply(&self, other: &Integer) -> Integer {
        let mut limbs = vec![0_u32; self.0.len() + other.0.len() + 1];
        for (i, left) in self.0.iter().enumerate() {
            let mut carry = 0;
            for k in 0..=other.0.len() {
                let sum = u64::from(limbs[i + k]) + u64::from(*left) * other.limb(k) + carry;
                limbs[i + k] = (sum % LIMB) as u32;
                carry = sum / LIMB;
            }
        }
        Integer(limbs).trimmed()
    }

    /// Times ten to a power.
    fn shifted(&self, places: usize) -> Integer {
        if self.0.is_empty() {
            return self.clone();
        }
        let mut limbs = vec![0; places / LIMB_DIGITS];
        limbs.extend_from_slice(&self.0);
        Integer(limbs).multiply(&Integer(vec![10_u32.pow((places % LIMB_DIGITS) as u32)]))
    }

    /// Quotient and remainder by long division, digit by digit.
    fn divide(&self, divisor: &Integer) -> (Integer, Integer) {
        let mut remainder = Integer(Vec::new());
        let mut quotient = String::new();
        for digit in self.to_digits().bytes() {
            remainder = remainder.shifted(1).add(&Integer(vec![u32::from(digit - b'0')]).trimmed());
            let mut times = b'0';
            while remainder.compare(divisor) != Ordering::Less {
                remainder = remainder.subtract(divisor);
                times += 1;
            }
            quotient.push(char::from(times));
        }
        (Integer::parse(&quotient), remainder)
    }

    fn limb(&self, index: usize) -> u64 {
        self.0.get(index).copied().map_or(0, u64::from)
    }
}
