/**
 * The browser that people and the agent share opens when somebody needs it: a connection to its
 * remote debugging port starts it (lebureau-browser.socket). OpenClaw itself waits too briefly.
 */

const VERSION_URL = "http://127.0.0.1:9222/json/version";
const PATIENCE_MS = 110_000;

/** Open the visible browser, if it is not open, and wait until it takes commands. */
export async function openVisibleBrowser() {
  try {
    await (await fetch(VERSION_URL, { signal: AbortSignal.timeout(PATIENCE_MS) })).json();
  } catch {
    // The tool itself tells the agent that the browser cannot be reached.
  }
}
