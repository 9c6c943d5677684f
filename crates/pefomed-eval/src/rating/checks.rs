//! Reading what a store says about itself, and holding it against what is asked for.

use std::fmt::Display;
use std::path::Path;

use pefomed_data::Task;
use rusqlite::Connection;

use super::store::sqlite;
use super::{Candidate, Case, Items, Plan, Rater, RatingError, Settings, StudyRequest};

/// Characters of a digest that messages show.
const SHORT_DIGEST: usize = 12;

/// Whether the store is for these items.
pub(super) fn same_items(path: &Path, stored: &Items, given: &Items) -> Result<(), RatingError> {
    if stored.digest() == given.digest() {
        return Ok(());
    }
    let describe = |items: &Items| {
        format!(
            "{}; {} items, {} candidates, digest {}",
            items.systems().join(", "),
            items.cases.len(),
            items.candidates.len(),
            &items.digest()[..SHORT_DIGEST]
        )
    };
    Err(RatingError::OtherItems {
        path: path.to_owned(),
        stored: describe(stored),
        given: describe(given),
    })
}

/// Whether the store has the settings that were asked for.
pub(super) fn same_settings(
    path: &Path,
    stored: &Settings,
    request: &StudyRequest,
) -> Result<(), RatingError> {
    fn same<T: PartialEq + Display>(
        path: &Path,
        option: &'static str,
        stored: T,
        given: Option<T>,
    ) -> Result<(), RatingError> {
        match given {
            Some(given) if given != stored => Err(RatingError::OtherSetting {
                path: path.to_owned(),
                option,
                stored: stored.to_string(),
                given: given.to_string(),
            }),
            _ => Ok(()),
        }
    }
    let on_or_off = |on: bool| if on { "on" } else { "off" };
    let hides = request.show_reference.map(|show| on_or_off(!show));
    let marks = request.error_marks.map(on_or_off);
    same(path, "--kind", stored.kind, request.kind)?;
    same(path, "--error-marks", on_or_off(stored.error_marks), marks)?;
    same(path, "--hide-reference", on_or_off(!stored.show_reference), hides)?;
    same(path, "--seed", stored.seed, request.seed)?;
    same(path, "--per-item", stored.per_item, request.per_item)?;
    same(path, "--core", stored.core, request.core)
}

/// Whether a request can be told from others by its name.
pub(super) fn request_name(name: &str) -> Result<(), RatingError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (8..=64).contains(&name.len()) && name.bytes().all(plain) {
        Ok(())
    } else {
        Err(RatingError::RequestName)
    }
}

/// The settings of a store.
pub(super) fn read_settings(path: &Path, connection: &Connection) -> Result<Settings, RatingError> {
    let text = study_value(path, connection, "settings")?;
    serde_json::from_str(&text).map_err(|error| damaged(path, format!("its settings: {error}")))
}

/// The items of a store; their digest has to be the one that was noted.
pub(super) fn read_items(path: &Path, connection: &Connection) -> Result<Items, RatingError> {
    let cases = rows(
        path,
        connection,
        "SELECT id, group_name, task, question, reference, images FROM cases ORDER BY number",
        |row| {
            let task: String = row.get(2)?;
            Ok(Case {
                id: row.get(0)?,
                group: row.get(1)?,
                task: task.parse().unwrap_or(Task::Report),
                question: row.get(3)?,
                reference: row.get(4)?,
                images: serde_json::from_str(&row.get::<_, String>(5)?).unwrap_or_default(),
            })
        },
    )?;
    let candidates = rows(
        path,
        connection,
        "SELECT case_number, text, systems FROM candidates ORDER BY number",
        |row| {
            Ok(Candidate {
                case: row.get(0)?,
                text: row.get(1)?,
                systems: serde_json::from_str(&row.get::<_, String>(2)?).unwrap_or_default(),
            })
        },
    )?;
    if candidates.iter().any(|candidate| candidate.case >= cases.len()) {
        return Err(damaged(path, "a candidate has no item".to_owned()));
    }
    let items = Items { cases, candidates };
    // Whatever was changed by hand, or could not be read above, shows here.
    if items.digest() != study_value(path, connection, "items_digest")? {
        return Err(damaged(path, "its items have another digest than was noted".to_owned()));
    }
    Ok(items)
}

/// The raters of a store, numbered from 1 without a gap.
pub(super) fn read_raters(path: &Path, connection: &Connection) -> Result<Vec<Rater>, RatingError> {
    let sql = "SELECT number, name, synthetic FROM raters ORDER BY number";
    let raters = rows(path, connection, sql, |row| {
        Ok(Rater { number: row.get(0)?, name: row.get(1)?, synthetic: row.get(2)? })
    })?;
    if raters.iter().enumerate().any(|(index, rater)| rater.number != index + 1) {
        return Err(damaged(path, "the numbers of its raters have a gap".to_owned()));
    }
    Ok(raters)
}

/// The plan of a store.
pub(super) fn read_plan(
    path: &Path,
    connection: &Connection,
    items: &Items,
    raters: &[Rater],
) -> Result<Plan, RatingError> {
    let sql = "SELECT number FROM cases WHERE core ORDER BY number";
    let core = rows(path, connection, sql, |row| row.get(0))?;
    let mut orders = vec![Vec::new(); raters.len()];
    let sql = "SELECT rater, position, candidate FROM assignments ORDER BY rater, position";
    let assignments = rows(path, connection, sql, |row| {
        Ok((row.get::<_, usize>(0)?, row.get::<_, usize>(1)?, row.get::<_, usize>(2)?))
    })?;
    for (rater, position, candidate) in assignments {
        match rater.checked_sub(1).and_then(|index| orders.get_mut(index)) {
            Some(order) if order.len() == position && candidate < items.candidates.len() => {
                order.push(candidate);
            }
            _ => return Err(damaged(path, "its plan has a gap".to_owned())),
        }
    }
    Ok(Plan { core, orders })
}

fn study_value(path: &Path, connection: &Connection, key: &str) -> Result<String, RatingError> {
    let sql = "SELECT value FROM study WHERE key = ?1";
    let value = connection.query_row(sql, [key], |row| row.get(0));
    match value {
        Ok(value) => Ok(value),
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            Err(damaged(path, format!("its `{key}` is missing")))
        }
        Err(source) => Err(sqlite(path, source)),
    }
}

fn rows<T>(
    path: &Path,
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, RatingError> {
    let all =
        || -> rusqlite::Result<Vec<T>> { connection.prepare(sql)?.query_map([], read)?.collect() };
    all().map_err(|source| sqlite(path, source))
}

fn damaged(path: &Path, problem: String) -> RatingError {
    RatingError::DamagedStore { path: path.to_owned(), problem }
}
