//! The tables of a store.
//!
//! `answers` only grows: triggers refuse changes and removals, whoever attempts them. What counts is
//! the newest grade of a rater on a candidate that no undo names; everything before it is history.
//! Numbers of answers have no gaps: a missing row would show. A candidate with its case is written down in full, so that a store can be exported without the
//! files it was made from.

/// Marks the file as ours in its header (`pfmR`).
pub(super) const APPLICATION_ID: i64 = 0x7066_6d52;
/// Schema of this version.
pub(super) const VERSION: i64 = 1;

/// Makes the tables.
pub(super) const CREATE: &str = "
CREATE TABLE study (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
CREATE TABLE cases (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    group_name TEXT NOT NULL,
    task TEXT NOT NULL,
    question TEXT NOT NULL,
    reference TEXT NOT NULL,
    images TEXT NOT NULL,
    core INTEGER NOT NULL
) STRICT;
CREATE TABLE candidates (
    number INTEGER PRIMARY KEY,
    case_number INTEGER NOT NULL REFERENCES cases (number),
    text TEXT NOT NULL,
    systems TEXT NOT NULL
) STRICT;
CREATE TABLE raters (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    synthetic INTEGER NOT NULL,
    token_digest TEXT
) STRICT;
CREATE TABLE assignments (
    rater INTEGER NOT NULL REFERENCES raters (number),
    position INTEGER NOT NULL,
    candidate INTEGER NOT NULL REFERENCES candidates (number),
    PRIMARY KEY (rater, position),
    UNIQUE (rater, candidate)
) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    rater INTEGER NOT NULL,
    candidate INTEGER NOT NULL,
    -- The answer that an undo takes back; a grade has none.
    undoes INTEGER UNIQUE REFERENCES answers (number),
    -- No value: the rater cannot judge.
    value INTEGER,
    marks TEXT,
    comment TEXT NOT NULL DEFAULT '',
    shown_ms INTEGER,
    -- Named by the page, so that a request that is sent again is not counted again.
    request TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    UNIQUE (rater, request),
    FOREIGN KEY (rater, candidate) REFERENCES assignments (rater, candidate)
) STRICT;
CREATE INDEX answers_of ON answers (rater, candidate, number);
CREATE TRIGGER answers_stay BEFORE UPDATE ON answers
BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END;
CREATE TRIGGER answers_last BEFORE DELETE ON answers
BEGIN SELECT RAISE(ABORT, 'answers are never removed'); END;
CREATE VIEW counted AS
SELECT max(number) AS number, rater, candidate
FROM answers AS grade
WHERE undoes IS NULL
  AND NOT EXISTS (SELECT 1 FROM answers AS undo WHERE undo.undoes = grade.number)
GROUP BY rater, candidate;
";
