"""The pipeline step `evaluate`."""

from typing import TYPE_CHECKING

from nava.config.conditioning import ConditioningConfig
from nava.config.evaluation import EvaluationConfig
from nava.config.generation import GenerationConfig
from nava.config.latents import LatentsConfig
from nava.runtime.handle import Handle
from nava.runtime.step import Step

if TYPE_CHECKING:
    from nava.data.clip_encoder import Corpus


def evaluate(step: Step, checkpoint: Handle, shards: Handle, corpus: Handle | None = None) -> Handle:
    """Generate clips for held-out prompts and measure them beside the untrained model and shuffled sound.

    Reads the sections `evaluation`, `generation`, and of `latents` and `conditioning` where published weights are.
    A killed step finds its finished batches again.

    Args:
        step: the step.
        checkpoint: handle of kind `checkpoint`.
        shards: handle of kind `latent_shards`, with the codecs.
        corpus: handle of kind `corpus_version`, for real clips to compare with; without it the codecs' round trip
            stands for them.

    Returns:
        Handle of kind `evaluation_result`; meta has the primary metrics.

    Raises:
        InputError: an artifact is damaged or of another kind.
    """
    import torch

    from nava.artifacts import evaluation_result
    from nava.data.clip_encoder import load_encoders
    from nava.data.shards import LatentShards
    from nava.evaluation.harness import Evaluation
    from nava.model.architecture import build_model
    from nava.runtime.hashing import sha256_file
    from nava.training.stage import MODEL_FILE, load_averaged_model

    config = step.section(EvaluationConfig)
    config.check()
    folder = checkpoint.require("checkpoint").path
    latents = LatentShards(shards.require("latent_shards").path)
    trained = load_averaged_model(folder)
    evaluation = Evaluation(
        trained=trained,
        untrained=build_model(trained.config, seed=step.seed).eval(),
        shards=latents,
        encoders=load_encoders(latents.codec_folder, step.section(LatentsConfig), step.section(ConditioningConfig)),
        corpus=_media(corpus, config.workers) if corpus else None,
        config=config,
        generation=step.section(GenerationConfig),
        seed=step.seed,
        checkpoint={"sha256": checkpoint.sha256, "weights_sha256": sha256_file(folder / MODEL_FILE)},
        shards_sha256=shards.sha256,
        workdir=step.workdir,
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = evaluation.run(lambda made, total: step.progress(made, total, "batches of clips"), step.log)
    finally:
        torch.set_num_threads(threads)
    summary = evaluation_result.read(result)
    for statement in summary.statements:
        step.log(statement.text)
    return Handle.of_path(evaluation_result.KIND, result, metrics=summary.headline(), clips=len(summary.gallery))


def _media(corpus: Handle, decode_workers: int) -> "Corpus":
    from nava.artifacts.clip_manifest import kept_rows
    from nava.data.clip_encoder import Corpus
    from nava.data.corpus.repository import checkout

    folder = checkout(corpus.require("corpus_version"))
    return Corpus(folder, kept_rows(folder), decode_workers)
