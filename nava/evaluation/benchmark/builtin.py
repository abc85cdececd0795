"""The built-in benchmark: clips of the labelled generator whose truth is known exactly, made on this machine.

Speech, two speakers, impacts, flashes, music and silence, with transcript, voices and times of events. It shows what a
metric can and cannot tell; it says nothing about how good a model's pictures are.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item, Spoken
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json

ITEMS_FILE = "items.json"
MEDIA = "media"
SCHEMA_VERSION = 1
KINDS = ("talk", "dialog", "impact", "flash", "music", "silent")
PER_KIND = 4
SECONDS = 4.4
WIDTH, HEIGHT, FPS, RATE_HZ = 256, 256, Fraction(25), 16_000
_ABOUT = {
    "talk": "A face speaks to the camera.",
    "dialog": "Two faces speak in turn.",
    "impact": "A ball bounces on the floor of a room.",
    "flash": "A bar lights up again and again.",
    "music": "Columns jump with the notes of a tune.",
    "silent": "A disc swings without a sound.",
}
_HEARD = {
    "impact": "a knock at each bounce",
    "flash": "a tone at each flash",
    "music": "a tune",
}


@dataclass(frozen=True)
class BuiltinBenchmark:
    """Items with their true clips.

    Attributes:
        folder: holds `items.json` and `media/`.
        items: in order.
    """

    folder: Path
    items: tuple[Item, ...]

    def true_clip(self, item: Item) -> Path:
        """The clip that the item was written about."""
        return self.folder / MEDIA / f"{item.item_id}.mp4"


def make_builtin(folder: Path, seed: int = 0, per_kind: int = PER_KIND) -> BuiltinBenchmark:
    """Make the benchmark, or read it if it is there.

    Args:
        folder: to make it in; a made one is complete once it has its `items.json`.
        seed: of everything.
        per_kind: clips of each kind.

    Raises:
        InputError: the folder holds another benchmark, or espeak-ng is missing.
    """
    wanted = {"schema_version": SCHEMA_VERSION, "seed": seed, "per_kind": per_kind}
    file = folder / ITEMS_FILE
    if file.is_file():
        value = read_json(file)
        if {name: value.get(name) for name in wanted} != wanted:
            raise InputError(f"{folder} holds the built-in benchmark of other settings; give another folder")
        return BuiltinBenchmark(folder, tuple(_item(entry, folder) for entry in value["items"]))
    (folder / MEDIA).mkdir(parents=True, exist_ok=True)
    entries = [_make(folder, kind, number, seed) for kind in KINDS for number in range(per_kind)]
    write_json(file, {**wanted, "items": entries})
    return BuiltinBenchmark(folder, tuple(_item(entry, folder) for entry in entries))


def _make(folder: Path, kind: str, number: int, seed: int) -> dict[str, Any]:
    """Render a clip, its first frame and the voice that speaks in it; what is known of it."""
    import numpy as np
    from PIL import Image

    from nava.data.synthetic.drawing import COLOURS, Stage
    from nava.data.synthetic.plan import ShotPlan
    from nava.data.synthetic.shots import render_shot
    from nava.data.synthetic.sound import PITCHES_HZ
    from nava.generation.media import write_mp4

    rng = np.random.default_rng([seed, KINDS.index(kind), number])
    colour, side = list(COLOURS)[number % len(COLOURS)], ("left", "right")[number % 2]
    plan = ShotPlan(kind, colour, side, PITCHES_HZ[number % len(PITCHES_HZ)], SECONDS)
    shot = render_shot(Stage(WIDTH, HEIGHT, FPS, RATE_HZ), plan, rng)
    name = f"{kind}-{number:02d}"
    media = folder / MEDIA
    write_mp4(media / f"{name}.mp4", shot.frames_THWC, float(FPS), shot.audio_L, RATE_HZ)
    Image.fromarray(shot.frames_THWC[0]).save(media / f"{name}.png")
    # Speech knows no events: its onsets are those of its words.
    events = [round(float(time_s), 4) for time_s in shot.events_s]
    entry: dict[str, Any] = {
        "item_id": name,
        "subset": kind,
        "prompt": f"{_ABOUT[kind]} Its colour is {colour}.",
        "audio_prompt": _HEARD.get(kind, ""),
        "speech": [{"speaker": part.utterance.voice.speaker, "text": part.utterance.text} for part in shot.speech],
        "truth": {"kind": kind, "events_s": events, "voices": [part.utterance.voice.speaker for part in shot.speech]},
    }
    if kind == "talk":
        entry["voice"] = f"{name}-voice.wav"
        _write_voice(media / entry["voice"], shot.speech[0].utterance.voice, shot.speech[0].utterance.text, number)
    return entry


def _write_voice(path: Path, voice: Any, said: str, number: int) -> None:
    """Another sentence of the same speaker."""
    from nava.data.synthetic.sound import spoken
    from nava.data.synthetic.speech import speak
    from nava.generation.media import write_wav

    utterance = speak(_voice_text(said, number), voice, seed=1000 + number)
    write_wav(path, spoken(utterance, RATE_HZ), RATE_HZ)


def _voice_text(said: str, number: int) -> str:
    """What is said in the reference voice of an item."""
    from nava.data.synthetic.speech import SENTENCES

    others = [sentence for sentence in SENTENCES if sentence != said]
    return others[number % len(others)]


def _item(entry: dict[str, Any], folder: Path) -> Item:
    media = folder / MEDIA
    voice = entry.get("voice")
    number = int(entry["item_id"].rpartition("-")[2])
    return Item(
        item_id=entry["item_id"],
        subset=entry["subset"],
        prompt=entry["prompt"],
        speech=tuple(Spoken(part["text"], part["speaker"]) for part in entry["speech"]),
        audio_prompt=entry["audio_prompt"],
        first_frame=media / f"{entry['item_id']}.png",
        reference_audio=media / f"{entry['item_id']}.mp4",
        reference_voice=media / voice if voice else None,
        reference_text=_voice_text(entry["speech"][0]["text"], number) if voice else "",
        truth=entry["truth"],
    )
