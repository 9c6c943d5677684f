// Asks the model about the chosen images, and shows its answer as it is written.

import { nextTheme } from "./theme.js";

const part = (id) => document.getElementById(id);
// Each with its name, its data address and, where the browser can draw it, an address to show.
let images = [];
let asking = false;

function headers() {
  const key = part("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The sentence in a refusal. */
async function problemOf(response) {
  const body = await response.json().catch(() => null);
  if (response.status === 401) part("key-part").hidden = false;
  return body?.error?.message ?? `The server answered with status ${response.status}.`;
}

function complain(text) {
  part("problem").textContent = text;
  part("problem").hidden = !text;
}

function dataAddress(file) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
}

async function add(files) {
  for (const file of files) {
    const drawn = /^image\/(png|jpeg)$/.test(file.type);
    images.push({ name: file.name, url: await dataAddress(file), shown: drawn ? URL.createObjectURL(file) : null });
  }
  show();
}

function show() {
  part("images").replaceChildren(
    ...images.map(({ name, shown }) => {
      const figure = document.createElement("figure");
      if (shown) {
        const img = document.createElement("img");
        img.src = shown;
        img.alt = name;
        figure.append(img);
      } else {
        const caption = document.createElement("figcaption");
        caption.textContent = `${name}: drawn by the server`;
        figure.append(caption);
      }
      return figure;
    }),
  );
  part("clear").hidden = images.length === 0;
}

function clear() {
  for (const { shown } of images) if (shown) URL.revokeObjectURL(shown);
  images = [];
  part("files").value = "";
  show();
}

/** The events of a stream, as objects. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      const data = text.slice(0, end).replace(/^data: ?/, "");
      text = text.slice(end + 2);
      if (data && data !== "[DONE]" && !data.startsWith(":")) yield JSON.parse(data);
    }
  }
}

async function ask() {
  const question = part("question").value;
  const task = part("task").value;
  const content = images.map(({ url }) => ({ type: "image_url", image_url: { url } }));
  if (question.trim()) content.push({ type: "text", text: question });
  const body = {
    model: part("model").textContent, task, stream: true, stream_options: { include_usage: true },
    messages: [{ role: "user", content }],
  };
  const began = performance.now();
  const response = await fetch("/v1/chat/completions", {
    method: "POST", headers: { "Content-Type": "application/json", ...headers() }, body: JSON.stringify(body),
  });
  if (!response.ok) return complain(await problemOf(response));

  const item = part("answer").content.cloneNode(true).firstElementChild;
  const [asked, said, cost] = item.children;
  asked.textContent = question.trim() || part("task").selectedOptions[0].textContent;
  part("answers").prepend(item);
  for await (const event of events(response)) {
    if (event.error) return complain(event.error.message);
    const choice = event.choices?.[0];
    said.textContent += choice?.delta?.content ?? "";
    if (choice?.finish_reason === "length") said.textContent += " …";
    if (event.usage) {
      const { prompt_tokens: read, completion_tokens: wrote } = event.usage;
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      const images = content.filter((it) => it.type === "image_url").length;
      cost.textContent = `${images} ${images === 1 ? "image" : "images"}, ${read} tokens read, ${wrote} written, ${seconds} s`;
    }
  }
}

async function submit() {
  if (asking) return;
  asking = true;
  part("send").disabled = true;
  complain("");
  try {
    if (part("model").textContent === "…") await name();
    await ask();
  } catch (error) {
    complain(`The server cannot be reached, or stopped: ${error.message}`);
  } finally {
    asking = false;
    part("send").disabled = false;
  }
}

async function name() {
  const response = await fetch("/v1/models", { headers: headers() });
  if (!response.ok) return complain(await problemOf(response));
  const { data } = await response.json();
  part("model").textContent = data[0].id;
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
part("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});
part("files").addEventListener("change", (event) => add(event.target.files));
part("clear").addEventListener("click", clear);
part("theme").addEventListener("click", nextTheme);
part("key").addEventListener("change", () => name().then(() => complain("")));
document.addEventListener("paste", (event) => add(event.clipboardData.files));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    part("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") add(event.dataTransfer.files);
  });
}
name().catch((error) => complain(`The server cannot be reached: ${error.message}`));
