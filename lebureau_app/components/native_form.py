"""A form that the browser itself sends."""

import reflex as rx
from reflex_components_core.el.element import Element


class NativeForm(Element):
    """A plain `<form>`: Reflex's own always prevents the default."""

    tag = "form"

    action: rx.Var[str]
    method: rx.Var[str]


native_form = NativeForm.create
