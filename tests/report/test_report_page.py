"""The page: what it has, that it stands alone, and that it works in a real browser."""

import colorsys
import json
import os
import re
from pathlib import Path

import browser
import pandas as pd
import pytest
from browser import Browser
from made_up import MODELS, PROMPT, ROWS, add_row, change, fill, params, put, texts
from ruamel.yaml import YAML

from gpt2_shakespeare.paths import Paths
from gpt2_shakespeare.report import finding, losses
from gpt2_shakespeare.report.page import COMMANDS, DARK
from gpt2_shakespeare.report.pictures.style import PALETTE
from gpt2_shakespeare.report.writing import write

pytestmark = pytest.mark.usefixtures("no_pictures")
ROOT = Path(__file__).parents[2]
SHOWN = "[...document.querySelectorAll('.card')].filter(card => card.offsetWidth).map(card => card.querySelector('h3').textContent.split(' ')[0])"


def written(**more) -> Path:
    at = fill(seeds=(1337, 1))
    for text in ("base_corpus", "wikitext"):
        for row in ROWS:
            for seed in (1337, 1):
                if row.has_model:
                    file = at.evaluation(row.name, seed)
                    change(file, **{f"other_loss_{text}": 5.5 if row.trained else 5.0, f"kl_{text}": 0.5})
                if row.from_base:
                    file = at.history(row.name, seed)
                    first, *lines = file.read_text().splitlines()
                    probes = [f"{line},{5.0 + 0.02 * n:.3f}" for n, line in enumerate(lines)]
                    put(file, "\n".join([f"{first},other_loss_{text}", *probes]))
    found = texts() | {"other_temperatures": [{"temperature": 0, "prompt": PROMPT, "seed": 1, "text": "Ay, ay, my </script><b>lord.\n", "copied": [[4, 10]]}]}  # fmt: skip
    put(at.texts("finetune", 1337), found | more)
    write(params(seeds=(1337, 1)))
    return at.metrics / "page.html"


def read(page: Path) -> dict:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S
    )
    assert found
    return json.loads(found[1])


def test_it_stands_alone_and_may_be_committed():
    page = written()
    text = page.read_text(encoding="utf-8")
    assert len(text.encode()) < 600_000
    assert not re.findall(r"""(?:src|href)=["'](?!https://github.com/|#|data:)""", text)
    assert "url(" not in text and "@import" not in text and "fetch(" not in text
    for id in re.findall(r'href="#(\w+)"', text):
        assert f'id="{id}"' in text
    data = read(page)
    assert {curve["row"] for curve in data["curves"]} == {row.name for row in ROWS if row.trained}
    assert data["others"] == {"other_loss_base_corpus": "Base's corpus", "other_loss_wikitext": "WikiText-2"}
    assert data["samples"]["temperatures"] == [0, 0.8]
    assert set(data["rows"]) == set(MODELS)


def test_a_text_can_not_leave_its_place():
    text = written().read_text(encoding="utf-8")
    assert "</script><b>" not in text and "\\u003c/script\\u003e" in text


def test_every_command_is_one_of_dvc_or_ours():
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    for command in (line for lines in COMMANDS.values() for line in lines):
        program, *words = command.split()
        assert program in ("dvc", "python", "gpt2-shakespeare")
        if program == "dvc":
            assert words[0] == "repro" and set(words[1:]) <= set(stages)
        elif program == "python":
            assert (ROOT / words[0]).is_file()


@pytest.mark.parametrize("copied", [[[3, 1]], [[0, 99]], [1], 5])
def test_places_that_are_in_no_text_are_named(copied, caplog):
    sample = {"prompt": PROMPT, "seed": 1, "text": "Speak.", "copied": copied}
    data = read(written(samples=[sample]))
    assert "finetune" not in {item["row"] for item in data["samples"]["items"]}
    assert "no samples of a prompt" in caplog.text


def test_many_rows_have_a_colour_each():
    def change(raw):
        for number in range(len(PALETTE)):
            add_row(raw, f"finetune_{number}", learning_rate=0.001)

    settings = params(change=change)
    at = fill(rows=settings.rows)
    write(settings)
    looks = [tuple(look.values()) for look in read(at.metrics / "page.html")["rows"].values()]
    assert len(set(looks)) == len(looks)


