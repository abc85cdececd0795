"""Sweeps: the same items and seeds under several sampler settings, compared in pairs; the paper's ablation tables."""
