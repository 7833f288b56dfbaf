import { useEffect, useRef } from "react";

/** Tells, once for each thing, that a person has opened it: not a tab behind others, and not a page that reconnects. */
export function Opened({ of, onOpened }) {
  const told = useRef("");
  useEffect(() => {
    const tell = () => {
      if (!of || told.current === of || document.hidden) return;
      told.current = of;
      onOpened();
    };
    tell();
    document.addEventListener("visibilitychange", tell);
    return () => document.removeEventListener("visibilitychange", tell);
  }, [of]);
  return null;
}
