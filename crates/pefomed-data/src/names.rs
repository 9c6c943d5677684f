//! The nearest known name to a mistyped one, so that an error can say what was probably meant.

/// The candidate that is fewest edits away from `name`, when it is near enough to be a slip of the
/// keyboard: at most a third of the longer name's letters, and at least one, may differ.
/// Ties go to the earlier candidate. Letter case is ignored.
///
/// ```
/// use pefomed_data::names::nearest;
/// assert_eq!(nearest("qestion", ["image", "question", "answer"]), Some("question"));
/// assert_eq!(nearest("colour", ["image", "question", "answer"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| {
            let length = name.chars().count().max(candidate.chars().count());
            let distance = edit_distance(&name, &candidate.to_lowercase());
            (distance <= (length / 3).max(1)).then_some((distance, candidate))
        })
        // `min_by_key` keeps the first of equals.
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean …?` for the nearest known name, or nothing: the tail of an error message.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Levenshtein distance: the fewest insertions, deletions and substitutions of one letter.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_of_the_textbook() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("saturday", "sunday"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("abc", "abc"), 0);
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("vqarad", ["vqa-rad", "jsonl"]), Some("vqa-rad"));
        assert_eq!(nearest("JSON", ["vqa-rad", "jsonl"]), Some("jsonl"));
        assert_eq!(nearest("parquet", ["vqa-rad", "jsonl"]), None);
        assert_eq!(suggestion("ids", ["id", "image"]), "; did you mean `id`?");
    }
}
