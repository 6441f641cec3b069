// The page that changes a key for a session, and ends it.

import { logIn, logOut } from "./api.js";
import { $ } from "./dom.js";
import { setUpTheme } from "./theme.js";

/** The page that asked for a key; pages of this server have plain names, and nothing else is gone to. */
function asked() {
  const name = new URLSearchParams(location.search).get("next") ?? "";
  return /^[a-z]+$/.test(name) ? name : ".";
}

async function attempt(work) {
  $("problem").textContent = "";
  try {
    await work();
  } catch (failure) {
    $("problem").textContent = failure.message;
  }
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await logIn($("key").value);
    location.replace(asked());
  });
});

$("logout").addEventListener("click", () => attempt(async () => {
  await logOut();
  $("key").value = "";
  $("key").focus();
}));

setUpTheme($("theme"));
