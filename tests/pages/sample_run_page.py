"""A rich page of a run that never happened: every name says it is test data. Media are encoded here, small."""

import hashlib
import io
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from nava.pages.run_facts import (
    Arm,
    ClipFacts,
    Command,
    CorpusFacts,
    Estimate,
    Failure,
    GateFacts,
    LossCurve,
    MetricFacts,
    ModelVersionFacts,
    PromotionFacts,
    QualityFigure,
    Record,
    RunPage,
    ServeCheckFacts,
    SourceFacts,
    StageFacts,
    Statement,
    StepFacts,
)

STEPS = {
    "ingest": ((), 2.1),
    "curate": (("ingest",), 74.0),
    "validate": (("curate",), 11.2),
    "version": (("curate", "validate"), 6.4),
    "encode": (("version",), 38.0),
    "train_stage_1": (("encode",), 41.0),
    "train_stage_2": (("encode", "train_stage_1"), 96.0),
    "train_stage_3": (("encode", "train_stage_2"), 150.0),
    "evaluate": (("train_stage_3", "encode"), 33.0),
    "gate": (("evaluate",), 0.8),
    "register": (("evaluate", "gate", "train_stage_3", "encode", "version"), 5.0),
    "package": (("register", "train_stage_3", "encode"), 4.2),
    "serve_check": (("package",), 24.0),
    "promote": (("register", "gate", "package", "serve_check"), 1.3),
}
REASONS = ("too_quiet", "subtitle_text", "near_duplicate", "undecodable", "static_picture", "audio_video_offset")
ATTACK = '</script><script>window.attacked=1</script><img src=x onerror="window.attacked=1">\'"&'


