import { useEffect, useState } from "react";

const UNITS = [["d", 86400], ["h", 3600], ["m", 60]];

/** "2 h 14 m" for seconds; tens of seconds only below a minute. */
export function inWords(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const at = UNITS.findIndex(([, size]) => whole >= size);
  if (at < 0) return `${whole} s`;
  const [unit, size] = UNITS[at];
  const [next, nextSize] = UNITS[at + 1] ?? ["s", 1];
  const rest = Math.floor((whole % size) / nextSize);
  return `${Math.floor(whole / size)} ${unit}${rest && at < 2 ? ` ${rest} ${next}` : ""}`;
}

/** How long something has been so, counted here, so that nothing has to be sent each second. */
export function Elapsed({ since, suffix = "", ...rest }) {
  const [now, setNow] = useState(null);
  useEffect(() => {
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!since || now === null) return <span {...rest} />;
  return <span {...rest}><time dateTime={since} title={new Date(since).toLocaleString()}>{inWords((now - Date.parse(since)) / 1000)}{suffix}</time></span>;
}
