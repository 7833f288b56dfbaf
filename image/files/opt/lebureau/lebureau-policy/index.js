import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

import { verdict } from "./policy.js";

export default definePluginEntry({
  id: "lebureau-policy",
  name: "Le Bureau policy",
  description: "Keeps the agent from deploying, publishing, buying and changing infrastructure",
  register(api) {
    api.on("before_tool_call", (event) => verdict(event.toolName, event.params ?? {}), {
      priority: 50,
    });
  },
});