def test_every_cell_of_the_table_has_a_heading_where_tokens_are_others_too():
    def base_tokens(raw):
        raw["scales"]["novels"] |= {
            "tokenizer": {"source": "base"}, "base": {"source": "package", "package": "smollm2-135m"}
        }  # fmt: skip
        raw["scales"]["novels"].pop("pretraining")

    for change_of, more in ((None, 0), (base_tokens, 1)):
        at = fill()
        write(params(change=change_of))
        text = (at.metrics / "page.html").read_text(encoding="utf-8")
        table = text.split('id="table"')[1].split("</table>")[0]
        heads, (first, *_) = (
            re.findall(r"<th\b", table.split("<tbody>")[0]),
            table.split("<tbody>")[1].split("</tr>"),
        )
        assert len(heads) == len(re.findall(r"<t[hd]\b", first)) == 12 + more
        assert ("<dt>Per GPT-2 token" in text) == bool(more)


def test_a_dark_page_has_the_hues_of_a_light_one():
    def hue(colour):
        return colorsys.rgb_to_hsv(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))[0]

    assert set(DARK) == set(PALETTE)
    for light, dark in DARK.items():
        assert abs(hue(light) - hue(dark)) < 0.05, light


def test_the_finding_says_what_the_figures_say():
    at = fill()
    change(
        at.evaluation("scratch_same", 1337), val_loss=4.55
    )  # from random weights, though it stands in rows.finetune
    said = finding.sentences(losses.read(params()))
    assert "and 4.550 (scratch_same) from random weights" in said[0]
    change(at.evaluation("scratch_same", 1337), val_loss=4.65)
    said = finding.sentences(losses.read(params()))
    assert "4.100 (finetune_tuned), and 4.600 (scratch_tuned)" in said[0] and "learns more than" in said[0]
    assert "5.050 (trigram_cache), and counts that go on while they read 3.950 (counting)" in said[1]
    assert said[1].endswith(": no model that stands still has less.")
    change(at.baseline("counting"), val_loss=4.2)
    assert finding.sentences(losses.read(params()))[1].endswith("4.200 (counting): the best model has less.")
    assert "publishes 4.75 (scratch), 3.3424 (finetune)" in said[-1]
    at = fill("demo", corpus="plays")
    for row in ("finetune_tuned", "finetune_long", "finetune_lora", "finetune"):
        change(at.evaluation(row, 1337), val_loss=6.5)
    said = finding.sentences(losses.read(params("demo")))
    assert "learns less than" in said[0] and "says nothing about Shakespeare" in said[-1]
    for row in MODELS[1:]:
        change(at.evaluation(row, 1337), val_loss=6.5)
    said = finding.sentences(losses.read(params("demo")))
    assert "as much as" in said[0] and "no model that stands still has less" in said[1]


@pytest.fixture
def chromium(tmp_path: Path):
    if not browser.CHROMIUM:
        if os.environ.get(browser.NEEDED):
            pytest.fail("no Chromium is here, and it is needed")
        pytest.skip("no Chromium is here")
    with Browser(tmp_path / "profile") as started:
        yield started


def committed() -> list[Path]:
    return sorted(ROOT.glob("metrics/*/page.html"))


