/* One way to call the REST interface from a component, and one stream of its events for the page. */

export class CallError extends Error {
  constructor(status, error) {
    super(error.message);
    Object.assign(this, { status, code: error.code, hint: error.hint, requestId: error.requestId });
  }
}

const UNREACHABLE = {
  code: "unreachable",
  message: "Le Bureau does not answer.",
  hint: "It is tried again when you press the button. Is the server running?",
};

/** Calls a route with the cookie of this browser and returns its JSON, or throws a CallError. */
export async function call(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new CallError(0, UNREACHABLE);
  }
  if (answer.status === 401) signIn();
  const json = answer.status === 204 ? null : await answer.json().catch(() => null);
  if (!answer.ok) throw new CallError(answer.status, json?.error ?? { ...UNREACHABLE, message: `The server answered ${answer.status}.` });
  return json;
}

export function signIn() {
  location.assign(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
}

const TYPES = ["desktop.updated", "message.created", "run.delta", "run.tool", "run.updated"];
const listeners = new Set();
let source, closing;

const tell = (type, data) => listeners.forEach((listen) => listen(type, data));

/* A browser opens six connections to an origin: a hidden tab gives its stream back after a while. */
function keepOpen() {
  clearTimeout(closing);
  if (!listeners.size || document.hidden) {
    closing = setTimeout(() => { source?.close(); source = undefined; }, listeners.size ? 10000 : 0);
  } else if (!source || source.readyState === EventSource.CLOSED) {
    source = new EventSource("/api/events");
    source.onopen = () => tell("open");
    source.onerror = () => { tell("lost"); if (source?.readyState === EventSource.CLOSED) setTimeout(keepOpen, 2000); };
    source.addEventListener("resync", () => tell("open"));
    TYPES.forEach((type) => source.addEventListener(type, (event) => tell(type, JSON.parse(event.data))));
  }
}

/** Calls `listen(type, data)` for each event; `open` means: read your lists again. */
export function subscribe(listen) {
  listeners.add(listen);
  if (listeners.size === 1) document.addEventListener("visibilitychange", keepOpen);
  keepOpen();
  return () => {
    listeners.delete(listen);
    if (!listeners.size) document.removeEventListener("visibilitychange", keepOpen);
    keepOpen();
  };
}
