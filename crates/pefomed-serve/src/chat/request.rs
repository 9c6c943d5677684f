//! What a request asks for, read strictly: a field that would change the answer and that is not understood
//! here is an error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pefomed_data::Task;
use serde::Deserialize;
use serde_json::Value;

use super::{Model, Question};

/// Tokens of an answer that a request may ask for.
pub(super) const LONGEST_ANSWER: usize = 4096;
/// Images of a question at most.
const MOST_IMAGES: usize = 16;

/// A request that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) limit: usize,
    /// Whether the answer is sent piece by piece.
    pub(super) stream: bool,
    /// Whether a stream ends with the number of tokens.
    pub(super) usage: bool,
}

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) message: String,
    /// The field, where it is one.
    pub(super) field: Option<&'static str>,
    /// Whether it is that no such model is here.
    pub(super) no_model: bool,
}

fn wrong(field: &'static str, message: impl Into<String>) -> Wrong {
    Wrong { message: message.into(), field: Some(field), no_model: false }
}

/// The body of a request. Fields that cannot change a greedy answer are taken and not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    model: String,
    messages: Vec<Turn>,
    task: Option<Task>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    temperature: Option<f64>,
    n: Option<u64>,
    stop: Option<Value>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    logprobs: Option<bool>,
    response_format: Option<Format>,
    #[serde(rename = "top_p")]
    _top_p: Option<f64>,
    #[serde(rename = "top_logprobs")]
    _top_logprobs: Option<u64>,
    #[serde(rename = "seed")]
    _seed: Option<i64>,
    #[serde(rename = "user")]
    _user: Option<String>,
    #[serde(rename = "metadata")]
    _metadata: Option<Value>,
}

#[derive(Deserialize)]
struct Turn {
    role: String,
    content: Content,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Deserialize)]
struct ImageUrl {
    url: String,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
}

/// Reads a request to a model.
pub(super) fn read(bytes: &[u8], model: &Model) -> Result<Asked, Wrong> {
    let body: Body = serde_json::from_slice(bytes).map_err(|error| Wrong {
        message: format!("the request is not understood: {error}"),
        field: None,
        no_model: false,
    })?;
    if body.model != model.name {
        let message = format!("no model `{}` is here: ask for `{}`", body.model, model.name);
        return Err(Wrong { message, field: Some("model"), no_model: true });
    }
    refuse_unable(&body)?;
    let task = body.task.unwrap_or(model.task);
    let limit = match body.max_completion_tokens.or(body.max_tokens) {
        None => model.limit,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|asked| (1..=LONGEST_ANSWER).contains(asked))
            .ok_or_else(|| {
                let message =
                    format!("`max_tokens` is {asked}: 1 to {LONGEST_ANSWER} can be asked");
                wrong("max_tokens", message)
            })?,
    };
    let usage = body.stream_options.and_then(|options| options.include_usage).unwrap_or_default();
    Ok(Asked {
        question: question(body.messages, task)?,
        limit,
        stream: body.stream.unwrap_or_default(),
        usage,
    })
}

/// Refuses what would have to change the answer.
fn refuse_unable(body: &Body) -> Result<(), Wrong> {
    if body.temperature.is_some_and(|temperature| temperature != 0.0) {
        let message = "answers are the most likely ones and not drawn: leave `temperature` out, or \
                       give 0";
        return Err(wrong("temperature", message));
    }
    if body.n.is_some_and(|n| n != 1) {
        return Err(wrong("n", "a question has one answer here: leave `n` out, or give 1"));
    }
    let stops = match &body.stop {
        None | Some(Value::Null) => false,
        Some(Value::Array(texts)) => !texts.is_empty(),
        Some(_) => true,
    };
    if stops {
        return Err(wrong("stop", "answers end by themselves: leave `stop` out"));
    }
    for (field, value) in
        [("presence_penalty", body.presence_penalty), ("frequency_penalty", body.frequency_penalty)]
    {
        if value.is_some_and(|value| value != 0.0) {
            let message = format!("`{field}` is not known here: leave it out, or give 0");
            return Err(wrong(field, message));
        }
    }
    if body.logprobs == Some(true) {
        return Err(wrong("logprobs", "probabilities are not told here: leave `logprobs` out"));
    }
    if body.response_format.as_ref().is_some_and(|format| format.kind != "text") {
        let message = "answers are plain text: leave `response_format` out";
        return Err(wrong("response_format", message));
    }
    Ok(())
}

fn question(messages: Vec<Turn>, task: Task) -> Result<Question, Wrong> {
    let one = <[Turn; 1]>::try_from(messages).ok().filter(|[turn]| turn.role == "user");
    let Some([turn]) = one else {
        let message = "the model was tuned on single questions: send one message, of role `user`";
        return Err(wrong("messages", message));
    };
    let parts = match turn.content {
        Content::Text(text) => vec![Part::Text { text }],
        Content::Parts(parts) => parts,
    };
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text { text } => texts.push(text),
            Part::ImageUrl { .. } if images.len() == MOST_IMAGES => {
                let message = format!("more than {MOST_IMAGES} images are not shown at once");
                return Err(wrong("messages", message));
            }
            Part::ImageUrl { image_url } => images.push(
                image(&image_url.url)
                    .map_err(|problem| format!("image {}: {problem}", images.len() + 1))
                    .map_err(|problem| wrong("messages", problem))?,
            ),
        }
    }
    let text = texts.join("\n");
    if text.trim().is_empty() && task == Task::Vqa {
        let message = "there is no question: add a part of type `text`, or ask for a caption or \
                       report with `task`";
        return Err(wrong("messages", message));
    }
    Ok(Question { task, text, images })
}