@pytest.mark.parametrize("width, dark", [(1280, False), (390, False), (390, True), (1280, True)])
def test_it_opens_without_a_complaint(chromium: Browser, width: int, dark: bool):
    for page in (written(), *committed()):
        chromium.open(page, width, dark=dark)
        rows = pd.read_csv(page.parent / "curves.csv")["row"].nunique()
        assert chromium.run("document.querySelectorAll('.chart svg path').length") > max(2, rows)
        assert chromium.run("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
        back, ink = (
            sum(map(int, re.findall(r"\d+", chromium.run(f"getComputedStyle(document.body).{name}"))[:3]))
            for name in ("backgroundColor", "color")
        )
        assert (back < 150 < ink) if dark else (ink < 150 < back)
        assert chromium.run(
            "[...document.querySelectorAll('a[href^=\"#\"]')].every(a => document.querySelector(a.hash))"
        )
        assert not chromium.problems


def test_it_can_be_asked_with_mouse_and_keyboard(chromium: Browser):
    chromium.open(written())
    # the table sorts by numbers, and what has none comes last
    column = "[...document.querySelectorAll('.sortable tbody tr')].map(row => row.cells[3].textContent)"
    chromium.run("document.querySelectorAll('.sortable thead button')[3].focus()")
    for _ in range(2):
        chromium.press("Enter")
        values = [float(cell.split()[0]) for cell in chromium.run(column) if cell != "–"]
        assert len(values) == len(ROWS)
        down = chromium.run("document.querySelectorAll('.sortable thead th')[3].ariaSort") == "descending"
        assert values == sorted(values, reverse=down)
    # samples: row, prompt and temperature
    assert chromium.run(SHOWN) == MODELS
    pick = "(id, value) => { const it = document.getElementById(id); it.value = value; it.dispatchEvent(new Event('change')); }"
    chromium.run(f"({pick})('row', 'finetune'); ({pick})('temperature', '0')")
    assert chromium.run(SHOWN) == ["finetune"]
    assert chromium.run("document.querySelector('.card mark').textContent") == "ay, my"
    assert "</script><b>lord." in chromium.run("document.querySelector('.card p').textContent")
    # curves: by the arrow keys, and by pointing
    for chart in ("curves", "forgetting"):
        chromium.run(f"document.querySelector('#chart-{chart} svg').focus()")
        for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
            chromium.press(key)
        tip = f"document.querySelector('#chart-{chart} .tip')"
        assert "dev " in chromium.run(f"{tip}.textContent") and not chromium.run(f"{tip}.hidden")
    chromium.run("document.querySelector('#chart-curves').scrollIntoView()")
    x, y = chromium.run("(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector('#chart-curves svg').getBoundingClientRect())")  # fmt: skip
    chromium.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert "passes" in chromium.run("document.querySelector('#chart-curves .tip').textContent")
    # a row that isn't wanted goes
    lines = "document.querySelectorAll('#chart-curves path').length"
    before = chromium.run(lines)
    chromium.run("document.querySelector('[data-legend=curves] input').click()")
    assert chromium.run(lines) == before - 4
    # the grid shows another figure
    cell = "document.querySelector('#grid td').textContent"
    off = chromium.run(cell)
    chromium.run(f"({pick})('grid-figure', 'distinct_2')")
    assert chromium.run(cell) != off and chromium.run(cell) == "0.600"
    assert not chromium.problems


def test_learning_curves_can_be_asked(chromium: Browser):
    chromium.open(ROOT / "metrics/demo/page.html")
    chart = "document.querySelector('#chart-learning')"
    rows = chromium.run("[...new Set(data.learning.map(line => line.row))].length")
    assert rows == chromium.run(f"{chart}.querySelectorAll('svg path').length") > 2
    chromium.run(f"{chart}.querySelector('svg').focus()")
    for key in ("ArrowRight", "ArrowRight"):
        chromium.press(key)
    assert "10 % of train" in chromium.run(f"{chart}.querySelector('.tip').textContent")
    chromium.run("document.querySelector('[data-legend=learning] input').click()")
    assert chromium.run(f"{chart}.querySelectorAll('svg path').length") == rows - 1
    assert not chromium.problems


def test_a_copy_has_the_conditions(chromium: Browser):
    page = written()
    facts = {
        "stages": {
            "base": {"commit": "abc", "torch": "2", "seconds": 1.5},
            "scratch": {"commit": "abc", "seconds": 2},
        }
    }
    text = page.read_text(encoding="utf-8").replace(">null<", f">{json.dumps(facts)}<")
    page.with_name("copy.html").write_text(text, encoding="utf-8")
    chromium.open(page.with_name("copy.html"))
    said = chromium.run("document.getElementById('conditions').textContent")
    assert "commitabc" in said and "base 1.5 s, scratch 2 s" in said and not chromium.problems


def test_the_path_of_the_page_is_the_scales():
    assert written() == Paths("novels").metrics / "page.html"
