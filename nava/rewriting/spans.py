"""Spoken words: taken from a request, and held against what came back. They must come back letter for letter.

The published rewriter compares only how many spans there are, and uses the last bad answer when its retries are used
up (nava-release.md, 2.5); the WER of an evaluation would then measure the rewriter. White space is the one thing that
does not count: the template has one line per part.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nava.conditioning.prompt import LABELS, StructuredPrompt, parse_prompt, speech_in
from nava.conditioning.speech import ATTRIBUTES, SpeechSpan, read_speech
from nava.rewriting.request import RewriteRequest
from nava.runtime.errors import InputError

_EXCERPT = 60
_MARKED = re.compile(r"<S>.*?<E>", re.DOTALL)
_SAYS = (
    r"says|said|asks|asked|replies|replied|answers|answered|shouts|shouted|whispers|whispered|exclaims|exclaimed|"
    r"responds|responded|announces|announced|murmurs|murmured|yells|yelled|saying|asking|replying|whispering|shouting"
)
_SAYS_ZH = r"(?:大声|轻声|低声)?(?:[说问答喊]道|回答|说|问|喊)"
_TRAILING_SAYS = re.compile(rf"(?:^|\s+)(?:{_SAYS})(?:\s+\w+ly)?$|{_SAYS_ZH}$", re.IGNORECASE)
_UNMARKED_QUOTE = re.compile(rf"(?:\b(?:{_SAYS})|{_SAYS_ZH})\s*[,:，：]?\s*[\"“]", re.IGNORECASE)
_NO_NAMES = {"and", "then", "while", "who", "i", "we", "he", "she", "it", "they"} | set("我他她并")
# The template's labels wherever they stand, since the template would read them as such; where a sentence begins, in
# any case, and "sound" for "audio".
_LABEL = re.compile(
    "(?P<exact>(?-i:" + "|".join(re.escape(label) for label in LABELS.values()) + "))"
    r"|(?:^|(?<=[.!?。！？\n]))[^\S\n]{0,16}(?P<loose>visual|temporal dynamics|camera|audio|sound) ?[:：]",
    re.IGNORECASE,
)
_PART_OF = {label.rstrip(":").casefold(): part for part, label in LABELS.items()} | {"sound": "audio"}


@dataclass(frozen=True)
class Section:
    """A stretch of a prompt under one label.

    Attributes:
        part: of the template; empty where no label says which.
        prose: without the speech, piece by piece.
        spans: the speech in it.
    """

    part: str
    prose: tuple[str, ...]
    spans: tuple[SpeechSpan, ...]


def structured_already(request: RewriteRequest) -> StructuredPrompt | None:
    """The prompt's parts where it has the template's form and nothing is to be added to it; None for plain prompts."""
    if request.audio_prompt or request.quotes_are_speech:
        return None
    try:
        prompt = parse_prompt(request.prompt)
        all_speech = speech_in(request.prompt)
    except InputError:
        return None
    labelled = any(label in _MARKED.sub("", request.prompt) for label in LABELS.values())
    # Speech in another part than the sound's is not where the model learned to look for it.
    if not labelled or len(prompt.spans) != len(all_speech):
        return None
    return prompt if not request.speech or not speech_problems(request.speech, prompt.spans) else None


def sections(text: str) -> list[Section]:
    """A plain prompt by its labels, where it has any, with speech apart from prose.

    Raises:
        PromptError: unbalanced speech marks.
    """
    spoken = [match.span() for match in _MARKED.finditer(text)]
    labels = [
        match for match in _LABEL.finditer(text) if not any(start <= match.start() < end for start, end in spoken)
    ]
    starts = [0, *(match.end() for match in labels)]
    ends = [*(match.start() for match in labels), len(text)]
    parts = ["", *(_PART_OF[_name(match)] for match in labels)]
    found = [_section(part, text[start:end]) for part, start, end in zip(parts, starts, ends, strict=True)]
    return [section for section in found if section.prose or section.spans]


def wanted_speech(request: RewriteRequest) -> list[SpeechSpan]:
    """The speech that the rewritten prompt must have, in order.

    Raises:
        InputError: prompt and speech say different things, or words that the template cannot hold.
    """
    marked = [span for section in sections(request.marked_prompt) for span in section.spans]
    spans = marked if not request.speech else list(request.speech)
    if marked and request.speech:
        if [_line(span.words) for span in marked] != [_line(span.words) for span in request.speech]:
            raise InputError(
                f"speech: the prompt marks {_listed(marked)}, but {_listed(request.speech)} is given as speech; "
                "give the words once, or the same words twice"
            )
        spans = [_merged(given, said) for given, said in zip(request.speech, marked, strict=True)]
    for span in spans:
        if label := next((label for label in LABELS.values() if label in span.words), None):
            raise InputError(
                f"speech: the words {_shown(span.words)} hold the template's label {label!r}, which would end the part "
                "that they stand in; write it another way"
            )
    return [replace(span, words=_line(span.words), speaker=_line(span.speaker)) for span in spans]


def speech_problems(wanted: Sequence[SpeechSpan], found: Sequence[SpeechSpan]) -> list[str]:
    """What is wrong with speech that came back, in words that also a model can act on; empty if it is all there.

    Words must be the same, letter for letter, in the same order, and nothing may be added. Speakers and attributes that
    were given must be kept; where none was given, a rewriter may say who speaks and how.
    """
    expected, given = [_line(span.words) for span in wanted], [_line(span.words) for span in found]
    missing, added = Counter(expected) - Counter(given), Counter(given) - Counter(expected)
    problems = [
        f"the speech {_shown(words)} is missing or changed: it must come back letter for letter"
        for words in missing.elements()
    ]
    problems += [f"the speech {_shown(words)} was not given: leave it out" for words in added.elements()]
    if problems:
        return problems
    if expected != given:
        return [f"the order of the speech is changed: it must be {_listed(wanted)}"]
    for number, (want, got) in enumerate(zip(wanted, found, strict=True), start=1):
        for name in ("speaker", *ATTRIBUTES):
            said, kept = _line(getattr(want, name)), _line(getattr(got, name))
            if said and said.casefold() != kept.casefold():
                problems.append(f"the {name} of speech {number} is {kept!r} and must be {said!r}")
    return problems


def unmarked_quotes(request: RewriteRequest) -> list[str]:
    """A note where the prompt seems to quote speech that is not marked as such: a rewriter does not guess."""
    prose = _MARKED.sub(" ", request.marked_prompt)
    if request.speech or not _UNMARKED_QUOTE.search(prose):
        return []
    return ["quoted words are not taken for speech: mark them as <S>words<E>, or say that quotes are speech"]


def _name(match: re.Match[str]) -> str:
    return " ".join((match["loose"] or match["exact"]).rstrip(":：").split()).casefold()


def _section(part: str, text: str) -> Section:
    prose, spans = [], []
    pieces = read_speech(text, strict=False)
    for number, piece in enumerate(pieces):
        if isinstance(piece, SpeechSpan):
            name = _speaker(piece.speaker)
            if name != piece.speaker:
                # "The man says: <S>": the words stay in the prose, where they tell what is seen.
                prose.append(piece.speaker)
            spans.append(replace(piece, speaker=name))
            continue
        follower = pieces[number + 1] if number + 1 < len(pieces) else None
        leads_in = isinstance(follower, SpeechSpan) and _speaker(follower.speaker) == follower.speaker
        prose.append(piece.rstrip(" ,:，：") if leads_in else piece)
    return Section(part, tuple(piece for piece in prose if piece), tuple(spans))


def _speaker(head: str) -> str:
    """Who speaks, of the words before a colon: without "says", and without what is no name."""
    words = _TRAILING_SAYS.sub("", head).split()
    while words and words[0].casefold() in _NO_NAMES:
        words.pop(0)
    return " ".join(words)


def _merged(given: SpeechSpan, marked: SpeechSpan) -> SpeechSpan:
    """What is given as a field, and of the marked speech what the field leaves open."""
    missing = {name: getattr(marked, name) for name in ("speaker", *ATTRIBUTES) if not getattr(given, name)}
    return replace(given, **missing)


def _line(text: str) -> str:
    return " ".join(text.split())


def _shown(words: str) -> str:
    line = _line(words)
    return f"'{line if len(line) <= _EXCERPT else line[:_EXCERPT] + '...'}'"


def _listed(spans: Sequence[SpeechSpan]) -> str:
    return ", ".join(_shown(span.words) for span in spans)
