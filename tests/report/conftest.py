"""Every test of the report runs in a folder of its own."""

from pathlib import Path

import pytest

from gpt2_shakespeare.report import pictures


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take nine tenths of the time."""
    monkeypatch.setattr(pictures, "OF_LOSSES", {})
    monkeypatch.setattr(pictures, "OF_LEARNING", {})
    monkeypatch.setattr(pictures, "OF_TEXTS", {})
