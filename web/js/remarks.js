// What the server noted about a translation: doubts of its checks, and notes on the languages.

import { make } from "./dom.js";

const MOST = 12; // that are listed
const QUOTED = 80; // characters of the source

export class Remarks {
  #elements;

  /** `elements`: box, title, list. */
  constructor(elements) {
    this.#elements = elements;
  }

  clear() {
    this.#elements.list.replaceChildren();
    this.#elements.box.hidden = true;
  }

  /** `checks` as in `event: checks`, their places in `text`. */
  checks(checks, text) {
    const points = [...text]; // offsets count code points, JavaScript's own do not
    for (const { message, start, end } of checks.slice(0, MOST)) {
      this.#add(message, shortened(points.slice(start, end).join("")));
    }
    if (checks.length > MOST) this.#add(`And ${checks.length - MOST} more.`);
  }

  /** `notes` as in `event: usage`. */
  notes(notes = []) {
    for (const { message } of notes) this.#add(message);
  }

  #add(message, quote = "") {
    const { box, title, list } = this.#elements;
    const quoted = quote ? make("q", { dir: "auto", textContent: quote }) : null;
    list.append(make("li", {}, message, quoted ? " " : null, quoted));
    title.textContent = list.childElementCount === 1 ? "Worth a look" : `Worth a look: ${list.childElementCount} places`;
    box.hidden = false;
  }
}

function shortened(text) {
  const line = text.trim().replace(/\s+/g, " ");
  return line.length > QUOTED ? `${line.slice(0, QUOTED - 1)}…` : line;
}
