// Every request that the pages make of the server goes through `ask`.

import { events } from "./sse.js";

/** The server's refusal: its sentence, status and code, and after how many seconds to come again, if it says so. */
export class Refused extends Error {
  constructor(sentence, code, status = 200, retryAfter = null) {
    super(sentence);
    Object.assign(this, { code, status, retryAfter });
  }
}

/** The server cannot be reached, or a stream of its ended before its time. */
export class Lost extends Error {}

/** A request's answer. Throws Refused, Lost, or the signal's reason. Paths are relative to the page. */
async function ask(path, { method = "GET", json, body, headers, signal } = {}) {
  const options = { method, signal, headers: { ...headers }, body };
  if (json !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  }
  const answer = await reaching(fetch(path, options), signal);
  if (answer.status === 401 && path !== "login") toLogIn();
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

/** The session has ended, or there was none: to the page that asks for a key, and back. */
function toLogIn() {
  location.assign(`login?next=${location.pathname.split("/").pop()}`);
}

/** What `work` gives; its failures are those of the connection. */
async function reaching(work, signal) {
  try {
    return await work;
  } catch {
    signal?.throwIfAborted();
    throw new Lost("The server does not answer.");
  }
}

async function refusal(answer) {
  const seconds = Number.parseFloat(answer.headers.get("Retry-After"));
  const retryAfter = Number.isFinite(seconds) ? seconds : null;
  try {
    const { error, code } = await answer.json();
    return new Refused(String(error), code, answer.status, retryAfter);
  } catch {
    return new Refused(`The server answered ${answer.status}.`, "unknown", answer.status, retryAfter);
  }
}

async function get(path, signal) {
  const answer = await ask(path, { signal });
  return reaching(answer.json(), signal);
}

async function* stream(path, options) {
  const { signal } = options;
  const { body } = await ask(path, { method: "POST", ...options });
  const source = events(body);
  try {
    for (;;) {
      const { done, value } = await reaching(source.next(), signal);
      if (done) return;
      yield* value;
    }
  } finally {
    source.return();
  }
}

/** Ask for the feed of the dashboard, and leave it at once where it comes. Throws what refuses it. */
export async function tryFeed() {
  const left = new AbortController();
  await ask("events", { signal: left.signal });
  left.abort();
}

export const logIn = (key) => ask("login", { method: "POST", json: { key } });
export const logOut = () => ask("logout", { method: "POST" });
export const ready = (signal) => get("ready", signal);
export const languages = () => get("languages");
/** What requests mean that leave it out, among others: {language: {target: {code}}, remote}. */
export const settings = () => get("frontend/settings");
export const detect = async (text, signal) => (await ask("detect", { method: "POST", json: { text }, signal })).json();
/** Glossaries that the server keeps: {name, source_lang, target_lang, count}. */
export const glossaries = async () => (await get("glossaries")).glossaries;
/** One of them, with its `terms` in pairs. */
export const glossary = (name) => get(`glossaries/${encodeURIComponent(name)}`);
export const models = async () => (await get("models")).models;

/**
 * The events of a translation, data parsed: {event, data}. Ends after [DONE]. Throws Refused, for an error within
 * the stream too, and Lost for a stream that breaks off.
 */
export async function* translate(request, signal) {
  for await (const { event, data } of stream("translate/stream", { json: request, signal })) {
    if (data === "[DONE]") return;
    const value = JSON.parse(data);
    if (event === "message" && value.error) throw new Refused(value.error, value.code);
    yield { event, data: value };
  }
  throw new Lost("The translation broke off.");
}

/**
 * The translation of a file, behind its progress: objects with `status`, the last one "done" with `filename`, `text`
 * and, where the file is not that in UTF-8, its bytes in `base64`. `fields` are those of a request. Throws as
 * `translate` does.
 */
export async function* translateFile(file, fields, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    body.append(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  body.append("file", file);
  const headers = { Accept: "text/event-stream" };
  for await (const { data } of stream("translate/file", { body, headers, signal })) {
    const news = JSON.parse(data);
    if (news.error) throw new Refused(news.error, news.code);
    yield news;
    if (news.status === "done") return;
  }
  throw new Lost("The translation broke off.");
}

/** What a switch to a model has to tell: objects with `status`. The last is "ready"; failures are thrown. */
export async function* selectModel(model, signal) {
  for await (const { data } of stream("models/select", { json: { model }, signal })) {
    const news = JSON.parse(data);
    if (news.status === "error") throw new Refused(news.message, news.code);
    yield news;
    if (news.status === "ready") return;
  }
  throw new Lost("The connection broke off.");
}
