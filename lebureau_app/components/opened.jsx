import { useEffect } from "react";

let told = ""; // of this page load: it survives that everything is made anew when the server comes back

/** Tells, once for each visit, that a person has opened a thing: not a tab behind others, nor a page that reconnects. */
export function Opened({ of, onOpened }) {
  useEffect(() => {
    const tell = () => {
      if (!of || told === of || document.hidden) return;
      told = of;
      onOpened();
    };
    tell();
    document.addEventListener("visibilitychange", tell);
    return () => {
      document.removeEventListener("visibilitychange", tell);
      if (!location.pathname.includes(of)) told = "";
    };
  }, [of]);
  return null;
}
