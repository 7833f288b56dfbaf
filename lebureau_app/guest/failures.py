"""Why a run failed, in words for the person who sent the message.

OpenClaw's own sentences speak to whoever runs OpenClaw ("Re-authenticate the provider …"); here
the person has a page for model keys and a desktop with a policy.
"""

import re

_LONGEST = 500
_WHERE = "Settings, Model keys"
_PAUSE = "OpenClaw pauses a rejected key for about a minute, also after it has been replaced."

_RULES: tuple[tuple[str, str], ...] = (
    (
        r"temporarily disabled after a provider auth",
        "The model key was rejected a moment ago, so OpenClaw pauses it for about a minute. "
        f"Check the key under {_WHERE} and send the message again in a minute.",
    ),
    (
        r"No API key found|missing-provider-auth|configured but unavailable|no auth configured",
        f"This desktop has no key for its model. Add one under {_WHERE}, or give the desktop "
        "another key.",
    ),
    (
        r"\b402\b|billing|insufficient[_ ](quota|credit)|credit balance|out of credit",
        "The model provider says that the account behind this key has no credit. Top it up at "
        "the provider, or use another key.",
    ),
    (
        r"\b401\b|authentication failed|invalid.{0,10}api.?key|unauthorized",
        f"The model provider rejected the key (401). Replace it under {_WHERE}. {_PAUSE}",
    ),
    (
        r"\b403\b|forbidden|permission denied",
        "The model provider refused this key (403): it may not use this model, or not from here. "
        f"Check the key's rights at the provider, or use another key. {_PAUSE}",
    ),
    (
        r"\b404\b|model.{0,20}not.{0,5}found|unknown model",
        f"The model provider does not know this model. Check the key's model under {_WHERE}.",
    ),
    (
        r"rate.?limit|\b429\b|too many requests",
        "The model provider limits how much this key may ask (429), and it stayed so through "
        "OpenClaw's own retries. Try again in a few minutes.",
    ),
    (
        r"context.{0,10}(length|window|overflow)|too many tokens|prompt is too long",
        "This conversation has grown longer than the model can read. Start a new conversation.",
    ),
    (
        r"\b400\b|rejected the request|request format",
        "The model provider refused the request (400). Often the model of the key does not exist "
        f"or cannot use tools: check it under {_WHERE}.",
    ),
    (
        r"network connection error|DNS lookup|ECONNREFUSED|ECONNRESET|ENOTFOUND|fetch failed"
        r"|temporarily unavailable",
        "The model could not be reached from the desktop. Check that it is running at the key's "
        "base URL, and that the desktop's egress policy lets it connect there.",
    ),
    (
        r"\b5\d\d\b|internal error|overloaded|server_error",
        "The model provider has trouble, and it stayed so through OpenClaw's own retries. Try "
        "again later.",
    ),
    (
        r"timed? ?out|timeout",
        "The model did not answer in time. Try again, or use another model.",
    ),
    (
        r"refus(al|ed)",
        "The model declined to answer this message.",
    ),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE), words) for pattern, words in _RULES)


def in_words(message: str) -> str:
    """Say why a run failed and what to do next.

    Args:
        message: OpenClaw's own sentence.

    Returns:
        Ours where the reason is known, else theirs without its decoration.
    """
    for pattern, words in _COMPILED:
        if pattern.search(message):
            return words
    plain = message.replace("\u26a0\ufe0f", "").partition("\nTo view logs")[0].strip()
    return plain[:_LONGEST] or "The agent stopped without saying why. Try again."
