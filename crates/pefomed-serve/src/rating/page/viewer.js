// The image: zoom, pan, window and level, frames.
//
// Window and level act on the 8-bit values v of a PNG or JPEG: shown = (v - level) / window + 1/2, in
// units where black is 0 and white is 1. An SVG filter does exactly this; CSS brightness and
// contrast would cut values off between the two steps. Of DICOM and NIfTI files the server holds the
// measured values: it draws each window anew, and only inversion is left to the filter.

const byId = (id) => document.getElementById(id);
const view = byId("viewer"), picture = byId("picture"), blank = byId("no-picture");
const width = byId("window"), level = byId("level"), invert = byId("invert");

const NEUTRAL = { width: 255, level: 127.5 };
const MOST = 32;
// Position of the image's corner and scale, in CSS pixels; `fits` follows the size of the window.
let x = 0, y = 0, scale = 1, fits = true;
let images = [], shown = 0;
// The picture in view; one that the server drew on request belongs to this module.
let picked = null, drawn = null;
// What was asked for of the shown image, and whether more was asked since.
let wanted = {}, asking = false, askAgain = false;

const deep = () => picked?.rendering?.window ? picked.rendering : null;

function fitScale() {
  if (!picture.naturalWidth) return 1;
  return Math.min(view.clientWidth / picture.naturalWidth, view.clientHeight / picture.naturalHeight);
}

function place() {
  const w = picture.naturalWidth * scale, h = picture.naturalHeight * scale;
  // A part of the image always stays in view.
  const keep = (at, size, room) => size <= room
    ? Math.min(Math.max(at, 0), room - size)
    : Math.min(Math.max(at, room - size), 0);
  x = keep(x, w, view.clientWidth);
  y = keep(y, h, view.clientHeight);
  picture.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
  byId("zoom").textContent = `${Math.round(scale * 100)} %`;
}

function fit() {
  fits = true;
  scale = fitScale();
  x = (view.clientWidth - picture.naturalWidth * scale) / 2;
  y = (view.clientHeight - picture.naturalHeight * scale) / 2;
  place();
}

function zoomAt(factor, cx = view.clientWidth / 2, cy = view.clientHeight / 2) {
  const to = Math.min(Math.max(scale * factor, Math.min(fitScale(), 1)), MOST);
  x = cx - (cx - x) * to / scale;
  y = cy - (cy - y) * to / scale;
  scale = to;
  fits = false;
  place();
}

function pan(dx, dy) {
  x += dx;
  y += dy;
  fits = false;
  place();
}

function applyWindow() {
  const sign = isInverted() ? -1 : 1;
  const shownWidth = deep() ? NEUTRAL.width : Number(width.value);
  const shownLevel = deep() ? NEUTRAL.level : Number(level.value);
  const slope = 255 / shownWidth;
  const intercept = 0.5 - shownLevel / shownWidth;
  for (const id of ["red", "green", "blue"]) {
    byId(id).setAttribute("slope", sign * slope);
    byId(id).setAttribute("intercept", sign > 0 ? intercept : 1 - intercept);
  }
  const neutral = sign > 0 && shownWidth === NEUTRAL.width && shownLevel === NEUTRAL.level;
  picture.classList.toggle("windowed", !neutral);
  const values = `window ${Math.round(width.value)}, level ${Math.round(level.value)}`;
  width.setAttribute("aria-valuetext", values);
  level.setAttribute("aria-valuetext", values);
}

function setWindow(w, l) {
  width.value = w;
  level.value = l;
  windowed();
}

// The sliders were moved, by whatever means.
function windowed() {
  if (deep()) ask({ window: `${level.value},${width.value}` });
  applyWindow();
}

