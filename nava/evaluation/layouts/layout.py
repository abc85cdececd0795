"""How the scripts of the compared models name the files that they write, with where each naming was read.

A file's name is a stem, which says whose it is, and a tail (size, seed, rank, a number). Where the stem does not follow
from the item's id, the request file that was written for the model says it (`nava.evaluation.layouts.asked`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nava.runtime.errors import InputError

DEFAULT = "default"
VIDEO, SOUND = (".mp4",), (".wav",)


@dataclass(frozen=True)
class OutputLayout:
    """How one model's script names its outputs.

    Attributes:
        name: of the model, as `nava eval requests --for` has it.
        shown: a file's name, for people.
        source: where it was read.
        tail: regular expression of what stands between stem and suffix.
        suffixes: of the files.
        stems: the stems that an item's id may have; None where only the request file knows them.
        numbered: whether rank and number of a file say which line of the request file it is.
        index: regular expression of stems that hold the line's number, to notice outputs of another request file.
        doubts: what about it could not be verified; empty if nothing.
    """

    name: str
    shown: str
    source: str
    tail: str = ""
    suffixes: tuple[str, ...] = VIDEO
    stems: Callable[[str], tuple[str, ...]] | None = None
    numbered: bool = False
    index: str = ""
    doubts: str = ""

    @property
    def unverified(self) -> bool:
        """Whether something about it could not be verified."""
        return bool(self.doubts)


def _by_id(item_id: str) -> tuple[str, ...]:
    return (item_id,)


def _by_people(item_id: str) -> tuple[str, ...]:
    return f"oneip_{item_id}", f"twoip_{item_id}"


_WRITTEN_ID = "the command line names the file, and `run.sh` of the requests names it by the item's id"
_SEED_TTS = "BytedanceSpeech/seed-tts-eval, get_wav_res_ref_text.py: the scorer looks for WAV_DIR/UTT.wav"
_LAYOUTS = (
    *(
        OutputLayout(
            name,
            "FIRST_50_CHARACTERS_OF_THE_PROMPT_HEIGHTxWIDTH_SEED_RANK_NUMBER.mp4",
            (
                "character-ai/Ovi, inference.py (8a1de5d): prompt, size, seed, rank and a counter of the rank; what is "
                "left of the prompt is in its ovi/utils/processing_utils.py: tags go, spaces and slashes become "
                "underscores, 50 characters stay"
            ),
            r"_\d+x\d+_(?P<seed>\d+)_(?P<rank>\d+)_(?P<number>\d+)",
            numbered=True,
            doubts=(
                "Ovi's processing_utils.py, which cuts prompts and reads the CSV, was read in a public copy whose "
                "repository could not be told"
            ),
        )
        for name in ("ovi-1.0", "ovi-1.1")
    ),
    OutputLayout(
        "mova",
        "ID.mp4",
        f"OpenMOSS/MOVA, README, Inference: --output_path of scripts/inference_single.py; {_WRITTEN_ID}",
        stems=_by_id,
    ),
    OutputLayout(
        "davinci-magihuman",
        "ID_SECONDSs_WIDTHxHEIGHT.mp4, and _WIDTHxHEIGHT once more with super-resolution",
        (
            "GAIR-NLP/daVinci-MagiHuman, inference/pipeline/pipeline.py (34c35f3): behind the prefix that "
            f"--output_path gives; {_WRITTEN_ID}"
        ),
        r"_\d+s_\d+x\d+(_(\d+|None)x(\d+|None))?",
        stems=_by_id,
    ),
    OutputLayout(
        "ltx-2.3",
        "ID.mp4",
        (
            "Lightricks/LTX-2, packages/ltx-pipelines, utils/args.py (c4c2d43, whose defaults are those of LTX 2.3): "
            f"--output-path; {_WRITTEN_ID}"
        ),
        stems=_by_id,
    ),
    OutputLayout(
        "dreamid-omni",
        "oneip_ID_HEIGHTxWIDTH_SEED_RANK.mp4, twoip_... for two speakers",
        "Guoxu1233/DreamID-Omni, inference_r2av.py, as the fork cronos3k/dreamid-omni-consumer-gpu has it (cf6e0ec)",
        r"_\d+x\d+_(?P<seed>\d+)_(?P<rank>\d+)",
        stems=_by_people,
        doubts="the repository's own copy of the script was not to be had; the fork's example outputs are named so",
    ),
    *(
        OutputLayout(
            name,
            "UTT.wav or UTT_NUMBER.wav",
            f"{_SEED_TTS}; FunAudioLLM/CosyVoice, cosyvoice/bin/inference.py (076829a): UTT_INDEX.wav",
            r"(_\d+)?",
            SOUND,
            _by_id,
            doubts=(
                "CosyVoice publishes no script that reads meta.lst: its README calls inference_zero_shot for each text "
                "and writes a file for each piece of a long one"
            ),
        )
        for name in ("cosyvoice", "cosyvoice2")
    ),
    OutputLayout(
        "qwen2.5-omni",
        "UTT.wav",
        _SEED_TTS,
        "",
        SOUND,
        _by_id,
        doubts="Qwen publishes no script for Seed-TTS-eval: whoever runs it names the files as the scorer wants them",
    ),
    OutputLayout(
        "nava-release",
        "idxLINE_FIRST_20_CHARACTERS_OF_THE_PROMPT-av-TURN.mp4",
        (
            "ernie-research/NAVA, nava_src/data/t2v.py (400d71f): line and prompt, spaces and slashes as underscores; "
            "inference_nava.py (009b10e): what stands behind the last dot goes, then the turn; nava-release.md, 2.3"
        ),
        r"-av-(?P<turn>\d+)",
        index=r"idx(?P<index>\d+)_",
    ),
    OutputLayout(
        "nava-release-seed-tts",
        "LANGUAGE/wavs/UTT.wav",
        (
            "ernie-research/NAVA, nava_src/data/t2a_seedtts.py (400d71f); its infer_cases/seedtts/README.md has "
            "LANGUAGE/UTT.wav, which is found as well"
        ),
        "",
        SOUND,
        _by_id,
    ),
    OutputLayout(
        "nava", "ID.mp4, ID.wav", "nava generate --requests: by the field id", "", (*VIDEO, *SOUND), stems=_by_id
    ),
)
OUTPUT_LAYOUTS = {layout.name: layout for layout in _LAYOUTS}


def output_layout(name: str) -> OutputLayout:
    """The layout of a model. InputError: there is none of that name."""
    if name not in OUTPUT_LAYOUTS:
        raise InputError(f"there is no layout {name!r} of outputs; there are {DEFAULT}, {', '.join(OUTPUT_LAYOUTS)}")
    return OUTPUT_LAYOUTS[name]