/// The file in a `data:` address. Nothing is fetched from anywhere.
fn image(url: &str) -> Result<Vec<u8>, String> {
    let inside = url.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let Some((kind, data)) = inside.filter(|(kind, _)| kind.ends_with(";base64")) else {
        return Err("it is no `data:…;base64,…` address, and nothing is fetched here: send the \
                    image itself"
            .to_owned());
    };
    STANDARD.decode(data).map_err(|error| format!("`data:{kind},…` is not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::guard::Guard;

    fn model() -> Model {
        Model {
            guard: Guard::of_network(None),
            key: None,
            name: "tuned".to_owned(),
            fingerprint: String::new(),
            task: Task::Vqa,
            limit: 24,
            created: 0,
        }
    }

    /// A request whose fields are replaced or added.
    fn asked(changes: &Value) -> Result<Asked, Wrong> {
        let mut body = json!({ "model": "tuned", "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AQID", "detail": "high" } },
            { "type": "text", "text": "Is there a mass?" },
        ] }] });
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        read(body.to_string().as_bytes(), &model())
    }

    fn refused(changes: &Value) -> String {
        asked(changes).unwrap_err().message
    }

    #[test]
    fn a_question_is_read_as_clients_send_it() {
        let plain = asked(&json!({})).unwrap();
        let question = Question {
            task: Task::Vqa,
            text: "Is there a mass?".to_owned(),
            images: vec![vec![1, 2, 3]],
        };
        assert_eq!(plain, Asked { question, limit: 24, stream: false, usage: false });
        let harmless = json!({
            "temperature": 0, "top_p": 0.9, "n": 1, "seed": 7, "user": "u", "stop": null,
            "presence_penalty": 0, "frequency_penalty": 0.0, "logprobs": false,
            "response_format": { "type": "text" }, "metadata": {},
        });
        assert_eq!(asked(&harmless).unwrap(), plain);
        let longer = json!({
            "max_tokens": 7, "stream": true, "stream_options": { "include_usage": true },
            "task": "report",
        });
        let longer = asked(&longer).unwrap();
        assert_eq!((longer.limit, longer.stream, longer.usage), (7, true, true));
        assert_eq!(longer.question.task, Task::Report);
        let text = asked(&json!({ "messages": [{ "role": "user", "content": "Why?" }] })).unwrap();
        assert_eq!((text.question.text.as_str(), text.question.images.len()), ("Why?", 0));
    }

    #[test]
    fn what_would_change_the_answer_is_refused_by_name() {
        for (changes, named) in [
            (json!({ "temperature": 0.7 }), "`temperature`"),
            (json!({ "n": 2 }), "`n`"),
            (json!({ "stop": ["."] }), "`stop`"),
            (json!({ "stop": "." }), "`stop`"),
            (json!({ "presence_penalty": 1 }), "`presence_penalty`"),
            (json!({ "frequency_penalty": -1 }), "`frequency_penalty`"),
            (json!({ "logprobs": true }), "`logprobs`"),
            (json!({ "response_format": { "type": "json_object" } }), "`response_format`"),
            (json!({ "tools": [] }), "`tools`"),
            (json!({ "max_tokens": 0 }), "1 to 4096"),
            (json!({ "max_completion_tokens": 5000 }), "1 to 4096"),
            (json!({ "messages": [] }), "one message"),
            (json!({ "messages": [{ "role": "system", "content": "Be brief." }] }), "one message"),
            (
                json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "user", "content": "b" }] }),
                "one message",
            ),
            (json!({ "messages": [{ "role": "user", "content": " " }] }), "no question"),
            (json!({ "task": "poem" }), "poem"),
        ] {
            let message = refused(&changes);
            assert!(message.contains(named), "{changes}: {message}");
        }
        let other = asked(&json!({ "model": "gpt" })).unwrap_err();
        assert!(other.no_model && other.message.contains("`tuned`"), "{other:?}");
        assert!(read(b"{", &model()).is_err() && read(b"[]", &model()).is_err());
    }

    #[test]
    fn images_come_with_the_request_or_not_at_all() {
        let shown = |url: &str| {
            let part = json!({ "type": "image_url", "image_url": { "url": url } });
            refused(&json!({ "messages": [{ "role": "user", "content": [part] }] }))
        };
        for url in
            ["http://10.0.0.1/a.png", "file:///etc/passwd", "data:image/png,abc", "data:", ""]
        {
            assert!(shown(url).contains("nothing is fetched"), "{url}");
        }
        assert!(shown("data:image/png;base64,A!").contains("image 1"));
        let part = json!({ "type": "image_url", "image_url": { "url": "data:;base64,AA==" } });
        let many = vec![part; MOST_IMAGES + 1];
        assert!(
            refused(&json!({ "messages": [{ "role": "user", "content": many }] })).contains("16")
        );
    }
}
