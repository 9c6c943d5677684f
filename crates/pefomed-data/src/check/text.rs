//! A [`CheckReport`] for the terminal.

use std::fmt::{self, Display, Formatter};

use super::{CheckReport, Problem, ProblemKind, RowRef, Severity};
use crate::readable::thousands;
use crate::split::Leakage;

/// Problems of a kind, rows of a problem and values of a label that are shown; the rest is counted.
const SHOWN_PROBLEMS: usize = 5;
const SHOWN_ROWS: usize = 4;
const SHOWN_VALUES: usize = 8;

impl CheckReport {
    /// The report as text of several lines, without colour.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Display for CheckReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.labels(f)?;
        self.answers(f)?;
        self.images(f)?;
        self.leakage(f)?;
        self.problems(f)
    }
}

impl CheckReport {
    fn head(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tasks: Vec<String> =
            self.tasks.iter().map(|(task, rows)| format!("{task} {}", thousands(*rows))).collect();
        writeln!(
            f,
            "{} about {} in {} ({})",
            counted(self.examples, "example"),
            counted(self.images.files, "image"),
            counted(self.groups, "group"),
            tasks.join(", "),
        )?;
        if self.text_only > 0 {
            writeln!(f, "{} without an image", counted(self.text_only, "example"))?;
        }
        writeln!(f, "\n  split    examples    groups    images")?;
        for (split, counts) in &self.splits {
            writeln!(
                f,
                "  {:<7}{:>10}{:>10}{:>10}",
                split.to_string(),
                thousands(counts.examples),
                thousands(counts.groups),
                thousands(counts.images)
            )?;
        }
        writeln!(f, "  digest {}", self.split_digest.get(..16).unwrap_or(&self.split_digest))
    }

    fn labels(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nLabels")?;
        let width = self.labels.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, column) in &self.labels {
            let mut values: Vec<(&String, &usize)> = column.values.iter().collect();
            values.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let mut parts: Vec<String> = values
                .iter()
                .take(SHOWN_VALUES)
                .map(|(value, count)| format!("{} {}", shortened(value, 30), thousands(**count)))
                .collect();
            if values.len() > SHOWN_VALUES {
                let rest: usize = values[SHOWN_VALUES..].iter().map(|(_, count)| **count).sum();
                let more = values.len() - SHOWN_VALUES;
                parts.push(format!("{} more {}", thousands(more), thousands(rest)));
            }
            if column.absent > 0 {
                parts.push(format!("(none) {}", thousands(column.absent)));
            }
            writeln!(f, "  {name:<width$}  {}", parts.join(" · "))?;
        }
        Ok(())
    }

    fn answers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.answers.by_label.is_empty() {
            return Ok(());
        }
        let distinct = counted(self.answers.distinct, "distinct answer");
        let longest = counted(self.answers.longest_words, "word");
        writeln!(f, "\nAnswers: {distinct}, the longest of {longest}")?;
        let top: Vec<String> = self
            .answers
            .most_frequent
            .iter()
            .map(|(answer, count)| format!("{} {}", shortened(answer, 24), thousands(*count)))
            .collect();
        writeln!(f, "  {}", top.join(" · "))?;
        // Scores on closed questions depend on which rule drew the line.
        let width = self.answers.by_label.keys().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0).max("answer_type".len());
        writeln!(f, "  {:<width$}{:>10}{:>10}", "answer_type", "yes/no", "other")?;
        for (label, rows) in &self.answers.by_label {
            writeln!(
                f,
                "  {label:<width$}{:>10}{:>10}",
                thousands(rows.yes_no),
                thousands(rows.other)
            )?;
        }
        Ok(())
    }

    fn images(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let images = &self.images;
        if images.files == 0 {
            return Ok(());
        }
        write!(f, "\nImages: ")?;
        if images.decoded > 0 {
            write!(f, "{} decoded", thousands(images.decoded))?;
        } else {
            write!(f, "{} found", thousands(images.files - images.missing - images.unreadable))?;
        }
        if let (Some(smallest), Some(largest)) = (images.smallest, images.largest) {
            write!(f, ", {}×{} to {}×{}", smallest.0, smallest.1, largest.0, largest.1)?;
        }
        for (count, word) in [
            (images.grey, "grey"),
            (images.sixteen_bit, "of 16 bits"),
            (images.transparent, "transparent"),
            (images.oriented, "turned upright"),
            (images.missing, "missing"),
            (images.unreadable, "unreadable"),
        ] {
            if count > 0 {
                write!(f, ", {} {word}", thousands(count))?;
            }
        }
        writeln!(f)
    }

    fn leakage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.leakage.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nLeakage between splits")?;
        for leakage in &self.leakage {
            leakage_line(f, leakage)?;
        }
        if self.leakage.iter().any(|leakage| !leakage.is_clean()) {
            writeln!(
                f,
                "  Scores on shared images also reward memory: report an image-disjoint split \
                 beside them."
            )?;
        }
        Ok(())
    }

    fn problems(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for kind in KINDS {
            let all: Vec<&Problem> =
                self.problems.iter().filter(|problem| problem.kind == kind).collect();
            if all.is_empty() {
                continue;
            }
            let severity = match kind.severity() {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            writeln!(f, "\n{severity}: {}", title(kind, all.len()))?;
            for problem in all.iter().take(SHOWN_PROBLEMS) {
                write!(f, "  {}", shortened(&problem.detail, 110))?;
                if !problem.rows.is_empty() {
                    write!(f, "  [{}]", rows(&problem.rows))?;
                }
                writeln!(f)?;
            }
            if all.len() > SHOWN_PROBLEMS {
                writeln!(f, "  … and {} more", thousands(all.len() - SHOWN_PROBLEMS))?;
            }
        }
        writeln!(
            f,
            "\n{}, {}, {}",
            counted(self.count(Severity::Error), "error"),
            counted(self.count(Severity::Warning), "warning"),
            counted(self.count(Severity::Note), "note"),
        )
    }
}

