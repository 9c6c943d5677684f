//! What is sent when a request cannot be answered: a page that says what to do for people, one
//! sentence in JSON for our own script.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use pefomed_eval::rating::RatingError;
use serde_json::json;

use super::page;

/// A failed request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    title: &'static str,
    text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self { status, title, text: text.into() }
    }

    /// Nothing here.
    pub(super) fn not_found() -> Self {
        let text = "There is no such page. Open the link you were given, or the address that the \
                    program printed when it was started.";
        Self::new(StatusCode::NOT_FOUND, "Page not found", text)
    }

    /// No token, or not the right one.
    pub(super) fn unauthorized() -> Self {
        let text = "This study is open to those who have a personal link. Open the whole link you \
                    were given, to its last character, in this browser. If it was replaced or lost, \
                    ask whoever runs the study for a new one (pefomed rate --new-link). Grades you \
                    have given are kept.";
        Self::new(StatusCode::UNAUTHORIZED, "Please use your personal link", text)
    }

    /// The study's own rules refuse what was sent.
    pub(super) fn unacceptable(error: &RatingError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Not saved", error.to_string())
    }

    /// An image that is damaged: asking again does not help.
    pub(super) fn unshowable() -> Self {
        let text = "This image cannot be decoded. Tell whoever runs the study; until then, answer \
                    that you can\u{2019}t judge.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "No image", text)
    }

    /// A frame or a window that an image does not have.
    pub(super) fn no_view(problem: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "No such picture", problem)
    }

    /// Something on this side failed.
    pub(super) fn failed(text: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something failed", text)
    }

    /// For a person who opened an address.
    pub(super) fn page(&self) -> Response {
        let html = page::message(self.title, &self.text);
        (self.status, Html(html)).into_response()
    }

    /// For whoever sent these headers.
    pub(super) fn for_request(&self, headers: &HeaderMap) -> Response {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        if accept.is_some_and(|accept| accept.contains("text/html")) {
            return self.page();
        }
        self.json()
    }

    fn json(&self) -> Response {
        (self.status, Json(json!({ "error": self.text }))).into_response()
    }
}

/// What handlers of our own script return.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.json()
    }
}
