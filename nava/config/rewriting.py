"""How plain prompts become structured ones: by rules, or by a model behind an endpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nava.config.annotation import AnnotationConfig, EndpointConfig
from nava.config.checks import require, require_at_least, require_one_of
from nava.runtime.errors import InputError
from nava.runtime.secret_values import holds_password

REWRITERS = ("rules", "endpoint")
ON_FAILURE = ("rules", "fail")
_NOT_IDENTITY = {"identity": False}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _rewriter_of_captions() -> EndpointConfig:
    """The model that rewrites captions: prompts are to sound like what it wrote for training."""
    return AnnotationConfig().rewriter


@dataclass
class RewritingConfig:
    """Rewriting of prompts. The defaults need no model and no network."""

    rewriter: str = "rules"
    endpoint: EndpointConfig = field(default_factory=_rewriter_of_captions)
    # Questions about one prompt; each after the first says what was wrong with the last answer.
    max_questions: int = 3
    # Where the endpoint gives no usable answer: the rules step in and the result says so, or that prompt fails.
    on_failure: str = "rules"
    # Prompts that are asked about at the same time.
    max_in_flight: int = field(default=4, metadata=_NOT_IDENTITY)
    # Where answers are kept and their cost is counted; a run that finds an answer here does not pay for it again.
    cache_dir: str = field(default="", metadata=_NOT_IDENTITY)
    max_cost_usd: float = field(default=0.0, metadata=_NOT_IDENTITY)  # 0: no limit

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require_one_of(self, "rewriting", "rewriter", REWRITERS)
        require_one_of(self, "rewriting", "on_failure", ON_FAILURE)
        require_at_least(self, "rewriting", ("max_questions", "max_in_flight"), 1)
        require_at_least(self, "rewriting", ("max_cost_usd",), 0)
        self.endpoint.check("rewriting.endpoint")
        if self.rewriter != "endpoint":
            return
        self.endpoint.check_used("rewriting.endpoint")
        self._check_secrets()
        require(bool(self.cache_dir), "rewriting.cache_dir", self.cache_dir, "a folder for paid answers")
        unpriced = not (self.endpoint.input_price_usd and self.endpoint.output_price_usd)
        require(
            not (self.max_cost_usd and self.endpoint.provider == "gemini" and unpriced),
            "rewriting.endpoint.input_price_usd",
            self.endpoint.input_price_usd,
            "above 0, and output_price_usd too, where rewriting.max_cost_usd is set; see the provider's price list",
        )

    def _check_secrets(self) -> None:
        """Refuse secrets where a reference belongs, without repeating them in the message."""
        variable = self.endpoint.api_key_variable
        if variable and not _VARIABLE.fullmatch(variable):
            raise InputError(
                "rewriting.endpoint.api_key_variable must be the name of an environment variable, such as "
                "GEMINI_API_KEY, and not the key itself"
            )
        if holds_password(self.endpoint.base_url):
            raise InputError(
                "rewriting.endpoint.base_url holds a password; name the variable with the key in api_key_variable"
            )
