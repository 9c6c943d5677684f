//! A study, a server on a free port of this machine, and a client that speaks plain HTTP.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) mod chat;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use image::{GrayImage, Luma};
use pefomed_data::prediction::write_predictions;
use pefomed_data::{Finish, ImageCondition, Prediction, Task};
use pefomed_eval::rating::{Items, Store, StudyRequest, System};
use pefomed_serve::{Link, RatingServer, ServeError, ServeOptions};
use serde_json::Value;
use tempfile::TempDir;

/// A prediction line.
pub(crate) fn line(id: &str, task: Task, image: &str, texts: [&str; 3]) -> Prediction {
    let [question, reference, prediction] = texts.map(str::to_owned);
    Prediction {
        id: id.to_owned(),
        image: Some(image.to_owned()),
        group: image.to_owned(),
        task,
        question,
        prompt: String::new(),
        prediction,
        reference,
        other_references: Vec::new(),
        labels: BTreeMap::new(),
        tokens: 1,
        finish: Finish::Stop,
        condition: ImageCondition::True,
    }
}

/// A folder with prediction files, images and a store.
pub(crate) struct Study {
    pub(crate) folder: TempDir,
    pub(crate) systems: Vec<System>,
}

impl Study {
    /// Two systems, `secret-one` and `secret-two`, on `count` questions about three images; they
    /// answer every third question alike.
    pub(crate) fn questions(count: usize) -> Self {
        let lines = |answer: &dyn Fn(usize) -> String| -> Vec<Prediction> {
            (0..count)
                .map(|index| {
                    let (id, image) = (format!("case-{index}"), format!("scan{}.png", index % 3));
                    let question = format!("Question number {index}?");
                    line(&id, Task::Vqa, &image, [&question, "yes", &answer(index)])
                })
                .collect()
        };
        let one = lines(&|index| format!("answer {index}"));
        let two = lines(&|index| {
            if index % 3 == 0 { format!("answer {index}") } else { format!("other {index}") }
        });
        Self::new(&[("secret-one", &one), ("secret-two", &two)])
    }

    /// Some systems and three images.
    pub(crate) fn new(systems: &[(&str, &[Prediction])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        std::fs::create_dir(&images).unwrap();
        for index in 0..3_u32 {
            // A bright disk, elsewhere in each image, on a soft slope.
            let picture = GrayImage::from_fn(320, 256, |x, y| {
                let (dx, dy) = (x as i32 - 90 - 70 * index as i32, y as i32 - 128);
                let inside = dx * dx + dy * dy < 45 * 45;
                Luma([if inside { 210 } else { (30 + x / 8 + y / 16) as u8 }])
            });
            picture.save(images.join(format!("scan{index}.png"))).unwrap();
        }
        let write = |(name, lines): &(&str, &[Prediction])| {
            let path = folder.path().join(format!("{name}.jsonl"));
            write_predictions(&path, lines).unwrap();
            System { name: (*name).to_owned(), path }
        };
        let systems = systems.iter().map(write).collect();
        Self { folder, systems }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ratings.sqlite")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    pub(crate) fn store(&self, request: &StudyRequest) -> Store {
        let items = Items::read(&self.systems).unwrap();
        Store::prepare(&self.path(), Some(&items), request).unwrap()
    }

    /// Serves the study to raters.
    pub(crate) fn serve(&self, raters: &[&str], tokens: bool) -> Server {
        let raters = raters.iter().map(|name| ((*name).to_owned(), false)).collect();
        let request = StudyRequest { raters, ..StudyRequest::default() };
        Server::start(self.store(&request), &self.options(tokens)).unwrap()
    }

    pub(crate) fn options(&self, tokens: bool) -> ServeOptions {
        ServeOptions {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            images: Some(self.images()),
            tokens,
            url: None,
            new_links: Vec::new(),
        }
    }
}

/// A running server; it is stopped when it goes out of scope.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) links: Vec<Link>,
    /// What the server said to whoever runs it.
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    pub(crate) fn start(store: Store, options: &ServeOptions) -> Result<Self, ServeError> {
        let server = RatingServer::bind(store, options)?;
        let (address, links) = (server.address(), server.links().to_vec());
        let (stop, notes) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let thread = std::thread::spawn({
            let (stop, notes) = (Arc::clone(&stop), Arc::clone(&notes));
            move || {
                server.run(&stop, move |text| {
                    let notes: &Mutex<Vec<String>> = &notes;
                    notes.lock().unwrap().push(text.to_owned());
                })
            }
        });
        Ok(Self { address, links, notes, stop, thread: Some(thread) })
    }

    /// Stops the server and gives what it came to.
    pub(crate) fn stop(mut self) -> Result<(), ServeError> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        request(self.address, "GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", path, &headers, &body.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer of the server.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

/// One request on a connection of its own. Without a `host` among the headers, the address is it.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut lines = vec![format!("{method} {path} HTTP/1.1"), "connection: close".to_owned()];
    if !headers.iter().any(|(name, _)| *name == "host") {
        lines.push(format!("host: {address}"));
    }
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(lines.join("\r\n").as_bytes()).unwrap();
    // A server that refuses a large body closes before it is all sent.
    let _ = stream.write_all(body.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head, body: bytes[end + 4..].to_vec() }
}

/// Bytes of a folder's file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
