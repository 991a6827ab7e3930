"""The pages as a site, the reference of params.yaml, and the worked number of the concepts."""

import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import browser
import pytest

ROOT = Path(__file__).parents[2]


def script(name: str):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build_site = script("build_site")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build_site.build(out)
    return out


def test_every_link_of_the_site_leads_somewhere_and_it_loads_nothing(site):
    assert build_site.broken(site) == []
    for page in build_site.pages():
        assert (site / page.replace("README.md", "index.md")).with_suffix(".html").exists(), page
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in build_site.pages(), "a page that no menu leads to"


def test_a_link_that_leads_nowhere_is_named(site, tmp_path):
    copy = shutil.copytree(site, tmp_path / "site")
    page = copy / "docs/concepts.html"
    wrong = '<a href="nothing.html">a</a><a href="#nowhere">b</a><script src="https://x.org/y.js"></script>'
    page.write_text(page.read_text(encoding="utf-8") + wrong, encoding="utf-8")
    assert sorted(build_site.broken(copy)) == [
        "docs/concepts.html: #nowhere: no such place",
        "docs/concepts.html: loads https://x.org/y.js",
        "docs/concepts.html: nothing.html: no such file",
    ]


def test_it_opens_in_a_browser_without_a_complaint(site, tmp_path):
    if not browser.CHROMIUM:
        assert not os.environ.get(browser.NEEDED), "no Chromium is here, and it is needed"
        pytest.skip("no Chromium is here")
    with browser.Browser(tmp_path / "profile") as chromium:
        for page in ("index.html", "docs/concepts.html"):
            chromium.open(site / page, width=390, dark=True)
            assert chromium.run("document.documentElement.scrollWidth") <= 390
            assert not chromium.problems


def test_the_reference_of_params_is_that_of_the_schema():
    subprocess.run([sys.executable, "docs/params.py", "--check"], cwd=ROOT, check=True, timeout=60)


def test_a_key_without_words_ends_the_reference(monkeypatch):
    params = script("params")
    monkeypatch.delitem(params.WORDS, "patience")
    with pytest.raises(SystemExit, match="Training.patience has no words"):
        params.text()


def test_the_worked_number_is_right():
    text = " ".join((ROOT / "docs/concepts.md").read_text(encoding="utf-8").split())
    found = re.search(
        r"([\d,]+) tokens and ([\d,]+) characters, and a model's mean loss on it is ([\d.]+)", text
    )
    assert found
    tokens, characters, loss = (float(number.replace(",", "")) for number in found.groups())
    said = {name: float(re.search(pattern, text)[1]) for name, pattern in {  # type: ignore[index]
        "probability": r"e\^-3.96 = ([\d.]+\d)", "perplexity": r"e\^3.96 = ([\d.]+\d)",
        "bits": r"/ ln 2 = ([\d.]+\d)\. A nat", "nat": r"1 / ln 2 = ([\d.]+\d) bits",
    }.items()}  # fmt: skip
    assert said["probability"] == round(math.exp(-loss), 3) and said["perplexity"] == round(math.exp(loss), 1)
    assert said["bits"] == round(loss * tokens / characters / math.log(2), 2)
    assert said["nat"] == round(1 / math.log(2), 2)
    assert f"{math.log(50257):.1f} with GPT-2's" in text and f"{math.log(1024):.1f} with 1,024" in text
