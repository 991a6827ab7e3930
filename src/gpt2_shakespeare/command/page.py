"""`gpt2-shakespeare page`: the results as a page in a browser, or as a copy to send."""

import dataclasses
import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from gpt2_shakespeare import disk, logs
from gpt2_shakespeare.command import project
from gpt2_shakespeare.command.table import Scale
from gpt2_shakespeare.params import Params
from gpt2_shakespeare.paths import Paths

PAGE, CONDITIONS = "page.html", "conditions.json"
SLOT = '<script type="application/json" id="conditions-data">null</script>'


def page(
    scale: Scale = "",
    copy: Annotated[
        Path | None,
        typer.Option(help="Write a copy there, with commit, versions and times inside; open nothing."),
    ] = None,
) -> None:
    """Open the page of a scale: charts, samples side by side, decoding, settings.

    \b
    gpt2-shakespeare page
    gpt2-shakespeare page --scale laptop
    gpt2-shakespeare page --copy results.html
    """
    copy = copy and copy.resolve()
    settings, scale = project.needed(scale)
    file = Paths(scale).metrics / PAGE
    if not file.is_file():
        raise project.CommandError(f"{file}: not there; run `dvc repro`")
    if copy:
        if copy.is_dir():
            raise project.CommandError(f"{copy}: a folder; name a file in it")
        facts = conditions(dataclasses.replace(settings, scale=scale))
        disk.write_text(copy, with_conditions(file.read_text(encoding="utf-8"), facts))
        typer.echo(f"written: {copy}")
        return
    address = file.resolve().as_uri()
    if not has_display() or not webbrowser.open(address):
        typer.echo(f"no browser can be opened here; open this address in one: {address}")
    else:
        typer.echo(f"opened: {address}")


def has_display() -> bool:
    """Whether a browser window can be shown; without one, a text browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))
    )


def conditions(settings: Params) -> dict[str, Any]:
    """Facts of every stage's last run here, or of the committed one where none has run.

    Raises:
        CommandError: neither is there.
    """
    at = Paths(settings.scale)
    if found := logs.read(settings):
        return {"stages": found}
    committed = at.metrics / CONDITIONS
    if not committed.exists():
        raise project.CommandError(
            f"{at.log('').parent}: no stage of scale {at.scale} has run here, and {committed} is not there; "
            "run `dvc repro`"
        )
    return {"stages": disk.read_json(committed).get("stages", {})}


def with_conditions(text: str, facts: dict[str, Any]) -> str:
    """The page with facts in the place that is kept for them."""
    if SLOT not in text:
        raise project.CommandError(f"{PAGE}: made by another version; run `dvc repro report`")
    inside = json.dumps(facts, sort_keys=True).replace("<", "\\u003c")
    return text.replace(SLOT, SLOT.replace("null", inside))
