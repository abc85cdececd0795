"""The interface of rewriters, and the one that the configuration asks for."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from nava.config.rewriting import RewritingConfig
from nava.rewriting.request import RewriteRequest
from nava.rewriting.result import Maker, RewriteResult
from nava.rewriting.spans import structured_already

GIVEN = Maker("given", "1")


class Rewriter(ABC):
    """Writes plain prompts in the form that the model was trained on. Safe for any number of threads."""

    @property
    @abstractmethod
    def maker(self) -> Maker:
        """Whose words the prompts are, where no other rewriter has to step in."""

    def rewrite(self, request: RewriteRequest) -> RewriteResult:
        """The structured prompt; one that is structured already comes back as it is.

        Raises:
            InputError: the request cannot be put into the template.
            RewriteError: the rewriter could not do it, and none may step in.
            RunStoppedError: no request can succeed.
        """
        began_s = time.perf_counter()
        prompt = structured_already(request)
        if prompt is not None:
            return RewriteResult(prompt, GIVEN, seconds=time.perf_counter() - began_s)
        return self.write(request, began_s)

    @abstractmethod
    def write(self, request: RewriteRequest, began_s: float) -> RewriteResult:
        """Rewrite a plain prompt; ``began_s`` is the reading of ``time.perf_counter`` when it was asked for."""


def make_rewriter(config: RewritingConfig) -> Rewriter:
    """The rewriter of a configuration.

    Raises:
        InputError: a setting that cannot be used, a key that is not set, or a client library that is not installed.
    """
    config.check()
    if config.rewriter == "endpoint":
        from nava.rewriting.endpoint import make_endpoint_rewriter

        return make_endpoint_rewriter(config)
    from nava.rewriting.rules import RuleRewriter

    return RuleRewriter()
