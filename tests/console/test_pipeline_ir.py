"""The compiled pipeline: whole, and every way in which it could not be is seen."""

import copy
from pathlib import Path
from typing import Any

import pytest

from nava.config.ablation import VARIANTS
from nava.console import pipeline_ir
from nava.runtime.errors import InputError

STEPS = [
    "ingest",
    "curate",
    "validate",
    "version",
    "encode",
    "train_stage1",
    "train_stage2",
    "train_stage3",
    "evaluate",
    "gate",
    "register",
    "package",
    "serve_check",
    "promote",
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pipeline_ir.compile_pipeline("lifecycle", tmp_path_factory.mktemp("ir") / "lifecycle.yaml")


@pytest.fixture
def spec(compiled: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(compiled)


def dag(spec: dict[str, Any]) -> dict[str, Any]:
    """The DAG of the steps, inside the exit handler."""
    tasks: dict[str, Any] = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    return tasks


def test_the_life_cycle_has_its_steps_in_order(spec: dict[str, Any]) -> None:
    steps = pipeline_ir.planned_steps(spec)
    assert list(steps) == STEPS
    assert steps["version"] == ["curate", "validate"], "nothing is versioned before the gate has passed"
    assert steps["promote"] == ["gate", "package", "register", "serve_check"]


@pytest.fixture(scope="module")
def ablation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pipeline_ir.compile_pipeline("ablation", tmp_path_factory.mktemp("ir") / "ablation.yaml")


def test_the_ablation_trains_its_variants_side_by_side(ablation: dict[str, Any]) -> None:
    steps = pipeline_ir.planned_steps(ablation)
    variants = [f"train_{name}" for name in VARIANTS]
    assert list(steps) == [*STEPS[:5], *variants, "compare"]
    assert all(steps[name] == ["encode"] for name in variants)
    assert sorted(steps["compare"]) == sorted(variants)


def test_the_comparison_has_a_named_input_per_variant(ablation: dict[str, Any]) -> None:
    tasks = dag(ablation)
    given = tasks["compare"]["inputs"]["parameters"]
    assert set(given) == {"run", *VARIANTS}
    for name in VARIANTS:
        producer = tasks[given[name]["taskOutputParameter"]["producerTask"]]
        assert producer["inputs"]["parameters"]["variant"]["runtimeValue"]["constant"] == name


def test_the_ablation_is_opened_as_what_it_is_and_promotes_nothing(ablation: dict[str, Any]) -> None:
    pipeline = dag(ablation)["configure"]["inputs"]["parameters"]["pipeline"]
    assert pipeline["runtimeValue"]["constant"] == "ablation"
    assert "promotion_policy" not in ablation["root"]["inputDefinitions"]["parameters"]


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return pipeline_ir.compile_pipeline("evaluate", tmp_path_factory.mktemp("ir") / "evaluate.yaml")


def test_the_benchmark_scores_in_a_loop_between_generation_and_aggregation(evaluate: dict[str, Any]) -> None:
    steps = pipeline_ir.planned_steps(evaluate)
    assert list(steps) == [
        "plan_benchmark", "generate_outputs", "score_backends", "aggregate_scores", "report_scores", "check_coverage",
    ]  # fmt: skip
    assert steps["generate_outputs"] == ["plan_benchmark"], "both may make the built-in benchmark, one at a time"
    assert sorted(steps["score_backends"]) == ["generate_outputs", "plan_benchmark"]
    assert "score_backends" in steps["aggregate_scores"]
    assert steps["check_coverage"] == ["report_scores"]


def test_the_loop_goes_over_what_the_plan_found_and_its_results_are_collected(evaluate: dict[str, Any]) -> None:
    tasks = dag(evaluate)
    (loop,) = [task for task in tasks.values() if "parameterIterator" in task]
    over = loop["inputs"]["parameters"][loop["parameterIterator"]["items"]["inputParameter"]]
    assert over["taskOutputParameter"]["producerTask"] == "plan-benchmark"
    scores = tasks["aggregate-scores"]["inputs"]["parameters"]["scores"]["taskOutputParameter"]
    assert tasks[scores["producerTask"]] is loop
    outputs = evaluate["components"]["comp-report-scores"]["outputDefinitions"]["artifacts"]
    kinds = {name: output["artifactType"]["schemaTitle"] for name, output in outputs.items()}
    assert kinds == {"page": "system.HTML", "metrics": "system.Metrics"}


def test_a_loop_over_nothing_or_without_an_item_is_seen(evaluate: dict[str, Any]) -> None:
    assert pipeline_ir.check_ir(evaluate) == []
    for damage, message in (
        (("items", {"inputParameter": "groups"}), "goes over groups, which it is not given"),
        (("itemInput", "group"), "lacks input pipelinechannel--plan-benchmark-Output-loop-item"),
    ):
        broken = copy.deepcopy(evaluate)
        (loop,) = [task for task in dag(broken).values() if "parameterIterator" in task]
        loop["parameterIterator"][damage[0]] = damage[1]
        assert message in "; ".join(pipeline_ir.check_ir(broken))


@pytest.mark.parametrize("name", ["lifecycle", "ablation"])
def test_pipelines_share_what_comes_before_training(name: str, tmp_path: Path) -> None:
    steps = pipeline_ir.planned_steps(pipeline_ir.compile_pipeline(name, tmp_path / "ir.yaml"))
    assert list(steps)[:5] == STEPS[:5]


def test_every_parameter_of_the_form_is_typed_described_and_has_a_default(spec: dict[str, Any]) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {
        "recipe",
        "source",
        "workspace",
        "name",
        "seed",
        "promotion_policy",
        "overrides",
        "run_id",
    }
    for name, definition in parameters.items():
        assert definition["parameterType"], name
        assert len(definition["description"]) > 10, name
        assert "defaultValue" in definition, name


def test_nothing_is_installed_when_a_task_starts(spec: dict[str, Any]) -> None:
    for executor in spec["deploymentSpec"]["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_the_compiled_pipeline_is_whole(spec: dict[str, Any]) -> None:
    assert pipeline_ir.check_ir(spec) == []


def break_schema(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["cpuLimit"] = 3


def break_component(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["componentRef"]["name"] = "comp-curat"


def break_executor(spec: dict[str, Any]) -> None:
    del spec["deploymentSpec"]["executors"]["exec-curate"]


def break_dependency(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["dependentTasks"].append("ingestion")


def break_producer(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["inputs"]["parameters"]["sources"]["taskOutputParameter"]["producerTask"] = "ingestion"


def break_output(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["inputs"]["parameters"]["sources"]["taskOutputParameter"]["outputParameterKey"] = "clips"


def break_input(spec: dict[str, Any]) -> None:
    del dag(spec)["curate"]["inputs"]["parameters"]["sources"]


def break_parameter(spec: dict[str, Any]) -> None:
    dag(spec)["configure"]["inputs"]["parameters"]["seed"]["componentInputParameter"] = "sead"


def break_caching(spec: dict[str, Any]) -> None:
    dag(spec)["curate"]["cachingOptions"] = {"enableCache": True}


def break_order(spec: dict[str, Any]) -> None:
    dag(spec)["ingest"]["dependentTasks"].append("promote")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_schema, "not a PipelineSpec"),
        (break_component, "task curate names component comp-curat, which does not exist"),
        (break_executor, "component comp-curate names executor exec-curate, which does not exist"),
        (break_dependency, "task curate depends on ingestion, which does not exist"),
        (break_producer, "sources reads an output of ingestion, which does not exist"),
        (break_output, "sources reads clips of ingest, which has no such output"),
        (break_input, "task curate lacks input sources"),
        (break_parameter, "seed reads sead, which is no input of its DAG"),
        (break_caching, "task curate has KFP's caching on"),
        (break_order, "tasks wait for each other"),
    ],
)
def test_damage_is_seen(spec: dict[str, Any], damage: Any, message: str) -> None:
    damage(spec)
    assert message in "; ".join(pipeline_ir.check_ir(spec))


def test_an_unknown_pipeline_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="unknown pipeline 'lifecycel'; there are: lifecycle"):
        pipeline_ir.load_pipeline("lifecycel")


def test_images_without_a_digest_are_named() -> None:
    with pytest.raises(InputError, match=r"no digest for image .*curate.* in components/images.lock.json"):
        pipeline_ir.require_image_digests()


@pytest.mark.parametrize(
    ("graph", "cycle"),
    [({"a": ["b"], "b": []}, []), ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]), ({"a": [], "b": ["b"]}, ["b", "b"])],
)
def test_cycles(graph: dict[str, list[str]], cycle: list[str]) -> None:
    assert pipeline_ir.find_cycle(graph) == cycle


def test_a_failed_check_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_ir, "check_ir", lambda spec: ["task a names component b, which does not exist"])
    with pytest.raises(InputError, match="does not hold together"):
        pipeline_ir.compile_pipeline("lifecycle", tmp_path / "lifecycle.yaml")
    assert list(tmp_path.iterdir()) == []
