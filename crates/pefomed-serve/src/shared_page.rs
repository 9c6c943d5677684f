//! What all pages share: colours, the theme and the icon, as files that can be read on their own; nothing is
//! built or fetched.

const SHARED: [(&str, &str); 3] = [
    ("base.css", include_str!("page/base.css")),
    ("theme.js", include_str!("page/theme.js")),
    ("icon.svg", include_str!("page/icon.svg")),
];

/// A shared file or one of `own`, with its type.
pub(crate) fn file(
    name: &str,
    own: &[(&'static str, &'static str)],
) -> Option<(&'static str, &'static str)> {
    let (_, ending) = name.rsplit_once('.')?;
    let kind = match ending {
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let (_, text) = own.iter().chain(&SHARED).find(|(known, _)| *known == name)?;
    Some((kind, text))
}

/// Asserts that pages and their files name no other place, and that pages hold no script or style of their own.
#[cfg(test)]
pub(crate) fn assert_self_contained(texts: impl Iterator<Item = &'static str>) {
    for text in texts.chain(SHARED.map(|(_, text)| text)) {
        // The names of the two XML vocabularies are names, and nothing is fetched from there.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"));
        for own in ["@import", " style=", "onclick", "<style", "<script>"] {
            assert!(!text.contains(own), "{own}");
        }
    }
}
