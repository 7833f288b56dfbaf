"""OpenClaw in the image: installed, and changed where an emulated CPU is too slow for it.

An interpreted OpenClaw on an emulated CPU is some ten times slower than its makers expect. What it
gives up too early is told to wait, what it ends and starts again is kept, and what it reads anew
from the disk each time, though nothing in the image changes, is read once.
"""

from __future__ import annotations

from pathlib import Path

from image.errors import BuildError
from image.recipe import Profile
from image.software import SCRATCH, fetch_environment
from image.tree import Tree

OPENCLAW = "/usr/local/lib/node_modules/openclaw"
NPM_INSTALL = f"npm install --no-audit --no-fund --no-update-notifier --cache {SCRATCH}/npm"
_NEW_MAP = "/* @__PURE__ */ new Map()"
_REQUIRE = 'process.getBuiltinModule("node:module").createRequire("/")'
_LIBRARY = "/usr/local/lib/lebureau/openclaw"
_MIGRATION = f'{_REQUIRE}("{_LIBRARY}/migrated.cjs")'

PATIENCE_MS = (
    ("LEASE_HEARTBEAT_START_TIMEOUT_MS", "5e3", "9e4"),
    ("CDP_HTTP_REQUEST_TIMEOUT_MS", "1500", "3e4"),
    ("CDP_WS_HANDSHAKE_TIMEOUT_MS", "5e3", "6e4"),
    ("CDP_JSON_NEW_TIMEOUT_MS", "1500", "3e4"),
    ("CDP_TARGET_NAVIGATION_RESULT_TIMEOUT_MS", "2e3", "2e4"),
    ("PLAYWRIGHT_TARGET_INFO_TIMEOUT_MS", "2e3", "2e4"),
    ("PROFILE_HTTP_REACHABILITY_TIMEOUT_MS", "300", "2e4"),
    ("PROFILE_WS_REACHABILITY_MAX_TIMEOUT_MS", "2e3", "3e4"),
    ("PROFILE_ATTACH_RETRY_TIMEOUT_MS", "1200", "3e4"),
    ("DEFAULT_BROWSER_PROXY_TIMEOUT_MS", "2e4", "12e4"),
)
_PATIENT = tuple((f"{name} = {given};", f"{name} = {ours};") for name, given, ours in PATIENCE_MS)

# What OpenClaw ends when it was not used for a while, and an emulated CPU starts again in a minute.
_NEVER_IDLE = (
    ("options.idleTimeoutMs ?? 6e4", "options.idleTimeoutMs ?? 0"),
    ("idleTimeoutMs: 3e4", "idleTimeoutMs: 0"),
    ("SQLITE_IDLE_HANDLE_TTL_MS = 18e5", "SQLITE_IDLE_HANDLE_TTL_MS = 2147483647"),
    ("AUTH_PROFILE_READ_IDLE_MS = 18e5", "AUTH_PROFILE_READ_IDLE_MS = 2147483647"),
    ("IDLE_EXECUTION_MS = 6e4", "IDLE_EXECUTION_MS = 2147483647"),
)

# A worker that is late is ended and started again, which makes it late again.
_LATE = (("resolveTimerTimeoutMs(timeoutMs, 6e4)", "10 * resolveTimerTimeoutMs(timeoutMs, 6e4)"),)

# What it does as soon as a database is opened, beside the message that somebody waits for.
_LATER = (("queue.paths.size > 0 ? 0 :", "queue.paths.size > 0 ? 36e5 :"),)

# It ends the worker that reads sessions after each look for where they are, and the next question
# waits until another one has started.
_KEPT_WORKER = (("if (dispatched) try {", "if (false) try {"),)

# It examines its whole state again at each start with other settings, such as another model key;
# another version of it, or of a plugin, still makes it do so.
_MIGRATED = (
    ("hashRuntimeConfigValue(effectiveConfig)", '"any"'),
    ("hashRuntimeConfigValue(pluginDoctorConfig)", '"any"'),
)

