//! Requests and their answers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | who is rating? (without tokens) |
//! | `GET /r/N/enter?token=…` | sets the cookie, leads to the page |
//! | `GET /r/N/` | the page |
//! | `GET /r/N/state` | scale, settings, the rater's answers |
//! | `GET /r/N/item/P` | texts at position P |
//! | `GET /r/N/item/P/image/I?frame=&slice=&window=` | one of its images; how it was drawn stands in the header `x-rendering` |
//! | `POST /r/N/answer`, `POST /r/N/undo` | writes, then acknowledges |
//!
//! The browser knows raters, items and images by number. No answer holds the name of a system, an
//! item's id or an image's file name.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use pefomed_data::DataError;
use pefomed_data::image::window::PRESETS;
use pefomed_eval::rating::{ErrorKind, Given, Rater, Rating, RatingError, Settings, Store};
use serde::Deserialize;
use serde_json::{Value, json};

use super::images::Asked;
use super::reply::Refusal;
use super::{Study, cookie, page};
use crate::{guard, token};

/// The most bytes a request may carry: a long comment in any alphabet fits.
const BODY_LIMIT: usize = 64 * 1024;
/// What the pages may do: nothing but what they brought along.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

type Note = Arc<dyn Fn(&str) + Send + Sync>;

/// What handlers share.
#[derive(Clone)]
struct Shared {
    study: Arc<Study>,
    note: Note,
}

pub(super) fn router(study: Arc<Study>, note: Note) -> Router {
    let shared = Shared { study, note };
    let own = Router::new()
        .route("/r/{rater}/", get(rating_page))
        .route("/r/{rater}/state", get(state))
        .route("/r/{rater}/item/{position}", get(item))
        .route("/r/{rater}/item/{position}/image/{index}", get(image))
        .route("/r/{rater}/answer", post(answer))
        .route("/r/{rater}/undo", post(undo))
        .route_layer(middleware::from_fn_with_state(shared.clone(), let_in));
    Router::new()
        .route("/", get(welcome))
        .route("/r/{rater}/enter", get(enter))
        .route("/static/{file}", get(static_file))
        .merge(own)
        .fallback(async |request: Request| Refusal::not_found().for_request(request.headers()))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(shared.clone(), check))
        .with_state(shared)
}

/// Before anything else: is the request meant for us, and may it write? After: headers that keep the
/// pages to themselves.
async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let guard = &shared.study.guard;
    let mut response = if !guard.knows_host(request.headers()) {
        let text = "This server answers to 127.0.0.1 and localhost. Open the address that the \
                    program printed when it was started.";
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, "Not this address", text).page()
    } else if !guard.is_own_page(request.method(), request.headers()) {
        let text = "Grades are taken from the rating page alone.";
        Refusal::new(StatusCode::FORBIDDEN, "Not from here", text).into_response()
    } else {
        next.run(request).await
    };
    guard::seal(&mut response, POLICY);
    response
}

/// Finds the rater of an address and checks the token.
async fn let_in(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let number = request.uri().path().split('/').nth(2).and_then(|number| number.parse().ok());
    let token = cookie::token(request.headers());
    match find(&shared.study, number, token) {
        Ok(rater) => {
            request.extensions_mut().insert(rater);
            next.run(request).await
        }
        Err(refusal) => refusal.for_request(request.headers()),
    }
}

/// The rater with a number, when the token is theirs.
fn find(study: &Study, number: Option<usize>, given: Option<&str>) -> Result<Rater, Refusal> {
    let index = number.and_then(|number| number.checked_sub(1));
    let rater = index.and_then(|index| study.raters.get(index));
    if let Some(digests) = &study.tokens {
        // A number that nobody has looks like a wrong token.
        let kept = index.and_then(|index| digests.get(index)).map_or("", String::as_str);
        if !token::matches(given.unwrap_or_default(), kept) {
            return Err(Refusal::unauthorized());
        }
    }
    rater.cloned().ok_or_else(Refusal::not_found)
}

