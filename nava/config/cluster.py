"""What a training run would run on: the figures that `nava train plan` reckons with. Nothing here changes a result."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_at_least, require_positive

NOT_IDENTITY = {"identity": False}


@dataclass
class ClusterConfig:
    """Machines and their speeds. The defaults are one H100 SXM by its data sheet; the shares are assumptions.

    GB are 1e9 bytes, GiB 2**30, TFLOPS 1e12 operations per second.
    """

    nodes: int = field(default=1, metadata=NOT_IDENTITY)
    gpus_per_node: int = field(default=1, metadata=NOT_IDENTITY)
    gpu: str = field(default="H100", metadata=NOT_IDENTITY)
    # What the driver reports: 81,559 MiB of the "80 GB".
    gpu_memory_gib: float = field(default=79.6, metadata=NOT_IDENTITY)
    gpu_memory_gb_s: float = field(default=3350.0, metadata=NOT_IDENTITY)
    # Matrix products of dense matrices, without structured sparsity.
    peak_bf16_tflops: float = field(default=989.0, metadata=NOT_IDENTITY)
    peak_fp32_tflops: float = field(default=67.0, metadata=NOT_IDENTITY)
    # Model FLOPs utilisation of a step that recomputes nothing: the share of the peak while something is computed.
    # Recomputation and waiting come on top, so the utilisation that a plan prints is lower.
    assumed_mfu: float = field(default=0.4, metadata=NOT_IDENTITY)
    # All network cards of a node together, one direction: 8 x 400 Gbit/s.
    node_interconnect_gb_s: float = field(default=400.0, metadata=NOT_IDENTITY)
    # One GPU to those of its node, one direction.
    intra_node_gb_s: float = field(default=450.0, metadata=NOT_IDENTITY)
    # Share of the memory for the CUDA context, communication libraries and what the allocator cannot use.
    memory_reserve: float = field(default=0.08, metadata=NOT_IDENTITY)
    # 0: no price is known, and no cost is printed.
    price_usd_per_gpu_hour: float = field(default=0.0, metadata=NOT_IDENTITY)

    @property
    def gpus(self) -> int:
        """All of them: one process each."""
        return self.nodes * self.gpus_per_node

    def check(self) -> None:
        """Refuse values that no cluster has. InputError names the setting and what it may be."""
        require_at_least(self, "cluster", ("nodes", "gpus_per_node"), 1)
        speeds = ("peak_bf16_tflops", "peak_fp32_tflops", "node_interconnect_gb_s", "intra_node_gb_s")
        require_positive(self, "cluster", ("gpu_memory_gib", "gpu_memory_gb_s", *speeds))
        require(0 < self.assumed_mfu <= 1, "cluster.assumed_mfu", self.assumed_mfu, "above 0 and at most 1")
        require(0 <= self.memory_reserve < 1, "cluster.memory_reserve", self.memory_reserve, "from 0 to below 1")
        require_at_least(self, "cluster", ("price_usd_per_gpu_hour",), 0)