const KINDS: [ProblemKind; 13] = [
    ProblemKind::UnusableRow,
    ProblemKind::MissingImage,
    ProblemKind::UnreadableImage,
    ProblemKind::EmptyQuestion,
    ProblemKind::EmptyAnswer,
    ProblemKind::ConflictingAnswers,
    ProblemKind::SharedImageFile,
    ProblemKind::DimImage,
    ProblemKind::RepeatedQuestion,
    ProblemKind::RepeatedImageFile,
    ProblemKind::SimilarImages,
    ProblemKind::NotedRow,
    ProblemKind::ConvertedImage,
];

fn title(kind: ProblemKind, count: usize) -> String {
    match kind {
        ProblemKind::UnusableRow => format!("{} left out", counted(count, "unusable row")),
        ProblemKind::SharedImageFile => {
            format!("{} under several names in different splits", counted(count, "image file"))
        }
        ProblemKind::RepeatedImageFile => {
            format!("{} under several names", counted(count, "image file"))
        }
        ProblemKind::SimilarImages => {
            format!("{} of images that look alike in different splits", counted(count, "pair"))
        }
        ProblemKind::NotedRow => {
            format!("{} mended, or left out by the layout's rules", counted(count, "row"))
        }
        ProblemKind::MissingImage => format!("{} not found", counted(count, "image file")),
        ProblemKind::UnreadableImage => {
            format!("{} that cannot be decoded", counted(count, "image file"))
        }
        ProblemKind::EmptyQuestion => format!("{} without a question", counted(count, "row")),
        ProblemKind::EmptyAnswer => format!("{} without an answer", counted(count, "row")),
        ProblemKind::ConflictingAnswers => {
            format!("{} with different answers", counted(count, "repeated question"))
        }
        ProblemKind::DimImage => {
            format!("{} that will be nearly black", counted(count, "16-bit image"))
        }
        ProblemKind::RepeatedQuestion => {
            format!("{} with the same answer", counted(count, "repeated question"))
        }
        ProblemKind::ConvertedImage => {
            format!("{} reduced to 8-bit RGB over black", counted(count, "image"))
        }
    }
}

fn leakage_line(f: &mut Formatter<'_>, leakage: &Leakage) -> fmt::Result {
    let (tested, trained) = (leakage.tested, leakage.trained);
    if leakage.is_clean() {
        return writeln!(f, "  {tested} and {trained} share no image and no group");
    }
    writeln!(
        f,
        "  {} of {} {tested} images and {} of {} groups are in {trained} too; {} of {} {tested} \
         questions are about them, {} in the same words",
        thousands(leakage.images_shared_with_train),
        thousands(leakage.test_images),
        thousands(leakage.shared_with_train),
        thousands(leakage.test_groups),
        thousands(leakage.test_questions_on_shared),
        thousands(leakage.test_questions),
        thousands(leakage.test_questions_repeated),
    )
}

/// `train rows 1, 4, 7 and 3 more; test row 2`.
fn rows(rows: &[RowRef]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for of_split in rows.chunk_by(|a, b| a.split == b.split) {
        let shown: Vec<String> =
            of_split.iter().take(SHOWN_ROWS).map(|row| row.row.to_string()).collect();
        let plural = if of_split.len() == 1 { "" } else { "s" };
        let more = match of_split.len().checked_sub(SHOWN_ROWS) {
            Some(more @ 1..) => format!(" and {} more", thousands(more)),
            _ => String::new(),
        };
        let split = of_split[0].split;
        parts.push(format!("{split} row{plural} {}{more}", shown.join(", ")));
    }
    if parts.len() > SHOWN_ROWS {
        let more = parts.len() - SHOWN_ROWS;
        parts.truncate(SHOWN_ROWS);
        parts.push(format!("{} more places", thousands(more)));
    }
    parts.join("; ")
}

/// `1 image`, `2,248 images`.
fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(count))
}

/// One line of at most `limit` letters; control characters, which could steer the terminal, become
/// blanks.
fn shortened(text: &str, limit: usize) -> String {
    let clean: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if clean.chars().count() <= limit {
        return clean;
    }
    clean.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "row"), "1 row");
    }

    #[test]
    fn rows_are_gathered_by_split() {
        let row = |split, row| RowRef { split, row, id: String::new() };
        let list: Vec<RowRef> = (1..=6).map(|number| row(Split::Train, number)).collect();
        assert_eq!(rows(&list), "train rows 1, 2, 3, 4 and 2 more");
        assert_eq!(rows(&[list[0].clone(), row(Split::Test, 9)]), "train row 1; test row 9");
    }

    #[test]
    fn long_and_hostile_texts_stay_one_short_line() {
        assert_eq!(shortened("a\u{1b}[2Jb\nc", 20), "a [2Jb c");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
