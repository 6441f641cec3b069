// Shared by all tabs of the dashboard: one connection to the server, whoever many of them are open.

import { Source } from "./feed-source.js";
import { History } from "./history.js";

const ports = new Set();
const history = new History();
let source = null;
let state = null;
let snapshot = null;

function tell(kind, value) {
  if (kind === "state") {
    if (state === value) return;
    state = value;
  } else if (kind === "history") {
    history.replace(value);
  } else {
    history.add(value);
    snapshot = value;
  }
  for (const port of ports) port.postMessage([kind, value]);
}

addEventListener("connect", ({ ports: [port] }) => {
  port.addEventListener("message", ({ data: [word, url] }) => {
    if (word === "leave") {
      ports.delete(port);
      port.close();
      return;
    }
    ports.add(port);
    source ??= new Source(url, tell);
    // Who comes later is given what the others have.
    if (state) port.postMessage(["state", state]);
    if (snapshot) {
      port.postMessage(["history", history.columns]);
      port.postMessage(["snapshot", snapshot]);
    }
  });
  port.start();
});
