// One rater's session: which item is shown, what a key or click means, what has been saved.

import { nextTheme } from "./theme.js";
import * as server from "./server.js";
import * as viewer from "./viewer.js";
import * as panel from "./panel.js";

const byId = (id) => document.getElementById(id);

// After an item appears, keys that grade are not taken for a moment: they were meant for the one before.
const SETTLE = 250;
const RETRY = 4000;

let study = null;
let item = null;
let position = -1;
let readyAt = Infinity;
// The write that the server has not acknowledged yet; while there is one, nothing else is done.
let pending = null;
let retryTimer = 0;
let lookedFor = 0, lookingSince = null;

const isOpen = (at) => study.answers[at] === null;
const isDirty = () => JSON.stringify(panel.extras()) !== JSON.stringify(savedExtras());

function savedExtras() {
  const given = item?.given;
  return { comment: given?.comment ?? "", marks: study.error_types ? given?.marks ?? {} : null };
}

// Time that the item was in view, the page hidden not counted.
function watch(on) {
  const now = performance.now();
  if (lookingSince !== null) lookedFor += now - lookingSince;
  lookingSince = on ? now : null;
}

function say(text) {
  byId("status").textContent = text;
}

function alarm(text, canRetry) {
  byId("alert").hidden = !text;
  byId("alert-text").textContent = text ?? "";
  byId("retry").hidden = !canRetry;
}

function showProgress() {
  const total = study.answers.length;
  const graded = study.answers.filter((answer) => answer !== null).length;
  byId("count").textContent = `${position + 1} of ${total}`;
  byId("progress").max = Math.max(total, 1);
  byId("progress").value = graded;
  byId("graded").textContent = `${graded} graded`;
  byId("previous").disabled = position <= 0;
  byId("next").disabled = position >= total - 1;
  byId("open").disabled = graded === total;
}

// What was written and not yet sent is kept for a reload, in this tab alone.
const draftKey = (at) => `pefomed-draft${location.pathname}${at}`;

function keepDraft() {
  if (!item) return;
  if (isDirty()) sessionStorage.setItem(draftKey(position), JSON.stringify(panel.extras()));
  else sessionStorage.removeItem(draftKey(position));
  byId("keep").hidden = !item.given || !isDirty();
}

async function goTo(at) {
  if (pending || at < 0 || at >= study.answers.length) return;
  position = at;
  readyAt = Infinity;
  item = null;
  document.body.classList.add("loading");
  showProgress();
  try {
    const loaded = await server.load(at);
    if (position !== at) return;
    item = loaded;
    const draft = sessionStorage.getItem(draftKey(at));
    panel.showTexts(item);
    panel.setGrade(item.given ? item.given.value : undefined);
    panel.setExtras(draft ? JSON.parse(draft) : savedExtras());
    keepDraft();
    await viewer.show(item.images);
    if (position !== at) return;
    alarm(null);
    document.body.classList.remove("loading");
    readyAt = performance.now() + SETTLE;
    lookedFor = 0;
    watch(false);
    lookedFor = 0;
    watch(!document.hidden);
    document.body.dataset.position = at;
    if (at + 1 < study.answers.length) server.load(at + 1).catch(() => {});
  } catch (error) {
    if (position !== at) return;
    alarm(`${error.message} The item cannot be shown.`, true);
    clearTimeout(retryTimer);
    if (!error.final) retryTimer = setTimeout(() => goTo(at), RETRY);
  }
}

function nextOpen() {
  const total = study.answers.length;
  for (let step = 1; step <= total; step += 1) {
    const at = (position + step) % total;
    if (isOpen(at)) return at;
  }
  return -1;
}

// Sends a write until it is acknowledged, then goes on with `after`.
async function send(path, body, after) {
  pending = { path, body, after };
  document.body.classList.add("saving");
  await attempt();
}

async function attempt() {
  if (!pending) return;
  const mine = pending;
  clearTimeout(retryTimer);
  try {
    const reply = await server.write(mine.path, mine.body);
    if (pending !== mine) return;
    pending = null;
    document.body.classList.remove("saving");
    alarm(null);
    mine.after(reply);
  } catch (error) {
    if (pending !== mine) return;
    if (error.final) {
      pending = null;
      document.body.classList.remove("saving");
      alarm(`Not saved. ${error.message}`, false);
      panel.setGrade(item?.given ? item.given.value : undefined);
      return;
    }
    alarm(`Not saved yet: ${error.message} Your answer is kept here and sent again; leave this page open.`, true);
    retryTimer = setTimeout(attempt, RETRY);
  }
}

function levelName(value) {
  if (value === null) return "can’t judge";
  return study.levels.find((level) => level.value === value).name.toLowerCase();
}

// A grade, or null for "can't judge". `stay` keeps the item in view, for a changed comment.
function grade(value, stay = false) {
  if (!item || pending || performance.now() < readyAt) return;
  watch(!document.hidden);
  const rating = { value, ...panel.extras(), shown_ms: Math.round(lookedFor) };
  const at = position;
  panel.setGrade(value);
  send("answer", { request: server.requestName(), position: at, rating }, ({ given }) => {
    study.answers[at] = { value: given.value };
    server.note(at, given);
    item.given = given;
    sessionStorage.removeItem(draftKey(at));
    say(`Saved: item ${at + 1}, ${levelName(given.value)}.`);
    keepDraft();
    showProgress();
    if (stay) return;
    const open = nextOpen();
    if (open >= 0) goTo(open);
    else finish();
  });
}

