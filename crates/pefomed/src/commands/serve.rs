//! `pefomed serve`: a tuned model behind the OpenAI-compatible API.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use pefomed_data::Task;
use pefomed_serve::chat::{Answer, Answers, ChatOptions, ChatServer, Problem, Question};
use pefomed_train::answering::{Answering, SingleAnswer, SingleQuestion};
use pefomed_train::{RunFolder, TrainError};
use serde_json::json;

use super::predict::{adapter, generation, model};
use crate::context::Context;
use crate::{signals, tuning};

/// Answer questions about images through an OpenAI-compatible API, or on a page in the browser.
#[derive(Args, Debug)]
#[command(
    after_help = "Answers are those of `pefomed predict`: greedy, the same for the same question, \
one after the other and each computed alone. A request has one message with images as data \
addresses (PNG, JPEG, DICOM, NIfTI) and a text; `task` chooses among vqa, caption and report. What \
cannot be done, such as drawing answers at random, is refused by name. Nothing that is asked is \
kept. Ctrl-C stops the server. docs/serving.md tells more.

Examples:
  pefomed serve runs/vqa-rad
  pefomed serve runs/vqa-rad --port 8001 --name vqa-rad --max-new-tokens 64
  pefomed serve runs/iu-xray --task report --host 0.0.0.0 --key-file api.key
  pefomed predict runs/vqa-rad --endpoint http://127.0.0.1:8000/v1 --model vqa-rad --instruction ''"
)]
pub(crate) struct Arguments {
    /// The run folder.
    run: PathBuf,
    /// The adapter as it was after this stage, or `none` for the untuned model.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// What the model is called; the name of the run folder by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What is asked for where a request does not say: vqa, caption or report.
    #[arg(long, default_value_t = Task::Vqa)]
    task: Task,
    /// Tokens of an answer at most where a request does not say; those of the recipe's evaluation by
    /// default.
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<NonZeroUsize>,
    /// The port; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    port: u16,
    /// The address to listen on. Any but this machine's own needs a key.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// A file whose first line is the key that requests must carry.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let run = RunFolder::new(&arguments.run);
    let recipe = tuning::recipe_of(&run)?;
    let adapter = adapter(&recipe, &run, arguments.stage.as_deref())?;
    let options = ChatOptions {
        address: SocketAddr::new(arguments.host, arguments.port),
        key: arguments.key_file.as_deref().map(key).transpose()?,
        name: arguments.name.clone().map_or_else(|| folder_name(run.root()), Ok)?,
        task: arguments.task,
        limit: arguments
            .max_new_tokens
            .map_or_else(|| generation(&recipe).max_new_tokens, Into::into),
    };
    let (name, needs_key) = (options.name.clone(), options.key.is_some());
    // A port that is taken is found before minutes are spent on loading.
    let server = ChatServer::bind(options)?;
    let parts = tuning::load_parts(context, &recipe)?;
    let model = model(&parts, &recipe, adapter.as_deref())?;
    let answering = Answering::new(recipe, parts, model);
    let fingerprint = answering.fingerprint(adapter.as_deref())?;
    let page = format!("http://{}/", server.address());
    let api = format!("{page}v1");
    let text = format!("model: {name}\nAPI: {api}\npage: {page}");
    let value = json!({
        "model": name, "api": api, "page": page, "needs_key": needs_key, "fingerprint": fingerprint,
    });
    // Who reads the address may send a signal at once, so that signals are listened for before.
    signals::with_stop_flag(|stop| {
        context.output.result(&text, &value)?;
        if needs_key && !arguments.host.is_loopback() {
            context.progress.warn(
                "note: nothing is encrypted here: on a network you do not trust, put the server \
                 behind https",
            );
        }
        let note = context.progress;
        anyhow::Ok(server.run(Model(answering), fingerprint, stop, move |text| note.note(text))?)
    })??;
    context.progress.note("stopped");
    Ok(ExitCode::SUCCESS)
}

/// What a run folder is called.
fn folder_name(folder: &Path) -> anyhow::Result<String> {
    let whole = fs::canonicalize(folder).with_context(|| folder.display().to_string())?;
    let name = whole.file_name().context("the run folder has no name: give one with --name")?;
    Ok(name.to_string_lossy().into_owned())
}

fn key(file: &Path) -> anyhow::Result<String> {
    let text =
        fs::read_to_string(file).with_context(|| format!("the key in `{}`", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A tuned model as the server asks it.
struct Model(Answering);

impl Answers for Model {
    fn answer(
        &mut self,
        question: Question,
        limit: usize,
        tell: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Answer, Problem> {
        let Question { task, text, images } = question;
        let question = SingleQuestion { task, text, images };
        match self.0.answer(&question, limit, tell) {
            Ok(SingleAnswer { text, finish, prompt_tokens, tokens }) => {
                Ok(Answer { text, finish, prompt_tokens, tokens })
            }
            Err(TrainError::ReservedText { text, .. }) => Err(Problem::Question(format!(
                "the question contains `{text}`, which the prompt template reserves: leave it out"
            ))),
            Err(TrainError::Data(error)) => Err(Problem::Question(error.to_string())),
            Err(error) => Err(Problem::Model(error.to_string())),
        }
    }
}
