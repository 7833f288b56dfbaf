"""Mission Control: who needs me?"""

from typing import Any

import reflex as rx

from lebureau_app.components import parts
from lebureau_app.components.expressions import count, negated
from lebureau_app.components.shell import shell
from lebureau_app.components.streams import picture
from lebureau_app.state.fleet import FleetState
from lebureau_app.state.views import DesktopView, StepView

_STATUSES = ("all", "running", "provisioning", "hibernated", "stopped", "error")


def page() -> rx.Component:
    """Who needs you, then everything else, quietly."""
    return shell(
        "Mission Control",
        rx.el.h1("Mission Control", class_name="lb-hidden"),
        parts.banner(FleetState.banner, "working"),
        parts.banner(FleetState.host_note, "off"),
        parts.problem(FleetState.problem, FleetState.dismiss),
        _needs_you(),
        rx.cond(
            FleetState.loaded,
            rx.cond(count(FleetState.steps) > 0, _first_visit(), _fleet()),
            rx.el.p("Reading the fleet …", class_name="lb-quiet", role="status"),
        ),
    )


def _needs_you() -> rx.Component:
    return rx.cond(
        count(FleetState.needs) > 0,
        rx.el.section(
            rx.el.h2("Needs you (", count(FleetState.needs), ")"),
            rx.el.ul(rx.foreach(FleetState.needs, _need)),
            class_name="lb-needs",
            id="needs-you",
        ),
    )


def _need(desktop: DesktopView) -> rx.Component:
    return rx.el.li(
        parts.status("needs", desktop.name),
        rx.el.span(desktop.line, class_name="lb-line"),
        rx.el.span(
            rx.link(parts.button("Look"), href=f"/desktop/{desktop.id}"),
            rx.cond(
                desktop.failed & FleetState.may_operate,
                parts.button("Start again", on_click=FleetState.start(desktop.id)),
            ),
            class_name="lb-actions",
        ),
    )


def _fleet() -> rx.Component:
    return rx.el.section(
        _filters(),
        rx.cond(
            count(FleetState.rows) > 0,
            rx.cond(FleetState.as_list, _list(), _wall()),
            parts.empty(
                "No desktop is like that.",
                "Change what you search for, or look at all of them.",
                parts.button("Show all", on_click=FleetState.clear_filters),
            ),
        ),
        _pages(),
        aria_label="Desktops",
    )


def _filters() -> rx.Component:
    return rx.el.div(
        rx.el.input(
            id="search",
            type="search",
            placeholder="Search a name, or label:value",
            aria_label="Search desktops",
            default_value=FleetState.q,
            on_change=FleetState.search.debounce(200),
            auto_complete="off",
            class_name="lb-search",
        ),
        rx.el.div(
            *(
                _choice(each.capitalize(), FleetState.status == each, FleetState.show_status(each))
                for each in _STATUSES
            ),
            class_name="lb-segments",
            role="group",
            aria_label="Status",
        ),
        rx.el.span(class_name="lb-grow"),
        rx.el.div(
            _choice("Wall", negated(FleetState.as_list), FleetState.show_as("wall"), "layout-grid"),
            _choice("List", FleetState.as_list, FleetState.show_as("list"), "list"),
            class_name="lb-segments",
            role="group",
            aria_label="Shape",
        ),
        class_name="lb-filters",
    )


def _choice(label: str, chosen: Any, on_click: Any, icon: str = "") -> rx.Component:
    return rx.el.button(
        *([rx.icon(icon, size=16, aria_hidden="true")] if icon else []),
        label,
        type="button",
        on_click=on_click,
        custom_attrs={"aria-pressed": rx.cond(chosen, "true", "false")},
    )


def _wall() -> rx.Component:
    return rx.el.ul(rx.foreach(FleetState.rows, _tile), class_name="lb-wall")


def _tile(desktop: DesktopView) -> rx.Component:
    return rx.el.li(
        rx.link(
            picture(
                desktop_id=desktop.id,
                live=desktop.live,
                kept=desktop.kept,
                alt=f"Screen of {desktop.name}",
                note=desktop.picture_note,
            ),
            rx.el.span(
                rx.el.strong(desktop.name), parts.small_lights(desktop), class_name="lb-tile-head"
            ),
            rx.el.span(
                parts.status(desktop.tone, desktop.word),
                parts.since(desktop),
                parts.lineage(desktop),
                class_name="lb-tile-state",
            ),
            parts.doing(desktop),
            parts.progress(desktop.percent),
            href=f"/desktop/{desktop.id}",
            class_name="lb-tile-link",
        ),
        key=desktop.id,
        class_name="lb-tile",
        custom_attrs={"data-tone": desktop.tone, "data-desktop": desktop.id},
    )


def _list() -> rx.Component:
    heads = ("Name", "State", "Since", "Doing", "Lights", "Tier", "Labels")
    return rx.el.div(
        rx.el.table(
            rx.el.thead(rx.el.tr(*(rx.el.th(head, scope="col") for head in heads))),
            rx.el.tbody(rx.foreach(FleetState.rows, _row)),
            class_name="lb-table",
        ),
        class_name="lb-table-box",
    )


def _row(desktop: DesktopView) -> rx.Component:
    return rx.el.tr(
        rx.el.td(
            rx.el.span(
                rx.link(desktop.name, href=f"/desktop/{desktop.id}"),
                parts.lineage(desktop),
                class_name="lb-row-name",
            )
        ),
        rx.el.td(parts.status(desktop.tone, desktop.word)),
        rx.el.td(parts.since(desktop), class_name="lb-number"),
        rx.el.td(parts.doing(desktop)),
        rx.el.td(parts.small_lights(desktop)),
        rx.el.td(desktop.tier),
        rx.el.td(rx.foreach(desktop.labels, lambda each: rx.el.span(each, class_name="lb-label"))),
        key=desktop.id,
        custom_attrs={"data-tone": desktop.tone, "data-desktop": desktop.id},
    )


def _pages() -> rx.Component:
    earlier, later = count(FleetState.cursors) > 0, FleetState.next_cursor != ""
    return rx.cond(
        earlier | later,
        rx.el.nav(
            parts.button("Newer", on_click=FleetState.previous_page, disabled=negated(earlier)),
            parts.button("Older", on_click=FleetState.next_page, disabled=negated(later)),
            class_name="lb-actions lb-pages",
            aria_label="Pages of desktops",
        ),
    )


def _first_visit() -> rx.Component:
    return rx.el.section(
        rx.el.h2("Three steps to your first computer"),
        rx.el.ol(rx.foreach(FleetState.steps, _step), class_name="lb-steps"),
        rx.el.p(
            "Then press ",
            rx.el.kbd("N"),
            " or ",
            rx.el.strong("New Computer"),
            " above.",
            class_name="lb-quiet",
        ),
        class_name="lb-first",
    )


def _step(step: StepView) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.strong(step.title), parts.status(step.tone, step.word), class_name="lb-step-head"
        ),
        rx.el.p(step.detail),
        rx.cond(step.action != "", rx.link(parts.button(step.action), href=step.href)),
        custom_attrs={"data-tone": step.tone},
    )
