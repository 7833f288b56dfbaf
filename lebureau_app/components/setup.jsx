import { useEffect, useState } from "react";

const tokenFromAddress = () => new URLSearchParams(location.hash.slice(1)).get("token") ?? new URLSearchParams(location.search).get("token") ?? "";

/** Makes the owner account with the one-time token of the link, which never reaches a log or a history. */
export function SetupForm() {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    setToken(tokenFromAddress());
    history.replaceState(history.state, "", location.pathname);
  }, []);

  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    try {
      const answer = await fetch("/auth/setup", { method: "POST", body: new URLSearchParams(form), headers: { Accept: "application/json" }, redirect: "follow" });
      if (answer.ok) return location.assign("/");
      const json = await answer.json().catch(() => null);
      setProblem(json?.error ?? { message: `The server answered ${answer.status}.`, hint: "Look in its log." });
    } catch {
      setProblem({ message: "Le Bureau does not answer.", hint: "Is the server running?" });
    }
    setBusy(false);
    return undefined;
  };
  const field = (name) => problem?.fields?.[name] && <small className="lb-field-problem" id={`${name}-problem`}>{problem.fields[name]}</small>;

  return (
    <form className="lb-sign" onSubmit={submit} method="post" action="/auth/setup">
      <label className="lb-field">Set-up token<input name="token" required value={token} onChange={(event) => setToken(event.target.value)} autoComplete="off" spellCheck="false" aria-describedby="token-help" />
        <small id="token-help">{token ? "Taken from your link." : "It is in the link that `make run` printed in the terminal."}</small>{field("token")}</label>
      <label className="lb-field">Email<input name="email" type="email" required autoComplete="username" autoFocus />{field("email")}</label>
      <label className="lb-field">Password<input name="password" type="password" required minLength={10} autoComplete="new-password" aria-describedby="password-help" /><small id="password-help">At least 10 characters.</small>{field("password")}</label>
      {problem && <div className="lb-problem" role="alert"><p><strong>{problem.message}</strong> {problem.hint}</p>{problem.requestId && <small>Request {problem.requestId}</small>}</div>}
      <button className="lb-primary" disabled={busy}>{busy ? "Creating your account …" : "Create the owner account"}</button>
    </form>
  );
}
