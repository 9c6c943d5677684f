//! The rating server: one store, its raters, and the pages they work on.
//!
//! Written for a laptop without a network first: it listens on `127.0.0.1`, asks for no password,
//! and the pages need nothing from elsewhere. On any other address each rater has a personal link
//! with a token. There is no encryption here: on a network, put it behind the hospital's own
//! reverse proxy, or reach it through a tunnel (docs/rating.md).

mod cookie;
mod images;
mod page;
mod reply;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use pefomed_eval::rating::{Items, Rater, Store};
use tokio::sync::Semaphore;

use self::images::Images;
use crate::guard::Guard;
use crate::{ServeError, listening, token};

/// Images decoded at a time: each may take 300 MB.
const DECODERS: usize = 2;

/// How a store is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// Where image names lead.
    pub images: Option<PathBuf>,
    /// Ask for personal links on a loopback address too.
    pub tokens: bool,
    /// The address that raters open, when it is not the one listened on.
    pub url: Option<String>,
    /// Raters whose old link is lost: they get a new one.
    pub new_links: Vec<String>,
}

/// The way in for one rater.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who.
    pub rater: String,
    /// The address; none when the link was made earlier: only its digest is kept.
    pub url: Option<String>,
}

/// Looks at every image that items name, before a store is made for them.
///
/// # Errors
/// [`ServeError::NoImageFolder`], [`ServeError::ImageName`], [`ServeError::MissingImages`],
/// [`ServeError::Data`] for files that are no images or cannot be read.
pub fn check_images(folder: Option<&Path>, items: &Items) -> Result<(), ServeError> {
    Images::new(folder, items).map(|_| ())
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct RatingServer {
    listener: TcpListener,
    address: SocketAddr,
    links: Vec<Link>,
    study: Study,
}

/// What requests are answered from. Items and plan do not change while the server runs.
#[derive(Debug)]
pub(crate) struct Study {
    store: Mutex<Store>,
    raters: Vec<Rater>,
    images: Images,
    guard: Guard,
    /// Whether raters reach the server by https.
    secure: bool,
    /// Digests of the raters' tokens; none when no token is asked for.
    tokens: Option<Vec<String>>,
    decoders: Semaphore,
}

impl RatingServer {
    /// Checks images, makes the links that are missing, and listens.
    ///
    /// # Errors
    /// [`ServeError::Bind`], [`ServeError::Url`] and [`ServeError::NoUrl`] for addresses that cannot
    /// be used, [`ServeError::NoImageFolder`], [`ServeError::ImageName`],
    /// [`ServeError::MissingImages`] and [`ServeError::Data`] for images that cannot be shown,
    /// [`ServeError::Rating`] when the store fails or does not know a rater.
    pub fn bind(mut store: Store, options: &ServeOptions) -> Result<Self, ServeError> {
        let images = Images::new(options.images.as_deref(), store.items())?;
        let host = options.address.ip();
        let tokens = options.tokens || !host.is_loopback();
        let url = options.url.as_deref().map(base_url).transpose()?;
        if url.is_none() && host.is_unspecified() {
            return Err(ServeError::NoUrl { host, port: options.address.port() });
        }
        let (listener, address) = listening::listen(options.address)?;
        let public_host =
            url.as_deref().and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
        let secure = url.as_deref().is_some_and(|url| url.starts_with("https://"));
        let base = url.unwrap_or_else(|| format!("http://{address}"));

        for name in &options.new_links {
            store.rater(name)?;
        }
        let raters = store.raters().to_vec();
        let (mut links, mut digests) = (Vec::new(), Vec::new());
        for rater in &raters {
            let rater_url = format!("{base}/r/{}/", rater.number);
            if !tokens {
                links.push(Link { rater: rater.name.clone(), url: Some(rater_url) });
                continue;
            }
            let renew = options.new_links.contains(&rater.name);
            let kept = store.token_digest(rater)?.filter(|_| !renew);
            let (digest, url) = if let Some(digest) = kept {
                (digest, None)
            } else {
                let token = token::new()?;
                let digest = token::digest(&token);
                store.set_token_digest(rater, &digest)?;
                (digest, Some(format!("{rater_url}enter?token={token}")))
            };
            digests.push(digest);
            links.push(Link { rater: rater.name.clone(), url });
        }
        let guard = if tokens {
            Guard::of_network(public_host)
        } else {
            Guard::of_loopback(address, public_host)
        };
        let tokens = tokens.then_some(digests);
        let decoders = Semaphore::new(DECODERS);
        let study =
            Study { store: Mutex::new(store), raters, images, guard, secure, tokens, decoders };
        Ok(Self { listener, address, links, study })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The way in for each rater.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether raters need a personal link.
    pub fn asks_for_tokens(&self) -> bool {
        self.study.tokens.is_some()
    }

    /// Answers requests until `stop` is set. `note` is told of failures that a rater cannot mend;
    /// it hears nothing of texts, comments or tokens.
    ///
    /// # Errors
    /// [`ServeError::Run`] when the system refuses to go on.
    pub fn run(
        self,
        stop: &AtomicBool,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<(), ServeError> {
        let router = routes::router(Arc::new(self.study), Arc::new(note));
        // Whatever was acknowledged is on the disk already.
        listening::answer_until(stop, self.listener, router)
    }
}

/// An address without its last slash: scheme and host, and nothing behind them.
fn base_url(url: &str) -> Result<String, ServeError> {
    let refuse = || ServeError::Url { url: url.to_owned() };
    let (scheme, host) = url.split_once("://").ok_or_else(refuse)?;
    let host = host.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if !matches!(scheme, "http" | "https") || host.is_empty() || !host.chars().all(plain) {
        return Err(refuse());
    }
    Ok(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_raters_open() {
        assert_eq!(base_url("https://rate.example/").unwrap(), "https://rate.example");
        assert_eq!(base_url("http://10.0.0.7:8765").unwrap(), "http://10.0.0.7:8765");
        for url in ["rate.example", "ftp://a", "https://", "http://a/b", "http://a b", "http://a?x"]
        {
            assert!(matches!(base_url(url), Err(ServeError::Url { .. })), "{url}");
        }
    }
}
