// Runs before anything is painted, so that a chosen theme never flashes in the other one's colours.
try {
  const theme = localStorage.getItem("babelbrook.theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme it is.
}
