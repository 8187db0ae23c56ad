//! Numbers drawn from a seed, the same on every platform.

/// `SplitMix64`: G. L. Steele, D. Lea & C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Between 0 and 1, without 1.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).unwrap_or(0)) / 4_294_967_296.0
    }

    /// How many of `n` trials succeed.
    pub fn successes(&mut self, n: u32, rate: f64) -> u32 {
        (0..n).map(|_| u32::from(self.unit() < rate)).sum()
    }

    /// How many of `n` rows are of each kind.
    pub fn kinds(&mut self, n: u32, shares: &[f64]) -> Vec<i64> {
        let mut out = vec![0; shares.len()];
        for _ in 0..n {
            let mut left = self.unit() * shares.iter().sum::<f64>();
            let at = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            out[at.unwrap_or(shares.len() - 1)] += 1;
        }
        out
    }

    /// Of the standard normal distribution: polar method (G. Marsaglia & T. A. Bray, 1964).
    pub fn normal(&mut self) -> f64 {
        loop {
            let (u, v) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                return u * libm::sqrt(-2.0 * libm::log(s) / s);
            }
        }
    }
}
