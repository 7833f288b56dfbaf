import assert from "node:assert/strict";
import { test } from "node:test";

import { verdict } from "../../image/files/opt/lebureau/lebureau-policy/policy.js";

const REFUSED = [
  "npm publish",
  "npm publish --access public",
  "cd pkg && npm publish",
  "sudo npm publish",
  "NPM_TOKEN=x npm --registry https://r.example publish",
  "pnpm -r publish",
  "yarn npm publish",
  "npx lerna publish",
  "twine upload dist/*",
  "python3 -m twine upload dist/*",
  "uv publish",
  "cargo publish --dry-run=false",
  "docker push org/app:1",
  "docker --context prod push org/app",
  "docker buildx build --push .",
  "gh release create v1",
  "terraform apply -auto-approve",
  "terraform -chdir=infra apply",
  "/usr/bin/terraform destroy",
  "bash -c 'terraform destroy'",
  "echo $(pulumi up --yes)",
  "kubectl apply -f x.yaml",
  "kubectl -n prod delete pod x",
  "kubectl --namespace prod rollout restart deploy/x",
  "helm upgrade app ./chart",
  "vercel --prod",
  "vercel deploy",
  "npx vercel",
  "netlify deploy --prod",
  "fly deploy",
  "wrangler deploy",
  "heroku apps:create x",
  "cdk deploy",
  "aws ec2 terminate-instances --instance-ids i-1",
  "aws s3 cp a s3://b/",
  "aws --profile p s3 sync . s3://b",
  "gcloud compute instances create x",
  "az vm delete -n x",
  "ansible-playbook site.yml",
  "true; docker push x",
  "make build\nnpm publish",
];

const ALLOWED = [
  "npm install",
  "npm run build",
  "npm run publish-docs --dry-run",
  "npm view publish",
  "cat publish.md",
  "git push origin main",
  "git commit -m 'docs: how to npm publish'",
  "grep -rn 'terraform apply' .",
  "terraform plan",
  "terraform init",
  "kubectl get pods",
  "kubectl describe pod delete-me",
  "helm list",
  "docker build -t x .",
  "docker run x",
  "aws s3 ls",
  "aws ec2 describe-instances",
  "gcloud compute instances list",
  "az vm list",
  "pulumi preview",
  "vercel --version",
  "fly status",
  "sudo systemctl poweroff",
  "echo hi > /tmp/file",
  "pip install twine",
  "sudo apt-get install -y docker.io",
  "gh pr create",
  "python3 deploy.py --help",
];

for (const command of REFUSED) {
  test(`refuses: ${command}`, () => {
    const answer = verdict("exec", { command });
    assert.equal(answer?.block, true);
    assert.match(answer.blockReason, /policy does not let the agent (deploy|publish|change)/);
  });
}

for (const command of ALLOWED) {
  test(`allows: ${command}`, () => assert.equal(verdict("exec", { command }), undefined));
}

test("refuses to buy in the browser", () => {
  for (const text of ["Buy now", "Place your order", "Pay", "Proceed to checkout"]) {
    const answer = verdict("browser", { action: "act", request: { kind: "click", text } });
    assert.match(answer?.blockReason ?? "", /buy or pay/);
  }
  assert.equal(verdict("browser", { action: "navigate", url: "https://s.example/checkout?x" })?.block, true);
});

test("lets the browser read and click", () => {
  assert.equal(verdict("browser", { action: "navigate", url: "https://example.org/" }), undefined);
  assert.equal(verdict("browser", { action: "act", request: { kind: "click", ref: "e12" } }), undefined);
  assert.equal(verdict("browser", { action: "act", request: { kind: "type", text: "payload" } }), undefined);
});

test("refuses what is typed into a terminal by the computer tool", () => {
  assert.equal(verdict("computer", { action: "type", text: "npm publish" })?.block, true);
  assert.equal(verdict("computer", { action: "type", text: "hello" }), undefined);
});

test("lets files be written and tools without parameters run", () => {
  assert.equal(verdict("write", { path: "a", content: "npm publish" }), undefined);
  assert.equal(verdict("exec", {}), undefined);
  assert.equal(verdict("read", { path: "x" }), undefined);
});
