"""The link to a machine of the fake provider: there is no guest, so it answers for one."""

import asyncio
import io

from PIL import Image, ImageDraw

from lebureau_app.engine.links import Link
from lebureau_app.errors import ChannelNotReady
from lebureau_app.guest.door import Door
from lebureau_app.guest.ssh import Completed
from lebureau_app.models import CHANNELS, Light, Run, RunStatus
from lebureau_app.services import conversations, desktop_state, events
from lebureau_app.services.conversations import Ended

WORD_PAUSE = 0.02


class SimulatedLink(Link):
    """Lights every light at once, and repeats what it is told."""

    async def run(self) -> None:
        """Serve until cancelled."""
        self.identified.set()
        desktop = await desktop_state.load(self.desktop_id)
        without = ["agent"] if desktop and desktop.agent == "none" else []
        ready = [channel for channel in CHANNELS if channel not in without]
        await desktop_state.set_lights(self.desktop_id, ready, Light.READY)
        while True:
            self.woken.clear()
            taken = await conversations.take_next(self.desktop_id)
            if taken is not None:
                await self._answer(*taken)
            else:
                await self.woken.wait()

    def keys_changed(self) -> None:
        """Nothing to bring anywhere."""

    async def command(self, command: str, timeout: float) -> Completed:
        """Say that there is no guest."""
        raise ChannelNotReady("The fake provider has no guest to run a command in.")

    async def at_work(self) -> bool:
        """Nothing runs where there is no guest."""
        return False

    async def screenshot(self, width: int | None) -> bytes:
        """A drawn card with the desktop's name."""
        desktop = await desktop_state.load(self.desktop_id)
        return await asyncio.to_thread(_card, desktop.name if desktop else "", width or 1280)

    async def door(self, channel: str) -> Door:
        """Say that there is no guest."""
        raise ChannelNotReady("The fake provider has no guest to connect to.")

    async def _answer(self, run: Run, text: str) -> None:
        await desktop_state.note(self.desktop_id, activity="Thinking")
        said = ""
        for seq, word in enumerate(f"You said: {text}".split(" ")):
            if await conversations.wants_abort(run.id):
                await conversations.end(run.id, Ended(RunStatus.ABORTED, said))
                break
            said += f"{word} "
            events.tell(
                "run.delta",
                {"runId": run.id, "seq": seq, "text": f"{word} "},
                workspace_id=run.workspace_id,
                desktop_id=run.desktop_id,
            )
            await asyncio.sleep(WORD_PAUSE)
        else:
            ended = Ended(RunStatus.DONE, said.strip(), len(text) // 4, len(said) // 4)
            await conversations.end(run.id, ended)
            await desktop_state.add_usage(
                self.desktop_id, ended.input_tokens, ended.output_tokens, ended.cost
            )
        await desktop_state.note(self.desktop_id, activity="Idle")


def _card(name: str, width: int) -> bytes:
    height = width * 10 // 16
    card = Image.new("RGB", (width, height), "#1e2235")
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, height - height // 16, width, height), fill="#2b3050")
    draw.text((width // 16, height // 3), name, fill="#c7d2fe", font_size=max(12, width // 20))
    draw.text((width // 16, height // 2), "simulated", fill="#8b93b8", font_size=width // 40)
    encoded = io.BytesIO()
    card.save(encoded, "PNG")
    return encoded.getvalue()
