// Copies text. `navigator.clipboard` is there on secure origins only, and a server at home has none.

/** Whether it worked. `element` is where the text stands on the page. */
export async function copy(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}
