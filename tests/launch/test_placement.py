"""The page of what lands where: it says what the manifests say, loads nothing, and escapes everything."""

import re

import pytest

from nava.training.manifest import PAGE, render_manifests


@pytest.fixture(scope="module")
def page() -> str:
    return render_manifests("paper")[PAGE]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", html, flags=re.S)))


@pytest.mark.parametrize(
    "said",
    [
        "nvidia.com/gpu.product = NVIDIA-H100-80GB-HBM3",
        "ranks 0–7",
        "ranks 120–127",
        "nvidia.com/gpu 8 128",
        "rdma/hca 8 128",
        "memory 1024Gi 16384Gi",
        "nvidia.com/gpu:NoSchedule",
        "shared-memory /dev/shm the pod&#39;s memory 128 GiB",
        "nava-workspace /workspace shared by all pods 4096 GiB",
        "AWS_SECRET_ACCESS_KEY key secret-access-key of secret nava-storage",
        "no privileges but IPC_LOCK",
        "20 times at most",
        "they have not been submitted to a cluster",
        "python -m nava.training.worker /workspace/training/paper/stage3/job.json",
        "on the shared volume it is /workspace/training/paper/stage1/job.json",
        "the training diverges (exit code 2, 3 or 4)",
    ],
)
def test_it_says_what_lands_where(page: str, said: str) -> None:
    assert said in text_of(page).replace("pod's", "pod&#39;s")


def test_a_node_is_a_box_with_a_square_per_rank(page: str) -> None:
    assert page.count('class="node-box"') == 16
    assert page.count("<i></i>") == 128


def test_it_loads_nothing_and_runs_nothing(page: str) -> None:
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r"<script|<link rel=.stylesheet|src=|@import|url\(", page)
    assert not re.search(r'\sstyle="', page)


def test_links_lead_to_the_files_beside_it(page: str) -> None:
    links = set(re.findall(r'href="([^"#]+)"', page)) - {"data:image/svg+xml"}
    files = set(render_manifests("paper")) - {PAGE}
    assert {link for link in links if not link.startswith("data:")} == files


def test_what_comes_from_settings_is_escaped() -> None:
    html = render_manifests("demo", ["launch.kubernetes.env=['A=<img src=x>']"])[PAGE]
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html


def test_without_gpus_and_queues_it_says_so() -> None:
    bare = ["gpu_resource=", "queue=", "priority_class=", "node_selector=[]", "tolerations=[]"]
    text = text_of(render_manifests("demo", [f"launch.kubernetes.{entry}" for entry in bare])[PAGE])
    assert "Node pool: any node" in text
    assert "rank 0" in text
    assert "tolerates no taint" in text
    assert "No variables and no secrets." in text
