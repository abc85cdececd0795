"""Pipelines: the DAGs, authored once in KFP, run by kfp.local here and by Kubeflow on a cluster."""
