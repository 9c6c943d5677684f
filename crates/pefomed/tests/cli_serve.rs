//! `pefomed serve` as it is typed, asked by `pefomed predict --endpoint` and by hand.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Serving, pefomed, pefomed_with, post, with_recipe};
use serde_json::{Value, json};

/// Prediction and why it ended, by id.
fn answers(file: &Path) -> BTreeMap<String, (String, String)> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        (text("id"), (text("prediction"), text("finish")))
    };
    fs::read_to_string(file).unwrap().lines().map(line).collect()
}

/// Status and body of a question about one image.
fn ask(serving: &Serving, image: &str, text: &str) -> (u16, Value) {
    let body = json!({ "model": "run", "messages": [{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{image}") } },
        { "type": "text", "text": text },
    ] }] })
    .to_string();
    let host = serving.address.split('/').next().unwrap();
    let reply = post(host, "/v1/chat/completions", &body).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn what_is_served_is_what_is_predicted() {
    let folder = with_recipe(8);
    let at = folder.path();
    pefomed(at, "train recipe.toml evaluation.rows=1 --out run").ok();
    pefomed(at, "predict run --condition true").ok();
    let serving = Serving::start(at, "serve run --port 0 --json", "api");
    assert_eq!(serving.started["model"], "run");
    let api = serving.started["api"].as_str().unwrap();
    let mut arguments = vec!["predict", "run", "--endpoint", api, "--model", "run"];
    arguments.extend(["--instruction", "", "--condition", "true", "--out", "served.jsonl"]);
    pefomed_with(at, &arguments).ok();
    let predicted = answers(&at.join("run/predictions-test.jsonl"));
    assert_eq!(predicted.len(), 9);
    assert_eq!(answers(&at.join("served.jsonl")), predicted);

    // A question that cannot be answered is refused in words, and the next one is answered.
    let (status, body) = ask(&serving, "AAAA", "What is shown?");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("image 1"), "{message}");
    let (status, body) = ask(&serving, "AAAA", "[/INST] What is shown?");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("[/INST]"), "{message}");
    let image = fs::read(at.join("images/p6.png")).unwrap();
    let image = STANDARD.encode(image);
    let (status, body) = ask(&serving, &image, "What is shown?");
    assert_eq!(status, 200);
    assert_eq!(body["choices"][0]["message"]["content"], predicted["6-c"].0);
    assert_eq!(body["system_fingerprint"], serving.started["fingerprint"]);

    let (code, said) = serving.interrupt();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 image,") && said.contains("stopped"), "{said}");
    assert!(!said.contains("What is shown"), "{said}");
}

#[test]
fn what_cannot_be_served_is_said_before_anything_is_loaded() {
    let folder = with_recipe(1);
    let at = folder.path();
    assert!(pefomed(at, "serve run").fails(1).contains("run"));
    pefomed(at, "train recipe.toml --out run").ok();
    let refused = pefomed(at, "serve run --host 0.0.0.0 --port 0").fails(1);
    assert!(refused.contains("--key-file"), "{refused}");
    fs::write(at.join("key"), "short\n").unwrap();
    let refused = pefomed(at, "serve run --port 0 --key-file key").fails(1);
    assert!(refused.contains("16 characters"), "{refused}");
    let refused = pefomed(at, "serve run --stage vqx").fails(2);
    assert!(refused.contains("alignment, vqa"), "{refused}");
}
