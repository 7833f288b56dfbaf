import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "react";
import { call, subscribe } from "./http.js";
import { inWords } from "./elapsed.jsx";
import { Markdown } from "./markdown.jsx";

const OVER = new Set(["done", "failed", "aborted"]);
const WORDS = { queued: "Queued", running: "Working", waiting_approval: "Waiting for you", done: "Done", failed: "Failed", aborted: "Stopped" };
const PAGE = 100;
const NEW_RUN = { status: "running", text: "", seq: 0, tools: [] };
const EMPTY = { messages: [], runs: {}, cursor: null, loaded: false };

const byId = (messages) => [...new Map(messages.map((message) => [message.id, message])).values()].sort((a, b) => (a.id < b.id ? -1 : 1));

/* What is shown: stored messages, and for each run what has streamed in so far. */
function reduce(state, [type, data]) {
  const run = (id, change) => {
    const before = state.runs[id] ?? { ...NEW_RUN, id };
    return { ...state, runs: { ...state.runs, [id]: { ...before, ...change(before) } } };
  };
  switch (type) {
    case "clear": return EMPTY;
    case "read": return reading(state, data);
    case "message.created": return { ...state, messages: byId([...state.messages, data]) };
    case "run.updated": return run(data.id, () => data);
    case "run.delta": return run(data.runId, (before) => (data.seq > before.seq ? { text: data.replace ? data.text : before.text + data.text, seq: data.seq } : {}));
    case "run.tool": return run(data.runId, (before) => ({ tools: told(before.tools, data) }));
    default: return state;
  }
}

/* An answer that is still being written is not a message yet: it is what its run has said so far. */
function reading(state, { items, nextCursor, older }) {
  const runs = { ...state.runs };
  const unfinished = items.filter((message) => message.role === "assistant" && !OVER.has(message.status));
  for (const { runId, text, toolCalls } of unfinished) {
    const before = runs[runId] ?? { ...NEW_RUN, id: runId };
    runs[runId] = { ...before, text: before.text.length > text.length ? before.text : text, tools: before.tools.length ? before.tools : toolCalls };
  }
  const messages = byId([...state.messages, ...items.filter((message) => !unfinished.includes(message))]);
  return { loaded: true, runs, messages, cursor: older ? nextCursor : state.cursor ?? nextCursor };
}

const TOOL_STATUS = { result: "done", error: "failed" };

function told(tools, { callId, name, phase, summary }) {
  const known = tools.find((tool) => tool.id === callId);
  const now = { id: callId, name, summary: summary || known?.summary || "", status: TOOL_STATUS[phase] ?? "running" };
  return known ? tools.map((tool) => (tool === known ? { ...tool, ...now } : tool)) : [...tools, now];
}

/* Runs whose end is not among the messages, and failed ones, which say why: the newest few. */
function runsToAsk({ items }, runs) {
  const ended = new Set(items.filter(({ role, status }) => role === "assistant" && ["done", "aborted"].includes(status)).map(({ runId }) => runId));
  const open = Object.values(runs).filter((run) => !OVER.has(run.status)).map((run) => run.id);
  const unsure = items.map(({ runId }) => runId).filter((id) => id && !ended.has(id) && !OVER.has(runs[id]?.status));
  return [...new Set([...open, ...unsure.slice(0, 8)])];
}

const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function Tool({ tool }) {
  const detail = [["Input", tool.input], ["Output", tool.output]].filter(([, value]) => value !== undefined && value !== null && value !== "");
  const line = (
    <>
      <span className="lb-tool-name">{tool.name}</span>
      <span className="lb-tool-summary">{(tool.summary ?? "").replace(`${tool.name}: `, "")}</span>
      {tool.status === "running" && <span className="lb-tool-live">running</span>}
      {tool.status === "failed" && <span className="lb-tool-failed">failed</span>}
      {tool.seconds >= 0 && <span className="lb-tool-time">{tool.seconds} s</span>}
    </>
  );
  if (!detail.length) return <div className="lb-tool"><div className="lb-tool-line">{line}</div></div>;
  return (
    <details className="lb-tool">
      <summary className="lb-tool-line">{line}</summary>
      {detail.map(([title, value]) => <div key={title}><h4>{title}</h4><pre tabIndex={0}>{shown(value)}</pre></div>)}
    </details>
  );
}

function Facts({ usage, seconds }) {
  const tokens = (usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0);
  const cost = Number(usage?.cost?.amount ?? 0);
  const facts = [
    seconds >= 0 && inWords(seconds),
    tokens > 0 && `${tokens.toLocaleString("en")} tokens`,
    cost > 0 && `${usage.cost.currency} ${cost < 0.01 ? usage.cost.amount : cost.toFixed(2)}`,
  ].filter(Boolean);
  return facts.length ? <p className="lb-facts">{facts.join(" · ")}</p> : null;
}

function Message({ message, asked }) {
  const seconds = asked ? (Date.parse(message.createdAt) - Date.parse(asked.createdAt)) / 1000 : -1;
  const mine = message.role === "user";
  return (
    <article className="lb-message" data-role={message.role}>
      <h3>{mine ? "You" : message.role === "assistant" ? "Agent" : "Le Bureau"}<time dateTime={message.createdAt}>{new Date(message.createdAt).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}</time></h3>
      {message.toolCalls?.map((tool, at) => <Tool key={tool.id ?? at} tool={tool} />)}
      {mine ? <p className="lb-said">{message.text}</p> : <Markdown text={message.text} />}
      {message.role === "assistant" && <Facts usage={message.usage} seconds={seconds} />}
    </article>
  );
}

