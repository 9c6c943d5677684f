//! Every way that serving can fail.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use pefomed_data::DataError;
use pefomed_eval::rating::RatingError;

/// An error of this crate; each says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The study cannot be used.
    #[error(transparent)]
    Rating(#[from] RatingError),
    /// A file could not be read, or is not what it should be.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Items have images, and nobody said where they are.
    #[error(
        "{items} items have an image (the first is `{first}`): name the folder or parquet file with \
         --images DIR"
    )]
    NoImageFolder {
        /// Number of items with an image.
        items: usize,
        /// Name of the first image.
        first: String,
    },
    /// A name that would lead out of the image folder.
    #[error(
        "item `{id}`: the image name `{name}` leads out of the image folder: names must be relative \
         and without `..`"
    )]
    ImageName {
        /// Id of the item.
        id: String,
        /// The name.
        name: String,
    },
    /// Image files that do not exist.
    #[error(
        "{missing} of {total} images are not in `{}` (the first is `{first}` of item `{id}`): name \
         the folder that their names are relative to, or the parquet file they are inside of, with \
         --images",
        folder.display()
    )]
    MissingImages {
        /// The image folder or parquet file.
        folder: PathBuf,
        /// Number of missing files.
        missing: usize,
        /// Number of different images.
        total: usize,
        /// The first missing name.
        first: String,
        /// Its item.
        id: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another port with --port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The address raters reach the server under is none.
    #[error("`{url}` is not an address raters can open: give one like http://name:8765 with --url")]
    Url {
        /// The address as given.
        url: String,
    },
    /// Links need a name that other machines know.
    #[error(
        "{host} stands for every address of this machine, so no link can be made of it: give the \
         address that raters open, as in --url http://name:{port}"
    )]
    NoUrl {
        /// The host listened on.
        host: std::net::IpAddr,
        /// The port.
        port: u16,
    },
    /// An address that other machines reach, and no key.
    #[error(
        "on {host} other machines can ask: put a key into a file and name it with --key-file FILE, or \
         listen on 127.0.0.1"
    )]
    NoKey {
        /// The host listened on.
        host: std::net::IpAddr,
    },
    /// A key that could be guessed.
    #[error(
        "the key is shorter than {shortest} characters: take a longer one, such as `openssl rand -hex 32` makes"
    )]
    ShortKey {
        /// How many it needs.
        shortest: usize,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers for links: {0}")]
    Random(getrandom::Error),
    /// The server cannot run on.
    #[error("the server cannot run: {0}")]
    Run(io::Error),
}
