// Files: dropped anywhere on the page or chosen, each with its progress and its translation to save.

import * as api from "./api.js";
import { make } from "./dom.js";

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
  #bar = make("progress", { max: 100 });
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
      for await (const news of api.translateFile(this.#file, options, this.#abort.signal)) {
        if (news.status === "done") this.#finish(news);
        else this.#tell(news.progress);
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#fail(error, options);
    }
  }

  #tell(percent) {
    this.#bar.value = percent;
    this.#card.dataset.progress = percent;
  }

  #finish({ filename, text, base64, notes = [], ignored = [] }) {
    const left = notes.filter((note) => note.code === "untranslated").map((note) => note.message);
    if (ignored.includes("glossary")) left.push("This model cannot be told the terms of a glossary.");
    const focused = this.#card.contains(document.activeElement);
    this.#end(["Translated.", ...left].join(" "));
    this.#note.classList.toggle("problem", left.length > 0);
    const url = URL.createObjectURL(new Blob([base64 ? bytes(base64) : text], { type: "application/octet-stream" }));
    const link = make("a", { className: "button small main", href: url, textContent: "Save" });
    link.setAttribute("aria-label", `Save: ${filename}`);
    link.download = filename;
    this.#actions.append(link);
    if (focused) link.focus();
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

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