function Running({ run }) {
  if (run.status === "queued") return <p className="lb-note">Queued: the agent takes it as soon as it is ready.</p>;
  return (
    <article className="lb-message" data-role="assistant" aria-busy="true">
      <h3>Agent <span className="lb-working">{WORDS[run.status]}</span></h3>
      {run.tools?.map((tool, at) => <Tool key={at} tool={tool} />)}
      {run.text && <Markdown text={run.text} />}
    </article>
  );
}

const Ended = ({ run }) => (
  <p className="lb-note" data-kind={run.status}>
    {run.status === "aborted" ? "You stopped this." : `This failed. ${run.error?.message ?? ""}`} {run.status === "failed" && run.error?.hint}
  </p>
);

const Problem = ({ error, onRetry }) => (
  <div className="lb-problem" role="alert">
    <p><strong>{error.message}</strong> {error.hint}</p>
    {onRetry && <button type="button" className="lb-mini" onClick={onRetry}>Try again</button>}
    {error.requestId && <small>Request {error.requestId}</small>}
  </div>
);

/** The conversation with a desktop's agent: stored messages by REST, what happens now by server-sent events. */
export function Chat({ desktopId, note, disabled, ...rest }) {
  const [state, dispatch] = useReducer(reduce, EMPTY);
  const [problem, setProblem] = useState(null);
  const [sending, setSending] = useState(false);
  const draftKey = `lebureau.draft.${desktopId}`;
  const [draft, setDraft] = useState("");
  const list = useRef(null);
  const stick = useRef(true);
  const runs = useRef({});
  const base = `/api/desktops/${desktopId}`;
  runs.current = state.runs;

  const read = async (cursor) => {
    try {
      const page = await call("GET", `${base}/messages?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      dispatch(["read", { ...page, older: !!cursor }]);
      for (const id of runsToAsk(page, runs.current)) dispatch(["run.updated", await call("GET", `/api/runs/${id}`)]);
      setProblem(null);
    } catch (error) {
      setProblem({ error, retry: () => read(cursor) });
    }
  };

  useEffect(() => {
    dispatch(["clear"]);
    setDraft(sessionStorage.getItem(draftKey) ?? "");
    stick.current = true;
    return subscribe((type, data) => {
      if (type === "open") return read();
      const ours = data && (data.desktopId === desktopId || (!data.desktopId && data.runId in runs.current));
      if (ours) dispatch([type, data]);
    });
  }, [desktopId]);

  useLayoutEffect(() => {
    if (stick.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [state]);
  const onScroll = ({ currentTarget: box }) => { stick.current = box.scrollHeight - box.scrollTop - box.clientHeight < 60; };

  const write = (text) => { setDraft(text); sessionStorage.setItem(draftKey, text); };
  const busy = Object.values(state.runs).find((run) => !OVER.has(run.status));

  const send = async () => {
    const message = draft.trim();
    if (!message || sending || disabled) return;
    setSending(true);
    stick.current = true;
    try {
      const answer = await call("POST", `${base}/chat`, { message }, { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) });
      dispatch(["message.created", answer.message]);
      if (!state.runs[answer.runId]) dispatch(["run.updated", { id: answer.runId, status: "queued" }]);
      write("");
      setProblem(null);
    } catch (error) {
      setProblem({ error });
    } finally {
      setSending(false);
    }
  };
  const stop = () => call("POST", `${base}/chat/abort`).catch((error) => setProblem({ error }));
  const onKeyDown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  const asked = Object.fromEntries(state.messages.filter((message) => message.role === "user").map((message) => [message.runId, message]));
  const answered = new Set(state.messages.filter((message) => message.role === "assistant").map((message) => message.runId));
  const live = Object.values(state.runs).filter((run) => !OVER.has(run.status));
  const ending = ({ role, runId, status }) => {
    if (role === "user" && answered.has(runId)) return undefined;
    const run = state.runs[runId] ?? { status };
    return ["failed", "aborted"].includes(run.status) ? run : undefined;
  };

  return (
    <div {...rest} className="lb-chat">
      <div ref={list} className="lb-messages" onScroll={onScroll} role="log" aria-label="Messages" tabIndex={0}>
        {state.cursor && <button type="button" className="lb-mini" onClick={() => read(state.cursor)}>Earlier messages</button>}
        {state.loaded && !state.messages.length && (
          <div className="lb-chat-empty"><p><strong>Give the agent a task.</strong></p><p>It works on this desktop: it has the terminal, the browser and the files that you see here.</p></div>
        )}
        {state.messages.map((message) => (
          <div key={message.id}>
            <Message message={message} asked={message.role === "assistant" && asked[message.runId]} />
            {ending(message) && <Ended run={ending(message)} />}
          </div>
        ))}
        {live.map((run) => <Running key={run.id} run={run} />)}
      </div>
      {problem && <Problem error={problem.error} onRetry={problem.retry} />}
      {note && <p className="lb-note">{note}</p>}
      <form className="lb-composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
        <textarea id="chat-input" rows={2} maxLength={100000} value={draft} disabled={disabled} aria-label="Message the agent" placeholder="Message the agent …" onChange={(event) => write(event.target.value)} onKeyDown={onKeyDown} />
        {busy && !draft.trim()
          ? <button type="button" id="chat-stop" className="lb-send" data-stop="true" onClick={stop} title="Stop the agent"><span aria-hidden="true">■</span> Stop</button>
          : <button type="submit" id="chat-send" className="lb-send" disabled={disabled || sending || !draft.trim()} title="Enter sends, Shift+Enter makes a new line">{busy ? "Queue" : "Send"}</button>}
      </form>
    </div>
  );
}
