//! Judging over a real connection, against a server that misbehaves in every way it can.
#![cfg(feature = "http")]

#[path = "common/stand_in.rs"]
mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pefomed_data::{ImageCondition, Task};
use pefomed_eval::agreement::LikertRange;
use pefomed_eval::judge::http::{Endpoint, Http, Key};
use pefomed_eval::judge::journal::Journal;
use pefomed_eval::judge::plan::Judge;
use pefomed_eval::judge::summary::Numbers;
use pefomed_eval::judge::{
    Asking, Halt, Judged, JudgedItem, Kind, Outcome, Patience, Plan, Prompt, Sampling, Summary,
    Verdict, grades,
};
use pefomed_eval::{BootstrapOptions, Estimate, GraderKind, Scale};
use stand_in::{Act, Request, StandIn, chat};

fn item(id: &str, candidate: &str) -> JudgedItem {
    JudgedItem {
        system: "tuned".to_owned(),
        id: id.to_owned(),
        group: format!("image {id}"),
        condition: ImageCondition::True,
        task: Task::Vqa,
        question: format!("Question {id}?"),
        reference: "left lung".to_owned(),
        candidate: candidate.to_owned(),
    }
}

fn items(count: usize) -> Vec<JudgedItem> {
    (0..count).map(|number| item(&format!("q{number:02}"), "the lung on the left")).collect()
}

fn judge() -> Judge {
    Judge {
        model: "m".to_owned(),
        endpoint: "test".to_owned(),
        kinds: BTreeSet::new(),
        prompts: BTreeMap::new(),
        sampling: Sampling { temperature: 0.0, max_tokens: 16, seed: 0, extra: BTreeMap::new() },
        repeats: 1,
    }
}

fn patience() -> Patience {
    Patience { retries: 3, first_wait: Duration::from_millis(5), ..Patience::default() }
}

/// One call of a judge, at most `at_once` questions at a time.
fn ask_with(
    server: &str,
    judge: &Judge,
    items: Vec<JudgedItem>,
    path: &Path,
    patience: Patience,
    at_once: usize,
) -> (Plan, Judged) {
    let endpoint = Endpoint::parse(server).unwrap();
    endpoint.guard(false, "texts").unwrap();
    let transport = Http::new(&endpoint, None, Duration::from_millis(400), at_once);
    let (journal, earlier) = Journal::open(path).unwrap();
    let plan = judge.plan(items, earlier).unwrap();
    let asking = Asking {
        transport: &transport,
        patience,
        at_once: NonZeroUsize::new(at_once).unwrap(),
        stop: &AtomicBool::new(false),
        progress: &|_, _| {},
    };
    let judged = judge.run(&plan, &journal, &asking).unwrap();
    (plan, judged)
}

fn ask(server: &StandIn, count: usize) -> Judged {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    ask_with(&server.url(), &judge(), items(count), &path, patience(), 1).1
}

/// A server that does the given things, then judges.
fn first(acts: impl Fn(&Request) -> Option<Act> + Send + Sync + 'static) -> StandIn {
    StandIn::new(move |request| acts(request).unwrap_or_else(|| Act::Say("score: 1".to_owned())))
}

fn only_verdict(judged: &Judged) -> Outcome {
    assert!(judged.failed.is_empty() && judged.halt.is_none(), "{judged:?}");
    let verdicts: Vec<&Verdict> = judged.verdicts().collect();
    assert_eq!(verdicts.len(), 1);
    verdicts[0].outcome.clone()
}

