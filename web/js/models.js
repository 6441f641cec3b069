// The list of models: which one answers, and how another one comes to.

import * as api from "./api.js";
import { make } from "./dom.js";

export class Models {
  #elements;
  #changed;
  #models = [];
  #busy = null; // {name, abort, news} of the switch that is under way

  /** `elements`: dialog, list, problem, name, progress. `changed` is called with the model that answers. */
  constructor(elements, changed) {
    this.#elements = elements;
    this.#changed = changed;
    elements.dialog.addEventListener("toggle", () => elements.dialog.open && this.refresh().catch(() => {}));
  }

  get selected() {
    return this.#models.find((model) => model.selected);
  }

  async refresh() {
    const before = this.selected?.name;
    this.#models = await api.models();
    this.#show();
    if (this.selected?.name !== before) this.#changed(this.selected);
  }

  async #select(name) {
    this.#busy = { name, abort: new AbortController(), news: { status: "asking" } };
    this.#problem("");
    this.#show();
    try {
      for await (const news of api.selectModel(name, this.#busy.abort.signal)) {
        this.#busy.news = news;
        this.#tell();
      }
    } catch (error) {
      if (!this.#busy.abort.signal.aborted) this.#problem(error.message);
    }
    this.#busy = null;
    await this.refresh().catch(() => this.#show());
  }

  #problem(sentence) {
    this.#elements.problem.textContent = sentence;
    this.#elements.problem.hidden = !sentence;
  }

  #show() {
    const { list, name } = this.#elements;
    const had = document.activeElement?.dataset?.model;
    name.textContent = this.selected?.name ?? "…";
    list.replaceChildren(...this.#models.map((model) => this.#row(model)));
    if (had !== undefined) list.querySelector(`[data-model="${CSS.escape(had)}"]`)?.focus();
    this.#tell();
  }

  #row(model) {
    const row = make("li");
    row.dataset.name = model.name;
    const heading = make("h3", { textContent: model.name });
    row.append(make("div", {}, heading, make("p", { className: "note", textContent: described(model) })));
    if (model.name === this.#busy?.name) row.append(this.#cancelButton(model), this.#transfer());
    else if (model.selected) row.append(make("span", { className: "used", textContent: "In use" }));
    else row.append(this.#useButton(model));
    return row;
  }

  #useButton(model) {
    const text = model.downloaded ? "Use" : "Download and use";
    const button = make("button", { type: "button", className: "button small", textContent: text });
    button.disabled = this.#busy !== null;
    button.dataset.model = model.name;
    button.setAttribute("aria-label", `${text} ${model.name}`);
    button.addEventListener("click", () => this.#select(model.name));
    return button;
  }

  #cancelButton(model) {
    const button = make("button", { type: "button", className: "button small", textContent: "Cancel" });
    button.dataset.model = model.name;
    button.addEventListener("click", () => this.#busy?.abort.abort());
    return button;
  }

  #transfer() {
    const bar = make("progress", { max: 100 });
    bar.setAttribute("aria-label", "Progress");
    return make("div", { className: "transfer" }, bar, make("span", { className: "note" }));
  }

  /** Show the newest of the switch that is under way. */
  #tell() {
    const { list, progress } = this.#elements;
    const news = this.#busy?.news;
    const downloading = news?.status === "downloading";
    progress.textContent = downloading ? `${news.progress} %` : news ? "…" : "";
    if (!news) return;
    const row = list.querySelector(`[data-name="${CSS.escape(this.#busy.name)}"]`);
    if (!row) return;
    const bar = row.querySelector("progress");
    if (downloading) bar.value = news.progress;
    else bar.removeAttribute("value");
    row.querySelector(".transfer .note").textContent = progressInWords(news);
    row.querySelector("button").hidden = news.status === "loading";
  }
}

function progressInWords(news) {
  if (news.status === "downloading") {
    const place = `${megabytes(news.bytes)} of ${megabytes(news.total)}`;
    return `Downloading, ${place}. Closing the page stops it; what has come is kept.`;
  }
  return news.status === "loading" ? "Loading. It answers in a moment." : "Asking the server.";
}

function megabytes(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${Math.round(bytes / 1e6)} MB`;
}

function described(model) {
  const known = (value) => value && value !== "unknown";
  const facts = [
    known(model.params) ? `${model.params} parameters` : null,
    known(model.size) ? model.size : null,
    model.target_langs?.length ? `${model.target_langs.length} languages` : null,
    model.licence,
    model.commercial_use === false ? "not for commercial use" : null,
    model.embedded ? "comes with the server, for trying it" : null,
  ];
  return facts.filter(Boolean).join(" · ");
}
