"""The prompt formats of the models that an evaluation compares, with where each is written down.

The NAVA paper rewrites every test prompt "to each model's expected format with the benchmark's meaning kept"
(paper-recipe.md, Evaluation) and does not publish those rewrites. These are the formats as each model's own public
pages give them; lengths that a guide asks for (150 to 200 words) are the rewriter's matter. A format that could not be
held against such a page has ``unverified`` set, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nava.rewriting import dialects
from nava.rewriting.rewritten_item import RewrittenItem
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class ModelFormat:
    """How one model is told what to make.

    Attributes:
        name: of the format.
        description: in one line.
        source: where it is written down.
        write: an item to the model's text inputs.
        takes: which of an item's things reach the model; the others are listed as left out.
        unverified: whether something about it could not be verified.
        doubts: what that is.
    """

    name: str
    description: str
    source: str
    write: Callable[[RewrittenItem], dict[str, str]]
    takes: frozenset[str]
    unverified: bool = False
    doubts: str = ""


@dataclass(frozen=True)
class ModelInput:
    """What one model gets of one item.

    Attributes:
        model: the format's name.
        inputs: the model's text inputs by name.
        left_out: what the item has and the model's format has no place for.
        unverified: see `ModelFormat`.
    """

    model: str
    inputs: dict[str, str]
    left_out: tuple[str, ...]
    unverified: bool


_SCENE = frozenset(("visual", "temporal", "camera", "sound", "speech", "first_frame"))
_FORMATS = (
    ModelFormat(
        "nava",
        "four labelled parts, speech as <S>words<E> in the last",
        "paper-recipe.md, Data: the template is the same at training and at inference; nava/conditioning/prompt.py",
        dialects.nava,
        _SCENE | {"voices"},
    ),
    ModelFormat(
        "nava-release",
        "one paragraph without labels, speech as <S>words<E> behind its speaker",
        "nava-release.md, 2.5; ernie-research/NAVA, infer_cases/verse_bench_rewrite/set3.jsonl",
        dialects.nava_release,
        _SCENE | {"voices"},
    ),
    ModelFormat(
        "nava-release-seed-tts",
        "the words to speak, the reference voice and the words spoken in it, as lines of meta.lst",
        "ernie-research/NAVA, nava_src/data/t2a_seedtts.py: it puts the words between <S> and <E> itself",
        dialects.voice_cloning,
        frozenset(("speech", "voices")),
    ),
    ModelFormat(
        "ovi-1.0",
        "prose, speech as <S>words<E>, sound as <AUDCAP>...<ENDAUDCAP> at the end",
        "character-ai/Ovi, README before 10 November 2025, Prompt Format (also of the checkpoint 720x720_5s today)",
        dialects.ovi_tagged,
        _SCENE,
    ),
    ModelFormat(
        "ovi-1.1",
        "prose, speech as <S>words<E>, sound as 'Audio: ...' at the end",
        "character-ai/Ovi, README since 10 November 2025, Prompt Format (checkpoints 960x960_5s and 960x960_10s)",
        dialects.ovi_labelled,
        _SCENE,
    ),
    ModelFormat(
        "mova",
        "prose with the speech in double quotes; always begins with a picture",
        "OpenMOSS/MOVA, README, Inference: the two example prompts",
        dialects.mova,
        _SCENE,
    ),
    ModelFormat(
        "ltx-2",
        "one paragraph that begins with the action, speech in quotes, 200 words at most",
        "Lightricks/LTX-2, README, Prompting for LTX-2, and the example prompt in Quick Start",
        dialects.ltx,
        _SCENE,
    ),
    ModelFormat(
        "davinci-magihuman",
        "a main body with the speech in it, then the blocks 'Dialogue:' and 'Background Sound:'",
        "GAIR-NLP/daVinci-MagiHuman, README, Prompt Guidance",
        dialects.davinci,
        _SCENE,
        unverified=True,
        doubts=(
            "the README does not say what stands in the dialogue block when nobody speaks, and the specification that "
            "it points to (prompts/enhanced_prompt_design.md) was not to be had"
        ),
    ),
    ModelFormat(
        "dreamid-omni",
        "subjects as <sub1> and <sub2> of the pictures <img1> and <img2>, scene, actions, speech as <S>words<E>",
        (
            "Guoxu1233/DreamID-Omni, README, How to Create; its test_case/*/captions, and inference_r2av.py, which "
            "takes out the description of sound and the times before the model reads the caption (both read in the "
            "fork cronos3k/dreamid-omni-consumer-gpu)"
        ),
        dialects.dreamid_omni,
        frozenset(("visual", "temporal", "camera", "speech", "voices")),
        unverified=True,
        doubts="its examples have a line on the subjects' appearance, which here is part of the scene",
    ),
    *(
        ModelFormat(
            name,
            f"zero-shot: the text, the reference voice (16 kHz) and the words spoken in it{note}",
            "FunAudioLLM/CosyVoice, README, Basic Usage: inference_zero_shot",
            dialects.voice_cloning,
            frozenset(("speech", "voices")),
        )
        for name, note in (
            ("cosyvoice", "; the weights are CosyVoice-300M"),
            ("cosyvoice2", "; text_frontend=False to reproduce published results"),
        )
    ),
    ModelFormat(
        "qwen2.5-omni",
        "the text, the reference voice and the words spoken in it",
        "QwenLM/Qwen2.5-Omni, README, Usage Tips",
        dialects.voice_cloning,
        frozenset(("speech", "voices")),
        unverified=True,
        doubts=(
            "the published checkpoint has two voices of its own and no documented way to take a reference voice; how "
            "its Seed-TTS figures were made is not public. It speaks only under the system prompt that its README gives"
        ),
    ),
)
FORMATS = {form.name: form for form in _FORMATS}


def format_item(item: RewrittenItem, model: str) -> ModelInput:
    """An item in the format of a model.

    Raises:
        InputError: no such format, or the item lacks what the format needs; the message names it.
    """
    form = FORMATS.get(model)
    if form is None:
        raise InputError(f"no prompt format for model {model!r}; there are {', '.join(FORMATS)}")
    has = {
        "visual": item.prompt.visual,
        "temporal": item.prompt.temporal,
        "camera": item.prompt.camera,
        "sound": item.sound,
        "speech": item.spans,
        "voices": item.voices,
        "first_frame": item.first_frame,
    }
    left_out = tuple(name for name, value in has.items() if value and name not in form.takes)
    return ModelInput(form.name, form.write(item), left_out, form.unverified)
