"""Compares two folders of metrics; ../compare_metrics.py is the command, ../tolerances.py says how far figures may differ."""
