// Terms with the translations that are wanted for them: the reader's own, or a glossary that the server keeps.
// Which one, and the own terms, are kept in this browser for each target language.

import * as api from "./api.js";
import { make, svg } from "./dom.js";
import { recall, remember } from "./store.js";

const CROSS = "m6 6 12 12M18 6 6 18";
const LONGEST = 200; // characters of a term
const SHOWN = 100; // terms of a stored glossary

export class GlossaryPanel {
  #elements;
  #changed;
  #stored = []; // what the server keeps: {name, source_lang, target_lang, count}
  #source = "";
  #language = "";

  /**
   * `elements`: dialog, choice (a select) and its label, own, rows, add, terms, count. `changed` is called when other
   * terms are wanted than before.
   */
  constructor(elements, changed) {
    this.#elements = elements;
    this.#changed = changed;
    let before = "";
    elements.dialog.addEventListener("toggle", () => {
      if (elements.dialog.open) {
        before = JSON.stringify(this.wanted);
        this.refresh();
      } else if (before !== JSON.stringify(this.wanted)) {
        this.#changed();
      }
    });
    elements.rows.addEventListener("input", () => this.#keep());
    elements.add.addEventListener("click", () => this.#addRow().querySelector("input").focus());
    elements.choice.addEventListener("change", () => {
      remember(`stored.${this.#language}`, elements.choice.value || null);
      this.#show();
    });
  }

  /** Ask the server which glossaries it keeps. Without an answer there are none to choose from. */
  async refresh() {
    this.#stored = await api.glossaries().catch(() => []);
    this.#offer();
  }

  /** Show what there is for a pair of languages; `source` is "" where it is to be detected. */
  languages(source, target) {
    if (source === this.#source && target === this.#language) return;
    const other = target !== this.#language;
    [this.#source, this.#language] = [source, target];
    if (other) {
      this.#elements.rows.replaceChildren();
      for (const pair of recall(`glossary.${target}`, [])) this.#addRow(pair);
      if (!this.#elements.rows.childElementCount) this.#addRow();
    }
    this.#offer();
  }

  /** What requests say in `glossary`: a name, pairs that are complete, or null. */
  get wanted() {
    const { choice, rows } = this.#elements;
    if (choice.value) return choice.value;
    const terms = [...rows.children]
      .map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()))
      .filter((pair) => pair.every(Boolean));
    return terms.length ? terms : null;
  }

  /** Fill the choice with the glossaries for the present languages. */
  #offer() {
    const { choice, label } = this.#elements;
    const fitting = this.#stored.filter(
      ({ source_lang, target_lang }) => fits(source_lang, this.#source) && fits(target_lang, this.#language),
    );
    const options = fitting.map(({ name, count }) =>
      make("option", { value: name, textContent: `${name} (${terms(count)})` }),
    );
    choice.replaceChildren(make("option", { value: "", textContent: "My own, in this browser" }), ...options);
    const wanted = recall(`stored.${this.#language}`, "");
    choice.value = fitting.some(({ name }) => name === wanted) ? wanted : "";
    label.hidden = fitting.length === 0;
    this.#show();
  }

  /** Show the terms that hold. */
  async #show() {
    const { choice, own, terms: list } = this.#elements;
    const name = choice.value;
    own.hidden = name !== "";
    list.replaceChildren();
    list.hidden = name === "";
    this.#count();
    if (!name || !this.#elements.dialog.open) return;
    const kept = await api.glossary(name).catch(() => ({ terms: [] }));
    if (choice.value !== name) return;
    const rows = kept.terms.slice(0, SHOWN).map((pair) => make("li", {}, ...pair.map(textInAnyDirection)));
    const more = kept.terms.length - SHOWN;
    if (more > 0) rows.push(make("li", { className: "note", textContent: `And ${more.toLocaleString("en")} more.` }));
    list.replaceChildren(...rows);
  }

  #addRow(pair = ["", ""]) {
    const number = this.#elements.rows.childElementCount + 1;
    const inputs = ["Term", "Translation"].map((name, index) => {
      const input = make("input", { type: "text", value: pair[index], placeholder: name, maxLength: LONGEST, dir: "auto" });
      input.setAttribute("aria-label", `${name} ${number}`);
      return input;
    });
    const remove = make("button", { type: "button", className: "icon" }, svg(CROSS));
    remove.setAttribute("aria-label", `Remove term ${number}`);
    const row = make("li", {}, ...inputs, remove);
    remove.addEventListener("click", () => {
      row.remove();
      this.#keep();
      this.#elements.add.focus();
    });
    this.#elements.rows.append(row);
    return row;
  }

  #keep() {
    remember(`glossary.${this.#language}`, this.wanted);
    this.#count();
  }

  #count() {
    const { wanted } = this;
    this.#elements.count.textContent = typeof wanted === "string" ? wanted : (wanted?.length ?? "");
  }
}

function terms(count) {
  return count === 1 ? "1 term" : `${count.toLocaleString("en")} terms`;
}

/** Whether a glossary's language is that of the page, whatever the variants; no language is any. */
function fits(language, chosen) {
  const base = (code) => code.split("-")[0];
  return !language || !chosen || base(language) === base(chosen);
}

function textInAnyDirection(text) {
  return make("span", { dir: "auto", textContent: text });
}
