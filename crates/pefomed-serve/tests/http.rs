//! What the server answers, and what it keeps to itself.

mod common;

use common::{Server, Study, line, request};
use pefomed_data::Task;
use pefomed_eval::rating::{Store, StudyRequest, export};
use pefomed_serve::{RatingServer, ServeError, ServeOptions};
use serde_json::{Value, json};

fn grade(name: &str, position: usize, value: Value) -> Value {
    json!({ "request": name, "position": position, "rating": { "value": value } })
}

#[test]
fn a_rater_grades_and_finds_everything_again() {
    let study = Study::questions(6);
    let server = study.serve(&["Ada"], false);
    assert_eq!(server.get("/").header("location"), Some("/r/1/"));
    assert!(
        server.get("/r/1/").text().contains("<script type=\"module\" src=\"/static/rate.js\">")
    );
    let state = server.get("/r/1/state").json();
    // Six questions, of which two have one answer and four have two.
    assert_eq!(state["answers"].as_array().unwrap().len(), 10);
    assert_eq!((&state["kind"], &state["rater"]), (&json!("correct"), &json!("Ada")));
    assert_eq!(state["levels"][0]["name"], "Correct");

    let item = server.get("/r/1/item/3").json();
    assert_eq!(
        (&item["reference"], &item["images"], &item["given"]),
        (&json!("yes"), &json!(1), &Value::Null)
    );
    let image = server.get("/r/1/item/3/image/0");
    assert_eq!((image.status, image.header("content-type")), (200, Some("image/png")));
    assert!(image.body.starts_with(b"\x89PNG"));
    assert_eq!(server.get("/r/1/item/3/image/1").status, 404);
    assert_eq!(server.get("/r/1/item/10").status, 404);
    assert_eq!(server.get("/r/2/state").status, 404);

    server.post("/r/1/answer", &grade("request-1", 3, json!(1))).json();
    server.post("/r/1/answer", &grade("request-2", 4, Value::Null)).json();
    let again = server.post("/r/1/answer", &grade("request-2", 4, Value::Null)).json();
    assert_eq!(again["given"]["answer"], 2);
    server.stop().unwrap();

    // Another server on the same store goes on.
    let server = Server::start(Store::open(&study.path()).unwrap(), &study.options(false)).unwrap();
    let answers = server.get("/r/1/state").json()["answers"].clone();
    assert_eq!(
        (&answers[3], &answers[4], &answers[5]),
        (&json!({"value": 1}), &json!({"value": null}), &Value::Null)
    );
    let undone = server.post("/r/1/undo", &json!({ "request": "request-3" })).json();
    assert_eq!(undone, json!({ "undone": { "answer": 2, "position": 4 }, "given": null }));
    server.stop().unwrap();
    let rows = export::rows(&Store::open(&study.path()).unwrap(), false).unwrap();
    assert!(rows.iter().all(|row| row.answer == 1 && row.value == Some(1)));
}

