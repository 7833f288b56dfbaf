"""The steps of every kind of operation."""

from lebureau_app.engine.keeping import (
    drop_snapshot,
    hibernate,
    make_sure_of_the_undo,
    restore_snapshot,
    take_picture,
    take_snapshot,
)
from lebureau_app.engine.starting import (
    choose_image,
    hand_over,
    make_machine,
    switch_on,
    take_turn,
    trust,
)
from lebureau_app.engine.stopping import note_off, resize, shut_down, switch_off, take_apart
from lebureau_app.engine.upgrading import (
    boot_once,
    carry_over,
    change_image,
    keep_image,
    power_off,
)
from lebureau_app.engine.work import Step

_START = (
    Step("image", "Waiting for the golden image", choose_image, patient=True),
    Step("machine", "Making the machine", make_machine),
    Step("turn", "Switching the machine on", take_turn),
    Step("boot", "Switching the machine on", switch_on),
    Step("trust", "Waiting for the guest", trust),
    Step("identity", "Waiting for the desktop to answer", hand_over),
)
_PICTURE = Step("picture", "Taking a picture of the screen", take_picture)
_OFF = Step("off", "Switching the machine off", switch_off)
_UNDO = Step("undo", "Making sure that it can be undone", make_sure_of_the_undo)
_SNAPSHOT = (_PICTURE, Step("keep", "Keeping its disk and memory", take_snapshot))


def plan(kind: str, stop_timeout: float) -> tuple[Step, ...]:
    """The steps of a kind of operation, in order.

    Args:
        kind: One of `operations.TASKS`.
        stop_timeout: Seconds that a guest has to shut down before its plug is pulled.
    """
    stop = (
        Step("shutdown", "Asking the desktop to shut down", shut_down, limit=stop_timeout),
        _OFF,
        Step("note", "Writing down that it is off", note_off),
    )
    return {
        "create": _START,
        "start": _START,
        "stop": stop,
        "restart": (*stop, *_START),
        "reconfigure": (
            _UNDO,
            Step("resize", "Changing its size", resize),
        ),
        "upgrade": (
            _UNDO,
            Step("change", "Putting it on the new image", change_image),
            Step("boot", "Starting it once on the new image", boot_once),
            Step("carry", "Carrying its home folder over to the new image", carry_over),
            Step("shutdown", "Asking it to shut down", power_off, limit=stop_timeout),
            _OFF,
            Step("keep", "Letting go of its former disk", keep_image),
        ),
        "hibernate": (_PICTURE, Step("sleep", "Writing its memory to disk", hibernate)),
        "snapshot": _SNAPSHOT,
        "fork": _SNAPSHOT,
        "restore": (_UNDO, _OFF, Step("restore", "Going back to the snapshot", restore_snapshot)),
        "drop_snapshot": (Step("drop", "Removing the snapshot", drop_snapshot),),
        "destroy": (Step("destroy", "Removing the machine and its disk", take_apart),),
    }[kind]
