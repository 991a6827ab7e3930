"""The page of samples, and texts in Markdown."""

import json

import pytest
from made_up import MODELS, fill, params, put, texts

from gpt2_shakespeare.report.markdown import fenced
from gpt2_shakespeare.report.writing import write


@pytest.mark.parametrize(
    "text, fence", [("plain", "```"), ("a ``` b", "````"), ("`````\n# x", "``````"), ("", "```")]
)
def test_no_text_breaks_its_fence(text, fence):
    lines = fenced(text).split("\n")
    assert lines[0] == f"{fence}text" and lines[-1] == fence
    assert fence not in "\n".join(lines[1:-1])
    assert "\n".join(lines[1:-1]) == text


def test_control_characters_of_a_sample_are_shown_as_unknown():
    assert fenced("a\x00b\rc\ud800\td") == "```text\na�b�c�\td\n```"


@pytest.mark.usefixtures("no_pictures")
def test_samples_are_by_prompt_and_then_by_row():
    at = fill()
    base = json.loads(at.texts("base").read_text())
    put(
        at.texts("base"),
        base | {"samples": [*base["samples"], {"prompt": "KING:", "seed": 7, "text": "Hence!"}]},
    )
    put(at.texts("scratch", 1337), texts() | {"samples": []})
    write(params())
    page = (at.metrics / "samples.md").read_text(encoding="utf-8")
    headings = [one for one in page.splitlines() if one.startswith("##")]
    rows = [f"### {row}" for row in MODELS]
    assert headings == ["## Prompt 1", *rows, "## Prompt 2", *rows]
    assert "temperature 0.8, top_p 0.9, max_new_tokens 160" in page
    assert "```text\nSpeak, 2.\n```" in page and "```text\nKING:\n```" in page
    assert "### scratch\n\nNo samples." in page
    assert page.endswith("No samples.\n") and "\n\n\n" not in page


@pytest.mark.usefixtures("no_pictures")
def test_samples_are_those_of_the_first_seed_of_the_list():
    at = fill(seeds=(1, 2))
    for seed in (1, 2):
        put(
            at.texts("scratch", seed),
            texts() | {"samples": [{"prompt": "A", "seed": 1, "text": f"of {seed}"}]},
        )
    write(params(seeds=(2, 1)))
    page = (at.metrics / "samples.md").read_text(encoding="utf-8")
    assert "the models of seed 2" in page and "of 2\n" in page and "of 1\n" not in page


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize(
    "facts",
    [
        None,
        "{",
        {"figures": {}},
        {"samples": {"base": []}},
        {"samples": [1]},
        {"samples": [{"prompt": "A"}]},
        {"samples": [{"prompt": 1, "seed": 1, "text": "b"}]},
    ],
)
def test_unusable_samples_are_named(facts):
    at = fill()
    path = at.texts("scratch", 1337)
    path.unlink() if facts is None else put(path, facts)
    write(params())
    page = (at.metrics / "samples.md").read_text(encoding="utf-8")
    assert f"Missing: {path}: " in page and "### scratch\n\nNo samples." in page
    assert "### base\n\nseed 1" in page
