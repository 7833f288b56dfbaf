"""What the proxy answers itself, in words that an agent and the people behind it can act on."""

import h11


class Refusal(Exception):
    """The proxy's own answer in the place of the destination's.

    Programs show little of a failed CONNECT: apt, npm and pip the reason phrase, others the head
    when they are verbose. So the whole sentence stands in both, and in Proxy-Status (RFC 9209).

    Args:
        status: HTTP status.
        error: Error type of RFC 9209 §2.3.
        what: What happened and why, one sentence in ASCII.
        advice: What to do next, one sentence in ASCII.
    """

    def __init__(self, status: int, error: str, what: str, advice: str) -> None:
        super().__init__(what)
        self.status = status
        self.error = error
        self.what = what
        self.advice = advice

    @property
    def verdict(self) -> str:
        """How the log calls it."""
        return "denied" if self.status == 403 else "failed"

    def body(self) -> bytes:
        """The text of the answer."""
        return f"{self.what}\n{self.advice}\n".encode()

    def response(self) -> h11.Response:
        """The head of the answer."""
        details = self.what.replace("\\", "").replace('"', "'")
        return h11.Response(
            status_code=self.status,
            reason=self.what.encode("ascii", "replace"),
            headers=[
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(self.body()))),
                ("Proxy-Status", f'LeBureau; error={self.error}; details="{details}"'),
            ],
        )


def malformed(what: str, status: int = 400) -> Refusal:
    """The desktop's request cannot be understood."""
    return Refusal(
        status,
        "http_request_error",
        what,
        "This is Le Bureau's egress proxy: it takes CONNECT, and requests for http:// URLs.",
    )
