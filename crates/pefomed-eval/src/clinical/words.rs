//! Sentences of a report as numbered words, with the marks between them that end a scope.
//!
//! Words are letters and digits; hyphens, slashes and apostrophes part them ("x-ray" is two). What a
//! full stop, a colon or the end of a line means is decided here, once.

use rustc_hash::FxHashMap;

/// What stands before a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing that matters.
    None,
    /// A comma or a bracket.
    Comma,
    /// A colon, or a dash between blanks: "Pneumothorax: none".
    Colon,
}

/// One word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// Its number; [`UNKNOWN`] for a word that no list has.
    pub(super) word: u32,
    /// What stands before it.
    pub(super) mark: Mark,
}

/// Number of all words that no list has.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The words of all lists by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(FxHashMap<String, u32>);

impl Words {
    /// The number of a word, a new one if need be.
    pub(super) fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.0.get(word) {
            return *number;
        }
        let number = self.0.len() as u32;
        self.0.insert(word.to_owned(), number);
        number
    }

    /// The number of a word, if a list has it.
    pub(super) fn find(&self, word: &str) -> u32 {
        self.0.get(word).copied().unwrap_or(UNKNOWN)
    }
}

/// Words after which a full stop ends no sentence.
const ABBREVIATIONS: [&str; 8] = ["dr", "mr", "mrs", "ms", "vs", "approx", "eg", "ie"];
/// Longest heading, in characters, that a line may begin with.
const HEADING: usize = 60;

/// Most words of a sentence; a longer one is read as several, so that no text takes long.
const LONGEST: usize = 200;

/// Gives the sentences of a text in order. `ends_in_colon` tells a heading that has no more in its
/// line.
pub(super) fn sentences(text: &str, words: &Words, mut give: impl FnMut(&[Token], bool)) {
    let mut tokens: Vec<Token> = Vec::new();
    let mut word = String::new();
    let mut mark = Mark::None;
    // Whether all letters of the sentence so far are capitals, as in a heading.
    let mut capitals = true;
    let mut rest = text.char_indices().peekable();
    let mut before = ' ';
    while let Some((at, letter)) = rest.next() {
        let next = rest.peek().map_or(' ', |(_, next)| *next);
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
            capitals &= !letter.is_lowercase();
            before = letter;
            continue;
        }
        let abbreviated = ABBREVIATIONS.contains(&word.as_str());
        if !word.is_empty() {
            if tokens.len() == LONGEST {
                give(&tokens, false);
                tokens.clear();
            }
            tokens.push(Token { word: words.find(&word), mark });
            word.clear();
            mark = Mark::None;
        }
        let ends = match letter {
            '.' => !abbreviated && (!next.is_alphanumeric() || is_glued(before, next)),
            '!' | '?' | ';' | '\u{2022}' => true,
            '\n' | '\r' => {
                let line = &text[at + letter.len_utf8()..];
                let ends_heading = capitals && (1..=4).contains(&tokens.len());
                ends_heading || line.trim_start_matches([' ', '\t']).is_empty() || begins(line)
            }
            _ => false,
        };
        match letter {
            ',' | '(' | ')' | '[' | ']' => mark = Mark::Comma,
            ':' => mark = Mark::Colon,
            '-' | '\u{2013}' | '\u{2014}' if before == ' ' && next == ' ' => mark = Mark::Colon,
            _ => {}
        }
        if ends {
            if !tokens.is_empty() {
                give(&tokens, mark == Mark::Colon);
            }
            tokens.clear();
            mark = Mark::None;
            capitals = true;
        }
        before = letter;
    }
    if !word.is_empty() {
        tokens.push(Token { word: words.find(&word), mark });
        mark = Mark::None;
    }
    if !tokens.is_empty() {
        give(&tokens, mark == Mark::Colon);
    }
}

/// "clear.Heart": a full stop whose blank is missing.
fn is_glued(before: char, next: char) -> bool {
    before.is_lowercase() && next.is_uppercase()
}

/// Whether a line begins something new: it is empty, or has a bullet, a number or a heading.
fn begins(line: &str) -> bool {
    let line = line.split(['\n', '\r']).next().unwrap_or_default().trim_start();
    let Some(first) = line.chars().next() else { return true };
    if matches!(first, '-' | '*' | '\u{2022}') {
        return true;
    }
    let digits = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if digits.len() < line.len() && digits.starts_with(['.', ')']) {
        return true;
    }
    let is_heading =
        |letter: char| letter.is_alphabetic() || matches!(letter, ' ' | '/' | '(' | ')');
    let heading: usize = line.chars().take_while(|letter| is_heading(*letter)).count();
    heading <= HEADING && line.chars().nth(heading) == Some(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<usize> {
        let mut found = Vec::new();
        sentences(text, &Words::default(), |tokens, _| found.push(tokens.len()));
        found
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(split("No effusion. Heart is large."), [2, 3]);
        assert_eq!(split("A 3.5 cm mass; no edema"), [5, 2]);
        assert_eq!(split("Lungs are clear.Heart is normal."), [3, 3]);
        assert_eq!(split("Seen by Dr. Smith today, atelectasis vs. edema"), [8]);
        assert_eq!(split("1. No effusion\n2. Edema"), [1, 2, 1, 1]);
        // A line that only wraps goes on.
        assert_eq!(split("There is no\neffusion"), [4]);
        assert_eq!(split("Chest pain\nFINDINGS: clear"), [2, 2]);
        assert_eq!(split("IMPRESSION\nNo acute disease"), [1, 3]);
        assert_eq!(split("First paragraph\n\nsecond"), [2, 1]);
        assert_eq!(split(" \n . - ;"), [0_usize; 0]);
    }

    #[test]
    fn marks_stand_before_the_word_that_follows() {
        let mut marks = Vec::new();
        sentences("Effusion: none, lungs - clear x-ray", &Words::default(), |tokens, _| {
            marks.extend(tokens.iter().map(|token| token.mark));
        });
        let (none, comma, colon) = (Mark::None, Mark::Comma, Mark::Colon);
        assert_eq!(marks, [none, colon, comma, colon, none, none]);
    }
}
