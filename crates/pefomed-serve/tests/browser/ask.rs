//! The page to ask a tuned model on, in a real browser.

use crate::chromium::Tab;
use crate::common::chat::{KEY, Serving};
use crate::{browser, common};

/// Gives the page a picture, as if it were chosen from a folder.
fn choose_picture(tab: &Tab) {
    let study = common::Study::new(&[]);
    let bytes = common::read(&study.images().join("scan0.png"));
    tab.eval(&format!(
        "(() => {{
            const chosen = new DataTransfer();
            chosen.items.add(new File([new Uint8Array({bytes:?})], 'scan0.png', {{ type: 'image/png' }}));
            const input = document.querySelector('#files');
            input.files = chosen.files;
            input.dispatchEvent(new Event('change'));
         }})()"
    ));
    tab.until("the picture", "document.querySelector('#images img')?.naturalWidth === 320");
}

/// Types a question and waits until its answer is whole.
fn ask(tab: &Tab, question: &str, answers: usize) {
    tab.eval("document.querySelector('#question').value = ''");
    tab.click("#question");
    tab.write(question);
    tab.press("Enter");
    tab.until(
        "the answer",
        &format!(
            "document.querySelectorAll('#answers li').length === {answers}
             && document.querySelector('.cost').textContent !== ''"
        ),
    );
}

#[test]
fn a_question_about_a_picture_is_answered() {
    let Some(browser) = browser() else { return };
    let serving = Serving::start(None);
    let tab = browser.tab();
    tab.go(&format!("http://{}/", serving.address));
    tab.until("the model", "document.querySelector('#model')?.textContent === 'tuned'");
    choose_picture(&tab);
    ask(&tab, "is it broken?", 1);
    assert_eq!(tab.text(".asked"), "is it broken?");
    assert_eq!(tab.text(".said"), "vqa 1 is it broken?");
    assert!(tab.text(".cost").starts_with("1 image, 5 tokens read, 5 written, "));
    ask(&tab, "a b c d e f", 2);
    assert_eq!(tab.text(".said"), "vqa 1 a b c d  …");
    tab.click("#clear");
    ask(&tab, "and now?", 3);
    assert_eq!(tab.text(".said"), "vqa 0 and now?");
    choose_picture(&tab);
    for (name, width, theme) in [
        ("ask-1280-light", 1280, "light"),
        ("ask-1280-dark", 1280, "dark"),
        ("ask-400-light", 400, "light"),
    ] {
        tab.screenshot(name, width, 900, theme);
        assert_eq!(tab.eval(include_str!("contrast.js")), "", "{name}");
        assert!(tab.is("document.documentElement.scrollWidth <= innerWidth"), "{name}");
    }
    assert_eq!(tab.unnamed_controls(), Vec::<String>::new());
    tab.assert_no_complaints();
}

#[test]
fn refusals_are_shown_and_a_key_is_asked_for() {
    let Some(browser) = browser() else { return };
    let serving = Serving::start(Some(KEY));
    let tab = browser.tab();
    tab.go(&format!("http://{}/", serving.address));
    tab.until("the refusal", "document.querySelector('#problem')?.hidden === false");
    assert!(tab.text("#problem").contains("key"));
    assert!(tab.is("!document.querySelector('#key-part').hidden"));
    tab.click("#key");
    tab.write(KEY);
    tab.press("Tab");
    tab.until("the model", "document.querySelector('#model').textContent === 'tuned'");
    tab.until("no problem", "document.querySelector('#problem').hidden");
    tab.click("#question");
    tab.write("no");
    tab.click("#send");
    tab.until("the refusal", "!document.querySelector('#problem').hidden");
    assert_eq!(tab.text("#problem"), "image 1 is no image");
    ask(&tab, "yes", 1);
    assert_eq!(tab.text(".said"), "vqa 0 yes");
    assert!(tab.is("document.querySelector('#problem').hidden"));
}
