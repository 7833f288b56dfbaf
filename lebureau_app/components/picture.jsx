import { useEffect, useRef, useState } from "react";

const EVERY = 5000;
const latest = new Map(); // desktop id → object URL of its last picture, for the life of the page

function keep(id, blob) {
  const before = latest.get(id);
  latest.set(id, URL.createObjectURL(blob));
  if (before) setTimeout(() => URL.revokeObjectURL(before), 1000);
  return latest.get(id);
}

/** A small live picture of a desktop's screen; dimmed and still where it does not run. */
export function Picture({ desktopId, live, alt, note, ...rest }) {
  const box = useRef(null);
  const [picture, setPicture] = useState(() => latest.get(desktopId));

  useEffect(() => {
    setPicture(latest.get(desktopId));
    if (!live) return undefined;
    let gone = false, timer, seen = false;
    const wanted = () => seen && !document.hidden && !gone;
    const refresh = async () => {
      clearTimeout(timer);
      if (!wanted()) return;
      try {
        const answer = await fetch(`/api/desktops/${desktopId}/screenshot?width=480`);
        if (answer.ok && !gone) setPicture(keep(desktopId, await answer.blob()));
      } catch { /* the last picture stays; the lights say what is wrong */ }
      if (wanted()) timer = setTimeout(refresh, EVERY);
    };
    const observer = new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; refresh(); });
    observer.observe(box.current);
    document.addEventListener("visibilitychange", refresh);
    return () => { gone = true; clearTimeout(timer); observer.disconnect(); document.removeEventListener("visibilitychange", refresh); };
  }, [desktopId, live]);

  return (
    <div {...rest}>
      <div ref={box} className="lb-picture" data-live={!!live}>
        {picture ? <img src={picture} alt={alt} draggable={false} /> : <span>{note}</span>}
      </div>
    </div>
  );
}
