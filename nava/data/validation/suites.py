"""The Great Expectations suites of the data gate, and what they say of a clip manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from nava.artifacts.clip_manifest import Modality, Reason, Split, Status
from nava.artifacts.gate_verdict import RuleResult
from nava.conditioning.prompt import CAPTION_PATTERN
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig

ID = "clip_id"
SHA256_PATTERN = r"^[0-9a-f]{64}$"


@dataclass(frozen=True)
class Rule:
    """An expectation, and in words what must hold and what is expected."""

    words: str
    expected: Any
    expectation: Any


@dataclass(frozen=True)
class Suite:
    """Rules over one frame.

    Attributes:
        name: of the suite.
        frame: the rows it looks at.
        rules: what must hold of them.
    """

    name: str
    frame: pd.DataFrame
    rules: list[Rule]


def data_suites(manifest: pd.DataFrame, validation: ValidationConfig, curation: CurationConfig) -> list[Suite]:
    """The suites for a clip manifest: records, those not kept, kept clips, those with a picture, the splits."""
    kept = manifest[manifest["status"] == Status.KEPT]
    return [
        Suite("records", manifest, _record_rules()),
        Suite("records not kept", manifest[manifest["status"] != Status.KEPT], _reason_rules()),
        Suite("kept clips", kept, _kept_rules(validation, curation)),
        Suite("kept clips with a picture", kept[kept["modality"] == Modality.AUDIO_VIDEO], _picture_rules(curation)),
        Suite("kept clips whose offset is known", kept[_offset_is_known(kept, curation)], _synchrony_rules(curation)),
        *(
            Suite(f"{split} split", kept[kept["split"] == split], [_row_count(f"clips to {split}", least)])
            for split, least in (
                (Split.TRAIN, validation.min_train_clips),
                (Split.HELDOUT, validation.min_heldout_clips),
            )
        ),
    ]


def _offset_is_known(kept: pd.DataFrame, curation: CurationConfig) -> pd.Series:
    return kept["av_confidence"].ge(curation.filters.min_av_confidence).fillna(False).astype(bool)


def _row_count(what: str, least: int) -> Rule:
    return Rule(f"{what}: at least {least}", f">= {least}", gxe.ExpectTableRowCountToBeBetween(min_value=least))


def _between(words: str, column: str, least: float | None, most: float | None) -> Rule:
    bounds = [f">= {least}" if least is not None else "", f"<= {most}" if most is not None else ""]
    expectation = gxe.ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most)
    return Rule(words, " and ".join(bound for bound in bounds if bound), expectation)


def _equal(words: str, column: str, value: Any) -> Rule:
    return Rule(words, value, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[value]))


def _one_of(words: str, column: str, values: Sequence[str]) -> Rule:
    allowed = [str(value) for value in values]
    return Rule(words, allowed, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=allowed))


def _present(words: str, column: str) -> Rule:
    return Rule(words, "present", gxe.ExpectColumnValuesToNotBeNull(column=column))


def _absent(words: str, column: str) -> Rule:
    return Rule(words, "absent", gxe.ExpectColumnValuesToBeNull(column=column))


def _matching(words: str, column: str, pattern: str) -> Rule:
    return Rule(words, pattern, gxe.ExpectColumnValuesToMatchRegex(column=column, regex=pattern))


def _record_rules() -> list[Rule]:
    return [
        Rule("every record has an id of its own", "unique", gxe.ExpectColumnValuesToBeUnique(column=ID)),
        _present("every record names its source", "src_sha256"),
        _one_of("every record has a status from the list", "status", list(Status)),
    ]


def _reason_rules() -> list[Rule]:
    return [
        _present("every record not kept has a reason", "drop_reason"),
        _one_of("every reason is from the fixed list", "drop_reason", list(Reason)),
    ]


def _kept_rules(validation: ValidationConfig, curation: CurationConfig) -> list[Rule]:
    clip, filters = curation.clip, curation.filters
    low, high = validation.min_caption_characters, validation.max_caption_characters
    length = gxe.ExpectColumnValueLengthsToBeBetween(column="caption", min_value=low, max_value=high)
    return [
        _row_count("kept clips", validation.min_kept_clips),
        _absent("no kept clip has a reason to be dropped", "drop_reason"),
        _absent("no kept clip is a near-duplicate of another", "dup_of"),
        _present("every kept clip is in a split", "split"),
        _one_of("every kept clip is in a known split", "split", list(Split)),
        _one_of("every kept clip has a modality", "modality", [Modality.AUDIO_VIDEO, Modality.AUDIO]),
        _present("every kept clip has a sound file", "audio_path"),
        *(_present(f"{column} was measured", column) for column in ("n_samples", "audio_sr", "lufs", "audio_sha256")),
        _equal("sound is of the model's rate", "audio_sr", clip.sample_rate_hz),
        _equal("sound has the exact number of samples", "n_samples", clip.samples),
        _matching("sound has its hash", "audio_sha256", SHA256_PATTERN),
        _between("sound is loud enough", "lufs", filters.min_lufs, None),
        _between("sound is not clipped", "clip_ratio", None, filters.max_clip_ratio),
        _between("sound is not silence", "silence_ratio", None, filters.max_silence_ratio),
        _present("every kept clip has a caption", "caption"),
        Rule("captions are of a sensible length", f"{low} to {high} characters", length),
        _matching("speech spans in captions are closed and not nested", "caption", CAPTION_PATTERN),
    ]


def _picture_rules(curation: CurationConfig) -> list[Rule]:
    clip, filters = curation.clip, curation.filters
    return [
        _present("every clip with a picture has a video file", "video_path"),
        *(_present(f"{column} was measured", column) for column in ("n_frames", "fps", "static_ratio", "video_sha256")),
        _equal("pictures have the exact number of frames", "n_frames", clip.frames),
        _equal("pictures have the model's frame rate", "fps", float(clip.fps)),
        _equal("pictures have the bucket's width", "width", clip.width),
        _equal("pictures have the bucket's height", "height", clip.height),
        _matching("pictures have their hash", "video_sha256", SHA256_PATTERN),
        _between("pictures are sharp enough", "sharpness", filters.min_sharpness, None),
        _between("pictures move", "static_ratio", None, filters.max_static_ratio),
    ]


def _synchrony_rules(curation: CurationConfig) -> list[Rule]:
    limit_s = curation.filters.max_av_offset_s
    return [_between("sound and picture go together", "av_offset_s", -limit_s, limit_s)]


def check(suites: Sequence[Suite]) -> list[RuleResult]:
    """Run the suites; one result per rule, with the ids of the records that break it."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("clips")
    results = []
    for suite in suites:
        asset = source.add_dataframe_asset(name=suite.name)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": suite.frame})
        expectations = gx.ExpectationSuite(name=suite.name, expectations=[rule.expectation for rule in suite.rules])
        validated = batch.validate(
            expectations, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ID]}
        )
        # Great Expectations gives results back in an order of its own.
        by_config = {_key(result.expectation_config): result for result in validated.results}
        results += [_rule_result(suite, rule, by_config[_key(rule.expectation.configuration)]) for rule in suite.rules]
    return results


def _key(configuration: Any) -> str:
    kwargs = {name: value for name, value in configuration.kwargs.items() if name != "batch_id" and value is not None}
    return f"{configuration.type} {sorted((name, str(value)) for name, value in kwargs.items())}"


def _rule_result(suite: Suite, rule: Rule, result: Any) -> RuleResult:
    details = result.result
    offending = [str(row[ID]) for row in details.get("unexpected_index_list") or []]
    if "observed_value" in details:
        observed = details["observed_value"]
    else:
        observed = f"{details.get('unexpected_count', 0)} of {len(suite.frame)} records differ"
    if result.exception_info.get("raised_exception"):
        observed = f"could not be checked: {result.exception_info.get('exception_message')}"
    return RuleResult(f"{suite.name}: {rule.words}", bool(result.success), observed, rule.expected, offending)
