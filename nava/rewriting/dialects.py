"""How other models want a scene and its speech written. Each writer takes an item and gives the model's text inputs.

Words that are spoken stay letter for letter; daVinci's spaces between Chinese characters are the one exception, and
are asked for by its guide. Nothing is added but the words that join speech to prose. Sources are in `formats.FORMATS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from nava.conditioning.speech import ATTRIBUTES, SPEECH_END, SPEECH_START, SpeechSpan
from nava.rewriting.rewritten_item import LANGUAGES, RewrittenItem
from nava.runtime.errors import InputError

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"
_KANA, _HANGUL = "\u3040-\u30ff", "\uac00-\ud7af"
_BETWEEN_CJK = re.compile(rf"(?<=[{_CHINESE}{_KANA}{_HANGUL}])(?=[{_CHINESE}{_KANA}{_HANGUL}])")
# What stands behind the speaker's name where speech follows, and what stands in for the name where none is given.
_LEAD = {"en": (" says", "A voice"), "zh": ("说道", "画外音")}
_CJK = "\u2e7f"  # from the next character on, scripts without spaces
# What a sentence or speech may end with.
_ENDS = ".,;:!?。，；：！？、…\"'”’»>)）"
_QUOTES = (('"', '"'), ("“", "”"), ("'", "'"))


def nava(item: RewrittenItem) -> dict[str, str]:
    """The structured prompt."""
    return {"prompt": item.prompt.render()}


def nava_release(item: RewrittenItem) -> dict[str, str]:
    """One paragraph without labels, each speech with its speaker before it."""
    parts = item.prompt
    return {"prompt": paragraph([parts.visual, parts.temporal, parts.camera, parts.audio])}


def ovi_tagged(item: RewrittenItem) -> dict[str, str]:
    """Scene, speech in marks, and the sound in tags at the end."""
    return {"prompt": paragraph([_ovi_scene(item), f"<AUDCAP>{item.sound}<ENDAUDCAP>" if item.sound else ""])}


def ovi_labelled(item: RewrittenItem) -> dict[str, str]:
    """Scene, speech in marks, and the sound behind a label at the end."""
    return {"prompt": paragraph([_ovi_scene(item), f"Audio: {item.sound}" if item.sound else ""])}


def mova(item: RewrittenItem) -> dict[str, str]:
    """Prose: the scene, its sound, then who says what in quotes."""
    parts = item.prompt
    scene = [parts.visual, parts.temporal, parts.camera, item.sound]
    return {"prompt": paragraph([*scene, *_quoted_lines(item)])}


def ltx(item: RewrittenItem) -> dict[str, str]:
    """One paragraph that begins with what happens; speech in quotes, then the camera and the sound."""
    parts = item.prompt
    scene = [parts.temporal, parts.visual, *_quoted_lines(item), parts.camera, item.sound]
    return {"prompt": paragraph(scene)}


def davinci(item: RewrittenItem) -> dict[str, str]:
    """A main body with the speech in it, the dialogue again line by line, and the most prominent background sound."""
    parts = item.prompt
    language = LANGUAGES.get(item.language, "")
    if item.spans and not language:
        raise InputError(
            f"item {item.item_id}: daVinci wants the language of the speech; {item.language!r} is none of "
            f"{', '.join(LANGUAGES)}"
        )
    body = paragraph([parts.visual, parts.temporal, *_quoted_lines(item, _spaced), parts.camera])
    lines = [f"<{_who(span)}, {language}>: {_quoted(_spaced(span.words))}" for span in item.spans]
    blocks = [body, "\n".join(["Dialogue:", *lines]) if lines else ""]
    blocks.append("\n".join(["Background Sound:", f"<{item.sound or 'No prominent background sound'}>"]))
    return {"prompt": "\n\n".join(block for block in blocks if block)}


def dreamid_omni(item: RewrittenItem) -> dict[str, str]:
    """Who is on which picture, the scene, the actions, and a last line with the speech; subjects as `<sub1>`."""
    names = item.speakers
    if len(names) > 2:
        raise InputError(f"item {item.item_id}: DreamID-Omni takes two speakers at most, the prompt has {len(names)}")
    tags = {name: f"<sub{number}>" for number, name in enumerate(names, 1)}
    pictures = [
        f"<img{number}>: {name or 'A person'}, identified as {tags[name]}." for number, name in enumerate(names, 1)
    ]
    parts = item.prompt
    scene, actions = paragraph([parts.visual, parts.camera]), parts.temporal
    said = paragraph(f"{tags[span.speaker]} says, {SPEECH_START}{span.words}{SPEECH_END}" for span in item.spans)
    lines = [
        *pictures,
        f"**Overall Environment/Scene**: {scene}" if scene else "",
        f"**Main Characters/Subjects Actions**: {actions}" if actions else "",
        said,
    ]
    return {"prompt": "\n".join(line for line in lines if line)}


def voice_cloning(item: RewrittenItem) -> dict[str, str]:
    """The words to speak, and the reference voice with the words that are spoken in it."""
    if not item.spans:
        raise InputError(f"item {item.item_id}: there is no speech for a speech model to speak")
    if len(item.voices) != 1:
        raise InputError(f"item {item.item_id}: a speech model takes one reference voice, {len(item.voices)} are given")
    if len(item.speakers) > 1:
        raise InputError(
            f"item {item.item_id}: a speech model speaks for one speaker, the prompt has {len(item.speakers)}"
        )
    (voice,) = item.voices
    if not voice.transcript.strip():
        raise InputError(f"item {item.item_id}: the reference voice {voice.path} needs its transcript")
    words = " ".join(span.words for span in item.spans)
    return {"text": words, "reference_text": voice.transcript, "reference_voice": voice.path}


def paragraph(pieces: Iterable[str]) -> str:
    """Pieces as one paragraph: each ends with a stop before the next begins; no space between Chinese sentences."""
    text = ""
    for piece in pieces:
        line = " ".join(piece.split())
        if text and line:
            chinese = text[-1] > _CJK
            if text[-1] not in _ENDS:
                text += "。" if chinese else "."
            text += "" if chinese else " "
        text += line
    return text


def _ovi_scene(item: RewrittenItem) -> str:
    parts = item.prompt
    said = [f"{_lead(span, item)}{SPEECH_START}{span.words}{SPEECH_END}" for span in item.spans]
    return paragraph([parts.visual, parts.temporal, parts.camera, *said])


def _quoted_lines(item: RewrittenItem, spell: Callable[[str], str] = str) -> list[str]:
    """What is said as sentences of prose; ``spell`` writes the words."""
    return [f"{_lead(span, item)}{_quoted(spell(span.words))}" for span in item.spans]


def _lead(span: SpeechSpan, item: RewrittenItem) -> str:
    """Who says it how, in the language of the prose."""
    language = "zh" if re.search(rf"[{_CHINESE}]", item.prose) else "en"
    says, nobody = _LEAD[language]
    name = span.speaker or nobody
    how = [value for attribute in ATTRIBUTES if (value := getattr(span, attribute))]
    if language == "zh":
        manner = f"（{'，'.join(how)}）" if how else ""
        return f"{name}{manner}{says}："
    manner = f" ({', '.join(how)})" if how else ""
    return f"{name[0].upper()}{name[1:]}{manner}{says}, "


def _who(span: SpeechSpan) -> str:
    """A speaker in a few words, for daVinci's dialogue."""
    return ", ".join(part for part in (span.speaker or "Speaker", span.voice) if part)


def _quoted(words: str) -> str:
    """Words in the first kind of quotes that they do not have themselves."""
    for opening, closing in _QUOTES:
        if opening not in words and closing not in words:
            return f"{opening}{words}{closing}"
    return f"«{words}»"


def _spaced(words: str) -> str:
    """Single spaces between Chinese, Japanese and Korean characters, as daVinci's guide has them."""
    return _BETWEEN_CJK.sub(" ", words)
