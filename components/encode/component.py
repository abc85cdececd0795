"""KFP component of the step `encode`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("encode"), install_kfp_package=False)
def encode(run: dict, corpus: dict) -> dict:
    """Clips to latent shards, with the reconstruction quality of the codecs.

    Args:
        run: the run"s reference, from `configure`.
        corpus: handle of the corpus.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.data.encoding.encode",
        name="encode",
        run=run,
        sections=["latents", "conditioning", "encoding"],
        seeded=True,
        inputs={"corpus": corpus},
    )
