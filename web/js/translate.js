// The page that translates: its parts, and what they have to do with each other.

import * as api from "./api.js";
import { Announcer } from "./announcer.js";
import { copy } from "./clipboard.js";
import { Connection } from "./connection.js";
import { Desk } from "./desk.js";
import { Detection } from "./detection.js";
import { $, setUpDialog } from "./dom.js";
import { Files } from "./files.js";
import { GlossaryPanel } from "./glossary.js";
import { AUTO, Pickers } from "./languages.js";
import { Models } from "./models.js";
import { Output } from "./output.js";
import { Remarks } from "./remarks.js";
import { setUpShortcuts } from "./shortcuts.js";
import { setUpTheme } from "./theme.js";
import { Translator } from "./translation.js";

const TYPING = 300; // milliseconds without a key, then it is translated
const STALE = 30_000; // milliseconds after which a page that comes to the front asks for models again

const source = $("source");
const connection = new Connection();
const output = new Output($("target"));
const announcer = new Announcer($("announcer"));
const remarks = new Remarks({ box: $("checks"), title: $("checks-title"), list: $("checks-list") });
const desk = new Desk(output, announcer, remarks);
const translator = new Translator(desk, connection);
const pickers = new Pickers($("source-lang"), $("target-lang"), () => languagesChanged());
const detection = new Detection(showDetected);
const glossary = new GlossaryPanel(
  {
    dialog: $("glossary-panel"),
    label: $("glossary-choice-label"),
    choice: $("glossary-choice"),
    own: $("glossary-own"),
    rows: $("glossary-rows"),
    add: $("glossary-add"),
    terms: $("glossary-terms"),
    count: $("glossary-count"),
  },
  () => translate(),
);
const models = new Models(
  {
    dialog: $("models"),
    list: $("models-list"),
    problem: $("models-problem"),
    name: $("model-name"),
    progress: $("model-progress"),
  },
  modelChanged,
);

/** The fields of a request beside its text. */
function options() {
  const { wanted } = glossary;
  const languages = { source_lang: pickers.source || AUTO, target_lang: pickers.target };
  return wanted ? { ...languages, glossary: wanted } : languages;
}

function translate(delay = 0) {
  desk.measure(source.value);
  detection.look(pickers.source === AUTO ? source.value : "");
  if (!source.value.trim() || !pickers.target) {
    translator.want(null);
    desk.clear();
    return;
  }
  desk.next(source.value, pickers.target);
  const asked = { stream_options: { checks: true, usage: true } };
  translator.want({ ...options(), ...asked, text: source.value }, delay);
}

function showDetected(language) {
  source.lang = language ?? "";
  $("detected").textContent = language ? `Detected: ${pickers.name(language)}` : "";
  showSwap();
}

function languagesChanged() {
  source.lang = pickers.source === AUTO ? "" : pickers.source;
  glossary.languages(pickers.source === AUTO ? "" : pickers.source, pickers.target);
  showSwap();
  translate();
}

function showSwap() {
  const possible = pickers.swappable(detection.language);
  $("swap").disabled = !possible;
  $("swap").title = possible ? "Swap languages" : "The model does not translate the other way";
}

function swap() {
  if ($("swap").disabled) return false;
  const text = output.text;
  pickers.swap(detection.language);
  if (text) source.value = text;
  languagesChanged();
}

async function copyTranslation() {
  if ($("copy").disabled) return;
  desk.note((await copy(output.text, $("target"))) ? "Copied" : "Copying is not allowed here");
}

async function modelChanged(model) {
  $("trial").hidden = !model.embedded;
  $("trial-name").textContent = model.name;
  const [languages, settings] = await Promise.all([api.languages(), api.settings()]);
  $("whereabouts").textContent = settings.remote
    ? "What you translate goes to servers behind this one."
    : "What you translate stays on this server.";
  pickers.fill(languages, settings.language.target.code);
  languagesChanged();
}

/** Ask the server what it has, as often as it takes. */
async function load() {
  for (;;) {
    try {
      await glossary.refresh();
      await models.refresh();
      return;
    } catch {
      await connection.back();
    }
  }
}

function sayWhetherConnected() {
  const banner = $("server-state");
  let timer = 0;
  const say = (sentence, good) => {
    clearTimeout(timer);
    banner.textContent = sentence;
    banner.classList.toggle("good", good);
    banner.hidden = !sentence;
  };
  connection.addEventListener("lost", () => {
    say("The server does not answer. Your text is still here, and it goes on by itself when the server is back.", false);
  });
  connection.addEventListener("back", () => {
    say("The server is back.", true);
    timer = setTimeout(() => say("", true), 4000);
    load();
  });
}

function listen() {
  // While characters are being put together (Japanese, Chinese, Korean) there is nothing to translate yet.
  source.addEventListener("input", (event) => event.isComposing || translate(TYPING));
  source.addEventListener("compositionend", () => translate(TYPING));
  $("clear").addEventListener("click", () => {
    source.value = "";
    translate();
    source.focus();
  });
  $("stop").addEventListener("click", () => {
    translator.stop();
    source.focus();
  });
  $("retry").addEventListener("click", () => translator.again());
  $("swap").addEventListener("click", swap);
  $("copy").addEventListener("click", copyTranslation);
  for (const id of ["model", "trial-choose"]) {
    $(id).addEventListener("click", () => $("models").showModal());
  }
  $("glossary").addEventListener("click", () => $("glossary-panel").showModal());
  $("show-shortcuts").addEventListener("click", () => $("shortcuts").showModal());
  let seen = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - seen > STALE) models.refresh().catch(() => {});
    seen = Date.now();
  });
}

const shortcuts = [
  { code: "Enter", held: ["command"], does: "Translate at once", run: () => translate() },
  { code: "Escape", held: [], does: "Stop", run: () => translator.busy && translator.stop() },
  { code: "KeyC", held: ["alt", "shift"], does: "Copy the translation", run: () => $("copy").click() },
  { code: "KeyS", held: ["alt", "shift"], does: "Swap the languages", run: () => $("swap").click() },
  { code: "KeyO", held: ["alt", "shift"], does: "Translate a file", run: () => $("open-file").click() },
  { code: "KeyG", held: ["alt", "shift"], does: "Edit the glossary", run: () => $("glossary-panel").showModal() },
  { code: "KeyM", held: ["alt", "shift"], does: "Choose a model", run: () => $("models").showModal() },
];

setUpTheme($("theme"));
for (const dialog of document.querySelectorAll("dialog")) setUpDialog(dialog);
setUpShortcuts(shortcuts, $("shortcuts-list"));
new Files({ list: $("files"), drop: $("drop"), input: $("file"), button: $("open-file") }, options);
sayWhetherConnected();
listen();
showSwap();
load();
