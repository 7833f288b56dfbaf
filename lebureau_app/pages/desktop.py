"""A desktop: what is it doing, and do I want to step in?"""

from typing import Literal

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import negated
from lebureau_app.components.fork_dialog import fork_dialog
from lebureau_app.components.hibernation import resting
from lebureau_app.components.retier_dialog import retier_dialog
from lebureau_app.components.shell import shell
from lebureau_app.components.streams import chat, opened, screen, terminal, workbench
from lebureau_app.components.timeline import timeline
from lebureau_app.components.upgrade_dialog import upgrade_dialog
from lebureau_app.state.desktop import DesktopState
from lebureau_app.state.fork import ForkState
from lebureau_app.state.retier import RetierState
from lebureau_app.state.timeline import TimelineState
from lebureau_app.state.upgrade import UpgradeState

_DESKTOP = DesktopState.desktop


def page() -> rx.Component:
    """Screen, terminal, chat and snapshots of one desktop, under its lights."""
    return shell(
        "Desktop",
        rx.cond(
            DesktopState.found,
            rx.fragment(
                _bar(),
                parts.problem(DesktopState.problem, DesktopState.dismiss),
                _doing(),
                _slow_road(),
                rx.cond(
                    _DESKTOP.name != "",
                    rx.fragment(_panels(), _on_opening()),
                    rx.el.p("Reading the desktop …", class_name="lb-quiet"),
                ),
                _destroy_dialog(),
                fork_dialog(),
                retier_dialog(),
                upgrade_dialog(),
            ),
            parts.empty(
                "There is no such desktop.",
                "It may belong to another workspace, or the address is wrong.",
                rx.link(parts.button("Mission Control"), href="/"),
            ),
        ),
        wide=True,
    )


def _bar() -> rx.Component:
    return rx.el.div(
        rx.el.h1(_DESKTOP.name),
        parts.status(_DESKTOP.tone, _DESKTOP.word, id="desktop-status"),
        parts.since(_DESKTOP),
        parts.lineage(_DESKTOP),
        parts.lights(DesktopState.lights),
        rx.el.span(class_name="lb-grow"),
        rx.cond(DesktopState.may_operate & negated(_DESKTOP.destroyed), _actions()),
        class_name="lb-desktop-bar",
    )


def _actions() -> rx.Component:
    return rx.el.div(
        rx.cond(
            _DESKTOP.screen_ready,
            rx.cond(
                DesktopState.control,
                parts.button(
                    "Hand back",
                    icon="eye",
                    on_click=DesktopState.take_control(False),
                    id="hand-back",
                ),
                parts.button(
                    "Take control",
                    icon="mouse-pointer-2",
                    look="solid",
                    on_click=DesktopState.take_control(True),
                    id="take-control",
                ),
            ),
        ),
        rx.cond(
            _DESKTOP.refused != "",
            rx.fragment(_start_cold(), _start("soft")),
            rx.cond(_DESKTOP.can_start, _start("solid")),
        ),
        rx.cond(
            _DESKTOP.can_hibernate,
            parts.button(
                "Hibernate",
                icon="moon",
                on_click=DesktopState.hibernate(_DESKTOP.id),
                id="hibernate",
            ),
        ),
        rx.cond(
            _DESKTOP.can_stop,
            parts.button("Stop", icon="square", on_click=DesktopState.stop(_DESKTOP.id), id="stop"),
        ),
        _more(),
        class_name="lb-actions",
    )


def _start(look: Literal["solid", "soft"]) -> rx.Component:
    return parts.button(
        _DESKTOP.start_word,
        icon="play",
        look=look,
        on_click=DesktopState.start(_DESKTOP.id),
        id="start",
    )


def _start_cold() -> rx.Component:
    return parts.button(
        "Start cold",
        icon="power",
        look="solid",
        on_click=DesktopState.start_cold,
        title="Boot from its disk, and give up what was open",
        id="start-cold",
    )


