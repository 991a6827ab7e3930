"""Build the pages as a site, into site/: strict, without a network, every link checked.

    python docs/build_site.py [folder]

The site has the pages and what they link to in the places that they have in git, so that links are the same in both.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "docs/mkdocs.yml"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
SHOWN = {".md", ".png", ".html"}  # of a folder that is linked to


def pages() -> list[str]:
    """The pages that the navigation names."""
    todo, found = [YAML(typ="safe").load(CONFIG.read_text(encoding="utf-8"))["nav"]], []
    while todo:
        part = todo.pop(0)
        if isinstance(part, str):
            found.append(part)
        else:
            todo = [*(part if isinstance(part, list) else part.values()), *todo]
    return found


def collect(to: Path) -> None:
    """Copy the pages, and the files that they and each other link to."""
    todo, done = [*pages()], set[str]()
    while todo:
        name = todo.pop()
        if name in done or not (ROOT / name).exists():
            continue
        done.add(name)
        if (ROOT / name).is_dir():
            todo += [
                str(file.relative_to(ROOT))
                for file in sorted((ROOT / name).rglob("*"))
                if file.suffix in SHOWN
            ]
            continue
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, to / name)
        if name.endswith(".md"):
            text = (ROOT / name).read_text(encoding="utf-8")
            places = (link for link in LINK.findall(text) if "://" not in link)
            todo += [os.path.normpath(Path(name).parent / place) for place in places]
    for file in to.rglob("*.md"):  # a folder has no page of its own
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"\[([^\]]+)\]\(([^)#]+/|metrics)\)", r"\1", text), encoding="utf-8")


def build(out: Path) -> None:
    """Build the site; exits with what MkDocs says where a page or a link is wrong."""
    with tempfile.TemporaryDirectory() as temp:
        source = Path(temp) / "pages"
        collect(source)
        yaml = YAML(typ="safe")
        config = yaml.load(CONFIG.read_text(encoding="utf-8")) | {
            "docs_dir": str(source),
            "site_dir": str(out),
        }
        with (Path(temp) / "mkdocs.yml").open("w", encoding="utf-8") as file:
            yaml.dump(config, file)
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", file.name]
        environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"docs/build_site.py: {(done.stderr or done.stdout).strip()}")


class _Links(HTMLParser):
    """Where a page leads to and what it loads, and the places in it that can be led to."""

    def __init__(self) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("id", "name") and value:
                self.places.add(value)
            elif name in ("href", "src") and value:
                rel = dict(attributes).get("rel") or ""
                leads = tag == "a" or rel in ("canonical", "prev", "next")
                (self.leads if leads else self.loads).append(value)


def broken(site: Path) -> list[str]:
    """Links of the site that lead nowhere, and what it would load from the network."""
    found, read = [], {}
    for page in sorted(site.rglob("*.html")):
        read[page] = _Links()
        read[page].feed(page.read_text(encoding="utf-8"))
    for page, links in read.items():
        where = page.relative_to(site)
        if where.name == "404.html":
            continue
        found += [f"{where}: loads {link}" for link in links.loads if "//" in link.split("?")[0]]
        for link in links.leads + [
            link for link in links.loads if "//" not in link and not link.startswith("data:")
        ]:
            if "://" in link or link.startswith("mailto:"):
                continue
            place, _, anchor = unquote(link).partition("#")
            target = (page.parent / place).resolve() if place else page
            if not target.exists():
                found.append(f"{where}: {link}: no such file")
            elif anchor and target in read and anchor not in read[target].places and anchor != "__skip":
                found.append(f"{where}: {link}: no such place")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "site", help="default: site/")
    out = parser.parse_args().folder.resolve()
    build(out)
    if problems := broken(out):
        sys.exit("\n".join(problems))
    print(f"written: {out / 'index.html'}")


if __name__ == "__main__":
    main()
