"""Starts training: as processes of this machine, or as a job on Kubernetes, through one interface."""
