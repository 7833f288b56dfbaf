/* What the screen and the terminal share: trying again, calmly and in words. */

const REASONS = {
  4001: "You are signed out.",
  4002: "The desktop was stopped.",
  4003: "This connection is too slow; trying again.",
};
const FINAL = new Set([4001]);
const FIRST_DELAY = 500;
const LONGEST_DELAY = 10000;

export const socketUrl = (path) => location.origin.replace(/^http/, "ws") + path;

/**
 * Keeps a connection open until `stop()`.
 * `connect({opened, closed})` makes one and returns how to end it; `say` gets what to show, "" when all is well.
 */
export function keepConnected(what, connect, say) {
  let stopped = false, timer, end, delay = FIRST_DELAY;
  const attempt = async () => {
    let over = false;
    const opened = () => { delay = FIRST_DELAY; say(""); };
    const closed = (code) => {
      if (over || stopped) return;
      over = true;
      const reason = REASONS[code] ?? `Connecting to the ${what} again …`;
      say(reason);
      if (FINAL.has(code)) return;
      timer = setTimeout(attempt, delay);
      delay = Math.min(delay * 2, LONGEST_DELAY);
    };
    end = await connect({ opened, closed });
    if (stopped) end?.();
  };
  say(`Connecting to the ${what} …`);
  attempt();
  return () => { stopped = true; clearTimeout(timer); end?.(); };
}
