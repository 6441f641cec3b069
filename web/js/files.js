// Files: dropped anywhere on the page or chosen, each with its progress and its translation to save.

import * as api from "./api.js";
import { make } from "./dom.js";

const LARGEST = 16 * 2 ** 20; // bytes; the server's own limit is told by its refusal

export class Files {
  #list;
  #options;

  /** `options()` gives the fields of a request beside its text. */
  constructor({ list, drop, input, button }, options) {
    this.#list = list;
    this.#options = options;
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.#addAll(input.files);
      input.value = "";
    });
    this.#listenForDrops(drop);
  }

  #listenForDrops(drop) {
    const files = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      drop.hidden = false;
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) drop.hidden = true;
    });
    addEventListener("drop", (event) => {
      drop.hidden = true;
      if (!files(event)) return;
      event.preventDefault();
      this.#addAll(event.dataTransfer.files);
    });
  }

  #addAll(files) {
    for (const file of files) new Job(file, this.#options(), this.#list);
    this.#list.hidden = this.#list.childElementCount === 0;
  }
}

/** One file on its way, as a card in `list`. */
class Job {
  #abort = new AbortController();
  #file;
  #list;
  #card;
  #note = make("p", { className: "note" });
  #bar = make("progress", { max: 1 });
  #actions = make("div", { className: "actions" });

  constructor(file, options, list) {
    this.#file = file;
    this.#list = list;
    this.#note.setAttribute("role", "status");
    this.#bar.setAttribute("aria-label", `Progress of ${file.name}`);
    const title = make("p", { className: "title", dir: "auto", textContent: file.name });
    this.#card = make("article", { className: "file" }, title, this.#actions, this.#note, this.#bar);
    list.append(this.#card);
    this.#offer("Cancel", () => this.#remove());
    this.#translate(options);
  }

  async #translate(options) {
    this.#note.textContent = "Translating";
    try {
      const text = await readText(this.#file);
      const parts = [];
      for await (const { event, data } of api.translate({ ...options, text }, this.#abort.signal)) {
        if (event === "message") parts.push(data);
      }
      this.#finish(new Blob(parts, { type: "text/plain;charset=utf-8" }), options.target_lang);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error, options);
    }
  }

  #finish(blob, language) {
    this.#end("Translated.");
    const url = URL.createObjectURL(blob);
    const link = make("a", { className: "button small main", href: url, textContent: "Save" });
    link.download = savedAs(this.#file.name, language);
    this.#actions.append(link);
    this.#offer("Remove", () => {
      URL.revokeObjectURL(url);
      this.#remove();
    });
  }

  #fail(error, options) {
    this.#end(error.message);
    this.#note.classList.add("problem");
    this.#offer("Try again", () => {
      this.#remove();
      new Job(this.#file, options, this.#list);
      this.#list.hidden = false;
    });
    this.#offer("Remove", () => this.#remove());
  }

  #end(sentence) {
    this.#note.textContent = sentence;
    this.#bar.remove();
    this.#actions.replaceChildren();
  }

  #offer(text, run) {
    const button = make("button", { type: "button", className: "button small", textContent: text });
    button.setAttribute("aria-label", `${text}: ${this.#file.name}`);
    button.addEventListener("click", run);
    this.#actions.append(button);
  }

  #remove() {
    this.#abort.abort();
    this.#card.remove();
    this.#list.hidden = this.#list.childElementCount === 0;
  }
}

/** Its text. Throws an Error with a sentence. */
async function readText(file) {
  if (file.size > LARGEST) throw new Error("The file is too large to be sent.");
  const text = await decoded(file);
  if (!text.trim()) throw new Error("The file is empty.");
  return text;
}

async function decoded(file) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error("The file is not plain text in UTF-8.");
  }
}

/** "notes.txt" translated to Japanese is "notes.ja.txt". */
function savedAs(name, language) {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? `${name.slice(0, dot)}.${language}${name.slice(dot)}` : `${name}.${language}`;
}
