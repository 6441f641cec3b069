// The two pickers of languages: filled with what the model can do, by their own names too.

import { make } from "./dom.js";
import { recall, remember } from "./store.js";

export const AUTO = "auto";
const RIGHT_TO_LEFT = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"]);

/** The direction in which a language is written. */
export function direction(code) {
  const [language, ...parts] = code.split("-");
  if (parts.some((part) => ["Arab", "Hebr"].includes(part))) return "rtl";
  return RIGHT_TO_LEFT.has(language) && !parts.includes("Latn") ? "rtl" : "ltr";
}

export class Pickers {
  #source;
  #target;
  #known = new Map(); // by code: {code, name, native_name, targets}
  #names = new Map(); // of all that occur
  #usual; // the server's own target language

  /** `changed` is called when another language is chosen, by hand or because the old one is gone. */
  constructor(source, target, changed) {
    this.#source = source;
    this.#target = target;
    const onChange = () => {
      remember("source", this.source);
      this.#fillTargets(this.target);
      remember("target", this.target);
      changed();
    };
    source.addEventListener("change", onChange);
    target.addEventListener("change", onChange);
  }

  get source() {
    return this.#source.value;
  }

  get target() {
    return this.#target.value;
  }

  /** Take what `GET /languages` gave. What was chosen stays chosen where it can; `usual` is the first target. */
  fill(languages, usual) {
    this.#usual = usual;
    this.#known = new Map(languages.map((language) => [language.code, language]));
    this.#names = new Map(languages.map(({ code, name, native_name }) => [code, label(name, native_name)]));
    const options = inOrder([...this.#known.keys()].map((code) => this.#option(code)));
    options.unshift(make("option", { value: AUTO, textContent: "Detect language" }));
    const wanted = this.source || recall("source");
    this.#source.replaceChildren(...options);
    choose(this.#source, wanted);
    this.#fillTargets(this.target || recall("target"));
  }

  #fillTargets(wanted) {
    const from = this.#known.get(this.source);
    const everything = [...this.#known.values()].flatMap(({ targets }) => targets);
    const codes = new Set(from ? from.targets : everything);
    this.#target.replaceChildren(...inOrder([...codes].map((code) => this.#option(code))));
    choose(this.#target, wanted ?? (codes.has(this.#usual) ? this.#usual : preferred(codes)));
  }

  #option(code) {
    return make("option", { value: code, textContent: this.name(code) });
  }

  /** How a language is called here: "Japanese · 日本語". */
  name(code) {
    if (!this.#names.has(code)) this.#names.set(code, label(named(code, "en"), named(code, code)));
    return this.#names.get(code);
  }

  /** Whether the model translates from a language. */
  knows(code) {
    return this.#known.has(code);
  }

  /** Whether the two can be swapped, the source being `source` where it is to be detected. */
  swappable(source) {
    const from = this.source === AUTO ? source : this.source;
    return Boolean(from && this.#known.get(this.target)?.targets.includes(from));
  }

  swap(source) {
    const [from, to] = [this.source === AUTO ? source : this.source, this.target];
    this.#source.value = to;
    this.#fillTargets(from);
    remember("source", this.source);
    remember("target", this.target);
  }
}

function label(english, native) {
  return !native || native.toLowerCase() === english.toLowerCase() ? english : `${english} · ${native}`;
}

function named(code, language) {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(code);
  } catch {
    return code;
  }
}

function inOrder(options) {
  return options.sort((a, b) => a.textContent.localeCompare(b.textContent, "en"));
}

function choose(select, value) {
  select.value = value ?? "";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

/** The first of the reader's own languages that is there. */
function preferred(codes) {
  return navigator.languages.map((tag) => tag.split("-")[0]).find((code) => codes.has(code));
}