#[test]
fn a_verdict_holds_everything_that_decided_it() {
    let server = StandIn::new(|_| Act::Say("The lung is the same.\nscore: 1".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let mut judge = judge();
    judge.sampling.seed = 40;
    judge.repeats = 2;
    ask_with(&server.url(), &judge, items(1), &path, patience(), 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(
        line["sampling"],
        serde_json::json!({"temperature": 0.0, "max_tokens": 16, "seed": 41})
    );
    assert_eq!(line["prompt_sha256"], Prompt::default_of(Kind::Vqa).sha256());
    assert_eq!(line["reply"], "The lung is the same.\nscore: 1");
    assert_eq!(line["outcome"], serde_json::json!({"score": 1}));
    for (name, value) in [
        ("system", "tuned"),
        ("id", "q00"),
        ("group", "image q00"),
        ("condition", "true"),
        ("kind", "vqa"),
        ("model", "m"),
        ("endpoint", "test"),
        ("finish", "stop"),
        ("answered_by", "stand-in"),
    ] {
        assert_eq!(line[name], value, "{name}");
    }
    assert_eq!((line["repeat"].as_u64(), line["attempt"].as_u64()), (Some(1), Some(1)));
    let request = &server.requests()[1];
    assert_eq!(request.path, "/v1/chat/completions");
    assert_eq!(request.body["seed"], 41);
    assert_eq!(request.body["model"], "m");
    assert!(request.text().contains("\nQuestion q00?\n"), "{}", request.text());
    assert!(request.header("authorization").is_none());
    assert!(!request.text().contains("tuned"), "the judge is blind to the system");
}

#[test]
fn retry_after_is_waited_for_by_everybody() {
    // Whole seconds are the smallest wait there is.
    let server = first(|request| {
        let header = vec![("Retry-After", "1".to_owned())];
        (request.number == 0).then(|| Act::Reply(429, header, "{}".to_owned()))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let (_, judged) = ask_with(&server.url(), &judge(), items(3), &path, patience(), 1);
    assert_eq!(judged.verdicts().count(), 3);
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(990));
}

#[test]
fn a_date_to_retry_after_is_waited_for() {
    let at = std::time::SystemTime::now() + Duration::from_secs(2);
    let date = httpdate::fmt_http_date(at);
    let server = first(move |request| {
        let header = vec![("Retry-After", date.clone())];
        (request.number == 0).then(|| Act::Reply(503, header, String::new()))
    });
    assert_eq!(only_verdict(&ask(&server, 1)), Outcome::Score(1));
    let requests = server.requests();
    // The date has no fractions of a second.
    assert!(requests[1].at - requests[0].at >= Duration::from_millis(900));
}

#[test]
fn an_endpoint_that_asks_for_too_long_a_wait_is_not_waited_for() {
    let server = StandIn::new(|_| {
        Act::Reply(429, vec![("Retry-After", "3600".to_owned())], "{\"error\": \"quota\"}".into())
    });
    let begin = Instant::now();
    let judged = ask(&server, 1);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let problem = &judged.failed[0].problem;
    assert_eq!(problem, "status 429, “quota”; it asks to wait for 3600 s, which is too long");
}

#[test]
fn passing_faults_are_got_over() {
    let server = first(|request| match request.number {
        0 => Some(Act::Reply(500, Vec::new(), "<html>oops</html>".to_owned())),
        1 => Some(Act::Break),
        2 => Some(Act::Late(Duration::from_secs(1), "score: 0".to_owned())),
        _ => None,
    });
    assert_eq!(only_verdict(&ask(&server, 1)), Outcome::Score(1));
    assert_eq!(server.requests().len(), 4);
    let server = first(|request| match request.number {
        0 => Some(Act::Reply(200, Vec::new(), "{\"choices\": [{".to_owned())),
        1 => Some(Act::Reply(200, Vec::new(), "{\"choices\": []}".to_owned())),
        2 => Some(Act::Reply(200, Vec::new(), String::new())),
        _ => None,
    });
    assert_eq!(only_verdict(&ask(&server, 1)), Outcome::Score(1));
}

#[test]
fn lasting_faults_are_listed_and_everything_else_is_kept() {
    let server = first(|request| {
        request.text().contains("q01").then(|| Act::Reply(500, Vec::new(), String::new()))
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let (_, judged) = ask_with(&server.url(), &judge(), items(3), &path, patience(), 2);
    assert_eq!(judged.failed.len(), 1);
    let failed = &judged.failed[0];
    assert_eq!((failed.name.id.as_str(), failed.problem.as_str()), ("q01", "status 500 (4 tries)"));
    assert_eq!((judged.verdicts().count(), judged.not_asked), (2, 0));
    // The next call asks for nothing but what failed.
    let before = server.requests().len();
    let healthy = first(|_| None);
    let (plan, judged) = ask_with(&healthy.url(), &judge(), items(3), &path, patience(), 2);
    assert_eq!((plan.answered_before(), healthy.requests().len(), before), (2, 1, 6));
    assert_eq!((judged.verdicts().count(), judged.failed.len()), (3, 0));
}

#[test]
fn what_one_question_is_refused_for_is_not_tried_again() {
    let server = first(|request| {
        let said = "{\"error\": {\"message\": \"too long\"}}".to_owned();
        request.text().contains("q00").then(|| Act::Reply(400, Vec::new(), said))
    });
    let judged = ask(&server, 2);
    assert_eq!(judged.failed[0].problem, "status 400, “too long”");
    assert_eq!((server.requests().len(), judged.verdicts().count()), (2, 1));
}

#[test]
fn a_huge_reply_is_not_read_to_its_end() {
    let server = first(|request| (request.number == 0).then_some(Act::Huge(400 << 20)));
    let judged = ask(&server, 2);
    assert!(judged.failed[0].problem.contains("larger than 1.0 MiB"), "{:?}", judged.failed);
    assert_eq!(judged.verdicts().count(), 1);
    assert!(server.sent() < 32 << 20, "{} bytes were taken", server.sent());
}

#[test]
fn an_unreadable_reply_is_asked_for_again_once_and_kept() {
    let server = StandIn::new(|request| {
        let messages = request.body["messages"].as_array().unwrap();
        let again = messages.len() == 3;
        let text = request.body.to_string();
        Act::Say(match (text.contains("q00"), again) {
            (_, false) => "It matches.".to_owned(),
            (true, true) => "score: 0".to_owned(),
            (false, true) => "I said that it matches.".to_owned(),
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let (plan, judged) = ask_with(&server.url(), &judge(), items(2), &path, patience(), 1);
    let outcomes: Vec<Outcome> = judged.verdicts().map(|v| v.outcome.clone()).collect();
    let unread = Outcome::Unparsable("it holds no number".to_owned());
    assert_eq!(outcomes, [Outcome::Score(0), unread]);
    assert_eq!(server.requests().len(), 4);
    let messages = &server.requests()[1].body["messages"];
    assert_eq!(messages[1], serde_json::json!({"role": "assistant", "content": "It matches."}));
    let kept = Journal::<Verdict>::read(&path).unwrap();
    let replies: Vec<(&str, u32)> =
        kept.iter().map(|v| (v.reply.text.as_str(), v.attempt)).collect();
    assert_eq!(
        replies,
        [("It matches.", 1), ("score: 0", 2), ("It matches.", 1), ("I said that it matches.", 2)]
    );
    // It is counted and listed, and in no number; and it is not asked for a third time.
    let summary = summary(&judge(), &plan, &judged);
    assert_eq!(summary.unparsable[0].name.id, "q01");
    assert_eq!(summary.results[0].verdicts, 1);
    ask_with(&server.url(), &judge(), items(2), &path, patience(), 1);
    assert_eq!(server.requests().len(), 4);

    // A kill between the two askings: only the second is asked.
    let text = std::fs::read_to_string(&path).unwrap();
    let cut: Vec<&str> = text.lines().take(3).collect();
    std::fs::write(&path, cut.join("\n") + "\n").unwrap();
    let (_, judged) = ask_with(&server.url(), &judge(), items(2), &path, patience(), 1);
    assert_eq!((server.requests().len(), judged.verdicts().count()), (5, 2));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = StandIn::new(|_| Act::Say("score: 1".to_owned()));
    let location = format!("http://localhost:{}/v1/chat/completions", elsewhere.port());
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = StandIn::new(move |_| {
            Act::Reply(status, vec![("Location", location.clone())], String::new())
        });
        let judged = ask(&server, 20);
        let Some(Halt::Refused(why)) = &judged.halt else { panic!("{judged:?}") };
        assert!(why.contains("redirects to http://localhost:"), "{why}");
        assert_eq!((server.requests().len(), judged.not_asked), (1, 20));
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_wrong_key_or_model_ends_the_work_at_once() {
    for (status, remedy) in [(401, "--key-env"), (403, "--key-env"), (404, "--model")] {
        let server = StandIn::new(move |_| Act::Reply(status, Vec::new(), String::new()));
        let judged = ask(&server, 50);
        let Some(Halt::Refused(why)) = &judged.halt else { panic!("{judged:?}") };
        assert!(why.contains(remedy), "{why}");
        assert_eq!((server.requests().len(), judged.not_asked), (1, 50));
    }
}

#[test]
fn an_endpoint_that_is_gone_is_not_asked_about_everything() {
    let server = StandIn::new(|_| Act::Reply(502, Vec::new(), String::new()));
    let judged = ask(&server, 50);
    assert!(matches!(&judged.halt, Some(Halt::Gone(why)) if why == "status 502 (4 tries)"));
    assert_eq!((judged.failed.len(), judged.not_asked), (8, 42));
    // Nobody listens there any more.
    let url = server.url();
    drop(server);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let (_, judged) = ask_with(&url, &judge(), items(50), &path, patience(), 1);
    assert!(matches!(&judged.halt, Some(Halt::Gone(why)) if why.contains("refused")), "{judged:?}");
}

#[test]
fn no_more_questions_are_on_their_way_than_allowed() {
    let server = StandIn::new(|_| Act::Late(Duration::from_millis(30), "score: 1".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let (_, judged) = ask_with(&server.url(), &judge(), items(24), &path, patience(), 3);
    assert_eq!(judged.verdicts().count(), 24);
    // A closed connection may still be counted while the next one begins.
    assert!((2..=4).contains(&server.most_at_once()), "{}", server.most_at_once());
}

#[test]
fn a_stop_keeps_what_is_on_its_way_and_asks_nothing_more() {
    let server = StandIn::new(|_| Act::Late(Duration::from_millis(50), "score: 1".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let transport = Http::new(&endpoint, None, Duration::from_secs(5), 2);
    let stop = AtomicBool::new(false);
    let (journal, earlier) = Journal::open(&path).unwrap();
    let judge = judge();
    let plan = judge.plan(items(40), earlier).unwrap();
    let asking = Asking {
        transport: &transport,
        patience: patience(),
        at_once: NonZeroUsize::new(2).unwrap(),
        stop: &stop,
        progress: &|done, _| stop.store(done >= 5, Ordering::SeqCst),
    };
    let judged = judge.run(&plan, &journal, &asking).unwrap();
    assert_eq!(judged.halt, Some(Halt::Stopped));
    let asked = server.requests().len();
    assert!((5..=8).contains(&asked), "{asked}");
    assert_eq!((judged.verdicts().count(), judged.not_asked), (asked, 40 - asked));
    assert_eq!(Journal::<Verdict>::read(&path).unwrap().len(), asked);
}

#[test]
fn a_changed_question_is_asked_anew_and_nothing_else() {
    let server = first(|_| None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let asked = |judge: &Judge, items: Vec<JudgedItem>| {
        let before = server.requests().len();
        ask_with(&server.url(), judge, items, &path, patience(), 2);
        server.requests().len() - before
    };
    let judge = judge();
    assert_eq!(asked(&judge, items(4)), 4);
    assert_eq!(asked(&judge, items(4)), 0);
    let mut changed = items(4);
    changed[2].candidate = "right lung".to_owned();
    assert_eq!(asked(&judge, changed), 1);
    assert_eq!(asked(&judge, items(5)), 1);
    assert_eq!(asked(&Judge { repeats: 3, ..judge.clone() }, items(4)), 8);
    let other = Prompt::parse("{reference}{candidate}".to_owned(), "x").unwrap();
    let prompts = BTreeMap::from([(Kind::Vqa, other)]);
    assert_eq!(asked(&Judge { prompts, ..judge.clone() }, items(4)), 4);
    assert_eq!(asked(&Judge { model: "other".to_owned(), ..judge.clone() }, items(4)), 4);
    let sampling = Sampling { temperature: 0.5, ..judge.sampling.clone() };
    assert_eq!(asked(&Judge { sampling, ..judge.clone() }, items(4)), 4);
    // Where it is asked is written down, and is no part of the question.
    assert_eq!(asked(&Judge { endpoint: "moved".to_owned(), ..judge.clone() }, items(4)), 0);
}

#[test]
fn a_key_reaches_the_endpoint_and_nothing_else() {
    let server = StandIn::new(|request| {
        let key = request.header("authorization").unwrap_or_default().to_owned();
        match request.number {
            0 => Act::Reply(500, Vec::new(), format!("{{\"error\": \"bad key {key}\"}}")),
            _ => Act::Reply(200, Vec::new(), chat(&format!("you sent {key}"))),
        }
    });
    let name = "PEFOMED_TEST_KEY_THAT_IS_NOT_SET";
    assert!(Key::from_env(name).unwrap().is_none());
    // PATH is a long text that is always there.
    let key = Key::from_env("PATH").unwrap().unwrap();
    let secret = std::env::var("PATH").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    let transport = Http::new(&endpoint, Some(key), Duration::from_secs(5), 1);
    let (journal, earlier) = Journal::open(&path).unwrap();
    let judge = judge();
    let plan = judge.plan(items(1), earlier).unwrap();
    let asking = Asking {
        transport: &transport,
        patience: Patience { retries: 0, ..patience() },
        at_once: NonZeroUsize::MIN,
        stop: &AtomicBool::new(false),
        progress: &|_, _| {},
    };
    let judged = judge.run(&plan, &journal, &asking).unwrap();
    assert_eq!(judged.failed[0].problem, "status 500, “bad key Bearer [key]” (1 try)");
    judge.run(&plan, &journal, &asking).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("you sent Bearer [key]") && !text.contains(&secret), "{text}");
    let sent = server.requests()[0].header("authorization").unwrap().to_owned();
    assert_eq!(sent, format!("Bearer {secret}"));
}

fn summary(judge: &Judge, plan: &Plan, judged: &Judged) -> Summary {
    let bootstrap = BootstrapOptions::default();
    Summary::new(judge, plan, judged, LikertRange::ZeroToFour, &bootstrap).unwrap()
}

/// Two groups, four items, three repeats; the replies are worked out by hand below.
#[test]
fn numbers_are_those_of_the_worked_example() {
    // Item q00: 4 4 4; q01: 4 2 4; q02: 0 0 1; q03: cannot judge each time.
    let values = [[4, 4, 4], [4, 2, 4], [0, 0, 1]];
    let server = StandIn::new(move |request| {
        let repeat = request.body["seed"].as_u64().unwrap() as usize;
        let item = (0..3).find(|item| request.text().contains(&format!("q0{item}")));
        Act::Say(match item {
            Some(item) => format!("score: {}", values[item][repeat]),
            None => "score: none".to_owned(),
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let mut reports = items(4);
    for (index, report) in reports.iter_mut().enumerate() {
        report.task = Task::Report;
        report.group = if index < 2 { "a".to_owned() } else { "b".to_owned() };
    }
    let judge = Judge { repeats: 3, ..judge() };
    let (plan, judged) = ask_with(&server.url(), &judge, reports, &path, patience(), 3);
    let summary = summary(&judge, &plan, &judged);
    let results = &summary.results[0];
    assert_eq!((results.items, results.groups, results.verdicts), (3, 2, 9));
    let Some(Numbers::Likert { counts, weighted_average, .. }) = &results.numbers else {
        panic!("{results:?}")
    };
    assert_eq!(*counts, [2, 1, 1, 0, 5]);
    // (0·2 + 1·1 + 2·1 + 4·5) / 9; resamples of two groups: 22/6 (twice a), 23/9, or 1/3 (twice b).
    assert!((weighted_average.value - 23.0 / 9.0).abs() < 1e-12);
    assert!((weighted_average.low.unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert!((weighted_average.high.unwrap() - 22.0 / 6.0).abs() < 1e-12);
    let stability = results.stability.as_ref().unwrap();
    assert_eq!((stability.items, stability.varying), (3, 2));
    // Pairs that agree: 3 of 3, 1 of 3, 1 of 3. Spreads: 0, 2, 1.
    assert!((stability.agreement - 5.0 / 9.0).abs() < 1e-12);
    assert!((stability.mean_spread - 1.0).abs() < 1e-12);
    let flips: Vec<(&str, usize, f64, f64)> = stability
        .unstable
        .iter()
        .map(|item| (item.id.as_str(), item.flips, item.mean, item.spread))
        .collect();
    assert_eq!(flips, [("q01", 2, 10.0 / 3.0, 2.0), ("q02", 1, 1.0 / 3.0, 1.0)]);
    assert_eq!(summary.cannot_judge.len(), 3);

    let percent = Summary::new(
        &judge,
        &plan,
        &judged,
        LikertRange::Percent,
        &BootstrapOptions { resamples: 50, ..BootstrapOptions::default() },
    )
    .unwrap();
    let Some(Numbers::Likert { weighted_average: Estimate { value, .. }, .. }) =
        percent.results[0].numbers
    else {
        panic!("{percent:?}")
    };
    assert!((value - 25.0 * 23.0 / 9.0).abs() < 1e-9);

    let grades = grades::grades(&judged, "m");
    assert_eq!(grades.len(), 12);
    let of = |id: &str, repeat: u32| {
        let grade = grades.iter().find(|grade| grade.id == id && grade.repeat == repeat).unwrap();
        assert_eq!((grade.kind, grade.scale), (GraderKind::Judge, Scale::Likert));
        grade.value
    };
    assert_eq!((of("q01", 1), of("q02", 2), of("q03", 0)), (Some(2.0), Some(1.0), None));
    let path = folder.path().join("grades.jsonl");
    pefomed_eval::grade::write_grades(&path, &grades).unwrap();
    assert_eq!(pefomed_eval::grade::read_grades(&path).unwrap(), grades);
}

#[test]
fn errors_are_counted_by_type() {
    let server = StandIn::new(|request| {
        let significant = if request.text().contains("q00") { 2 } else { 0 };
        let types = pefomed_eval::judge::ErrorCounts::TYPES
            .map(|name| format!("\"{name}\": {{\"significant\": 0, \"insignificant\": 0}}"));
        let reply = format!("{{{}}}", types.join(", ")).replacen(
            "\"significant\": 0, \"insignificant\": 0",
            &format!("\"significant\": {significant}, \"insignificant\": 1"),
            1,
        );
        Act::Say(reply)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("judgements.jsonl");
    let mut reports = items(2);
    for report in &mut reports {
        report.task = Task::Report;
    }
    reports.push(item("a question", "fits no report"));
    let kinds = BTreeSet::from([Kind::Errors]);
    let judge = Judge { kinds, ..judge() };
    let (plan, judged) = ask_with(&server.url(), &judge, reports, &path, patience(), 1);
    let summary = summary(&judge, &plan, &judged);
    assert_eq!(summary.other_task, 1);
    let Some(Numbers::Errors { significant, all, by_type }) = &summary.results[0].numbers else {
        panic!("{summary:?}")
    };
    assert_eq!((significant.value, all.value), (1.0, 2.0));
    assert_eq!((by_type["false_finding"], by_type["wrong_location"]), ([2, 2], [0, 0]));
    let grades = grades::grades(&judged, "m");
    let values: Vec<(&str, Option<f64>)> =
        grades.iter().map(|grade| (grade.grader.as_str(), grade.value)).collect();
    assert_eq!(
        values,
        [
            ("m (errors)", Some(3.0)),
            ("m (significant errors)", Some(2.0)),
            ("m (errors)", Some(1.0)),
            ("m (significant errors)", Some(0.0)),
        ]
    );
}
