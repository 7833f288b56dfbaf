/* The last picture of each desktop, for the life of the page: a tile and the desktop's own page share it. */

const latest = new Map(); // desktop id → object URL

/** The last picture of a desktop as an object URL, or undefined. */
export const lastPicture = (id) => latest.get(id);

/** Keeps a picture as the last one, and lets go of the one before as soon as nothing shows it any more. */
export function keepPicture(id, blob) {
  const before = latest.get(id);
  latest.set(id, URL.createObjectURL(blob));
  if (before) setTimeout(() => URL.revokeObjectURL(before), 1000);
  return latest.get(id);
}

/** Asks for the screen, or where it is off for the last picture of it; undefined where there is none. */
export async function fetchPicture(id, width) {
  try {
    const answer = await fetch(`/api/desktops/${id}/screenshot?width=${width}`);
    return answer.ok ? keepPicture(id, await answer.blob()) : undefined;
  } catch {
    return undefined; // the picture before stays; the lights say what is wrong
  }
}
