"""What is written for which model: its prompt format, the files that its script reads, and what it cannot be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nava.evaluation.layouts import inputs
from nava.evaluation.layouts.inputs import Ready, Writer
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class RequestForm:
    """The requests of one model.

    Attributes:
        model: its name, as among the layouts of outputs.
        format: of its prompts, a name of `nava.rewriting.formats.FORMATS`.
        writes: the files, for people.
        source: where was read what the script reads.
        write: writes them.
        command: what to run then; `{inputs}` is the folder of the files.
        refuse: why an item cannot be asked; empty if it can.
        doubts: what could not be verified; empty if nothing.
    """

    model: str
    format: str
    writes: str
    source: str
    write: Writer
    command: str
    refuse: Callable[[Ready], str] = lambda one: ""
    doubts: str = ""


def _needs_picture(one: Ready) -> str:
    return "" if one.picture else "MOVA always begins with a picture, and the item has none"


def _needs_one_person(one: Ready) -> str:
    if len(one.rewritten.speakers) > 1:
        return "DreamID-Omni needs a picture and a voice of each speaker, and the benchmark has one of each"
    if one.picture is None:
        return "DreamID-Omni needs a picture of who speaks; give one for all with --portrait"
    return "" if one.voice else "DreamID-Omni needs a reference voice, and the item has none"


def _fits_list(one: Ready) -> str:
    texts = (*one.given.inputs.values(), one.item_id)
    return "its text or path holds a |, which meta.lst cannot" if any("|" in text for text in texts) else ""


_OVI_SOURCE = (
    "character-ai/Ovi, inference.py (8a1de5d): text_prompt of its configuration may be a CSV file; that it has the "
    "columns text_prompt and image_path is in its ovi/utils/processing_utils.py (a copy was read)"
)
_OVI_COMMAND = (
    "for each CSV file of {inputs} set text_prompt to it, mode to its name (i2v or t2v), output_dir to OUTPUTS/i2v or "
    "OUTPUTS/t2v and seed in Ovi's inference_fusion.yaml, then: "
    "python3 inference.py --config-file ovi/configs/inference/inference_fusion.yaml"
)
_ITEM_BY_ITEM = "sh {inputs}/run.sh OUTPUTS "
_SEED_TTS_SOURCE = "BytedanceSpeech/seed-tts-eval, get_wav_res_ref_text.py; evaluation.md, 1.7"
_SEED_TTS_COMMAND = "have the model speak each line of {inputs}/meta.lst, to OUTPUTS/UTT.wav"
_FORMS = (
    *(
        RequestForm(name, name, "i2v.csv for mode i2v, t2v.csv for mode t2v", _OVI_SOURCE, inputs.ovi, _OVI_COMMAND)
        for name in ("ovi-1.0", "ovi-1.1")
    ),
    RequestForm(
        "mova",
        "mova",
        "prompts/ID.txt, run.sh",
        "OpenMOSS/MOVA, README, Inference; scripts/inference_single.py in the fork BernardusLiauw/MOVA (04d1670)",
        inputs.CommandLine(("--ref_path", "{}"), "--output_path", "{}.mp4", "{}.mp4", "{}.mp4"),
        _ITEM_BY_ITEM + "torchrun --nproc_per_node=1 scripts/inference_single.py --ckpt_path MOVA-720p --cp_size 1",
        _needs_picture,
    ),
    RequestForm(
        "davinci-magihuman",
        "davinci-magihuman",
        "prompts/ID.txt, run.sh",
        "GAIR-NLP/daVinci-MagiHuman, inference/pipeline/entry.py (032bac5) and example/base/run_TI2V.sh (209209b)",
        inputs.CommandLine(("--image_path", "{}"), "--output_path", "{}", "{}_*s_*x*.mp4", "{}_SECONDSs_WxH.mp4"),
        _ITEM_BY_ITEM + "torchrun ... inference/pipeline/entry.py --config-load-path example/base/config.json",
    ),
    RequestForm(
        "ltx-2.3",
        "ltx-2",
        "prompts/ID.txt, run.sh",
        "Lightricks/LTX-2, packages/ltx-pipelines, utils/args.py (c4c2d43): --image PATH FRAME STRENGTH",
        inputs.CommandLine(("--image", "{}", "0", "1.0"), "--output-path", "{}.mp4", "{}.mp4", "{}.mp4"),
        _ITEM_BY_ITEM + "python -m ltx_pipelines.ti2vid_one_stage --checkpoint-path WEIGHTS --gemma-root GEMMA",
        doubts="that a first frame is to be held with strength 1.0 is not said there",
    ),
    RequestForm(
        "dreamid-omni",
        "dreamid-omni",
        "test_case/oneip/{imgs,audios,captions}",
        "Guoxu1233/DreamID-Omni, inference_r2av.py, as the fork cronos3k/dreamid-omni-consumer-gpu has it (cf6e0ec)",
        inputs.dreamid_omni,
        (
            "set data_root of DreamID-Omni's inference_r2av.yaml to {inputs}/test_case, then: "
            "python3 inference_r2av.py --config-file dreamid_omni/configs/inference/inference_r2av.yaml"
        ),
        _needs_one_person,
        "a benchmark has no portraits: the first frame stands in, or --portrait; which the paper took is not said",
    ),
    *(
        RequestForm(
            name,
            name,
            "meta.lst",
            _SEED_TTS_SOURCE,
            inputs.seed_tts_list,
            _SEED_TTS_COMMAND,
            _fits_list,
            "the model's repository has no script that reads meta.lst",
        )
        for name in ("cosyvoice", "cosyvoice2", "qwen2.5-omni")
    ),
    RequestForm(
        "nava-release",
        "nava-release",
        "prompts.jsonl",
        "ernie-research/NAVA, nava_src/data/t2v.py (400d71f); nava-release.md, 2.1",
        inputs.nava_release,
        "scripts/inference_batch.sh of the release, with {inputs}/prompts.jsonl and --gen_turn 1",
    ),
    RequestForm(
        "nava-release-seed-tts",
        "nava-release-seed-tts",
        "meta.lst",
        "ernie-research/NAVA, nava_src/data/t2a_seedtts.py (400d71f) and infer_cases/seedtts/README.md",
        inputs.seed_tts_list,
        "DATA_FILE={inputs}/meta.lst OUT_DIR=OUTPUTS bash scripts/inference_seedtts.sh",
        _fits_list,
    ),
    RequestForm(
        "nava",
        "nava",
        "requests.jsonl",
        "nava/generation/batch.py",
        inputs.nava,
        "nava generate --requests {inputs}/requests.jsonl --output-dir OUTPUTS",
    ),
)
REQUEST_FORMS = {form.model: form for form in _FORMS}


def request_form(model: str) -> RequestForm:
    """The requests of a model. InputError: nothing is known of one of that name."""
    if model not in REQUEST_FORMS:
        raise InputError(f"no requests can be written for {model!r}; there are {', '.join(REQUEST_FORMS)}")
    return REQUEST_FORMS[model]
