import { useState } from "react";

/** Copies a text and says so in place. `{origin}` in it becomes this page's origin. */
export function CopyButton({ text, label = "Copy", done = "Copied", ...rest }) {
  const [copied, setCopied] = useState(false);
  const copy = async (event) => {
    event.preventDefault();
    event.stopPropagation();
    await navigator.clipboard.writeText(text.replaceAll("{origin}", location.origin));
    setCopied(true);
    setTimeout(() => setCopied(false), 1600);
  };
  return <span {...rest}><button type="button" className="lb-mini" onClick={copy} aria-live="polite">{copied ? done : label}</button></span>;
}
