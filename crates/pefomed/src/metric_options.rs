//! The options by which `score` and `compare` choose metrics.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pefomed_eval::ExternalScorer;
use pefomed_eval::clinical::Uncertain;

/// Which metrics texts get beside the lexical ones, and what those need.
#[derive(Args, Debug)]
pub(crate) struct MetricOptions {
    /// METEOR's archive meteor-1.5.jar, or the folder that holds it: synonyms and paraphrases for
    /// METEOR.
    #[arg(long, value_name = "DIR|JAR")]
    pub(crate) meteor_data: Option<PathBuf>,
    /// Label chest findings and give their F1: yes or no. Without it reports are labelled, captions are
    /// not.
    #[arg(
        long,
        value_name = "yes|no",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        value_parser = yes_or_no
    )]
    pub(crate) clinical: Option<bool>,
    /// What a finding counts as that a text holds for possible: positive or negative.
    #[arg(long, value_name = "LABEL", default_value = "positive", value_parser = uncertain)]
    pub(crate) uncertain: Uncertain,
    /// A scorer of your own: a command that reads one JSON line an item (id, prediction, reference, …)
    /// and writes {"id": …, "score": number, or an object of named numbers} for each. No shell is used
    /// unless the command names one. May be given several times.
    #[arg(long, value_name = "NAME=COMMAND")]
    external: Vec<String>,
    /// Seconds after which an external scorer that says nothing is stopped.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = ExternalScorer::SILENCE.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=864_000)
    )]
    external_timeout: u64,
}

impl MetricOptions {
    /// The external scorers.
    pub(crate) fn externals(&self) -> anyhow::Result<Vec<ExternalScorer>> {
        let silence = Duration::from_secs(self.external_timeout);
        let scorers = self.external.iter().map(|text| ExternalScorer::parse(text, silence));
        scorers
            .collect::<Result<_, _>>()
            .map_err(|error| crate::failure::Usage(error.to_string()).into())
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("use yes or no".to_owned()),
    }
}

fn uncertain(text: &str) -> Result<Uncertain, String> {
    [Uncertain::Positive, Uncertain::Negative]
        .into_iter()
        .find(|uncertain| uncertain.name() == text)
        .ok_or_else(|| "use positive or negative".to_owned())
}
