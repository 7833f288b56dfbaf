"""The companies that models come from, and how to try a key with them.

The calls are the documented cheapest ones: Anthropic `GET /v1/models`, OpenAI and compatible ones
`GET /models`, OpenRouter `GET /key` (its list of models is public and proves nothing).
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from lebureau_app.gateway.egress.addresses import Kind, kind_of
from lebureau_app.settings import get_settings

_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class ModelProvider:
    """How a provider is asked.

    Attributes:
        base_url: Where it answers; None where the user says it.
        path: What is asked for, below the base URL.
        bearer: Whether the key goes into `Authorization`; else into `x-api-key`.
    """

    base_url: str | None
    path: str
    bearer: bool = True


PROVIDERS = {
    "anthropic": ModelProvider("https://api.anthropic.com", "/v1/models", bearer=False),
    "openai": ModelProvider("https://api.openai.com/v1", "/models"),
    "openrouter": ModelProvider("https://openrouter.ai/api/v1", "/key"),
    "openai-compatible": ModelProvider(None, "/models"),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of trying a key.

    Attributes:
        valid: None where the provider could not be asked, so that nothing is known.
        error: Why it is not valid, for a person.
    """

    valid: bool | None
    error: str | None = None


async def probe(provider: str, key: str, base_url: str | None, *, private: bool) -> Probe:
    """Try a key.

    Args:
        provider: One of PROVIDERS.
        key: The secret.
        base_url: Where the provider answers, if the user said so.
        private: Whether the address may be one of a private network.
    """
    known = PROVIDERS[provider]
    url = (base_url or known.base_url or "") + known.path
    try:
        async with asyncio.timeout(_TIMEOUT):
            answer = await _get(url, _headers(known, key), private=private)
    except _PrivateAddress:
        return Probe(
            False, "The address is in a private network: only an owner may send keys there."
        )
    except TimeoutError:
        return Probe(None, f"The provider did not answer within {_TIMEOUT:g} s.")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Probe(None, f"The provider cannot be reached: {error or type(error).__name__}.")
    return _judged(answer)


class _PrivateAddress(Exception):
    """The name leads into a private network."""


async def _get(url: str, headers: dict[str, str], *, private: bool) -> int:
    """The status of a GET to the very address that was checked; redirects are not followed."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = await _resolve(host, port, private=private)
    pinned = httpx.URL(url).copy_with(host=address)
    transport = httpx.AsyncHTTPTransport(verify=_trust())
    async with httpx.AsyncClient(transport=transport, timeout=_TIMEOUT) as client:
        request = client.build_request(
            "GET",
            pinned,
            headers={**headers, "Host": parts.netloc},
            extensions={"sni_hostname": host},
        )
        async with asyncio.timeout(_TIMEOUT):
            answer = await client.send(request, stream=True)
            await answer.aclose()
    return answer.status_code


async def _resolve(host: str, port: int, *, private: bool) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    if not private and any(kind_of(address) is not Kind.PUBLIC for address in addresses):
        raise _PrivateAddress
    return addresses[0]


def _headers(provider: ModelProvider, key: str) -> dict[str, str]:
    if not key:
        return {}
    if provider.bearer:
        return {"Authorization": f"Bearer {key}"}
    return {"x-api-key": key, "anthropic-version": "2023-06-01"}


def _judged(status: int) -> Probe:
    if status < 300:
        return Probe(True)
    if status in (401, 403):
        return Probe(False, f"The provider refused the key (HTTP {status}).")
    if status < 400:
        return Probe(False, "The provider sent a redirect, which is not followed with a key.")
    if status == 429 or status >= 500:
        return Probe(None, f"The provider is busy (HTTP {status}). Try again later.")
    return Probe(False, f"There is no such provider at this address (HTTP {status}).")


@lru_cache
def _trust() -> ssl.SSLContext:
    """What the host trusts, with LEBUREAU_EXTRA_CA_FILE."""
    context = ssl.create_default_context()
    extra = get_settings().extra_ca_file
    if extra:
        context.load_verify_locations(extra)
    return context
