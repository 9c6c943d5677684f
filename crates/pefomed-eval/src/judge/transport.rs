//! One request and what can come back: the seam between asking and the network.
//!
//! Everything above this trait works the same whether a request goes over HTTP or is answered
//! inside the program, so the network library is a feature of the crate and not a condition of it.

use std::fmt;

/// What an endpoint sent back, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawReply {
    /// HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The header `Location`.
    pub location: Option<String>,
    /// The body; a transport bounds its size.
    pub body: Vec<u8>,
}

/// Why nothing, or nothing usable, came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// No whole reply within the time limit.
    Timeout,
    /// The connection could not be made, or broke.
    Connection(String),
    /// The body is larger than any reply should be, in bytes.
    TooLarge(u64),
    /// Nothing that another try could mend, such as a certificate that is not trusted.
    Lasting(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no reply within the time limit (--timeout)"),
            Self::Connection(problem) | Self::Lasting(problem) => f.write_str(problem),
            Self::TooLarge(limit) => write!(
                f,
                "the reply is larger than {}: lower --max-tokens",
                pefomed_data::readable::bytes(usize::try_from(*limit).unwrap_or(usize::MAX))
            ),
        }
    }
}

/// Something that answers requests to `/chat/completions`.
pub trait Transport: Sync {
    /// Sends one request body (JSON) and waits for the reply. Follows no redirect and tries once.
    ///
    /// # Errors
    /// [`TransportError`] when there is no reply with a status.
    fn send(&self, body: &[u8]) -> Result<RawReply, TransportError>;
}
