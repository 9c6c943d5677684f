//! The pages in a real browser. The rating page is graded by mouse and by keyboard, reloaded, used by two raters
//! at once, cut off from its server, and looked at in two sizes and two colours.
//!
//! Pictures of the pages are left in `target/tmp/rating-page/`.

mod ask;
mod chromium;
#[path = "../common/mod.rs"]
mod common;

use std::io::Write as _;

use chromium::{Browser, Tab};
use common::{Server, Study, line};
use pefomed_data::Task;
use pefomed_eval::rating::{ErrorKind, MarkCount, Store, StudyRequest, export};

/// A browser, or a word that there is none.
fn browser() -> Option<Browser> {
    let found = Browser::start();
    if found.is_none() {
        // Past the test harness, which would swallow a print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: no chromium on PATH; the page is not tested");
    }
    found
}

/// The page of a rater, with its first item in view.
fn open(browser: &Browser, server: &Server, rater: usize) -> Tab {
    let tab = browser.tab();
    tab.go(&format!("http://{}/r/{rater}/", server.address));
    tab.until_settled();
    tab
}

#[test]
fn an_item_is_graded_by_mouse() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(6);
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    assert_eq!(tab.text("#count"), "1 of 10");
    assert_eq!(tab.text("#reference"), "yes");
    let first = tab.text("#candidate");
    tab.click("#levels button[data-value='1']");
    tab.until("the second item", "document.body.dataset.position === '1'");
    tab.until_settled();
    assert_eq!(tab.text("#status"), "Saved: item 1, correct.");
    assert_ne!(tab.text("#candidate"), first);
    tab.click("#unsure");
    tab.until("the third item", "document.body.dataset.position === '2'");
    tab.until_settled();

    // A comment on an answered item is saved when it is left.
    tab.click("#previous");
    tab.until("the second item", "document.body.dataset.position === '1'");
    tab.until_settled();
    assert_eq!(tab.eval("document.querySelector('#unsure').ariaPressed"), "true");
    tab.click("#comment");
    tab.write("too dark");
    tab.until("the button that saves", "!document.querySelector('#keep').hidden");
    tab.click("#previous");
    tab.until("the first item", "document.body.dataset.position === '0'");
    tab.until_settled();
    tab.click("#undo");
    tab.until("the undo", "document.querySelector('#status').textContent.startsWith('Taken')");
    tab.until_settled();
    assert_eq!(tab.text("#status"), "Taken back: the answer to item 2.");
    assert_eq!(tab.text("#count"), "2 of 10");
    assert_eq!(tab.eval("document.querySelector('#comment').value"), "");
    assert_eq!(tab.eval("document.querySelector('#unsure').ariaPressed"), "true");

    let history = export::rows(&Store::open(&study.path()).unwrap(), true).unwrap();
    let mut said: Vec<(i64, Option<u8>, &str, Option<i64>)> = history
        .iter()
        .map(|row| (row.answer, row.value, row.comment.as_str(), row.undoes))
        .collect();
    said.dedup();
    let expected = [
        (1, Some(1), "", None),
        (2, None, "", None),
        (3, None, "too dark", None),
        (4, None, "", Some(3)),
    ];
    assert_eq!(said, expected);
    assert!(history.iter().all(|row| row.undoes.is_some() || row.shown_ms.is_some()));
    tab.assert_no_complaints();
}

