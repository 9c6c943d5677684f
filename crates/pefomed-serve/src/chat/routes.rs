//! Requests and their answers.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/chat/completions` | an answer, whole or as server-sent events |
//! | `GET /v1/models`, `/v1/models/NAME` | the one model |
//! | `GET /health` | that the server answers |
//! | `GET /` | a page to ask on |

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::reply::{Head, Refusal, described};
use super::worker::{Heard, Line};
use super::{Model, Note, page, request};
use crate::{guard, token};

/// The most bytes a request may carry: several radiographs as they come out of an archive.
const BODY_LIMIT: usize = 256 << 20;
/// What the page may do: show the image that was chosen, and ask.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// What handlers share.
#[derive(Clone)]
struct Shared {
    model: Arc<Model>,
    line: Line,
    note: Note,
}

pub(super) fn router(model: Model, line: Line, note: Note) -> Router {
    let shared = Shared { model: Arc::new(model), line, note };
    let api = Router::new()
        .route("/v1/chat/completions", post(completions))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(named_model))
        .route_layer(middleware::from_fn_with_state(shared.clone(), let_in));
    Router::new()
        .route("/", get(async || Html(page::ASK_HTML)))
        .route("/static/{file}", get(static_file))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .merge(api)
        .fallback(async || no_path())
        .method_not_allowed_fallback(async || {
            let text = "this path answers to another method: questions are sent with POST";
            Refusal::invalid(StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(shared.clone(), check))
        .with_state(shared)
}

fn no_path() -> Refusal {
    let text = "there is no such path: questions go to /v1/chat/completions";
    Refusal::invalid(StatusCode::NOT_FOUND, text)
}

/// Is the request meant for us, and does it come from our own page or a program?
async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let guard = &shared.model.guard;
    let mut response = if !guard.knows_host(request.headers()) {
        let text = "this server answers to 127.0.0.1 and localhost";
        Refusal::invalid(StatusCode::MISDIRECTED_REQUEST, text).into_response()
    } else if !guard.is_own_page(request.method(), request.headers()) {
        let text = "pages of other places may not ask";
        Refusal::invalid(StatusCode::FORBIDDEN, text).into_response()
    } else {
        next.run(request).await
    };
    guard::seal(&mut response, POLICY);
    response
}

/// Lets requests in that carry the key, where there is one.
async fn let_in(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let given = bearer(request.headers()).unwrap_or_default();
    match &shared.model.key {
        Some(digest) if !token::matches(given, digest) => Refusal::no_key().into_response(),
        _ => next.run(request).await,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = guard::header_text(headers, header::AUTHORIZATION.as_str())?;
    let (scheme, key) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

async fn static_file(Path(name): Path<String>) -> Response {
    match page::file(&name) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => no_path().into_response(),
    }
}

async fn models(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [described(&shared.model)] }))
}

async fn named_model(
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    if name != shared.model.name {
        let text = format!("no model `{name}` is here: there is `{}`", shared.model.name);
        return Err(Refusal::invalid(StatusCode::NOT_FOUND, text));
    }
    Ok(Json(described(&shared.model)))
}

async fn completions(
    State(shared): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|rejection| {
        let text = format!("{}: at most {} MiB can be sent", rejection, BODY_LIMIT >> 20);
        Refusal::invalid(rejection.status(), text)
    })?;
    // Megabytes of base64 take a while; other requests go on meanwhile.
    let model = Arc::clone(&shared.model);
    let asked = tokio::task::spawn_blocking(move || request::read(&body, &model)).await;
    let asked = asked.map_err(|error| {
        (shared.note)(&error.to_string());
        Refusal::failed("the program failed while it read the request")
    })??;
    let mut heard = shared.line.ask(asked.question, asked.limit)?;
    let head = Head::new(&shared.model);
    if asked.stream {
        return Ok(streamed(head, heard, asked.usage).await);
    }
    loop {
        match heard.recv().await {
            Some(Heard::Text(_)) => {}
            Some(Heard::End(end)) => return Ok(Json(head.whole(&end?)).into_response()),
            None => return Err(ended()),
        }
    }
}

/// The thread that answers ended without a word.
fn ended() -> Refusal {
    Refusal::failed("the model stopped while it answered")
}

/// An answer as server-sent events. What is wrong with a question is known before its first token, and is
/// told by the status as ever.
async fn streamed(head: Head, mut heard: UnboundedReceiver<Heard>, usage: bool) -> Response {
    let first = match heard.recv().await {
        Some(Heard::End(Err(problem))) => return Refusal::from(problem).into_response(),
        None => return ended().into_response(),
        Some(first) => first,
    };
    let role = head.piece(&json!({ "role": "assistant", "content": "" }), None).to_string();
    let mut pieces = Pieces { head, heard, usage, waiting: VecDeque::from([role]), is_over: false };
    pieces.take(first);
    Sse::new(stream::unfold(pieces, Pieces::next)).into_response()
}

/// The events of a streamed answer.
struct Pieces {
    head: Head,
    heard: UnboundedReceiver<Heard>,
    usage: bool,
    /// What is sent next.
    waiting: VecDeque<String>,
    /// Whether nothing comes after that.
    is_over: bool,
}

impl Pieces {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while self.waiting.is_empty() && !self.is_over {
            if let Some(heard) = self.heard.recv().await {
                self.take(heard);
            } else {
                self.waiting.push_back(ended().json().to_string());
                self.is_over = true;
            }
        }
        let data = self.waiting.pop_front()?;
        Some((Ok(Event::default().data(data)), self))
    }

    fn take(&mut self, heard: Heard) {
        let mut send = |text: Value| self.waiting.push_back(text.to_string());
        match heard {
            Heard::Text(text) => return send(self.head.piece(&json!({ "content": text }), None)),
            Heard::End(Err(problem)) => send(Refusal::from(problem).json()),
            Heard::End(Ok(answer)) => {
                send(self.head.piece(&json!({}), Some(&answer)));
                if self.usage {
                    send(self.head.count(&answer));
                }
            }
        }
        self.waiting.push_back("[DONE]".to_owned());
        self.is_over = true;
    }
}
