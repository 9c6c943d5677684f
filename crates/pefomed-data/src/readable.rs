//! Numbers as people read them.

use std::fmt;

/// The digits of a whole number in groups of three: `56,627,200`.
///
/// ```
/// # use pefomed_data::readable::thousands;
/// assert_eq!((thousands(999_u64), thousands(56_627_200_usize)), ("999".into(), "56,627,200".into()));
/// ```
pub fn thousands(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest binary unit that leaves at least one.
///
/// ```
/// # use pefomed_data::readable::bytes;
/// assert_eq!((bytes(1023), bytes(3 << 29)), ("1023 B".into(), "1.5 GiB".into()));
/// ```
pub fn bytes(number: usize) -> String {
    let units = [("GiB", 1_usize << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| number >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", number as f64 / size as f64),
        None => format!("{number} B"),
    }
}

/// A large count in powers of a thousand: `1.23 G`, `4.50 T`.
///
/// ```
/// # use pefomed_data::readable::powers;
/// assert_eq!((powers(2.2e12), powers(900.0)), ("2.20 T".into(), "900".into()));
/// ```
pub fn powers(number: f64) -> String {
    let units = [("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)];
    match units.into_iter().find(|(_, size)| number >= *size) {
        Some((unit, size)) => format!("{:.2} {unit}", number / size),
        None => format!("{number:.0}"),
    }
}

/// Seconds as a clock shows them: `7 s`, `2:05`, `1:00:07`; tenths below ten seconds.
///
/// ```
/// # use pefomed_data::readable::clock;
/// assert_eq!((clock(2.34), clock(125.2), clock(3607.0)), ("2.3 s".into(), "2:05".into(), "1:00:07".into()));
/// ```
pub fn clock(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
