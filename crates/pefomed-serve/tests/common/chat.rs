//! A chat server on a free port whose answers repeat the question.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};

use pefomed_data::{Finish, Task};
use pefomed_serve::ServeError;
use pefomed_serve::chat::{Answer, Answers, ChatOptions, ChatServer, Problem, Question};
use serde_json::{Value, json};

use super::{Reply, request};

pub(crate) const KEY: &str = "a key of more than sixteen characters";

/// Says back what it was asked, a word at a time. It refuses `no`, fails at `fail`, panics at `panic`, and answers
/// `wait` only when it is told to.
struct Echo {
    go_on: mpsc::Receiver<()>,
    given_up: Arc<AtomicBool>,
}

impl Answers for Echo {
    fn answer(
        &mut self,
        question: Question,
        limit: usize,
        tell: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Answer, Problem> {
        match question.text.as_str() {
            "no" => return Err(Problem::Question("image 1 is no image".to_owned())),
            "fail" => return Err(Problem::Model("out of numbers".to_owned())),
            "panic" => panic!("as it was asked to"),
            "wait" => self.go_on.recv().unwrap(),
            _ => {}
        }
        let text = format!("{} {} {}", question.task, question.images.len(), question.text);
        let words: Vec<&str> = text.split_inclusive(' ').take(limit).collect();
        for word in &words {
            if !tell(word) {
                self.given_up.store(true, Ordering::SeqCst);
                break;
            }
        }
        let finish = if text.split(' ').count() > limit { Finish::Length } else { Finish::Stop };
        Ok(Answer { text: words.concat(), finish, prompt_tokens: 5, tokens: words.len() })
    }
}

/// A running server; it is stopped when it goes out of scope.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    pub(crate) go_on: mpsc::Sender<()>,
    pub(crate) given_up: Arc<AtomicBool>,
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Serving {
    pub(crate) fn start(key: Option<&str>) -> Self {
        let server = ChatServer::bind(options("127.0.0.1:0", key)).unwrap();
        let address = server.address();
        let (go_on, told) = mpsc::channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let echo = Echo { go_on: told, given_up: Arc::clone(&given_up) };
        let (stop, notes) =
            (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<String>>>::default());
        let thread = thread::spawn({
            let (stop, notes) = (Arc::clone(&stop), Arc::clone(&notes));
            move || {
                let note = move |text: &str| notes.lock().unwrap().push(text.to_owned());
                server.run(echo, "print".to_owned(), &stop, note)
            }
        });
        Self { address, go_on, given_up, notes, stop, thread: Some(thread) }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        request(self.address, "GET", path, &[], "")
    }

    pub(crate) fn ask(&self, text: &str, changes: &Value) -> Reply {
        let body = body(text, changes).to_string();
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", "/v1/chat/completions", &headers, &body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.go_on.send(());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

pub(crate) fn options(address: &str, key: Option<&str>) -> ChatOptions {
    ChatOptions {
        address: address.parse().unwrap(),
        key: key.map(str::to_owned),
        name: "tuned".to_owned(),
        task: Task::Vqa,
        limit: 6,
    }
}

/// A question about one image, with some fields changed.
pub(crate) fn body(text: &str, changes: &Value) -> Value {
    let mut body = json!({ "model": "tuned", "messages": [{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,AQID" } },
        { "type": "text", "text": text },
    ] }] });
    for (field, value) in changes.as_object().unwrap() {
        body[field] = value.clone();
    }
    body
}
