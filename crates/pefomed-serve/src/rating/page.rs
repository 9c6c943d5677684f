//! The page and its parts, as files that can be read on their own; nothing is built or fetched.

use crate::shared_page;

/// The rating page.
pub(super) const RATE_HTML: &str = include_str!("page/rate.html");
/// A page with a message.
const MESSAGE_HTML: &str = include_str!("page/message.html");

/// The files that pages refer to, besides the shared ones.
const FILES: [(&str, &str); 5] = [
    ("rate.css", include_str!("page/rate.css")),
    ("rate.js", include_str!("page/rate.js")),
    ("panel.js", include_str!("page/panel.js")),
    ("viewer.js", include_str!("page/viewer.js")),
    ("server.js", include_str!("page/server.js")),
];

/// A file that pages refer to, with its type.
pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
    shared_page::file(name, &FILES)
}

/// A page that says one thing.
pub(super) fn message(title: &str, text: &str) -> String {
    let paragraph = format!("<p>{}</p>", escape(text));
    MESSAGE_HTML.replace("{title}", &escape(title)).replace("{body}", &paragraph)
}

/// A page that asks which rater is here.
pub(super) fn choice(raters: &[(usize, String)]) -> String {
    let link = |(number, name): &(usize, String)| {
        format!("<li><a href=\"/r/{number}/\">{}</a></li>", escape(name))
    };
    let links: String = raters.iter().map(link).collect();
    let body = format!("<p>Choose your name to begin, or to go on.</p><ul>{links}</ul>");
    MESSAGE_HTML.replace("{title}", "Who is rating?").replace("{body}", &body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_no_other_place_and_hold_no_script_of_their_own() {
        let pages = [RATE_HTML, MESSAGE_HTML];
        shared_page::assert_self_contained(FILES.map(|(_, text)| text).into_iter().chain(pages));
    }

    #[test]
    fn names_are_text() {
        let html = choice(&[(1, "<b>A & B</b>".to_owned())]);
        assert!(html.contains("&lt;b&gt;A &amp; B&lt;/b&gt;") && !html.contains("<b>"));
    }
}
