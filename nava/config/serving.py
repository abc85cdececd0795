"""How a package is tried out over HTTP before it may be promoted."""

from dataclasses import dataclass, field

NOT_IDENTITY = {"identity": False}


@dataclass
class ServingConfig:
    """The serve check (values of the `demo` recipe)."""

    service: str = "deploy/service.py"  # relative to the root of the project
    service_class: str = "NavaService"
    # Where published weights lie that a package refers to: a folder, a hub mirror or a bucket address.
    weights: str = field(default="", metadata=NOT_IDENTITY)
    device: str = field(default="cpu", metadata=NOT_IDENTITY)  # cpu, cuda, cuda:1; bfloat16 on all but the CPU
    host: str = field(default="127.0.0.1", metadata=NOT_IDENTITY)
    start_timeout_s: float = field(default=120.0, metadata=NOT_IDENTITY)
    request_timeout_s: float = field(default=120.0, metadata=NOT_IDENTITY)
    prompt: str = "A red bar flashes on a dark background, and a low tone sounds at each flash."
    seed: int = 0
    sampling_steps: int | None = None  # None: as the package was evaluated
