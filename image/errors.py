"""The one error that ends a build."""


class BuildError(Exception):
    """A build cannot go on.

    Args:
        message: What happened, in words for the person who waits for the image.
        hint: What that person can do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
