//! A tuned model behind the OpenAI-compatible API, and a page to ask it on.
//!
//! Whatever answers is given as [`Answers`]; this room knows HTTP and the API's shapes. Questions wait in
//! one line and are answered one after the other by one thread, each alone, so that an answer does not
//! depend on who else asks. What the API could ask for and this model cannot do (sampling, several turns,
//! tools) is refused and never quietly left out. On a loopback address no key is asked for; on any other one
//! must be.

mod page;
mod reply;
mod request;
mod routes;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use pefomed_data::{Finish, Task};

use crate::guard::Guard;
use crate::{ServeError, listening, token};

/// A question about any number of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked for; it decides the prompt's tag.
    pub task: Task,
    /// The question or instruction; empty for captions and reports that leave it to the prompt.
    pub text: String,
    /// Image files, whole, in the order they are shown.
    pub images: Vec<Vec<u8>>,
}

/// An answer with what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt, visual ones included.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub tokens: usize,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The question cannot be answered; the text says why, and what to change.
    Question(String),
    /// Something failed on this side.
    Model(String),
}

/// What answers.
pub trait Answers: Send {
    /// Answers a question in `limit` tokens at most. `tell` hears the answer piece by piece as it is
    /// written; once it returns `false`, nobody listens any more and the rest need not be written.
    ///
    /// # Errors
    /// [`Problem`].
    fn answer(
        &mut self,
        question: Question,
        limit: usize,
        tell: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Answer, Problem>;
}

/// How a model is served.
#[derive(Clone, Debug)]
pub struct ChatOptions {
    /// Where to listen; port 0 takes any free one.
    pub address: SocketAddr,
    /// The secret that requests carry; needed on any but a loopback address.
    pub key: Option<String>,
    /// What the model is called.
    pub name: String,
    /// What requests are asked as that do not name a task.
    pub task: Task,
    /// Tokens of an answer where a request does not say.
    pub limit: usize,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct ChatServer {
    listener: TcpListener,
    address: SocketAddr,
    options: ChatOptions,
}

/// What requests are held against and described by.
#[derive(Debug)]
pub(crate) struct Model {
    guard: Guard,
    /// Digest of the key; none when no key is asked for.
    key: Option<String>,
    name: String,
    /// Names everything that decides an answer.
    fingerprint: String,
    task: Task,
    limit: usize,
    /// Seconds since 1970 when the server began to answer.
    created: u64,
}

impl ChatServer {
    /// Listens.
    ///
    /// # Errors
    /// [`ServeError::Bind`]; [`ServeError::NoKey`] on an address that other machines reach, without a key;
    /// [`ServeError::ShortKey`].
    pub fn bind(options: ChatOptions) -> Result<Self, ServeError> {
        let host = options.address.ip();
        if options.key.is_none() && !host.is_loopback() {
            return Err(ServeError::NoKey { host });
        }
        if options.key.as_ref().is_some_and(|key| key.len() < SHORTEST_KEY) {
            return Err(ServeError::ShortKey { shortest: SHORTEST_KEY });
        }
        let (listener, address) = listening::listen(options.address)?;
        Ok(Self { listener, address, options })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is set. `fingerprint` names everything that decides an answer and is
    /// told with each. `note` is told of each answer's size and time, and of failures; it hears nothing of
    /// texts, images or keys.
    ///
    /// # Errors
    /// [`ServeError::Run`] when the system refuses to go on.
    pub fn run(
        self,
        answers: impl Answers + 'static,
        fingerprint: String,
        stop: &AtomicBool,
        note: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<(), ServeError> {
        let ChatOptions { key, name, task, limit, .. } = self.options;
        // With a key the name that a reverse proxy passes on does not matter.
        let guard = if key.is_some() {
            Guard::of_network(None)
        } else {
            Guard::of_loopback(self.address, None)
        };
        let (key, created) = (key.map(|key| token::digest(&key)), seconds_now());
        let model = Model { guard, key, name, fingerprint, task, limit, created };
        let note: Note = Arc::new(note);
        let line = worker::start(answers, Arc::clone(&note)).map_err(ServeError::Run)?;
        let router = routes::router(model, line, note);
        listening::answer_until(stop, self.listener, router)
    }
}

/// Characters of a key at least.
const SHORTEST_KEY: usize = 16;

type Note = Arc<dyn Fn(&str) + Send + Sync>;

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
