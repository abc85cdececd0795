"""Settings of training: three stages, their ratios and dropouts, the engine; the defaults are the `demo` recipe's."""

from dataclasses import asdict, dataclass, field

from nava.config.checks import require, require_at_least, require_one_of, require_shares
from nava.config.lora import LoraConfig
from nava.config.training_guard import GuardConfig

ENGINES = ("deepspeed", "plain")
ZERO_STAGES = (0, 1, 2, 3)
PRECISIONS = ("fp32", "bf16")
NOT_IDENTITY = {"identity": False}


@dataclass
class TaskRatio:
    """How the audio-video micro-batches of a stage divide among the tasks that have a picture; exact over every sum.

    T text, I image, A reference audio, V video: what is given, and what is made.
    """

    t2av: int = 1
    ti2av: int = 0
    t2v: int = 0
    tia2av: int = 0

    def check(self, prefix: str) -> None:
        """Refuse shares that are no ratio. InputError names them and what they may be."""
        shares = asdict(self)
        allowed = min(shares.values()) >= 0 and sum(shares.values()) >= 1
        require(allowed, prefix, shares, "whole numbers, not all 0")


@dataclass
class StageConfig:
    """One stage. The defaults of the three stages differ, see `TrainingConfig`."""

    # Optimizer steps.
    steps: int
    # audio_only : audio_video is the exact ratio of micro-batches, over every audio_only + audio_video of them.
    audio_only: int
    audio_video: int
    warmup_steps: int
    # Share of samples whose text becomes zero rows.
    text_dropout: float = 0.1
    # Share of speech spans whose voice becomes an unknown one.
    voice_dropout: float = 0.2
    # Share of speech spans whose voice becomes that of another clip.
    voice_replacement: float = 0.0
    # Share of samples with audio and video in which these do not see each other in self-attention.
    modality_masking: float = 0.2
    # Whether that is drawn once for all samples of a micro-batch, not for each. At the demo's size three seeds of
    # either show no difference (benchmarks/guidance.md).
    mask_together: bool = True
    # Share of samples with video that are given their first frame, besides the tasks that always are.
    image_condition: float = 0.0
    # Only clips of this subset of the corpus, as curation chose them ("stage3"); empty is all clips.
    subset: str = ""
    # The stage's curated clips: audio-video clips with one of these tags are drawn `curated_repeats` times an epoch,
    # all others once, so that what earlier stages learned is not forgotten.
    curated_tags: list[str] = field(default_factory=list)
    curated_repeats: int = 1
    tasks: TaskRatio = field(default_factory=TaskRatio)


def _stage1() -> StageConfig:
    return StageConfig(steps=160, audio_only=3, audio_video=1, warmup_steps=50)


def _stage2() -> StageConfig:
    return StageConfig(steps=350, audio_only=1, audio_video=2, warmup_steps=20)


def _stage3() -> StageConfig:
    # The paper's third stage trains on a small curated subset: here mostly the family whose synchrony is unambiguous.
    return StageConfig(
        steps=700, audio_only=0, audio_video=1, warmup_steps=20, curated_tags=["flash"], curated_repeats=3
    )


