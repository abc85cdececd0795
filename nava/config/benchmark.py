"""What the pipeline `evaluate` asks of a model: which benchmark, how many items, and what stands beside the figures."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_shares

NOT_IDENTITY = {"identity": False}
BASELINE_NAMES = ("untrained", "shuffled", "truth")


@dataclass
class BenchmarkConfig:
    """A benchmark of a model (values of the `demo` recipe, whose model knows no voices)."""

    task: str = "builtin"  # of `nava eval tasks`, or the path of a .yaml file
    # Folder of the benchmark's data; empty for the built-in one, which is made in the run's folder.
    data: str = ""
    items: int = 0  # of each subset, the first by id; 0 for all
    baselines: list[str] = field(default_factory=lambda: ["untrained", "shuffled"])
    images: bool = True  # give the model the items' first frames
    voices: bool = False  # give it their reference voices
    generate_as: str = ""  # task of every request, such as T2A; empty lets the request decide
    # A model package and the key that it is verified with; empty for the champion of the run's folder.
    package: str = ""
    public_key: str = ""
    unsigned: bool = False  # take `package` without verifying its signature
    model: str = ""  # what its row is called; empty as its package says
    # Where published weights lie that a package refers to: a folder, a hub mirror or a bucket address.
    weights: str = field(default="", metadata=NOT_IDENTITY)
    sampling_steps: int | None = None  # None: as the package was evaluated
    device: str = field(default="auto", metadata=NOT_IDENTITY)  # cpu, cuda, cuda:1
    dtype: str = ""  # float32 or bfloat16; empty for the device's own
    # YAML file that says where backends have their weights; empty for those that need none.
    backends: str = ""
    # Processes that extract, for each group of backends.
    workers: int = field(default=2, metadata=NOT_IDENTITY)
    timeout_s: float = field(default=600.0, metadata=NOT_IDENTITY)  # for a file under all backends of a group
    min_coverage: float = 0.9  # share of the eligible items with a value
    allow_missing: bool = False  # end well even if a figure of the model has too few values
    clips: int = 4  # items to look at on the page

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        require(bool(self.task), "benchmark.task", self.task, "the name of a task, or the path of a .yaml file")
        require_at_least(self, "benchmark", ("items", "clips"), 0)
        require_at_least(self, "benchmark", ("workers",), 1)
        require(self.timeout_s > 0, "benchmark.timeout_s", self.timeout_s, "above 0")
        require_shares(self, "benchmark", ("min_coverage",))
        for name in self.baselines:
            require(name in BASELINE_NAMES, "benchmark.baselines", name, " or ".join(BASELINE_NAMES))
        if self.sampling_steps is not None:
            require_at_least(self, "benchmark", ("sampling_steps",), 1)
        if self.package:
            allowed = "given, or benchmark.unsigned true, and not both"
            require(bool(self.public_key) != self.unsigned, "benchmark.public_key", self.public_key, allowed)
        else:
            require(not self.public_key, "benchmark.public_key", self.public_key, "empty without benchmark.package")
            require(not self.unsigned, "benchmark.unsigned", self.unsigned, "false without benchmark.package")
