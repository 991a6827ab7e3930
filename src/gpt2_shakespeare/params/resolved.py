"""What params.yaml comes to at the scale that is switched on, a table for each reader.

The stage `check` writes each into a file of its own, and the other stages depend on these files: a change of
params.yaml, or of the way it is read, makes just those stages stale that read something else than before.
"""

from typing import Any

from gpt2_shakespeare.params.load import Params


def tables(params: Params) -> dict[str, dict[str, Any]]:
    """Name of the file, without its ending -> what stands in it."""
    scale = params.at_scale.model_dump(exclude={"checkpoint_interval"})  # no result depends on that
    base, runtime = scale["base"], {"runtime": scale["runtime"]}
    corpus = {key: base[key] for key in ("source", "corpus", "package")}
    # what no one fetches must not make the texts stale
    corpus |= {key: base[key] if base["source"] == "hub" else None for key in ("repo", "revision")}
    window = {"block_size": scale["model"]["block_size"]}
    shared = {
        "seeds": params.seeds,
        "ensembles": {row.name: [row.of, row.cached] for row in params.ensembles},
    }
    adapting = {row.name: [row.of, row.way] for row in params.adapting}
    learning_curves = params.learning_curves.model_dump()
    rows = {
        row.name: {"kind": row.kind, "epochs": row.epochs, "settings": row.settings.model_dump()}
        for row in params.trained_rows
    }
    about = {"corpus": scale["corpus"]}  # for the model card, as is the base
    sample, analysis = params.sample.model_dump(), params.analysis.model_dump()
    return {
        "corpus": {key: scale[key] for key in ("corpus", "tokenizer")} | {"base": corpus, "model": window},
        "base": runtime | {"base": base, "pretraining": scale["pretraining"], "model": window},
        "evaluate": runtime | {"tokenizer": {"source": scale["tokenizer"]["source"]}},
        "adapting": runtime | {"seeds": sorted(params.seeds)},
        "learning_curve": runtime | {"seeds": [min(params.seeds)]},  # beside its row's own
        "learning_curves": {"learning_curves": {"shares": learning_curves["shares"]}},
        "texts": runtime | {"sample": sample, "analysis": analysis},
        "texts_human": {"analysis": analysis},
        "decode": runtime | {"analysis": analysis},
        # the rows too: what is of no listed row goes from the folder that the stage reads whole
        "ensembles": shared | {"rows": list(rows)},
        "report": scale
        | shared
        | {"adapting": adapting, "learning_curves": learning_curves}
        | {"rows": rows, "sample": sample, "analysis": analysis}
        | {"corpus_path": params.corpus_path, "base_path": params.base_path},
        **{
            f"rows/{row.name}": runtime | rows[row.name] | about | ({"base": base} if row.needs_base else {})
            for row in params.trained_rows
        },
    }
