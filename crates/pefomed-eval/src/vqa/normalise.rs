//! The normal form of an answer, by the rules of the VQA-v2 evaluation.
//!
//! The rules, in the order they are applied:
//! 1. Each punctuation mark of [`PUNCTUATION`] goes. Where it stands beside a blank anywhere in
//!    the text, or the text has a comma between two digits, every occurrence is deleted
//!    ("1,000 ml" → "1000 ml"); otherwise it becomes a blank ("right/left" → "right left").
//! 2. A full stop goes unless a digit follows it ("3.5 cm." → "3.5 cm").
//! 3. Lower case, split at white space.
//! 4. "x ray" becomes "xray", "x rays" "xrays"; the hyphen of "x-ray" is a blank since rule 1.
//! 5. Number words up to ten become digits; "none" becomes "0".
//! 6. The articles a, an and the go.
//! 7. Contractions that lost an apostrophe get it back ("isnt" → "isn't").
//!
//! Where this differs from the evaluation script of VQA-v2, on purpose:
//! - Rule 4 is added: radiology answers need it.
//! - A data set here has one reference, so it is always normalised. The script leaves the
//!   punctuation of the references when all ten annotators agree.
//! - The script removes at most 32 full stops, by a slip in an argument; here all go.
//! - The script would turn "somebody'd" into "somebodyd", the reverse of every other entry; here
//!   "somebodyd" becomes "somebody'd". Equality of answers is the same.
//! - Only ASCII digits count as digits beside a comma or full stop.

use super::contractions;

/// Marks that rule 1 removes; the colon, the apostrophe and the percent sign are kept.
const PUNCTUATION: [char; 21] = [
    ';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', ',',
    '?', '!',
];

/// The normal form of an answer; empty when nothing but punctuation and articles is in it.
///
/// ```
/// use pefomed_eval::vqa::normalise;
/// assert_eq!(normalise("The chest X-Ray."), "chest xray");
/// assert_eq!(normalise("Two, isnt it?"), "2 isn't it");
/// ```
pub fn normalise(text: &str) -> String {
    let text = strip_full_stops(&strip_punctuation(&text.replace(['\n', '\t'], " ")));
    let lower = text.to_lowercase();
    let mut words: Vec<&str> = Vec::new();
    for word in lower.split_whitespace() {
        match (words.last(), word) {
            (Some(&"x"), "ray") => {
                words.pop();
                words.push("xray");
            }
            (Some(&"x"), "rays") => {
                words.pop();
                words.push("xrays");
            }
            _ => words.push(word),
        }
    }
    words
        .into_iter()
        .map(digit)
        .filter(|word| !matches!(*word, "a" | "an" | "the"))
        .map(|word| contractions::restore(word).unwrap_or(word))
        .collect::<Vec<_>>()
        .join(" ")
}

fn strip_punctuation(text: &str) -> String {
    let text = text.trim();
    let deletes_all = has_comma_between_digits(text);
    let deletes = |mark: char| {
        deletes_all || text.contains(&format!("{mark} ")) || text.contains(&format!(" {mark}"))
    };
    // Decided once per mark and on the text as it came, so that the order of marks is irrelevant.
    let deleted = PUNCTUATION.map(deletes);
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match PUNCTUATION.iter().position(|mark| *mark == letter) {
            None => out.push(letter),
            Some(mark) if deleted[mark] => {}
            Some(_) => out.push(' '),
        }
    }
    out
}

fn has_comma_between_digits(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|three| three[0].is_ascii_digit() && three[1] == b',' && three[2].is_ascii_digit())
}

fn strip_full_stops(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '.' || letters.peek().is_some_and(char::is_ascii_digit) {
            out.push(letter);
        }
    }
    out
}

fn digit(word: &str) -> &str {
    match word {
        "none" | "zero" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_has_a_normal_form_without_marks_blanks_or_articles(text in any::<String>()) {
            let normal = normalise(&text);
            prop_assert!(!normal.contains(&PUNCTUATION[..]));
            prop_assert_eq!(normal.trim(), &normal);
            prop_assert!(normal.split(' ').all(|word| !["a", "an", "the"].contains(&word)));
        }

        #[test]
        fn case_and_surrounding_blanks_never_matter(text in "[ -~]{0,40}") {
            let shouted = format!("  {}\n", text.to_ascii_uppercase());
            prop_assert_eq!(normalise(&shouted), normalise(&text.to_ascii_lowercase()));
        }
    }
}
