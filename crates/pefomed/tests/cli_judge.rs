//! Judging and answering through an API, as a person at a terminal does it, against a server that
//! stands in for a model.

mod common;
#[path = "../../pefomed-eval/tests/common/stand_in.rs"]
mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{command, pefomed, with_data};
use pefomed_data::files;
use serde_json::{Value, json};
use stand_in::{Act, Request, StandIn};
use tempfile::{TempDir, tempdir};

/// `answers.jsonl` with `count` answers about `count / 2` images, every third wrong.
fn with_predictions(count: usize) -> TempDir {
    let folder = tempdir().unwrap();
    let mut text = String::new();
    for number in 0..count {
        let line = json!({
            "id": format!("q{number:02}"), "image": "a.png", "group": format!("g{}", number / 2),
            "task": "vqa", "question": format!("Question q{number:02}?"), "prompt": "",
            "prediction": if number % 3 == 0 { "right lung" } else { "the lung on the left" },
            "reference": "left lung", "tokens": 2, "finish": "stop",
        });
        let _ = writeln!(text, "{line}");
    }
    fs::write(folder.path().join("answers.jsonl"), text).unwrap();
    folder
}

fn verdict(request: &Request) -> Act {
    let right = request.text().contains("\nthe lung on the left\n");
    Act::Say(format!("score: {}", u8::from(right)))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How often each question was asked.
fn asked(server: &StandIn) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in server.requests() {
        let text = request.text();
        let at = text.find("Question q").unwrap() + "Question ".len();
        *counts.entry(text[at..at + 3].to_owned()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn predictions_are_judged_and_the_verdicts_kept() {
    let folder = with_predictions(12);
    let at = folder.path();
    let server = StandIn::new(verdict);
    let url = server.url();
    let line = format!("judge tuned=answers.jsonl --endpoint {url} --model m --repeat 2");
    // A proxy of the environment is no way to this machine.
    let mut first = command(at, &format!("{line} --grades grades.jsonl"));
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        first.env(name, "http://127.0.0.1:9");
    }
    let done = first.output().unwrap();
    let (out, err) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(done.status.code(), Some(0), "{out}\n{err}");
    assert!(out.contains("tuned, true image     12        24  66.7 [50.0, 83.3]"), "{out}");
    assert!(
        out.contains("tuned, true image   vqa     12          0          100.0        0.000"),
        "{out}"
    );
    let said =
        format!("to {url}/chat/completions on this machine: 24 of 24 questions for m, about ");
    assert!(err.contains(&said), "{err}");
    assert_eq!(lines(&at.join("judgements.jsonl")).len(), 24);
    let grades = lines(&at.join("grades.jsonl"));
    assert_eq!(grades.len(), 24);
    assert_eq!(
        grades[0],
        json!({"system": "tuned", "id": "q00", "group": "g0", "grader": "m", "kind": "judge",
            "scale": "correct", "repeat": 0, "value": 0.0})
    );
    // Once more: nothing is asked, and the numbers are the same.
    let out = pefomed(at, &format!("{line} --json -q")).ok();
    assert_eq!(server.requests().len(), 24);
    let summary: Value = serde_json::from_str(&out).unwrap();
    let results = &summary["results"][0];
    assert_eq!(results["numbers"]["vqa"]["accuracy"]["value"], 2.0 / 3.0);
    assert_eq!(results["groups"], 6);
    assert_eq!(results["stability"]["agreement"], 1.0);
    assert_eq!(summary["sampling"]["temperature"], 0.0);
}

#[test]
fn nothing_leaves_this_machine_by_default() {
    let folder = with_predictions(3);
    let at = folder.path();
    // 192.0.2.0/24 is for documentation; nobody is there.
    let line = "judge answers.jsonl --endpoint http://192.0.2.1/v1 --model m";
    let done = pefomed(at, &format!("{line} -q"));
    let err = done.fails(2);
    assert!(
        err.contains("which is not this machine (no loopback address), NOT ENCRYPTED: 3 of 3"),
        "{err}"
    );
    assert!(err.contains("pass --allow-remote if you may send them"), "{err}");
    assert!(!at.join("judgements.jsonl").exists());
    let out = pefomed(at, &format!("{line} --dry-run --json")).ok();
    let plan: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&plan["remote"], &plan["to_ask"]), (&json!(true), &json!(3)));
    assert!(!at.join("judgements.jsonl").exists());
    for (wrong, why) in [
        ("--endpoint 127.0.0.1:80 --model m", "write it as http://HOST:PORT/v1"),
        ("--endpoint http://127.0.0.1/v1", "name the model to ask with --model"),
        ("--model m", "name the endpoint to ask with --endpoint"),
        ("--endpoint http://127.0.0.1/v1 --model m --temperature 3", "use a number from 0 to 2"),
        ("--endpoint http://127.0.0.1/v1 --model m --body [1]", "write a JSON object"),
        ("--endpoint http://127.0.0.1/v1 --model m --repeat 0", "use a number from 1 to 1,000"),
        ("--endpoint http://127.0.0.1/v1 --model m --kind vqua", "did you mean `vqa`?"),
        ("--endpoint http://127.0.0.1/v1 --model m --key-env NOT_SET_ANYWHERE", "is not set"),
    ] {
        let err = pefomed(at, &format!("judge answers.jsonl {wrong}")).fails(2);
        assert!(err.contains(why), "{wrong}: {err}");
    }
}

