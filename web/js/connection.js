// Whether the server can be reached. While it cannot, one watcher asks until it can.

import * as api from "./api.js";
import { sleep } from "./dom.js";

const WAITS = [1, 1, 2, 3, 5]; // seconds between two tries; the last goes on

export class Connection extends EventTarget {
  #back = null; // a promise while the server is lost
  #hurry = new AbortController();

  constructor() {
    super();
    const hurry = () => this.#hurry.abort();
    addEventListener("online", hurry);
    document.addEventListener("visibilitychange", () => document.hidden || hurry());
  }

  /** Resolves when the server is ready to answer. Called by who found it lost. */
  back() {
    this.#back ??= this.#watch().finally(() => (this.#back = null));
    return this.#back;
  }

  async #watch() {
    this.dispatchEvent(new Event("lost"));
    for (let tries = 0; ; tries++) {
      await this.#pause(WAITS[Math.min(tries, WAITS.length - 1)]);
      try {
        await api.ready(AbortSignal.timeout(5000));
        break;
      } catch {
        // Gone, still starting or loading a model: all of these pass.
      }
    }
    this.dispatchEvent(new Event("back"));
  }

  async #pause(seconds) {
    this.#hurry = new AbortController();
    await sleep(seconds, this.#hurry.signal).catch(() => {});
  }
}
