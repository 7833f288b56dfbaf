import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry";

import { openVisibleBrowser } from "./browser.js";
import { verdict } from "./policy.js";

export default definePluginEntry({
  id: "lebureau-policy",
  name: "Le Bureau policy",
  description: "Keeps the agent from deploying, publishing, buying and changing infrastructure",
  register(api) {
    api.on(
      "before_tool_call",
      async (event) => {
        const refusal = verdict(event.toolName, event.params ?? {});
        if (!refusal && event.toolName === "browser") await openVisibleBrowser();
        return refusal;
      },
      { priority: 50 },
    );
  },
});
