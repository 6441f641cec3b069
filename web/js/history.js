// Twenty minutes in columns, as charts want them: bounded, whatever comes and for however long.

export const MINUTES = 20;
const CLOSEST = 0.95; // seconds; what comes sooner takes the last one's place
const MOST = (MINUTES * 60) / CLOSEST + 1;

/** What a point is, of a snapshot; the names are those of the server's history. */
const READ = {
  time: (now) => now.time,
  tokens_per_second: (now) => now.tokens_per_second,
  running: (now) => now.running,
  queued: (now) => now.queued,
  kv_used_ratio: (now) => now.kv_used_ratio,
  ttft_p50: (now) => now.ttft.p50,
  ttft_p95: (now) => now.ttft.p95,
  token_gap_p50: (now) => now.token_gap.p50,
  token_gap_p95: (now) => now.token_gap.p95,
  errors: (now, history) => history.newErrors(now),
  connections: (now) => now.connections.open,
};

export class History {
  #errors = null; // total at the last snapshot

  constructor() {
    this.columns = Object.fromEntries(Object.keys(READ).map((name) => [name, []]));
  }

  /** Take the server's own history in the place of what is here. */
  replace(columns) {
    const length = columns.time.length;
    for (const [name, own] of Object.entries(this.columns)) {
      own.length = 0;
      own.push(...(columns[name] ?? new Array(length).fill(null)));
    }
  }

  add(snapshot) {
    const { time } = this.columns;
    // Charts need times that grow, and a server's clock can be set back.
    while (time.length && time.at(-1) > snapshot.time) this.#drop("pop");
    if (time.length > 1 && snapshot.time - time.at(-2) < CLOSEST) this.#drop("pop");
    for (const [name, read] of Object.entries(READ)) this.columns[name].push(read(snapshot, this));
    while (time.length > MOST || time[0] < snapshot.time - MINUTES * 60) this.#drop("shift");
  }

  #drop(which) {
    for (const column of Object.values(this.columns)) column[which]();
  }

  /** Errors since the snapshot before. A total that is smaller than it was is that of a new server. */
  newErrors({ totals: { errors } }) {
    const before = this.#errors ?? errors;
    this.#errors = errors;
    return errors >= before ? errors - before : errors;
  }
}
