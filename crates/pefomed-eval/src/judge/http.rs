//! The network: where texts may go, and how they get there.
//!
//! A patient's text must not leave the machine because of a default. An endpoint counts as local
//! only when every address its host stands for is a loopback address; the addresses that were looked
//! at are then the ones connected to, and no proxy is used, so that neither a name server nor the
//! environment can turn a local request into another. Anything else is remote and needs to be
//! allowed. No redirect is followed: a text goes to the host that was named or nowhere.
//!
//! The key travels in one header. It is taken out of everything an endpoint sends back, before
//! anybody can write that down.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use ureq::config::Config;
use ureq::http::{HeaderValue, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::error::JudgeError;
use super::transport::{RawReply, Transport, TransportError};

/// Largest body of a reply, in bytes; a verdict or a report is a few thousand.
const LARGEST_REPLY: u64 = 1 << 20;
/// Shorter keys are placeholders that local servers want, such as `EMPTY`; taking them out of
/// replies would damage the replies.
const SHORTEST_SECRET: usize = 8;
/// Addresses of a local host that are kept; there are two, one of each version.
const ADDRESSES: usize = 8;

/// How an address is written.
const FORM: &str = "write it as http://HOST:PORT/v1 or https://HOST/v1";

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every address of the host is a loopback address.
    ThisMachine(Vec<SocketAddr>),
    /// Some address is not, or none is known; in words.
    Remote(String),
}

/// An OpenAI-compatible endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    host: String,
    reach: Reach,
}

impl Endpoint {
    /// Takes an address such as `http://127.0.0.1:8000/v1`, to which `/chat/completions` is added
    /// unless it ends so, and finds out where its host is.
    ///
    /// # Errors
    /// [`JudgeError::Endpoint`] for what is no such address.
    pub fn parse(url: &str) -> Result<Self, JudgeError> {
        let url = url.trim();
        let refuse = |problem| {
            let url = if url.contains('@') { "…".to_owned() } else { url.to_owned() };
            JudgeError::Endpoint { url, problem }
        };
        let given: Uri = url.parse().map_err(|_| refuse(FORM))?;
        let secure = match given.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse(FORM)),
        };
        let authority = given.authority().ok_or_else(|| refuse(FORM))?;
        if authority.as_str().contains('@') {
            return Err(refuse(
                "it holds a name or password, which would be written down: put the key into an \
                 environment variable and name it with --key-env",
            ));
        }
        let host = authority.host().to_owned();
        if host.is_empty() {
            return Err(refuse(FORM));
        }
        let port = given.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = given.path().trim_end_matches('/');
        let path = if path.ends_with("/chat/completions") {
            path.to_owned()
        } else {
            format!("{path}/chat/completions")
        };
        let query = given.query().map(|query| format!("?{query}")).unwrap_or_default();
        let scheme = if secure { "https" } else { "http" };
        let uri = format!("{scheme}://{authority}{path}{query}");
        let uri = uri.parse().map_err(|_| refuse(FORM))?;
        let reach = reach(&host, port);
        Ok(Self { uri, host, reach })
    }

    /// The address without its query, which some providers put keys into.
    pub fn shown(&self) -> String {
        let scheme = self.uri.scheme_str().unwrap_or_default();
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", self.uri.path())
    }

    /// Where its host is.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether the way there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// Lets a local endpoint pass, and a remote one only when that is allowed. `what` would be sent.
    ///
    /// # Errors
    /// [`JudgeError::Remote`].
    pub fn guard(&self, allow_remote: bool, what: &'static str) -> Result<(), JudgeError> {
        match &self.reach {
            Reach::Remote(found) if !allow_remote => {
                let (host, found) = (self.host.clone(), found.clone());
                Err(JudgeError::Remote { host, found, what })
            }
            _ => Ok(()),
        }
    }
}

