// A page that is served while its study runs: what goes on, and the page anew when results are.

const EVERY_MILLISECONDS = 2000;
const KEPT = "mixwise-mixture";

/** Ask what goes on; load the page again when its results are not those that it shows. */
async function ask(shown) {
  const said = document.getElementById("live");
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    const state = await answer.json();
    said.textContent = state.lines.join("\n");
    if (state.version !== shown) {
      if (explorer) sessionStorage.setItem(KEPT, JSON.stringify(explorer.shares));
      location.reload();
      return;
    }
  } catch {
    said.textContent = "mixwise watch has ended: this page shows what was last known.";
  }
  setTimeout(() => ask(shown), EVERY_MILLISECONDS);
}

const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
sessionStorage.removeItem(KEPT);
if (explorer && kept?.length === explorer.shares.length) explorer.setShares(kept);
ask(document.getElementById("live").dataset.version);
