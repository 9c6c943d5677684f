//! `pefomed judge`: a model reads each text beside its reference, and says how good it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pefomed_data::prediction::read_results;
use pefomed_eval::BootstrapOptions;
use pefomed_eval::agreement::LikertRange;
use pefomed_eval::grade::write_grades;
use pefomed_eval::judge::grades::grades;
use pefomed_eval::judge::journal::Journal;
use pefomed_eval::judge::{Judge, JudgedItem, Kind, Prompt, Summary, Verdict};
use serde_json::json;

use crate::context::Context;
use crate::endpoint::{EndpointArguments, Load, incomplete};
use crate::failure::Usage;
use crate::{judge_table, system};

/// Tokens of a verdict at most. A line is enough; a model that thinks first needs room for that.
const MAX_TOKENS: u32 = 1024;

/// Have a model judge predictions: answers right or wrong, reports on a scale or by their errors.
#[derive(Args, Debug)]
#[command(
    after_help = "Every reply is kept in judgements.jsonl with the digest of its prompt, the \
model and the sampling parameters. A question that was answered is not asked again, so the same \
command goes on where it was stopped. A reply that cannot be read is asked for once more, then \
listed; it is in no number. The exit code is 1 when a question has no reply. Ctrl-C waits for the \
replies that are on their way; a second one does not.

Nothing is sent to another machine without --allow-remote. Keys are read from the environment only.

Examples:
  pefomed judge runs/vqa-rad/predictions-test.jsonl --endpoint http://127.0.0.1:8000/v1 --model qwen3-8b
  pefomed judge tuned=a.jsonl untuned=b.jsonl --endpoint http://127.0.0.1:8000/v1 --model qwen3-8b \
--repeat 3 --grades judge.jsonl
  pefomed judge reports.jsonl --kind likert,errors --endpoint URL --model NAME --dry-run
  pefomed judge --kind vqa --show-prompt > prompt.txt"
)]
pub(crate) struct Arguments {
    /// Prediction files. A system is called like its run folder, or like the file; NAME=FILE names
    /// it otherwise.
    #[arg(value_name = "FILE|NAME=FILE", required_unless_present = "show_prompt")]
    files: Vec<String>,
    /// What is asked: vqa (right or wrong), likert (reports, 0 to 4), errors (reports, by type and
    /// significance). By default vqa for questions and likert for reports and captions.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<Kind>,
    /// A prompt to use instead of the default one, with {question}, {reference} and {candidate}.
    #[arg(long, value_name = "FILE")]
    prompt: Option<PathBuf>,
    /// Print the prompt and end.
    #[arg(long)]
    show_prompt: bool,
    /// How often each question is asked; repeat r with seed + r.
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
    /// Where replies are kept; judgements.jsonl beside the first file by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also write the verdicts as grades, for `pefomed agree`.
    #[arg(long, value_name = "FILE")]
    grades: Option<PathBuf>,
    /// The scale that the average of Likert levels is shown on: 0-4, 1-5 or 0-100.
    #[arg(long, value_name = "RANGE", default_value = "0-4")]
    scale: LikertRange,
    #[command(flatten)]
    endpoint: EndpointArguments,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    let kinds: BTreeSet<Kind> = arguments.kind.iter().copied().collect();
    if arguments.show_prompt {
        return show_prompt(arguments, &kinds, context);
    }
    let named = arguments.endpoint.named(MAX_TOKENS)?;
    let (items, first) = read(&arguments.files)?;
    let mut judge = Judge {
        model: named.model.clone(),
        endpoint: named.endpoint.shown(),
        kinds,
        prompts: BTreeMap::new(),
        sampling: named.sampling.clone(),
        repeats: arguments.repeat,
    };
    let path = arguments.out.clone().unwrap_or_else(|| first.with_file_name("judgements.jsonl"));
    let plan = judge.plan(items.clone(), Vec::new())?;
    if let Some(prompt) = &arguments.prompt {
        let mut asked = plan.kinds().into_iter();
        let (Some(kind), None) = (asked.next(), asked.next()) else {
            let problem = "--prompt is the prompt of one kind: choose it with --kind";
            return Err(Usage(problem.to_owned()).into());
        };
        judge.prompts.insert(kind, Prompt::read(prompt)?);
    }
    let plan = judge.plan(items.clone(), Journal::read(&path)?)?;
    let load = Load {
        what: "questions",
        questions: plan.questions(),
        answered_before: plan.answered_before(),
        tokens: plan.tokens(),
        images: None,
    };
    if !arguments.endpoint.announce(context, &named, &load)? {
        return Ok(ExitCode::SUCCESS);
    }
    let (journal, earlier) = Journal::<Verdict>::open(&path)?;
    let plan = judge.plan(items, earlier)?;
    let judged = arguments
        .endpoint
        .ask(context, &named, "judged", |asking| judge.run(&plan, &journal, asking))?;
    if let Some(path) = &arguments.grades {
        write_grades(path, &grades(&judged, &judge.model))?;
    }
    let bootstrap = BootstrapOptions::default();
    let summary = Summary::new(&judge, &plan, &judged, arguments.scale, &bootstrap)?;
    context.output.result(&judge_table::text(&summary), &summary)?;
    context.progress.note(&format!("every reply is in {}", path.display()));
    match incomplete(judged.failed.len(), judged.not_asked, judged.halt.as_ref()) {
        None => Ok(ExitCode::SUCCESS),
        Some(problem) => Err(anyhow::Error::msg(problem)),
    }
}

fn show_prompt(
    arguments: &Arguments,
    kinds: &BTreeSet<Kind>,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let mut kinds = kinds.iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        let problem =
            "--show-prompt shows the prompt of one kind: add --kind vqa, likert or errors";
        return Err(Usage(problem.to_owned()).into());
    };
    let prompt = match &arguments.prompt {
        Some(path) => Prompt::read(path)?,
        None => Prompt::default_of(*kind),
    };
    let value = json!({ "kind": kind, "sha256": prompt.sha256(), "prompt": prompt.text() });
    context.output.result(prompt.text(), &value)?;
    Ok(ExitCode::SUCCESS)
}

/// All lines of all files; also the path of the first.
fn read(files: &[String]) -> anyhow::Result<(Vec<JudgedItem>, PathBuf)> {
    let mut items = Vec::new();
    let mut first = None;
    for text in files {
        let (system, path) = system::system(text);
        if path.is_dir() {
            let folder = path.display();
            return Err(Usage(format!(
                "`{folder}` is a folder: name its prediction files, such as \
                 {folder}/predictions-test.jsonl"
            ))
            .into());
        }
        let predictions = read_results(&path, None)?;
        items.extend(predictions.iter().map(|line| JudgedItem::new(&system, line)));
        first.get_or_insert(path);
    }
    Ok((items, first.unwrap_or_default()))
}
