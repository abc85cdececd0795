"""Opens a run: resolves its configuration, makes its folder and its record."""

import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nava.config.composition import ResolvedConfig, compose
from nava.config.promotion import PromotionConfig
from nava.registry.benchmark_rules import configured_rules
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.step import RunReference, typed_section
from nava.runtime.storage import write_json
from nava.runtime.store import Store


@dataclass(frozen=True)
class RunRequest:
    """What a person asks for when starting a pipeline; the same fields as KFP's form, and which pipeline it is."""

    recipe: str = "demo"
    source: str = ""
    workspace: str = "runs"
    name: str = ""
    seed: int = 0
    promotion_policy: str = "auto"
    overrides: list[str] = field(default_factory=list)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    pipeline: str = "lifecycle"

    def settings(self) -> list[str]:
        """The request as overrides of the recipe; an override given by hand comes last and wins."""
        settings = [f"seed={self.seed}", f"promotion.policy={self.promotion_policy}"]
        if self.source:
            settings.append(f"source.uri={_quoted(self.source)}")
        return settings + self.overrides

    def resolve(self) -> ResolvedConfig:
        """The checked configuration; InputError for anything wrong in it."""
        resolved = compose(self.recipe, self.settings())
        if resolved.config["promotion"]["benchmark_rules"]:
            # Whether there is such a metric is known now; the gate would say so after training.
            configured_rules(typed_section(PromotionConfig, resolved.config["promotion"]))
        return resolved


def _quoted(text: str) -> str:
    """A string as Hydra's override grammar reads it whole."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def run_folder(recipe: str, workspace: str, name: str) -> Path:
    """Where a run lies: `<workspace>/<name or recipe>`; InputError for a name that leads elsewhere."""
    folder = name or recipe
    if Path(folder).name != folder or folder in (".", ".."):
        raise InputError(f"run name '{folder}' must be a plain folder name")
    return Path(workspace).resolve() / folder


def store_url(run_dir: Path) -> str:
    """The run folder's own store."""
    return f"sqlite:///{run_dir / 'store.db'}"


def start_run(request: RunRequest) -> RunReference:
    """Open a run, or find it again: the configuration written, the store migrated, the run recorded as running."""
    resolved = request.resolve()
    run_dir = run_folder(request.recipe, request.workspace, request.name)
    value = resolved.to_json()
    config = run_dir / "config" / f"{sha256_json(value)[:16]}.json"
    write_json(config, value)
    store = Store(store_url(run_dir))
    if (
        run := store.run(request.run_id) if (run_dir / "store.db").exists() else None
    ) is None or run.state != "running":
        store.migrate()
        store.start_run(request.run_id, request.pipeline, request.recipe, {**asdict(request), "config": str(config)})
    return RunReference(request.run_id, str(run_dir), store.url, str(config))