#[test]
fn no_answer_names_a_system_an_id_or_a_file() {
    let study = Study::questions(4);
    let server = study.serve(&["Ada", "Bo"], false);
    let mut said = server.get("/").text();
    for path in ["/r/1/", "/r/1/state", "/static/rate.js", "/static/panel.js"] {
        let reply = server.get(path);
        said.push_str(&reply.head);
        said.push_str(&reply.text());
    }
    for position in 0..6 {
        said.push_str(&server.get(&format!("/r/1/item/{position}")).text());
        let image = server.get(&format!("/r/1/item/{position}/image/0"));
        said.push_str(&image.head);
        said.push_str(&String::from_utf8_lossy(&image.body));
        let body = grade(&format!("request-{position}"), position, json!(0));
        said.push_str(&server.post("/r/1/answer", &body).text());
    }
    said.push_str(&server.post("/r/1/undo", &json!({ "request": "request-u" })).text());
    assert!(said.contains("answer 1") && said.contains("other 1"));
    for secret in ["secret", "case-", "scan0", "scan1", ".jsonl", "sqlite"] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn a_hidden_reference_stays_hidden() {
    let study = Study::questions(2);
    let request = StudyRequest { show_reference: Some(false), ..StudyRequest::default() };
    let server = Server::start(study.store(&request), &study.options(false)).unwrap();
    assert_eq!(server.get("/r/1/state").json()["show_reference"], false);
    let item = server.get("/r/1/item/0");
    assert_eq!(item.json()["reference"], Value::Null);
    assert!(!item.text().contains("yes"));
}

#[test]
fn a_personal_link_lets_one_rater_in() {
    let study = Study::questions(3);
    let server = study.serve(&["Ada", "Bo"], true);
    let link = |index: usize| server.links[index].url.clone().unwrap();
    let path = |url: &str| url.split_once(&server.address.to_string()).unwrap().1.to_owned();
    let token = link(0).split_once("token=").unwrap().1.to_owned();
    assert_eq!(token.len(), 64);

    let html = [("accept", "text/html")];
    let last = if token.ends_with('0') { '1' } else { '0' };
    for path in [
        "/",
        "/r/1/",
        "/r/1/state",
        "/r/1/item/0",
        "/r/1/item/0/image/0",
        "/r/1/enter",
        "/r/1/enter?token=",
        "/r/1/enter?token=abc",
        "/r/3/",
        "/r/0/",
        "/r/x/",
        &format!("/r/2/enter?token={token}"),
        &format!("/r/1/enter?token={}{last}", &token[..63]),
    ] {
        let reply = request(server.address, "GET", path, &html, "");
        assert_eq!(reply.status, 401, "{path}");
        assert!(reply.text().contains("ask whoever runs the study for a new one"), "{path}");
        assert_eq!(reply.header("set-cookie"), None, "{path}");
    }
    assert_eq!(server.post("/r/1/answer", &grade("request-1", 0, json!(1))).status, 401);
    let error: Value = serde_json::from_slice(&server.get("/r/1/state").body).unwrap();
    assert!(error["error"].as_str().unwrap().contains("personal link"));

    let entered = server.get(&path(&link(0)));
    assert_eq!((entered.status, entered.header("location")), (303, Some("/r/1/")));
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; Path=/r/1/; HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split_once(';').unwrap().0;
    let with = |path: &str| request(server.address, "GET", path, &[("cookie", cookie)], "");
    assert_eq!(with("/r/1/state").json()["rater"], "Ada");
    assert_eq!(with("/r/2/state").status, 401);

    // What is kept cannot be used as a token.
    let store = std::fs::read(study.path()).unwrap();
    let log = std::fs::read(study.folder.path().join("ratings.sqlite-wal")).unwrap_or_default();
    let holds =
        |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds(&store, &token) && !holds(&log, &token));
    drop(server);

    // Links stay good over a restart, and a lost one is replaced.
    let store = || Store::open(&study.path()).unwrap();
    let server = Server::start(store(), &study.options(true)).unwrap();
    assert!(server.links.iter().all(|link| link.url.is_none()));
    let with = |server: &Server| {
        request(server.address, "GET", "/r/1/state", &[("cookie", cookie)], "").status
    };
    assert_eq!(with(&server), 200);
    drop(server);
    let options = ServeOptions { new_links: vec!["Ada".to_owned()], ..study.options(true) };
    let server = Server::start(store(), &options).unwrap();
    assert!(server.links[0].url.is_some() && server.links[1].url.is_none());
    assert_eq!(with(&server), 401);
    let unknown = ServeOptions { new_links: vec!["Cy".to_owned()], ..study.options(true) };
    let error = RatingServer::bind(store(), &unknown).unwrap_err().to_string();
    assert!(error.contains("is called `Cy`: there are Ada, Bo"), "{error}");
}

#[test]
fn other_sites_are_kept_out() {
    let study = Study::questions(2);
    let server = study.serve(&["Ada"], false);
    let port = server.address.port();
    let get =
        |host: &str| request(server.address, "GET", "/r/1/state", &[("host", host)], "").status;
    assert_eq!(get(&format!("127.0.0.1:{port}")), 200);
    assert_eq!(get(&format!("localhost:{port}")), 200);
    // A name of somebody else that points at 127.0.0.1.
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", "", "localhost:1"] {
        assert_eq!(get(host), 421, "{host}");
    }
    let body = grade("request-1", 0, json!(1)).to_string();
    let post = |headers: &[(&str, &str)]| {
        request(server.address, "POST", "/r/1/answer", headers, &body).status
    };
    let json = ("content-type", "application/json");
    assert_eq!(post(&[json, ("origin", "http://evil.example")]), 403);
    assert_eq!(post(&[json, ("sec-fetch-site", "cross-site")]), 403);
    // What a form of another site can send without asking.
    assert_eq!(post(&[("content-type", "text/plain")]), 415);
    assert_eq!(post(&[json, ("origin", &format!("http://127.0.0.1:{port}"))]), 200);
    for path in ["/", "/r/1/", "/r/1/state", "/static/rate.css", "/nowhere"] {
        let reply = server.get(path);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
}