#[test]
fn the_prompt_can_be_seen_and_replaced() {
    let folder = with_predictions(2);
    let at = folder.path();
    let shown = pefomed(at, "judge --kind vqa --show-prompt").ok();
    let shown_json = pefomed(at, "judge --kind vqa --show-prompt --json").ok();
    let shown_json: Value = serde_json::from_str(&shown_json).unwrap();
    assert_eq!(shown_json["prompt"], shown);
    let server = StandIn::new(verdict);
    let line =
        format!("judge answers.jsonl --endpoint {} --model m --concurrency 1 -q", server.url());
    pefomed(at, &line).ok();
    // The prompt that was shown is the prompt that is asked: as a file it is the same question.
    fs::write(at.join("same.txt"), &shown).unwrap();
    pefomed(at, &format!("{line} --prompt same.txt")).ok();
    assert_eq!(server.requests().len(), 2);
    fs::write(at.join("own.txt"), "Same? {reference} / {candidate} {question}").unwrap();
    pefomed(at, &format!("{line} --prompt own.txt")).ok();
    let requests = server.requests();
    assert_eq!(
        (requests.len(), requests[2].text().as_str()),
        (4, "Same? left lung / right lung Question q00?")
    );
    let kept = lines(&at.join("judgements.jsonl"));
    assert_eq!(kept[0]["prompt_sha256"], shown_json["sha256"]);
    assert_ne!(kept[3]["prompt_sha256"], shown_json["sha256"]);
    fs::write(at.join("own.txt"), "Same? {reference}").unwrap();
    let err = pefomed(at, &format!("{line} --prompt own.txt")).fails(1);
    assert!(err.contains("prompt `own.txt`: `{candidate}` is missing"), "{err}");
    let err = pefomed(at, "judge --show-prompt").fails(2);
    assert!(err.contains("add --kind vqa, likert or errors"), "{err}");
}

#[test]
fn what_failed_is_listed_after_everything_else_is_saved() {
    let folder = with_predictions(4);
    let at = folder.path();
    let server = StandIn::new(|request| {
        if request.text().contains("q02") {
            return Act::Reply(500, Vec::new(), "{\"error\": \"out of memory\"}".to_owned());
        }
        if request.body.to_string().contains("q01") {
            return Act::Say("I like it.".to_owned());
        }
        verdict(request)
    });
    let url = server.url();
    let line = format!(
        "judge answers.jsonl --endpoint {url} --model m --retries 1 --backoff 0.01 --grades g.jsonl"
    );
    let done = pefomed(at, &line);
    assert_eq!(done.code, Some(1), "{}", done.err);
    for part in [
        "Could not be read, asked twice, in no number above (1):\n  q01 of answers: it holds no number",
        "No reply (1):\n  q02 of answers: status 500, “out of memory” (2 tries)",
    ] {
        assert!(done.out.contains(part), "{part} is missing:\n{}", done.out);
    }
    assert!(done.err.contains("error: questions that failed: 1, that were not asked: 0; everything answered is kept: run the same command again"), "{}", done.err);
    assert_eq!(lines(&at.join("g.jsonl")).len(), 3);
    assert_eq!(lines(&at.join("judgements.jsonl")).len(), 4);
    // The endpoint has recovered: only the failed question is asked.
    drop(server);
    let server = StandIn::new(verdict);
    let line = line.replace(&url, &server.url());
    pefomed(at, &line).ok();
    assert_eq!(asked(&server), BTreeMap::from([("q02".to_owned(), 1)]));
}

