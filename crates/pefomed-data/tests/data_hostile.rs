//! Files that are damaged, cut, or made to harm: each ends in examples or in an error, and in no
//! panic and no memory beyond bounds. `tests/hostile/formats/README.md` says what each tries.

use std::path::{Path, PathBuf};

use pefomed_data::formats::{Format, Problems, ReadOptions, read_with};
use proptest::prelude::*;

fn folder(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(part)
}

fn read(format: Format, path: &Path) -> Result<(usize, Vec<String>), String> {
    let mut problems = Problems::lenient();
    match read_with(format, path, &ReadOptions::default(), &mut problems) {
        Ok(examples) => {
            for image in examples.iter().flat_map(|example| &example.images) {
                if image.own_file().is_none() {
                    let _ = image.read();
                }
            }
            let skipped = problems.skipped.iter().map(ToString::to_string).collect();
            Ok((examples.len(), skipped))
        }
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn hostile_files_fail_with_their_reason() {
    for (format, file, part) in [
        (Format::Csv, "unclosed-quote.csv", "never closed"),
        (Format::Csv, "utf16.csv", "UTF-16"),
        (Format::Csv, "spreadsheet.csv", "a spreadsheet file"),
        (Format::Csv, "two-answers.csv", "could both be the answer"),
        (Format::Slake, "deep-train.json", "recursion limit"),
        (Format::Slake, "outside-train.json", "row 1: `img_name` is `../../etc/passwd`"),
        (Format::Slake, "cut-train.json", "EOF"),
        (Format::Slake, "latin1-train.json", "row 1: `answer`: not UTF-8 after “caf”"),
        (Format::IuXray, "unknown-list.json", "the key `trian`: known are train, val, test"),
        (
            Format::IuXray,
            "two-splits.json",
            "`split` is `test`, but the row is in the list of train",
        ),
        (Format::OpeniXml, "entities.xml", "not valid XML"),
        (Format::OpeniXml, "traversal.xml", "`parentImage` has the id `../../secret`"),
        (Format::Pathvqa, "code_train.pkl", "builds more than lists"),
        (Format::Pathvqa, "nested_train.pkl", "nested"),
        (Format::Llava, "url.json", "an image is `https://example.org/a.png…`: save it as a file"),
        (Format::Llava, "two-questions.json", "two questions in a row"),
        (Format::Medexpqa, "no-options.jsonl", "`options` is a list"),
        (Format::Roco, "no-tab.txt", "has no tab"),
        (Format::Parquet, "cut.parquet", "is no parquet file that can be read"),
        (Format::Parquet, "long-footer.parquet", "is no parquet file that can be read"),
        (Format::Parquet, "endless.parquet", "unexpected end of file"),
        (Format::Parquet, "dictionary.parquet", "a dictionary of"),
        (Format::Parquet, "booleans.parquet", "its footer claims more values"),
        (Format::Parquet, "rows.parquet", "a row group of 2000000 rows in a file of"),
    ] {
        let path = folder("hostile/formats").join(file);
        assert!(path.is_file(), "{file} is not there");
        let message = read(format, &path).unwrap_err();
        assert!(message.contains(part) && message.contains(file), "{file}: {message}");
    }
}

#[test]
fn good_rows_around_bad_ones_are_kept_and_the_bad_ones_named() {
    let path = folder("hostile/formats/mixed.jsonl");
    let (kept, skipped) = read(Format::Jsonl, &path).unwrap();
    assert_eq!(kept, 2);
    let parts = [
        "row 2: not valid JSON",
        "row 3: unknown field `anwser`",
        "row 4: is a list",
        "row 5: not UTF-8",
        "row 7: id `1` was used in row 1",
    ];
    assert_eq!(skipped.len(), parts.len(), "{skipped:?}");
    for (found, part) in skipped.iter().zip(parts) {
        assert!(found.contains(part), "{found}\nhas no `{part}`");
    }
    let path = folder("hostile/formats/mixed-train.json");
    let (kept, skipped) = read(Format::Slake, &path).unwrap();
    assert_eq!((kept, skipped.len()), (2, 3), "{skipped:?}");
    assert!(
        skipped[2].contains("`question` is missing: every row needs it; did you mean `qestion`?")
    );
}

/// A fixture and the format that reads it.
const SEEDS: [(Format, &str); 16] = [
    (Format::VqaRad, "slake/train.json"),
    (Format::Slake, "slake/train.json"),
    (Format::Pathvqa, "pathvqa/qas/train/train_qa.pkl"),
    (Format::IuXray, "iu-xray/annotation.json"),
    (Format::OpeniXml, "openi-xml/ecgen-radiology/1.xml"),
    (Format::Roco, "roco/data/train/radiology/captions.txt"),
    (Format::Imageclef, "imageclef/caption_prediction_train.csv"),
    (Format::Medicat, "medicat/figures_public.jsonl.gz"),
    (Format::MimicCxr, "mimic-cxr/mimic-cxr-2.0.0-split.csv.gz"),
    (Format::Medexpqa, "medexpqa/data/en/train.en.casimedicos.rag.jsonl"),
    (Format::MediqaM3g, "mediqa-m3g/train.json"),
    (Format::Llava, "llava/llava_med_train.json"),
    (Format::Messages, "messages/data.jsonl"),
    (Format::Csv, "csv/train.csv"),
    (Format::Parquet, "parquet/data/train-00000-of-00001.parquet"),
    (Format::Parquet, "parquet-more/several.parquet"),
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn no_damaged_file_makes_a_reader_panic(
        seed in 0..SEEDS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let (format, part) = SEEDS[seed];
        let original = folder("fixtures/datasets").join(part);
        let mut bytes = std::fs::read(&original).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(original.file_name().unwrap());
        std::fs::write(&path, bytes).unwrap();
        if let Err(message) = read(format, &path) {
            prop_assert!(message.contains(path.file_name().unwrap().to_str().unwrap()), "{message}");
        }
    }
}
