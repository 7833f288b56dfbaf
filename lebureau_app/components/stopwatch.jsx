import { useEffect, useState } from "react";
import { inWords } from "./elapsed.jsx";

const TENTHS_UNTIL = 10; // seconds
const JUST_NOW = 2; // seconds: times come in whole ones, so what has just begun begins at zero

/** "0.8 s": how long what is being done has been going on, counted here. A page that sees it begin counts from then. */
export function Stopwatch({ since, ...rest }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const seen = Date.now();
    const told = Date.parse(since);
    const began = told && seen - told > JUST_NOW * 1000 ? told : seen;
    let timer;
    const tick = () => {
      const now = (Date.now() - began) / 1000;
      setSeconds(now);
      timer = setTimeout(tick, now < TENTHS_UNTIL ? 100 : 1000);
    };
    tick();
    return () => clearTimeout(timer);
  }, [since]);
  return <span {...rest}><span className="lb-clock" aria-hidden="true">{seconds < TENTHS_UNTIL ? `${seconds.toFixed(1)} s` : inWords(seconds)}</span></span>;
}