def encode_clip(
    path: Path,
    *,
    frames: int = 24,
    seed: int = 0,
    colour: tuple[int, int, int] = (240, 90, 60),
    sound_late_s: float = 0.0,
    with_sound: bool = True,
) -> Path:
    """A bar that flashes, with a tone at each flash: H.264 and AAC, 64x64, 24 fps."""
    rng = np.random.default_rng(seed)
    rate, fps = 16_000, 24
    events = [0.1, 0.55] if frames <= 24 else [0.15, 0.7, 1.3, 1.7]
    seconds_F = np.arange(frames) / fps
    level_F = sum(np.where(seconds_F >= event, np.exp(-6 * (seconds_F - event)), 0.0) for event in events)
    seconds_L = np.arange(int(rate * frames / fps)) / rate
    envelope_L = sum(np.where(seconds_L >= event, np.exp(-9 * (seconds_L - event)), 0.0) for event in events)
    samples_L = (0.4 * envelope_L * np.sin(2 * np.pi * 720 * seconds_L)).astype(np.float32)
    background_HW = np.linspace(20, 60, 64)[:, None] + rng.normal(0, 4, (64, 64))
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=rate) if with_sound else None
        if audio is not None:
            audio.layout = "mono"
        for level in level_F:
            image_HWC = np.repeat(background_HW[:, :, None], 3, axis=2)
            image_HWC[10:54, 12:26] = np.array(colour) * (0.12 + 0.88 * min(1.0, float(level)))
            frame = av.VideoFrame.from_ndarray(np.clip(image_HWC, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            sound = av.AudioFrame.from_ndarray(samples_L[None, :], format="fltp", layout="mono")
            sound.sample_rate = rate
            sound.pts, sound.time_base = round(sound_late_s * rate), Fraction(1, rate)
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
    return path


def write_thumbnail(path: Path, index: int) -> Path:
    """A small JPEG, different for each index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp_HW = np.add.outer(np.arange(64), np.arange(96)) * 1.4
    image_HWC = np.stack([(ramp_HW + 40 * index * k) % 220 for k in (1, 2, 3)], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image_HWC).save(file, "JPEG", quality=70)
    path.write_bytes(file.getvalue())
    return path


def steps(
    stop_at: str = "", state: str = "succeeded", cached: tuple[str, ...] = ("ingest", "curate")
) -> list[StepFacts]:
    """The steps of the life cycle; from `stop_at` on they did not succeed."""
    result = []
    reached = True
    for name, (depends_on, seconds) in STEPS.items():
        if name == stop_at:
            reached = False
            result.append(StepFacts(name, state, seconds, depends_on=depends_on, log_href=f"logs/{name}.log"))  # type: ignore[arg-type]
        elif reached:
            hit = name in cached
            key = hashlib.sha256(name.encode()).hexdigest()[:16]
            result.append(
                StepFacts(
                    name, "succeeded", 0.04 if hit else seconds, hit, depends_on, "", f"logs/{name}.log", key, 512.0
                )
            )
        else:
            result.append(StepFacts(name, depends_on=depends_on))
    return result


def stage(number: int, length: int = 400) -> StageFacts:
    """A stage whose losses fall, noisily."""
    rng = np.random.default_rng(number)
    curves = []
    start = {1: (1.55, 1.3), 2: (1.45, 1.1), 3: (1.2, 0.95)}[number]
    for modality, top in zip(("video", "audio"), start, strict=True):
        if modality == "video" and number == 1:
            continue
        falling = [top - 0.35 * (1 - math.exp(-step / (length / 3))) for step in range(length)]
        noisy = [(float(step), value + float(rng.normal(0, 0.09))) for step, value in enumerate(falling)]
        checks = [(float(step), falling[step] + 0.03) for step in (*range(0, length, length // 5), length - 1)]
        curves += [LossCurve(modality, "train", noisy), LossCurve(modality, "validation", checks)]  # type: ignore[arg-type]
    title = {1: "Stage 1 · audio first", 2: "Stage 2 · audio with video", 3: "Stage 3 · paired, alignment"}[number]
    facts = {
        "steps": length,
        "samples": length * 16,
        "audio only : audio-video": f"{4 - number} : {number}",
        "ended by": "samples",
    }
    return StageFacts(f"train_stage_{number}", title, curves, start[1] + 0.03, start[1] - 0.3, facts)


def metric(name: str, label: str, value: float, half: float, **changes: Any) -> MetricFacts:
    """A metric with an interval of plus or minus `half`."""
    base = MetricFacts(
        name, label, estimate=Estimate(value, value - half, value + half, 32), unit="Pearson r", eligible=32
    )
    return replace(base, **changes)


def metrics() -> list[MetricFacts]:
    untrained = Arm("untrained model", Estimate(-0.01, -0.05, 0.04, 32))
    return [
        metric(
            "av_sync_flash_gap",
            "Synchrony gap, flash",
            0.55,
            0.04,
            description="How much better a clip's picture follows its own sound than another clip's sound.",
            arms=(
                untrained,
                Arm("codec round trip", Estimate(0.72, 0.69, 0.75, 32)),
                Arm("real clips", Estimate(0.74, 0.71, 0.77, 32)),
            ),
            threshold=0.1,
            primary=True,
            family="flash",
            protocol="corr.brightness-rms.lag1.v1",
            backend="nava.evaluation.synchrony",
        ),
        metric(
            "av_sync_flash",
            "Synchrony, flash",
            0.81,
            0.02,
            description="Correlation of brightness and loudness over a clip, best of one frame either way.",
            arms=(
                Arm("shuffled audio", Estimate(0.26, 0.22, 0.30, 32)),
                Arm("untrained model", Estimate(0.09, 0.05, 0.13, 32)),
            ),
            family="flash",
        ),
        metric("talk", "Synchrony gap, talk", 0.0, 0.05, family="talk", arms=(untrained,)),
        MetricFacts(
            "fvd", "Fréchet distance", reason="needs at least 1,024 clips, 32 were generated", direction="lower"
        ),
    ]


def rules(failing: bool) -> list[dict[str, Any]]:
    gap = {"rule": "the synchrony gap's interval lies above the bound", "expected": "> 0.1"}
    return [
        gap
        | (
            {"passed": False, "observed": 0.03, "offending": ["clip-0003", "clip-0017"]}
            if failing
            else {"passed": True, "observed": 0.51}
        ),
        {
            "rule": "validation loss fell in every stage",
            "passed": True,
            "observed": [-0.27, -0.33, -0.3],
            "expected": "< 0",
        },
        {"rule": "not worse than the champion", "passed": None, "note": "there is no champion yet"},
    ]


def clips(folder: Path, count: int = 3, frames: int = 24) -> list[ClipFacts]:
    """For each of `count` prompts: guided, not guided, untrained, real."""
    prompts = [
        "An orange bar on the left flashes; a mid tone sounds at each flash.",
        "A blue bar on the left flashes; a low tone sounds at each flash.",
        "A person with a deep voice talks (test data).",
    ]
    colours = [(240, 120, 40), (60, 120, 240), (220, 190, 160)]
    variants = [
        ("guided", "generated"),
        ("no guidance", "generated"),
        ("untrained model", "untrained"),
        ("real clip", "real"),
    ]
    found = []
    for index in range(count):
        for seed, (variant, kind) in enumerate(variants):
            name = f"{index}-{seed}.mp4"
            path = encode_clip(folder / "clips" / name, frames=frames, seed=seed, colour=colours[index % 3])
            family = "talk" if index == 2 else "flash"
            found.append(
                ClipFacts(
                    path,
                    prompts[index % 3],
                    variant,
                    kind,  # type: ignore[arg-type]
                    family,
                    seed if kind != "real" else None,
                    "synchrony 0.83" if kind == "generated" else "",
                    f"runs/test/clips/{name}",
                    f"clips/{name}",
                )
            )
    return found


def records(folder: Path, count: int) -> list[Record]:
    """Records with six reasons in turn; every second has a thumbnail."""
    result = []
    for index in range(count):
        reason = REASONS[index % len(REASONS)]
        thumbnail = write_thumbnail(folder / "thumbnails" / f"{index % 12}.jpg", index % 12) if index % 2 else None
        status = "quarantined" if reason == "undecodable" else "dropped"
        source = f"upload/talk show {index:03d}.mp4"
        result.append(Record(f"rec-{index:04d}", status, reason, source, "filter", "loudness −61 LUFS", thumbnail))
    return result


def rich_page(folder: Path, *, record_count: int = 240, frames: int = 24) -> RunPage:
    """A run that succeeded and reached every section."""
    listed = records(folder, record_count)
    quarantined = sum(record.status == "quarantined" for record in listed)
    reasons = {reason: sum(record.reason == reason for record in listed) for reason in REASONS}
    sha = "9f2c" * 16
    shown = clips(folder, frames=frames)
    return RunPage(
        run_name="test",
        state="succeeded",
        started_at="2031-02-03 04:05:06 UTC",
        duration_s=487.0,
        title="Test data: a run that never happened",
        recipe="demo",
        git_sha="0123456789abcdef0123456789abcdef01234567",
        git_dirty=True,
        steps=steps(),
        sources=SourceFacts(
            160,
            640 + record_count,
            640,
            len(listed) - quarantined,
            0,
            quarantined,
            reasons,
            listed,
            {"licence": "test"},
        ),
        corpus=CorpusFacts(
            sha[:40],
            sha[:32],
            clips=640,
            splits={"train": 576, "heldout": 64},
            modalities={"av": 480, "audio": 160},
            tags={"flash": 300, "talk": 120, "impact": 60, "music": 80, "rain": 80},
        ),
        codec_quality=[
            QualityFigure("Picture, PSNR", 28.8, "dB", "video", "above 25 dB colours and positions survive"),
            QualityFigure("Picture, SSIM", 0.89, "", "video"),
            QualityFigure("Sound, envelope correlation", 0.95, "", "audio"),
        ],
        codec_facts={"video codec": "block PCA 4×16×16 → 48", "audio codec": "log-mel PCA 256 → 64"},
        stages=[stage(1), stage(2), stage(3)],
        clips=shown,
        metrics=metrics(),
        guidance=[
            metric(
                "gain",
                "Synchrony, flash",
                0.81,
                0.02,
                arm="guidance on",
                arms=(Arm("guidance off", Estimate(0.71, 0.66, 0.75, 32)),),
            )
        ],
        text_control=[metric("colour", "Colour follows the prompt", 0.97, 0.03, unit="share", chance=0.25)],
        statements=[
            Statement("Talk: mouths do not follow the voice; the gap's interval contains 0.", False, "talk"),
            Statement("Impact: the ball is usually not visible at all.", False, "impact"),
            Statement("Flash: tones start with the flashes.", True, "flash"),
        ],
        gates=[
            GateFacts(
                "validate",
                True,
                [{"rule": "ids are unique", "passed": True, "observed": 880, "expected": 880}],
                "verdicts/validate.html",
            ),
            GateFacts("gate", True, rules(failing=False)),
        ],
        model_version=ModelVersionFacts(
            "nava-test", "3", ["candidate", "champion"], "file://runs/test/package", sha, "key nava-test", True
        ),
        serve_check=ServeCheckFacts(True, 21.0, replace(shown[0], variant="served over HTTP", kind="served")),
        promotion=PromotionFacts(
            "champion", "3", "2", "policy auto", "2031-02-03 04:13:00 UTC", "automatic", "gate passed", sha, sha[::-1]
        ),
        run_record={"git": {"sha": "0123", "dirty": True}, "seed": 7, "hardware": "2 CPU cores"},
        config={"seed": 7, "training": {"batch_size": 16, "learning_rate": 3e-3}},
        commands=[
            Command("Serve the champion", "nava serve --run runs/test --port 3000", "Starts the signed package."),
            Command("Look further in MLflow", "mlflow ui --backend-store-uri sqlite:///runs/test/mlflow.db"),
        ],
    )


def refused_page(folder: Path) -> RunPage:
    """A run whose data gate said no before training."""
    rich = rich_page(folder, record_count=30)
    offending = [f"clip-{index:04d}" for index in range(40)]
    rule = {
        "rule": "every clip has 24 frames per second",
        "passed": False,
        "observed": 40,
        "expected": 0,
        "offending": offending,
    }
    return RunPage(
        run_name="test",
        state="gate_failed",
        started_at=rich.started_at,
        duration_s=91.0,
        title="Test data: a run that a gate refused",
        steps=steps("validate", "gate_failed"),
        failure=Failure(
            "validate",
            "gate 'validate' said no: 40 clips do not have 24 frames per second",
            rule["rule"],
            offending,
            "Remove the clips or set curation.fps, then run the same command again.",
            3,
            "logs/validate.log",
        ),
        sources=rich.sources,
        gates=[GateFacts("validate", False, [rule])],
        config=rich.config,
        commands=rich.commands[1:],
    )
