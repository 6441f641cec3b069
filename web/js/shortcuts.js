// Keyboard shortcuts, and the list of them. Letters go by their place, so a Mac's Option key changes none of them.

import { make } from "./dom.js";

const MAC = /Mac|iP(hone|ad)/.test(navigator.platform);
const HELD = { alt: MAC ? "⌥" : "Alt", shift: MAC ? "⇧" : "Shift", command: MAC ? "⌘" : "Ctrl" };

/** `shortcuts`: {code, held, does, run}; `held` names keys of HELD. An element that is disabled is not clicked. */
export function setUpShortcuts(shortcuts, list) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const shortcut = shortcuts.find((each) => each.code === event.code && matches(each.held, event));
    if (shortcut && shortcut.run() !== false) event.preventDefault();
  });
  list.append(
    ...shortcuts.flatMap(({ code, held, does }) => {
      const keys = [...held.map((key) => HELD[key]), code.replace("Key", "")];
      const shown = keys.flatMap((key, place) => [place ? " + " : "", make("kbd", { textContent: key })]);
      return [make("dt", {}, ...shown), make("dd", { textContent: does })];
    }),
  );
}

function matches(held, event) {
  const command = MAC ? event.metaKey : event.ctrlKey;
  const other = MAC ? event.ctrlKey : event.metaKey;
  return (
    !other &&
    command === held.includes("command") &&
    event.altKey === held.includes("alt") &&
    event.shiftKey === held.includes("shift")
  );
}
