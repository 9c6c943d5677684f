//! A headless browser, spoken to over pipes in the DevTools protocol: no port, no driver, no
//! dependency.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

struct Wire {
    child: Child,
    input: RefCell<ChildStdin>,
    output: Receiver<Value>,
    number: Cell<u64>,
    /// What pages complained about: broken policies, exceptions.
    complaints: RefCell<Vec<String>>,
    _profile: TempDir,
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Wire {
    fn call(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.attempt(session, method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn attempt(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, String> {
        let id = self.number.get() + 1;
        self.number.set(id);
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut input = self.input.borrow_mut();
        input.write_all(format!("{message}\0").as_bytes()).unwrap();
        input.flush().unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let reply =
                self.output.recv_timeout(left).unwrap_or_else(|_| panic!("{method}: no answer"));
            if reply["id"] == id {
                let error = &reply["error"];
                let failed = !error.is_null();
                return if failed { Err(error.to_string()) } else { Ok(reply["result"].clone()) };
            }
            let params = &reply["params"];
            match reply["method"].as_str() {
                Some("Runtime.exceptionThrown") => {
                    self.complaints.borrow_mut().push(params["exceptionDetails"].to_string());
                }
                Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                    self.complaints.borrow_mut().push(params["entry"].to_string());
                }
                _ => {}
            }
        }
    }
}

/// A running browser.
pub(crate) struct Browser {
    wire: Rc<Wire>,
}

impl Browser {
    /// Starts the first browser that is found.
    pub(crate) fn start() -> Option<Self> {
        let program = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
            .into_iter()
            .find_map(on_path)?;
        let profile = tempfile::tempdir().unwrap();
        // The protocol is spoken on the descriptors 3 and 4; a shell puts our pipes there.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1")
            .arg("sh")
            .arg(program)
            .args(["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"])
            .args(["--force-color-profile=srgb", "--hide-scrollbars", "--window-size=1280,800"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = RefCell::new(child.stdin.take().unwrap());
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let wire = Wire {
            child,
            input,
            output,
            number: Cell::new(0),
            complaints: RefCell::default(),
            _profile: profile,
        };
        Some(Self { wire: Rc::new(wire) })
    }

    /// A tab beside the others, which knows their cookies.
    pub(crate) fn tab(&self) -> Tab {
        self.open(json!({ "url": "about:blank" }))
    }

    /// A tab as in another person's browser.
    pub(crate) fn fresh_tab(&self) -> Tab {
        let context = self.wire.call(None, "Target.createBrowserContext", json!({}));
        let context = &context["browserContextId"];
        self.open(json!({ "url": "about:blank", "browserContextId": context }))
    }

    fn open(&self, target: Value) -> Tab {
        let wire = Rc::clone(&self.wire);
        let target = wire.call(None, "Target.createTarget", target)["targetId"].clone();
        let attached = wire.call(
            None,
            "Target.attachToTarget",
            json!({ "targetId": target, "flatten": true }),
        );
        let tab = Tab { wire, session: attached["sessionId"].as_str().unwrap().to_owned() };
        for domain in ["Page", "Runtime", "Log", "DOM", "Accessibility"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        // Every tab is in front for its own page, so that keys arrive and time is counted.
        tab.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true }));
        tab.size(1280, 800, "light");
        tab
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// One page.
pub(crate) struct Tab {
    wire: Rc<Wire>,
    session: String,
}

impl Tab {
    fn call(&self, method: &str, params: Value) -> Value {
        self.wire.call(Some(&self.session), method, params)
    }

    pub(crate) fn go(&self, url: &str) {
        // What is asked next must not be answered by the page before.
        self.eval("document.body && document.body.replaceChildren()");
        let reply = self.call("Page.navigate", json!({ "url": url }));
        assert!(reply["errorText"].is_null(), "{url}: {}", reply["errorText"]);
    }

    pub(crate) fn reload(&self) {
        self.eval("document.body.dataset.position = 'old'");
        self.call("Page.reload", json!({}));
        self.until("the page", "document.body && document.body.dataset.position !== 'old'");
    }

    /// The value of an expression as text.
    pub(crate) fn eval(&self, expression: &str) -> String {
        let reply = self
            .call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(reply["exceptionDetails"].is_null(), "{expression}: {}", reply["exceptionDetails"]);
        match &reply["result"]["value"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// Whether a condition holds. On a page that is just being left, nothing does.
    pub(crate) fn is(&self, condition: &str) -> bool {
        let expression = format!("Boolean({condition})");
        let asked = json!({ "expression": expression, "returnByValue": true });
        let reply = self.wire.attempt(Some(&self.session), "Runtime.evaluate", asked);
        reply.is_ok_and(|reply| reply["result"]["value"] == true)
    }

    /// Waits for a condition.
    pub(crate) fn until(&self, what: &str, condition: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.is(condition) {
            assert!(
                Instant::now() < end,
                "waited in vain for {what}: {}\n{:?}",
                self.eval("document.body.innerText"),
                self.wire.complaints.borrow()
            );
            sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an item is in view and takes grades.
    pub(crate) fn until_settled(&self) {
        self.until(
            "an item",
            "document.body && document.body.dataset.position !== undefined
                && !document.body.matches('.loading, .saving')",
        );
        // The page takes no grade in the first quarter of a second.
        sleep(Duration::from_millis(300));
    }

    pub(crate) fn text(&self, selector: &str) -> String {
        self.eval(&format!("document.querySelector({selector:?}).textContent"))
    }

    fn middle(&self, selector: &str) -> (f64, f64) {
        let at = self.eval(&format!(
            "(() => {{ const box = document.querySelector({selector:?}).getBoundingClientRect();
                return `${{box.x + box.width / 2}} ${{box.y + box.height / 2}}`; }})()"
        ));
        let (x, y) = at.split_once(' ').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    }

    fn mouse(&self, kind: &str, (x, y): (f64, f64), buttons: u8) {
        let button = if buttons == 0 { "none" } else { "left" };
        let event = json!({ "type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Clicks in the middle of an element.
    pub(crate) fn click(&self, selector: &str) {
        let at = self.middle(selector);
        self.mouse("mousePressed", at, 1);
        let event = json!({ "type": "mouseReleased", "x": at.0, "y": at.1, "button": "left", "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Drags from the middle of an element.
    pub(crate) fn drag(&self, selector: &str, dx: i32, dy: i32) {
        let (x, y) = self.middle(selector);
        let to = (x + f64::from(dx), y + f64::from(dy));
        self.mouse("mousePressed", (x, y), 1);
        self.mouse("mouseMoved", to, 1);
        let event = json!({ "type": "mouseReleased", "x": to.0, "y": to.1, "button": "left", "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event);
    }

    /// Presses one key: a letter, or a name such as `Escape`.
    pub(crate) fn press(&self, key: &str) {
        let mut down = json!({ "type": "keyDown", "key": key });
        if key.len() == 1 {
            down["text"] = key.into();
        }
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "Tab" => 9,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        if key == "Enter" {
            down["text"] = "\r".into();
        }
        down["windowsVirtualKeyCode"] = code.into();
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
    }

    /// Types text letter by letter.
    pub(crate) fn write(&self, text: &str) {
        for letter in text.chars() {
            self.press(&letter.to_string());
        }
    }

    /// Makes the window so large and the system so coloured.
    pub(crate) fn size(&self, width: u32, height: u32, theme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
        let feature = json!({ "name": "prefers-color-scheme", "value": theme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    fn capture(&self) -> Vec<u8> {
        let reply = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        base64(reply["data"].as_str().unwrap())
    }

    /// Leaves a picture of the page in `target/tmp/rating-page/`.
    pub(crate) fn screenshot(&self, name: &str, width: u32, height: u32, theme: &str) {
        self.size(width, height, theme);
        sleep(Duration::from_millis(300));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("rating-page");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}.png")), self.capture()).unwrap();
    }

    /// `columns` grey values along the middle row of an element, as the screen shows them.
    pub(crate) fn pixel_row(&self, selector: &str, columns: usize) -> Vec<u8> {
        sleep(Duration::from_millis(150));
        let box_of = self.eval(&format!(
            "(() => {{ const box = document.querySelector({selector:?}).getBoundingClientRect();
                return `${{box.x}} ${{box.y + box.height / 2}} ${{box.width}}`; }})()"
        ));
        let numbers: Vec<f64> = box_of.split(' ').map(|number| number.parse().unwrap()).collect();
        let shown = image::load_from_memory(&self.capture()).unwrap().to_luma8();
        (0..columns)
            .map(|column| {
                let x = numbers[0] + (column as f64 + 0.5) / columns as f64 * numbers[2];
                shown.get_pixel(x as u32, numbers[1] as u32)[0]
            })
            .collect()
    }

    /// Roles of the controls that assistive technology finds no name for.
    pub(crate) fn unnamed_controls(&self) -> Vec<String> {
        let tree = self.call("Accessibility.getFullAXTree", json!({}));
        let controls =
            ["button", "slider", "textbox", "image", "application", "dialog", "toolbar", "group"];
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        tree["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|node| node["ignored"] == false)
            .filter(|node| controls[..7].contains(&text(&node["role"]).as_str()))
            .filter(|node| text(&node["name"]).trim().is_empty())
            .map(|node| text(&node["role"]))
            .collect()
    }

    /// No policy was broken and no script failed.
    pub(crate) fn assert_no_complaints(&self) {
        self.eval("1");
        let complaints = self.wire.complaints.borrow();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

/// Bytes of base 64 (RFC 4648, section 4).
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for sextet in text.bytes().filter_map(value) {
        bits = bits << 6 | u32::from(sextet);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}