fn reach(host: &str, port: u16) -> Reach {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = (bare, port).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>);
    match found {
        Ok(addresses) if !addresses.is_empty() => {
            let elsewhere = addresses.iter().find(|address| !is_loopback(address.ip()));
            match elsewhere {
                None => Reach::ThisMachine(addresses.into_iter().take(ADDRESSES).collect()),
                Some(address) if bare.parse() == Ok(address.ip()) => {
                    Reach::Remote("no loopback address".to_owned())
                }
                Some(address) => Reach::Remote(format!("its address is {}", address.ip())),
            }
        }
        _ => Reach::Remote("its address cannot be found".to_owned()),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A key for an endpoint. Its debug form does not show it.
#[derive(Clone)]
pub struct Key {
    secret: String,
    header: HeaderValue,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Takes the key out of an environment variable; none when it is not set or empty.
    ///
    /// # Errors
    /// [`JudgeError::Key`] for a key that no header can carry.
    pub fn from_env(name: &str) -> Result<Option<Self>, JudgeError> {
        match std::env::var(name) {
            Ok(secret) => Self::new(secret.trim(), name),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(JudgeError::Key { name: name.to_owned(), problem: "is not text" })
            }
        }
    }

    fn new(secret: &str, name: &str) -> Result<Option<Self>, JudgeError> {
        if secret.is_empty() {
            return Ok(None);
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| JudgeError::Key {
                name: name.to_owned(),
                problem: "holds characters that no header can carry: copy it again, as one line",
            })?;
        header.set_sensitive(true);
        Ok(Some(Self { secret: secret.to_owned(), header }))
    }

    fn removed_from(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.secret.len() < SHORTEST_SECRET {
            return bytes;
        }
        let secret = self.secret.as_bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes.as_slice();
        while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
            out.extend_from_slice(&rest[..at]);
            out.extend_from_slice(b"[key]");
            rest = &rest[at + secret.len()..];
        }
        out.extend_from_slice(rest);
        out
    }
}

/// The transport over HTTP/1.1, with TLS where the address says so. Certificates are checked against
/// those the system trusts, so a hospital's own authority works as in every other program.
#[derive(Debug)]
pub struct Http {
    agent: ureq::Agent,
    uri: Uri,
    key: Option<Key>,
    proxy: Option<String>,
}

impl Http {
    /// A client of `endpoint`. `timeout` bounds each request from connecting to the last byte;
    /// `connections` are kept open.
    pub fn new(
        endpoint: &Endpoint,
        key: Option<Key>,
        timeout: Duration,
        connections: usize,
    ) -> Self {
        let config = Config::builder()
            .timeout_global(Some(timeout))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .user_agent(concat!("pefomed/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build());
        let uri = endpoint.uri.clone();
        match &endpoint.reach {
            Reach::ThisMachine(addresses) => {
                let resolver = Pinned(addresses.clone());
                let config = config.proxy(None).build();
                let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), resolver);
                Self { agent, uri, key, proxy: None }
            }
            Reach::Remote(_) => {
                let config = config.build();
                let proxy = config
                    .proxy()
                    .filter(|proxy| !proxy.is_no_proxy(&uri))
                    .map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
                let agent = ureq::Agent::with_parts(
                    config,
                    DefaultConnector::default(),
                    DefaultResolver::default(),
                );
                Self { agent, uri, key, proxy }
            }
        }
    }

    /// The proxy on the way to a remote endpoint, which the environment names.
    pub fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    fn clean(&self, text: String) -> String {
        match &self.key {
            None => text,
            Some(key) => String::from_utf8_lossy(&key.removed_from(text.into_bytes())).into_owned(),
        }
    }

    fn failed(&self, error: ureq::Error) -> TransportError {
        match error {
            ureq::Error::Timeout(_) => TransportError::Timeout,
            ureq::Error::BodyExceedsLimit(limit) => TransportError::TooLarge(limit),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                TransportError::Timeout
            }
            error @ (ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::TlsRequired) => {
                TransportError::Lasting(self.clean(format!("no secure connection: {error}")))
            }
            error => TransportError::Connection(self.clean(format!("no connection: {error}"))),
        }
    }
}