#[test]
fn hostile_requests_fail_cleanly() {
    let study = Study::questions(2);
    let server = study.serve(&["Ada"], false);
    for path in [
        "/static/../rate.html",
        "/static/..%2f..%2fCargo.toml",
        "/static/%2e%2e/x",
        "/static/",
        "/r/1/item/../../etc/passwd",
        "/r/1/item/0/image/..%2f..%2fsecret",
        "/r/1/item/-1",
        "/r/1/item/99999999999999999999",
        "/r/1/item/0/image/x",
        "/r/-1/",
        "/r//",
        "/r/1",
        "//",
        "/images/scan0.png",
        "/ratings.sqlite",
    ] {
        let status = server.get(path).status;
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
    let long = "x".repeat(100_000);
    let status = |body: &str| {
        let headers = [("content-type", "application/json")];
        request(server.address, "POST", "/r/1/answer", &headers, body).status
    };
    assert_eq!(status(&format!("{{\"request\":\"{long}\"}}")), 413);
    assert_eq!(status("{"), 400);
    assert_eq!(status("{}"), 422);
    for (body, reason) in [
        (grade("request-1", 0, json!(2)), "2 does not lie on the scale correct"),
        (grade("short", 0, json!(1)), "8 to 64"),
        (
            json!({ "request": "request-1", "position": 0,
            "rating": { "value": 1, "comment": "y".repeat(4001) } }),
            "4001 characters",
        ),
        (
            json!({ "request": "request-1", "position": 0,
            "rating": { "value": 1, "marks": {} } }),
            "asks for no error marks",
        ),
    ] {
        let reply = server.post("/r/1/answer", &body);
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains(reason), "{}", reply.text());
    }
    assert_eq!(server.post("/r/1/answer", &grade("request-1", 99, json!(1))).status, 404);
    for value in [json!(1.5), json!(-1), json!(300), json!("1"), json!([1])] {
        let reply = server.post("/r/1/answer", &grade("request-1", 0, value.clone()));
        assert_eq!(reply.status, 422, "{value}");
    }
    assert_eq!(request(server.address, "DELETE", "/r/1/answer", &[], "").status, 405);
    let answers = server.get("/r/1/state").json()["answers"].clone();
    assert!(answers.as_array().unwrap().iter().all(Value::is_null), "{answers}");
    assert!(server.notes.lock().unwrap().is_empty());
}

/// A disk that is full, or a file somebody took away, is told to both sides, and to neither with
/// a word of what was rated.
#[test]
fn what_cannot_be_saved_is_not_acknowledged() {
    let study = Study::questions(2);
    let server = study.serve(&["Ada"], false);
    let other = rusqlite::Connection::open(study.path()).unwrap();
    other.execute_batch("DROP TABLE answers").unwrap();
    let body = json!({ "request": "request-1", "position": 0,
        "rating": { "value": 1, "comment": "Jane Doe" } });
    let reply = server.post("/r/1/answer", &body);
    assert_eq!(reply.status, 500);
    assert!(reply.text().contains("Not saved"), "{}", reply.text());
    let notes = server.notes.lock().unwrap().join("\n");
    assert!(notes.contains("ratings.sqlite") && !notes.contains("Jane"), "{notes}");
}

#[test]
fn an_image_that_broke_meanwhile_is_told() {
    let study = Study::questions(1);
    let server = study.serve(&["Ada"], false);
    std::fs::write(study.images().join("scan0.png"), b"\x89PNG but no more").unwrap();
    let reply = server.get("/r/1/item/0/image/0");
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains("cannot be decoded") && !reply.text().contains("scan0"));
    assert!(server.notes.lock().unwrap()[0].contains("scan0.png"));
}

#[test]
fn addresses_are_checked_before_anything_is_served() {
    let study = Study::new(&[("m", &[line("r", Task::Report, "scan0.png", ["", "a", "b"])])]);
    let store = || study.store(&StudyRequest::default());
    let options = ServeOptions { address: ([0, 0, 0, 0], 0).into(), ..study.options(false) };
    let error = RatingServer::bind(store(), &options).unwrap_err();
    assert!(matches!(error, ServeError::NoUrl { .. }), "{error}");
    let server = study.serve(&["Ada"], false);
    let taken = ServeOptions { address: server.address, ..study.options(false) };
    let error = RatingServer::bind(store(), &taken).unwrap_err().to_string();
    assert!(error.contains("choose another port with --port"), "{error}");
    let none = ServeOptions { images: None, ..study.options(false) };
    let error = RatingServer::bind(store(), &none).unwrap_err().to_string();
    assert!(error.contains("1 items have an image"), "{error}");
}

/// Pixels leave, drawn as asked; the patient does not.
#[test]
fn deep_images_are_drawn_on_request() {
    let study = Study::questions(1);
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pefomed-data/tests/fixtures/dicom/ct.dcm");
    std::fs::copy(fixture, study.images().join("scan0.png")).unwrap();
    let server = study.serve(&["Ada"], false);
    assert_eq!(server.get("/r/1/state").json()["presets"][1]["name"], "lung");
    let path = "/r/1/item/0/image/0";
    let plain = server.get(path);
    let rendering: Value = serde_json::from_str(plain.header("x-rendering").unwrap()).unwrap();
    assert_eq!(rendering["window"]["center"], 40.0);
    let lung = server.get(&format!("{path}?window=lung"));
    assert!(lung.body.starts_with(b"\x89PNG") && lung.body != plain.body);
    assert!(!lung.body.windows(3).any(|three| three == b"Doe"));
    let given = server.get(&format!("{path}?window=40%2C80"));
    let rendering: Value = serde_json::from_str(given.header("x-rendering").unwrap()).unwrap();
    assert_eq!(rendering["window"]["width"], 80.0);
    for wrong in ["?window=lungs", "?frame=2", "?frame=x", "?path=..%2Fsecret"] {
        assert_eq!(server.get(&format!("{path}{wrong}")).status, 400, "{wrong}");
    }
    server.stop().unwrap();
}
