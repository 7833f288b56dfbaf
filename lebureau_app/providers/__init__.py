"""Where desktops run."""

from lebureau_app.errors import LeBureauError
from lebureau_app.providers.base import Provider
from lebureau_app.settings import Settings


def make_provider(settings: Settings) -> Provider:
    """The provider that the settings name.

    Args:
        settings: The settings of this process.

    Returns:
        A provider that has not been opened yet.

    Raises:
        LeBureauError: This version does not have the provider.
    """
    match settings.provider:
        case "qemu":
            from lebureau_app.providers.qemu.provider import QemuProvider

            return QemuProvider(settings)
        case "fake":
            from lebureau_app.providers.fake import FakeProvider

            return FakeProvider()
        case other:
            raise LeBureauError(
                f"The provider “{other}” comes in a later version.",
                hint="Set LEBUREAU_PROVIDER=qemu, or leave it out.",
            )
