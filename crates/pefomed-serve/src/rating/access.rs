//! Who may ask: hosts, origins and tokens.
//!
//! On a loopback address without tokens the danger is a web page in the same browser: it can send
//! requests to `127.0.0.1`, and by pointing its own name there (DNS rebinding) even read the answers.
//! So requests must name this machine as their host. On a network a rater's token is what counts; it
//! is in a cookie that scripts cannot read. In both cases a request that writes has to come from our
//! own page.

use axum::http::{HeaderMap, Method, header};

/// Name of the cookie. Its path is that of the rater, so that several raters can work in one browser.
const COOKIE: &str = "pefomed-rater";

/// What requests are held against.
#[derive(Debug)]
pub(super) struct Access {
    /// Values of the `Host` header that are served; none when every one is.
    pub(super) hosts: Option<Vec<String>>,
    /// Host of the address that raters open, when it was given.
    pub(super) public_host: Option<String>,
    /// Whether raters reach the server by https.
    pub(super) secure: bool,
    /// Digests of the raters' tokens; none when no token is asked for.
    pub(super) tokens: Option<Vec<String>>,
}

impl Access {
    /// Whether the host that the request names is one of ours.
    pub(super) fn knows_host(&self, headers: &HeaderMap) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let host = header_text(headers, header::HOST.as_str());
        host.is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    }

    /// Whether a request that changes something comes from our own page. Browsers say where a
    /// request comes from; other programs say nothing, and have no rater's cookie to misuse.
    pub(super) fn is_own_page(&self, method: &Method, headers: &HeaderMap) -> bool {
        if method.is_safe() {
            return true;
        }
        if header_text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin") {
            return false;
        }
        let Some(origin) = header_text(headers, header::ORIGIN.as_str()) else { return true };
        let Some((_, origin)) = origin.split_once("://") else { return false };
        let own = header_text(headers, header::HOST.as_str());
        own.into_iter()
            .chain(self.public_host.as_deref())
            .any(|host| host.eq_ignore_ascii_case(origin))
    }

    /// The cookie that lets a rater in.
    pub(super) fn cookie(&self, rater: usize, token: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{COOKIE}={token}; Path=/r/{rater}/; HttpOnly; SameSite=Lax{secure}")
    }
}

/// The token in the cookie of a request.
pub(super) fn cookie_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_our_page_writes() {
        let access = Access {
            hosts: None,
            public_host: Some("rate.example".to_owned()),
            secure: true,
            tokens: None,
        };
        let may = |pairs| access.is_own_page(&Method::POST, &headers(pairs));
        assert!(may(&[("host", "127.0.0.1:1")]));
        assert!(may(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")]));
        assert!(may(&[("host", "127.0.0.1:1"), ("origin", "https://rate.example")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "https://evil.example")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:2")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "null")]));
        assert!(!may(&[("host", "a"), ("sec-fetch-site", "cross-site")]));
        assert!(!may(&[("host", "a"), ("sec-fetch-site", "same-site")]));
        assert!(access.is_own_page(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")])));
        let cookie = access.cookie(3, "abc");
        assert_eq!(cookie, "pefomed-rater=abc; Path=/r/3/; HttpOnly; SameSite=Lax; Secure");
        let sent = headers(&[("cookie", "other=1; pefomed-rater=abc")]);
        assert_eq!(cookie_token(&sent), Some("abc"));
        assert_eq!(cookie_token(&headers(&[("cookie", "xpefomed-rater=abc")])), None);
    }
}
