"""Checks objects of the cluster against the API models that Kubeflow's Trainer publishes.

The models take unknown keys in silence and drop them: an object is right when it comes back from them as it went in.
"""

from typing import Any

from nava.runtime.errors import InputError


def check_train_job(manifest: dict[str, Any]) -> None:
    """Refuse a TrainJob that the Trainer's API does not describe.

    Raises:
        InputError: names the key that the API does not have, or the value that it does not take.
    """
    from kubeflow_trainer_api import models

    _check(manifest, models.TrainerV1alpha1TrainJob)


def check_training_runtime(manifest: dict[str, Any]) -> None:
    """The same for a TrainingRuntime."""
    from kubeflow_trainer_api import models

    _check(manifest, models.TrainerV1alpha1TrainingRuntime)


def _check(manifest: dict[str, Any], model: Any) -> None:
    name = f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"
    try:
        returned = model.from_dict(manifest).to_dict()
    # pydantic's own errors are ValueErrors; a list where an object belongs breaks in other ways.
    except (ValueError, TypeError, AttributeError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{name} is not as the API describes it: {line}") from error
    difference = first_difference(manifest, returned)
    if difference:
        raise InputError(f"{name}: {difference}")


def first_difference(given: Any, returned: Any, path: str = "") -> str:
    """What the models did not take over, as a sentence with its path; empty when nothing differs."""
    if isinstance(given, dict) and isinstance(returned, dict):
        for key, value in given.items():
            here = f"{path}.{key}" if path else str(key)
            if key not in returned:
                return f"{here} is no field of the API"
            if difference := first_difference(value, returned[key], here):
                return difference
        added = sorted(set(returned) - set(given))
        return f"{path}: the API adds {', '.join(added)}" if added else ""
    if isinstance(given, list) and isinstance(returned, list) and len(given) == len(returned):
        for index, (one, other) in enumerate(zip(given, returned)):
            if difference := first_difference(one, other, f"{path}[{index}]"):
                return difference
        return ""
    return "" if given == returned and type(given) is type(returned) else f"{path} is read as another value"
