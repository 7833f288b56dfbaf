import { useEffect, useRef, useState } from "react";
import { fetchPicture, lastPicture } from "./pictures.js";

const EVERY = 5000;
const WIDTH = 480;

/** A small picture of a desktop's screen: live, or where it has been `kept`, the last one, dimmed and still. */
export function Picture({ desktopId, live, kept, alt, note, ...rest }) {
  const box = useRef(null);
  const [picture, setPicture] = useState(() => lastPicture(desktopId));

  useEffect(() => {
    setPicture(lastPicture(desktopId));
    if (!live && !kept) return undefined;
    let gone = false, timer, seen = false;
    const wanted = () => seen && !document.hidden && !gone;
    const refresh = async () => {
      clearTimeout(timer);
      if (!wanted()) return;
      const taken = await fetchPicture(desktopId, WIDTH);
      if (taken && !gone) setPicture(taken);
      if (wanted() && live) timer = setTimeout(refresh, EVERY);
    };
    const observer = new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; refresh(); });
    observer.observe(box.current);
    if (live) document.addEventListener("visibilitychange", refresh);
    return () => { gone = true; clearTimeout(timer); observer.disconnect(); document.removeEventListener("visibilitychange", refresh); };
  }, [desktopId, live, kept]);

  return (
    <div {...rest}>
      <div ref={box} className="lb-picture" data-live={!!live}>
        {picture ? <img src={picture} alt={alt} draggable={false} /> : <span>{note}</span>}
      </div>
    </div>
  );
}
