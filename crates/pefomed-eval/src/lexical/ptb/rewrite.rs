//! How a token is written: brackets by name, quotation marks as in LaTeX, fractions spelled out.

use std::borrow::Cow;

use super::grammar::Make;

/// The token for a piece of text.
pub(super) fn rewrite(token: &str, make: Make) -> Cow<'_, str> {
    match make {
        Make::Fixed(text) => Cow::Borrowed(text),
        Make::Word => without_soft_hyphens(token),
        Make::OpeningQuote => quote(token, "`", "``"),
        Make::ClosingQuote => quote(token, "'", "''"),
        Make::Joined if token.contains(' ') => Cow::Owned(token.replace(' ', "\u{A0}")),
        Make::Spelled => {
            Cow::Owned(token.replace(' ', "\u{A0}").replace('(', "-LRB-").replace(')', "-RRB-"))
        }
        Make::Ampersand if token.contains(';') => ampersand(token),
        Make::Currency => Cow::Borrowed(match token {
            "\u{A2}" => "cents",
            // The pound sign of early keyboards, and of the treebank.
            "\u{A3}" => "#",
            "\u{80}" | "\u{A4}" | "\u{20A0}" | "\u{20AC}" => "$",
            other => other,
        }),
        Make::Fraction => Cow::Borrowed(match token {
            "\u{BC}" => "1/4",
            "\u{BD}" => "1/2",
            "\u{BE}" => "3/4",
            "\u{2153}" => "1/3",
            "\u{2154}" => "2/3",
            other => other,
        }),
        Make::Hyphens if matches!(token.len(), 3 | 4) => Cow::Borrowed("--"),
        _ => Cow::Borrowed(token),
    }
}

/// Whether a text begins with some ASCII letters, whatever their case.
pub(super) fn begins(text: &str, with: &str) -> bool {
    text.as_bytes().get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
}

fn without_soft_hyphens(token: &str) -> Cow<'_, str> {
    if !token.contains('\u{AD}') {
        return Cow::Borrowed(token);
    }
    let kept = token.replace('\u{AD}', "");
    // Nothing but soft hyphens is still something.
    Cow::Owned(if kept.is_empty() { "-".to_owned() } else { kept })
}

fn ampersand(token: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        out.push(c);
        rest = &rest[if begins(rest, "&amp;") { 5 } else { c.len_utf8() }..];
    }
    Cow::Owned(out)
}

fn quote<'a>(token: &'a str, single: &str, double: &str) -> Cow<'a, str> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            '\'' => out.push_str(single),
            '"' => out.push_str(double),
            '&' if rest.starts_with("&apos;") => {
                out.push_str(single);
                length = 6;
            }
            '&' if rest.starts_with("&quot;") => {
                out.push_str(double);
                length = 6;
            }
            '\u{91}' | '\u{2018}' | '\u{201B}' | '\u{2039}' => out.push('`'),
            '\u{92}' | '\u{2019}' | '\u{203A}' => out.push('\''),
            '\u{93}' | '\u{201C}' | '\u{AB}' => out.push_str("``"),
            '\u{94}' | '\u{201D}' | '\u{BB}' => out.push_str("''"),
            other => out.push(other),
        }
        rest = &rest[length..];
    }
    Cow::Owned(out)
}
