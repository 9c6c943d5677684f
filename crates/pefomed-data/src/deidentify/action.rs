//! The table of the profile, and one action for each attribute of it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::dicom::{PATIENT_ID, Tag, Vr};

/// The edition of the standard that the table is from.
pub const EDITION: &str = "2026c";

const TABLE: &str = include_str!("basic_profile.tsv");

/// What is done to an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Kept; items of a sequence are cleaned.
    Keep,
    /// X.
    Remove,
    /// Z, and X/Z: the attribute may be required, its value is not.
    Empty,
    /// D, and choices that include it; of a sequence all text in it.
    Replace,
    /// U, and X/Z/U*; of a sequence its identifiers, and all text in it is replaced.
    Uid,
    /// The patient's name and number.
    Pseudonym,
}

struct Row {
    action: Action,
    keyword: &'static str,
}

/// Rows whose tag is one; the repeating groups of curves and overlays are removed whole.
static ROWS: LazyLock<HashMap<Tag, Row>> = LazyLock::new(|| rows().collect());

fn rows() -> impl Iterator<Item = (Tag, Row)> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let mut columns = line.split('\t');
        let (group, element) = columns.next()?.split_once(',')?;
        let number = |text| u16::from_str_radix(text, 16).ok();
        let tag = Tag(number(group)?, number(element)?);
        let action = match columns.next()? {
            _ if tag == PATIENT_ID || tag == Tag(0x0010, 0x0010) => Action::Pseudonym,
            "X" => Action::Remove,
            "Z" | "X/Z" => Action::Empty,
            // A dummy of a sequence would be items of dummies: what may go or be empty, does so.
            "X/D" if tag.vr() == Vr::SQ => Action::Remove,
            "X/Z/D" if tag.vr() == Vr::SQ => Action::Empty,
            "D" | "Z/D" | "X/D" | "X/Z/D" => Action::Replace,
            "U" | "X/Z/U" => Action::Uid,
            _ => return None,
        };
        Some((tag, Row { action, keyword: columns.next()? }))
    })
}

/// The table's word on an attribute; none when it has none.
pub(super) fn action(tag: Tag) -> Option<Action> {
    ROWS.get(&tag).map(|row| row.action)
}

/// The attribute's keyword, otherwise its tag.
pub(super) fn keyword(tag: Tag) -> String {
    match ROWS.get(&tag) {
        Some(Row { keyword, .. }) if *keyword != "-" => (*keyword).to_owned(),
        _ => tag.to_string(),
    }
}

/// All tags of the table, in its order.
#[cfg(test)]
pub(super) fn tags() -> Vec<Tag> {
    rows().map(|(tag, _)| tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_understood() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        // Curves, overlay data and overlay comments stand for many groups each.
        assert_eq!((lines, ROWS.len()), (655, 652));
        assert_eq!(action(Tag(0x0010, 0x0030)), Some(Action::Empty));
        assert_eq!(action(Tag(0x0020, 0x000D)), Some(Action::Uid));
        assert_eq!(action(Tag(0x0028, 0x0010)), None);
        assert_eq!(keyword(Tag(0x0010, 0x2160)), "EthnicGroup");
    }
}
