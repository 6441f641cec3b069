// The translation on the page. Tokens are painted once a frame, however many come.

import { direction } from "./languages.js";

export class Output {
  #element;
  #text = ""; // all of it
  #node = document.createTextNode("");
  #pending = "";
  #frame = 0;

  constructor(element) {
    this.#element = element;
    element.append(this.#node);
  }

  get text() {
    return this.#text;
  }

  set language(code) {
    this.#element.lang = code;
    this.#element.dir = direction(code);
  }

  /** Another translation begins: the old one stays, in a quieter colour, until there is something to put there. */
  begin() {
    this.#drop();
    this.#text = "";
    this.#element.toggleAttribute("data-old", true);
  }

  append(text) {
    this.#text += text;
    this.#pending += text;
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /** What has not been painted is: pages in the background paint no frames. */
  end() {
    this.#paint();
  }

  clear() {
    this.begin();
    this.#paint();
  }

  #paint() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    if (this.#element.hasAttribute("data-old")) {
      this.#node.data = this.#text;
      this.#element.toggleAttribute("data-old", false);
    } else {
      this.#node.appendData(this.#pending);
    }
    this.#pending = "";
    this.#element.toggleAttribute("data-empty", this.#text === "");
  }

  #drop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#pending = "";
  }
}
