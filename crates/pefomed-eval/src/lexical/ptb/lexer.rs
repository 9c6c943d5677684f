//! Longest match over all kinds of tokens at once.
//!
//! All rows run as one automaton that is built as far as the texts need it: a byte costs a look-up
//! in a table, however many rows there are.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::hybrid::{BuildError, CacheError};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};

use super::grammar::{End, Make, Rule, rules};

/// Room for the automaton's states; English reports need a few hundred kilobytes.
const STATES: usize = 32 << 20;

struct Language {
    rules: Vec<Rule>,
    automaton: DFA,
}

static LANGUAGE: LazyLock<Result<Language, Box<BuildError>>> = LazyLock::new(|| {
    let rules = rules();
    let patterns: Vec<&str> = rules.iter().map(|rule| rule.pattern.as_str()).collect();
    let config = DFA::config().match_kind(MatchKind::All).cache_capacity(STATES);
    let automaton = DFA::builder().configure(config).build_many(&patterns)?;
    Ok(Language { rules, automaton })
});

/// The automaton with the states it has built so far.
pub(super) struct Lexer {
    /// None only if the rows were no regular expressions, which a test excludes.
    language: Option<&'static Language>,
    cache: Option<Cache>,
}

/// One piece of a text.
pub(super) enum Piece<'a> {
    Token(Cow<'a, str>),
    Line,
}

impl Lexer {
    pub(super) fn new() -> Self {
        let language = LANGUAGE.as_ref().ok();
        let cache = language.map(|language| language.automaton.create_cache());
        Self { language, cache }
    }

    /// Gives the tokens and line ends of a text in order.
    pub(super) fn run<'a>(&mut self, text: &'a str, mut give: impl FnMut(Piece<'a>)) {
        let (Some(language), Some(cache)) = (self.language, &mut self.cache) else { return };
        let mut at = 0;
        while at < text.len() {
            // A full cache is emptied and filled anew; only then can a step fail.
            let found = longest(language, cache, text, at).unwrap_or_else(|_| {
                cache.reset(&language.automaton);
                longest(language, cache, text, at).unwrap_or(None)
            });
            let Some((row, length)) = found else {
                // A character that no row knows is dropped.
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            let Rule { make, end, .. } = language.rules[row];
            let matched = &text[at..at + length];
            let (token, read) = cut(&matched[..token_length(matched, end)], make);
            at += read.max(1);
            match make {
                Make::Skip => {}
                Make::Line => give(Piece::Line),
                make => give(Piece::Token(super::rewrite::rewrite(token, make))),
            }
        }
    }
}

/// Row and length in bytes of the longest match at `at`.
fn longest(
    language: &Language,
    cache: &mut Cache,
    text: &str,
    at: usize,
) -> Result<Option<(usize, usize)>, CacheError> {
    let automaton = &language.automaton;
    let config = start::Config::new().anchored(Anchored::Yes);
    let Ok(mut state) = automaton.start_state(cache, &config) else { return Ok(None) };
    let mut found = None;
    let bytes = &text.as_bytes()[at..];
    for position in 0..=bytes.len() {
        state = match bytes.get(position) {
            Some(byte) => automaton.next_state(cache, state, *byte)?,
            None => automaton.next_eoi_state(cache, state)?,
        };
        // A match is told one byte late.
        if state.is_match() {
            let matches = automaton.match_len(cache, state);
            let first = (0..matches)
                .map(|index| automaton.match_pattern(cache, state, index).as_usize())
                .min();
            found = first.map(|row| (row, position)).filter(|_| position > 0).or(found);
        } else if state.is_dead() {
            break;
        }
    }
    Ok(found)
}

/// The token, and how much of it is read: what is left is read again.
fn cut(token: &str, make: Make) -> (&str, usize) {
    match make {
        Make::Split(count) => {
            let kept = &token[..before_last(token, count)];
            (kept, kept.len())
        }
        Make::Initial if token.chars().count() == 2 => {
            let kept = &token[..before_last(token, 1)];
            (kept, kept.len())
        }
        Make::Again | Make::Initial => (token, before_last(token, 1)),
        _ => (token, token.len()),
    }
}

/// Where the last `count` characters begin.
fn before_last(text: &str, count: usize) -> usize {
    text.char_indices().rev().take(count).last().map_or(text.len(), |(index, _)| index)
}

/// Where the context of a match begins.
fn token_length(matched: &str, end: End) -> usize {
    match end {
        End::Match => matched.len(),
        End::Before(count) => before_last(matched, count),
        End::Blank => matched.find(is_space).unwrap_or(matched.len()),
        End::Apostrophe => last_apostrophe(matched),
        End::Negation => before_last(&matched[..last_apostrophe(matched)], 1),
        End::FullStop => matched.find('.').map_or(matched.len(), |at| at + 1),
    }
}

fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{A0}' | '\u{2000}'..='\u{200A}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{3000}')
}

/// Where the last apostrophe begins, which may be a character entity.
fn last_apostrophe(text: &str) -> usize {
    let sign = text.rfind(|c| {
        matches!(c, '\'' | '`' | '\u{91}' | '\u{92}' | '\u{2018}' | '\u{2019}' | '\u{201B}')
    });
    let entity = text.rfind('&').filter(|at| super::rewrite::begins(&text[*at..], "&apos;"));
    sign.max(entity).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_regular_expressions() {
        assert!(LANGUAGE.is_ok(), "{:?}", LANGUAGE.as_ref().err());
    }
}