#[test]
fn a_study_is_graded_by_keyboard_with_a_reload_in_between() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(3);
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    assert_eq!(tab.text("#count"), "1 of 5");
    // Pressed twice, before the next item can have been read.
    tab.eval(
        "for (const _ of [1, 2]) {
            document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'c', bubbles: true }));
         }",
    );
    tab.until("the second item", "document.body.dataset.position === '1'");
    tab.until_settled();
    tab.press("m");
    // Letters that would be grades elsewhere.
    tab.write("c x n 1");
    tab.press("Escape");
    tab.reload();
    tab.until_settled();
    assert_eq!((tab.text("#count"), tab.text("#graded")), ("2 of 5".into(), "1 graded".into()));
    assert_eq!(tab.eval("document.querySelector('#comment').value"), "c x n 1");
    tab.press("x");
    tab.until("the third item", "document.body.dataset.position === '2'");
    tab.until_settled();
    assert_eq!(tab.eval("document.querySelector('#comment').value"), "");
    tab.press("ArrowLeft");
    tab.until("the second item", "document.body.dataset.position === '1'");
    tab.until_settled();
    tab.press("u");
    tab.until(
        "the second item open",
        "document.querySelector('#status').textContent.startsWith('Taken')",
    );
    tab.until_settled();
    tab.press("1");
    for position in 2..5 {
        tab.until("the next item", &format!("document.body.dataset.position === '{position}'"));
        tab.until_settled();
        tab.press(if position == 4 { "n" } else { "0" });
    }
    tab.until("the end", "document.querySelector('#done').open");
    assert_eq!(tab.text("#done-title"), "All graded. Thank you.");
    assert!(tab.text("#done-text").contains("5 of 5 answers are saved, 1 of them"));
    tab.press("Escape");
    tab.press("?");
    tab.until("the keys", "document.querySelector('#keys').open");
    // Behind an open window nothing is graded.
    tab.press("c");
    tab.press("Escape");

    let store = Store::open(&study.path()).unwrap();
    let given: Vec<Option<u8>> = store
        .answers(&store.raters()[0])
        .unwrap()
        .into_iter()
        .map(|given| given.unwrap().rating.value)
        .collect();
    assert_eq!(given, [Some(1), Some(1), Some(0), Some(0), None]);
    let answers = export::rows(&store, true).unwrap().iter().map(|row| row.answer).max();
    assert_eq!(answers, Some(7), "five answers, one of them twice, and an undo");
    tab.assert_no_complaints();
}

#[test]
fn two_raters_work_at_once_and_strangers_do_not() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(4);
    let server = study.serve(&["Ada", "Bo"], true);
    // In one browser: each cookie is for the pages of its rater.
    let tabs: Vec<Tab> = server
        .links
        .iter()
        .map(|link| {
            let tab = browser.tab();
            tab.go(link.url.as_deref().unwrap());
            tab.until_settled();
            assert_eq!(tab.text("#rater"), link.rater);
            assert!(!tab.eval("location.href").contains("token"));
            tab
        })
        .collect();
    for position in 1..4 {
        for (tab, key) in tabs.iter().zip(["c", "x"]) {
            tab.press(key);
        }
        for tab in &tabs {
            tab.until("the next item", &format!("document.body.dataset.position === '{position}'"));
            tab.until_settled();
        }
    }
    let store = Store::open(&study.path()).unwrap();
    for (rater, value) in store.raters().iter().zip([1, 0]) {
        let given: Vec<u8> = store
            .answers(rater)
            .unwrap()
            .into_iter()
            .flatten()
            .filter_map(|given| given.rating.value)
            .collect();
        assert_eq!(given, [value; 3], "{}", rater.name);
    }
    for tab in &tabs {
        tab.assert_no_complaints();
    }

    // Another person's browser, with a link that was cut short.
    let stranger = browser.fresh_tab();
    let link = server.links[0].url.as_deref().unwrap();
    stranger.go(&link[..link.len() - 1]);
    stranger.until("a page", "document.readyState === 'complete' && document.querySelector('h1')");
    assert_eq!(stranger.text("h1"), "Please use your personal link");
    assert!(stranger.text("p").contains("Open the whole link you were given"));
    stranger.screenshot("bad-token-1280-light", 1280, 800, "light");
    stranger.go(&format!("http://{}/r/1/", server.address));
    stranger.until("a page", "document.readyState === 'complete' && document.querySelector('h1')");
    assert_eq!(stranger.text("h1"), "Please use your personal link");
}

#[test]
fn an_answer_survives_a_server_that_is_away() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(3);
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    let address = server.address;
    server.stop().unwrap();
    tab.press("c");
    tab.until("the warning", "!document.querySelector('#alert').hidden");
    assert!(tab.text("#alert-text").starts_with("Not saved yet: The server does not answer."));
    tab.screenshot("server-away-1280-dark", 1280, 800, "dark");
    let options = pefomed_serve::ServeOptions { address, ..study.options(false) };
    let server = Server::start(Store::open(&study.path()).unwrap(), &options).unwrap();
    tab.click("#retry");
    tab.until("the second item", "document.body.dataset.position === '1'");
    assert!(tab.is("document.querySelector('#alert').hidden"));
    let state = server.get("/r/1/state").json();
    assert_eq!(state["answers"][0]["value"], 1);
    assert!(state["answers"][1].is_null());
}

