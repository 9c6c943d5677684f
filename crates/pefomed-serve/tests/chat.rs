//! The OpenAI-compatible API, over plain HTTP, with answers that are written word by word.

mod common;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::chat::{KEY, Serving, body, options};
use common::{Reply, request};
use pefomed_serve::ServeError;
use pefomed_serve::chat::ChatServer;
use serde_json::{Value, json};

fn problem(reply: &Reply) -> (u16, String) {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body["error"]["message"].as_str().unwrap().to_owned())
}

#[test]
fn a_question_gets_its_answer_in_the_shape_of_the_api() {
    let serving = Serving::start(None);
    assert_eq!(serving.get("/health").json(), json!({ "status": "ok" }));
    let models = serving.get("/v1/models").json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("tuned")));
    assert_eq!(serving.get("/v1/models/tuned").json(), models["data"][0]);
    assert_eq!(serving.get("/v1/models/other").status, 404);

    let answer = serving.ask("is it broken?", &json!({})).json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(
        (&answer["model"], &answer["system_fingerprint"]),
        (&json!("tuned"), &json!("print"))
    );
    assert_eq!(
        answer["choices"],
        json!([{
            "index": 0, "message": { "role": "assistant", "content": "vqa 1 is it broken?" },
            "logprobs": null, "finish_reason": "stop",
        }])
    );
    assert_eq!(
        answer["usage"],
        json!({ "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10 })
    );
    let other = serving.ask("say it", &json!({ "max_tokens": 2, "task": "report" })).json();
    assert_ne!(other["id"], answer["id"]);
    assert_eq!(other["choices"][0]["message"]["content"], "report 1 ");
    assert_eq!(other["choices"][0]["finish_reason"], "length");
    let notes = serving.notes.lock().unwrap().join("\n");
    assert!(
        notes.contains("1 image, 5 + 5 tokens") && notes.contains("cut at the limit"),
        "{notes}"
    );
    assert!(!notes.contains("broken"), "{notes}");
}

#[test]
fn a_stream_is_the_same_answer_in_pieces() {
    let serving = Serving::start(None);
    let changes = json!({ "stream": true, "stream_options": { "include_usage": true } });
    let reply = serving.ask("yes no yes", &changes);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let text = reply.text();
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let (end, pieces) = lines.split_last().unwrap();
    assert_eq!(*end, "[DONE]");
    let pieces: Vec<Value> = pieces.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert!(
        pieces
            .iter()
            .all(|it| it["object"] == "chat.completion.chunk" && it["id"] == pieces[0]["id"])
    );
    assert_eq!(pieces[0]["choices"][0]["delta"]["role"], "assistant");
    let words: Vec<&str> =
        pieces.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(words, ["", "vqa ", "1 ", "yes ", "no ", "yes"]);
    let last = &pieces[pieces.len() - 2];
    assert_eq!(
        (&last["choices"][0]["finish_reason"], &last["choices"][0]["delta"]),
        (&json!("stop"), &json!({}))
    );
    assert_eq!(pieces[pieces.len() - 1]["usage"]["completion_tokens"], 5);
    // A question that is refused is refused as ever.
    assert_eq!(problem(&serving.ask("no", &changes)), (400, "image 1 is no image".to_owned()));
}

#[test]
fn what_goes_wrong_is_told_by_status_and_words() {
    let serving = Serving::start(None);
    assert_eq!(problem(&serving.ask("no", &json!({}))), (400, "image 1 is no image".to_owned()));
    assert_eq!(problem(&serving.ask("fail", &json!({}))), (500, "out of numbers".to_owned()));
    let (status, message) = problem(&serving.ask("panic", &json!({})));
    assert!(status == 500 && message.contains("report it"), "{message}");
    let (status, message) = problem(&serving.ask("a", &json!({ "model": "gpt-4o" })));
    assert!(status == 404 && message.contains("`tuned`"), "{message}");
    let (status, message) = problem(&serving.ask("a", &json!({ "temperature": 1 })));
    assert!(status == 400 && message.contains("`temperature`"), "{message}");
    assert_eq!(problem(&serving.get("/v1/embeddings")).0, 404);
    assert_eq!(problem(&serving.get("/v1/chat/completions")).0, 405);
    let garbage = request(serving.address, "POST", "/v1/chat/completions", &[], "{");
    assert_eq!(problem(&garbage).0, 400);
    // It goes on after all that.
    assert_eq!(serving.ask("a", &json!({})).status, 200);
}

#[test]
fn a_key_is_asked_for_and_other_pages_are_kept_out() {
    let serving = Serving::start(Some(KEY));
    let asked = |headers: &[(&str, &str)]| {
        let body = body("a", &json!({})).to_string();
        request(serving.address, "POST", "/v1/chat/completions", headers, &body).status
    };
    let bearer = format!("Bearer {KEY}");
    assert_eq!(asked(&[("authorization", &bearer)]), 200);
    assert_eq!(asked(&[]), 401);
    assert_eq!(asked(&[("authorization", "Bearer wrong")]), 401);
    assert_eq!(asked(&[("authorization", KEY)]), 401);
    assert_eq!(serving.get("/v1/models").status, 401);
    assert_eq!(serving.get("/v1/models").header("www-authenticate"), Some("Bearer"));
    assert_eq!(serving.get("/health").status, 200);
    assert_eq!(asked(&[("authorization", &bearer), ("origin", "https://evil.example")]), 403);
    // By whatever name a proxy passes on.
    assert_eq!(asked(&[("authorization", &bearer), ("host", "ask.hospital.example")]), 200);
    assert_eq!(asked(&[("host", "evil.example")]), 401);
    // Without a key a page that gives this machine its own name would be let in.
    let open = Serving::start(None);
    let by = |host: &str| request(open.address, "GET", "/v1/models", &[("host", host)], "").status;
    assert_eq!(by("evil.example"), 421);
    assert_eq!(by(&open.address.to_string()), 200);

    let refused = |address: &str, key| ChatServer::bind(options(address, key)).unwrap_err();
    assert!(matches!(refused("0.0.0.0:0", None), ServeError::NoKey { .. }));
    assert!(matches!(refused("127.0.0.1:0", Some("short")), ServeError::ShortKey { .. }));
    let taken = serving.address.to_string();
    assert!(matches!(refused(&taken, None), ServeError::Bind { .. }));
}

#[test]
fn the_line_has_an_end_and_who_leaves_it_is_not_answered() {
    let serving = Serving::start(None);
    let address = serving.address;
    let ask = move |text: &str| {
        let body = body(text, &json!({})).to_string();
        thread::spawn(move || request(address, "POST", "/v1/chat/completions", &[], &body).status)
    };
    // One is being answered and 64 wait; the next ones are sent away.
    let first = ask("wait");
    thread::sleep(Duration::from_millis(300));
    let rest: Vec<_> = (0..70).map(|_| ask("a")).collect();
    thread::sleep(Duration::from_millis(700));
    serving.go_on.send(()).unwrap();
    let mut statuses: Vec<u16> = rest.into_iter().map(|it| it.join().unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(first.join().unwrap(), 200);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 64, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 6, "{statuses:?}");

    // A client that goes away while its question is answered.
    let body = body("wait", &json!({})).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(300));
    drop(stream);
    thread::sleep(Duration::from_millis(300));
    serving.go_on.send(()).unwrap();
    assert_eq!(serving.ask("a", &json!({})).status, 200);
    assert!(serving.given_up.load(Ordering::SeqCst));
}

#[test]
fn the_page_brings_all_it_needs() {
    let serving = Serving::start(Some(KEY));
    let page = serving.get("/");
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let html = page.text();
    for part in html.split('"').filter(|part| part.starts_with("/static/")) {
        assert_eq!(serving.get(part).status, 200, "{part}");
    }
    assert_eq!(serving.get("/static/theme.js").status, 200);
    assert_eq!(serving.get("/static/rate.js").status, 404);
}
