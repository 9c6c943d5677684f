//! From what a judge wrote to a verdict, or to why it is none.
//!
//! Models wrap the number that was asked for in prose, Markdown, JSON or a line of reasoning. What
//! can be read in one way only is read; everything else is unparsable, and no number is guessed:
//! a guess would count as an opinion of the judge.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{Count, ErrorCounts, Kind};

/// Longest text that is searched for a verdict, in bytes; asked for is one line.
const LONGEST: usize = 64 << 10;
/// Words that announce a score.
const LABELS: [&str; 4] = ["score", "verdict", "rating", "grade"];
/// More errors of one type than any report can have.
const MOST_ERRORS: u32 = 1_000;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A score on the scale of the kind.
    Score(u8),
    /// Counts of errors.
    Errors(ErrorCounts),
    /// The judge said that it cannot judge.
    CannotJudge,
    /// The reply holds no verdict, for this reason.
    Unparsable(String),
}

impl Outcome {
    /// The number that stands for the verdict: the score, or all errors. None without a verdict.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Score(score) => Some(f64::from(*score)),
            Self::Errors(counts) => Some(f64::from(counts.total())),
            Self::CannotJudge | Self::Unparsable(_) => None,
        }
    }

    /// Whether the outcome is one that a judge of this kind can give.
    pub fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Score(score) => kind.highest().is_some_and(|highest| *score <= highest),
            Self::Errors(_) => kind == Kind::Errors,
            Self::CannotJudge | Self::Unparsable(_) => true,
        }
    }
}

/// Reads a reply.
///
/// A score is a number on the scale after the word `score`, `verdict`, `rating` or `grade`; without
/// such a word it is the only number in the text, and stands at its beginning or in a place like
/// `I give it 3.` at its end. `3/4` and `3 out of 4` are 3 where 4 is the highest level. A last line
/// that is nothing but a score wins over what the reasoning before it mentions; otherwise all scores
/// in the text must agree. Counts are one JSON object with all six types. What a model puts between
/// `<think>` and `</think>` is no part of its answer.
pub fn parse(kind: Kind, reply: &str) -> Outcome {
    match verdict(kind, reply) {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::Unparsable(reason),
    }
}

fn verdict(kind: Kind, reply: &str) -> Result<Outcome, String> {
    if reply.len() > LONGEST {
        return Err(format!("{} bytes are no verdict", reply.len()));
    }
    let text = after_thinking(reply).ok_or("it ends while thinking")?.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    match kind.highest() {
        Some(highest) => score(text, highest),
        None => errors(text),
    }
}

/// What follows a model's thinking, where it writes that into its reply; none when it never ends.
pub(crate) fn after_thinking(reply: &str) -> Option<&str> {
    match reply.rsplit_once("</think>") {
        Some((_, answer)) => Some(answer),
        None if reply.contains("<think>") => None,
        None => Some(reply),
    }
}

/// A number or a refusal that was found in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Number(f64),
    CannotJudge,
}

fn score(text: &str, highest: u8) -> Result<Outcome, String> {
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(text);
    let found = alone(last, highest).map_or_else(|| only(text, highest), Ok)?;
    match found {
        Found::CannotJudge => Ok(Outcome::CannotJudge),
        Found::Number(number) => (0..=highest)
            .find(|level| f64::from(*level) == number)
            .map(Outcome::Score)
            .ok_or_else(|| format!("{number} is not on the scale of 0 to {highest}")),
    }
}

/// What all scores of a text agree on, or else its only number.
fn only(text: &str, highest: u8) -> Result<Found, &'static str> {
    let labelled = labelled(text, highest);
    if let Some((first, others)) = labelled.split_first() {
        let agree = others.iter().all(|other| other == first);
        return if agree { Ok(*first) } else { Err("it holds several scores") };
    }
    match numbers(text, highest)[..] {
        [] => Err("it holds no number"),
        [(number, from, to)] if is_answer(&text[..from], &text[to..]) => Ok(Found::Number(number)),
        [_] => Err("its number is part of a sentence"),
        _ => Err("it holds several numbers"),
    }
}

