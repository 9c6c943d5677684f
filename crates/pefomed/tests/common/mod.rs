//! A shell for the tests, a small base and a small data set.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use image::{GrayImage, Luma};
use tempfile::TempDir;

/// What a command left behind.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    /// Asserts success and gives standard output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self.out
    }

    /// Asserts an exit code and gives standard error.
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self.err
    }
}

/// The program with arguments as they would be typed, and a working directory.
pub(crate) fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pefomed"));
    command.args(line.split_whitespace()).current_dir(folder).env("NO_COLOR", "1");
    command
}

/// Types `pefomed LINE` in a folder.
pub(crate) fn pefomed(folder: &Path, line: &str) -> Done {
    done(command(folder, line))
}

/// [`pefomed`] with arguments that hold blanks.
pub(crate) fn pefomed_with(folder: &Path, arguments: &[&str]) -> Done {
    let mut command = command(folder, "");
    command.args(arguments);
    done(command)
}

fn done(mut command: Command) -> Done {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Done {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A folder with a data set of six training and three test pictures: `vqa.jsonl` with three
/// questions about each, `captions.jsonl`, and `images/`.
pub(crate) fn with_data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    fs::create_dir(&images).unwrap();
    let (mut vqa, mut captions) = (String::new(), String::new());
    for index in 0..9_u8 {
        let picture = GrayImage::from_fn(40, 40, |x, y| {
            let bright = if index % 2 == 0 { x < 20 } else { y < 20 };
            Luma([if bright { 180 + index } else { 20 + index }])
        });
        picture.save(images.join(format!("p{index}.png"))).unwrap();
        let split = if index < 6 { "train" } else { "test" };
        let (side, is_left) = if index % 2 == 0 { ("left", "yes") } else { ("top", "no") };
        let line = |text: &mut String, id: &str, task: &str, question: &str, answer: &str| {
            let line = serde_json::json!({
                "id": format!("{index}-{id}"), "image": format!("p{index}.png"), "task": task,
                "question": question, "answer": answer, "split": split,
            });
            let _ = writeln!(text, "{line}");
        };
        line(&mut vqa, "a", "vqa", "Where is the bright half?", side);
        line(&mut vqa, "b", "vqa", "Is the left half bright?", is_left);
        line(&mut vqa, "c", "vqa", "What is shown?", "two halves");
        line(&mut captions, "d", "caption", "", &format!("the {side} half is bright"));
    }
    fs::write(folder.path().join("vqa.jsonl"), vqa).unwrap();
    fs::write(folder.path().join("captions.jsonl"), captions).unwrap();
    folder
}

/// A base of a few thousand parameters that has hardly learned anything, made once by
/// `pefomed pretrain`.
pub(crate) fn base() -> &'static Path {
    static BASE: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BASE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let recipe = "\
            seed = 1\n\
            [vision]\n\
            hidden_size = 16\nlayers = 1\nheads = 2\nimage_size = 56\npatch_size = 14\n\
            training = { steps = 2, batch = 2, learning_rate = 1e-3, warmup_steps = 1, weight_decay = 0.05 }\n\
            [decoder]\n\
            hidden_size = 32\nintermediate_size = 48\nlayers = 2\nheads = 4\nkey_value_heads = 2\n\
            vocabulary = 300\n\
            training = { steps = 2, batch = 2, learning_rate = 1e-3, warmup_steps = 1, weight_decay = 0.05 }\n";
        fs::write(folder.path().join("base.toml"), recipe).unwrap();
        pefomed(folder.path(), "pretrain base.toml --out base").ok();
        let path = folder.path().join("base");
        (folder, path)
    });
    path
}

