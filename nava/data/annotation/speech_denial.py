"""Captions that say nobody speaks. With a speech span beside it, such a caption tells the model to speak and not to.

English phrases only. What stands inside a span is speech, not description, and is not looked at. A sentence about one
person ("she smiles without speaking") denies speech only where no other part of the caption claims any.
"""

from __future__ import annotations

import re


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile("|".join(phrases), re.IGNORECASE | re.MULTILINE)


_SPAN = re.compile(r"<S>.*?<E>", re.DOTALL)
_SPEECH = (
    r"(?:(?:spoken|human|audible|intelligible|discernible|clear)\s+)*"
    r"(?:dialogues?|dialogs?|speech|speaking|talking|conversations?|narrations?|narrator|voice-?\s?overs?|voices?|"
    r"spoken\s+words?|words?\s+(?:is|are)\s+(?:spoken|said|heard)|vocals?|lines\s+of\s+dialogue)"
)
_SPEAKS = r"(?:speaks?|talks?|says?|speaking|talking|utters?)"
_WHOLLY = r"(?:(?:completely|entirely|totally|fully|almost)\s+)?"

# About the clip as a whole: said once, it holds for everybody in it.
_WHOLE = _any_of(
    r"\b(?:no|zero|free\s+of|devoid\s+of|absence\s+of|lack\s+of|lacks|void\s+of|without(?:\s+a)?)\s+"
    rf"(?:any\s+)?{_SPEECH}(?!\s+(?:box|bubble)|-)\b",
    rf"\bno\s+(?:person|character|people|human)s?\b(?:\s+\w+){{0,3}}?\s+{_SPEAKS}\b",
    r"\bno(?:body|[\s-]one|ne\s+of\s+(?:them|the\s+\w+))\b"
    rf"(?:\s+(?:in|on|is|ever|there|here|else|frame|screen|the|scene))*\s+{_SPEAKS}\b",
    rf"\bneither\s+(?:of\s+them\s+|\w+\s+|\w+\s+\w+\s+){{1,2}}{_SPEAKS}\b",
    r"\b(?:dialogue|dialog|speech)-(?:free|less)\b",
    r"\bwordless(?:ly)?\b",
    r"\bno\s+audio\b",
    r"^\W*silence\W*$",
    r"\b(?:in|total|complete|utter|absolute|dead)\s+silence\b(?!\s+(?:breaks?|is\s+broken))",
    r"\b(?:audio|sound\s?track|clip|video|scene|recording|shot|footage)\s+(?:track\s+)?(?:itself\s+)?"
    rf"(?:is|remains|stays)\s+{_WHOLLY}(?:silent|muted?|soundless)\b",
    r"\b(?:silent|soundless|muted?)\s+(?:clip|video|scene|footage|shot|recording|film|movie)\b",
)
# About one person or group, or about other sounds too: somebody may speak all the same.
_PART = _any_of(
    r"\bwithout\s+(?:ever\s+)?(?:speaking|talking|saying|uttering|a\s+(?:single\s+)?word|words)\b",
    rf"\b(?:not|doesn't|don't|never|isn't|aren't)\s+(?:\w+\s+)?{_SPEAKS}\b",
    r"\b(?:says?|speaks?|utters?)\s+(?:nothing|no\s+words?|not\s+a\s+(?:single\s+)?word)\b",
    r"\bno\s+sounds?\b(?!\s+effects?)",
    r"\bwithout\s+(?:any\s+|a\s+)?(?:sound|noise)s?\b",
    r"\bsilent(?:ly)?\b|\bsilence\b",
    r"\b(?:his|her|their|its)\s+(?:mouth|lips)\s+(?:stays?|remains?|kept)\s+closed\b",
)
# Somebody does speak, or is heard to.
_CLAIM = _any_of(
    r"\b(?:says?|speak(?:s|ing)?|talk(?:s|ing)?|ask(?:s|ing)?|repl(?:ies|ying)|answer(?:s|ing)?|shout(?:s|ing)?)\b",
    r"\b(?:whisper(?:s|ing)?|murmur(?:s|ing)?|exclaims?|announces?|narrates?|explains?|chatting|chatter)\b",
    r"\b(?:sings?|singing|vocals?|lyrics|voices?|narrator|narration|voice-?overs?|commentary)\b",
    r"\b(?:dialogues?|conversations?|speech)\b",
)
# "No dialogue, only a narrator": what follows takes the denial back.
_EXCEPTION = re.compile(
    r"^[^.;!?]*?\b(?:only|just|but|except|apart\s+from|other\s+than|save\s+for|aside\s+from|until|before|beyond)\b"
    r"(?P<rest>[^.;!?]*)",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|never|hardly|anything\s+but)\s*(?:\w+\s+)?$|n't\s*$", re.IGNORECASE)


def says_nobody_speaks(caption: str) -> bool:
    """Whether a caption denies that anybody speaks in the clip.

    A caption for which this is true must have no `<S>...<E>` span; the gate holds captions against it.
    """
    prose = _SPAN.sub(" ", caption)
    if _denies(_WHOLE, prose):
        return True
    if not _denies(_PART, prose):
        return False
    return _CLAIM.search(_PART.sub(" ", _WHOLE.sub(" ", prose))) is None


def _denies(phrases: re.Pattern[str], prose: str) -> bool:
    """Whether one of the phrases stands there, and the words around it do not take it back."""
    return any(not _taken_back(prose, match.start(), match.end()) for match in phrases.finditer(prose))


def _taken_back(prose: str, start: int, end: int) -> bool:
    """Whether words right before ("not silent") or after ("except for a voice") undo a denial."""
    if _NEGATION.search(prose[:start]):
        return True
    exception = _EXCEPTION.match(prose[end:])
    return exception is not None and _CLAIM.search(exception["rest"]) is not None
