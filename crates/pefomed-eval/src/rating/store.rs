//! The file that answers are kept in.
//!
//! SQLite with a write-ahead log and `synchronous = FULL`: a commit returns after the log is on the
//! disk, so an answer that was acknowledged survives a killed server and a lost plug. Items, settings
//! and plan do not change once a store is made, so they are read once and kept; answers are always
//! asked of the file.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pefomed_data::DataError;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior, params};

use super::plan::join;
use super::{
    Items, Plan, PlanOptions, PlanSummary, Rater, RatingError, Settings, StudyRequest, checks,
    plan, schema,
};

/// How long a writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A rating study and its answers.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
    settings: Settings,
    items: Items,
    raters: Vec<Rater>,
    plan: Plan,
}

impl Store {
    /// Opens the store at `path`, or makes it when there is none and `items` are given. An existing
    /// store is held against `items` and `request`; raters that it does not know yet join it.
    ///
    /// # Errors
    /// Those of [`Self::open`] and [`plan`], [`RatingError::NoStore`] when there is neither a store
    /// nor items, [`RatingError::OtherItems`] and [`RatingError::OtherSetting`] when the store was
    /// made for something else, [`RatingError::RaterName`] for names that cannot be used.
    pub fn prepare(
        path: &Path,
        items: Option<&Items>,
        request: &StudyRequest,
    ) -> Result<Self, RatingError> {
        // A file without contents is what an interrupted start leaves behind.
        let exists = path.metadata().is_ok_and(|metadata| metadata.len() > 0);
        match (exists, items) {
            (false, None) => Err(RatingError::NoStore { path: path.to_owned() }),
            (false, Some(items)) => {
                let raters = request.new_raters()?;
                let settings = request.settings(items, raters.len())?;
                let Settings { seed, per_item, core, .. } = settings;
                let plan = plan(items, &raters, PlanOptions { seed, per_item, core })?;
                Self::create(path, settings, items, &raters, &plan)?;
                Self::open(path)
            }
            (true, _) => {
                let mut store = Self::open(path)?;
                if let Some(items) = items {
                    checks::same_items(path, &store.items, items)?;
                }
                checks::same_settings(path, &store.settings, request)?;
                store.add_raters(request)?;
                Ok(store)
            }
        }
    }

    /// Opens an existing store.
    ///
    /// # Errors
    /// [`RatingError::NoStore`], [`RatingError::NotAStore`], [`RatingError::NewerStore`],
    /// [`RatingError::DamagedStore`], [`RatingError::Sqlite`].
    pub fn open(path: &Path) -> Result<Self, RatingError> {
        if !path.exists() {
            return Err(RatingError::NoStore { path: path.to_owned() });
        }
        let connection = connect(path)?;
        let number = |pragma: &str| {
            connection
                .query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
                .map_err(|source| sqlite(path, source))
        };
        if number("application_id")? != schema::APPLICATION_ID {
            return Err(RatingError::NotAStore { path: path.to_owned() });
        }
        let found = number("user_version")?;
        if found > schema::VERSION {
            let supported = schema::VERSION;
            return Err(RatingError::NewerStore { path: path.to_owned(), found, supported });
        }
        let settings = checks::read_settings(path, &connection)?;
        let items = checks::read_items(path, &connection)?;
        let raters = checks::read_raters(path, &connection)?;
        let plan = checks::read_plan(path, &connection, &items, &raters)?;
        Ok(Self { path: path.to_owned(), connection, settings, items, raters, plan })
    }

    /// Makes a store, whole or not at all.
    fn create(
        path: &Path,
        settings: Settings,
        items: &Items,
        raters: &[Rater],
        plan: &Plan,
    ) -> Result<(), RatingError> {
        make_private(path).map_err(|source| DataError::Write { path: path.to_owned(), source })?;
        let mut connection = connect(path)?;
        let failed = |source| sqlite(path, source);
        let change =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let fill = || -> rusqlite::Result<()> {
            change.execute_batch(schema::CREATE)?;
            change.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
            change.pragma_update(None, "user_version", schema::VERSION)?;
            let mut set = change.prepare("INSERT INTO study (key, value) VALUES (?1, ?2)")?;
            set.execute(params!["settings", json(&settings)?])?;
            set.execute(params!["items_digest", items.digest()])?;
            set.execute(params!["pefomed_version", env!("CARGO_PKG_VERSION")])?;
            let mut insert =
                change.prepare("INSERT INTO cases VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            for (index, case) in items.cases.iter().enumerate() {
                insert.execute(params![
                    index,
                    case.id,
                    case.group,
                    case.task.tag(),
                    case.question,
                    case.reference,
                    json(&case.images)?,
                    plan.core.binary_search(&index).is_ok(),
                ])?;
            }
            let mut insert = change.prepare("INSERT INTO candidates VALUES (?1, ?2, ?3, ?4)")?;
            for (index, candidate) in items.candidates.iter().enumerate() {
                let systems = json(&candidate.systems)?;
                insert.execute(params![index, candidate.case, candidate.text, systems])?;
            }
            raters
                .iter()
                .zip(&plan.orders)
                .try_for_each(|(rater, order)| insert_rater(&change, rater, order))
        };
        fill().map_err(failed)?;
        change.commit().map_err(failed)
    }

