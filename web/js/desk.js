// The two panes: what the translator has to tell, in words and on the page.

import { Lost } from "./api.js";
import { $ } from "./dom.js";

const LONG = 240; // characters from which on the type is smaller

/** The view of a `Translator` (translation.js). */
export class Desk {
  #output;
  #announcer;
  #remarks;
  #source = ""; // the text that is being translated
  #countdown = 0;
  #language = "";

  constructor(output, announcer, remarks) {
    this.#remarks = remarks;
    this.#output = output;
    this.#announcer = announcer;
  }

  /** What is translated next, and into which language. */
  next(source, language) {
    this.#source = source;
    this.#language = language;
  }

  began() {
    this.#remarks.clear();
    this.#output.begin();
    this.#output.language = this.#language;
    this.#announcer.hush();
    this.#message();
    this.#state("Translating", true);
  }

  text(text) {
    this.#output.append(text);
  }

  extra(event, data) {
    if (event === "checks") this.#remarks.checks(data, this.#source);
    if (event === "usage") this.#remarks.notes(data.notes);
  }

  done() {
    this.#output.end();
    this.#state("");
    this.#announcer.translation(this.#output.text, this.#language);
  }

  stopped() {
    this.#output.end();
    this.#message();
    this.#state("Stopped");
    this.#announcer.say("Stopped.");
  }

  /** Something stands in the way that will pass: it is tried again, after so many seconds where that is known. */
  waits(error, seconds) {
    this.#state("Waiting", true);
    if (error instanceof Lost) return; // the banner says it, once for the whole page
    this.#message(`${error.message} It is tried again by itself.`, true);
    this.#count(seconds);
  }

  failed(error) {
    this.#output.end();
    this.#state("");
    this.#message(error.message);
  }

  clear() {
    this.#output.clear();
    this.#remarks.clear();
    this.#announcer.hush();
    this.#message();
    this.#state("");
  }

  note(text) {
    this.#state(text);
    this.#announcer.say(text);
  }

  /** Long texts are set smaller, both of them. */
  measure(text) {
    document.querySelector(".desk").dataset.length = text.length > LONG ? "long" : "short";
    $("count").textContent = text.length ? text.length.toLocaleString("en") : "";
    $("clear").disabled = text.length === 0;
  }

  #state(text, running = false) {
    $("state").textContent = text;
    $("state").toggleAttribute("data-running", running);
    $("stop").hidden = !running;
    $("copy").disabled = running || this.#output.text === "";
  }

  #message(sentence = "", patient = false) {
    clearInterval(this.#countdown);
    $("message").hidden = sentence === "";
    $("message").classList.toggle("patient", patient);
    $("message-text").textContent = sentence;
    $("message-wait").textContent = "";
  }

  #count(seconds) {
    const end = Date.now() + seconds * 1000;
    const show = () => {
      $("message-wait").textContent = `in ${Math.max(0, Math.ceil((end - Date.now()) / 1000))} s`;
    };
    show();
    this.#countdown = setInterval(show, 1000);
  }
}
