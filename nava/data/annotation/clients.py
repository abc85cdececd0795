"""Clients as the configuration asks for them, one limiter and one account per worker."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from nava.config.annotation import AnnotationConfig, EndpointConfig
from nava.data.annotation.cost import CostAccount, Price
from nava.data.annotation.endpoint import Endpoint, read_key
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.rate_limit import RateLimiter
from nava.data.annotation.response_cache import ResponseCache
from nava.data.annotation.retry import RetryPolicy
from nava.runtime.errors import InputError

_LIBRARIES = {"openai": "openai", "gemini": "google.genai"}


def make_client(config: EndpointConfig, name: str, annotation: AnnotationConfig) -> MeteredClient:
    """A client of an endpoint.

    Args:
        config: of the endpoint.
        name: of its section, for messages.
        annotation: where answers are kept, and the budget.

    Raises:
        InputError: the variable that should hold the key is not set.
    """
    folder = Path(annotation.cache_dir)
    return MeteredClient(
        make_endpoint(config, name),
        ResponseCache(folder),
        _account(folder, annotation.max_cost_usd),
        Price(config.input_price_usd, config.output_price_usd),
        _limiter(config.provider, config.base_url, config.model, config.requests_per_minute, config.tokens_per_minute),
        RetryPolicy(config.max_attempts),
        round(config.max_media_mb * 1e6),
    )


def make_endpoint(config: EndpointConfig, name: str) -> Endpoint:
    """The endpoint alone; see `make_client`."""
    key = read_key(config.api_key_variable, f"{name}.api_key_variable")
    if config.provider == "gemini":
        from nava.data.annotation.gemini import GeminiClient

        return GeminiClient(config.model, config.base_url, key, config.timeout_s)
    from nava.data.annotation.openai_chat import ChatClient

    return ChatClient(config.model, config.base_url, key, config.timeout_s, config.audio_part)


def check_endpoints(used: Mapping[str, EndpointConfig]) -> None:
    """Before a run: every endpoint in use finds its key and its client library.

    Args:
        used: the endpoints by the name of their section.

    Raises:
        InputError: names the setting and what is missing.
    """
    for name, endpoint in used.items():
        read_key(endpoint.api_key_variable, f"{name}.api_key_variable")
        try:
            importlib.import_module(_LIBRARIES[endpoint.provider])
        except ImportError as error:
            raise InputError(
                f"{name}.provider is {endpoint.provider}, which needs a package that is not installed ({error}): "
                "pip install 'nava[caption]'"
            ) from error


@cache
def _limiter(
    provider: str, base_url: str, model: str, requests_per_minute: float, tokens_per_minute: float
) -> RateLimiter:
    """The one limiter of an endpoint in this process, whichever stages ask it."""
    return RateLimiter(requests_per_minute, tokens_per_minute)


@cache
def _account(folder: Path, max_cost_usd: float) -> CostAccount:
    return CostAccount(folder, max_cost_usd)
