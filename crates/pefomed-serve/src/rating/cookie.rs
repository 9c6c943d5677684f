//! The cookie that holds a rater's token. Scripts cannot read it.

use axum::http::{HeaderMap, header};

/// Name of the cookie. Its path is that of the rater, so that several raters can work in one browser.
const NAME: &str = "pefomed-rater";

/// The header that lets a rater in; `secure` when raters reach the server by https.
pub(super) fn set(rater: usize, token: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{NAME}={token}; Path=/r/{rater}/; HttpOnly; SameSite=Lax{secure}")
}

/// The token in the cookie of a request.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == NAME).then_some(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_comes_back() {
        let sent = set(3, "abc", true);
        assert_eq!(sent, "pefomed-rater=abc; Path=/r/3/; HttpOnly; SameSite=Lax; Secure");
        let headers = |text| {
            [(header::COOKIE, HeaderValue::from_static(text))].into_iter().collect::<HeaderMap>()
        };
        assert_eq!(token(&headers("other=1; pefomed-rater=abc")), Some("abc"));
        assert_eq!(token(&headers("xpefomed-rater=abc")), None);
    }
}