/// Writes `recipe.toml` for the data of [`with_data`] and the base, both stages `steps` long.
pub(crate) fn write_recipe(folder: &Path, steps: usize) {
    let base = base().display();
    let recipe = format!(
        "title = \"Two halves\"\n\
         seed = 5\n\
         [model]\n\
         vision = \"{base}/vision\"\n\
         decoder = \"{base}/decoder\"\n\
         image_size = 56\n\
         [adapter]\n\
         rank = 4\ndropout = 0.1\n\
         [data.captions]\n\
         format = \"jsonl\"\npath = \"captions.jsonl\"\nimages = \"images\"\n\
         [data.vqa]\n\
         format = \"jsonl\"\npath = \"vqa.jsonl\"\nimages = \"images\"\n\
         [[stage]]\n\
         name = \"alignment\"\ndata = [\"captions\"]\nsteps = {steps}\nbatch = 3\n\
         token_budget = 40\nlearning_rate = 1e-2\ntrain_adapter = false\ncheckpoint_every = 3\n\
         [[stage]]\n\
         name = \"vqa\"\ndata = [\"vqa\"]\nsteps = {steps}\nbatch = 6\ntoken_budget = 60\n\
         learning_rate = 1e-2\ncheckpoint_every = 3\n\
         [evaluation]\n\
         data = \"vqa\"\nmax_new_tokens = 6\ncontrols = [\"blank\", \"shuffled\"]\n"
    );
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
}

/// A folder with data and recipe.
pub(crate) fn with_recipe(steps: usize) -> TempDir {
    let folder = with_data();
    write_recipe(folder.path(), steps);
    folder
}

/// The bytes of an adapter: its weights and the projector beside them.
pub(crate) fn adapter_bytes(adapter: &Path) -> Vec<Vec<u8>> {
    ["adapter_model.safetensors", "projector.safetensors", "adapter_config.json"]
        .map(|file| fs::read(adapter.join(file)).unwrap())
        .to_vec()
}

/// Steps and losses of a log, without what the clock says.
pub(crate) fn losses(run: &Path) -> Vec<(String, u64, String)> {
    let log = fs::read_to_string(run.join("events.jsonl")).unwrap();
    log.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "step")
        .map(|event| {
            let stage = event["stage"].as_str().unwrap().to_owned();
            (stage, event["step"].as_u64().unwrap(), event["loss"].to_string())
        })
        .collect()
}

/// Waits until a run's log holds so many steps.
pub(crate) fn wait_for_steps(run: &Path, steps: usize, child: &mut Child) {
    let begin = Instant::now();
    loop {
        let log = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
        if log.matches("\"event\":\"step\"").count() >= steps {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be stopped");
        assert!(begin.elapsed() < Duration::from_mins(2), "no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts `pefomed LINE` in a folder.
pub(crate) fn start(at: &Path, line: &str) -> Child {
    command(at, line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A text with the temporary folder's name taken out of it.
pub(crate) fn without_folder(text: &str, folder: &Path) -> String {
    text.replace(&folder.display().to_string(), "DIR")
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Files below a folder whose names are wanted, by their paths in it.
pub(crate) fn files_below(
    folder: &Path,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<PathBuf, PathBuf> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(&here).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&name) {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), path);
            }
        }
    }
    found
}

/// A server as a process of its own; it is killed when it goes out of scope.
pub(crate) struct Serving {
    pub(crate) child: Child,
    /// Host and port.
    pub(crate) address: String,
    /// What it said when it began.
    pub(crate) started: serde_json::Value,
}

impl Serving {
    /// Types `pefomed LINE`, which has `--json`, and waits for the result, whose `field` is the server's address.
    pub(crate) fn start(folder: &Path, line: &str, field: &str) -> Self {
        let mut child =
            command(folder, line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        // The result ends with a brace of its own; the server goes on after it.
        while !text.ends_with("\n}\n") {
            let read = out.read_line(&mut text).unwrap();
            assert!(read > 0, "{text}\n{}", rest(&mut child));
        }
        let started: serde_json::Value = serde_json::from_str(&text).unwrap();
        let url = started[field].as_str().unwrap();
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { child, address, started }
    }

    /// As Ctrl-C does; the exit code and what was said.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, String) {
        let done = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(done.unwrap().success());
        let code = self.child.wait().unwrap().code();
        (code, rest(&mut self.child))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(err) = &mut child.stderr {
        let _ = err.read_to_string(&mut text);
    }
    text
}

/// One request; nothing when the server has gone away.
pub(crate) fn post(address: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}
