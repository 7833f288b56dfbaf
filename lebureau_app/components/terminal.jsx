import { useEffect, useRef, useState } from "react";
import "@xterm/xterm/css/xterm.css";
import { keepConnected, socketUrl } from "./channel.js";

const THEME = {
  background: "#0d1017", foreground: "#d7dae0", cursor: "#9eb1ff", selectionBackground: "#3a4a7f",
  black: "#1c2024", red: "#ff9592", green: "#3dd68c", yellow: "#ffca16", blue: "#9eb1ff", magenta: "#baa7ff", cyan: "#4ccce6", white: "#d7dae0",
  brightBlack: "#7d828a", brightRed: "#ffd1d9", brightGreen: "#b1f1cb", brightYellow: "#ffe7b3", brightBlue: "#d6e1ff", brightMagenta: "#e2ddfe", brightCyan: "#b6ecf7", brightWhite: "#ffffff",
};
const OUTPUT = 48; // "0", the ttyd protocol (1.7): one byte of command before each payload

/** The desktop's terminal, by the ttyd protocol over a WebSocket. */
export function TerminalPane({ path, ready, waiting, ...rest }) {
  const host = useRef(null);
  const [status, setStatus] = useState("");

  useEffect(() => {
    if (!ready) return undefined;
    let term, observer, socket, stop, gone = false;
    const encoder = new TextEncoder();
    const send = (text) => socket?.readyState === WebSocket.OPEN && socket.send(encoder.encode(text));
    const connect = ({ opened, closed }) => {
      socket = new WebSocket(socketUrl(path), ["tty"]);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        send(JSON.stringify({ AuthToken: "", columns: term.cols, rows: term.rows }));
        term.reset();
        opened();
      };
      socket.onmessage = ({ data }) => {
        const frame = new Uint8Array(data);
        if (frame[0] === OUTPUT) term.write(frame.subarray(1));
      };
      socket.onclose = (event) => closed(event.code);
      return () => socket.close();
    };
    (async () => {
      const [{ Terminal }, { FitAddon }] = await Promise.all([import("@xterm/xterm"), import("@xterm/addon-fit")]);
      await document.fonts?.load('13px "JetBrains Mono Variable"').catch(() => {});
      if (gone) return;
      term = new Terminal({ fontFamily: '"JetBrains Mono Variable", monospace', fontSize: 13, cursorBlink: true, theme: THEME, scrollback: 5000, screenReaderMode: false });
      const fit = new FitAddon();
      term.loadAddon(fit);
      term.open(host.current);
      term.onData((text) => send(`0${text}`));
      term.onResize(({ cols, rows }) => send(`1${JSON.stringify({ columns: cols, rows })}`));
      const refit = () => host.current?.clientHeight > 20 && fit.fit();
      observer = new ResizeObserver(refit);
      observer.observe(host.current);
      refit();
      stop = keepConnected("terminal", connect, setStatus);
    })();
    return () => { gone = true; stop?.(); observer?.disconnect(); term?.dispose(); };
  }, [path, ready]);
  const said = ready ? status : waiting;

  return (
    <div {...rest} className="lb-channel lb-terminal">
      <div ref={host} className="lb-channel-host" />
      {said && <p className="lb-channel-status" role="status">{said}</p>}
    </div>
  );
}
