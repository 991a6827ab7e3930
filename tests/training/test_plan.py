"""The models that runs start from, and their phases."""

import pytest
from runs import same, trainer, weights
from tiny import tokens, training

from gpt2_shakespeare.params import schema
from gpt2_shakespeare.tokens.files import DataError
from gpt2_shakespeare.training.plan import new_model


def from_scratch():
    model = {"block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 16}
    phases = {"context": [{"block_size": 16, "epochs": 1}]}
    return schema.FromScratch(**(training(dropout=0.3).model_dump() | {"model": model} | phases))


def test_a_new_model_has_the_settings_shape_and_dropout():
    model = new_model(from_scratch(), 61, 1)
    assert (model.config.vocab_size, model.config.block_size, model.config.n_layer) == (61, 16, 2)
    assert [model.config.dropout_of(kind) for kind in ("embd", "attn", "resid")] == [0.3, 0.0, 0.3]


def test_a_seed_gives_one_new_model():
    assert same(*(weights(new_model(from_scratch(), 61, 1)) for _ in range(2)))


def test_another_seed_gives_another_new_model():
    assert not same(*(weights(new_model(from_scratch(), 61, seed)) for seed in (1, 2)))


# --- phases --------------------------------------------------------------------------------------


def test_windows_move_by_the_stride_or_lie_side_by_side():
    assert [len(phase.batches.starts) for phase in trainer(phases=[(4, 1), (8, 1)], stride=6).phases] == [
        24,  # a stride above the block would leave gaps: side by side
        15,
    ]
    assert [len(phase.batches.starts) for phase in trainer(phases=[(4, 1), (8, 1)]).phases] == [24, 12]


def test_a_stride_above_all_windows_is_refused():
    with pytest.raises(
        schema.ParamsError, match="stride: 9 is above block_size 8 and would leave out tokens"
    ):
        trainer(phases=[(4, 1), (8, 1)], stride=9)
    assert trainer(phases=[(4, 1), (8, 1)], stride=8).max_steps == 9


def test_epochs_are_walks_over_the_windows():
    """12 windows, of which a step takes 5: the third step of an epoch takes three from the next one."""
    (phase,) = trainer(batch_size=5, phases=[(8, 6)]).phases
    assert phase.steps == 15
    assert phase.epochs_after(15) == 6.0
    assert [phase.epochs_after(step) for step in (1, 3, 12)] == pytest.approx([5 / 12, 15 / 12, 5])
    (phase,) = trainer(batch_size=5, phases=[(8, 1)]).phases
    assert phase.epochs_after(phase.steps) == 1.0


@pytest.mark.parametrize(
    ("batch_size", "grad_accum_steps", "phases", "windows"),
    [(25, 1, [(8, 2)], 12), (5, 5, [(8, 2)], 12), (4, 1, [(4, 1), (16, 0.5)], 6), (13, 1, [(8, 1)], 12)],
)
def test_a_step_larger_than_a_phase_is_refused(batch_size, grad_accum_steps, phases, windows):
    """It would train more than asked for."""
    with pytest.raises(schema.ParamsError) as caught:
        trainer(batch_size=batch_size, grad_accum_steps=grad_accum_steps, phases=phases)
    size, epochs = phases[-1]
    assert str(caught.value) == (
        f"batch_size, grad_accum_steps: a step of {batch_size} × {grad_accum_steps} windows is more than a whole phase "
        f"(block_size {size}: {windows} windows; epochs: {epochs}); lower them or raise epochs"
    )


def test_a_step_as_large_as_a_phase_is_taken():
    run = trainer(batch_size=12, grad_accum_steps=2, phases=[(8, 2)])
    assert run.max_steps == 1 and run.phases[0].epochs_after(1) == 2.0


def test_a_text_shorter_than_a_window_of_any_phase_is_refused_before_training():
    with pytest.raises(DataError, match="12 training tokens are too few for one window of block_size 16"):
        trainer(text=tokens(12), phases=[(8, 1), (16, 1)])
