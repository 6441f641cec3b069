// What the server tells of itself, for this tab: by a worker that all tabs share, where there are such workers.

import { Source } from "./feed-source.js";

class Feed extends EventTarget {
  #port = null;

  constructor() {
    super();
    addEventListener("pagehide", () => this.#port?.postMessage(["leave"]));
    // Out of the browser's cache of pages, to which the worker has closed its door.
    addEventListener("pageshow", (event) => event.persisted && this.#port && this.#share());
  }

  /** From now on there are events "history", "snapshot" and "state", their value in `detail`. */
  start() {
    if (typeof SharedWorker === "undefined") new Source(feedUrl(), (kind, value) => this.#tell(kind, value));
    else this.#share();
  }

  #share() {
    this.#port = new SharedWorker(workerUrl, { type: "module", name: "babelbrook" }).port;
    this.#port.addEventListener("message", ({ data: [kind, value] }) => this.#tell(kind, value));
    this.#port.start();
    this.#port.postMessage(["join", feedUrl()]);
  }

  #tell(kind, value) {
    this.dispatchEvent(new CustomEvent(kind, { detail: value }));
  }
}

const feedUrl = () => new URL("events", document.baseURI).href;

/** Where the policy of the page asks for it, said to be a script on purpose; a policy can be made once. */
const workerUrl = (() => {
  const url = new URL("feed-worker.js", import.meta.url).href;
  if (typeof trustedTypes === "undefined") return url;
  return trustedTypes.createPolicy("babelbrook", { createScriptURL: (same) => same }).createScriptURL(url);
})();

export const feed = new Feed();
