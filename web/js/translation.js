// One translation at a time: a new wish cancels what runs, and what can pass is tried again.

import * as api from "./api.js";
import { sleep } from "./dom.js";

const SHORTEST_WAIT = 1; // seconds
const LONGEST_WAIT = 60;

/**
 * `view` is told: began(), text(string), extra(event, data), waits(error, seconds), done(), failed(error), stopped().
 */
export class Translator {
  #view;
  #connection;
  #timer = 0;
  #run = null; // the AbortController of what runs or waits for another try
  #request = null;

  constructor(view, connection) {
    this.#view = view;
    this.#connection = connection;
  }

  get busy() {
    return this.#run !== null;
  }

  /** Translate this and nothing else, in so many milliseconds, unless another wish comes first. */
  want(request, delay = 0) {
    this.#cancel();
    this.#request = request;
    if (request !== null) this.#timer = setTimeout(() => this.#start(request), delay);
  }

  /** What was wanted last, once more and now. */
  again() {
    if (this.#request !== null) this.want(this.#request);
  }

  stop() {
    const busy = this.busy;
    this.#cancel();
    if (busy) this.#view.stopped();
  }

  #cancel() {
    clearTimeout(this.#timer);
    this.#run?.abort();
    this.#run = null;
  }

  async #start(request) {
    const run = (this.#run = new AbortController());
    const { signal } = run;
    try {
      while (!(await this.#attempt(request, signal)));
    } catch (error) {
      if (signal.aborted) return;
      this.#run = null;
      this.#view.failed(error);
    }
  }

  /** Whether it came to its end; if not, the time for another try has come. Throws what will not pass. */
  async #attempt(request, signal) {
    this.#view.began();
    try {
      for await (const { event, data } of api.translate(request, signal)) {
        signal.throwIfAborted();
        if (event === "message") this.#view.text(data);
        else this.#view.extra(event, data);
      }
      signal.throwIfAborted();
      this.#run = null;
      this.#view.done();
      return true;
    } catch (error) {
      signal.throwIfAborted();
      await this.#wait(error, signal);
      return false;
    }
  }

  async #wait(error, signal) {
    if (error instanceof api.Lost) {
      this.#view.waits(error, null);
      await this.#connection.back();
      signal.throwIfAborted();
    } else if (error.retryAfter || error.code === "shutting_down") {
      const seconds = Math.min(LONGEST_WAIT, Math.max(SHORTEST_WAIT, error.retryAfter ?? SHORTEST_WAIT));
      this.#view.waits(error, seconds);
      await sleep(seconds, signal);
    } else {
      throw error;
    }
  }
}
