// Terms with the translations that are wanted for them, kept in this browser for each target language.

import { make, svg } from "./dom.js";
import { recall, remember } from "./store.js";

const CROSS = "m6 6 12 12M18 6 6 18";
const LONGEST = 200; // characters of a term

export class GlossaryPanel {
  #elements;
  #changed;
  #language = "";

  /** `elements`: dialog, rows, add, count. `changed` is called when the dialog is closed with other terms. */
  constructor(elements, changed) {
    this.#elements = elements;
    this.#changed = changed;
    let before = "";
    elements.dialog.addEventListener("toggle", () => {
      if (elements.dialog.open) before = JSON.stringify(this.terms);
      else if (before !== JSON.stringify(this.terms)) this.#changed();
    });
    elements.rows.addEventListener("input", () => this.#keep());
    elements.add.addEventListener("click", () => this.#addRow().querySelector("input").focus());
  }

  /** Show the terms for a target language. */
  set language(code) {
    if (code === this.#language) return;
    this.#language = code;
    this.#elements.rows.replaceChildren();
    for (const pair of recall(`glossary.${code}`, [])) this.#addRow(pair);
    if (!this.#elements.rows.childElementCount) this.#addRow();
    this.#count();
  }

  /** Pairs that are complete, as requests take them. */
  get terms() {
    return [...this.#elements.rows.children]
      .map((row) => [...row.querySelectorAll("input")].map((input) => input.value.trim()))
      .filter((pair) => pair.every(Boolean));
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
    const { terms } = this;
    remember(`glossary.${this.#language}`, terms.length ? terms : null);
    this.#count();
  }

  #count() {
    this.#elements.count.textContent = this.terms.length || "";
  }
}
