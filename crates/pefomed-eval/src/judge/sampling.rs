//! How a model is made to answer: the parameters of a request, and the request itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::JudgeError;

/// Fields of a request that no extra field may replace.
const OWN_FIELDS: [&str; 4] = ["model", "messages", "stream", "n"];

/// Sampling parameters, as they are sent and as they stand in every verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 asks for the most likely token each time.
    pub temperature: f64,
    /// Tokens of a reply at most.
    pub max_tokens: u32,
    /// Seed; not every endpoint follows it. Repeat r is asked with seed + r, so that repeats of a
    /// judge that samples are draws and not copies.
    pub seed: u64,
    /// Further fields of the request; a null takes a field out that an endpoint does not accept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
}

impl Sampling {
    /// Refuses what no endpoint can take.
    ///
    /// # Errors
    /// [`JudgeError::Option`].
    pub fn check(&self) -> Result<(), JudgeError> {
        let refuse =
            |option, value: String, remedy| Err(JudgeError::Option { option, value, remedy });
        if !(0.0..=2.0).contains(&self.temperature) {
            let value = self.temperature.to_string();
            return refuse("temperature", value, "use a number from 0 to 2");
        }
        if self.max_tokens == 0 {
            return refuse("max-tokens", "0".to_owned(), "a reply needs at least 1 token");
        }
        match OWN_FIELDS.iter().find(|field| self.extra.contains_key(**field)) {
            None => Ok(()),
            Some(field) => refuse(
                "body",
                format!("an object with `{field}`"),
                "leave out model, messages, stream and n, which have their own places",
            ),
        }
    }

    /// The parameters of repeat `repeat`.
    #[must_use]
    pub fn of_repeat(&self, repeat: u32) -> Self {
        Self { seed: self.seed.wrapping_add(u64::from(repeat)), ..self.clone() }
    }

    /// One text for the digest of a question; fields always come in the same order.
    pub(crate) fn canonical(&self) -> String {
        let extra: Vec<String> =
            self.extra.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {} {} {}", self.temperature, self.max_tokens, self.seed, extra.join(" "))
    }

    /// The body of a request.
    pub(crate) fn body(&self, model: &str, messages: Vec<Value>) -> Vec<u8> {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(model));
        body.insert("messages".to_owned(), Value::Array(messages));
        body.insert("temperature".to_owned(), json!(self.temperature));
        body.insert("max_tokens".to_owned(), json!(self.max_tokens));
        body.insert("seed".to_owned(), json!(self.seed));
        body.insert("stream".to_owned(), json!(false));
        for (name, value) in &self.extra {
            if value.is_null() {
                body.remove(name);
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
        Value::Object(body).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(extra: Value) -> Sampling {
        let extra = serde_json::from_value(extra).unwrap();
        Sampling { temperature: 0.0, max_tokens: 16, seed: 7, extra }
    }

    #[test]
    fn a_request_has_what_was_chosen_and_no_more() {
        let sampling = sampling(json!({"max_tokens": null, "max_completion_tokens": 16}));
        let body: Value =
            serde_json::from_slice(&sampling.of_repeat(2).body("m", vec![json!({"role": "user"})]))
                .unwrap();
        assert_eq!(
            body,
            json!({"model": "m", "messages": [{"role": "user"}], "temperature": 0.0, "seed": 9,
                "stream": false, "max_completion_tokens": 16})
        );
    }

    #[test]
    fn values_without_sense_are_refused() {
        assert!(sampling(json!({"top_p": 1})).check().is_ok());
        let error = sampling(json!({"model": "other"})).check().unwrap_err().to_string();
        assert!(error.contains("`body` is an object with `model`"), "{error}");
        for temperature in [-0.1, 2.1, f64::NAN] {
            assert!(Sampling { temperature, ..sampling(json!({})) }.check().is_err());
        }
        assert!(Sampling { max_tokens: 0, ..sampling(json!({})) }.check().is_err());
    }
}