# A doctor looks at each start whether its state is of another version: a note beside it tells, too.
_NO_DOCTOR = (
    (
        "if (!options.requireStartupMigrationCheckpoint) return run(options);",
        f"if (!options.requireStartupMigrationCheckpoint || {_MIGRATION}.isMigrated()) return run(options);",
    ),
    (
        'invocationPurpose: "startup"\n\t\t\t\t\t}));',
        'invocationPurpose: "startup"\n\t\t\t\t\t}))'
        f".then((done) => ({_MIGRATION}.noteMigrated(), done));",
    ),
)

# It takes the schema of each database apart in each thread that opens it: once is enough.
_SCHEMAS_KNOWN = (
    (
        "function collectSqliteSchemaIssues(database, schemaSql, compatibility = {}, readTable) {\n",
        f"""function collectSqliteSchemaIssues(database, schemaSql, compatibility = {{}}, readTable) {{
	return {_REQUIRE}("{_LIBRARY}/schemas.cjs").issuesOf(
		() => findSqliteSchemaIssues(database, schemaSql, compatibility, readTable),
		database, schemaSql, compatibility
	);
}}
function findSqliteSchemaIssues(database, schemaSql, compatibility, readTable) {{
""",
    ),
)

# It compares the workspace with git before the first answer of a conversation, in a thread that takes
# minutes to start, for a page of its own that desktops do not have.
_NO_DIFF = (
    (
        'await traceGetReplyPhase("reply.capture_session_diff_baseline",',
        'if (false) await traceGetReplyPhase("reply.capture_session_diff_baseline",',
    ),
)

# It searches the disk for plugins several times when its configuration changes. They come with the
# image: the first search holds until it starts anew, and so does what it found out about them.
_PLUGINS_STAY = (
    (f"\tdiscovery: {_NEW_MAP},", "\tdiscovery: globalThis.lebureauDiscovery ??= new Map(),"),
    (
        f"\tsharedDiscovery: {_NEW_MAP},",
        "\tsharedDiscovery: globalThis.lebureauShared ??= new Map(),",
    ),
    (
        "stalePluginFiles ??= persistedIndex ?",
        "stalePluginFiles ??= globalThis.lebureauStale ??= persistedIndex ?",
    ),
    ("normalizePluginsConfig(params.config?.plugins).loadPaths.length > 0 ||", "false ||"),
    (
        f"\tbundledChannelCatalogs: {_NEW_MAP},",
        "\tbundledChannelCatalogs: globalThis.lebureauChannels ??= new Map(),",
    ),
    (
        "function loadPluginManifestRegistryForInstalledIndex(params) {\n",
        """function loadPluginManifestRegistryForInstalledIndex(params) {
	if (params.pluginIds || params.manifestRegistry || params.bundledChannelConfigCollector)
		return readPluginManifestRegistryForInstalledIndex(params);
	const known = globalThis.lebureauManifests ??= new Map();
	const key = JSON.stringify([
		resolveInstalledManifestRegistryIndexFingerprint(params.index),
		params.includeDisabled,
		params.workspaceDir,
		params.config?.plugins?.load
	]);
	if (!known.has(key)) known.set(key, readPluginManifestRegistryForInstalledIndex(params));
	const { plugins, diagnostics } = known.get(key);
	return { plugins: [...plugins], diagnostics: [...diagnostics] };
}
function readPluginManifestRegistryForInstalledIndex(params) {
""",
    ),
)

# A configuration is written in one step here, and somebody waits for what comes of it.
_NOTICED_AT_ONCE = (
    (
        "depth: 0,\n\t\t\tignoreInitial: true,\n\t\t\tawaitWriteFinish: {\n"
        "\t\t\t\tstabilityThreshold: 200,\n\t\t\t\tpollInterval: 50",
        "depth: 0,\n\t\t\tignoreInitial: true,\n\t\t\tawaitWriteFinish: {\n"
        "\t\t\t\tstabilityThreshold: 20,\n\t\t\t\tpollInterval: 10",
    ),
    ("\tdebounceMs: 300\n", "\tdebounceMs: 20\n"),
)

