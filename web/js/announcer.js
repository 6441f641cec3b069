// Tells screen readers what has happened, once it has, and not while somebody types.

const QUIET = 1200; // milliseconds without a key
const LONGEST = 400; // characters that are read out; a longer text is only said to be there

export class Announcer {
  #element;
  #timer = 0;

  constructor(element) {
    this.#element = element;
  }

  /** Read a translation out, in its own language. */
  translation(text, language) {
    if (text.length <= LONGEST) this.#later(text, language);
    else this.#later("The translation is complete.", "en");
  }

  say(sentence) {
    this.#later(sentence, "en");
  }

  hush() {
    clearTimeout(this.#timer);
  }

  #later(text, language) {
    this.hush();
    this.#timer = setTimeout(() => {
      this.#element.lang = language;
      this.#element.textContent = text;
    }, QUIET);
  }
}
