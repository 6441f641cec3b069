// The small charts. They share one time axis and one cursor.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { make } from "./dom.js";
import * as format from "./format.js";
import { MINUTES } from "./history.js";

const HEIGHT = 7.5; // rem
const LEAST = 60; // seconds across, where the server has just started
const STEPS = [60, 120, 300, 600]; // seconds between two times that are written below a chart

/** title, columns of the history with their names, how values are written, and the least top of the axis. */
const CHARTS = [
  { title: "Tokens per second", lines: [["tokens_per_second", ""]], write: format.count, top: 10 },
  { title: "Generations", lines: [["running", "running"], ["queued", "waiting"]], write: format.count, top: 4 },
  { title: "First text after", lines: [["ttft_p50", "median"], ["ttft_p95", "p95"]], write: format.seconds, top: 0.01 },
  { title: "Next text after", lines: [["token_gap_p50", "median"], ["token_gap_p95", "p95"]], write: format.seconds, top: 0.01 },
  { title: "KV cache in use", lines: [["kv_used_ratio", ""]], write: format.percent, top: 1 },
  { title: "Connections", lines: [["connections", "open"], ["errors", "errors"]], write: format.count, top: 4 },
];

class Chart {
  #chart;
  #spec;
  #values;
  #plot;

  constructor(spec, place, sync) {
    this.#spec = spec;
    this.#values = spec.lines.map(([, name], index) => {
      const value = make("b", { textContent: format.NOTHING });
      const mark = name ? make("span", {}, make("i"), name) : null;
      return { value, part: make("span", { className: index ? "second" : "first" }, value, " ", ...(mark ? [mark] : [])) };
    });
    const values = make("div", { className: "values" }, ...this.#values.map(({ part }) => part));
    this.#plot = make("div", { className: "plot" });
    this.#plot.setAttribute("role", "img");
    const caption = make("figcaption", {}, make("h3", { textContent: spec.title }), values);
    place.append(make("figure", { className: "card chart" }, caption, this.#plot));
    this.#chart = new uPlot(this.#options(sync), [[], ...spec.lines.map(() => [])], this.#plot);
  }

  #options(sync) {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const axis = { stroke: colour("--quiet"), font: `${0.78 * rem}px "Source Sans 3", sans-serif`, ticks: { show: false } };
    const lines = this.#spec.lines.map((_, index) => ({
      stroke: colour(index ? "--two" : "--one"),
      fill: index || this.#spec.lines.length > 1 ? undefined : colour("--brook-wash"),
      width: 1.5,
      points: { show: false },
    }));
    return {
      width: this.#plot.clientWidth || 320,
      height: HEIGHT * rem,
      padding: [8, 2, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: sync.key }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { range: (chart, least, most) => [Math.max(most - MINUTES * 60, Math.min(least, most - LEAST)), most] },
        y: { range: (chart, least, most) => [0, Math.max(this.#spec.top, 1.1 * (most ?? 0))] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 1.5 * rem, space: 90, incrs: STEPS, values: (chart, times) => times.map(clock) },
        { ...axis, grid: { stroke: colour("--line"), width: 1 }, size: 3.4 * rem, space: 32, values: (chart, ticks) => ticks.map(this.#spec.write) },
      ],
      series: [{}, ...lines],
      hooks: { setCursor: [() => this.#showValues()] },
    };
  }

  draw(columns) {
    this.#chart.setData([columns.time, ...this.#spec.lines.map(([name]) => columns[name])]);
    this.#showValues();
    const parts = this.#spec.lines.map(([name, title]) => {
      const values = columns[name].filter((value) => value !== null);
      const most = values.reduce((a, b) => Math.max(a, b), 0);
      return `${title} now ${this.#spec.write(columns[name].at(-1))}, at most ${this.#spec.write(most)}`;
    });
    this.#plot.setAttribute("aria-label", `${this.#spec.title} in the last twenty minutes: ${parts.join("; ")}`);
  }

  /** The values under the cursor, else the newest. */
  #showValues() {
    const data = this.#chart?.data;
    if (!data) return;
    const index = this.#chart.cursor.idx ?? data[0].length - 1;
    this.#values.forEach(({ value }, line) => (value.textContent = this.#spec.write(data[line + 1][index])));
  }

  fit() {
    this.#chart.setSize({ width: this.#plot.clientWidth, height: this.#chart.height });
  }

  recolour() {
    this.#chart.redraw(false, true);
  }
}

export class Charts {
  #charts;

  constructor(place) {
    const sync = uPlot.sync("board");
    this.#charts = CHARTS.map((spec) => new Chart(spec, place, sync));
    new ResizeObserver(() => this.#charts.forEach((chart) => chart.fit())).observe(place);
  }

  draw(columns) {
    for (const chart of this.#charts) chart.draw(columns);
  }

  recolour() {
    for (const chart of this.#charts) chart.recolour();
  }
}

const probe = document.createElement("span");
probe.hidden = true;

/** A colour of the style sheets, asked for each time that something is drawn: themes change. */
function colour(name) {
  return () => {
    probe.isConnected || document.body.append(probe);
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
}

function clock(time) {
  return new Date(time * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}
