//! A test server that answers `/chat/completions`, and misbehaves as it is told.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Place in the order of arrival, from 0.
    pub(crate) number: usize,
    pub(crate) at: Instant,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The text of the last message.
    pub(crate) fn text(&self) -> String {
        let content = &self.body["messages"].as_array().unwrap().last().unwrap()["content"];
        match content {
            Value::String(text) => text.clone(),
            parts => {
                parts.as_array().unwrap().iter().filter_map(|part| part["text"].as_str()).collect()
            }
        }
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    /// A proper reply with this text.
    Say(String),
    /// This status, these headers, this body.
    Reply(u16, Vec<(&'static str, String)>, String),
    /// Half of a proper reply, then the connection is closed.
    Break,
    /// A proper reply, so much later.
    Late(Duration, String),
    /// A body of so many bytes.
    Huge(usize),
}

/// The server; it ends when it is dropped.
pub(crate) struct StandIn {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
    most_at_once: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl StandIn {
    pub(crate) fn new(act: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let sent = Arc::new(AtomicUsize::new(0));
        let at_once = Arc::new(AtomicUsize::new(0));
        let act: Arc<dyn Fn(&Request) -> Act + Send + Sync> = Arc::new(act);
        let handle = {
            let (requests, ended) = (Arc::clone(&requests), Arc::clone(&ended));
            let (most, sent) = (Arc::clone(&most_at_once), Arc::clone(&sent));
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let Ok(stream) = stream else { continue };
                    let (requests, act, at_once) =
                        (Arc::clone(&requests), Arc::clone(&act), Arc::clone(&at_once));
                    let (most, sent) = (Arc::clone(&most), Arc::clone(&sent));
                    std::thread::spawn(move || {
                        most.fetch_max(
                            at_once.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        // A client that goes away is part of the tests.
                        let _ = serve(&stream, &requests, &act, &sent);
                        at_once.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            })
        };
        Self { address, requests, ended, listener: Some(handle), most_at_once, sent }
    }

    /// The address for `--endpoint`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Most connections that were served at the same time.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// Bytes of bodies that clients took.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

/// A reply as endpoints write it.
pub(crate) fn chat(text: &str) -> String {
    json!({
        "id": "1", "object": "chat.completion", "model": "stand-in",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
            "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 50, "completion_tokens": text.split_whitespace().count()},
    })
    .to_string()
}

fn serve(
    mut stream: &TcpStream,
    requests: &Mutex<Vec<Request>>,
    act: &Arc<dyn Fn(&Request) -> Act + Send + Sync>,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let Ok(body) = serde_json::from_slice(&body) else { return Ok(()) };
    let path = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let request = {
        let mut all = requests.lock().unwrap();
        let request = Request { number: all.len(), at: Instant::now(), path, headers, body };
        all.push(request.clone());
        request
    };
    let (status, headers, body) = match act(&request) {
        Act::Say(text) => (200, Vec::new(), chat(&text)),
        Act::Late(wait, text) => {
            std::thread::sleep(wait);
            (200, Vec::new(), chat(&text))
        }
        Act::Reply(status, headers, body) => (status, headers, body),
        Act::Break => {
            let body = chat("score: 1");
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            return stream.write_all(&body.as_bytes()[..body.len() / 2]);
        }
        Act::Huge(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
            for _ in 0..bytes / 4096 {
                stream.write_all(&[b'1'; 4096])?;
                sent.fetch_add(4096, Ordering::SeqCst);
            }
            return Ok(());
        }
    };
    write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()
}
