"""How a package is tried out over HTTP before it may be promoted."""

from dataclasses import dataclass


@dataclass
class ServingConfig:
    """The serve check (values of the `demo` recipe)."""

    service: str = "deploy/service.py"  # relative to the root of the project
    service_class: str = "NavaService"
    host: str = "127.0.0.1"
    start_timeout_s: float = 120.0
    request_timeout_s: float = 120.0
    prompt: str = "A red bar flashes on a black screen with a low tone at each flash."
    request_seed: int = 0
    sampling_steps: int = 20
    text_scale: float = 1.0
    align_scale: float = 2.0
