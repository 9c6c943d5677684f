//! One question to a chat endpoint, with its further tries.
//!
//! The reply of `/chat/completions` is read leniently where endpoints differ (text or parts, `null`
//! with a refusal beside it, missing counts) and strictly where it matters: a body that is no such
//! reply is the endpoint's fault and is asked for again; it never becomes an empty answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::retry::{Gate, Patience, retry_after, sleep};
use super::transport::{RawReply, Transport, TransportError};

/// Characters of an endpoint's own words in a message.
const QUOTED: usize = 300;

/// A reply to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatReply {
    /// What the model wrote, every character.
    #[serde(rename = "reply")]
    pub text: String,
    /// What it wrote before that as its reasoning, where the endpoint tells it apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why it ended: `stop`, `length`, `content_filter`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<String>,
    /// The model as the endpoint names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    /// The endpoint's name for the state of its system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Tokens of the question, as the endpoint counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// Tokens of the reply, as the endpoint counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens: Option<u64>,
}

/// Why a question has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The work was stopped.
    Stopped,
    /// The endpoint could not answer this time, after all tries.
    Failed(String),
    /// The endpoint does not accept this question, such as one that is too long.
    Rejected(String),
    /// No question can succeed: a wrong key, path or model.
    Refused(String),
}

/// What all questions of one piece of work share.
pub(crate) struct Line<'a, T> {
    pub(crate) transport: &'a T,
    pub(crate) patience: Patience,
    pub(crate) gate: Gate,
    /// Set from outside.
    pub(crate) stop: &'a AtomicBool,
    /// Set when the endpoint is of no use any more.
    pub(crate) over: AtomicBool,
}

/// What a try came to.
enum Try {
    Reply(Box<ChatReply>),
    /// Another try may help; the header says when.
    Again(String, Option<String>),
    Rejected(String),
    Refused(String),
}

impl<T: Transport> Line<'_, T> {
    fn ended(&self) -> impl Fn() -> bool {
        || self.stop.load(Ordering::SeqCst) || self.over.load(Ordering::SeqCst)
    }

    /// Sends a question until there is a reply, or no hope or patience left. `key` names it.
    pub(crate) fn call(&self, body: &[u8], key: &str) -> Result<ChatReply, CallError> {
        let mut failed = 0;
        loop {
            if !self.gate.pass(&self.ended()) {
                return Err(CallError::Stopped);
            }
            let (problem, header) = match judged(self.transport.send(body)) {
                Try::Reply(reply) => return Ok(*reply),
                Try::Rejected(problem) => return Err(CallError::Rejected(problem)),
                Try::Refused(problem) => {
                    self.over.store(true, Ordering::SeqCst);
                    return Err(CallError::Refused(problem));
                }
                Try::Again(problem, header) => (problem, header),
            };
            if failed >= self.patience.retries {
                let tries = failed + 1;
                let times = if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
                return Err(CallError::Failed(format!("{problem} ({times})")));
            }
            let asked = header.and_then(|header| retry_after(&header, SystemTime::now()));
            let own = self.patience.wait(key, failed);
            if let Some(asked) = asked {
                if asked > self.patience.longest_asked {
                    let seconds = asked.as_secs();
                    return Err(CallError::Failed(format!(
                        "{problem}; it asks to wait for {seconds} s, which is too long"
                    )));
                }
                self.gate.shut_for(asked);
            }
            if !sleep(asked.map_or(own, |asked| asked.max(own)), &self.ended()) {
                return Err(CallError::Stopped);
            }
            failed += 1;
        }
    }
}

fn judged(sent: Result<RawReply, TransportError>) -> Try {
    let raw = match sent {
        Ok(raw) => raw,
        Err(error @ (TransportError::Timeout | TransportError::Connection(_))) => {
            return Try::Again(error.to_string(), None);
        }
        Err(error @ TransportError::TooLarge(_)) => return Try::Rejected(error.to_string()),
        Err(error @ TransportError::Lasting(_)) => return Try::Refused(error.to_string()),
    };
    let status = raw.status;
    let said = || said(&raw.body);
    match status {
        200..=299 => match read(&raw.body) {
            Ok(reply) => Try::Reply(Box::new(reply)),
            Err(problem) => Try::Again(problem, None),
        },
        300..=399 => Try::Refused(format!(
            "the endpoint redirects{} (status {status}), and no redirect is followed: give the \
             address it should be as --endpoint",
            raw.location.as_deref().map(|to| format!(" to {}", short(to))).unwrap_or_default()
        )),
        401 | 403 => Try::Refused(format!(
            "the endpoint refuses the key or its absence (status {status}{}): put a valid key into \
             the environment variable that --key-env names",
            said()
        )),
        404 | 405 => Try::Refused(format!(
            "the endpoint has no such path or model (status {status}{}): check --endpoint, which \
             often ends in /v1, and --model",
            said()
        )),
        408 | 409 | 425 | 429 | 500..=599 => {
            Try::Again(format!("status {status}{}", said()), raw.retry_after.clone())
        }
        _ => Try::Rejected(format!("status {status}{}", said())),
    }
}