function undo() {
  if (pending || !study) return;
  send("undo", { request: server.requestName() }, ({ undone, given }) => {
    if (!undone) {
      say("There is nothing to take back.");
      return;
    }
    const at = undone.position;
    study.answers[at] = given ? { value: given.value } : null;
    server.note(at, given);
    sessionStorage.removeItem(draftKey(at));
    say(`Taken back: the answer to item ${at + 1}.`);
    byId("done").close();
    goTo(at);
  });
}

function finish() {
  const unsure = study.answers.filter((answer) => answer?.value === null).length;
  byId("done-text").textContent = `${study.answers.length} of ${study.answers.length} answers are saved`
    + (unsure ? `, ${unsure} of them “can’t judge”. ` : ". ")
    + "You can close this page, or go back and change any of them.";
  if (!byId("done").open) byId("done").showModal();
}

// A change to an answered item is saved before it leaves the screen.
function leaveFor(at) {
  if (pending || at < 0 || at >= study.answers.length) return;
  if (item?.given && isDirty()) {
    watch(!document.hidden);
    const rating = { value: item.given.value, ...panel.extras(), shown_ms: Math.round(lookedFor) };
    const from = position;
    send("answer", { request: server.requestName(), position: from, rating }, ({ given }) => {
      server.note(from, given);
      sessionStorage.removeItem(draftKey(from));
      say(`Saved: item ${from + 1}.`);
      goTo(at);
    });
  } else goTo(at);
}

function key(event) {
  if (!study || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("textarea");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    return;
  }
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const slider = event.target.closest("input[type=range]");
  if (slider && name.startsWith("Arrow")) return;
  const level = study.levels.find((level) => panel.keysOf(level).includes(name));
  if (level) {
    if (!event.repeat) grade(level.value);
  } else if (name === "n") {
    if (!event.repeat) grade(null);
  } else if (name === "u") {
    if (!event.repeat) undo();
  } else if (name === "ArrowLeft" && !event.shiftKey) leaveFor(position - 1);
  else if (name === "ArrowRight" && !event.shiftKey) leaveFor(position + 1);
  else if (name === "g") leaveFor(study.answers.findIndex((answer) => answer === null));
  else if (name === "m") panel.focusComment();
  else if (name === "?") byId("keys").showModal();
  else if (name === "PageDown") panel.scrollTexts(1);
  else if (name === "PageUp") panel.scrollTexts(-1);
  else if (!viewer.key(event)) return;
  event.preventDefault();
}

function listKeys() {
  const grades = study.levels.map((level) => [panel.keysOf(level)[0].toUpperCase(), level.name]);
  const rows = [
    ...grades,
    ["N", "Can’t judge"], ["U", "Undo"], ["← →", "Previous, next item"], ["G", "First item without a grade"],
    ["M", "Comment; Esc leaves it"], ["Page ↑ ↓", "Move in a long text"], ["+ −", "Zoom"], ["F", "Whole image"],
    ["⇧ ← → ↑ ↓", "Move the image"], ["V", "Next image of the item"], ["I", "Invert"], ["R", "Reset the window"],
    ["W ⇧W", "Next, previous preset window"], [", .", "Previous, next frame or slice"], ["?", "This list"],
  ];
  byId("key-list").replaceChildren(...rows.flatMap(([name, text]) => {
    const term = document.createElement("dt"), words = document.createElement("dd");
    term.append(Object.assign(document.createElement("kbd"), { textContent: name }));
    words.textContent = text;
    return [term, words];
  }));
}

async function begin() {
  try {
    study = await server.state();
  } catch (error) {
    alarm(`${error.message} The page cannot begin.`, !error.final);
    if (!error.final) retryTimer = setTimeout(begin, RETRY);
    return;
  }
  alarm(null);
  byId("rater").textContent = study.rater;
  byId("trial").hidden = !study.synthetic;
  byId("trial-name").textContent = study.rater;
  panel.build(study, (value) => grade(value), keepDraft);
  listKeys();
  viewer.offer(study.presets);
  if (!study.answers.length) {
    alarm("Nothing was assigned to you.", false);
    return;
  }
  const first = study.answers.findIndex((answer) => answer === null);
  await goTo(first >= 0 ? first : study.answers.length - 1);
  if (first < 0) finish();
}

document.addEventListener("keydown", key);
document.addEventListener("visibilitychange", () => item && watch(!document.hidden));
byId("previous").addEventListener("click", () => leaveFor(position - 1));
byId("next").addEventListener("click", () => leaveFor(position + 1));
byId("open").addEventListener("click", () => leaveFor(study.answers.findIndex((answer) => answer === null)));
byId("unsure").addEventListener("click", () => grade(null));
byId("undo").addEventListener("click", undo);
byId("keep").addEventListener("click", () => item?.given && grade(item.given.value, true));
byId("theme").addEventListener("click", nextTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("keys-close").addEventListener("click", () => byId("keys").close());
byId("done-close").addEventListener("click", () => byId("done").close());
byId("retry").addEventListener("click", () => (pending ? attempt() : study ? goTo(position) : begin()));
window.addEventListener("beforeunload", (event) => pending && event.preventDefault());
begin();