/// Window and level are exact on the pixels that are shown.
#[test]
fn the_image_is_zoomed_moved_and_windowed() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(1);
    // A ramp: column x has the value x.
    let ramp = image::GrayImage::from_fn(256, 64, |x, _| image::Luma([x as u8]));
    ramp.save(study.images().join("scan0.png")).unwrap();
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    tab.size(1280, 800, "light");
    tab.until("a fit", "document.querySelector('#zoom').textContent !== '100 %'");
    let fitted = tab.text("#zoom");
    tab.press("+");
    tab.until(
        "a larger image",
        &format!("document.querySelector('#zoom').textContent !== '{fitted}'"),
    );
    tab.drag("#viewer", 40, 0);
    tab.press("f");
    tab.until("the fit", &format!("document.querySelector('#zoom').textContent === '{fitted}'"));

    let middle = |tab: &Tab| tab.pixel_row("#picture", 256);
    let plain = middle(&tab);
    for (at, value) in plain.iter().enumerate() {
        assert!((i32::from(*value) - at as i32).abs() <= 1, "{at}: {value}");
    }
    tab.eval(
        "for (const [id, value] of [['window', 100], ['level', 80]]) {
            const slider = document.getElementById(id);
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
         }",
    );
    let expected = |at: usize, sign: f64| {
        let shown = (at as f64 - 80.0) / 100.0 * 255.0 * sign + 127.5;
        shown.clamp(0.0, 255.0)
    };
    for (key, sign) in [("", 1.0), ("i", -1.0)] {
        if !key.is_empty() {
            tab.press(key);
        }
        for (at, value) in middle(&tab).iter().enumerate() {
            let off = (f64::from(*value) - expected(at, sign)).abs();
            // One grey level of the source is 2.55 of the result.
            assert!(off <= 4.0, "{at}: {value} instead of {}", expected(at, sign));
        }
    }
    tab.press("r");
    assert_eq!(middle(&tab), plain);
    tab.assert_no_complaints();
}

const REFERENCE: &str = "The heart is normal in size. Small left pleural effusion, slightly larger \
    than on the previous examination, with adjacent atelectasis. No pneumothorax. The right lung is \
    clear. A central venous catheter ends in the lower superior vena cava.";
const CANDIDATE: &str = "Heart size is normal. There is a moderate left pleural effusion with basal \
    atelectasis. No pneumothorax is seen. Central venous catheter with its tip in the superior vena \
    cava. Right lung without consolidation.";

/// A study of reports on two images each, with error marks, and a synthetic rater.
fn reports() -> (Study, Server) {
    let texts = ["Describe the findings.", REFERENCE, CANDIDATE];
    let lines = [
        line("r1", Task::Report, "scan1.png", texts),
        line("r2", Task::Report, "scan2.png", ["Describe the findings.", "No finding.", ""]),
    ];
    let study = Study::new(&[("secret", &lines)]);
    // A list of images, which the shared prediction line does not have.
    let path = study.systems[0].path.clone();
    let plain = std::fs::read_to_string(&path).unwrap();
    let two = plain.replace("{\"id\"", "{\"images\":[\"scan1.png\",\"scan0.png\"],\"id\"");
    std::fs::write(&path, two).unwrap();
    let request = StudyRequest {
        error_marks: Some(true),
        raters: vec![("Trial run".to_owned(), true)],
        // The long report comes first.
        seed: Some(1),
        ..StudyRequest::default()
    };
    let server = Server::start(study.store(&request), &study.options(false)).unwrap();
    (study, server)
}