async fn welcome(State(shared): State<Shared>) -> Response {
    let study = &shared.study;
    if study.tokens.is_some() {
        return Refusal::unauthorized().page();
    }
    match &study.raters[..] {
        [alone] => Redirect::to(&format!("/r/{}/", alone.number)).into_response(),
        several => {
            let names: Vec<_> =
                several.iter().map(|rater| (rater.number, rater.name.clone())).collect();
            Html(page::choice(&names)).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Entrance {
    #[serde(default)]
    token: String,
}

async fn enter(
    State(shared): State<Shared>,
    Path(number): Path<String>,
    Query(entrance): Query<Entrance>,
) -> Response {
    let study = &shared.study;
    match find(study, number.parse().ok(), Some(&entrance.token)) {
        Err(refusal) => refusal.page(),
        Ok(rater) => {
            let mut response = Redirect::to(&format!("/r/{}/", rater.number)).into_response();
            let cookie = cookie::set(rater.number, &entrance.token, study.secure);
            if let (true, Ok(cookie)) = (study.tokens.is_some(), HeaderValue::from_str(&cookie)) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    }
}

async fn static_file(Path(name): Path<String>) -> Response {
    match page::file(&name) {
        Some((kind, text)) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        None => Refusal::not_found().into_response(),
    }
}

async fn rating_page() -> Html<&'static str> {
    Html(page::RATE_HTML)
}

async fn state(
    State(shared): State<Shared>,
    Extension(rater): Extension<Rater>,
) -> Result<Json<Value>, Refusal> {
    shared
        .with_store(move |store| {
            let answers = store.answers(&rater)?;
            let short = |given: &Option<Given>| {
                given.as_ref().map(|given| json!({ "value": given.rating.value }))
            };
            let Settings { kind, error_marks, show_reference, .. } = *store.settings();
            let mark = |kind: ErrorKind| {
                let (name, label) = (kind.name(), kind.label());
                json!({ "name": name, "label": label, "description": kind.description() })
            };
            let marks = error_marks.then(|| ErrorKind::ALL.map(mark));
            Ok(Json(json!({
                "rater": rater.name,
                "synthetic": rater.synthetic,
                "kind": kind,
                "levels": kind.levels(),
                "error_types": marks,
                "show_reference": show_reference,
                "presets": PRESETS,
                "answers": answers.iter().map(short).collect::<Vec<_>>(),
            })))
        })
        .await
}

async fn item(
    State(shared): State<Shared>,
    Extension(rater): Extension<Rater>,
    Path((_, position)): Path<(String, usize)>,
) -> Result<Json<Value>, Refusal> {
    shared
        .with_store(move |store| {
            let mut answers = store.answers(&rater)?;
            let candidate = candidate(store, &rater, position)?;
            let case = &store.items().cases[candidate.case];
            let reference = store.settings().show_reference.then_some(&case.reference);
            Ok(Json(json!({
                "position": position,
                "task": case.task,
                "question": case.question,
                "reference": reference,
                "candidate": candidate.text,
                "images": case.images.len(),
                "given": answers.get_mut(position).and_then(Option::take),
            })))
        })
        .await
}

async fn image(
    State(shared): State<Shared>,
    Extension(rater): Extension<Rater>,
    Path((_, position, index)): Path<(String, usize, usize)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let name = shared
        .with_store(move |store| {
            let case = candidate(store, &rater, position)?.case;
            Ok(store.items().cases[case].images.get(index).cloned())
        })
        .await?
        .ok_or_else(Refusal::not_found)?;
    let study = Arc::clone(&shared.study);
    let permit = study.decoders.acquire().await;
    let decoded = tokio::task::spawn_blocking({
        let study = Arc::clone(&study);
        move || study.images.png(&name, &asked)
    })
    .await;
    drop(permit);
    let problem = match decoded {
        Ok(Ok((png, rendering))) => {
            let mut response = ([(header::CONTENT_TYPE, "image/png")], png).into_response();
            let text = rendering.and_then(|rendering| serde_json::to_string(&rendering).ok());
            if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
                response.headers_mut().insert("x-rendering", value);
            }
            return Ok(response);
        }
        // The page asked for what is not there; the file is sound.
        Ok(Err(DataError::View { problem, .. })) => return Err(Refusal::no_view(problem)),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    (shared.note)(&problem);
    Err(Refusal::unshowable())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerRequest {
    request: String,
    position: usize,
    rating: Rating,
}

async fn answer(
    State(shared): State<Shared>,
    Extension(rater): Extension<Rater>,
    Json(asked): Json<AnswerRequest>,
) -> Result<Json<Value>, Refusal> {
    shared
        .with_store(move |store| {
            let AnswerRequest { request, position, rating } = asked;
            let given = store.grade(&rater, position, &request, &rating)?;
            Ok(Json(json!({ "given": given })))
        })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoRequest {
    request: String,
}

async fn undo(
    State(shared): State<Shared>,
    Extension(rater): Extension<Rater>,
    Json(asked): Json<UndoRequest>,
) -> Result<Json<Value>, Refusal> {
    shared
        .with_store(move |store| {
            let undone = store.undo(&rater, &asked.request)?;
            let mut answers = store.answers(&rater)?;
            let given =
                undone.and_then(|undone| answers.get_mut(undone.position).and_then(Option::take));
            Ok(Json(json!({ "undone": undone, "given": given })))
        })
        .await
}

impl Shared {
    /// Works with the store on a thread that may wait for the disk.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, RatingError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let study = Arc::clone(&self.study);
        let done = tokio::task::spawn_blocking(move || {
            // A thread that panicked left the store between two transactions at worst.
            let mut store = study.store.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            work(&mut store)
        })
        .await;
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(error) => {
                (self.note)(&error.to_string());
                Err(Refusal::failed("The program failed. Tell whoever runs the study."))
            }
        }
    }

    fn refusal(&self, error: &RatingError) -> Refusal {
        match error {
            RatingError::NoSuchPosition { .. } => Refusal::not_found(),
            RatingError::OffScale { .. }
            | RatingError::LongComment { .. }
            | RatingError::Marks { .. }
            | RatingError::RequestName => Refusal::unacceptable(error),
            other => {
                (self.note)(&other.to_string());
                Refusal::failed(
                    "Not saved: the store cannot be read or written. Tell whoever runs the study.",
                )
            }
        }
    }
}

/// What a rater sees at a position.
fn candidate<'a>(
    store: &'a Store,
    rater: &Rater,
    position: usize,
) -> Result<&'a pefomed_eval::rating::Candidate, RatingError> {
    let order = store.plan().orders.get(rater.number.wrapping_sub(1));
    let count = order.map_or(0, Vec::len);
    order
        .and_then(|order| order.get(position))
        .and_then(|candidate| store.items().candidates.get(*candidate))
        .ok_or(RatingError::NoSuchPosition { position, count })
}
