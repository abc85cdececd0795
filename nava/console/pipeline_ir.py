"""KFP's intermediate representation: compiled from the pipelines, and checked before anybody relies on it.

KFP's schema check does not notice a reference that leads nowhere, so the references are followed here.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.project import project_root
from nava.runtime.storage import atomic_file

PIPELINES = ("lifecycle", "ablation", "evaluate")


def from_repository(path: Path) -> str:
    """A path relative to the repository (or, without one, to the current folder), for people and machines."""
    try:
        root = project_root()
    except InputError:
        root = Path.cwd()
    return os.path.relpath(path, root)


def load_pipeline(name: str) -> Any:
    """The KFP pipeline of that name; InputError lists the known ones."""
    if name not in PIPELINES:
        raise InputError(f"unknown pipeline '{name}'; there are: {', '.join(PIPELINES)}")
    root = str(project_root())
    if root not in sys.path:
        sys.path.insert(0, root)
    return getattr(importlib.import_module(f"pipelines.{name}"), name)


def compile_pipeline(name: str, output: Path) -> dict[str, Any]:
    """Compile a pipeline to `output` (YAML) with KFP's caching off, check it, and return it.

    Steps have content keys; KFP's cache looks at names and URIs, and would return a result of other code.
    """
    from kfp import compiler

    pipeline = load_pipeline(name)
    for _, task in _tasks(pipeline.pipeline_spec):
        task.caching_options.enable_cache = False
    with atomic_file(output) as part:
        compiler.Compiler().compile(pipeline, str(part))
        spec = read_ir(part)
        if problems := check_ir(spec):
            raise InputError(f"pipeline '{name}' does not hold together: " + "; ".join(problems))
    return spec


def _tasks(spec: Any) -> Iterator[tuple[str, Any]]:
    """Every task of a PipelineSpec message, the root's and those of nested DAGs."""
    yield from spec.root.dag.tasks.items()
    for component in spec.components.values():
        yield from component.dag.tasks.items()


def require_image_digests() -> None:
    """InputError naming the images whose digest is not in the lock file yet."""
    load_pipeline(PIPELINES[0])
    missing = importlib.import_module("components.images").images_without_digest()
    if missing:
        raise InputError(
            f"no digest for image {', '.join(missing)} in components/images.lock.json; build and push them first"
        )


def read_ir(path: Path) -> dict[str, Any]:
    """The pipeline spec of a compiled file (its first document)."""
    import yaml

    first: dict[str, Any] = next(iter(yaml.safe_load_all(path.read_text())))
    return first