# A reload waits for what the plugins of before are still at, and one call of ours never ends.
_NO_LONG_FAREWELL = (("const SHUTDOWN_TIMEOUT_MS = 5e3;", "const SHUTDOWN_TIMEOUT_MS = 100;"),)

# It searches for the sign-ins of other programs, and for models that could review skills; the image
# has none of those programs, and that review is off.
_NOT_HERE = (
    (
        "function resolveExternalAuthProfilesWithPlugins(params) {",
        "function resolveExternalAuthProfilesWithPlugins(params) {\n\t\treturn [];",
    ),
    (
        "const configuredEligibility = hasEligibleSkillCollectionReviewRuntime(",
        "const configuredEligibility = workshopEnabled && hasEligibleSkillCollectionReviewRuntime(",
    ),
)

# It asks git, npm and pnpm how it was installed, for updates of itself. Images bring those.
_INSTALLED_BY_NPM = (
    (
        "const packageManager = isGit ? await detectPackageManager(root) :",
        'const packageManager = true ? "npm" :',
    ),
)

# A model whose run comes from a program is told that it may answer with nothing. A person reads it here.
_ALWAYS_ANSWERED = (
    ('params.silentReplyPromptMode ?? "generic"', 'params.silentReplyPromptMode ?? "none"'),
)

# It keeps what is deleted in an archive, for which a thread starts. Deleted is deleted here.
_NO_ARCHIVE = (
    ("archiveTranscript: incognito ? false : deleteTranscript,", "archiveTranscript: false,"),
    (
        "deleteTranscriptWithoutArchive: incognito,",
        "deleteTranscriptWithoutArchive: incognito || deleteTranscript,",
    ),
)

# It enters each run in a list of tasks, seven times in a short one, before it is told that the run has
# ended. Le Bureau has a journal of its own.
_NO_TASKS = (
    (
        'if (params.confirmedAcpManualSpawn) return "none";\n\treturn "cli";',
        'return "none";',
    ),
)

CHANGES = (
    *_PATIENT,
    *_NEVER_IDLE,
    *_LATE,
    *_LATER,
    *_KEPT_WORKER,
    *_MIGRATED,
    *_NO_DOCTOR,
    *_SCHEMAS_KNOWN,
    *_NO_DIFF,
    *_PLUGINS_STAY,
    *_NOTICED_AT_ONCE,
    *_NO_LONG_FAREWELL,
    *_NOT_HERE,
    *_INSTALLED_BY_NPM,
    *_ALWAYS_ANSWERED,
    *_NO_ARCHIVE,
    *_NO_TASKS,
)
"""What is in OpenClaw's program, and what is there instead."""


def install_openclaw(tree: Tree, profile: Profile) -> None:
    """Install OpenClaw and its dependencies with npm, and change it."""
    tree.shell(
        f"""
        {NPM_INSTALL} --global --prefix /usr/local openclaw@{profile.openclaw}
        rm -rf {SCRATCH}/npm {OPENCLAW}/docs
        """,
        env=fetch_environment(tree),
    )
    change(tree.path(f"{OPENCLAW}/dist"))


def change(program: Path) -> None:
    """Change every place in OpenClaw's program that has to be.

    Args:
        program: The folder of its modules.

    Raises:
        BuildError: It has such a place no more: another version needs another change.
    """
    texts = {file: file.read_text() for file in program.rglob("*.*js")}
    changed = set[Path]()
    for given, ours in CHANGES:
        holders = [file for file, text in texts.items() if given in text]
        if not holders:
            raise BuildError(
                f"OpenClaw has no “{given.strip()}” any more.",
                "See in image/openclaw.py what that was changed for, and whether it still must be.",
            )
        for file in holders:
            texts[file] = texts[file].replace(given, ours)
        changed.update(holders)
    for file in changed:
        file.write_text(texts[file])