/// The endpoint's own words, on one line and not too many.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = serde_json::from_str::<Value>(&text).ok().and_then(|value| {
        let error = value.get("error").unwrap_or(&value);
        [error.get("message"), error.get("detail"), Some(error)]
            .into_iter()
            .flatten()
            .find_map(|message| message.as_str().map(str::to_owned))
    });
    let text = short(message.as_deref().unwrap_or(&text));
    if text.is_empty() { text } else { format!(", \u{201c}{text}\u{201d}") }
}

/// A text on one line without control characters, cut where it is long.
fn short(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().take(QUOTED));
        if out.chars().count() > QUOTED {
            return out.chars().take(QUOTED).chain("…".chars()).collect();
        }
    }
    out
}

/// Reads the body of a reply with status 200.
fn read(body: &[u8]) -> Result<ChatReply, String> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the reply is not JSON ({error}{})", said(body)))?;
    let text_of = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let choice = value
        .get("choices")
        .and_then(|choices| choices.get(0))
        .ok_or_else(|| format!("the reply has no choices{}", said(body)))?;
    let message =
        choice.get("message").ok_or_else(|| "the reply's choice has no message".to_owned())?;
    let text = match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            parts.iter().filter_map(|part| part.get("text")?.as_str()).collect()
        }
        None | Some(Value::Null) => text_of(message.get("refusal")).unwrap_or_default(),
        Some(_) => return Err("the reply's content is not text".to_owned()),
    };
    let count = |name: &str| value.get("usage").and_then(|usage| usage.get(name)?.as_u64());
    Ok(ChatReply {
        text,
        reasoning: text_of(message.get("reasoning_content"))
            .or_else(|| text_of(message.get("reasoning")))
            .filter(|text| !text.is_empty()),
        finish: text_of(choice.get("finish_reason")),
        answered_by: text_of(value.get("model")),
        fingerprint: text_of(value.get("system_fingerprint")),
        prompt_tokens: count("prompt_tokens"),
        completion_tokens: count("completion_tokens"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(value: &Value) -> Result<ChatReply, String> {
        read(value.to_string().as_bytes())
    }

    #[test]
    fn replies_are_read_as_endpoints_write_them() {
        let full = reply(&json!({
            "model": "m-2", "system_fingerprint": "fp", "usage": {"prompt_tokens": 9, "completion_tokens": 3},
            "choices": [{"message": {"content": " score: 1\n", "reasoning_content": "hm"}, "finish_reason": "stop"}],
        }))
        .unwrap();
        assert_eq!((full.text.as_str(), full.reasoning.as_deref()), (" score: 1\n", Some("hm")));
        assert_eq!((full.prompt_tokens, full.completion_tokens), (Some(9), Some(3)));
        assert_eq!(full.answered_by.as_deref(), Some("m-2"));
        let of = |message: Value| reply(&json!({"choices": [{"message": message}]}));
        assert_eq!(of(json!({"content": [{"text": "a"}, {"text": "b"}]})).unwrap().text, "ab");
        assert_eq!(of(json!({"content": null, "refusal": "no"})).unwrap().text, "no");
        assert_eq!(of(json!({"content": ""})).unwrap().text, "");
        for broken in [json!({"choices": []}), json!({}), json!([]), json!({"choices": [{}]})] {
            assert!(reply(&broken).is_err(), "{broken}");
        }
        assert!(of(json!({"content": 3})).is_err());
        assert!(read(b"<html>").unwrap_err().contains("not JSON"));
    }

    #[test]
    fn an_endpoints_words_are_short_and_on_one_line() {
        assert_eq!(said(br#"{"error": {"message": "no\n\u001b[31m such"}}"#), ", “no [31m such”");
        assert_eq!(said(br#"{"error": "loading"}"#), ", “loading”");
        assert_eq!(said(br#"{"detail": "Not Found"}"#), ", “Not Found”");
        assert_eq!(said(b""), "");
        assert!(said(&[b'x'; 5_000]).chars().count() < 310);
        assert!(said(&b"x ".repeat(5_000)).chars().count() < 310);
    }
}
