"""Sampling, and what the sampled texts are like."""
