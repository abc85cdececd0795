"""Components: one folder per step, a thin KFP component and the Dockerfile of its image."""