@dataclass
class TrainingConfig:
    """The recipe of all three stages. Stages end after a fixed number of steps, never by the clock."""

    stage1: StageConfig = field(default_factory=_stage1)
    stage2: StageConfig = field(default_factory=_stage2)
    stage3: StageConfig = field(default_factory=_stage3)

    # The stage that this recipe begins with. Above 1 it begins from weights that are given (`--init`).
    first_stage: int = field(default=1, metadata=NOT_IDENTITY)

    # `deepspeed`, or `plain`: the same arithmetic in a loop without it, to compare with.
    engine: str = "deepspeed"
    # What is sharded over processes: 1 the optimizer's state, 2 the gradients as well, 3 the parameters as well.
    zero_stage: int = 1
    # "bf16" computes in bfloat16; the optimizer's weights and the moving average stay float32.
    precision: str = "fp32"
    # Compute each block again in the backward pass instead of keeping its activations.
    activation_checkpointing: bool = False
    # torch.compile, block by block.
    compile: bool = False
    # Processes that share the tokens of one micro-batch (Ulysses); a divisor of the processes and of the heads.
    sequence_parallel: int = 1
    # Threads change the order of sums, so they are part of the result.
    threads: int = 1
    micro_batch_size: int = 16
    # Micro-batches of an optimizer step over all processes: each process accumulates its part of them.
    micro_batches_per_step: int = 1
    lora: LoraConfig = field(default_factory=LoraConfig)
    guard: GuardConfig = field(default_factory=GuardConfig)

    learning_rate: float = 4e-3
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.99
    gradient_clip: float = 1.0
    # One schedule over the steps of all stages: constant up to this share of them, then a cosine to the final ratio.
    constant_share: float = 0.6
    final_learning_rate_ratio: float = 0.03
    ema_decay: float = 0.995

    # Audio-only micro-batches also draw the soundtracks of audio-video clips.
    soundtracks_as_audio: bool = True

    validation_clips: int = 48
    validation_sigmas: list[float] = field(default_factory=lambda: [0.2, 0.5, 0.8])

    checkpoint_every_steps: int = field(default=150, metadata=NOT_IDENTITY)
    keep_checkpoints: int = field(default=2, metadata=NOT_IDENTITY)
    # Checkpoints of the lowest validation losses that stay besides; needs validate_every_steps.
    keep_best_checkpoints: int = field(default=0, metadata=NOT_IDENTITY)
    # Write checkpoints beside the next steps; off waits for each.
    checkpoint_async: bool = field(default=True, metadata=NOT_IDENTITY)
    # A folder in a bucket, where checkpoints are kept as well and from where a new machine goes on; empty for none.
    checkpoint_uri: str = field(default="", metadata=NOT_IDENTITY)
    # Validate and sample every so many steps; 0 does so at the ends of a stage only.
    validate_every_steps: int = field(default=0, metadata=NOT_IDENTITY)
    sample_every_steps: int = field(default=0, metadata=NOT_IDENTITY)
    report_every_s: float = field(default=10.0, metadata=NOT_IDENTITY)

    def stages(self) -> list[StageConfig]:
        """The stages in order."""
        return [self.stage1, self.stage2, self.stage3]

    def check(self) -> None:
        """Refuse values that no run could use.

        Raises:
            InputError: names the first such setting, its value and what it can be.
        """
        for number, stage in enumerate(self.stages(), start=1):
            _check_stage(f"training.stage{number}", stage)
        allowed = 1 <= self.first_stage <= len(self.stages())
        require(allowed, "training.first_stage", self.first_stage, f"from 1 to {len(self.stages())}")
        require_one_of(self, "training", "engine", ENGINES)
        require_one_of(self, "training", "precision", PRECISIONS)
        require(self.zero_stage in ZERO_STAGES, "training.zero_stage", self.zero_stage, "0, 1, 2 or 3")
        # The plain loop is the reference, in float32.
        allowed = self.engine != "plain" or self.precision == "fp32"
        require(allowed, "training.precision", self.precision, "fp32, since training.engine is plain")
        counts = ("threads", "micro_batch_size", "micro_batches_per_step", "sequence_parallel", "validation_clips")
        require_at_least(self, "training", (*counts, "checkpoint_every_steps", "keep_checkpoints"), 1)
        cadences = ("keep_best_checkpoints", "validate_every_steps", "sample_every_steps")
        require_at_least(self, "training", cadences, 0)
        if self.keep_best_checkpoints:
            every = self.validate_every_steps
            require(every > 0, "training.validate_every_steps", every, "above 0, since keep_best_checkpoints is set")
            # A checkpoint has the loss of its own step, so the two have to meet.
            saved = self.checkpoint_every_steps
            meet = every % saved == 0 or saved % every == 0
            wanted = f"a multiple or a divisor of checkpoint_every_steps ({saved}), since keep_best_checkpoints is set"
            require(meet, "training.validate_every_steps", every, wanted)
        self.lora.check()
        self.guard.check()
        for name in ("learning_rate", "gradient_clip"):
            require(getattr(self, name) > 0, f"training.{name}", getattr(self, name), "above 0")
        for name in ("constant_share", "final_learning_rate_ratio"):
            require(0 <= getattr(self, name) <= 1, f"training.{name}", getattr(self, name), "between 0 and 1")
        for name in ("beta1", "beta2", "ema_decay"):
            require(0 <= getattr(self, name) < 1, f"training.{name}", getattr(self, name), "from 0 to below 1")
        sigmas = self.validation_sigmas
        allowed = bool(sigmas) and all(0 < sigma < 1 for sigma in sigmas) and len(set(sigmas)) == len(sigmas)
        require(allowed, "training.validation_sigmas", sigmas, "one or more different values between 0 and 1")


def _check_stage(name: str, stage: StageConfig) -> None:
    require(stage.steps >= 1, f"{name}.steps", stage.steps, "at least 1")
    require(stage.warmup_steps >= 0, f"{name}.warmup_steps", stage.warmup_steps, "0 or more")
    require(stage.curated_repeats >= 1, f"{name}.curated_repeats", stage.curated_repeats, "at least 1")
    ratio = (stage.audio_only, stage.audio_video)
    allowed = min(ratio) >= 0 and sum(ratio) >= 1
    require(allowed, f"{name}.audio_only : audio_video", f"{ratio[0]} : {ratio[1]}", "whole numbers, not both 0")
    stage.tasks.check(f"{name}.tasks")
    shares = ("text_dropout", "voice_dropout", "voice_replacement", "modality_masking", "image_condition")
    require_shares(stage, name, shares)
    both = stage.voice_dropout + stage.voice_replacement
    require(both <= 1, f"{name}.voice_dropout + voice_replacement", both, "at most 1")
