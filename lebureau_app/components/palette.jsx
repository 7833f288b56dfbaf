import { useEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { call } from "./http.js";

const KEYS = [
  ["Ctrl K  or  ⌘ K", "Go anywhere, do anything"],
  ["/", "Search desktops"],
  ["N", "New Computer"],
  ["G then M", "Mission Control"],
  ["G then S", "Settings"],
  ["?", "These keys"],
  ["Esc", "Close"],
  ["Enter · Shift Enter", "In the chat: send · new line"],
];
/* What can be done to a desktop of a status, by which route, and where it leads. */
const VERBS = [
  { verb: "Start", path: "start", of: ["stopped"] },
  { verb: "Wake", path: "start", of: ["hibernated"] },
  { verb: "Hibernate", path: "hibernate", of: ["running"] },
  { verb: "Take a snapshot of", path: "snapshots", of: ["running", "stopped", "hibernated"] },
  { verb: "Fork", path: "fork", of: ["running", "stopped", "hibernated"], lead: (made, go) => go(`/desktop/${made.items[0].id}`) },
  { verb: "Stop", path: "stop", of: ["running"] },
  { verb: "Restart", path: "restart", of: ["running"] },
];
const NEVER = -Infinity;
const typing = (target) => target.isContentEditable || target.closest?.("input, textarea, select, .lb-channel, [role=dialog]");
const press = (id) => document.getElementById(id)?.click();

/** Commands for where we are: pages, what a desktop can do, and the desktops that match. */
function commandsFor(desktops, go, act) {
  const pages = [
    { name: "New Computer", hint: "N", run: () => press("new-computer") },
    { name: "Mission Control", hint: "G M", run: () => go("/") },
    { name: "Settings", hint: "G S", run: () => go("/settings/") },
    { name: "Settings: model keys", run: () => go("/settings/?section=models") },
    { name: "Settings: API keys", run: () => go("/settings/?section=api") },
    { name: "API documentation", run: () => open("/api/docs", "_blank", "noopener") },
    { name: "Show the keys", hint: "?", run: () => press("show-keys") },
    { name: "Sign out", run: () => press("sign-out") },
  ];
  const verbs = desktops.flatMap(({ id, name, status, task }) => [
    { name, kind: "desktop", hint: task ?? status, run: () => go(`/desktop/${id}`) },
    ...(task ? [] : VERBS).filter(({ of }) => of.includes(status)).map(({ verb, path, lead }) => (
      { name: `${verb} ${name}`, run: () => act(id, path).then((made) => lead?.(made, go)) }
    )),
  ]);
  return { pages, verbs };
}

const matches = (command, words) => words.every((word) => command.name.toLowerCase().includes(word));

function useDesktops(open, text) {
  const [desktops, setDesktops] = useState([]);
  useEffect(() => {
    if (!open) return undefined;
    const name = text.trim().split(/\s+/).at(-1);
    const timer = setTimeout(() => call("GET", `/api/desktops?limit=8&q=${encodeURIComponent(name)}`).then((page) => setDesktops(page.items), () => {}), 120);
    return () => clearTimeout(timer);
  }, [open, text]);
  return desktops;
}

/** The command palette, the list of keys, and the keys themselves. */
export function Palette() {
  const dialog = useRef(null);
  const help = useRef(null);
  const leader = useRef(NEVER);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const [problem, setProblem] = useState("");
  const navigate = useNavigate();
  const desktops = useDesktops(open, text);

  const show = () => { setText(""); setAt(0); setProblem(""); setOpen(true); dialog.current.showModal(); };
  const close = () => dialog.current.close();
  const commands = useMemo(() => {
    const act = (id, path) => call("POST", `/api/desktops/${id}/${path}`, {});
    const { pages, verbs } = commandsFor(desktops, navigate, act);
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...verbs.filter((command) => command.kind || words.length), ...pages].filter((command) => matches(command, words));
    return found.slice(0, 12);
  }, [desktops, text, navigate]);

  useEffect(() => {
    const onKey = (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        return dialog.current.open ? close() : show();
      }
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || dialog.current.open) return undefined;
      const afterG = performance.now() - leader.current < 1200;
      leader.current = event.key === "g" ? performance.now() : NEVER;
      const actions = afterG
        ? { m: () => navigate("/"), s: () => navigate("/settings/") }
        : { "/": () => (document.getElementById("search") ? document.getElementById("search").focus() : show()), "?": () => help.current.showModal(), n: () => press("new-computer") };
      const action = actions[event.key];
      if (action) { event.preventDefault(); action(); }
      return undefined;
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [navigate]);

  const run = async (command) => {
    close();
    try {
      await command?.run();
    } catch (error) {
      show();
      setProblem(`${error.message} ${error.hint}`);
    }
  };
  const onKeyDown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); setAt((before) => (before + step + commands.length) % Math.max(1, commands.length)); }
    if (event.key === "Enter") { event.preventDefault(); run(commands[at]); }
  };
  const outside = (event) => event.target === event.currentTarget && event.currentTarget.close();

  return (
    <>
      <button type="button" id="open-palette" className="lb-palette-open" onClick={show}><span>Search or do</span><kbd>Ctrl K</kbd></button>
      <button type="button" id="show-keys" hidden onClick={() => help.current.showModal()}>Keys</button>
      <dialog ref={dialog} className="lb-palette" aria-label="Search or do" onClose={() => setOpen(false)} onClick={outside}>
        <input autoFocus role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={`command-${at}`} aria-label="Search or do" placeholder="A desktop, a page, or what to do …" value={text} onChange={(event) => { setText(event.target.value); setAt(0); }} onKeyDown={onKeyDown} />
        {problem && <p className="lb-note" role="alert">{problem}</p>}
        <ul id="palette-list" role="listbox">
          {commands.map((command, index) => (
            <li key={command.name + index} id={`command-${index}`} role="option" aria-selected={index === at} onMouseMove={() => setAt(index)} onClick={() => run(command)}>
              <span>{command.name}</span>{command.hint && <small>{command.hint}</small>}
            </li>
          ))}
          {!commands.length && <li className="lb-palette-none">Nothing is called that.</li>}
        </ul>
      </dialog>
      <dialog ref={help} className="lb-palette lb-keys" aria-label="Keys" onClick={outside}>
        <h2>Keys</h2>
        <dl>{KEYS.map(([key, does]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div>)}</dl>
        <form method="dialog"><button className="lb-send">Close</button></form>
      </dialog>
    </>
  );
}
