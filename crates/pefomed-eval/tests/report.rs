//! The report: what it shows, what it refuses to show, and that hostile text stays text.

mod common;

use std::fs;
use std::path::Path;

use common::{line, under, yes_no};
use image::{GrayImage, Luma};
use pefomed_data::formats::{Format, Problems, ReadOptions, read_with};
use pefomed_data::prediction::write_predictions;
use pefomed_data::{ImageCondition, Prediction, Task};
use pefomed_eval::report::{render, write_report};
use pefomed_eval::{EvalError, Leakage, Metrics, ScoreOptions, TrainAnswer, score};

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=http://example.org/x onerror=y>&";

/// Writes predictions by condition, and their metrics.
fn write_scores(folder: &Path, lines: &[Prediction]) {
    for condition in ImageCondition::ALL {
        let some: Vec<_> = lines.iter().filter(|l| l.condition == condition).cloned().collect();
        let name = match condition {
            ImageCondition::True => "predictions-test.jsonl".to_owned(),
            other => format!("predictions-test.{}.jsonl", other.name()),
        };
        if !some.is_empty() {
            write_predictions(&folder.join(name), &some).unwrap();
        }
    }
    let options = ScoreOptions {
        leakage: Some(Leakage { images: 8, also_in_train: 7 }),
        train: vec![TrainAnswer { answer: "no".to_owned(), labels: common::labels(&[]) }],
        ..Default::default()
    };
    let metrics = score(lines, &options).unwrap();
    metrics.write(&folder.join(Metrics::file_name("test"))).unwrap();
}

/// Eight images with four questions each under all conditions, and one report.
fn lines() -> Vec<Prediction> {
    let mut lines = yes_no(8, 4, |group, question| (group + question) % 3 != 0);
    for (index, line) in lines.iter_mut().enumerate() {
        let kind = ["PRES", "SIZE, PRES"][index % 2];
        line.labels.insert("question_type".to_owned(), kind.to_owned());
    }
    let controls: Vec<_> = lines
        .iter()
        .flat_map(|line| {
            [ImageCondition::Blank, ImageCondition::Shuffled].map(|c| under(line, c, "yes"))
        })
        .collect();
    lines.extend(controls);
    let mut report = line("r", "g0", "Lungs are clear.", "The lungs are clear bilaterally.", &[]);
    report.task = Task::Report;
    lines.push(report);
    lines
}

fn whole_run(run: &Path) {
    write_scores(run, &lines());
    let images = run.join("images");
    fs::create_dir(&images).unwrap();
    for group in 0..8_u8 {
        let picture = GrayImage::from_fn(300, 200, |x, y| Luma([(x + y) as u8 ^ group]));
        picture.save(images.join(format!("g{group}.png"))).unwrap();
    }
    fs::write(run.join("recipe.toml"), "seed = 42\n").unwrap();
    let info = serde_json::json!({
        "title": "Both stages", "device": "CPU", "seed": 42, "threads": 2, "version": "0.1.0",
        "seconds": 61.0, "peak_memory_bytes": 1_073_741_824_u64,
        "trainable_parameters": {"projector": 1000, "lora": 250},
        "frozen_parameters": {"decoder": 98_750},
        "digests": {"data": "ab12"}, "images_dir": ["images"],
    });
    fs::write(run.join("run.json"), info.to_string()).unwrap();
    let mut events = String::from(
        "{\"event\":\"stage_started\",\"stage\":\"alignment\",\"steps\":40,\"examples\":9}\n",
    );
    for step in 1..=40 {
        let loss = 3.0 / f64::from(step) + 0.5;
        let event = serde_json::json!({
            "event": "step", "stage": "alignment", "step": step, "steps": 40, "loss": loss,
            "tokens": 100, "seconds": 0.1,
        });
        events.push_str(&event.to_string());
        events.push('\n');
    }
    fs::write(run.join("events.jsonl"), events).unwrap();
    for (name, trained) in [("00-untuned", "{}"), ("01-stage-1-only", "{\"projector\": 1000}")] {
        let folder = run.join("ablation").join(name);
        fs::create_dir_all(&folder).unwrap();
        write_scores(&folder, &yes_no(8, 4, |group, _| group == 0));
        let info = format!("{{\"trainable_parameters\": {trained}}}");
        fs::write(folder.join("run.json"), info).unwrap();
    }
}

#[test]
fn a_whole_run_shows_everything_in_one_file_without_network() {
    let folder = tempfile::tempdir().unwrap();
    whole_run(folder.path());
    let path = write_report(folder.path()).unwrap();
    assert_eq!(path, folder.path().join("report.html"));
    let html = fs::read_to_string(&path).unwrap();
    for text in [
        "<h1>Both stages</h1>",
        "Results on split test",
        "Ablation",
        "Training",
        "stage 1 only",
        "What the image is worth",
        "7 of the 8 images",
        "question type",
        "Seen images",
        "<summary>Resolved recipe</summary>",
        "not a medical device",
        "1,250",
        "ab12",
        "<td>40</td>",
        "<td>1,000</td>",
        "Reports",
    ] {
        assert!(html.contains(text), "`{text}` is missing");
    }
    // Six right and six wrong questions and a report; the images are inside.
    assert_eq!(html.matches("<article class=\"card\">").count(), 13);
    assert_eq!(html.matches("✓ correct").count(), 6);
    assert_eq!(html.matches("✗ wrong").count(), 6);
    assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 13);
    assert!(!html.contains("Not in this report"));
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!html.contains(outside), "`{outside}` would leave the page");
    }
    // The chart of accuracies shows what the metrics file says.
    let metrics = Metrics::read(&folder.path().join("metrics-test.json")).unwrap();
    let exact = metrics.task(Task::Vqa).unwrap().conditions[0].overall.exact_match;
    let shown = format!("{:.1} [{:.1}, ", exact.value * 100.0, exact.low.unwrap() * 100.0);
    assert!(html.matches(&shown).count() >= 3, "{shown}");
}

