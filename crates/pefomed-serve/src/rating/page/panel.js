// The right-hand side: texts, levels, error marks, comment. It shows what it is given and says what
// was clicked; what that means is decided in rate.js.

const byId = (id) => document.getElementById(id);
const levels = byId("levels"), comment = byId("comment"), marks = byId("marks");

let kind = "likert";
let types = null;
let counts = {};

/** Keys of the levels: their number, and for right or wrong also c and x. */
export function keysOf(level) {
  if (kind === "likert") return [String(level.value)];
  return level.value === 1 ? ["c", "1"] : ["x", "0"];
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Builds what stays the same for all items. */
export function build(study, onGrade, onChange) {
  kind = study.kind;
  types = study.error_types;
  levels.className = kind;
  levels.replaceChildren(...study.levels.map((level) => {
    const [key] = keysOf(level);
    const button = element("button", { type: "button" },
      element("kbd", { textContent: key.toUpperCase() }),
      element("b", { textContent: level.name }),
      element("span", { textContent: level.description }));
    button.dataset.value = level.value;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-keyshortcuts", keysOf(level).join(" "));
    button.addEventListener("click", () => onGrade(level.value));
    return button;
  }));
  byId("ask").textContent = !study.show_reference
    ? (kind === "likert" ? "How good is the candidate?" : "Is the candidate right?")
    : (kind === "likert" ? "How close is the candidate to the reference?" : "Does the candidate say what the reference says?");
  marks.hidden = !types;
  document.body.classList.toggle("with-marks", Boolean(types));
  byId("mark-rows").replaceChildren(...(types ?? []).map((type) => element("div", { className: "mark", title: type.description },
    element("span", { textContent: type.label }),
    stepper(type, "significant", onChange),
    stepper(type, "insignificant", onChange))));
  comment.addEventListener("input", () => {
    grow();
    onChange();
  });
}

function stepper(type, weight, onChange) {
  const words = `${type.label}, ${weight === "significant" ? "significant" : "minor"}`;
  const count = element("output", { textContent: "0" });
  count.dataset.type = type.name;
  count.dataset.weight = weight;
  count.setAttribute("aria-label", words);
  const step = (by, sign, label) => {
    const button = element("button", { type: "button", textContent: sign });
    button.setAttribute("aria-label", `${label}: ${words}`);
    button.addEventListener("click", () => {
      const mark = counts[type.name] ??= { significant: 0, insignificant: 0 };
      mark[weight] = Math.min(Math.max(mark[weight] + by, 0), 99);
      showCounts();
      onChange();
    });
    return button;
  };
  const group = element("span", { className: `stepper ${weight}` }, step(-1, "−", "One less"), count, step(1, "+", "One more"));
  group.setAttribute("role", "group");
  return group;
}

function showCounts() {
  for (const output of document.querySelectorAll(".stepper output")) {
    const count = counts[output.dataset.type]?.[output.dataset.weight] ?? 0;
    output.textContent = count;
    output.classList.toggle("some", count > 0);
  }
}

// The comment takes a second and third line when it needs them.
function grow() {
  comment.style.height = "auto";
  comment.style.height = `${Math.min(comment.scrollHeight + 2, 110)}px`;
}

/** Comment and error marks as they stand. */
export function extras() {
  const marked = Object.entries(counts).filter(([, count]) => count.significant || count.insignificant);
  return { comment: comment.value, marks: types ? Object.fromEntries(marked) : null };
}

export function setExtras({ comment: text, marks: given }) {
  comment.value = text ?? "";
  counts = structuredClone(given ?? {});
  grow();
  if (types) showCounts();
}

/** Marks the level that was given; null for "can't judge", undefined for none. */
export function setGrade(value) {
  for (const button of levels.children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.value) === value && value !== null));
  }
  byId("unsure").setAttribute("aria-pressed", String(value === null));
}

/** Shows the texts of an item. */
export function showTexts(item) {
  const isQuestion = item.task === "vqa";
  const part = (id, title, text, empty) => {
    byId(`${id}-title`).textContent = title;
    const line = byId(id);
    line.textContent = text.trim() || empty;
    line.classList.toggle("empty", !text.trim());
    line.classList.toggle("long", text.length > 160);
  };
  const what = isQuestion ? "answer" : item.task;
  byId("question-part").hidden = !item.question.trim();
  part("question", isQuestion ? "Question" : "Instruction", item.question, "");
  byId("question").classList.toggle("instruction", !isQuestion);
  byId("reference-part").hidden = item.reference === null;
  part("reference", `Reference ${what}`, item.reference ?? "", "(empty)");
  part("candidate", `Candidate ${what}`, item.candidate, "(the system wrote nothing)");
  byId("texts").scrollTop = 0;
  hint();
}

// A rater must not overlook the end of a long text.
const texts = byId("texts"), below = byId("below");

function hint() {
  below.hidden = texts.scrollHeight - texts.clientHeight - texts.scrollTop < 8;
}

/** Moves the texts by most of a screen; down, or up with a negative sign. */
export function scrollTexts(sign) {
  texts.scrollBy({ top: sign * texts.clientHeight * 0.8 });
}

texts.addEventListener("scroll", hint);
new ResizeObserver(hint).observe(texts);
below.addEventListener("click", () => scrollTexts(1));

export const focusComment = () => comment.focus();
