"""Finding the cluster from a kubeconfig, and saying that there is none."""

from pathlib import Path

import pytest

from nava.config.launch import KubernetesConfig, LaunchConfig
from nava.launch.cluster import ClusterLauncher
from nava.launch.cluster_client import connect
from nava.launch.command import make_launcher
from nava.runtime.errors import InputError
from tests.launch.api_server_stub import ApiServerStub


def kubeconfig(folder: Path, url: str) -> Path:
    file = folder / "config"
    file.write_text(f"""
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: not-a-real-token}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
""")
    return file


def test_the_kubeconfig_says_where_the_cluster_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import kube_config

    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with ApiServerStub() as stub:
        monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig(tmp_path, stub.url)))
        assert isinstance(make_launcher(LaunchConfig("kubernetes")), ClusterLauncher)
        assert connect(KubernetesConfig()).get("absent") is None
    with pytest.raises(InputError, match="no access to a cluster"):
        connect(KubernetesConfig(context="elsewhere"))


def test_no_access_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import kube_config

    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"set KUBECONFIG, or launch\.target=processes") as caught:
        connect(KubernetesConfig())
    assert "\n" not in str(caught.value)
