//! The part of a store that grows: what raters answered, and took back.

use rusqlite::{OptionalExtension as _, params};

use super::store::{json, sqlite};
use super::{Given, Rater, Rating, RatingError, Store, Undone, checks};

impl Store {
    /// The answers of a rater that count, by position.
    ///
    /// # Errors
    /// [`RatingError::Sqlite`] and [`RatingError::DamagedStore`].
    pub fn answers(&self, rater: &Rater) -> Result<Vec<Option<Given>>, RatingError> {
        let mut answers = vec![None; self.order(rater).len()];
        let sql = "SELECT position, a.number, value, marks, comment, shown_ms
             FROM counted JOIN answers AS a USING (number)
             JOIN assignments AS s ON s.rater = a.rater AND s.candidate = a.candidate
             WHERE a.rater = ?1";
        let mut statement =
            self.connection().prepare_cached(sql).map_err(|source| self.sqlite(source))?;
        let rows = statement
            .query_map([rater.number], |row| Ok((row.get::<_, usize>(0)?, given(row, 1)?)))
            .map_err(|source| self.sqlite(source))?;
        for row in rows {
            let (position, given) = row.map_err(|source| self.sqlite(source))?;
            if let Some(slot) = answers.get_mut(position) {
                *slot = Some(given);
            }
        }
        Ok(answers)
    }

    /// Writes an answer down. When this returns, the answer is on the disk. A request that the store
    /// has seen is not written again: its answer is given back.
    ///
    /// # Errors
    /// Those of [`Rating::check`], [`RatingError::NoSuchPosition`], [`RatingError::RequestName`],
    /// [`RatingError::Sqlite`].
    pub fn grade(
        &mut self,
        rater: &Rater,
        position: usize,
        request: &str,
        rating: &Rating,
    ) -> Result<Given, RatingError> {
        checks::request_name(request)?;
        rating.check(self.settings())?;
        let order = self.order(rater);
        let count = order.len();
        let candidate =
            *order.get(position).ok_or(RatingError::NoSuchPosition { position, count })?;
        let path = self.path().to_owned();
        let failed = |source| sqlite(&path, source);
        let change = self.change()?;
        let write = || -> rusqlite::Result<Given> {
            let sql = "SELECT number, value, marks, comment, shown_ms FROM answers
                 WHERE rater = ?1 AND request = ?2";
            let find = || {
                change
                    .query_row(sql, params![rater.number, request], |row| given(row, 0))
                    .optional()
            };
            if let Some(known) = find()? {
                return Ok(known);
            }
            change.execute(
                "INSERT INTO answers (rater, candidate, value, marks, comment, shown_ms, request)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    rater.number,
                    candidate,
                    rating.value,
                    rating.marks.as_ref().map(json).transpose()?,
                    rating.comment,
                    rating.shown_ms,
                    request,
                ],
            )?;
            find()?.ok_or(rusqlite::Error::QueryReturnedNoRows)
        };
        let given = write().map_err(failed)?;
        change.commit().map_err(failed)?;
        Ok(given)
    }

    /// Takes the rater's newest answer that still counts back, by writing that down too; none when
    /// there is nothing to take back. An answer that it had replaced counts again. A request that the
    /// store has seen takes nothing back a second time.
    ///
    /// # Errors
    /// [`RatingError::RequestName`]; [`RatingError::Sqlite`], also for a name that a grade has.
    pub fn undo(&mut self, rater: &Rater, request: &str) -> Result<Option<Undone>, RatingError> {
        checks::request_name(request)?;
        let path = self.path().to_owned();
        let failed = |source| sqlite(&path, source);
        let change = self.change()?;
        let write = || -> rusqlite::Result<Option<Undone>> {
            let sql =
                "SELECT undoes, position FROM answers JOIN assignments USING (rater, candidate)
                 WHERE rater = ?1 AND request = ?2 AND undoes IS NOT NULL";
            let find = || {
                let undone = |row: &rusqlite::Row<'_>| {
                    Ok(Undone { answer: row.get(0)?, position: row.get(1)? })
                };
                change.query_row(sql, params![rater.number, request], undone).optional()
            };
            if let Some(known) = find()? {
                return Ok(Some(known));
            }
            change.execute(
                "INSERT INTO answers (rater, candidate, undoes, request)
                 SELECT rater, candidate, number, ?2 FROM answers AS grade
                 WHERE rater = ?1 AND undoes IS NULL AND NOT EXISTS
                     (SELECT 1 FROM answers AS undo WHERE undo.undoes = grade.number)
                 ORDER BY number DESC LIMIT 1",
                params![rater.number, request],
            )?;
            find()
        };
        let undone = write().map_err(failed)?;
        change.commit().map_err(failed)?;
        Ok(undone)
    }
}

/// An answer from the columns number, value, marks, comment, shown_ms, beginning with `first`.
pub(super) fn given(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Given> {
    let marks: Option<String> = row.get(first + 2)?;
    let wrong = |error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(first + 2, kind, Box::new(error))
    };
    Ok(Given {
        answer: row.get(first)?,
        rating: Rating {
            value: row.get(first + 1)?,
            marks: marks.map(|text| serde_json::from_str(&text)).transpose().map_err(wrong)?,
            comment: row.get(first + 3)?,
            shown_ms: row.get(first + 4)?,
        },
    })
}
