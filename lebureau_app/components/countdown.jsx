import { useEffect, useState } from "react";
import { inWords } from "./elapsed.jsx";

/** How long it is until something happens, counted here; `over` is what it says once the time has come. */
export function Countdown({ until, prefix = "", over = "", ...rest }) {
  const [now, setNow] = useState(null);
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!until || now === null) return <span {...rest} />;
  const left = (Date.parse(until) - now) / 1000;
  return <span {...rest}><time dateTime={until} title={new Date(until).toLocaleString()}>{left > 0 ? `${prefix}${inWords(left)}` : over}</time></span>;
}
