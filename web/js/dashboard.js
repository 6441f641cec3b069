// The dashboard: what the feed tells, painted once a frame at most, and not at all where nobody looks.

import * as api from "./api.js";
import { Charts } from "./charts.js";
import { $, make } from "./dom.js";
import { feed } from "./feed.js";
import * as format from "./format.js";
import { History } from "./history.js";
import { setUpTheme } from "./theme.js";

const STATES = {
  live: "Live",
  lost: "Not connected; trying again",
  refused: "Refused; trying again",
};

const history = new History();
const charts = new Charts($("charts"));
let snapshot = null;
let frame = 0;

function paint() {
  frame = 0;
  if (!snapshot) return;
  charts.draw(history.columns);
  const { model, sequences, connections, totals } = snapshot;
  text("model", model.loading ? `${model.name}, loading ${model.loading}` : model.ready ? model.name : `${model.name}, not ready`);
  text("sequences", `${format.count(sequences.used)} of ${format.count(sequences.total)}`);
  text("connections", format.count(connections.open));
  text("dashboards", format.count(connections.dashboards));
  text("total-requests", format.count(totals.requests));
  text("total-tokens", format.count(totals.tokens));
  text("uptime", format.duration(snapshot.uptime));
  text("version", `Babelbrook ${snapshot.version}`);
  paintRequests(snapshot.requests);
  paintErrors(snapshot.errors);
}

function text(id, value) {
  if ($(id).textContent !== value) $(id).textContent = value;
}

function paintRequests(requests) {
  $("no-requests").hidden = requests.length > 0;
  rows($("requests"), requests, newRequest, (row, request) => {
    const [seconds, language, characters, tokens, progress] = row.cells;
    seconds.textContent = format.duration(request.seconds);
    language.textContent = request.target_lang ?? format.NOTHING;
    characters.textContent = format.count(request.characters);
    tokens.textContent = format.count(request.tokens);
    progress.firstChild.value = request.progress;
  });
}

function newRequest() {
  const bar = make("progress", { max: 1 });
  bar.setAttribute("aria-label", "Progress");
  return make("tr", {}, ...["", "", "", ""].map(() => make("td")), make("td", {}, bar));
}

function paintErrors(errors) {
  const codes = Object.entries(errors);
  $("no-errors").hidden = codes.length > 0;
  rows($("errors"), codes, () => make("li", {}, make("span"), make("b")), (row, [code, number]) => {
    row.firstChild.textContent = code.replaceAll("_", " ");
    row.lastChild.textContent = format.count(number);
  });
}

/** Fill as many rows as there are values; those that are there are used again. */
function rows(place, values, create, fill) {
  while (place.childElementCount > values.length) place.lastElementChild.remove();
  while (place.childElementCount < values.length) place.append(create());
  values.forEach((value, index) => fill(place.children[index], value));
}

function schedule() {
  if (!frame && !document.hidden) frame = requestAnimationFrame(paint);
}

/** Why the feed is refused, which an EventSource is not told; for want of a key this goes to the login page. */
async function sayWhyRefused() {
  const error = await api.tryFeed().catch((failure) => failure);
  if (error instanceof api.Refused && $("live").dataset.state === "refused") {
    text("live", `${error.message} Trying again.`);
  }
}

feed.addEventListener("state", ({ detail: state }) => {
  $("live").dataset.state = state;
  text("live", STATES[state]);
  if (state === "refused") sayWhyRefused();
});
feed.addEventListener("history", ({ detail }) => {
  history.replace(detail);
  schedule();
});
feed.addEventListener("snapshot", ({ detail }) => {
  history.add((snapshot = detail));
  if (snapshot.draining) text("live", "The server is shutting down");
  schedule();
});
document.addEventListener("visibilitychange", schedule);
setUpTheme($("theme"), () => charts.recolour());
feed.start();
