//! Penn Treebank tokens as the COCO caption evaluation makes them.
//!
//! Every published BLEU, ROUGE-L, CIDEr and METEOR of a report goes through the same tokenizer,
//! Stanford's `PTBTokenizer` of CoreNLP 3.4.1 in lower case, with some punctuation removed; a token
//! more or less changes the third digit. So this is that tokenizer again, oddities included, without
//! Java: brackets stay as `-lrb-` and `-rrb-`, "cannot" is two words, "T2-weighted" one.
//!
//! One thing is not taken over. The original reads a whole file, so how it cuts the end of a text can
//! depend on the first word of the next ("stage D." before "The …"), and rarely on where its buffer
//! ends. Here every text is read as if it stood alone, so that a score does not depend on the order
//! of the items.

mod grammar;
mod lexer;
mod rewrite;

use self::lexer::{Lexer, Piece};

/// Tokens that the COCO caption evaluation removes. The names of brackets are missing on purpose:
/// its list has them in upper case, and the tokens are in lower case by then.
const REMOVED: [&str; 13] = ["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"];

/// Splits texts into tokens; reuse it, for it learns its automaton as it goes.
///
/// ```
/// use pefomed_eval::lexical::Tokenizer;
/// let mut tokenizer = Tokenizer::new();
/// assert_eq!(
///     tokenizer.tokens("No T2-weighted lesion (1/2 cm), can't exclude Dr. X's \"nodule\"."),
///     ["no", "t2-weighted", "lesion", "-lrb-", "1/2", "cm", "-rrb-", "ca", "n't", "exclude", "dr.",
///      "x", "'s", "nodule"]
/// );
/// ```
pub struct Tokenizer {
    lexer: Lexer,
    /// The text in one line.
    text: String,
}

fn ends_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokenizer {
    /// A tokenizer that has read nothing yet.
    pub fn new() -> Self {
        Self { lexer: Lexer::new(), text: String::new() }
    }

    /// The tokens of one text, in lower case, punctuation removed. Ends of lines count as blanks.
    /// A token can hold no-break spaces (`1 1/2`).
    pub fn tokens(&mut self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        self.each(text, |token| tokens.push(token.to_owned()));
        tokens
    }

    /// Gives the tokens of [`Self::tokens`] one after the other.
    pub(super) fn each(&mut self, text: &str, mut give: impl FnMut(&str)) {
        self.text.clear();
        self.text.extend(text.chars().map(|c| if ends_line(c) { ' ' } else { c }));
        // As in a file, the text ends with its line.
        self.text.push('\n');
        let mut lower = String::new();
        self.lexer.run(&self.text, |piece| {
            let Piece::Token(token) = piece else { return };
            if REMOVED.contains(&&*token) {
                return;
            }
            if token.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
                give(&token);
            } else {
                lower.clear();
                lower.push_str(&token.to_lowercase());
                give(&lower);
            }
        });
    }

    /// All tokens in lower case, line by line, of a text that is read as one: what
    /// `java edu.stanford.nlp.process.PTBTokenizer -preserveLines -lowerCase` prints.
    pub fn lines(&mut self, text: &str) -> Vec<Vec<String>> {
        let mut lines = Vec::new();
        let mut line = Vec::new();
        self.lexer.run(text, |piece| match piece {
            Piece::Line => lines.push(std::mem::take(&mut line)),
            Piece::Token(token) => line.push(token.to_lowercase()),
        });
        lines.push(line);
        lines
    }
}
