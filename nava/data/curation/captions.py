"""The rule-based captioner: words for what was measured in picture and sound, and the transcript where a sidecar has
one.

It knows a few kinds of scene and says so plainly of everything else. It never sees how a clip was made.
"""

from __future__ import annotations

from dataclasses import dataclass

from nava.data.curation.picture_observation import PictureKind, PictureObservation, observe_picture
from nava.data.curation.sound_observation import SoundKind, SoundObservation, observe_sound
from nava.data.curation.transcript import Utterance
from nava.data.curation.windows import Window

BACKEND = "rules.v1"
SPEECH_START, SPEECH_END = "<S>", "<E>"

# Of a scene whose picture and sound do not make a known pair, only this much is sure: the classes were set on simple
# scenes and would name columns or knocks in any film.
_PLAIN_SOUNDS = {SoundKind.SILENCE: "without a sound", SoundKind.NOISE: "with a rush of noise"}
_SOUND_ONLY = {
    SoundKind.SILENCE: ("silence", "Silence."),
    SoundKind.NOISE: ("noise", "A rush of noise."),
    SoundKind.VOICE: ("speech", "A {pitch} voice speaks."),
    SoundKind.STEADY_TONE: ("tone", "A steady {pitch} tone."),
    SoundKind.STRUCK_TONE: ("tones", "A {pitch} tone at each strike."),
    SoundKind.KNOCK: ("knocks", "Knocks on {material}."),
    SoundKind.TUNE: ("music", "Music plays."),
}


@dataclass(frozen=True)
class Caption:
    """What is said of a clip, and its tags: the first is the family."""

    text: str
    tags: tuple[str, ...]


@dataclass
class CaptionStage:
    """Measures a clip and puts it into words."""

    rate_hz: int
    backend: str = BACKEND
    name: str = "captions"
    version: str = "1"

    def process(self, window: Window, spoken: list[Utterance]) -> Caption:
        """Caption and tags of one clip; `spoken` are the sidecar's words within it."""
        sound = observe_sound(window.audio, self.rate_hz)
        if window.frames_THWC is None:
            tag, text = _SOUND_ONLY[sound.kind]
            caption = Caption(text.format(pitch=sound.pitch, material=_material(sound)), (tag, *_sound_tags(sound)))
        else:
            caption = describe(observe_picture(window.frames_THWC), sound)
        words = " ".join(f"{SPEECH_START}{utterance.text}{SPEECH_END}" for utterance in spoken)
        return Caption(f"{caption.text} {words}".strip(), (*caption.tags, "transcript") if words else caption.tags)


def describe(picture: PictureObservation, sound: SoundObservation) -> Caption:
    """The family both agree on, or no more than is sure."""
    known = _known(picture, sound)
    tags = (f"colour:{picture.colour}",) * bool(picture.colour) + _sound_tags(sound)
    if known is not None:
        family, text = known
        side = (f"side:{picture.side}",) if family in ("flash", "tone") else ()
        return Caption(_tidy(text), (family, *side, *tags))
    scene = "still picture" if picture.kind is PictureKind.STILL else "moving scene"
    colours = f", mostly {picture.colour}," if picture.colour else ""
    return Caption(f"A {scene}{colours} {_PLAIN_SOUNDS.get(sound.kind, 'with sound')}.", ("other", *tags))


def _known(picture: PictureObservation, sound: SoundObservation) -> tuple[str, str] | None:
    """Family and sentence of a scene in which picture and sound belong together."""
    colour = picture.colour
    match picture.kind, sound.kind:
        case PictureKind.FLASH, SoundKind.STRUCK_TONE:
            return "flash", f"A {colour} bar on the {picture.side} flashes, with a {sound.pitch} tone at each flash."
        case PictureKind.MOVING, SoundKind.KNOCK:
            return "impact", f"A {colour} ball bounces, with a knock on {_material(sound)} at each bounce."
        case PictureKind.MOUTH, SoundKind.VOICE:
            return "talk", f"A {colour} face speaks with a {sound.pitch} voice."
        case PictureKind.MOUTHS, SoundKind.VOICE:
            return "dialog", "Two faces speak in turn."
        case PictureKind.COLUMNS, SoundKind.TUNE:
            return "music", f"{colour} columns jump and sink with the notes of a tune."
        case PictureKind.MOVING, SoundKind.STEADY_TONE:
            return (
                "tone",
                f"A {colour} disc on the {picture.side} rises and falls with the pitch of a {sound.pitch} tone.",
            )
        case PictureKind.STREAKS, SoundKind.NOISE:
            return "rain", "Rain falls with a steady rush."
    return None


def _sound_tags(sound: SoundObservation) -> tuple[str, ...]:
    pitched = sound.kind in (SoundKind.VOICE, SoundKind.STEADY_TONE, SoundKind.STRUCK_TONE)
    return (f"sound:{sound.kind}", *((f"pitch:{sound.pitch}",) if pitched else ()))


def _material(sound: SoundObservation) -> str:
    return "wood" if sound.frequency_hz < 1000.0 else "metal"


def _tidy(text: str) -> str:
    """One space between words, where a colour had no name; a capital at the start."""
    words = " ".join(text.split())
    return words[:1].upper() + words[1:]
