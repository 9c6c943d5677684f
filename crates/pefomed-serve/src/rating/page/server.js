// Talking to the server. A write is repeated under the same name until the server has said that it
// is on the disk; the name lets the server recognise it, so that nothing is counted twice.

// Addresses are relative to the rater's page, /r/N/.
const TIMEOUT = 15000;
// Items kept at hand.
const KEPT = 6;

/** A failure; `final` when trying again cannot help. */
export class Failure extends Error {
  constructor(text, final) {
    super(text);
    this.final = final;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT) });
  } catch {
    throw new Failure("The server does not answer.", false);
  }
  if (response.ok) return response;
  const reply = await response.json().catch(() => ({}));
  throw new Failure(reply.error ?? `The server answers ${response.status}.`, response.status < 500);
}

export const state = async () => (await ask("state")).json();

const items = new Map();

/** Texts and images of a position. The last few stay at hand, the newest used last. */
export function load(position) {
  const loading = items.get(position) ?? fetchItem(position);
  items.delete(position);
  items.set(position, loading);
  loading.catch(() => items.delete(position));
  for (const [old, item] of items) {
    if (items.size <= KEPT) break;
    items.delete(old);
    item.then(({ images }) => images.forEach(({ picture }) => picture && URL.revokeObjectURL(picture.url))).catch(() => {});
  }
  return loading;
}

/** Notes what now counts at a position. */
export function note(position, given) {
  items.get(position)?.then((item) => { item.given = given; }).catch(() => {});
}

// A picture, and how it was drawn when its file left a choice: frame, slice, window, range.
async function fetchPicture(path, asked) {
  const response = await ask(asked ? `${path}?${new URLSearchParams(asked)}` : path);
  const rendering = response.headers.get("x-rendering");
  return { url: URL.createObjectURL(await response.blob()), rendering: rendering && JSON.parse(rendering) };
}

async function fetchItem(position) {
  const item = await (await ask(`item/${position}`)).json();
  const images = await Promise.all(Array.from({ length: item.images }, async (_, index) => {
    const path = `item/${position}/image/${index}`;
    try {
      return { picture: await fetchPicture(path), draw: (asked) => fetchPicture(path, asked) };
    } catch (error) {
      if (!error.final) throw error;
      return { error: error.message };
    }
  }));
  return { ...item, images };
}

/** A name that no other request has. `crypto.randomUUID` is missing on plain http. */
export function requestName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function write(path, body) {
  const response = await ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return response.json();
}
