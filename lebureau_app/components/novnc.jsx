import { useEffect, useRef, useState } from "react";
import { keepConnected, socketUrl } from "./channel.js";

/** The desktop's screen (RFB 3.8 over a WebSocket). `ready` says whether there is one to connect to. */
export function Screen({ path, control, ready, waiting, ...rest }) {
  const host = useRef(null);
  const rfb = useRef(null);
  const [status, setStatus] = useState("");
  const mode = control ? "control" : "view";

  useEffect(() => {
    if (!ready) return setStatus(waiting);
    return keepConnected("screen", async ({ opened, closed }) => {
      const { default: RFB } = await import("@novnc/novnc"); // touches `window`, so never while prerendering
      if (!host.current) return undefined;
      const socket = new WebSocket(socketUrl(`${path}?mode=${mode}`), ["binary"]);
      socket.addEventListener("close", (event) => closed(event.code));
      const connection = new RFB(host.current, socket, { shared: true });
      Object.assign(connection, { viewOnly: !control, scaleViewport: true, focusOnClick: true, background: "transparent" });
      connection.addEventListener("connect", opened);
      connection.addEventListener("clipboard", (event) => { host.current.dataset.clipboard = event.detail.text; });
      rfb.current = connection;
      return () => { rfb.current = null; connection.disconnect(); };
    }, setStatus);
  }, [path, mode, ready, waiting]);

  const paste = async () => {
    const text = await navigator.clipboard.readText().catch(() => null);
    if (text === null) return setStatus("This browser does not give its clipboard: allow it for this page.");
    rfb.current?.clipboardPasteFrom(text);
    rfb.current?.focus();
  };
  const copy = () => navigator.clipboard.writeText(host.current.dataset.clipboard ?? "");

  return (
    <div {...rest} className="lb-channel lb-screen" data-mode={mode}>
      <div ref={host} className="lb-channel-host" role="application" aria-label="Screen of the desktop" />
      {status && <p className="lb-channel-status" role="status">{status}</p>}
      {control && !status && (
        <div className="lb-channel-tools">
          <button type="button" className="lb-mini" onClick={paste} title="Give the desktop what you have copied">Paste in</button>
          <button type="button" className="lb-mini" onClick={copy} title="Take what the desktop has copied">Copy out</button>
        </div>
      )}
    </div>
  );
}
