//! Whose requests are answered: hosts and origins.
//!
//! On a loopback address the danger is a web page in the same browser: it can send requests to `127.0.0.1`,
//! and by pointing its own name there (DNS rebinding) even read the answers. So requests must name this
//! machine as their host. Where a secret is asked for, it is what counts. In both cases a request that writes has to
//! come from our own page, or from a program that is none.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;

/// What requests are held against.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    /// Values of the `Host` header that are served; none when every one is.
    hosts: Option<Vec<String>>,
    /// Host of the address that people open, when it was given.
    public_host: Option<String>,
}

impl Guard {
    /// For requests to this machine's own address, which people may also reach as `public_host`.
    pub(crate) fn of_loopback(address: SocketAddr, public_host: Option<String>) -> Self {
        let port = address.port();
        let mut hosts = vec![
            format!("localhost:{port}"),
            SocketAddr::from((IpAddr::from([127, 0, 0, 1]), port)).to_string(),
            address.to_string(),
            format!("[::1]:{port}"),
        ];
        if port == 80 {
            hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        hosts.extend(public_host.clone());
        Self { hosts: Some(hosts), public_host }
    }

    /// For requests that carry a secret, by whatever name they come.
    pub(crate) fn of_network(public_host: Option<String>) -> Self {
        Self { hosts: None, public_host }
    }

    /// Whether the host that the request names is one of ours.
    pub(crate) fn knows_host(&self, headers: &HeaderMap) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let host = header_text(headers, header::HOST.as_str());
        host.is_some_and(|host| hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    }

    /// Whether a request that changes something comes from our own page. Browsers say where a
    /// request comes from; other programs say nothing, and have no person's cookie to misuse.
    pub(crate) fn is_own_page(&self, method: &Method, headers: &HeaderMap) -> bool {
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
}

/// Headers that keep pages and answers to themselves, on every response.
pub(crate) fn seal(response: &mut Response, policy: &'static str) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        // Patients' images stay in no cache of a shared computer.
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

pub(crate) fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_page_writes() {
        let guard = Guard::of_network(Some("rate.example".to_owned()));
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (name.parse().unwrap(), HeaderValue::from_static(value))
            };
            pairs.iter().map(pair).collect()
        };
        let may = |pairs: &[_]| guard.is_own_page(&Method::POST, &headers(pairs));
        assert!(may(&[("host", "127.0.0.1:1")]));
        assert!(may(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")]));
        assert!(may(&[("host", "127.0.0.1:1"), ("origin", "https://rate.example")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "https://evil.example")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:2")]));
        assert!(!may(&[("host", "127.0.0.1:1"), ("origin", "null")]));
        assert!(!may(&[("host", "a"), ("sec-fetch-site", "cross-site")]));
        assert!(!may(&[("host", "a"), ("sec-fetch-site", "same-site")]));
        assert!(guard.is_own_page(&Method::GET, &headers(&[("sec-fetch-site", "cross-site")])));
    }
}
