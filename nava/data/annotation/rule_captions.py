"""The rule-based captioner: words for what was measured in picture and sound.

It knows a few kinds of scene and says so plainly of everything else. It never sees how a clip was made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nava.data.annotation.caption_parts import CaptionParts
from nava.data.annotation.picture_observation import PictureKind, PictureObservation, observe_picture
from nava.data.annotation.sound_observation import SoundKind, SoundObservation, observe_sound

BACKEND = "rules.v1"

# Of a scene whose picture and sound do not make a known pair, only this much is sure: the classes were set on simple
# scenes and would name columns or knocks in any film.
_PLAIN_SOUNDS = {SoundKind.SILENCE: "without a sound", SoundKind.NOISE: "with a rush of noise"}
_PLAIN_AUDIO = {SoundKind.SILENCE: "Silence.", SoundKind.NOISE: "A rush of noise."}
_SOUND_ONLY = {
    SoundKind.SILENCE: ("silence", "Silence."),
    SoundKind.NOISE: ("noise", "A rush of noise."),
    SoundKind.VOICE: ("speech", "A {pitch} voice speaks."),
    SoundKind.STEADY_TONE: ("tone", "A steady {pitch} tone."),
    SoundKind.STRUCK_TONE: ("tones", "A {pitch} tone at each strike."),
    SoundKind.KNOCK: ("knocks", "Knocks on {material}."),
    SoundKind.TUNE: ("music", "Music plays."),
}
# Kinds of picture that change in one place only: all else holding still is measured, so the camera does too.
_STATIC = {PictureKind.STILL, PictureKind.FLASH, PictureKind.MOUTH, PictureKind.MOUTHS}
_STATIC_CAMERA = "A static camera."


@dataclass(frozen=True)
class RuleCaption:
    """What is said of a clip: in one sentence, in the prompt's parts, and as tags, of which the first is the family."""

    text: str
    tags: tuple[str, ...]
    parts: CaptionParts


@dataclass(frozen=True)
class _Scene:
    """A family in which picture and sound belong together, in words."""

    family: str
    text: str
    visual: str
    temporal: str
    audio: str


def caption_by_rules(
    frames_THWC: npt.NDArray[np.uint8] | None, audio: npt.NDArray[np.float32], rate_hz: int
) -> RuleCaption:
    """Measures a clip and puts it into words.

    Args:
        frames_THWC: uint8 RGB; None for sound alone.
        audio: mono samples, float32 [N].
        rate_hz: of the sound.
    """
    sound = observe_sound(audio, rate_hz)
    if frames_THWC is not None:
        return describe(observe_picture(frames_THWC), sound)
    tag, template = _SOUND_ONLY[sound.kind]
    text = template.format(pitch=sound.pitch, material=_material(sound))
    return RuleCaption(text, (tag, *_sound_tags(sound)), CaptionParts(audio=text))


def describe(picture: PictureObservation, sound: SoundObservation) -> RuleCaption:
    """The family both agree on, or no more than is sure."""
    tags = (f"colour:{picture.colour}",) * bool(picture.colour) + _sound_tags(sound)
    camera = _STATIC_CAMERA if picture.kind in _STATIC else ""
    if (scene := _known(picture, sound)) is not None:
        side = (f"side:{picture.side}",) if scene.family in ("flash", "tone") else ()
        parts = CaptionParts(_tidy(scene.visual), scene.temporal, camera, scene.audio)
        return RuleCaption(_tidy(scene.text), (scene.family, *side, *tags), parts)
    is_still = picture.kind is PictureKind.STILL
    visual = "A still picture" if is_still else "A moving scene"
    colours = f", mostly {picture.colour}" if picture.colour else ""
    text = f"{visual}{colours}{',' * bool(colours)} {_PLAIN_SOUNDS.get(sound.kind, 'with sound')}."
    temporal = "Nothing moves." if is_still else ""
    parts = CaptionParts(f"{visual}{colours}.", temporal, camera, _PLAIN_AUDIO.get(sound.kind, "Sound."))
    return RuleCaption(text, ("other", *tags), parts)


def _known(picture: PictureObservation, sound: SoundObservation) -> _Scene | None:
    """The scene in which picture and sound belong together, if they do."""
    colour, side, pitch = picture.colour, picture.side, sound.pitch
    match picture.kind, sound.kind:
        case PictureKind.FLASH, SoundKind.STRUCK_TONE:
            text = f"A {colour} bar on the {side} flashes, with a {pitch} tone at each flash."
            tone = f"A {pitch} tone at each flash."
            return _Scene("flash", text, f"A {colour} bar on the {side}.", "The bar flashes.", tone)
        case PictureKind.MOVING, SoundKind.KNOCK:
            knock = f"knock on {_material(sound)} at each bounce."
            text = f"A {colour} ball bounces, with a {knock}"
            return _Scene("impact", text, f"A {colour} ball.", "The ball bounces.", f"A {knock}")
        case PictureKind.MOUTH, SoundKind.VOICE:
            text, voice = f"A {colour} face speaks with a {pitch} voice.", f"A {pitch} voice speaks."
            return _Scene("talk", text, f"A {colour} face.", "The mouth opens and closes.", voice)
        case PictureKind.MOUTHS, SoundKind.VOICE:
            return _Scene("dialog", "Two faces speak in turn.", "Two faces.", "They speak in turn.", "Voices in turn.")
        case PictureKind.COLUMNS, SoundKind.TUNE:
            text = f"{colour} columns jump and sink with the notes of a tune."
            return _Scene("music", text, f"{colour} columns.", "The columns jump and sink.", "The notes of a tune.")
        case PictureKind.MOVING, SoundKind.STEADY_TONE:
            text = f"A {colour} disc on the {side} rises and falls with the pitch of a {pitch} tone."
            tone = f"A {pitch} tone whose pitch rises and falls."
            return _Scene("tone", text, f"A {colour} disc on the {side}.", "The disc rises and falls.", tone)
        case PictureKind.STREAKS, SoundKind.NOISE:
            return _Scene("rain", "Rain falls with a steady rush.", "Rain.", "Rain falls.", "A steady rush.")
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