// Sliders, presets and frames as the picture in view has them.
function showRendering() {
  const rendering = deep();
  const set = (slider, least, most, step, value) => Object.assign(slider, { min: least, max: most, step, value });
  if (rendering) {
    const { window: { center, width: w, origin }, range: [low, high] } = rendering;
    const span = Math.max(high - low, w, 1e-9);
    const step = span > 200 ? 1 : span / 500;
    set(width, step, Math.max(2 * span, w), step, w);
    set(level, Math.min(low, center), Math.max(high, center), step, center);
    // Nothing is chosen when the sliders or the image's name set the window.
    byId("preset").value = wanted.window ?? (origin === "preset" || origin === "given" ? "" : "file");
  } else if (!asking) {
    // Another frame of a coloured film keeps what was set for the one before.
    set(width, 2, 510, 1, NEUTRAL.width);
    set(level, 0, 255, 0.5, NEUTRAL.level);
  }
  byId("preset-part").hidden = !rendering;
  for (const option of byId("preset").querySelectorAll(".hounsfield")) {
    option.hidden = option.disabled = !rendering?.hounsfield;
  }
  const [name, at, count] = stack();
  byId("frame-part").hidden = count < 2;
  set(byId("frame"), 1, count, 1, at);
  byId("frame-text").textContent = `${name === "slice" ? "Slice" : "Frame"} ${at}/${count}`;
  byId("frame").setAttribute("aria-valuetext", byId("frame-text").textContent);
  applyWindow();
}

// What is scrolled through: slices of a volume, otherwise frames.
function stack() {
  const rendering = picked?.rendering;
  if (rendering?.slices > 1) return ["slice", rendering.slice, rendering.slices];
  return ["frame", rendering?.frame ?? 1, rendering?.frames ?? 1];
}

function scroll(by) {
  const [name, at, count] = stack();
  if (count < 2) return;
  const from = wanted[name] ?? at;
  ask({ [name]: Math.min(Math.max(from + by, 1), count) });
}

function nextPreset(by) {
  const choices = [...byId("preset").options].filter((option) => !option.disabled).map((option) => option.value);
  if (!deep()) return;
  const at = choices.indexOf(byId("preset").value);
  ask({ window: choices[(Math.max(at, 0) + by + choices.length) % choices.length] });
}

// Asks the server for another picture of the shown image. One request is under way at a time; what
// is wanted meanwhile goes out when it is back, the newest wish alone.
async function ask(change) {
  Object.assign(wanted, change);
  askAgain = true;
  if (asking) return;
  asking = true;
  while (askAgain) {
    askAgain = false;
    const image = images[shown];
    try {
      const reply = await image.draw({ ...wanted });
      if (images[shown] !== image) {
        URL.revokeObjectURL(reply.url);
        continue;
      }
      await put(reply, false);
      if (drawn) URL.revokeObjectURL(drawn);
      drawn = reply.url;
      blank.textContent = "";
    } catch (error) {
      if (images[shown] === image) blank.textContent = error.message ?? "This image cannot be shown.";
    }
  }
  asking = false;
  view.dataset.drawn = JSON.stringify(wanted);
}

async function put(reply, fits) {
  picked = reply;
  picture.src = reply.url;
  await picture.decode();
  if (fits) fit();
  // A picture that came while more was asked for must not move the sliders under the hand.
  if (!askAgain) showRendering();
}

function setInvert(on) {
  invert.setAttribute("aria-pressed", String(on));
  applyWindow();
}

const isInverted = () => invert.getAttribute("aria-pressed") === "true";

function reset() {
  delete wanted.window;
  if (deep()) ask({});
  else setWindow(NEUTRAL.width, NEUTRAL.level);
  setInvert(false);
}

