"""Rewriting by a model behind an endpoint, whose answer counts only if every spoken word came back.

Cost, cache, rate limit and retries are the annotation's (`MeteredClient`). An answer of the right form is kept in the
cache even if its content is refused here: a later run reads it, refuses it as well and goes on to the next question,
so that it pays for nothing twice and ends at the same prompt.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nava.conditioning.prompt import PromptError, StructuredPrompt, parse_prompt
from nava.conditioning.speech import ATTRIBUTES, SpeechSpan
from nava.config.annotation import AnnotationConfig
from nava.config.rewriting import RewritingConfig
from nava.data.annotation.caption_parts import CaptionParts
from nava.data.annotation.cost import BudgetSpentError
from nava.data.annotation.endpoint import AnswerError, EndpointError
from nava.data.annotation.metered_client import MeteredClient
from nava.data.annotation.speech_denial import says_nobody_speaks
from nava.rewriting.instructions import SPEECH_FIELDS, VERSION, part_names, question
from nava.rewriting.request import RewriteRequest
from nava.rewriting.result import Maker, RewriteError, RewriteResult
from nava.rewriting.rewriter import Rewriter
from nava.rewriting.rules import RuleRewriter, with_speech_behind
from nava.rewriting.spans import speech_problems, unmarked_quotes, wanted_speech
from nava.runtime.errors import RunStoppedError


class EndpointRewriter(Rewriter):
    """Asks a model, tells it what was wrong, and at last leaves the prompt to the rules.

    Args:
        client: of the model.
        config: how often to ask, and what to do if nothing helps.
    """

    def __init__(self, client: MeteredClient, config: RewritingConfig) -> None:
        self._client, self._config = client, config

    @property
    def maker(self) -> Maker:
        """See `Rewriter`."""
        endpoint = self._client.endpoint
        return Maker(endpoint.provider, VERSION, endpoint.model, endpoint.proven)

    def write(self, request: RewriteRequest, began_s: float) -> RewriteResult:
        """See `Rewriter`."""
        wanted, names = wanted_speech(request), part_names(request)
        history: list[str] = []
        problems: list[str] = []
        number = 0
        for number in range(1, self._config.max_questions + 1):
            asked = question(request, wanted, number, self._config.endpoint.max_output_tokens, problems)
            try:
                answer = self._client.ask(asked, lambda value: _of_form(value, names))
                prompt, problems, notes = read_answer(answer, request, wanted)
            except BudgetSpentError as error:
                raise RunStoppedError(f"{error}. For prompts the setting is rewriting.max_cost_usd") from error
            except EndpointError as error:
                history.append(f"question {number}: {error}")
                break
            history += [f"question {number}: {problem}" for problem in problems or notes]
            if prompt is not None:
                told = (*history, *unmarked_quotes(request))
                return RewriteResult(prompt, self.maker, None, number, told, time.perf_counter() - began_s)
        return self._without_model(request, number, history, began_s)

    def _without_model(
        self, request: RewriteRequest, questions: int, history: Sequence[str], began_s: float
    ) -> RewriteResult:
        """What happens to a prompt that the model could not rewrite."""
        if self._config.on_failure == "fail":
            raise RewriteError(f"{self.maker} gave no usable prompt: {'; '.join(history)}")
        result = RuleRewriter().write(request, began_s)
        told = (*history, f"{self.maker} gave no usable prompt: written by rules instead", *result.problems)
        return replace(result, fell_back_from=self.maker, questions=questions, problems=told)


def make_endpoint_rewriter(config: RewritingConfig) -> EndpointRewriter:
    """The rewriter of a configuration.

    Raises:
        InputError: the key is not set, or the client library is not installed.
    """
    from nava.data.annotation.clients import check_endpoints, make_client

    name = "rewriting.endpoint"
    check_endpoints({name: config.endpoint})
    kept = AnnotationConfig(cache_dir=config.cache_dir, max_cost_usd=config.max_cost_usd)
    return EndpointRewriter(make_client(config.endpoint, name, kept), config)


def read_answer(
    answer: dict[str, Any], request: RewriteRequest, wanted: Sequence[SpeechSpan]
) -> tuple[StructuredPrompt | None, list[str], list[str]]:
    """The prompt that an answer gives.

    Args:
        answer: of the right form.
        request: that it answers.
        wanted: its speech.

    Returns:
        The prompt, or None; what is wrong with the answer; and what was left out of it although the rest is good.
    """
    said = [SpeechSpan(item["words"], item["speaker"]) for item in answer["speech"]]
    # Of the attributes only those that were asked for can be wrong; they are put back below.
    problems = speech_problems([SpeechSpan(span.words, span.speaker) for span in wanted], said)
    try:
        parts = CaptionParts.from_answer(answer, part_names(request))
    except AnswerError as error:
        return None, [*problems, str(error)], []
    if wanted and says_nobody_speaks(parts.audio):
        problems.append("the audio says that nobody speaks, but there is speech")
    if problems:
        return None, problems, []
    notes: list[str] = []
    spans = [_span(want, item, notes) for want, item in zip(wanted, answer["speech"], strict=True)]
    try:
        audio = with_speech_behind(parts.audio, spans)
        prompt = StructuredPrompt(parts.visual, parts.temporal, parts.camera, audio)
        # Read as generation will read it: nothing around the speech may change it.
        problems = speech_problems(wanted, parse_prompt(prompt.render()).spans)
    except PromptError as error:
        problems = [str(error)]
    return (None, problems, []) if problems else (prompt, [], notes)


def _span(want: SpeechSpan, item: dict[str, str], notes: list[str]) -> SpeechSpan:
    """The speech that was asked for, with what the answer adds about its speaker and manner, if it can be written."""
    span = want
    for name in ("speaker", *ATTRIBUTES):
        value = " ".join(item.get(name, "").split())
        if not value or getattr(want, name):
            continue
        try:
            fields: dict[str, Any] = {**span.to_json(), name: value}
            changed = SpeechSpan(**fields)
            changed.render()
        except PromptError:
            notes.append(f"left out: {value!r} as the {name} of {want.words[:40]!r}, which the template cannot hold")
            continue
        span = changed
    return span


def _of_form(answer: Any, names: Sequence[str]) -> dict[str, Any]:
    """An answer that has the fields that were asked for; their content is judged later."""
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), str) for name in names):
        raise AnswerError(f"the answer has not the fields {', '.join(names)}: {str(answer)[:80]!r}")
    speech = answer.get("speech")
    if not isinstance(speech, list) or not all(_is_speech(item) for item in speech):
        raise AnswerError(f"the field speech of the answer is no list of {', '.join(SPEECH_FIELDS)}")
    return answer


def _is_speech(item: Any) -> bool:
    return isinstance(item, dict) and all(isinstance(item.get(name), str) for name in SPEECH_FIELDS)
