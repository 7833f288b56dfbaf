import { Children, useEffect, useRef, useState } from "react";
import { Panel, PanelGroup, PanelResizeHandle } from "react-resizable-panels";

const PHONE = "(max-width: 760px)";
const TABS = ["Chat", "Screen", "Terminal"];

function usePhone() {
  const [phone, setPhone] = useState(null);
  useEffect(() => {
    const query = matchMedia(PHONE);
    const read = () => setPhone(query.matches);
    read();
    query.addEventListener("change", read);
    return () => query.removeEventListener("change", read);
  }, []);
  return phone;
}

/** A panel that folds away to its title bar and goes full screen. */
function Pane({ title, children, panelRef, ...size }) {
  const box = useRef(null);
  const [folded, setFolded] = useState(false);
  const fold = () => (folded ? panelRef.current.expand() : panelRef.current.collapse());
  const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : box.current.requestFullscreen());
  return (
    <Panel ref={panelRef} collapsible collapsedSize={4} onCollapse={() => setFolded(true)} onExpand={() => setFolded(false)} {...size}>
      <section ref={box} className="lb-pane" data-folded={folded} aria-label={title}>
        <header className="lb-pane-bar" onDoubleClick={fold}>
          <h2>{title}</h2>
          <button type="button" className="lb-mini" onClick={fold} aria-expanded={!folded}>{folded ? "Open" : "Fold"}</button>
          <button type="button" className="lb-mini" onClick={fullScreen}>Full screen</button>
        </header>
        <div className="lb-pane-body">{children}</div>
      </section>
    </Panel>
  );
}

function Panels({ screen, terminal, chat }) {
  const refs = [useRef(null), useRef(null), useRef(null)];
  return (
    <PanelGroup direction="horizontal" autoSaveId="lebureau.desktop.columns">
      <Panel id="work" order={1} minSize={30} defaultSize={66}>
        <PanelGroup direction="vertical" autoSaveId="lebureau.desktop.rows">
          <Pane id="screen" order={1} title="Screen" panelRef={refs[0]} minSize={20} defaultSize={66}>{screen}</Pane>
          <PanelResizeHandle className="lb-handle" aria-label="Height of screen and terminal" />
          <Pane id="terminal" order={2} title="Terminal" panelRef={refs[1]} minSize={12} defaultSize={34}>{terminal}</Pane>
        </PanelGroup>
      </Panel>
      <PanelResizeHandle className="lb-handle" aria-label="Width of the chat" />
      <Pane id="chat" order={2} title="Chat" panelRef={refs[2]} minSize={22} defaultSize={34}>{chat}</Pane>
    </PanelGroup>
  );
}

/* A tab is made when it is first opened, and then kept, so that nothing connects twice. */
function Tabs({ screen, terminal, chat }) {
  const [tab, setTab] = useState("Chat");
  const [opened, setOpened] = useState(["Chat"]);
  const panels = { Chat: chat, Screen: screen, Terminal: terminal };
  const open = (name) => { setTab(name); setOpened((before) => [...new Set([...before, name])]); };
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(tab) + step + TABS.length) % TABS.length];
    open(next);
    event.currentTarget.querySelector(`[data-tab=${next}]`).focus();
  };
  return (
    <div className="lb-tabs">
      <div role="tablist" aria-label="Parts of the desktop" onKeyDown={onKeyDown}>
        {TABS.map((name) => (
          <button key={name} type="button" role="tab" data-tab={name} aria-selected={tab === name} aria-controls={`tab-${name}`} tabIndex={tab === name ? 0 : -1} onClick={() => open(name)}>{name}</button>
        ))}
      </div>
      {TABS.map((name) => (
        <div key={name} id={`tab-${name}`} role="tabpanel" aria-label={name} hidden={tab !== name}>{opened.includes(name) && panels[name]}</div>
      ))}
    </div>
  );
}

/** Screen, terminal and chat side by side; on a phone as tabs, chat first. */
export function Workbench({ children, ...rest }) {
  const phone = usePhone();
  const [screen, terminal, chat] = Children.toArray(children);
  const Layout = phone ? Tabs : Panels;
  return <div {...rest} className="lb-workbench">{phone !== null && <Layout screen={screen} terminal={terminal} chat={chat} />}</div>;
}
