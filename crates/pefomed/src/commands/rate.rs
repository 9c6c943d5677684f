//! `pefomed rate`: blind ratings by people, in the browser; their plan, and their export.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use pefomed_data::readable::thousands;
use pefomed_eval::rating::export::{self, CountedErrors, Format};
use pefomed_eval::rating::{
    Items, Plan, PlanOptions, PlanSummary, Rater, RatingKind, Settings, Store, StudyRequest,
    System, plan,
};
use pefomed_serve::{RatingServer, ServeOptions};
use serde_json::{Value, json};

use crate::context::Context;
use crate::failure::Usage;
use crate::signals;
use crate::table::{row, table};

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

/// What is rated, and by whom.
#[derive(Args, Debug)]
struct Study {
    /// Prediction files, one for each system; its name in exports is NAME, or that of the file. An
    /// existing store knows its items: the files may then be left out.
    #[arg(value_name = "[NAME=]FILE")]
    files: Vec<String>,
    /// The name of a rater; give the option once for each.
    #[arg(long, value_name = "NAME")]
    rater: Vec<String>,
    /// The name of a stand-in for a rater, whose grades are kept apart as synthetic.
    #[arg(long, value_name = "NAME")]
    synthetic: Vec<String>,
    /// Raters of each item outside the core; all by default.
    #[arg(long, value_name = "N")]
    per_item: Option<usize>,
    /// Items that every rater grades, for their agreement; none by default.
    #[arg(long, value_name = "N")]
    core: Option<usize>,
    /// Decides who gets which items, and their order; 1 by default.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Scale: correct (0 or 1) or likert (0 to 4). By default correct for questions, likert for
    /// captions and reports.
    #[arg(long, value_name = "KIND")]
    kind: Option<RatingKind>,
    /// Also count errors: six types, each significant or minor.
    #[arg(long)]
    error_marks: bool,
    /// Do not show the reference: raters judge by the image alone.
    #[arg(long)]
    hide_reference: bool,
}

/// How the pages are served.
#[derive(Args, Debug)]
struct Serving {
    /// The store: made when it does not exist.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// The folder that image names are relative to: PNG and JPEG files.
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

/// Show who would grade what; makes no store and starts no server.
#[derive(Args, Debug)]
#[command(after_help = "With --json the whole plan is told, item by item.

Example:
  pefomed rate plan base=a.jsonl tuned=b.jsonl --rater Ada --rater Bo --per-item 1 --core 40")]
struct PlanArguments {
    #[command(flatten)]
    study: Study,
}

/// Write the answers of a store out, with the systems' names.
#[derive(Args, Debug)]
#[command(
    after_help = "csv and jsonl have one row for each grade of each system's text; grades is \
what `pefomed agree` reads. A server may be running meanwhile.

Examples:
  pefomed rate export r.sqlite > ratings.csv
  pefomed rate export r.sqlite --format jsonl --history --out everything.jsonl
  pefomed rate export r.sqlite --format grades --out grades.jsonl"
)]
struct ExportArguments {
    /// The store.
    store: PathBuf,
    /// Form of the export.
    #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
    format: ExportFormat,
    /// Everything that was ever answered, with what was changed or taken back.
    #[arg(long)]
    history: bool,
    /// With grades: which marked errors are counted.
    #[arg(long, value_enum, default_value_t = Errors::All)]
    errors: Errors,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Csv,
    Jsonl,
    Grades,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Errors {
    All,
    Significant,
}

pub(crate) fn run(arguments: &Arguments, context: &Context) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Some(RateCommand::Plan(arguments)) => show_plan(&arguments.study, context),
        Some(RateCommand::Export(arguments)) => export(arguments, context),
        None => serve(&arguments.study, &arguments.serving, context),
    }
}

impl Study {
    fn items(&self) -> anyhow::Result<Option<Items>> {
        let systems: Vec<System> = self.files.iter().map(|word| system(word)).collect();
        if systems.is_empty() { Ok(None) } else { Ok(Some(Items::read(&systems)?)) }
    }

    fn request(&self) -> StudyRequest {
        let mut raters: Vec<(String, bool)> =
            self.rater.iter().map(|name| (name.clone(), false)).collect();
        for name in &self.synthetic {
            match raters.iter_mut().find(|(known, _)| known == name) {
                Some((_, synthetic)) => *synthetic = true,
                None => raters.push((name.clone(), true)),
            }
        }
        StudyRequest {
            kind: self.kind,
            error_marks: self.error_marks.then_some(true),
            show_reference: self.hide_reference.then_some(false),
            seed: self.seed,
            per_item: self.per_item,
            core: self.core,
            raters,
        }
    }
}

/// `NAME=FILE`, or a file whose name, without its ending, is the system's.
fn system(word: &str) -> System {
    match word.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains(['/', '\\']) => {
            System { name: name.to_owned(), path: PathBuf::from(path) }
        }
        _ => {
            let path = PathBuf::from(word);
            let name = path.file_stem().map_or(word.into(), |stem| stem.to_string_lossy());
            System { name: name.into_owned(), path }
        }
    }
}

fn show_plan(study: &Study, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(items) = study.items()? else {
        let problem = "name the prediction files that the plan is for";
        return Err(Usage(problem.to_owned()).into());
    };
    let request = study.request();
    let raters = request.new_raters()?;
    let settings = request.settings(&items, raters.len())?;
    let Settings { seed, per_item, core, .. } = settings;
    let plan = plan(&items, &raters, PlanOptions { seed, per_item, core })?;
    let summary = plan.summary(&items, &raters, &[]);
    let orders = orders_json(&items, &raters, &plan);
    let value = json!({ "settings": settings, "summary": summary, "orders": orders });
    context.output.result(&plan_text(&summary, &settings), &value)?;
    Ok(ExitCode::SUCCESS)
}

