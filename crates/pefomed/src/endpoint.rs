//! The options of every command that asks a model through an API, and what is said before it does.

use std::fmt::Write as _;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::Args;
use pefomed_data::readable::{bytes, thousands};
use pefomed_eval::judge::http::{Endpoint, Http, Key, Reach};
use pefomed_eval::judge::{Asking, Halt, JudgeError, Patience, Sampling};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Usage;
use crate::signals;

/// Where a key is looked for unless another place is named.
const KEY_ENV: &str = "OPENAI_API_KEY";

/// Which model is asked, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "Asking a model through an API")]
pub(crate) struct EndpointArguments {
    /// An OpenAI-compatible API, such as http://127.0.0.1:8000/v1.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// The model's name, as the API knows it.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// Send texts and images to another machine. Without this only loopback addresses are asked.
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Say what would be sent where, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The environment variable that holds the key, if the API wants one; OPENAI_API_KEY by default.
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
    /// Sampling temperature; 0 asks for the most likely token.
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// Tokens of a reply at most.
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<NonZeroU32>,
    /// Seed that is sent, and seed of the waits between tries.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Further fields of a request as a JSON object; null takes a field out.
    #[arg(long, value_name = "JSON", value_parser = object)]
    body: Option<Value>,
    /// Questions on their way at once.
    #[arg(long, value_name = "N", default_value = "4")]
    concurrency: NonZeroUsize,
    /// Further tries of a question that the endpoint could not answer.
    #[arg(long, value_name = "N", default_value_t = 5)]
    retries: u32,
    /// Seconds before the second try; doubled for each further one.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    backoff: Duration,
    /// Seconds a reply may take.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    timeout: Duration,
}

/// A whole number or fraction of seconds, up to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "write a number of seconds".to_owned())?;
    if !(0.001..=86_400.0).contains(&number) {
        return Err("use a number from 0.001 to 86400".to_owned());
    }
    Ok(Duration::from_secs_f64(number))
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("write a JSON object, such as {\"top_p\": 1}".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// An endpoint and a model that were named.
pub(crate) struct Named {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: String,
    pub(crate) sampling: Sampling,
    http: Http,
}

/// What would be sent.
pub(crate) struct Load {
    pub(crate) what: &'static str,
    pub(crate) questions: usize,
    pub(crate) answered_before: usize,
    pub(crate) tokens: usize,
    /// Number and bytes of images.
    pub(crate) images: Option<(usize, usize)>,
}

impl EndpointArguments {
    /// Makes the client. Nothing is sent yet.
    pub(crate) fn named(&self, max_tokens: u32) -> anyhow::Result<Named> {
        let missing = |option: &str, example: &str| {
            Usage(format!("name the {option} to ask with --{option}, such as {example}"))
        };
        let url = self.endpoint.as_deref();
        let url = url.ok_or_else(|| missing("endpoint", "http://127.0.0.1:8000/v1"))?;
        let model = self.model.clone().filter(|model| !model.trim().is_empty());
        let model = model.ok_or_else(|| missing("model", "--model qwen3-8b"))?;
        let extra = match &self.body {
            Some(Value::Object(fields)) => fields.clone().into_iter().collect(),
            _ => std::collections::BTreeMap::new(),
        };
        let sampling = Sampling {
            temperature: self.temperature,
            max_tokens: self.max_tokens.map_or(max_tokens, NonZeroU32::get),
            seed: self.seed,
            extra,
        };
        sampling.check()?;
        let endpoint = Endpoint::parse(url)?;
        let name = self.key_env.as_deref().unwrap_or(KEY_ENV);
        let key = Key::from_env(name)?;
        if key.is_none() && self.key_env.is_some() {
            let problem = format!("--key-env names `{name}`, which is not set in the environment");
            return Err(Usage(problem).into());
        }
        let http = Http::new(&endpoint, key, self.timeout, self.concurrency.get());
        Ok(Named { endpoint, model, sampling, http })
    }

    /// Says what goes where, and refuses what may not go there. False when nothing is to be sent.
    pub(crate) fn announce(
        &self,
        context: &Context,
        named: &Named,
        load: &Load,
    ) -> anyhow::Result<bool> {
        let remote = matches!(named.endpoint.reach(), Reach::Remote(_));
        let mut text = String::new();
        let to = named.endpoint.shown();
        if let Reach::Remote(found) = named.endpoint.reach() {
            let way = if named.endpoint.is_encrypted() { "encrypted" } else { "NOT ENCRYPTED" };
            let _ = write!(text, "to {to}, which is not this machine ({found}), {way}");
            if let Some(proxy) = named.http.proxy() {
                let _ = write!(text, ", by way of the proxy {proxy}");
            }
        } else {
            let _ = write!(text, "to {to} on this machine");
        }
        let _ = write!(
            text,
            ": {} of {} {} for {}, about {} tokens (a quarter of the characters)",
            thousands(load.questions - load.answered_before),
            thousands(load.questions),
            load.what,
            named.model,
            thousands(load.tokens),
        );
        if let Some((images, size)) = load.images {
            let _ = write!(text, " and {} images ({})", thousands(images), bytes(size));
        }
        if load.answered_before > 0 {
            let _ = write!(text, "; {} have an answer already", thousands(load.answered_before));
        }
        if self.dry_run {
            let value = json!({
                "endpoint": to,
                "remote": remote,
                "model": named.model,
                "questions": load.questions,
                "answered_before": load.answered_before,
                "to_ask": load.questions - load.answered_before,
                "tokens": load.tokens,
                "images": load.images.map(|(images, _)| images),
                "image_bytes": load.images.map(|(_, size)| size),
                "sampling": named.sampling,
            });
            context.output.result(&text, &value)?;
            return Ok(false);
        }
        if remote {
            context.progress.warn(&text);
        } else {
            context.progress.note(&text);
        }
        let texts = if load.images.is_some() { "questions and images" } else { "texts" };
        named.endpoint.guard(self.allow_remote, texts)?;
        Ok(true)
    }

    /// Asks, until all is asked or a signal comes.
    pub(crate) fn ask<R>(
        &self,
        context: &Context,
        named: &Named,
        what: &str,
        run: impl FnOnce(&Asking<'_, Http>) -> Result<R, JudgeError>,
    ) -> anyhow::Result<R> {
        let counter = context.progress.counter(what);
        let tick = |done, total| counter.tick(done, total);
        let result = signals::with_stop_flag(|stop| {
            run(&Asking {
                transport: &named.http,
                patience: Patience {
                    retries: self.retries,
                    first_wait: self.backoff,
                    seed: self.seed,
                    ..Patience::default()
                },
                at_once: self.concurrency,
                stop,
                progress: &tick,
            })
        })?;
        Ok(result?)
    }
}

/// Why a piece of work is not complete, and what to do about it; none when it is.
pub(crate) fn incomplete(failed: usize, not_asked: usize, halt: Option<&Halt>) -> Option<String> {
    let again = "everything answered is kept: run the same command again to go on";
    let left = format!(
        "questions that failed: {}, that were not asked: {}",
        thousands(failed),
        thousands(not_asked)
    );
    match halt {
        Some(Halt::Stopped) => Some(format!("stopped: {left}; {again}")),
        Some(Halt::Refused(why)) => Some(format!("{why}; {left}; {again}")),
        Some(Halt::Gone(why)) => {
            Some(format!("the endpoint does not answer any more ({why}): {left}; {again}"))
        }
        None if failed > 0 => Some(format!("{left}; {again}")),
        None => None,
    }
}
