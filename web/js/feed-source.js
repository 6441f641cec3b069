// One connection to /events that comes back whatever happens to it.

const RETRY = 5000; // milliseconds, and as much again by chance, after a refusal
const PATIENCE = 4; // intervals without a snapshot, then the connection is thought dead
const LEAST_PATIENCE = 10_000; // milliseconds
const LOOK = 2000; // milliseconds between two looks at the clock

export class Source {
  #url;
  #tell;
  #events = null;
  #heard = 0; // when something came
  #interval = 1000; // milliseconds, as the server says

  /** `tell(kind, value)`: "history" and "snapshot" with what came, "state" with "live", "lost" or "refused". */
  constructor(url, tell) {
    this.#url = url;
    this.#tell = tell;
    this.#open();
    setInterval(() => this.#look(), LOOK);
  }

  #open() {
    this.#events?.close();
    this.#heard = Date.now();
    const events = (this.#events = new EventSource(this.#url));
    events.addEventListener("history", (event) => this.#take("history", JSON.parse(event.data)));
    events.addEventListener("message", (event) => {
      const snapshot = JSON.parse(event.data);
      this.#interval = 1000 * snapshot.interval;
      this.#take("snapshot", snapshot);
    });
    events.addEventListener("error", () => {
      if (events !== this.#events) return;
      this.#heard = Date.now();
      // It comes back by itself, but not from a refusal.
      const refused = events.readyState === EventSource.CLOSED;
      this.#tell("state", refused ? "refused" : "lost");
      if (refused) {
        setTimeout(() => events === this.#events && this.#open(), RETRY * (1 + Math.random()));
      }
    });
  }

  #take(kind, value) {
    this.#heard = Date.now();
    this.#tell("state", "live");
    this.#tell(kind, value);
  }

  /**
   * A connection that says nothing is one that a sleep or a network has cut without a word; one that is being made and
   * is neither refused nor answered is no better.
   */
  #look() {
    const silence = Date.now() - this.#heard;
    if (silence > Math.max(LEAST_PATIENCE, PATIENCE * this.#interval) && this.#events.readyState !== EventSource.CLOSED) {
      this.#tell("state", "lost");
      this.#open();
    }
  }
}
