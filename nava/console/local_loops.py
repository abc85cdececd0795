"""Loops of pipelines on this machine: each iteration is given its own inputs.

`kfp.local` of kfp 2.17 puts the loop's item in place of every task output that an iteration reads, so that a step in a
loop silently works on something else. Here an iteration differs from the loop in its item alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def iteration(task: Any, item: Any, _loop: str) -> Any:
    """The task of one iteration: the loop's own, with the item as a constant and the other inputs as they were."""
    from kfp.compiler.pipeline_spec_builder import to_protobuf_value
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineTaskSpec

    one = PipelineTaskSpec()
    one.CopyFrom(task)
    one.ClearField("parameter_iterator")
    constant = one.inputs.parameters[task.parameter_iterator.item_input].runtime_value.constant
    constant.CopyFrom(to_protobuf_value(item))
    return one


@contextmanager
def own_inputs() -> Iterator[None]:
    """Let kfp.local make iterations by `iteration` while the block runs."""
    from kfp.local.orchestrator import task_spec_utils

    theirs = task_spec_utils.create_parameter_loop_iteration_task_spec
    task_spec_utils.create_parameter_loop_iteration_task_spec = iteration
    try:
        yield
    finally:
        task_spec_utils.create_parameter_loop_iteration_task_spec = theirs
