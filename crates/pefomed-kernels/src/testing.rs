//! Numbers for tests.

/// Values between -1 and 1 from a counter.
pub(crate) fn values(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// What bfloat16 keeps of a number: eight bits of its fraction.
pub(crate) fn rounded(value: f32) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let unit = 2_f64.powi(f64::from(value.abs()).log2().floor() as i32 - 7);
    (f64::from(value) / unit).round_ties_even() * unit
}
