"""What a run writes beside its weights."""

import pytest
from runs import history, script, summary, trainer


def test_the_history_has_a_row_an_evaluation(tmp_path):
    run = trainer(phases=[(8, 1), (16, 2)], eval_interval=2)
    progress = run.run(tmp_path)
    rows = history(tmp_path)
    assert list(rows[0]) == [
        "step",
        "passes",
        "block_size",
        "learning_rate",
        "running_train_loss",
        "train_loss",
        "dev_loss",
    ]
    assert [row["step"] for row in rows] == ["2", "3", "5", "6"]
    # 32 tokens a step, then 64, of a text of 97
    assert [row["passes"] for row in rows] == ["0.6598", "0.9897", "2.3093", "2.9691"]
    assert [{key: float(value) for key, value in row.items()} for row in rows] == progress.history
    assert b"\r" not in (tmp_path / "history.csv").read_bytes()


def test_the_running_loss_is_the_mean_since_the_last_evaluation(tmp_path):
    every = trainer().run(tmp_path / "every").history
    (once,) = trainer(eval_interval=3).run(tmp_path / "once").history
    mean = sum(row["running_train_loss"] for row in every) / 3
    assert once["running_train_loss"] == pytest.approx(mean, abs=1e-5)


def test_the_summary_says_how_training_ended(tmp_path, monkeypatch):
    script(monkeypatch, 5, 4, 4.5)
    run = trainer(phases=[(8, 3)], patience=1)
    progress = run.run(tmp_path)
    assert summary(tmp_path) == {
        "step": 3,
        "max_steps": 9,
        "tokens": 96,
        "passes": 0.9897,
        "best_step": 2,
        "best_dev_loss": 4,
        "evaluations_without_gain": 1,
        "running_train_loss": progress.history[-1]["running_train_loss"],
        "parameters": run.model.n_params(),
    }


def test_the_history_is_written_where_it_is_asked_for(tmp_path):
    trainer().run(tmp_path / "usual")
    trainer().run(tmp_path / "out", history=tmp_path / "histories/run.csv")
    assert not (tmp_path / "out/history.csv").exists()
    wanted = (tmp_path / "usual/history.csv").read_bytes()
    assert (tmp_path / "histories/run.csv").read_bytes() == wanted
