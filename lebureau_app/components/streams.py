"""What talks to the server by itself: screen, terminal, chat, pictures. None of it passes a state."""

import reflex as rx

_HELPERS = [
    rx.asset(name, shared=True) for name in ("http.js", "channel.js", "pictures.js", "markdown.jsx")
]


def _library(name: str) -> str:
    return rx.asset(name, shared=True, _stack_level=2).importable_path


class Screen(rx.Component):
    """The screen of a desktop, to look at or to work in."""

    library = _library("novnc.jsx")
    tag = "Screen"
    lib_dependencies: list[str] = ["@novnc/novnc@1.7.0"]

    desktop_id: rx.Var[str]
    path: rx.Var[str]
    control: rx.Var[bool]
    ready: rx.Var[bool]
    kept: rx.Var[bool]
    waiting: rx.Var[str]
    since: rx.Var[str]


class TerminalPane(rx.Component):
    """The terminal of a desktop."""

    library = _library("terminal.jsx")
    tag = "TerminalPane"
    lib_dependencies: list[str] = ["@xterm/xterm@6.0.0", "@xterm/addon-fit@0.11.0"]

    path: rx.Var[str]
    ready: rx.Var[bool]
    waiting: rx.Var[str]


class Chat(rx.Component):
    """The conversation with a desktop's agent."""

    library = _library("chat.jsx")
    tag = "Chat"
    lib_dependencies: list[str] = ["marked@18.2.1"]

    desktop_id: rx.Var[str]
    note: rx.Var[str]
    disabled: rx.Var[bool]


class Picture(rx.Component):
    """A small picture of a desktop's screen, live or the last one."""

    library = _library("picture.jsx")
    tag = "Picture"

    desktop_id: rx.Var[str]
    live: rx.Var[bool]
    kept: rx.Var[bool]
    alt: rx.Var[str]
    note: rx.Var[str]


class Workbench(rx.Component):
    """Its four children (screen, terminal, chat, snapshots) as panels; on a phone as tabs."""

    library = _library("workbench.jsx")
    tag = "Workbench"
    lib_dependencies: list[str] = ["react-resizable-panels@3.0.6"]


class Elapsed(rx.Component):
    """How long something has been so; counted in the browser."""

    library = _library("elapsed.jsx")
    tag = "Elapsed"

    since: rx.Var[str]
    suffix: rx.Var[str]


class Countdown(rx.Component):
    """How long it is until something happens; counted in the browser."""

    library = _library("countdown.jsx")
    tag = "Countdown"

    until: rx.Var[str]
    prefix: rx.Var[str]
    over: rx.Var[str]


class Stopwatch(rx.Component):
    """How long what is being done has been going on, to a tenth of a second."""

    library = _library("stopwatch.jsx")
    tag = "Stopwatch"

    since: rx.Var[str]


class Opened(rx.Component):
    """Tells once that a person has opened the thing with this id."""

    library = _library("opened.jsx")
    tag = "Opened"

    of: rx.Var[str]
    on_opened: rx.EventHandler[rx.event.no_args_event_spec]


class CopyButton(rx.Component):
    """Copies a text; `{origin}` in it becomes the page's origin."""

    library = _library("copy.jsx")
    tag = "CopyButton"

    text: rx.Var[str]
    label: rx.Var[str]
    done: rx.Var[str]


class Palette(rx.Component):
    """The command palette and the keys."""

    library = _library("palette.jsx")
    tag = "Palette"


class SetupForm(rx.Component):
    """The form that makes the owner account."""

    library = _library("setup.jsx")
    tag = "SetupForm"


screen = Screen.create
terminal = TerminalPane.create
chat = Chat.create
picture = Picture.create
workbench = Workbench.create
elapsed = Elapsed.create
countdown = Countdown.create
stopwatch = Stopwatch.create
opened = Opened.create
copy_button = CopyButton.create
palette = Palette.create
setup_form = SetupForm.create
