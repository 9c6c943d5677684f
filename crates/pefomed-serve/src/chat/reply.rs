//! What is sent back, in the shapes of the API.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pefomed_data::Finish;
use serde_json::{Value, json};

use super::request::Wrong;
use super::worker::NoPlace;
use super::{Answer, Model, Problem, seconds_now};

/// Seconds after which a full line is worth another try.
const AGAIN: &str = "2";

/// A request that gets no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    message: String,
    field: Option<&'static str>,
    code: Option<&'static str>,
}

impl Refusal {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), field: None, code: None }
    }

    /// The request itself cannot be answered.
    pub(super) fn invalid(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    /// No key, or not the right one.
    pub(super) fn no_key() -> Self {
        let message = "this server asks for its key: send it as `Authorization: Bearer KEY`";
        let code = Some("invalid_api_key");
        Self { code, ..Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message) }
    }

    /// Something on this side failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// As it stands in the body.
    pub(super) fn json(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.field, "code": self.code,
        } })
    }
}

impl From<Wrong> for Refusal {
    fn from(Wrong { message, field, no_model }: Wrong) -> Self {
        let status = if no_model { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
        let code = no_model.then_some("model_not_found");
        Self { field, code, ..Self::invalid(status, message) }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Question(message) => Self::invalid(StatusCode::BAD_REQUEST, message),
            Problem::Model(message) => Self::failed(message),
        }
    }
}

impl From<NoPlace> for Refusal {
    fn from(why: NoPlace) -> Self {
        match why {
            NoPlace::Full => {
                let message = "too many questions are waiting: ask again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", message)
            }
            NoPlace::Closed => {
                Self::failed("the model has stopped answering: start the server again")
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(AGAIN));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// What all parts of one answer have in common.
#[derive(Clone, Debug)]
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
}

impl Head {
    pub(super) fn new(model: &Model) -> Self {
        static ANSWERS: AtomicU64 = AtomicU64::new(0);
        let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
        Self {
            id: format!("chatcmpl-{}-{number}", model.created),
            created: seconds_now(),
            model: model.name.clone(),
            fingerprint: model.fingerprint.clone(),
        }
    }

    fn object(&self, kind: &str, choices: Value, usage: Option<Value>) -> Value {
        let mut object = json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.model,
            "system_fingerprint": self.fingerprint, "choices": choices,
        });
        if let Some(usage) = usage {
            object["usage"] = usage;
        }
        object
    }

    /// The whole answer.
    pub(super) fn whole(&self, answer: &Answer) -> Value {
        let message = json!({ "role": "assistant", "content": answer.text });
        let choice = json!({
            "index": 0, "message": message, "logprobs": null, "finish_reason": finish(answer),
        });
        self.object("chat.completion", json!([choice]), Some(usage(answer)))
    }

    /// A piece of a stream; the first one names the role, the last one says why it ended.
    pub(super) fn piece(&self, delta: &Value, answer: Option<&Answer>) -> Value {
        let choice = json!({
            "index": 0, "delta": delta, "logprobs": null, "finish_reason": answer.map(finish),
        });
        self.object("chat.completion.chunk", json!([choice]), None)
    }

    /// The piece of a stream that counts tokens.
    pub(super) fn count(&self, answer: &Answer) -> Value {
        self.object("chat.completion.chunk", json!([]), Some(usage(answer)))
    }
}

fn finish(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
    })
}

/// The model as the list of models has it.
pub(super) fn described(model: &Model) -> Value {
    json!({ "id": model.name, "object": "model", "created": model.created, "owned_by": "pefomed" })
}
