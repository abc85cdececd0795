"""The published files of SyncNet and of the face detectors before it."""

from __future__ import annotations

from nava.artifacts.weight_files import WeightFile

_OXFORD = "www.robots.ox.ac.uk/~vgg/software/lipsync/data"
SYNCNET = WeightFile(
    "syncnet_v2.model",
    "54 MB",
    "research use",
    "joonson/syncnet_python",
    f"download it from http://{_OXFORD}/syncnet_v2.model (54573114 bytes, sha256 961e8696...)",
)
S3FD = WeightFile(
    "sfd_face.pth",
    "90 MB",
    "research use",
    "joonson/syncnet_python",
    f"download it from https://{_OXFORD}/sfd_face.pth (89844381 bytes, sha256 d54a87c2...)",
)
SCRFD = WeightFile(
    "det_10g.onnx",
    "17 MB",
    "non-commercial research",
    "deepinsight/insightface",
    "unpack it from buffalo_l.zip among the releases of https://github.com/deepinsight/insightface "
    "(16923827 bytes, sha256 5838f7fe...)",
)
