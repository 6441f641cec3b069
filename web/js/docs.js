// The page about the API: what openapi.json tells, and a form to try each operation.

import { $, make } from "./dom.js";
import { example, inWords, objects } from "./schema.js";
import { setUpTheme } from "./theme.js";

const JSON_TYPE = "application/json";
// Better than what a schema alone tells.
const EXAMPLES = {
  "/translate": { text: "Where is the station?", target_lang: "de" },
  "/translate/stream": { text: "Where is the station?", target_lang: "de" },
  "/detect": { text: "Where is the station?" },
  "/v1/chat/completions": { messages: [{ role: "user", content: "Where is the station?" }], stream: true },
  "/v1/completions": { prompt: "Where is the station?" },
  "/v2/translate": { text: ["Where is the station?"], target_lang: "DE" },
  "/immersive": { text_list: ["Where is the station?"], target_lang: "de" },
  "/deeplx/translate": { text: "Where is the station?", target_lang: "DE" },
};

function field(label, input) {
  return make("label", {}, label, input);
}

/** Show the answer as it comes, until it has ended or is stopped. */
async function send(url, options, output, signal) {
  output.hidden = false;
  output.textContent = "…";
  try {
    const answer = await fetch(url, { ...options, signal });
    output.textContent = `${answer.status} ${answer.headers.get("Content-Type") ?? ""}\n\n`;
    const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) output.append(part.value);
  } catch (error) {
    output.append(signal.aborted ? "\n(stopped)" : `\n${error.message}`);
  }
}

function form(api, path, method, operation) {
  const parameters = (operation.parameters ?? []).map((each) => [each, make("input", { required: each.required })]);
  const content = operation.requestBody?.content ?? {};
  const schema = content[JSON_TYPE]?.schema;
  const file = content["multipart/form-data"]?.schema;
  const body = schema && make("textarea", { rows: 6, spellcheck: false });
  if (schema) body.value = JSON.stringify(EXAMPLES[path] ?? example(api, schema), null, 2);
  const parts = Object.keys(file?.properties ?? {}).map((name) => [
    name,
    make("input", { type: name === "file" ? "file" : "text", required: true }),
  ]);
  const output = make("pre", { hidden: true, tabIndex: 0 });
  output.setAttribute("aria-label", "Answer");
  let abort = new AbortController();
  const stop = make("button", { type: "button", className: "button", textContent: "Stop" });
  stop.addEventListener("click", () => abort.abort());
  const whole = make("form", {},
    ...parameters.map(([each, input]) => field(`${each.name} (${each.in})`, input)),
    ...parts.map(([name, input]) => field(name, input)),
    body ? field("Body", body) : null,
    make("div", { className: "actions" }, make("button", { className: "button main", textContent: "Send" }), stop),
    output,
  );
  whole.addEventListener("submit", (event) => {
    event.preventDefault();
    abort.abort();
    abort = new AbortController();
    let address = path.slice(1);
    const query = new URLSearchParams();
    for (const [each, input] of parameters) {
      if (each.in === "path") address = address.replace(`{${each.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(each.name, input.value);
    }
    const headers = $("key").value ? { Authorization: `Bearer ${$("key").value}` } : {};
    const options = { method: method.toUpperCase(), headers };
    if (body) Object.assign(options, { body: body.value, headers: { ...headers, "Content-Type": JSON_TYPE } });
    if (file) {
      options.body = new FormData();
      for (const [name, input] of parts) options.body.set(name, input.files?.[0] ?? input.value);
    }
    send(query.size ? `${address}?${query}` : address, options, output, abort.signal);
  });
  return whole;
}

/** What a body may hold and what is answered, to read. */
function described(api, operation) {
  const content = operation.requestBody?.content ?? {};
  const [taken] = Object.values(content);
  const parts = [];
  if (taken?.schema) parts.push(make("p", { className: "kinds", textContent: `Takes ${Object.keys(content).join(" or ")}` }));
  for (const { title, fields } of taken?.schema ? objects(api, taken.schema) : []) {
    const rows = fields.flatMap(({ name, required, words }) => [
      make("dt", {}, make("code", { textContent: name }), required ? " (required)" : ""),
      make("dd", { textContent: words }),
    ]);
    parts.push(title ? make("h3", { textContent: title }) : "", make("dl", {}, ...rows));
  }
  const answers = Object.entries(operation.responses).flatMap(([status, { description, content: kinds = {} }]) => [
    make("dt", {}, make("code", { textContent: status })),
    make("dd", {}, [description, ...Object.entries(kinds).map(([kind, { schema }]) => answered(api, kind, schema))].join(" ")),
  ]);
  parts.push(make("h3", { textContent: "Answers" }), make("dl", {}, ...answers));
  return make("div", { className: "described" }, ...parts);
}

function answered(api, kind, schema) {
  return schema ? `${kind}: ${inWords(api, schema)}.` : `${kind}.`;
}

function entry(api, path, method, operation) {
  const details = make("details", {},
    make("summary", {},
      make("code", {}, make("span", { className: "method", textContent: method }), ` ${path}`),
      make("span", { className: "says", textContent: operation.summary }),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.childElementCount === 1) details.append(described(api, operation), form(api, path, method, operation));
  });
  return details;
}

async function show() {
  const api = await (await fetch("openapi.json")).json();
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const [group] = operation.tags;
      if (!groups.has(group)) groups.set(group, make("section", {}, make("h2", { textContent: group })));
      groups.get(group).append(entry(api, path, method, operation));
    }
  }
  $("operations").append(...groups.values());
}

setUpTheme($("theme"));
show().catch((error) => {
  $("problem").textContent = `The description of the API cannot be read: ${error.message}`;
});
