use std::fs;

use serde_json::json;

use super::*;

fn step(stage: &str, step: usize) -> Event {
    Event::Step {
        stage: stage.to_owned(),
        step,
        steps: 3,
        loss: 1.0 / step as f64,
        learning_rate: 1e-3,
        tokens: 100,
        questions: 8,
        seconds: 0.5,
    }
}

fn started(stage: &str) -> Event {
    Event::StageStarted { stage: stage.to_owned(), steps: 3, examples: 24, trainable: 10 }
}

fn finished(stage: &str) -> Event {
    Event::StageFinished { stage: stage.to_owned(), seconds: 1.5, peak_memory_bytes: Some(1 << 30) }
}

fn checkpoint(stage: &str, step: usize) -> Event {
    Event::Checkpoint { stage: stage.to_owned(), step, path: "checkpoints/step-000002".into() }
}

/// Two stages of three steps.
fn run() -> Vec<Event> {
    let mut events = vec![Event::Note { text: "begin".to_owned() }];
    for stage in ["one", "two"] {
        events.extend([started(stage), step(stage, 1), step(stage, 2), checkpoint(stage, 2)]);
        events.extend([step(stage, 3), finished(stage)]);
    }
    events
}

fn written(events: &[Event]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("events.jsonl");
    let mut log = JsonLines::create(&path).unwrap();
    for event in events {
        log.event(event).unwrap();
    }
    (folder, path)
}

#[test]
fn the_lines_are_those_that_the_report_reads() {
    let event = Event::Step {
        stage: "alignment".to_owned(),
        step: 12,
        steps: 300,
        loss: 2.31,
        learning_rate: 0.001,
        tokens: 1234,
        questions: 32,
        seconds: 0.08,
    };
    assert_eq!(
        serde_json::to_string(&event).unwrap(),
        r#"{"event":"step","stage":"alignment","step":12,"steps":300,"loss":2.31,"lr":0.001,"tokens":1234,"questions":32,"seconds":0.08}"#
    );
    let values: Vec<serde_json::Value> =
        run().iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    assert_eq!(values[0], json!({"event": "note", "text": "begin"}));
    assert_eq!(
        values[1],
        json!({"event": "stage_started", "stage": "one", "steps": 3, "examples": 24, "trainable": 10})
    );
    assert_eq!(
        values[6],
        json!({"event": "stage_finished", "stage": "one", "seconds": 1.5,
               "peak_memory_bytes": 1_073_741_824_u64})
    );
    let resumed = Event::Resumed { stage: "one".to_owned(), step: 2 };
    assert_eq!(
        serde_json::to_value(resumed).unwrap(),
        json!({"event": "resumed", "stage": "one", "step": 2})
    );
}

#[test]
fn a_log_reads_back_as_it_was_told() {
    let (_folder, path) = written(&run());
    assert_eq!(read(&path).unwrap(), run());
}

#[test]
fn a_resumed_log_has_each_step_once() {
    // Resuming anywhere and telling the rest again must give the log of a run that never stopped.
    let whole = run();
    let cases =
        [("one", 0, 1), ("one", 1, 3), ("one", 2, 5), ("one", 3, 6), ("two", 0, 7), ("two", 2, 11)];
    for (stage, done, kept) in cases {
        let (_folder, path) = written(&whole);
        let mut log = JsonLines::resume(&path, stage, done).unwrap();
        assert_eq!(read(&path).unwrap(), whole[..kept], "after {done} steps of {stage}");
        for event in &whole[kept..] {
            log.event(event).unwrap();
        }
        assert_eq!(read(&path).unwrap(), whole);
    }
}

#[test]
fn a_torn_last_line_is_dropped() {
    let (_folder, path) = written(&run()[..4]);
    let whole = fs::read(&path).unwrap();
    // Two-byte letters, so that some cuts go through the middle of one.
    let line = serde_json::to_vec(&Event::Note { text: "größer".to_owned() }).unwrap();
    for length in 1..=line.len() {
        let torn = [whole.as_slice(), &line[..length]].concat();
        fs::write(&path, torn).unwrap();
        assert_eq!(read(&path).unwrap().len(), 4);
        JsonLines::resume(&path, "one", 2).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "cut after {length} bytes");
    }
    // A block of zeros, as some file systems leave after a power cut.
    fs::write(&path, [whole.as_slice(), &[0; 40], b"\n"].concat()).unwrap();
    JsonLines::resume(&path, "one", 2).unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_damaged_line_in_the_middle_is_named() {
    let (_folder, path) = written(&run()[..3]);
    let text = fs::read_to_string(&path).unwrap().replacen("{\"event\":\"stage", "{\"eve", 1);
    fs::write(&path, text.replacen("\"one\"", "\"one", 1)).unwrap();
    let message = JsonLines::resume(&path, "one", 2).unwrap_err().to_string();
    assert!(message.contains("events.jsonl`, row 2"), "{message}");
}

#[test]
fn a_loss_that_is_not_a_number_does_not_hide_its_step() {
    let (_folder, path) = written(&run()[..3]);
    let mut log = JsonLines::resume(&path, "one", 1).unwrap();
    let mut bad = step("one", 2);
    if let Event::Step { loss, .. } = &mut bad {
        *loss = f64::NAN;
    }
    log.event(&bad).unwrap();
    assert!(matches!(read(&path).unwrap()[3], Event::Step { loss, step: 2, .. } if loss.is_nan()));
    JsonLines::resume(&path, "one", 1).unwrap();
    assert_eq!(read(&path).unwrap(), run()[..3]);
}

#[test]
fn unknown_events_survive_and_a_missing_log_is_empty() {
    let (folder, path) = written(&run()[..2]);
    let text = fs::read_to_string(&path).unwrap() + "{\"event\":\"weather\",\"sun\":true}\n";
    fs::write(&path, &text).unwrap();
    JsonLines::resume(&path, "one", 1).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let missing = folder.path().join("none.jsonl");
    JsonLines::resume(&missing, "one", 1).unwrap();
    assert_eq!(fs::read(&missing).unwrap(), b"");
}

#[test]
fn all_observers_hear_of_every_event() {
    let (_folder, path) = written(&[]);
    let log = JsonLines::resume(&path, "one", 0).unwrap();
    let mut observers = Observers(vec![Box::new(Vec::<Event>::new()), Box::new(log)]);
    for event in run() {
        observers.event(&event).unwrap();
    }
    assert_eq!(read(&path).unwrap(), run());
}
