//! Text into HTML, safely.
//!
//! Everything a data set, a model or a recipe wrote passes [`escape`] on its way to the page; the
//! page itself forbids scripts and every network address by its content security policy, so that
//! a slip here could not do harm either.

use std::fmt::Write as _;

/// Escapes text for element content and quoted attributes. Control characters, which HTML does
/// not allow, become the replacement character; line breaks and tabs stay.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(letter),
            '\r' => {}
            letter if letter.is_control() => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// Escaped text of at most `limit` characters, with an ellipsis where it was cut.
pub(super) fn escape_short(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", escape(text[..end].trim_end())),
        None => escape(text),
    }
}

/// The page as it grows, with the running numbers of its tables and figures.
#[derive(Default)]
pub(super) struct Page {
    pub(super) html: String,
    tables: usize,
    figures: usize,
    /// What the run folder lacks, one sentence each.
    pub(super) left_out: Vec<String>,
}

impl Page {
    /// Appends markup.
    pub(super) fn push(&mut self, markup: &str) {
        self.html.push_str(markup);
        self.html.push('\n');
    }

    /// Appends a paragraph of ready markup.
    pub(super) fn paragraph(&mut self, markup: &str) {
        let _ = writeln!(self.html, "<p>{markup}</p>");
    }

    /// Appends a numbered table. `caption`, `head` and `body` are ready markup.
    pub(super) fn table(&mut self, class: &str, caption: &str, head: &str, body: &str) {
        self.tables += 1;
        let _ = writeln!(
            self.html,
            "<div class=\"table\"><table class=\"{class}\">\
             <caption><span><b>Table {}.</b> {caption}</span></caption>\
             <thead>{head}</thead><tbody>{body}</tbody></table></div>",
            self.tables
        );
    }

    /// Appends a numbered figure around ready markup.
    pub(super) fn figure(&mut self, class: &str, content: &str, caption: &str) {
        self.figures += 1;
        let _ = writeln!(
            self.html,
            "<figure class=\"{class}\">{content}\
             <figcaption><b>Figure {}.</b> {caption}</figcaption></figure>",
            self.figures
        );
    }
}

/// One table row; the first cell is a row heading. Cells are ready markup.
pub(super) fn row(heading: &str, cells: &[String]) -> String {
    let mut out = format!("<tr><th scope=\"row\">{heading}</th>");
    for cell in cells {
        let _ = write!(out, "<td>{cell}</td>");
    }
    out.push_str("</tr>");
    out
}

/// A heading row.
pub(super) fn head(cells: &[&str]) -> String {
    let mut out = String::from("<tr>");
    for cell in cells {
        let _ = write!(out, "<th scope=\"col\">{cell}</th>");
    }
    out.push_str("</tr>");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_text_has_no_markup_and_nothing_is_lost(text in "[ -~äß]{0,60}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            let back = escaped
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn long_text_is_cut_before_it_is_escaped() {
        assert_eq!(escape_short("a<b>c", 2), "a&lt;…");
        assert_eq!(escape_short("ab", 2), "ab");
        assert_eq!(escape("bell\u{7}"), "bell\u{fffd}");
    }
}