#[test]
fn a_report_is_graded_with_its_errors() {
    let Some(browser) = browser() else { return };
    let (study, server) = reports();
    let tab = open(&browser, &server, 1);
    assert_eq!(
        tab.text("#trial"),
        "Trial: what Trial run answers is kept as synthetic and never counted as a person’s grade."
    );
    if tab.text("#candidate") != CANDIDATE {
        tab.press("ArrowRight");
        tab.until(
            "the other report",
            "document.querySelector('#candidate').textContent.startsWith('Heart')",
        );
        tab.until_settled();
    }
    let position: usize = tab.eval("document.body.dataset.position").parse().unwrap();
    assert_eq!(tab.eval("document.querySelectorAll('#tabs button').length"), "2");
    tab.press("v");
    tab.until("the second image", "document.querySelector('#picture').alt === 'Image 2 of 2'");
    tab.until("the image", "document.querySelector('#picture').complete");
    let mark = |kind: &str, weight: &str, step: usize| {
        tab.click(&format!(
            ".stepper:has(output[data-type='{kind}'][data-weight='{weight}']) button:nth-of-type({step})"
        ));
    };
    assert_eq!(tab.text("#mark-rows .mark:last-child > span"), "Missed comparison");
    mark("wrong_severity", "significant", 2);
    mark("missed_comparison", "insignificant", 2);
    mark("missed_comparison", "insignificant", 2);
    mark("missed_comparison", "insignificant", 1);
    mark("missed_finding", "significant", 1);
    for (name, width, height, theme) in [
        ("report-1280-light", 1280, 800, "light"),
        ("report-1280-dark", 1280, 800, "dark"),
        ("report-1920-light", 1920, 1080, "light"),
        ("report-1920-dark", 1920, 1080, "dark"),
    ] {
        tab.screenshot(name, width, height, theme);
        assert_whole(&tab);
    }
    tab.press("2");
    tab.until("an answer", "document.querySelector('#status').textContent.startsWith('Saved')");
    let store = Store::open(&study.path()).unwrap();
    let rating = store.answers(&store.raters()[0]).unwrap()[position].clone().unwrap().rating;
    let marks = rating.marks.unwrap();
    assert_eq!(rating.value, Some(2));
    let one = |significant, insignificant| MarkCount { significant, insignificant };
    assert_eq!(marks.of(ErrorKind::WrongSeverity), one(1, 0));
    assert_eq!(marks.of(ErrorKind::MissedComparison), one(0, 1));
    assert_eq!(marks.0.len(), 2, "a type without errors is not mentioned");
    tab.assert_no_complaints();
}

/// Every level with its description is in view, and nothing hangs over the edge of the window.
fn assert_whole(tab: &Tab) {
    let outside = tab.eval(
        "[...document.querySelectorAll('#levels button, #levels span, #unsure, #undo, #comment, header button, .tools > :not(:empty, [hidden])')]
            .filter((part) => {
                const box = part.getBoundingClientRect();
                return box.width === 0 || box.left < 0 || box.top < 0 || box.right > innerWidth
                    || box.bottom > innerHeight || part.scrollWidth > part.clientWidth + 1 && part.matches('button');
            })
            .map((part) => part.id || part.textContent).join()",
    );
    assert_eq!(outside, "");
    assert!(tab.is("document.documentElement.scrollHeight <= innerHeight"), "the page scrolls");
}

/// What assistive technology needs: every control has a name, and text stands out from its ground by
/// 4.5 to 1 (WCAG 2.2, 1.4.3) in both themes.
#[test]
fn everything_can_be_named_and_read() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(3);
    let server = study.serve(&["Dr. Ada Long-Name"], false);
    let tab = open(&browser, &server, 1);
    for (name, width, height, theme) in [
        ("question-1280-light", 1280, 800, "light"),
        ("question-1280-dark", 1280, 800, "dark"),
        ("question-1920-light", 1920, 1080, "light"),
        ("question-1920-dark", 1920, 1080, "dark"),
        ("question-820-light", 820, 1180, "light"),
    ] {
        tab.screenshot(name, width, height, theme);
        assert_eq!(tab.eval(include_str!("contrast.js")), "", "{name}");
        if width > 900 {
            assert_whole(&tab);
        }
    }
    assert_eq!(tab.unnamed_controls(), Vec::<String>::new());
    tab.press("?");
    tab.until("the keys", "document.querySelector('#keys').open");
    tab.screenshot("keys-1280-light", 1280, 800, "light");
    tab.press("Escape");
    // The keyboard reaches the levels, and shows where it is.
    tab.eval("document.querySelector('#texts').focus()");
    tab.press("Tab");
    assert_eq!(tab.eval("document.activeElement.querySelector('b').textContent"), "Correct");
    assert_eq!(tab.eval("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    tab.press("Enter");
    tab.until("the second item", "document.body.dataset.position === '1'");
    tab.assert_no_complaints();
}

/// The picture's own pixels, a row of them.
fn own_row(tab: &Tab, row: u32) -> Vec<u8> {
    let values = tab.eval(&format!(
        "(() => {{
            const picture = document.querySelector('#picture'), canvas = document.createElement('canvas');
            const width = canvas.width = picture.naturalWidth;
            canvas.height = picture.naturalHeight;
            const pen = canvas.getContext('2d');
            pen.drawImage(picture, 0, 0);
            const row = pen.getImageData(0, {row}, width, 1).data;
            return [...row].filter((_, index) => index % 4 === 0).join(' ');
        }})()"
    ));
    values.split(' ').map(|value| value.parse().unwrap()).collect()
}

