"""The default: a plain prompt put into the template by rules, without a model and without a word that was not given.

Sentences are sorted, not written. One that is about the camera, about sound or about what comes next goes into that
part, by the words that it begins with or has; every other one says what is seen. Speech stands at the end of what is
heard, as in the prompts of training (nava/data/annotation/prompt_writer.py). What a sentence means is not understood:
"a band plays loud music" stays with what is seen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence

from nava.conditioning.prompt import StructuredPrompt
from nava.conditioning.speech import SpeechSpan, render_speech
from nava.data.annotation.speech_denial import says_nobody_speaks
from nava.rewriting.request import RewriteRequest
from nava.rewriting.result import Maker, RewriteResult
from nava.rewriting.rewriter import Rewriter
from nava.rewriting.spans import Section, sections, speech_problems, unmarked_quotes, wanted_speech
from nava.runtime.errors import InputError

# Raise it whenever the same request may give another prompt.
RULES = Maker("rules", "1")

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")
_STOPS = ".,;:!?。，；：！？、…"
_CJK = "\u2e7f"  # from the next character on, scripts without spaces
_ADJECTIVES = r"(?:(?:soft|loud|quiet|distant|gentle|faint|background|ambient|upbeat|calm|dramatic|no|only)\s+)*"
_SOUNDS = r"(?:sounds?|noises?|music|ambience|soundtrack|audio|silence|dialogue|narration|voice-?over|sound\s+effects?)"
_AUDIO = re.compile(
    rf"^(?:the\s+|a\s+|an\s+)?{_ADJECTIVES}{_SOUNDS}\b|\b(?:can\s+be|is|are)\s+heard\b|\bwe\s+hear\b|\baudible\b"
    r"|^(?:视频)?(?:音频|声音|背景音|音乐|环境音)|(?:无|没有)(?:背景音乐|对话|旁白)|听到",
    re.IGNORECASE,
)
# "A wide shot of a beach" says what is seen as well, and stays with it.
_CAMERA = re.compile(
    r"\bcamera\b|\b(?:pans|tilts|zooms|dollies)\b"
    r"|\b(?:close-?up|wide|medium|establishing|tracking|aerial|drone|low[- ]angle|high[- ]angle|static|hand-?held|"
    r"over-the-shoulder|eye-level)\s+(?:shot|view|angle)\b(?!\s+of\b)|^(?:an?\s+)?(?:extreme\s+)?close-?up\b(?!\s+of\b)"
    r"|^(?:镜头|固定机位|机位|运镜)",
    re.IGNORECASE,
)
_TEMPORAL = re.compile(
    r"^(?:then|next|after(?:wards?)?|later|finally|suddenly|gradually|meanwhile|at\s+first|in\s+the\s+end|moments\s+later)\b"
    r"|^(?:随后|然后|接着|最后|突然|逐渐|起初|与此同时)",
    re.IGNORECASE,
)


class RuleRewriter(Rewriter):
    """Deterministic: equal requests give equal prompts, on any machine."""

    @property
    def maker(self) -> Maker:
        """See `Rewriter`."""
        return RULES

    def write(self, request: RewriteRequest, began_s: float) -> RewriteResult:
        """See `Rewriter`."""
        spans = wanted_speech(request)
        prompt = _written(_sorted_parts(request, sections(request.marked_prompt)), spans)
        problems = unmarked_quotes(request)
        if spans and says_nobody_speaks(prompt.render()):
            problems.append("the prompt says that nobody speaks, and there is speech in it: take one of them out")
        return RewriteResult(prompt, RULES, problems=tuple(problems), seconds=time.perf_counter() - began_s)


def with_speech_behind(audio: str, spans: Sequence[SpeechSpan]) -> str:
    """The part of the template that says what is heard: prose, then the speech."""
    # A colon at its end would make its last words the speaker of the speech behind it.
    prose = audio.rstrip(" :：") if spans else audio
    return render_speech([*([prose] if prose else []), *spans])


def _written(parts: dict[str, str], spans: Sequence[SpeechSpan]) -> StructuredPrompt:
    """The prompt of its parts, read back: speech that prose around it would change is refused."""
    prompt = StructuredPrompt(**{**parts, "audio": with_speech_behind(parts["audio"], spans)})
    prompt.render()
    if problems := speech_problems(spans, prompt.spans):
        raise InputError(f"prompt: it cannot be put into the template as it is: {'; '.join(problems)}")
    return prompt


def _sorted_parts(request: RewriteRequest, found: Iterable[Section]) -> dict[str, str]:
    """The prose of each part; all of it is there, sentence by sentence, and nothing else."""
    sentences: dict[str, list[str]] = {"visual": [], "temporal": [], "camera": [], "audio": []}
    for section in found:
        for sentence in _SENTENCE_END.split(_joined(section.prose)):
            if sentence:
                sentences[section.part or _part(sentence, request)].append(sentence)
    for other in ("temporal", "camera"):
        if request.makes_pictures and not sentences["visual"]:
            # Where nothing else says what is seen, what happens or what the camera shows does.
            sentences["visual"], sentences[other] = sentences[other], []
    if request.audio_prompt:
        sentences["audio"].append(" ".join(request.audio_prompt.split()))
    return {part: _joined(said) for part, said in sentences.items()}


def _part(sentence: str, request: RewriteRequest) -> str:
    if not request.makes_pictures or _AUDIO.search(sentence):
        return "audio"
    if _CAMERA.search(sentence):
        return "camera"
    return "temporal" if _TEMPORAL.search(sentence) else "visual"


def _joined(pieces: Iterable[str]) -> str:
    """Prose in one piece. What the speech stood between is kept apart by a stop, in Chinese by a comma."""
    text = ""
    for piece in pieces:
        if not text or piece[0] in _STOPS:
            text += piece
            continue
        ended = text[-1] in _STOPS + "\"'”’)）"
        if text[-1] > _CJK:
            text += piece if ended else f"，{piece}"
        else:
            text += f" {piece}" if ended or not piece[0].isupper() else f". {piece}"
    return text.lstrip(_STOPS + " ")