    /// Lets raters in that the store does not know yet.
    fn add_raters(&mut self, request: &StudyRequest) -> Result<(), RatingError> {
        request.check_names()?;
        for (name, synthetic) in &request.raters {
            if let Some(known) = self.raters.iter().find(|rater| rater.name == *name) {
                if *synthetic && !known.synthetic {
                    let problem = "the store knows this rater as a person: choose another name";
                    return Err(RatingError::RaterName { name: name.clone(), problem });
                }
                continue;
            }
            let number = self.raters.len() + 1;
            let rater = Rater { number, name: name.clone(), synthetic: *synthetic };
            let Plan { core, orders } = &self.plan;
            let order = join(&self.items, core, orders, name, self.settings.seed);
            let path = &self.path;
            let change = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|source| sqlite(path, source))?;
            insert_rater(&change, &rater, &order)
                .and_then(|()| change.commit())
                .map_err(|source| sqlite(path, source))?;
            self.raters.push(rater);
            self.plan.orders.push(order);
        }
        Ok(())
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the study is set to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is rated.
    pub fn items(&self) -> &Items {
        &self.items
    }

    /// Who rates.
    pub fn raters(&self) -> &[Rater] {
        &self.raters
    }

    /// Who rates what.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A change that is written whole or not at all, and that no other change comes between.
    pub(super) fn change(&mut self) -> Result<Transaction<'_>, RatingError> {
        let Self { path, connection, .. } = self;
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|source| sqlite(path, source))
    }

    /// Counts for a person.
    ///
    /// # Errors
    /// [`RatingError::Sqlite`].
    pub fn summary(&self) -> Result<PlanSummary, RatingError> {
        let count = |rater: &Rater| {
            let sql = "SELECT count(*) FROM counted WHERE rater = ?1";
            self.connection.query_row(sql, [rater.number], |row| row.get(0))
        };
        let graded: rusqlite::Result<Vec<usize>> = self.raters.iter().map(count).collect();
        let graded = graded.map_err(|source| self.sqlite(source))?;
        Ok(self.plan.summary(&self.items, &self.raters, &graded))
    }

    /// The rater with this name.
    ///
    /// # Errors
    /// [`RatingError::UnknownRater`].
    pub fn rater(&self, name: &str) -> Result<&Rater, RatingError> {
        self.raters.iter().find(|rater| rater.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.raters.iter().map(|rater| rater.name.as_str()).collect();
            RatingError::UnknownRater {
                path: self.path.clone(),
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
    }

    /// The digest of a rater's token, when a token was ever made.
    ///
    /// # Errors
    /// [`RatingError::Sqlite`].
    pub fn token_digest(&self, rater: &Rater) -> Result<Option<String>, RatingError> {
        let sql = "SELECT token_digest FROM raters WHERE number = ?1";
        self.connection
            .query_row(sql, [rater.number], |row| row.get(0))
            .map_err(|source| self.sqlite(source))
    }

    /// Remembers the digest of a rater's new token; an older token is no longer good.
    ///
    /// # Errors
    /// [`RatingError::Sqlite`].
    pub fn set_token_digest(&mut self, rater: &Rater, digest: &str) -> Result<(), RatingError> {
        let sql = "UPDATE raters SET token_digest = ?2 WHERE number = ?1";
        self.connection
            .execute(sql, params![rater.number, digest])
            .map(|_| ())
            .map_err(|source| self.sqlite(source))
    }

    /// Candidates of a rater in order; none for a rater of another store.
    pub(super) fn order(&self, rater: &Rater) -> &[usize] {
        let index = rater.number.checked_sub(1);
        index.and_then(|index| self.plan.orders.get(index)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn sqlite(&self, source: rusqlite::Error) -> RatingError {
        sqlite(&self.path, source)
    }
}

/// An error of SQLite, with the file's name.
pub(super) fn sqlite(path: &Path, source: rusqlite::Error) -> RatingError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => RatingError::NotAStore { path },
        _ => RatingError::Sqlite { path, source },
    }
}

/// Patients' texts are nobody's business on a shared machine: the file belongs to its owner. SQLite
/// gives its log the same rights.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

fn connect(path: &Path) -> Result<Connection, RatingError> {
    let open = || -> rusqlite::Result<(Connection, String)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On a Mac an ordinary sync may leave data in the drive's own memory.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok((connection, mode))
    };
    let (connection, mode) = open().map_err(|source| sqlite(path, source))?;
    if mode != "wal" {
        let problem = "no write-ahead log can be kept beside it: keep the store on a local disk";
        let source = io::Error::new(io::ErrorKind::Unsupported, problem);
        return Err(DataError::Write { path: path.to_owned(), source }.into());
    }
    Ok(connection)
}

fn insert_rater(connection: &Connection, rater: &Rater, order: &[usize]) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO raters (number, name, synthetic) VALUES (?1, ?2, ?3)",
        params![rater.number, rater.name, rater.synthetic],
    )?;
    let mut insert = connection.prepare("INSERT INTO assignments VALUES (?1, ?2, ?3)")?;
    for (position, candidate) in order.iter().enumerate() {
        insert.execute(params![rater.number, position, candidate])?;
    }
    Ok(())
}

/// A value as the text of a column.
pub(super) fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