/// A CT is windowed from its Hounsfield units, and a series is scrolled through.
#[test]
fn deep_images_are_drawn_anew_from_their_values() {
    let Some(browser) = browser() else { return };
    let study = Study::questions(1);
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pefomed-data/tests/fixtures/dicom");
    // The contents tell what a file is.
    std::fs::copy(fixtures.join("ct.dcm"), study.images().join("scan0.png")).unwrap();
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    tab.size(1280, 800, "light");
    let expected = |window: &str| {
        let image = pefomed_data::image::decode(&fixtures.join(format!("ct.dcm{window}"))).unwrap();
        let start = 6 * image.width as usize * 3;
        let row = &image.rgb[start..start + image.width as usize * 3];
        row.iter().step_by(3).copied().collect::<Vec<u8>>()
    };
    assert!(tab.is("!document.querySelector('#preset-part').hidden"));
    assert!(tab.is("document.querySelector('#frame-part').hidden"));
    assert_eq!(tab.eval("document.querySelector('#window').value"), "400");
    assert_eq!(own_row(&tab, 6), expected(""));
    let drawn = |part: &str| {
        format!("(document.querySelector('#viewer').dataset.drawn ?? '').includes('{part}')")
    };
    // As in the file, all values, soft tissue, lung.
    for name in ["range", "soft-tissue", "lung"] {
        tab.press("w");
        tab.until(name, &drawn(name));
        assert_eq!(tab.eval("document.querySelector('#preset').value"), name);
        assert_eq!(own_row(&tab, 6), expected(&format!("#window={name}")));
    }
    assert_eq!(tab.eval("document.querySelector('#level').value"), "-600");
    tab.eval(
        "for (const [id, value] of [['window', 80], ['level', 40]]) {
            const slider = document.getElementById(id);
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
         }",
    );
    tab.until("the narrow window", &drawn("40,80"));
    assert_eq!(own_row(&tab, 6), expected("#window=40,80"));
    assert_eq!(tab.eval("document.querySelector('#preset').value"), "");
    tab.screenshot("ct-1280-dark", 1280, 800, "dark");
    tab.press("r");
    tab.until("the file's window", "document.querySelector('#preset').value === 'file'");
    assert_eq!(own_row(&tab, 6), expected(""));
    tab.assert_no_complaints();
    server.stop().unwrap();

    let study = Study::questions(1);
    std::fs::copy(fixtures.join("enhanced.dcm"), study.images().join("scan0.png")).unwrap();
    let server = study.serve(&["Ada"], false);
    let tab = open(&browser, &server, 1);
    assert_eq!(tab.text("#frame-text"), "Frame 1/3");
    tab.press(".");
    tab.until(
        "the second frame",
        "document.querySelector('#frame-text').textContent === 'Frame 2/3'",
    );
    let second = pefomed_data::image::decode(&fixtures.join("enhanced.dcm#frame=2")).unwrap();
    let row: Vec<u8> = second.rgb[..54].iter().step_by(3).copied().collect();
    assert_eq!(own_row(&tab, 0), row);
    // Presets are for Hounsfield units.
    assert!(tab.is(
        "[...document.querySelectorAll('#preset .hounsfield')].every((option) => option.disabled)"
    ));
    tab.screenshot("series-1000-light", 1000, 800, "light");
    // All controls have room.
    let right = |id: &str| format!("document.querySelector('{id}').getBoundingClientRect().right");
    for id in ["#reset", "#frame", "#preset"] {
        assert!(tab.is(&format!("{} <= {}", right(id), right("#viewer"))), "{id}");
    }
    tab.press(".");
    tab.press(".");
    tab.until(
        "the last frame",
        "document.querySelector('#frame-text').textContent === 'Frame 3/3'",
    );
    tab.press(",");
    tab.until(
        "the second frame",
        "document.querySelector('#frame-text').textContent === 'Frame 2/3'",
    );
    assert!(tab.unnamed_controls().is_empty(), "{:?}", tab.unnamed_controls());
    tab.assert_no_complaints();
}