impl Transport for Http {
    fn send(&self, body: &[u8]) -> Result<RawReply, TransportError> {
        let mut request =
            self.agent.post(&self.uri).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.header.clone());
        }
        let mut response = request.send(body).map_err(|error| self.failed(error))?;
        let head = |name: header::HeaderName| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(self.clean(value.to_owned()))
        };
        let (status, retry_after, location) =
            (response.status().as_u16(), head(header::RETRY_AFTER), head(header::LOCATION));
        let body = response.body_mut().with_config().limit(LARGEST_REPLY).read_to_vec();
        let body = match body {
            Ok(body) => body,
            // Of a refusal the status says enough.
            Err(_) if !(200..=299).contains(&status) => Vec::new(),
            Err(error) => return Err(self.failed(error)),
        };
        let body = match &self.key {
            Some(key) => key.removed_from(body),
            None => body,
        };
        Ok(RawReply { status, retry_after, location, body })
    }
}

/// Addresses that were found to be local; nothing is looked up again.
#[derive(Debug)]
struct Pinned(Vec<SocketAddr>);

impl Resolver for Pinned {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        for address in &self.0 {
            addresses.push(*address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(url: &str) -> Reach {
        Endpoint::parse(url).unwrap().reach
    }

    #[test]
    fn only_loopback_is_this_machine() {
        for url in [
            "http://127.0.0.1:8000/v1",
            "http://127.3.2.1",
            "http://[::1]:8000/v1",
            "http://[::ffff:127.0.0.1]/v1",
            "http://localhost:1234/v1",
        ] {
            assert!(matches!(reach_of(url), Reach::ThisMachine(_)), "{url}: {:?}", reach_of(url));
            assert!(Endpoint::parse(url).unwrap().guard(false, "texts").is_ok());
        }
        for url in [
            "http://192.0.2.1/v1",
            "http://10.0.0.1:8000",
            "http://0.0.0.0:8000/v1",
            "http://[::]:8000/v1",
            "http://[2001:db8::1]/v1",
            "http://[::ffff:192.0.2.1]/v1",
            "http://127.0.0.1.invalid/v1",
            "https://judge.invalid/v1",
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            let error = endpoint.guard(false, "texts").unwrap_err().to_string();
            assert!(error.contains("is not this machine") && error.contains("--allow-remote"));
            assert!(endpoint.guard(true, "texts").is_ok());
        }
    }

    #[test]
    fn addresses_are_completed_and_nonsense_is_refused() {
        let shown = |url: &str| Endpoint::parse(url).unwrap().shown();
        assert_eq!(shown("http://127.0.0.1:8000/v1/"), "http://127.0.0.1:8000/v1/chat/completions");
        assert_eq!(shown("http://127.0.0.1"), "http://127.0.0.1/chat/completions");
        let whole = "http://127.0.0.1/a/chat/completions?api-version=1&key=secret";
        let endpoint = Endpoint::parse(whole).unwrap();
        assert_eq!(endpoint.shown(), "http://127.0.0.1/a/chat/completions");
        assert_eq!(endpoint.uri.to_string(), whole);
        for wrong in ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://", "localhost", "http:///v1"]
        {
            assert!(Endpoint::parse(wrong).is_err(), "{wrong}");
        }
        let error = Endpoint::parse("http://me:geheim@127.0.0.1/v1").unwrap_err().to_string();
        assert!(error.contains("--key-env") && !error.contains("geheim"), "{error}");
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        let key = Key::new("sk-0123456789", "K").unwrap().unwrap();
        assert_eq!(format!("{key:?} {:?}", key.header), "Key(…) Sensitive");
        let cleaned = key.removed_from(b"bad sk-0123456789, sk-0123456789!".to_vec());
        assert_eq!(cleaned, b"bad [key], [key]!");
        assert!(Key::new("", "K").unwrap().is_none());
        let error = Key::new("sk-01234\n56789", "K").unwrap_err().to_string();
        assert!(error.contains("`K`") && !error.contains("01234"), "{error}");
        let short = Key::new("1", "K").unwrap().unwrap();
        assert_eq!(short.removed_from(b"score: 1".to_vec()), b"score: 1");
    }
}