/// Whether a number between two texts is what the reply comes to, and not one lesion or 2 cm.
fn is_answer(before: &str, after: &str) -> bool {
    let is_mark = |c: char| !c.is_alphanumeric();
    if before.chars().all(is_mark) {
        let follows = after.trim_start_matches(' ');
        return !follows.starts_with(char::is_alphanumeric);
    }
    if !after.chars().all(is_mark) {
        return false;
    }
    let before = before.trim_end_matches([' ', '*', '_', '"', '\'', '`']);
    let word = before.rsplit(is_mark).next().unwrap_or_default().to_lowercase();
    before.ends_with([':', '=', '\n'])
        || ["give", "assign", "say", "it", "a", "level"].contains(&word.as_str())
}

/// A line that is a labelled score and nothing else but marks.
fn alone(line: &str, highest: u8) -> Option<Found> {
    let start = line.find(char::is_alphanumeric)?;
    let lower = line[start..].to_ascii_lowercase();
    let label = LABELS.into_iter().find(|label| lower.starts_with(label))?;
    let (found, rest) = after_label(&line[start + label.len()..], highest)?;
    (!rest.chars().any(char::is_alphanumeric)).then_some(found)
}

/// Everything that follows a label.
fn labelled(text: &str, highest: u8) -> Vec<Found> {
    let lower = text.to_ascii_lowercase();
    LABELS
        .into_iter()
        .flat_map(|label| lower.match_indices(label))
        .filter(|(at, _)| !lower[..*at].ends_with(char::is_alphanumeric))
        .filter_map(|(at, word)| after_label(&text[at + word.len()..], highest))
        .map(|(found, _)| found)
        .collect()
}

/// The value after the label, and what follows it. Between them may stand marks (`**`, quotes), a
/// scale in brackets, and `:`, `=` or `is`.
fn after_label(text: &str, highest: u8) -> Option<(Found, &str)> {
    const MARKS: [char; 6] = ['*', '_', '"', '\'', '`', ' '];
    let mut rest = text.trim_start_matches(MARKS);
    if let Some(bracket) = rest.strip_prefix('(') {
        let (scale, after) = bracket.split_once(')')?;
        rest = if scale.len() <= 24 { after.trim_start_matches(MARKS) } else { return None };
    }
    rest = rest
        .strip_prefix([':', '='])
        .or_else(|| rest.strip_prefix("is ").or_else(|| rest.strip_prefix("is: ")))?;
    rest = rest.trim_start_matches(MARKS);
    let refusal = ["none", "null", "n/a", "cannot judge"].into_iter().find_map(|word| {
        let after = &rest[rest.get(..word.len())?.len()..];
        let same = rest[..word.len()].eq_ignore_ascii_case(word);
        (same && !after.starts_with(char::is_alphanumeric)).then_some(after)
    });
    if let Some(after) = refusal {
        return Some((Found::CannotJudge, after));
    }
    let (number, length) = number_at(rest, highest)?;
    Some((Found::Number(number), &rest[length..]))
}

/// All numbers that stand on their own, with where they begin and end.
fn numbers(text: &str, highest: u8) -> Vec<(f64, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut before = ' ';
    while let Some(here) = text[at..].chars().next() {
        let starts = here.is_ascii_digit() || here == '-';
        if starts
            && !(before.is_alphanumeric() || before == '_' || before == '.')
            && let Some((number, length)) = number_at(&text[at..], highest)
        {
            found.push((number, at, at + length));
            at += length;
            before = '0';
            continue;
        }
        before = here;
        at += here.len_utf8();
    }
    found
}

/// A number at the beginning of a text and its length in bytes, with the highest level after it
/// where it is written as `3/4` or `3 out of 4`. None for something like `2nd` or `4D`; a share of
/// anything else than the highest level is a number off every scale.
fn number_at(text: &str, highest: u8) -> Option<(f64, usize)> {
    let (value, length) = plain_number(text)?;
    let rest = &text[length..];
    if rest.starts_with('%') {
        return Some((f64::INFINITY, length + 1));
    }
    for between in ["/", " / ", " out of ", " of "] {
        let Some(after) = rest.strip_prefix(between) else { continue };
        let Some((whole, digits)) = plain_number(after) else { continue };
        let length = length + between.len() + digits;
        let of_highest = whole == f64::from(highest);
        return Some((if of_highest { value } else { f64::INFINITY }, length));
    }
    Some((value, length))
}

