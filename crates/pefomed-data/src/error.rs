//! Every way that reading data can fail.

use std::io;
use std::path::PathBuf;

/// An error of this crate; each names the file, and the row where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not the JSON that was expected.
    #[error("`{}` is not valid JSON of the expected form: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// One row of a file is wrong.
    #[error("`{}`, row {row}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Row or line, counted from 1.
        row: usize,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// A tokenizer or vocabulary cannot be used.
    #[error("tokenizer of `{origin}`: {problem}")]
    Tokenizer {
        /// The file it comes from.
        origin: String,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// No data set layout has this name.
    #[error("unknown format `{name}`: known are {known}{suggestion}")]
    UnknownFormat {
        /// The name as given.
        name: String,
        /// All known names.
        known: String,
        /// `; did you mean …?`, or empty.
        suggestion: String,
    },
    /// An option that the layout has nothing to choose from for.
    #[error("format `{format}` does not take `{option}` (it takes: {taken}): leave it out")]
    Option {
        /// The layout.
        format: String,
        /// The option as given.
        option: String,
        /// What the layout takes.
        taken: String,
    },
    /// A file or folder is not laid out as its format says.
    #[error("`{}` is not laid out as expected: {problem}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What was found and what is expected instead.
        problem: String,
    },
    /// A data set without a single row.
    #[error("`{}` holds no examples: check that it is the file you meant", path.display())]
    NoExamples {
        /// The file.
        path: PathBuf,
    },
    /// An image file of a kind that cannot be decoded here.
    #[error(
        "`{name}` is neither PNG nor JPEG nor DICOM nor NIfTI ({found}): convert it to PNG or JPEG"
    )]
    ImageKind {
        /// The image.
        name: String,
        /// What its first bytes look like.
        found: String,
    },
    /// An image that is damaged or cut short.
    #[error("cannot decode `{name}`: {reason}; fetch the file again or save it anew")]
    BrokenImage {
        /// The image.
        name: String,
        /// The decoder's reason.
        reason: String,
    },
    /// A DICOM or NIfTI file with something in it that is not read here.
    #[error("`{name}`: {what} cannot be read; {remedy}")]
    Unsupported {
        /// The image.
        name: String,
        /// What is in the file.
        what: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// An image name that asks for a picture or a window which is not there.
    #[error("`{name}`: {problem}")]
    View {
        /// The image, with what was asked for.
        name: String,
        /// What is wrong and what is possible instead.
        problem: String,
    },
    /// An image whose header asks for more memory than any real study needs.
    #[error(
        "`{name}` claims {width}×{height} pixels, more than the limit of {limit} megapixels: \
         scale it down, or remove it if it is not what it should be"
    )]
    HugeImage {
        /// The image.
        name: String,
        /// Columns, as its header claims.
        width: u32,
        /// Rows, as its header claims.
        height: u32,
        /// The limit, in millions of pixels.
        limit: u64,
    },
    /// An image size that no model can take.
    #[error("image size {size} is not possible: give a side between 1 and {limit} pixels")]
    ImageSize {
        /// The side asked for.
        size: u32,
        /// The largest side accepted.
        limit: u32,
    },
    /// A `preprocessor_config.json` that asks for something this crate does not do.
    #[error("`{}`: {problem}", path.display())]
    Preprocessor {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// Shares of a split that do not leave a training set.
    #[error(
        "a split with {test_percent} % test and {val_percent} % validation is not possible: \
         each must be 0 or more, and together they must stay below 100"
    )]
    SplitShares {
        /// Share of groups for testing, in per cent.
        test_percent: f64,
        /// Share of groups for validation, in per cent.
        val_percent: f64,
    },
    /// A fold that does not exist.
    #[error("fold {fold} of {of} is not possible: give 2 folds or more, and count them from 1")]
    SplitFold {
        /// The fold asked for.
        fold: u64,
        /// Number of folds.
        of: u64,
    },
}
