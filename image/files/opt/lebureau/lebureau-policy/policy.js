/**
 * The first, fixed policy: what an agent may not do by itself.
 *
 * It is a guard rail, not a wall: it reads what a tool is asked to do, not what a program does.
 */

const DEPLOY = "deploy";
const PUBLISH = "publish";
const BUY = "buy or pay";
const CHANGE = "change infrastructure";

const START = String.raw`(?:^|[\n;&|(\x60]|\$\()\s*(?:(?:sudo|env|exec|time|nohup|command)\s+(?:-\S+\s+)*)*(?:\w+=\S*\s+)*(?:npx\s+(?:-\S+\s+)*|\S*/)?`;
const OPTIONS = String.raw`(?:\s+-{1,2}[\w-]+(?:[= ](?!-)\S+)??)*?\s+`;

const command = (program, ...actions) =>
  new RegExp(`${START}(?:${program})${actions.map((action) => OPTIONS + `(?:${action})`).join("")}(?![\\w-])`, "m");

const COMMANDS = [
  [PUBLISH, command("npm|pnpm|yarn|bun|lerna", "publish|unpublish|dist-tag")],
  [PUBLISH, command("yarn", "npm", "publish")],
  [PUBLISH, command("twine", "upload")],
  [PUBLISH, command("uv|poetry|flit|hatch|pdm|cargo|vsce|ovsx", "publish")],
  [PUBLISH, command("python3?", "(?:-m\\s+)?twine", "upload")],
  [PUBLISH, command("gem|nuget", "push")],
  [PUBLISH, command("dotnet", "nuget", "push")],
  [PUBLISH, command("docker|podman|nerdctl|buildah|skopeo|crane|helm", "push|copy")],
  [PUBLISH, command("docker|podman", "image|manifest", "push")],
  [PUBLISH, command("docker", "buildx|build", ".*--push")],
  [PUBLISH, command("gh|glab", "release", "create|upload|delete|edit")],
  [DEPLOY, command("vercel|now", "deploy|--prod|promote|rollback|remove|rm")],
  [DEPLOY, /(?:^|[\n;&|])\s*(?:npx\s+)?vercel\s*(?:$|[\n;&|])/m],
  [DEPLOY, command("netlify|firebase|wrangler|surge|serverless|sls|sam|amplify|gatsby|modal|railway", "deploy|up|publish|delete|remove")],
  [DEPLOY, command("fly|flyctl", "deploy|launch|scale|apps|machine|destroy|secrets")],
  [DEPLOY, command("heroku", "\\w+:(?:create|destroy|deploy|push|release|set|scale|promote|add)\\S*|create")],
  [DEPLOY, command("kamal|cap|dokku|eb|copilot|skaffold", "deploy|run|create|terminate|delete")],
  [DEPLOY, command("cdk", "deploy|destroy|bootstrap")],
  [DEPLOY, command("ansible-playbook", "\\S+")],
  [CHANGE, command("terraform|tofu|terragrunt", "apply|destroy|import|taint|untaint|run-all")],
  [CHANGE, command("pulumi", "up|update|destroy|import|cancel")],
  [CHANGE, command("kubectl|oc", "apply|create|delete|patch|replace|edit|scale|rollout|set|drain|cordon|uncordon|taint|run|expose|autoscale|annotate|label")],
  [CHANGE, command("helm", "install|upgrade|uninstall|delete|rollback")],
  [CHANGE, command("helmfile|kustomize|argocd|flux", "apply|sync|destroy|delete|create|bootstrap|app")],
  [CHANGE, command("eksctl|doctl|hcloud|linode-cli|vultr-cli|scw|ibmcloud|oci|packer|qm|pct|pvesh", ".*\\b(?:create|delete|destroy|update|apply|set|build|deploy|start|stop|resize|rebuild|terminate)")],
  [CHANGE, command("aws", ".*\\b(?:create|delete|put|update|run-instances|terminate|start|stop|reboot|modify|attach|detach|associate|disassociate|register|deregister|deploy|cp|mv|rm|rb|mb|sync|invoke|send|publish)[\\w-]*")],
  [CHANGE, command("gcloud|az|gsutil", ".*\\b(?:create|delete|update|deploy|set|add|remove|start|stop|restart|resize|reset|import|patch|enable|disable|cp|mv|rm|rsync|rb|mb)[\\w-]*")],
];

const PURCHASE =
  /\b(?:buy(?: it)?(?: now)?|purchase|pay(?: now)?|place (?:your |my )?order|complete (?:your |my )?(?:order|purchase)|confirm (?:and pay|order|purchase|payment)|proceed to (?:payment|checkout)|check ?out|subscribe(?: now)? (?:and|&) pay|add payment method)\b/i;
const PURCHASE_PAGE = /\/(?:checkout|payments?|billing\/(?:pay|upgrade)|place-?order|buy-?now)(?:[/?#]|$)/i;

const EXEC_TOOLS = new Set(["exec", "bash", "shell", "process"]);
const BROWSING = new Set(["navigate", "open"]);
const TYPING = new Set(["type", "key", "set_value"]);

/**
 * Decide on a tool call.
 *
 * @param {string} tool Name of the tool.
 * @param {Record<string, unknown>} params Its parameters.
 * @returns {{block: true, blockReason: string} | undefined} A refusal, or nothing.
 */
export function verdict(tool, params) {
  const forbidden = forbiddenAct(tool, params);
  if (!forbidden) return undefined;
  return {
    block: true,
    blockReason:
      `Le Bureau's policy does not let the agent ${forbidden}. Do not try another way: tell the ` +
      "person what you were about to do and why, and ask them to do it themselves.",
  };
}

function forbiddenAct(tool, params) {
  if (EXEC_TOOLS.has(tool)) return forbiddenCommand(text(params.command));
  if (tool === "browser") return forbiddenPageAct(params);
  if (tool === "computer" && TYPING.has(text(params.action))) return forbiddenCommand(text(params.text));
  return undefined;
}

function forbiddenCommand(line) {
  const joined = line.replace(/\\\n/g, " ");
  const unquoted = joined.replace(/\b(?:ba|da|z)?sh\s+-\w*c\s+(["'])([\s\S]*?)\1/g, "\n$2\n");
  return COMMANDS.find(([, pattern]) => pattern.test(unquoted))?.[0];
}

function forbiddenPageAct(params) {
  const action = text(params.action);
  const url = text(params.url) || text(params.targetUrl);
  if (BROWSING.has(action)) return PURCHASE_PAGE.test(url) ? BUY : undefined;
  if (action !== "act") return undefined;
  return PURCHASE.test(JSON.stringify(params)) ? BUY : undefined;
}

function text(value) {
  return typeof value === "string" ? value : "";
}