def _more() -> rx.Component:
    return rx.dropdown_menu.root(
        rx.dropdown_menu.trigger(
            rx.el.button(
                rx.icon("ellipsis", size=16),
                type="button",
                class_name="lb-icon",
                aria_label="More",
                id="more",
            )
        ),
        rx.dropdown_menu.content(
            rx.dropdown_menu.item(
                "Restart",
                on_select=DesktopState.restart(_DESKTOP.id),
                disabled=negated(_DESKTOP.can_restart),
            ),
            rx.dropdown_menu.item(
                "Fork …",
                on_select=ForkState.ask_to_fork(True),
                disabled=negated(_DESKTOP.can_snapshot),
            ),
            rx.dropdown_menu.item(
                rx.cond(_DESKTOP.can_retier, "Change the tier …", "Change the tier: stop it first"),
                on_select=RetierState.ask_to_retier(True),
                disabled=negated(_DESKTOP.can_retier),
            ),
            rx.dropdown_menu.item(
                "Upgrade the image …",
                on_select=UpgradeState.ask_to_upgrade(True),
                disabled=negated(_DESKTOP.can_upgrade),
            ),
            rx.dropdown_menu.item(
                "Cancel what is being done",
                on_select=DesktopState.cancel(_DESKTOP.id),
                disabled=negated(_DESKTOP.busy),
            ),
            rx.dropdown_menu.separator(),
            parts.menu_label(_DESKTOP.tier, " · ", _DESKTOP.size),
            rx.cond(_DESKTOP.stored != "", parts.menu_label(_DESKTOP.stored)),
            rx.cond(_DESKTOP.usage != "", parts.menu_label(_DESKTOP.usage)),
            parts.menu_label(rx.el.code(_DESKTOP.id)),
            rx.dropdown_menu.separator(),
            rx.dropdown_menu.item(
                "Destroy …",
                class_name="lb-danger",
                on_select=DesktopState.ask_to_destroy(True),
                disabled=negated(_DESKTOP.can_destroy),
            ),
            size="1",
        ),
    )


def _doing() -> rx.Component:
    return rx.el.div(
        parts.doing(_DESKTOP, DesktopState.doing_since, id="desktop-line"),
        parts.progress(_DESKTOP.percent),
        rx.el.span(class_name="lb-grow"),
        rx.cond(
            (_DESKTOP.name != "") & negated(_DESKTOP.destroyed),
            resting(
                DesktopState.hibernation,
                may_operate=DesktopState.may_operate,
                desktop_id=_DESKTOP.id,
                on_keep_awake=DesktopState.keep_awake,
                on_choose=DesktopState.choose_rule,
                on_minutes=DesktopState.choose_minutes,
            ),
        ),
        rx.cond(
            _DESKTOP.running,
            parts.curl("POST", "/api/desktops/" + _DESKTOP.id + "/chat", '{"message": "…"}'),
            parts.curl("POST", "/api/desktops/" + _DESKTOP.id + "/start"),
        ),
        class_name="lb-doing",
    )


def _slow_road() -> rx.Component:
    told = DesktopState.slow_road_seen | (_DESKTOP.slow_road == "")
    return parts.banner(
        rx.cond(told, "", "It took the slow road. " + _DESKTOP.slow_road),
        "off",
        rx.el.span(class_name="lb-grow"),
        rx.el.button(
            "Put away",
            type="button",
            class_name="lb-mini",
            on_click=DesktopState.put_slow_road_away,
        ),
    )


def _on_opening() -> rx.Component:
    return rx.cond(DesktopState.may_operate, opened(of=_DESKTOP.id, on_opened=DesktopState.opened))


def _panels() -> rx.Component:
    sockets = "/ws/desktops/" + _DESKTOP.id
    return workbench(
        screen(
            desktop_id=_DESKTOP.id,
            path=sockets + "/vnc",
            control=DesktopState.control,
            ready=_DESKTOP.screen_ready,
            kept=_DESKTOP.kept,
            waiting=_DESKTOP.screen_waiting,
            since=rx.cond(_DESKTOP.waking, DesktopState.doing_since, ""),
        ),
        terminal(
            path=sockets + "/terminal",
            ready=_DESKTOP.terminal_ready,
            waiting=_DESKTOP.terminal_waiting,
        ),
        chat(desktop_id=_DESKTOP.id, note=_DESKTOP.chat_note, disabled=_DESKTOP.chat_closed),
        timeline(
            _DESKTOP,
            DesktopState.snapshots,
            may_operate=DesktopState.may_operate & negated(_DESKTOP.destroyed),
            on_take=TimelineState.take,
            on_fork=ForkState.ask_to_fork(True),
            on_restore=TimelineState.restore,
            on_delete=TimelineState.drop,
        ),
    )


def _destroy_dialog() -> rx.Component:
    return parts.confirm_by_name(
        asking=DesktopState.destroying,
        name=_DESKTOP.name,
        matches=DesktopState.name_matches,
        on_ask=DesktopState.ask_to_destroy,
        on_type=DesktopState.type_name,
        on_confirm=DesktopState.destroy,
    )