/// Each rater's order, by id and systems.
fn orders_json(items: &Items, raters: &[Rater], plan: &Plan) -> Vec<Value> {
    let order = |order: &[usize]| -> Vec<Value> {
        order
            .iter()
            .map(|candidate| {
                let candidate = &items.candidates[*candidate];
                let in_core = plan.core.binary_search(&candidate.case).is_ok();
                let id = &items.cases[candidate.case].id;
                json!({ "id": id, "systems": candidate.systems, "core": in_core })
            })
            .collect()
    };
    raters
        .iter()
        .zip(&plan.orders)
        .map(|(rater, candidates)| json!({ "rater": rater.name, "order": order(candidates) }))
        .collect()
}

fn plan_text(summary: &PlanSummary, settings: &Settings) -> String {
    let mut out = format!(
        "{} items of {} ({}), {} texts to grade, scale {}, seed {}\n",
        thousands(summary.items),
        if summary.systems.len() == 1 { "one system" } else { "several systems" },
        summary.systems.join(", "),
        thousands(summary.candidates),
        settings.kind,
        settings.seed,
    );
    let raters = match (summary.fewest_raters, summary.most_raters) {
        (1, 1) => "each item has one rater".to_owned(),
        (fewest, most) if fewest == most => format!("each item has {most} raters"),
        (fewest, most) => format!(
            "{} items have all {most} raters, the others {fewest} each",
            thousands(summary.core)
        ),
    };
    let _ = writeln!(out, "{raters}; {} grades in all", thousands(summary.grades));
    if let Some(shared) = summary.fewest_shared {
        let _ = writeln!(out, "any two raters have at least {} items in common", thousands(shared));
        if shared == 0 {
            out.push_str("note: agreement needs items in common: give --core N or --per-item N\n");
        }
    }
    let mut rows = vec![row(["rater", "items", "texts", "graded", "kind"])];
    for load in &summary.raters {
        let numbers = [load.items, load.candidates, load.graded].map(thousands);
        let kind = if load.rater.synthetic { "synthetic" } else { "human" };
        rows.push(
            [vec![load.rater.name.clone()], numbers.to_vec(), vec![kind.to_owned()]].concat(),
        );
    }
    out.push('\n');
    out.push_str(&table(&rows));
    out
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
    let mut text = plan_text(&summary, &settings);
    let _ = write!(text, "\nstore: {}\nlistening on {address}", path.display());
    let value = json!({
        "address": address, "store": path, "tokens": server.asks_for_tokens(),
        "settings": settings, "summary": summary,
    });
    context.output.result(&text, &value)?;
    show_links(&server, serving)?;
    let note = context.progress;
    signals::with_stop_flag(|stop| server.run(stop, move |text| note.note(text)))??;
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

fn export(arguments: &ExportArguments, context: &Context) -> anyhow::Result<ExitCode> {
    if arguments.history && arguments.format == ExportFormat::Grades {
        let problem = "grades are the answers that count: --history goes with csv and jsonl";
        return Err(Usage(problem.to_owned()).into());
    }
    let store = Store::open(&arguments.store)?;
    let rows = export::rows(&store, arguments.history)?;
    let errors = match arguments.errors {
        Errors::All => CountedErrors::All,
        Errors::Significant => CountedErrors::Significant,
    };
    let format = match arguments.format {
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Jsonl => Format::Jsonl,
        ExportFormat::Grades => Format::Grades(errors),
    };
    let Some(out) = &arguments.out else {
        if context.output.is_json() {
            let value = match format {
                Format::Grades(errors) => json!(export::grades(&rows, errors)),
                _ => json!(rows),
            };
            context.output.result("", &value)?;
        } else {
            let mut out = io::stdout().lock();
            export::write(&mut out, &store, &rows, format)?;
            out.flush()?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    export::write_file(out, &store, &rows, format)?;
    let raters = store.summary()?.raters;
    let unsure = rows.iter().filter(|row| row.counts && row.cannot_judge).count();
    let text = export_text(out, rows.len(), unsure, &raters);
    let value = json!({ "out": out, "rows": rows.len(), "cannot_judge": unsure, "raters": raters });
    context.output.result(&text, &value)?;
    Ok(ExitCode::SUCCESS)
}

fn export_text(
    out: &Path,
    rows: usize,
    unsure: usize,
    raters: &[pefomed_eval::rating::RaterLoad],
) -> String {
    let mut text = format!("{}\n{} rows", out.display(), thousands(rows));
    if unsure > 0 {
        let _ = write!(text, ", {} of them \u{201c}can\u{2019}t judge\u{201d}", thousands(unsure));
    }
    let open: Vec<String> = raters
        .iter()
        .filter(|load| load.graded < load.candidates)
        .map(|load| format!("{} {}", load.rater.name, thousands(load.candidates - load.graded)))
        .collect();
    if !open.is_empty() {
        let _ = write!(text, "; still to be graded: {}", open.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_named_by_the_user_or_by_their_file() {
        let of = |word: &str| {
            let System { name, path } = system(word);
            (name, path.display().to_string())
        };
        assert_eq!(of("tuned=runs/a.jsonl"), ("tuned".to_owned(), "runs/a.jsonl".to_owned()));
        let plain = ("predictions-test".to_owned(), "a/predictions-test.jsonl".to_owned());
        assert_eq!(of("a/predictions-test.jsonl"), plain);
        assert_eq!(of("runs/lr=1e-3/p.jsonl"), ("p".to_owned(), "runs/lr=1e-3/p.jsonl".to_owned()));
    }
}
