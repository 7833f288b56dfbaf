"""Whether somebody's command runs in a terminal of a desktop."""

import asyncssh

from lebureau_app.guest import ssh

_SECONDS = 15.0

_WHAT_RUNS = """
tmux list-panes -a -F '#{pane_pid} #{pane_current_command}' 2>/dev/null |
while read -r pid command; do
    case "$command" in bash|dash|fish|sh|zsh) pgrep --parent "$pid" ;; *) echo "$command" ;; esac
done
true
"""


async def at_work(connection: asyncssh.SSHClientConnection) -> bool:
    """Whether a terminal runs more than its waiting shell: in front, or in its background.

    Every terminal of a desktop is a pane of the user's tmux(1), whether a page shows it or not.

    Args:
        connection: From `ssh.connect`.

    Raises:
        GuestError: The desktop does not answer.
    """
    return bool((await ssh.call(connection, _WHAT_RUNS, timeout=_SECONDS)).strip())