/** Shows one of the item's images; resolves when it can be seen, or cannot be shown at all. */
async function select(index) {
  shown = index;
  const tabs = byId("tabs");
  tabs.replaceChildren(...(images.length < 2 ? [] : images.map((_, at) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = at + 1;
    tab.setAttribute("aria-label", `Image ${at + 1} of ${images.length}`);
    tab.setAttribute("aria-pressed", String(at === index));
    tab.addEventListener("click", () => select(at));
    return tab;
  })));
  const image = images[index];
  picked = null;
  wanted = {};
  picture.hidden = !image?.picture;
  blank.textContent = image ? image.error ?? "" : "This item has no image.";
  if (!image?.picture) {
    picture.removeAttribute("src");
    showRendering();
    return;
  }
  picture.alt = images.length > 1 ? `Image ${index + 1} of ${images.length}` : "The image of this item";
  try {
    await put(image.picture, true);
    showRendering();
  } catch {
    if (images[index] === image) blank.textContent = "This image cannot be shown.";
  }
}

/** Shows the images of an item, as they are in the file. */
export function show(list) {
  images = list;
  setInvert(false);
  return select(0);
}

/** Names the windows that may be chosen for images in Hounsfield units. */
export function offer(list) {
  const option = (value, text, className) => Object.assign(document.createElement("option"), { value, textContent: text, className });
  byId("preset").replaceChildren(
    option("file", "as in the file", ""),
    option("range", "all values", ""),
    ...list.map(({ name, center, width: w }) => option(name, `${name.replace("-", " ")} (${center}, ${w})`, "hounsfield")),
  );
}

/** Handles a key; false when it means nothing here. */
export function key(event) {
  const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  if (event.shiftKey && steps[event.key]) pan(...steps[event.key]);
  else if (event.key === "+" || event.key === "=") zoomAt(1.25);
  else if (event.key === "-") zoomAt(0.8);
  else if (event.key === "f") fit();
  else if (event.key === "i") setInvert(!isInverted());
  else if (event.key === "r") reset();
  else if (event.key === "w") nextPreset(1);
  else if (event.key === "W") nextPreset(-1);
  else if (event.key === ",") scroll(-1);
  else if (event.key === ".") scroll(1);
  else if (event.key === "v" && images.length > 1) select((shown + 1) % images.length);
  else return false;
  return true;
}

// Pointers: one drags or sets the window, two pinch.
const pointers = new Map();
let windowing = false;

view.addEventListener("pointerdown", (event) => {
  view.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  windowing = event.button === 2 || event.shiftKey;
});

view.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  pointers.set(event.pointerId, now);
  const [dx, dy] = [now.x - before.x, now.y - before.y];
  if (pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    const far = (at) => Math.hypot(at.x - other.x, at.y - other.y);
    const box = view.getBoundingClientRect();
    const middle = [(now.x + other.x) / 2 - box.x, (now.y + other.y) / 2 - box.y];
    if (far(before) > 0) zoomAt(far(now) / far(before), ...middle);
    pan(dx / 2, dy / 2);
  } else if (windowing) {
    // Across the whole viewer lies the whole range.
    const unit = deep() ? (Number(level.max) - Number(level.min)) / 512 : 1;
    setWindow(Number(width.value) + 2 * dx * unit / (deep() ? 1 : 2), Number(level.value) + dy * unit / (deep() ? 1 : 2));
  } else {
    pan(dx, dy);
  }
});

for (const kind of ["pointerup", "pointercancel"]) {
  view.addEventListener(kind, (event) => pointers.delete(event.pointerId));
}

view.addEventListener("contextmenu", (event) => event.preventDefault());
view.addEventListener("dblclick", fit);
view.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = view.getBoundingClientRect();
  zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - box.x, event.clientY - box.y);
}, { passive: false });

new ResizeObserver(() => (fits ? fit() : place())).observe(view);
byId("zoom-in").addEventListener("click", () => zoomAt(1.25));
byId("zoom-out").addEventListener("click", () => zoomAt(0.8));
byId("fit").addEventListener("click", fit);
byId("reset").addEventListener("click", reset);
invert.addEventListener("click", () => setInvert(!isInverted()));
for (const slider of [width, level]) slider.addEventListener("input", windowed);
byId("preset").addEventListener("change", (event) => ask({ window: event.target.value }));
byId("frame").addEventListener("input", (event) => ask({ [stack()[0]]: Number(event.target.value) }));