/// `3`, `-1`, `2.5` or `2,5`, not followed by a letter.
fn plain_number(text: &str) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(sign);
    if whole == 0 {
        return None;
    }
    let mut length = sign + whole;
    if matches!(bytes.get(length), Some(b'.' | b',')) {
        let fraction = digits(length + 1);
        if fraction > 0 {
            length += 1 + fraction;
        }
    }
    if text[length..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    // Digits with at most one mark between them always parse; very long ones become infinite.
    let value = text[..length].replace(',', ".").parse().ok()?;
    Some((value, length))
}

fn errors(text: &str) -> Result<Outcome, String> {
    let mut found = objects(text).filter_map(|object| {
        let named = ErrorCounts::TYPES.iter().any(|name| object.get(*name).is_some());
        (named || object.get("cannot_judge").is_some()).then(|| counts(&object))
    });
    let first = found.next().ok_or_else(|| "it holds no JSON object with counts".to_owned())??;
    for other in found {
        if other? != first {
            return Err("it holds several objects with other counts".to_owned());
        }
    }
    Ok(first)
}

fn counts(object: &Value) -> Result<Outcome, String> {
    if object.get("cannot_judge") == Some(&Value::Bool(true)) {
        return Ok(Outcome::CannotJudge);
    }
    let mut counts = [Count::default(); 6];
    for (count, name) in counts.iter_mut().zip(ErrorCounts::TYPES) {
        let of = |severity: &str| {
            let value = object.get(name).and_then(|count| count.get(severity));
            value
                .and_then(Value::as_f64)
                .filter(|value| *value >= 0.0 && value.fract() == 0.0)
                .filter(|value| *value <= f64::from(MOST_ERRORS))
                .map(|value| value as u32)
                .ok_or_else(|| format!("`{name}` has no count of {severity} errors"))
        };
        *count = Count { significant: of("significant")?, insignificant: of("insignificant")? };
    }
    Ok(Outcome::Errors(ErrorCounts::from_counts(counts)))
}

