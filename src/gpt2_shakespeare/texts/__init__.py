"""Sampling texts from a model, and figures of what the texts are like."""
