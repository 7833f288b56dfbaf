import { useEffect, useRef, useState } from "react";
import { keepConnected, socketUrl } from "./channel.js";
import { fetchPicture, keepPicture, lastPicture } from "./pictures.js";
import { Stopwatch } from "./stopwatch.jsx";

const STILL_WIDTH = 1280;

/** The last picture of the screen: what is shown until there is a connection, and after it has ended. */
function useStill(desktopId, wanted, waiting) {
  const [still, setStill] = useState(() => lastPicture(desktopId));
  const attempt = still ? "" : waiting; // a fork has none before its original has been copied
  useEffect(() => {
    setStill(lastPicture(desktopId));
    if (!wanted) return undefined;
    let gone = false;
    fetchPicture(desktopId, STILL_WIDTH).then((picture) => picture && !gone && setStill(picture));
    return () => { gone = true; };
  }, [desktopId, wanted, attempt]);
  return [still, setStill];
}

/** The desktop's screen (RFB 3.8 over a WebSocket). `ready` says whether there is one to connect to, `kept` whether a picture is left of it. */
export function Screen({ desktopId, path, control, ready, kept, waiting, since, ...rest }) {
  const host = useRef(null);
  const rfb = useRef(null);
  const [status, setStatus] = useState("");
  const [still, setStill] = useStill(desktopId, ready || kept, waiting);
  const mode = control ? "control" : "view";

  useEffect(() => {
    if (!ready) return undefined;
    return keepConnected("screen", async ({ opened, closed }) => {
      const { default: RFB } = await import("@novnc/novnc"); // touches `window`, so never while prerendering
      if (!host.current) return undefined;
      const socket = new WebSocket(socketUrl(`${path}?mode=${mode}`), ["binary"]);
      let shown = false;
      const remember = () => {
        if (shown) host.current?.querySelector("canvas")?.toBlob((blob) => blob && setStill(keepPicture(desktopId, blob)));
      };
      socket.addEventListener("close", (event) => { remember(); closed(event.code); });
      const connection = new RFB(host.current, socket, { shared: true });
      Object.assign(connection, { viewOnly: !control, scaleViewport: true, focusOnClick: true, background: "transparent" });
      connection.addEventListener("connect", () => { shown = true; opened(); });
      connection.addEventListener("clipboard", (event) => { host.current.dataset.clipboard = event.detail.text; });
      rfb.current = connection;
      return () => { remember(); rfb.current = null; connection.disconnect(); };
    }, setStatus);
  }, [desktopId, path, mode, ready]);

  const paste = async () => {
    const text = await navigator.clipboard.readText().catch(() => null);
    if (text === null) return setStatus("This browser does not give its clipboard: allow it for this page.");
    rfb.current?.clipboardPasteFrom(text);
    rfb.current?.focus();
  };
  const copy = () => navigator.clipboard.writeText(host.current.dataset.clipboard ?? "");
  const said = ready ? status : waiting;

  return (
    <div {...rest} className="lb-channel lb-screen" data-mode={mode}>
      <div ref={host} className="lb-channel-host" role="application" aria-label="Screen of the desktop" />
      {still && <img className="lb-still" src={still} alt="" data-shown={!!said} draggable={false} />}
      {said && <p className="lb-channel-status" role="status"><span>{said}{!ready && since && <> · <Stopwatch since={since} /></>}</span></p>}
      {control && !said && (
        <div className="lb-channel-tools">
          <button type="button" className="lb-mini" onClick={paste} title="Give the desktop what you have copied">Paste in</button>
          <button type="button" className="lb-mini" onClick={copy} title="Take what the desktop has copied">Copy out</button>
        </div>
      )}
    </div>
  );
}
