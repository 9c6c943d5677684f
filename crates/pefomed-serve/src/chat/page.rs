//! The page to ask on and its parts, as files that can be read on their own.

use crate::shared_page;

/// The page.
pub(super) const ASK_HTML: &str = include_str!("page/ask.html");

/// The files that it refers to, besides the shared ones.
const FILES: [(&str, &str); 2] =
    [("ask.css", include_str!("page/ask.css")), ("ask.js", include_str!("page/ask.js"))];

/// A file that the page refers to, with its type.
pub(super) fn file(name: &str) -> Option<(&'static str, &'static str)> {
    shared_page::file(name, &FILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_other_place_and_holds_no_script_of_its_own() {
        shared_page::assert_self_contained(
            FILES.map(|(_, text)| text).into_iter().chain([ASK_HTML]),
        );
    }
}
