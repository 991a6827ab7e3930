"""Baselines that every model is compared with: models that only count tokens. No torch."""
