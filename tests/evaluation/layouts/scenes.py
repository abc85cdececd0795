"""Items as the built-in benchmark has them, with small files: one and two speakers, sounds, silence."""

from pathlib import Path

import numpy as np
from PIL import Image

from nava.config.rewriting import RewritingConfig
from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.layouts.asked import RequestFile
from nava.evaluation.layouts.requests import RequestSettings, write_model_requests
from nava.generation.media import write_wav

LONG = "A ball bounces on the floor of a room that is very wide"


def scenes(folder: Path) -> list[Item]:
    """Nine items; the four impacts begin with the same words, and one of them has no picture."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "frame.png")
    write_wav(folder / "voice.wav", np.zeros(160, np.float32), 16_000)
    frame, voice = folder / "frame.png", folder / "voice.wav"
    talks = [
        Item(
            f"talk-{number}",
            "talk",
            f"A face, number {number}, speaks.",
            speech=(Spoken(f'It\'s "$HOME" `no {number}`, $(ls) & so.', "Ada"),),
            first_frame=frame,
            reference_voice=voice,
            reference_text="The kettle is on the stove.",
        )
        for number in range(2)
    ]
    dialog = Item(
        "dialog-0", "dialog", "Two faces.", speech=(Spoken("Hi.", "Ada"), Spoken("Ho.", "Ben")), first_frame=frame
    )
    impacts = [
        Item(f"impact-{number}", "impact", f"{LONG}, ball {number}.", audio_prompt="a knock", first_frame=frame)
        for number in range(3)
    ]
    bare = Item("impact-3", "impact", f"{LONG}, ball 3.", audio_prompt="a knock")
    silent = [Item(f"silent-{number}", "silent", f"/A disc {number} swings.", first_frame=frame) for number in (1, 11)]
    return [*talks, dialog, *impacts, bare, *silent]


def ask(model: str, items: list[Item], out: Path, settings: RequestSettings | None = None) -> RequestFile:
    """Write the requests of a model."""
    return write_model_requests(out, "scenes.v1", items, model, RewritingConfig(), settings or RequestSettings())
