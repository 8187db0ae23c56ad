//! Sums of weights that do not depend on the order in which they are added.

/// The exact sum of non-negative floats: for each exponent the sum of the mantissas, which are whole numbers. Two sums of
/// the same numbers are equal however they came about, so that threads and row groups change nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exact {
    /// By exponent, smallest first. A mantissa has 53 bits, so that 2^75 of them fit.
    terms: Vec<(i16, u128)>,
}

impl Exact {
    /// Adds a number that is finite and not negative.
    pub fn add(&mut self, number: f64) {
        let bits = number.to_bits();
        let exponent = i16::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let fraction = u128::from(bits & ((1 << 52) - 1));
        // Numbers below 2^-1022 have no leading one, and the exponent of those just above.
        let (exponent, mantissa) =
            if exponent == 0 { (1, fraction) } else { (exponent, fraction | (1 << 52)) };
        if mantissa > 0 {
            self.add_term(exponent, mantissa);
        }
    }

    fn add_term(&mut self, exponent: i16, mantissa: u128) {
        match self.terms.binary_search_by_key(&exponent, |(e, _)| *e) {
            Ok(at) => self.terms[at].1 += mantissa,
            Err(at) => self.terms.insert(at, (exponent, mantissa)),
        }
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        for (exponent, mantissa) in &other.terms {
            self.add_term(*exponent, *mantissa);
        }
    }

    /// The sum as a float, smallest terms first.
    #[expect(clippy::cast_precision_loss, reason = "rounded here, once, and the same for the same terms")]
    pub fn value(&self) -> f64 {
        let sum: f64 = self.terms.iter().map(|(e, m)| *m as f64 * libm::exp2(f64::from(*e) - 1075.0)).sum();
        // Nothing adds up to -0.
        sum + 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_changes_nothing() {
        let numbers = [0.1, 1e12, 0.3, 5e-320, 1e-9, 7.0, 0.1, 0.0, 123.456, 1e12];
        let sum = |numbers: &mut dyn Iterator<Item = f64>| {
            let mut sum = Exact::default();
            numbers.for_each(|n| sum.add(n));
            sum
        };
        let (there, back) = (sum(&mut numbers.into_iter()), sum(&mut numbers.into_iter().rev()));
        assert_eq!(there, back);
        assert_eq!(there.value().to_bits(), back.value().to_bits());
        let (mut halves, right) =
            (sum(&mut numbers[..4].iter().copied()), sum(&mut numbers[4..].iter().copied()));
        halves.merge(&right);
        assert_eq!(halves, there);
        assert!((there.value() - 2_000_000_000_130.956).abs() < 1e-3, "{}", there.value());
        assert!(sum(&mut [0.0].into_iter()).value().abs() < f64::MIN_POSITIVE);
        assert!((sum(&mut [5e-320].into_iter()).value() / 5e-320 - 1.0).abs() < 1e-12);
    }
}
