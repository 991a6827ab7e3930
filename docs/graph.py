"""Draw dvc.yaml as a Mermaid graph into docs/architecture.md; `--check` fails where the picture there is another.

    python docs/graph.py

A kind of stage is one box, whatever rows and seeds it is for. An arrow that others imply is left out.
"""

import argparse
import itertools
import re
import sys
from pathlib import Path
from typing import Any

import networkx
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
BOXES = re.compile(r"(evaluate|texts|decode)_(base|scratch|finetune)")


def graph() -> str:
    """The graph as Mermaid text."""
    params, pipeline = (
        YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))
        for name in ("params.yaml", "dvc.yaml")
    )
    boxes: dict[str, str] = {}
    reads: dict[str, set[str]] = {}
    writes: dict[str, set[str]] = {}
    for name, stage in pipeline["stages"].items():
        box = found[1] if (found := BOXES.fullmatch(name)) else name
        boxes.setdefault(box, stage["desc"].split(";")[0])
        outs = [*stage.get("outs", []), *stage.get("metrics", [])]
        for item in _items(stage.get("matrix", {}), params):
            reads.setdefault(box, set()).update(_filled(dep, item) for dep in stage["deps"])
            writes.setdefault(box, set()).update(
                _filled(next(iter(out)) if isinstance(out, dict) else out, item) for out in outs
            )
    edges = networkx.DiGraph()
    edges.add_nodes_from(boxes)
    for source, target in itertools.permutations(boxes, 2):
        if any(
            Path(out).is_relative_to(dep) or Path(dep).is_relative_to(out)
            for out in writes[source]
            for dep in reads[target]
        ):
            edges.add_edge(source, target)
    few = networkx.transitive_reduction(edges)
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {box}["<b>{box}</b><br/>{desc}"]' for box, desc in boxes.items()]
    lines += [
        f"    {source} --> {target}" for source in boxes for target in boxes if few.has_edge(source, target)
    ]
    return "\n".join([*lines, "```"])


def _items(matrix: dict[str, Any], params: dict[str, Any]) -> list[dict[str, str]]:
    """Every combination of a matrix' values, each as what `${item.<key>}` stands for."""

    def values(entry: Any) -> list[str]:
        if isinstance(entry, str) and (found := re.fullmatch(r"\$\{([\w.]+)\}", entry)):
            table: Any = params
            for key in found[1].split("."):
                table = table[key]
            return [str(value) for value in table]
        return ["first" if str(value) == "${seeds[0]}" else str(value) for value in entry]

    columns = {key: values(entry) for key, entry in matrix.items()}
    if columns.get("seed") == ["first"]:
        columns["seed"] = [str(params["seeds"][0])]
    return [dict(zip(columns, row, strict=True)) for row in itertools.product(*columns.values())]


def _filled(place: str, item: dict[str, str]) -> str:
    return re.sub(r"\$\{item\.(\w+)\}", lambda match: item[match[1]], place)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    drawn = re.sub(r"```mermaid\n.*?```", lambda _: graph(), page, flags=re.DOTALL)
    if args.check:
        sys.exit(0 if drawn == page else f"{PAGE}: another graph than dvc.yaml's; run python docs/graph.py")
    PAGE.write_text(drawn, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