fn start(at: &Path, line: &str) -> Child {
    command(at, line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for_requests(server: &StandIn, count: usize, child: &mut Child) {
    let begin = Instant::now();
    while server.requests().len() < count {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be stopped");
        assert!(begin.elapsed() < Duration::from_mins(1), "no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_judge_goes_on_without_asking_twice() {
    let folder = with_predictions(40);
    let at = folder.path();
    let server = StandIn::new(|request| {
        std::thread::sleep(Duration::from_millis(15));
        verdict(request)
    });
    let url = server.url();
    let line = format!("judge answers.jsonl --endpoint {url} --model m --concurrency 2 -q");
    for requests in [9, 22] {
        let mut child = start(at, &line);
        wait_for_requests(&server, requests, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        let whole = fs::read_to_string(at.join("judgements.jsonl")).unwrap();
        assert!(whole.lines().count() < 40, "it was over before it was killed");
    }
    // And a kill in the middle of a line.
    let path = at.join("judgements.jsonl");
    let kept = fs::read(&path).unwrap();
    let torn =
        kept.len() - kept.iter().rev().skip(1).take_while(|byte| **byte != b'\n').count() / 2;
    fs::write(&path, &kept[..torn]).unwrap();
    let out = pefomed(at, &format!("{line} --json")).ok();
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(summary["results"][0]["verdicts"], 40);
    let kept = lines(&path);
    let keys: BTreeSet<&str> = kept.iter().map(|line| line["key"].as_str().unwrap()).collect();
    assert_eq!((kept.len(), keys.len()), (40, 40));
    // Two questions were on their way at each kill, and one line was torn.
    let counts = asked(&server);
    let again: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert_eq!(counts.len(), 40);
    assert!(again.len() <= 5 && again.iter().all(|(_, count)| **count == 2), "{again:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_what_was_answered() {
    let folder = with_predictions(40);
    let at = folder.path();
    let server = StandIn::new(|request| {
        std::thread::sleep(Duration::from_millis(20));
        verdict(request)
    });
    let line = format!("judge answers.jsonl --endpoint {} --model m --concurrency 2", server.url());
    let mut child = start(at, &line);
    wait_for_requests(&server, 6, &mut child);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let done = child.wait_with_output().unwrap();
    let (out, err) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(done.status.code(), Some(1), "{err}");
    assert!(
        err.contains("error: stopped: questions that failed: 0, that were not asked: "),
        "{err}"
    );
    assert!(out.contains("\nNot asked ("), "{out}");
    // Everything that was asked was answered and kept.
    assert_eq!(lines(&at.join("judgements.jsonl")).len(), server.requests().len());
    pefomed(at, &line).ok();
    assert!(asked(&server).values().all(|count| *count == 1));
}

#[test]
fn a_key_is_written_nowhere() {
    let folder = with_predictions(2);
    let at = folder.path();
    let secret = "sk-geheim-0123456789";
    let server = StandIn::new(|request| {
        let key = request.header("authorization").unwrap_or("none").to_owned();
        match request.number {
            0 => Act::Say(format!("score: 1 for {key}")),
            _ => Act::Reply(
                401,
                Vec::new(),
                format!("{{\"error\": {{\"message\": \"bad {key}\"}}}}"),
            ),
        }
    });
    let line = format!("judge answers.jsonl --endpoint {} --model m --concurrency 1", server.url());
    let done = command(at, &line).env("OPENAI_API_KEY", secret).output().unwrap();
    let (out, err) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(done.status.code(), Some(1));
    assert!(
        err.contains("refuses the key or its absence (status 401, “bad Bearer [key]”)"),
        "{err}"
    );
    let kept = fs::read_to_string(at.join("judgements.jsonl")).unwrap();
    assert!(kept.contains("score: 1 for Bearer [key]"), "{kept}");
    for text in [out, err, kept] {
        assert!(!text.contains("geheim"), "{text}");
    }
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some(format!("Bearer {secret}").as_str())
    );
}

/// The image that a question was asked with, as bytes.
fn picture(request: &Request) -> Vec<u8> {
    let parts = request.body["messages"][0]["content"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    let url = parts[0]["image_url"]["url"].as_str().unwrap();
    STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap()
}

#[test]
fn a_general_model_answers_the_same_questions_with_the_same_images() {
    let folder = with_data();
    let at = folder.path();
    let server = StandIn::new(|request| {
        Act::Say(
            if request.text().contains("left half bright") { " Yes.\n" } else { "left" }.to_owned(),
        )
    });
    let line = format!(
        "predict --data vqa.jsonl --format jsonl --images images --endpoint {} --model big/vl:7b",
        server.url()
    );
    let err = pefomed(at, &line).fails(2);
    assert!(err.contains("name a file with --out FILE"), "{err}");
    let done = pefomed(at, &format!("{line} --out untuned.jsonl"));
    assert!(done.err.contains(" and 9 images ("), "{}", done.err);
    done.ok();
    let made = lines(&at.join("untuned.jsonl"));
    assert_eq!(made.len(), 9);
    assert_eq!(
        made[1],
        json!({
            "id": "6-b", "image": "p6.png", "group": "p6.png", "task": "vqa",
            "question": "Is the left half bright?",
            "prompt": "<ImageHere>\nAnswer with as few words as possible.\nIs the left half bright?",
            "prediction": "Yes.", "reference": "yes", "labels": made[1]["labels"], "tokens": 1,
            "finish": "stop", "condition": "true",
        })
    );
    let file = |name: &str| fs::read(at.join("images").join(name)).unwrap();
    let mut sent: Vec<Vec<u8>> = server.requests().iter().map(picture).collect();
    sent.sort();
    sent.dedup();
    let mut own = ["p6.png", "p7.png", "p8.png"].map(file).to_vec();
    own.sort();
    assert_eq!(sent, own);
    // Each image gives way to the next of three.
    pefomed(at, &format!("{line} --out shuffled.jsonl --condition shuffled -q")).ok();
    let shuffled = lines(&at.join("shuffled.jsonl"));
    assert_eq!(
        (&shuffled[0]["image"], &shuffled[0]["condition"]),
        (&json!("p6.png"), &json!("shuffled"))
    );
    for answer in lines(&at.join("shuffled.answers.jsonl")) {
        let own: usize = answer["id"].as_str().unwrap()[..1].parse().unwrap();
        let other = [7, 8, 6][own - 6];
        let digest = files::digest_bytes(&file(&format!("p{other}.png")));
        assert_eq!(answer["images_sha256"], json!([digest]), "{}", answer["id"]);
    }
    pefomed(at, &format!("{line} --out blank.jsonl --condition blank -q")).ok();
    let blank = server.requests()[18..].iter().map(picture).collect::<BTreeSet<_>>();
    assert_eq!(blank.len(), 1);
    let blank = image::load_from_memory(blank.first().unwrap()).unwrap().to_luma8();
    assert!(blank.pixels().all(|pixel| pixel.0 == [128]));
    // The lines are prediction lines like any others.
    let out = pefomed(at, "score untuned.jsonl blank.jsonl --json").ok();
    let metrics: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(metrics["tasks"][0]["conditions"][0]["overall"]["n"], 9);
}

#[test]
fn answers_go_on_where_they_were_and_half_a_split_is_no_file() {
    let folder = with_data();
    let at = folder.path();
    let recipe = "[model]\nvision = \"vision\"\ndecoder = \"decoder\"\n\
        [data.vqa]\nformat = \"jsonl\"\npath = \"vqa.jsonl\"\nimages = \"images\"\n\
        [[stage]]\nname = \"vqa\"\ndata = [\"vqa\"]\nsteps = 3\nlearning_rate = 1e-3\n\
        [evaluation]\ndata = \"vqa\"\nmax_new_tokens = 6\ncontrols = [\"blank\"]\n";
    fs::create_dir(at.join("run")).unwrap();
    let recipe =
        recipe.replace("\"vqa.jsonl\"", "\"../vqa.jsonl\"").replace("\"images\"", "\"../images\"");
    fs::write(at.join("run/recipe.toml"), recipe).unwrap();
    let server = StandIn::new(|request| match request.number {
        4 => Act::Reply(400, Vec::new(), "{\"error\": \"no\"}".to_owned()),
        _ => Act::Say("left".to_owned()),
    });
    let line = format!("predict run --endpoint {} --model vl --instruction Briefly:", server.url());
    let done = pefomed(at, &line);
    let made = at.join("run/baselines/vl/predictions-test.jsonl");
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(!made.exists() && done.out.contains("not written, 1 of 9"), "{}", done.out);
    assert!(done.out.contains("status 400, “no”"), "{}", done.out);
    // The other condition was not held up by that.
    let blank = at.join("run/baselines/vl/predictions-test.blank.jsonl");
    assert_eq!(lines(&blank).len(), 9);
    pefomed(at, &line).ok();
    assert_eq!((lines(&made).len(), server.requests().len()), (9, 19));
    let request = &server.requests()[0];
    assert_eq!(request.body["max_tokens"], 6);
    assert!(request.text().starts_with("Briefly:\n"), "{}", request.text());
    let kept = lines(&at.join("run/baselines/vl/predictions-test.answers.jsonl"));
    assert_eq!((kept.len(), &kept[0]["model"]), (9, &json!("vl")));
    // A changed image is another question.
    fs::copy(at.join("images/p0.png"), at.join("images/p6.png")).unwrap();
    pefomed(at, &format!("{line} --condition true")).ok();
    assert_eq!(server.requests().len(), 22);
    for wrong in [
        "predict run --model m",
        "predict --format jsonl --data x",
        "predict run --endpoint http://127.0.0.1/v1 --model m --stage none",
    ] {
        pefomed(at, wrong).fails(2);
    }
}
