//! `pefomed rate`: blind ratings by people, in the browser; their plan, and their export.

mod export;
mod plan;
mod study;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pefomed_data::readable::thousands;
use pefomed_eval::rating::Store;
use pefomed_serve::{RatingServer, ServeOptions};
use serde_json::json;

use self::export::ExportArguments;
use self::plan::{PlanArguments, plan_text};
use self::study::Study;
use crate::context::Context;
use crate::failure::Usage;
use crate::signals;

/// Rate predictions in the browser, blind to the system that wrote them.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Answers are kept in one SQLite file: each is on the disk before the page says so, \
and the same command goes on after any interruption. Ctrl-C stops the server. On another address \
than this machine's own, every rater gets a personal link, shown once. docs/rating.md tells more.

Examples:
  pefomed rate runs/a/predictions-test.jsonl --images data/images --store ratings.sqlite
  pefomed rate base=a.jsonl tuned=b.jsonl --images img --store r.sqlite --rater Ada --rater Bo \\
      --per-item 1 --core 40
  pefomed rate plan base=a.jsonl tuned=b.jsonl --rater Ada --rater Bo --per-item 1 --core 40
  pefomed rate export r.sqlite --format grades --out grades.jsonl"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<RateCommand>,
    #[command(flatten)]
    study: Study,
    #[command(flatten)]
    serving: Serving,
}

#[derive(Debug, Subcommand)]
enum RateCommand {
    Plan(PlanArguments),
    Export(ExportArguments),
}

/// How the pages are served.
#[derive(Args, Debug)]
struct Serving {
    /// The store: made when it does not exist.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The folder that image names are relative to, or the parquet file that images are inside of.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// The port; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 8765)]
    port: u16,
    /// The address to listen on. Any but this machine's own asks for personal links.
    #[arg(long, value_name = "ADDR", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Ask for personal links on this machine's own address too, as behind a reverse proxy.
    #[arg(long)]
    tokens: bool,
    /// The address that raters open, when it is another: links are made of it.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Replace a rater's lost link; the old one is no longer good.
    #[arg(long, value_name = "NAME")]
    new_link: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(RateCommand::Plan(arguments)) => plan::run(arguments, context),
        Some(RateCommand::Export(arguments)) => export::run(arguments, context),
        None => serve(&arguments.study, &arguments.serving, context),
    }
}

fn serve(study: &Study, serving: &Serving, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(path) = &serving.store else {
        let problem = "name the file that answers are kept in, as in --store ratings.sqlite";
        return Err(Usage(problem.to_owned()).into());
    };
    let items = study.items()?;
    // Images are looked at before a store is made: a wrong folder leaves nothing behind.
    if let Some(items) = &items {
        pefomed_serve::rating::check_images(serving.images.as_deref(), items)?;
    }
    let store = Store::prepare(path, items.as_ref(), &study.request())?;
    let (summary, settings) = (store.summary()?, *store.settings());
    let options = ServeOptions {
        address: SocketAddr::new(serving.host, serving.port),
        images: serving.images.clone(),
        tokens: serving.tokens,
        url: serving.url.clone(),
        new_links: serving.new_link.clone(),
    };
    let server = RatingServer::bind(store, &options)?;
    let address = format!("http://{}/", server.address());
    let plan = plan_text(&summary, &settings);
    let text = format!("{plan}\nstore: {}\nlistening on {address}", path.display());
    let value = json!({
        "address": address, "store": path, "tokens": server.asks_for_tokens(),
        "settings": settings, "summary": summary,
    });
    // Who reads the address may send a signal at once, so that signals are listened for before.
    signals::with_stop_flag(|stop| {
        context.output.result(&text, &value)?;
        show_links(&server, serving)?;
        let note = context.progress;
        anyhow::Ok(server.run(stop, move |text| note.note(text))?)
    })??;
    let store = Store::open(path)?;
    let graded: usize = store.summary()?.raters.iter().map(|load| load.graded).sum();
    context.progress.note(&format!(
        "stopped: {} of {} grades are in {}",
        thousands(graded),
        thousands(summary.grades),
        path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Links are secrets that are told once, to a person, whatever the other options say.
fn show_links(server: &RatingServer, serving: &Serving) -> io::Result<()> {
    let mut err = io::stderr().lock();
    if !server.asks_for_tokens() {
        return Ok(());
    }
    writeln!(err, "personal links, shown this once; give each to its rater alone:")?;
    for link in server.links() {
        match &link.url {
            Some(url) => writeln!(err, "  {}: {url}", link.rater)?,
            None => writeln!(
                err,
                "  {}: as given before; a lost link is replaced with --new-link",
                link.rater
            )?,
        }
    }
    let is_plain = serving.url.as_deref().is_none_or(|url| url.starts_with("http://"));
    if is_plain && !serving.host.is_loopback() {
        writeln!(
            err,
            "note: nothing is encrypted here: on a network you do not trust, put the server behind \
             https (docs/rating.md)"
        )?;
    }
    err.flush()
}
