"""Figures that papers and project pages state, as data: always marked as published, never as measured."""
