import { Children, useEffect, useRef, useState } from "react";
import { Panel, PanelGroup, PanelResizeHandle } from "react-resizable-panels";

const PHONE = "(max-width: 760px)";

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

/* A tab is made when it is first opened, and then kept, so that nothing connects twice. */
function useTabs(panels) {
  const names = Object.keys(panels);
  const [tab, open] = useState(names[0]);
  const opened = useRef(new Set());
  opened.current.add(tab);
  const onKeyDown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = names[(names.indexOf(tab) + step + names.length) % names.length];
    open(next);
    event.currentTarget.querySelector(`[data-tab=${next}]`).focus();
  };
  const list = (
    <div role="tablist" aria-label="Parts of the desktop" onKeyDown={onKeyDown}>
      {names.map((name) => (
        <button key={name} type="button" role="tab" data-tab={name} aria-selected={tab === name} aria-controls={`tab-${name}`} tabIndex={tab === name ? 0 : -1} onClick={() => open(name)}>{name}</button>
      ))}
    </div>
  );
  const shown = names.map((name) => (
    <div key={name} id={`tab-${name}`} role="tabpanel" aria-label={name} hidden={tab !== name}>{opened.current.has(name) && panels[name]}</div>
  ));
  return [list, shown];
}

/** A panel that folds away to its title bar and goes full screen; its bar has a title or tabs. */
function Pane({ title, tabs, children, panelRef, ...size }) {
  const box = useRef(null);
  const [folded, setFolded] = useState(false);
  const fold = () => (folded ? panelRef.current.expand() : panelRef.current.collapse());
  const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : box.current.requestFullscreen());
  return (
    <Panel ref={panelRef} collapsible collapsedSize={4} onCollapse={() => setFolded(true)} onExpand={() => setFolded(false)} {...size}>
      <section ref={box} className="lb-pane" data-folded={folded} aria-label={title}>
        <header className="lb-pane-bar" onDoubleClick={fold}>
          {tabs ?? <h2>{title}</h2>}
          <button type="button" className="lb-mini" onClick={fold} aria-expanded={!folded}>{folded ? "Open" : "Fold"}</button>
          <button type="button" className="lb-mini" onClick={fullScreen}>Full screen</button>
        </header>
        <div className="lb-pane-body">{children}</div>
      </section>
    </Panel>
  );
}

function Panels({ Screen, Terminal, ...beside }) {
  const refs = [useRef(null), useRef(null), useRef(null)];
  const [tabs, shown] = useTabs(beside);
  return (
    <PanelGroup direction="horizontal" autoSaveId="lebureau.desktop.columns">
      <Panel id="work" order={1} minSize={30} defaultSize={66}>
        <PanelGroup direction="vertical" autoSaveId="lebureau.desktop.rows">
          <Pane id="screen" order={1} title="Screen" panelRef={refs[0]} minSize={20} defaultSize={66}>{Screen}</Pane>
          <PanelResizeHandle className="lb-handle" aria-label="Height of screen and terminal" />
          <Pane id="terminal" order={2} title="Terminal" panelRef={refs[1]} minSize={12} defaultSize={34}>{Terminal}</Pane>
        </PanelGroup>
      </Panel>
      <PanelResizeHandle className="lb-handle" aria-label="Width of chat and snapshots" />
      <Pane id="chat" order={2} title="Chat and snapshots" tabs={tabs} panelRef={refs[2]} minSize={22} defaultSize={34}>{shown}</Pane>
    </PanelGroup>
  );
}

function Tabs(panels) {
  const [tabs, shown] = useTabs(panels);
  return <div className="lb-tabs">{tabs}{shown}</div>;
}

/** Screen and terminal, with chat or snapshots beside them; on a phone all of them as tabs, chat first. */
export function Workbench({ children, ...rest }) {
  const phone = usePhone();
  const [Screen, Terminal, Chat, Snapshots] = Children.toArray(children);
  const Layout = phone ? Tabs : Panels;
  return <div {...rest} className="lb-workbench">{phone !== null && <Layout Chat={Chat} Screen={Screen} Terminal={Terminal} Snapshots={Snapshots} />}</div>;
}
