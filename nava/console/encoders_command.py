"""`nava model encoders`: the codec folder for `nava model package`, from published weights."""

from pathlib import Path

import click

from nava.console.output_paths import require_new


@click.command("encoders")
@click.option("--weights", required=True, help="Where the published files lie: folder, hub mirror or bucket.")
@click.option("--video", default="wan_video", show_default=True, type=click.Choice(["wan_video", "block_dct"]))
@click.option("--audio", default="ltx_audio", show_default=True, type=click.Choice(["ltx_audio"]))
@click.option("--text", default="umt5", show_default=True, type=click.Choice(["umt5", "hashed_words"]))
@click.option(
    "--timbre", default="redimnet", show_default=True, type=click.Choice(["redimnet", "mel_statistics", "none"])
)
@click.option("--tiling", is_flag=True, help="Decode pictures tile by tile: less memory, slower.")
@click.option("--text-rows", default=512, show_default=True, help="Rows of text that the model takes.")
@click.option("--text-width", default=4096, show_default=True, help="Values in each row.")
@click.option("--cache", default="", help="Where files of a bucket are kept here.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="The new folder.")
def encoders(
    weights: str,
    video: str,
    audio: str,
    text: str,
    timbre: str,
    tiling: bool,
    text_rows: int,
    text_width: int,
    cache: str,
    output: Path,
) -> None:
    """Folder of codecs and encoders for `nava model package --codec`: what is published is referred to by hash."""
    from nava.config.conditioning import ConditioningConfig
    from nava.config.latents import AudioCodecConfig, LatentsConfig, VideoCodecConfig, WanVideoConfig
    from nava.generation.encoder_folder import write_encoders

    require_new(output)
    latents = LatentsConfig(
        VideoCodecConfig(type=video, weights=weights, weights_cache=cache, wan=WanVideoConfig(tiling=tiling)),
        AudioCodecConfig(type=audio, weights=weights, weights_cache=cache),
    )
    conditioning = ConditioningConfig(
        text_encoder=text,
        text_rows=text_rows,
        text_width=text_width,
        text_weights=weights,
        timbre_encoder=timbre,
        timbre_weights=weights,
        weights_cache=cache,
    )
    for part, identity in write_encoders(output, latents, conditioning).items():
        click.echo(f"{output / part}: {identity[:16]}")
    click.echo(f"next: nava model package --model nava_6b --weights FILE --codec {output} -o DIR")
