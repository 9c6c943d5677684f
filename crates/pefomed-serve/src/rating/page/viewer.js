// The image: zoom, pan, window and level.
//
// Window and level act on the 8-bit values v of the file: shown = (v - level) / window + 1/2, in
// units where black is 0 and white is 1. An SVG filter does exactly this; CSS brightness and
// contrast would cut values off between the two steps.

const byId = (id) => document.getElementById(id);
const view = byId("viewer"), picture = byId("picture"), blank = byId("no-picture");
const width = byId("window"), level = byId("level"), invert = byId("invert");

const NEUTRAL = { width: 255, level: 127.5 };
const MOST = 32;
// Position of the image's corner and scale, in CSS pixels; `fits` follows the size of the window.
let x = 0, y = 0, scale = 1, fits = true;
let images = [], shown = 0;

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
  const sign = invert.getAttribute("aria-pressed") === "true" ? -1 : 1;
  const slope = 255 / Number(width.value);
  const intercept = 0.5 - Number(level.value) / Number(width.value);
  for (const id of ["red", "green", "blue"]) {
    byId(id).setAttribute("slope", sign * slope);
    byId(id).setAttribute("intercept", sign > 0 ? intercept : 1 - intercept);
  }
  const neutral = sign > 0 && Number(width.value) === NEUTRAL.width && Number(level.value) === NEUTRAL.level;
  picture.classList.toggle("windowed", !neutral);
  const values = `window ${Math.round(width.value)}, level ${Math.round(level.value)}`;
  width.setAttribute("aria-valuetext", values);
  level.setAttribute("aria-valuetext", values);
}

function setWindow(w, l) {
  width.value = w;
  level.value = l;
  applyWindow();
}

function setInvert(on) {
  invert.setAttribute("aria-pressed", String(on));
  applyWindow();
}

const isInverted = () => invert.getAttribute("aria-pressed") === "true";

function reset() {
  setWindow(NEUTRAL.width, NEUTRAL.level);
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
  picture.hidden = !image?.url;
  blank.textContent = image ? image.error ?? "" : "This item has no image.";
  if (!image?.url) {
    picture.removeAttribute("src");
    return;
  }
  picture.src = image.url;
  picture.alt = images.length > 1 ? `Image ${index + 1} of ${images.length}` : "The image of this item";
  try {
    await picture.decode();
    fit();
  } catch {
    if (images[index] === image) blank.textContent = "This image cannot be shown.";
  }
}

/** Shows the images of an item, as they are in the file. */
export function show(list) {
  images = list;
  reset();
  return select(0);
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
    setWindow(Number(width.value) + dx, Number(level.value) + dy / 2);
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
for (const slider of [width, level]) slider.addEventListener("input", applyWindow);
