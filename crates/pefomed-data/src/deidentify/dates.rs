//! Days of the Gregorian calendar, forth and back.

/// A date (`YYYYMMDD`), or a date with a time behind it, so many days earlier; none for what is no
/// date. What stands behind the date is kept.
pub(super) fn back(value: &str, days: i64) -> Option<String> {
    let (date, rest) = value.split_at_checked(8)?;
    if !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if !rest.bytes().all(|byte| byte.is_ascii_digit() || b"+-.".contains(&byte)) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| date[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month, day) = date_of(days_of(year, month, day) - days);
    (0..=9999).contains(&year).then(|| format!("{year:04}{month:02}{day:02}{rest}"))
}

/// Days since 1 March of the year 0. Years that begin in March have their leap day at the end.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 1
}

fn date_of(days: i64) -> (i64, i64, i64) {
    // 146,097 days are 400 years.
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * cycle + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leap_days_and_ends_of_years() {
        assert_eq!(back("20240301", 1).as_deref(), Some("20240229"));
        assert_eq!(back("20230301", 1).as_deref(), Some("20230228"));
        assert_eq!(back("20000101", 366).as_deref(), Some("19981231"));
        assert_eq!(back("20210101123000.5+0100", 1).as_deref(), Some("20201231123000.5+0100"));
        for value in ["", "2021", "20211301", "2021010x", "20210101-Doe", "äöüäöü"] {
            assert_eq!(back(value, 1), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in 0_i64..3_600_000) {
            let (year, month, day) = date_of(days);
            prop_assert_eq!(days_of(year, month, day), days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }
    }
}
