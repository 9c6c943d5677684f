//! METEOR's own idea of words: what `-norm` makes of a text that is tokenized already.
//!
//! The COCO caption evaluation gives METEOR tokens of the Penn Treebank, and METEOR splits them
//! again: "t2-weighted" becomes two words, "10:30" three, "e.g." loses its full stops. The rules are
//! those of METEOR 1.5's English normalizer. They look at most one character to each side, so a
//! token can be split on its own; only what becomes of a final full stop depends on the next word.

use super::super::vocabulary::Vocabulary;

/// Abbreviations, in lower case, that keep their full stop whatever follows; of METEOR's list only
/// these can occur, for the text is in lower case.
const ABBREVIATIONS: [&str; 3] = ["v", "vs", "rev"];
/// An abbreviation that keeps it before a number.
const BEFORE_NUMBER: [&str; 1] = ["pp"];

/// Whether METEOR takes a character for a letter.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ž')
        || matches!(c, '\u{400}'..='\u{4FF}' | '\u{500}'..='\u{527}')
        || matches!(c, '\u{A640}'..='\u{A66E}' | '\u{A67E}'..='\u{A697}' | '\u{1D00}'..='\u{1D7F}')
}

/// Splits one token into words, all but what depends on the next word.
pub(super) fn split(token: &str) -> Vec<String> {
    if token.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return if token.is_empty() { Vec::new() } else { vec![token.to_owned()] };
    }
    let mut text: Vec<char> = vec![' '];
    for c in token.chars() {
        let kept = is_letter(c)
            || c.is_ascii_digit()
            || c.is_ascii_whitespace()
            || matches!(c, '.' | '\'' | '`' | ',' | '-' | '\u{2018}' | '\u{2019}');
        match c {
            _ if !kept => text.extend([' ', c, ' ']),
            '`' | '\u{2018}' | '\u{2019}' => text.push('\''),
            other => text.push(other),
        }
    }
    text.push(' ');
    let text = runs_of_dots(&text);
    let text = commas(text);
    let text = quotes_and_dashes(&text);
    let text = apostrophes(text);
    let text: String = text.into_iter().collect();
    text.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}')
        || c == '\u{3000}'
}

/// Stands for a full stop of a run until the single ones have been looked at.
const DOT: char = '\u{E000}';

/// Two full stops and more are a word of their own.
fn runs_of_dots(text: &[char]) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len() + 2);
    let mut at = 0;
    while at < text.len() {
        let run = text[at..].iter().take_while(|c| **c == '.').count();
        if run > 1 {
            out.push(' ');
            out.extend(std::iter::repeat_n(DOT, run));
            out.push(' ');
            at += run;
        } else {
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

/// A comma is a word unless it stands between digits.
fn commas(text: Vec<char>) -> Vec<char> {
    let is_digit = |c: char| c.is_ascii_digit();
    let text = pass(text, ',', " ,", |before, after| !is_digit(before) && !is_digit(after));
    let text = pass(text, ',', " ,", |before, after| is_digit(before) && !is_digit(after));
    pass(text, ',', " ,", |before, after| !is_digit(before) && is_digit(after))
}

/// Two apostrophes are a quotation mark, en dashes and double hyphens are hyphens, and a hyphen
/// between letters or digits separates words.
fn quotes_and_dashes(text: &[char]) -> Vec<char> {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            ['\'', '\'', ..] => {
                out.extend([' ', '"', ' ']);
                at += 2;
            }
            ['\u{201C}' | '\u{201D}', ..] => {
                out.extend([' ', '"', ' ']);
                at += 1;
            }
            ['-', '-', ..] => {
                out.push('-');
                at += 2;
            }
            [c, ..] => {
                out.push(if c == '\u{2013}' { '-' } else { c });
                at += 1;
            }
            [] => break,
        }
    }
    let part = |c: char| is_letter(c) || c.is_ascii_digit();
    pass(out, '-', "", |before, after| (part(before) || before == '.') && part(after))
}

/// An apostrophe goes with the letters after it if there are letters (or a digit, for 's) before it,
/// and stands alone otherwise.
fn apostrophes(text: Vec<char>) -> Vec<char> {
    let text = pass(text, '\'', " '", |before, after| !is_letter(before) && !is_letter(after));
    let text = pass(text, '\'', " '", |before, after| {
        !is_letter(before) && !before.is_ascii_digit() && is_letter(after)
    });
    let text = pass(text, '\'', " '", |before, after| is_letter(before) && !is_letter(after));
    let text = pass(text, '\'', "'", |before, after| is_letter(before) && is_letter(after));
    pass(text, '\'', "'", |before, after| before.is_ascii_digit() && after == 's')
}

/// Replaces a mark where its neighbours say so: by a blank and the mark, and another blank if `with`
/// begins with one; by a blank alone if `with` is empty. The neighbours are used up, as by a regular
/// expression that names them.
fn pass(text: Vec<char>, mark: char, with: &str, apply: impl Fn(char, char) -> bool) -> Vec<char> {
    if !text.contains(&mark) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() + 2);
    let mut free = 0;
    for (at, c) in text.iter().enumerate() {
        let before = at.checked_sub(1).filter(|before| *before >= free).map(|before| text[before]);
        let after = text.get(at + 1).copied();
        if let (Some(before), Some(after)) = (before, after)
            && *c == mark
            && apply(before, after)
        {
            out.push(' ');
            out.extend(with.chars().filter(|c| *c != ' '));
            if with.starts_with(' ') {
                out.push(' ');
            }
            free = at + 2;
        } else {
            out.push(*c);
        }
    }
    out
}

/// The words of a text from those of its tokens: decides the full stops at the ends of words.
pub(super) fn finish(words: &[&str], vocabulary: &mut Vocabulary) -> Vec<u32> {
    let mut out = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        let stem = word.strip_suffix('.').filter(|stem| !stem.is_empty());
        let Some(stem) = stem else {
            if word.contains(DOT) {
                out.push(vocabulary.number(&word.replace(DOT, ".")));
            } else {
                out.push(vocabulary.number(word));
            }
            continue;
        };
        let next = words.get(at + 1).and_then(|next| next.chars().next());
        if stem.contains('.') && stem.chars().any(is_letter) {
            let joined = word.replace('.', "");
            out.push(vocabulary.number(&joined));
        } else if ABBREVIATIONS.contains(&stem)
            || next.is_some_and(|c| c.is_ascii_lowercase())
            || (BEFORE_NUMBER.contains(&stem) && next.is_some_and(|c| c.is_ascii_digit()))
        {
            out.push(vocabulary.number(word));
        } else {
            out.push(vocabulary.number(stem));
            out.push(vocabulary.number("."));
        }
    }
    out
}
