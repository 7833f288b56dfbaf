import { Fragment, memo } from "react";
import { marked } from "marked";
import { CopyButton } from "./copy.jsx";

const SAFE_LINK = /^(https?:|mailto:)/i;
const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");

const all = (tokens) => tokens?.map((token, at) => <Fragment key={at}>{render(token)}</Fragment>);

function render(token) {
  switch (token.type) {
    case "heading": return <p className="lb-md-heading">{all(token.tokens)}</p>;
    case "paragraph": return <p>{all(token.tokens)}</p>;
    case "text": return token.tokens ? all(token.tokens) : unescape(token.text);
    case "strong": return <strong>{all(token.tokens)}</strong>;
    case "em": return <em>{all(token.tokens)}</em>;
    case "del": return <del>{all(token.tokens)}</del>;
    case "codespan": return <code>{unescape(token.text)}</code>;
    case "br": return <br />;
    case "hr": return <hr />;
    case "blockquote": return <blockquote>{all(token.tokens)}</blockquote>;
    case "link": return SAFE_LINK.test(token.href) ? <a href={token.href} target="_blank" rel="noreferrer noopener">{all(token.tokens)}</a> : all(token.tokens);
    case "image": return SAFE_LINK.test(token.href) ? <a href={token.href} target="_blank" rel="noreferrer noopener">{token.text || token.href}</a> : token.text;
    case "code": return <Code language={token.lang} text={token.text} />;
    case "list": return token.ordered ? <ol start={token.start || 1}>{items(token)}</ol> : <ul>{items(token)}</ul>;
    case "table": return <Table token={token} />;
    case "space": case "def": return null;
    default: return token.raw; // HTML, too, is text
  }
}

const items = (list) => list.items.map((item, at) => (
  <li key={at}>{item.task && <input type="checkbox" checked={!!item.checked} readOnly aria-label="Done" />}{all(item.tokens)}</li>
));

const Code = ({ language, text }) => (
  <figure className="lb-code">
    <figcaption><span>{language || "text"}</span><CopyButton text={text} /></figcaption>
    <pre tabIndex={0}><code>{text}</code></pre>
  </figure>
);

const Table = ({ token }) => (
  <div className="lb-md-table" tabIndex={0}>
    <table>
      <thead><tr>{token.header.map((cell, at) => <th key={at}>{all(cell.tokens)}</th>)}</tr></thead>
      <tbody>{token.rows.map((row, at) => <tr key={at}>{row.map((cell, column) => <td key={column}>{all(cell.tokens)}</td>)}</tr>)}</tbody>
    </table>
  </div>
);

/** Markdown as React elements: no HTML of an agent ever reaches the page. */
export const Markdown = memo(({ text }) => <div className="lb-md">{all(marked.lexer(text ?? ""))}</div>);