#[test]
fn the_page_depends_on_the_folder_alone() {
    let folder = tempfile::tempdir().unwrap();
    whole_run(folder.path());
    let first = render(folder.path()).unwrap();
    // The report itself is no input.
    write_report(folder.path()).unwrap();
    assert_eq!(render(folder.path()).unwrap(), first);
}

#[test]
fn an_empty_folder_gives_a_page_that_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let html = render(folder.path()).unwrap();
    for piece in [
        "metrics-*.json",
        "predictions-*.jsonl",
        "events.jsonl",
        "run.json",
        "recipe.toml",
        "ablation/",
    ] {
        assert!(html.contains(piece), "{piece} is not named");
    }
    assert!(html.contains("not a medical device"));
    let missing = folder.path().join("nowhere");
    assert!(matches!(render(&missing), Err(EvalError::NotARunFolder { .. })));
}

#[test]
fn hostile_text_stays_text_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let mut lines = vec![
        line(HOSTILE, HOSTILE, HOSTILE, HOSTILE, &[("question_type", HOSTILE), ("organ", HOSTILE)]),
        line("void", "g", "x", " ", &[]),
    ];
    lines[0].question = HOSTILE.to_owned();
    lines[0].labels.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    lines[0].image = Some("../../../../etc/passwd".to_owned());
    let control = under(&lines[0], ImageCondition::Blank, HOSTILE);
    lines.push(control);
    write_scores(run, &lines);
    let mut metrics = Metrics::read(&run.join("metrics-test.json")).unwrap();
    metrics.split = HOSTILE.to_owned();
    metrics.split_digest = Some(HOSTILE.to_owned());
    metrics.unscored[0].id = HOSTILE.to_owned();
    metrics.unscored[0].reason = HOSTILE.to_owned();
    metrics.write(&run.join("metrics-test.json")).unwrap();
    let variant = run.join("ablation/00-x");
    fs::create_dir_all(&variant).unwrap();
    metrics.write(&variant.join("metrics-test.json")).unwrap();
    let mut info = serde_json::json!({});
    for key in ["title", "device", "seed", "threads", "version"] {
        info[key] = HOSTILE.into();
    }
    for key in ["trainable_parameters", "frozen_parameters", "digests"] {
        info[key] = serde_json::json!({ HOSTILE: 5 });
    }
    fs::write(variant.join("run.json"), info.to_string()).unwrap();
    fs::write(run.join("run.json"), info.to_string()).unwrap();
    fs::write(run.join("recipe.toml"), format!("a = '''{HOSTILE}</code></pre>'''")).unwrap();
    let step = |step: u32| {
        serde_json::json!({"event": "step", "stage": HOSTILE, "step": step, "loss": 1.0})
            .to_string()
    };
    fs::write(run.join("events.jsonl"), format!("{}\n{}\n", step(1), step(2))).unwrap();

    let html = render(run).unwrap();
    assert!(html.matches("&lt;script&gt;").count() > 20);
    for markup in ["<script", "<img src=http", "onerror=y>", "</code></pre>'''", "root:"] {
        assert!(!html.contains(markup), "`{markup}` got through");
    }
    assert!(html.contains("no picture"));
}

#[test]
fn a_broken_file_is_named() {
    for (name, bytes) in [
        ("run.json", &b"[1, 2]"[..]),
        ("metrics-test.json", b"{}"),
        ("predictions-test.jsonl", b"{\"id\": 3}\n"),
        ("recipe.toml", b"\xff\xfe"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        let message = render(folder.path()).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn pictures_inside_a_parquet_file_are_shown_and_further_answers_stand_beside() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pefomed-data/tests/fixtures/datasets/parquet/data/train-00000-of-00001.parquet");
    // One of its rows cannot be used.
    let (options, mut problems) = (ReadOptions::default(), Problems::lenient());
    let examples = read_with(Format::Parquet, &set, &options, &mut problems).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut one = line("1", "g", "the lung", "chest", &[]);
    one.image = Some(examples[0].images[0].name.clone());
    one.other_references = vec!["lung".to_owned()];
    write_scores(folder.path(), &[one]);
    let write = |place: &str| {
        let info = serde_json::json!({ "images_dir": [place] });
        fs::write(folder.path().join("run.json"), info.to_string()).unwrap();
        render(folder.path()).unwrap()
    };
    let html = write(set.to_str().unwrap());
    assert!(html.contains("<img src=\"data:image/"), "no picture");
    assert!(html.contains("✓ correct") && html.contains("Also right"), "no further answer");
    assert!(html.contains("Several accepted answers"));
    let html = write("/nowhere");
    assert!(html.contains("Pictures of 1 example cards"));
}
