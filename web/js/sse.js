// Reads event streams that answer a POST, which EventSource cannot do.
// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

/** Puts events together from pieces of text that may end anywhere, between \r and \n too. */
export class EventParser {
  #line = "";
  #afterReturn = false;
  #event = "";
  #data = [];

  /** The events that `text` completes, as {event, data}. */
  push(text) {
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    const lines = (this.#line + text).split(/\r\n|\n|\r/);
    this.#line = lines.pop();
    return lines.map((line) => this.#take(line)).filter(Boolean);
  }

  #take(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    return null;
  }

  #dispatch() {
    const event = this.#data.length ? { event: this.#event || "message", data: this.#data.join("\n") } : null;
    this.#event = "";
    this.#data = [];
    return event;
  }
}

/** The events of a response's body, in lists: what came together stays together. */
export async function* events(body) {
  const parser = new EventParser();
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const complete = parser.push(value);
      if (complete.length) yield complete;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