/// The outermost JSON objects in a text.
fn objects(text: &str) -> impl Iterator<Item = Value> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('{')?..];
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            if let Some(Ok(value)) = values.next() {
                rest = &rest[values.byte_offset()..];
                return Some(value);
            }
            rest = &rest[1..];
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scored(kind: Kind, reply: &str) -> Option<u8> {
        match parse(kind, reply) {
            Outcome::Score(score) => Some(score),
            _ => None,
        }
    }

    #[test]
    fn the_number_is_found_in_what_models_write() {
        for (reply, score) in [
            ("score: 1", 1),
            ("1", 1),
            ("Score: 0.", 0),
            ("**Score:** 1", 1),
            ("**score: 1**", 1),
            ("`score: 0`", 0),
            ("{\"score\": 1}", 1),
            ("```json\n{\"final_score\": 0}\n```", 0),
            ("The answer matches the reference, so I give it 1.", 1),
            ("I would give this a **0**.", 0),
            ("0 - another side", 0),
            ("The verdict is 1, since both name the liver.", 1),
            ("Score (0-1): 1", 1),
            ("The score is 1 because both name the liver.", 1),
            ("SCORE = 0", 0),
            ("score: 1.0", 1),
            ("score: 1/1", 1),
            ("<think>score: 0? The side differs. 2 lungs.</think>\n\nscore: 1", 1),
            ("A score: 0 would need a contradiction.\nThere is none.\nscore: 1\n", 1),
            ("Both T2 images show L4, so: 1", 1),
        ] {
            assert_eq!(scored(Kind::Vqa, reply), Some(score), "{reply}");
        }
        for (reply, score) in [
            ("score: 3/4", 3),
            ("I would say 3 out of 4.", 3),
            ("score: 4", 4),
            ("2: several key aspects differ.", 2),
        ] {
            assert_eq!(scored(Kind::Likert, reply), Some(score), "{reply}");
        }
    }

    #[test]
    fn what_is_not_clear_is_not_scored() {
        for (kind, reply, reason) in [
            (Kind::Vqa, "", "empty"),
            (Kind::Vqa, "Yes, it is correct.", "no number"),
            (Kind::Vqa, "one", "no number"),
            (Kind::Vqa, "score: 2", "2 is not on the scale"),
            (Kind::Vqa, "score: -1", "-1 is not on the scale"),
            (Kind::Vqa, "score: 0.5", "0.5 is not on the scale"),
            (Kind::Vqa, "score: 0,5", "0.5 is not on the scale"),
            (Kind::Vqa, "score: 100%", "not on the scale"),
            (Kind::Vqa, "score: 1/5", "not on the scale"),
            (Kind::Vqa, "0 or 1", "several"),
            (Kind::Vqa, "Both mention 1 lesion.", "part of a sentence"),
            (Kind::Vqa, "1 lesion is missed.", "part of a sentence"),
            (Kind::Vqa, "The candidate misses lesion 1.", "part of a sentence"),
            (Kind::Vqa, "score: 1\nscore: 0 if strict", "several"),
            (Kind::Vqa, "<think>score: 1, since", "thinking"),
            (Kind::Likert, "score: 5", "5 is not on the scale"),
            (Kind::Likert, "score: 3/5", "not on the scale"),
            (Kind::Likert, "2-3", "several"),
            (Kind::Likert, &"9".repeat(400), "inf is not on the scale"),
            (Kind::Likert, &"1 ".repeat(40_000), "80000 bytes"),
            (Kind::Errors, "score: 1", "no JSON object"),
            (Kind::Errors, "{\"false_finding\": {\"significant\": 1}}", "insignificant"),
        ] {
            match parse(kind, reply) {
                Outcome::Unparsable(found) => assert!(found.contains(reason), "{reply}: {found}"),
                other => panic!("{reply}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_judge_may_say_that_it_cannot() {
        for reply in ["score: none", "Score: N/A.", "**score:** none", "{\"score\": null}"] {
            assert_eq!(parse(Kind::Vqa, reply), Outcome::CannotJudge, "{reply}");
        }
        assert_eq!(parse(Kind::Errors, "{\"cannot_judge\": true}"), Outcome::CannotJudge);
        assert!(matches!(parse(Kind::Vqa, "score: nonetheless"), Outcome::Unparsable(_)));
    }

    fn object(significant: impl std::fmt::Display) -> String {
        let types = ErrorCounts::TYPES.map(|name| {
            format!("\"{name}\": {{\"significant\": {significant}, \"insignificant\": 1}}")
        });
        format!("{{{}}}", types.join(",\n"))
    }

    #[test]
    fn counts_are_found_in_prose() {
        let counts = ErrorCounts::from_counts([Count { significant: 2, insignificant: 1 }; 6]);
        assert_eq!((counts.total(), counts.significant()), (18, 12));
        let reply = format!("Here {{as asked}}:\n```json\n{}\n```\nThat is all.", object(2));
        assert_eq!(parse(Kind::Errors, &reply), Outcome::Errors(counts));
        let twice = format!("{}\n{}", object(2), object(2));
        assert_eq!(parse(Kind::Errors, &twice), Outcome::Errors(counts));
        for wrong in [
            object(-1),
            object(0.5),
            object(1e9),
            object("\"2\""),
            object(2).replace("wrong_severity", "severity"),
            format!("{}\n{}", object(2), object(3)),
        ] {
            assert!(matches!(parse(Kind::Errors, &wrong), Outcome::Unparsable(_)), "{wrong}");
        }
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            "[0-9.,/% -]{0,8}",
            Just("score".to_owned()),
            Just("Score: ".to_owned()),
            Just("(0-4)".to_owned()),
            Just(" out of ".to_owned()),
            Just("none".to_owned()),
            Just("</think>".to_owned()),
            Just("ſcore:ß".to_owned()),
            Just("{".to_owned()),
            Just("\"false_finding\": {\"significant\": 1e300".to_owned()),
            Just("\n".to_owned()),
            any::<i64>().prop_map(object),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nothing_panics_and_nothing_is_off_the_scale(reply in pieces()) {
            for kind in Kind::ALL {
                let outcome = parse(kind, &reply);
                prop_assert!(outcome.fits(kind), "{outcome:?}");
                if let Some(value) = outcome.value() {
                    prop_assert!(kind.scale().holds(value));
                }
            }
        }

        #[test]
        fn a_number_in_prose_is_read_or_refused(number in -20_i64..20, prose in "[a-z ]{0,20}") {
            let expected = u8::try_from(number).ok().filter(|number| *number <= 4);
            let reply = format!("{prose}\nscore: {number}");
            prop_assert_eq!(scored(Kind::Likert, &reply), expected);
        }
    }
}
