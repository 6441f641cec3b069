// Which language the text is in, shown while one types.

import * as api from "./api.js";

const PAUSE = 300; // milliseconds without a key
const LIKELY = 0.6; // below it nothing is said
const LONGEST = 2000; // characters that are sent

export class Detection {
  #changed;
  #timer = 0;
  #abort = new AbortController();
  language = null; // its code, where one is likely

  /** `changed` is called when another language, or none, has been found. */
  constructor(changed) {
    this.#changed = changed;
  }

  look(text) {
    clearTimeout(this.#timer);
    this.#abort.abort();
    if (!text.trim()) this.#found(null);
    else this.#timer = setTimeout(() => this.#ask(text.slice(0, LONGEST)), PAUSE);
  }

  async #ask(text) {
    const { signal } = (this.#abort = new AbortController());
    try {
      const { language, confidence } = await api.detect(text, signal);
      this.#found(confidence >= LIKELY ? language : null);
    } catch {
      // Only a help: the translation itself will say what is wrong.
    }
  }

  #found(language) {
    if (language === this.language) return;
    this.language = language;
    this.#changed(language);
  }
}