def check_ir(spec: dict[str, Any]) -> list[str]:
    """What is wrong with a pipeline spec, as sentences: schema, dangling references, cycles, caching left on."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2

    try:
        json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    except json_format.ParseError as error:
        return [f"not a PipelineSpec: {error}"]
    components = spec.get("components", {})
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    problems = []
    for name, component in components.items():
        label = component.get("executorLabel")
        if label is not None and label not in executors:
            problems.append(f"component {name} names executor {label}, which does not exist")
    used: set[str] = set()
    for place, dag, inputs in _dags(spec):
        problems += _check_dag(place, dag, inputs, components)
        used.update(task.get("componentRef", {}).get("name") for task in dag.get("tasks", {}).values())
    problems += [f"component {name} is used by no task" for name in components if name not in used]
    return problems


def _dags(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    places = {"root": spec["root"], **spec.get("components", {})}
    for place, component in places.items():
        if "dag" in component:
            yield place, component["dag"], component.get("inputDefinitions", {})


def _check_dag(place: str, dag: dict[str, Any], inputs: dict[str, Any], components: dict[str, Any]) -> list[str]:
    tasks = dag.get("tasks", {})
    problems = []
    for name, task in tasks.items():
        reference = task.get("componentRef", {}).get("name")
        where = f"{place}: task {name}"
        if reference not in components:
            problems.append(f"{where} names component {reference}, which does not exist")
            continue
        if task.get("cachingOptions", {}).get("enableCache"):
            problems.append(f"{where} has KFP's caching on")
        problems += [
            f"{where} depends on {other}, which does not exist"
            for other in task.get("dependentTasks", [])
            if other not in tasks
        ]
        problems += _check_inputs(where, task, inputs, tasks, components)
    if cycle := find_cycle({name: task.get("dependentTasks", []) for name, task in tasks.items()}):
        problems.append(f"{place}: tasks wait for each other: {' -> '.join(cycle)}")
    return problems


def _check_inputs(
    where: str, task: dict[str, Any], inputs: dict[str, Any], tasks: dict[str, Any], components: dict[str, Any]
) -> list[str]:
    wanted = components[task["componentRef"]["name"]].get("inputDefinitions", {}).get("parameters", {})
    given = task.get("inputs", {}).get("parameters", {})
    iterator = task.get("parameterIterator", {})
    looped = iterator.get("items", {}).get("inputParameter")
    problems = [] if looped in (None, *given) else [f"{where} goes over {looped}, which it is not given"]
    problems += [f"{where} gives {name}, which its component does not take" for name in given if name not in wanted]
    problems += [
        f"{where} lacks input {name}"
        for name, definition in wanted.items()
        if name not in (*given, iterator.get("itemInput"))
        and not definition.get("isOptional")
        and definition.get("parameterType") != "TASK_FINAL_STATUS"
    ]
    for name, value in given.items():
        source = value.get("componentInputParameter")
        if source is not None and source not in inputs.get("parameters", {}):
            problems.append(f"{where}: {name} reads {source}, which is no input of its DAG")
        output = value.get("taskOutputParameter")
        if output is not None:
            problems += _check_output(f"{where}: {name}", output, tasks, components)
    return problems


def _check_output(where: str, output: dict[str, Any], tasks: dict[str, Any], components: dict[str, Any]) -> list[str]:
    producer = output["producerTask"]
    if producer not in tasks:
        return [f"{where} reads an output of {producer}, which does not exist"]
    component = components.get(tasks[producer].get("componentRef", {}).get("name"), {})
    if output["outputParameterKey"] not in component.get("outputDefinitions", {}).get("parameters", {}):
        return [f"{where} reads {output['outputParameterKey']} of {producer}, which has no such output"]
    return []


def find_cycle(depends_on: dict[str, list[str]]) -> list[str]:
    """A cycle in a graph as a path that ends where it began; empty if there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in depends_on.get(name, []):
            if found := visit(other, [*path, name]):
                return found
        done.add(name)
        return []

    for name in depends_on:
        if found := visit(name, []):
            return found
    return []


def planned_steps(spec: dict[str, Any]) -> dict[str, list[str]]:
    """The steps of a pipeline in the order they can run, each with the steps it depends on.

    A step's name is its task's display name with underscores; the opening and the closing task are not steps. A loop is
    no step, what it repeats is one: a run that knows the loop's items replaces it (`nava.runtime.step.open_loop`).
    """
    components = spec.get("components", {})
    parts = [components.get(task["componentRef"]["name"], {}) for task in spec["root"]["dag"]["tasks"].values()]
    ordered: dict[str, list[str]] = {}
    for dag in [part["dag"] for part in parts if "dag" in part] or [spec["root"]["dag"]]:
        _plan(dag, components, [], ordered)
    return ordered


def _plan(
    dag: dict[str, Any], components: dict[str, Any], before: list[str], ordered: dict[str, list[str]]
) -> list[str]:
    """Add the steps of a DAG that begins after the steps `before`; their names."""
    tasks = dag["tasks"]
    placed: dict[str, list[str]] = {}

    def place(name: str) -> list[str]:
        if name not in placed:
            task = tasks[name]
            depends = [step for other in task.get("dependentTasks", []) if other in tasks for step in place(other)]
            inner = components.get(task["componentRef"]["name"], {}).get("dag")
            step = task["taskInfo"]["name"].replace("-", "_")
            if inner is not None:
                placed[name] = _plan(inner, components, depends or before, ordered)
            elif step == "configure":
                placed[name] = []
            else:
                ordered[step] = depends or before
                placed[name] = [step]
        return placed[name]

    return [step for name in tasks for step in place(name)]
