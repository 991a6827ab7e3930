"""Models of transformers behind our interface: the same numbers, and a clear line for what can't be used."""

import json

import numpy as np
import pytest
import tiny
import torch
import transformers
from architectures import CONFIGS, SHAPE, saved
from safetensors.torch import load_file, save_file
from torch import nn

from gpt2_shakespeare.measure.losses import exact_losses
from gpt2_shakespeare.model import GPT, ModelError, load_model
from gpt2_shakespeare.model.load import random_model
from gpt2_shakespeare.model.lora import add_lora
from gpt2_shakespeare.model.pretrained import Pretrained
from gpt2_shakespeare.texts.sampling import generate


def ids(*shape):
    return torch.randint(tiny.VOCAB_SIZE, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", CONFIGS)
def test_logits_losses_and_cached_steps_are_those_of_transformers(tmp_path, kind):
    theirs, ours = saved(tmp_path, kind), Pretrained.from_pretrained(tmp_path).eval()
    idx, targets = ids(2, 20), ids(2, 20)
    assert (ours.block_size, ours.vocab_size, len(ours.blocks)) == (32, tiny.VOCAB_SIZE, 2)
    assert ours.n_params() == theirs.num_parameters()
    logits, loss = ours(idx, targets)
    torch.testing.assert_close(logits, theirs(idx).logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.loss(idx, targets), loss, rtol=0, atol=1e-5)
    cache = ours.new_cache(2)
    parts = [ours.hidden(idx[:, some], cache) for some in (slice(0, 12), slice(12, 13), slice(13, 20))]
    torch.testing.assert_close(torch.cat(parts, 1), ours.hidden(idx), rtol=0, atol=1e-4)
    with pytest.raises(ModelError, match="33 tokens are more than block_size 32"):
        ours(ids(1, 33))


@pytest.mark.parametrize("kind", CONFIGS)
def test_gradients_are_those_of_transformers(tmp_path, kind):
    theirs, ours = saved(tmp_path, kind), Pretrained.from_pretrained(tmp_path)
    idx, targets = ids(2, 20), ids(2, 20)
    logits = theirs(idx).logits
    nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    ours.eval().loss(idx, targets).backward()
    wanted = dict(theirs.base_model.named_parameters())
    for name, parameter in ours.transformer.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_saved_model_is_what_was_saved_for_us_and_for_transformers(tmp_path, kind):
    saved(tmp_path / "theirs", kind)
    ours, idx = Pretrained.from_pretrained(tmp_path / "theirs").eval(), ids(2, 20)
    ours.block_size = 24
    ours.save_pretrained(tmp_path / "ours")
    again = Pretrained.from_pretrained(tmp_path / "ours").eval()
    assert torch.equal(again(idx)[0], ours(idx)[0]) and again.block_size == 24
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    torch.testing.assert_close(theirs(idx).logits, ours(idx)[0], rtol=0, atol=1e-5)
    first = (tmp_path / "ours" / "config.json").read_bytes()
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == first


def test_a_model_can_be_loaded_where_bf16_is_on(tmp_path):
    saved(tmp_path, "llama", hidden_size=512, initializer_range=0.9)
    with torch.autocast("cpu", torch.bfloat16):
        assert Pretrained.from_pretrained(tmp_path).block_size == 32


def test_a_gpt2_has_the_same_losses_as_in_our_own_class(tmp_path):
    saved(tmp_path, "gpt2")
    text = tiny.tokens(200)
    wrapped, own = Pretrained.from_pretrained(tmp_path), load_model(tmp_path)
    assert isinstance(own, GPT)
    np.testing.assert_allclose(exact_losses(wrapped, text), exact_losses(own, text), rtol=0, atol=1e-4)


def test_sampling_goes_on_past_the_longest_text(tmp_path):
    saved(tmp_path, "llama")
    model = load_model(tmp_path)
    assert isinstance(model, Pretrained)
    text = generate(model, ids(2, 5), 60, temperature=0)
    assert text.shape == (2, 65)
    # greedy, so each new token is the likeliest after the tokens that the window then held: 16 after every shift
    with torch.inference_mode():
        assert torch.equal(model.eval()(text[:, :20])[0].argmax(-1)[:, 4:], text[:, 5:21])


def test_lora_trains_adapters_only_and_is_saved_merged(tmp_path):
    for kind in ("llama", "gpt_neox", "gpt2"):
        saved(tmp_path / kind, kind)
        model = Pretrained.from_pretrained(tmp_path / kind).eval()
        before, idx = model(ids(1, 9))[0].detach(), ids(1, 9)
        add_lora(model, rank=2, alpha=4)
        learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert learning and all(".lora_" in name for name in learning)
        assert torch.equal(model(idx)[0], before)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if ".lora_B" in name:
                    parameter.normal_()
        model.save_pretrained(tmp_path / f"{kind}-merged")
        again = Pretrained.from_pretrained(tmp_path / f"{kind}-merged").eval()
        assert not torch.allclose(model(idx)[0], before, atol=1e-2)
        torch.testing.assert_close(again(idx)[0], model(idx)[0], rtol=1e-3, atol=1e-3)


def test_random_weights_in_the_same_shape(tmp_path):
    saved(tmp_path / "llama", "llama")
    saved(tmp_path / "gpt2", "gpt2")
    for kind in ("llama", "gpt2"):
        torch.manual_seed(5)
        first = random_model(tmp_path / kind)
        torch.manual_seed(5)
        second = random_model(tmp_path / kind)
        assert first.n_params() == load_model(tmp_path / kind).n_params()
        assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
        assert not torch.equal(first.table(), load_model(tmp_path / kind).table())


def test_a_loss_over_sampled_types_is_the_whole_loss_where_all_are_sampled(tmp_path):
    saved(tmp_path, "llama")
    model, idx, targets = load_model(tmp_path).eval(), ids(2, 9), ids(2, 9)
    whole = model.loss(idx, targets)
    model.sample_types(np.arange(3), tiny.VOCAB_SIZE)
    torch.testing.assert_close(model.loss(idx, targets), whole, rtol=0, atol=1e-5)


def test_dropout_that_a_model_has_is_used_and_another_is_refused(tmp_path):
    saved(tmp_path / "llama", "llama")
    saved(tmp_path / "opt", "opt")
    with pytest.raises(
        ModelError, match=r"dropout: a model of type llama has no such dropout, so 0.1 can't be used; set"
    ):
        load_model(tmp_path / "llama", embd_dropout=0.1, attn_dropout=0.0, resid_dropout=0.1)
    for folder, name in (("llama", "attn_dropout"), ("opt", "resid_dropout")):
        model = load_model(tmp_path / folder, **{name: 0.5}).train()
        assert not torch.equal(model.hidden(ids(1, 9)), model.hidden(ids(1, 9)))
        model = load_model(tmp_path / folder, embd_dropout=0.0, attn_dropout=0.0, resid_dropout=0.0).train()
        assert torch.equal(model.hidden(ids(1, 9)), model.hidden(ids(1, 9)))


def test_what_a_model_cannot_do_is_refused(tmp_path):
    saved(tmp_path / "llama", "llama")
    with pytest.raises(ModelError, match="llama: spelling: only our own GPT-2 has it; set it to false"):
        load_model(tmp_path / "llama").add_spelling(np.zeros(0, int), np.zeros(62, int), 0.0)
    saved(tmp_path / "neox", "gpt_neox")
    with pytest.raises(ModelError, match="neox: sampled_types: its head is not tied to its embedding"):
        load_model(tmp_path / "neox").sample_types(np.arange(3), 4)


def rewritten(folder, change):
    """The config of a folder, changed."""
    file = folder / "config.json"
    settings = json.loads(file.read_text())
    change(settings)
    file.write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(auto_map={"AutoModel": "evil.Model"}),
            "auto_map asks for code that comes with the model",
        ),
        (lambda c: c.update(model_type="t5"), "model_type 't5' is no causal language model"),
        (lambda c: c.update(model_type="x\n\x1b[31m"), r"model_type '.*' is no causal language model"),
        (lambda c: c.pop("model_type"), "model_type None is no causal language model"),
        (lambda c: c.update(quantization_config={"bits": 4}), "a quantised model"),
        (lambda c: c.update(num_hidden_layers=10**9), "1000000000 layers are too many"),
        (lambda c: c.update(num_hidden_layers=1000), "tensors are too few for 1000 layers"),
        (lambda c: c.update(vocab_size=10**12), "vocab_size is 1000000000000, too large"),
        (lambda c: c.update(intermediate_size=10**8), "asks for 19,200,.* weights, and the files hold"),
        (lambda c: c.update(intermediate_size=32), r"has shape \(\d+, \d+\), not \("),
        (lambda c: c.update(hidden_size="wide"), "config.json: "),
        (lambda c: c.update(num_hidden_layers=1), r"layers.1\S* is not known"),
        (lambda c: c.pop("max_position_embeddings"), None),
        (lambda c: c.update(max_position_embeddings=0), "doesn't say how many positions"),
    ],
)
def test_a_config_that_cannot_be_used(tmp_path, change, message):
    saved(tmp_path, "llama")
    rewritten(tmp_path, change)
    if message is None:
        load_model(tmp_path)
        return
    with pytest.raises(ModelError, match=message) as raised:
        load_model(tmp_path)
    assert "\n" not in str(raised.value) and "\x1b" not in str(raised.value)


def test_logits_that_are_more_than_a_head(tmp_path):
    config = transformers.Gemma2Config(**SHAPE, num_key_value_heads=2, head_dim=8)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "capped")
    with pytest.raises(ModelError, match="a model of type gemma2 caps its logits"):
        load_model(tmp_path / "capped")
    config = transformers.CohereConfig(**SHAPE, num_key_value_heads=2)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "scaled")
    with pytest.raises(ModelError, match="the logits of a model of type cohere are more than its head"):
        load_model(tmp_path / "scaled")
    config = transformers.PhiConfig(**SHAPE)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "bias")
    with pytest.raises(ModelError, match="a model of type phi has a bias in its head"):
        load_model(tmp_path / "bias")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update({"model.norm.weight": t["model.norm.weight"] * torch.nan}), "norm.weight holds numbers that are"),
        (lambda t: t.update({"model.norm.weight": t["model.norm.weight"].long()}), "norm.weight is of type I64"),
        (lambda t: t.pop("model.norm.weight"), "norm.weight is missing|the files hold"),
        (lambda t: t.update(surprise=torch.ones(3)), "surprise is not known"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_used(tmp_path, change, message):
    saved(tmp_path, "llama")
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_sharded_weights_are_read_and_pickles_are_not(tmp_path):
    net = saved(tmp_path / "one", "llama")
    net.save_pretrained(tmp_path / "several", max_shard_size="10KB")
    assert len(list((tmp_path / "several").glob("model-*.safetensors"))) > 1
    idx = ids(1, 9)
    torch.testing.assert_close(
        load_model(tmp_path / "several").eval()(idx)[0], net(idx).logits, rtol=0, atol=1e-5
    )
    torch.save(net.state_dict(), tmp_path / "one" / "pytorch_model.bin")
    (tmp_path / "one" / "model.safetensors").unlink()
    with pytest.raises(
        ModelError, match="only pytorch_model.bin, a pickle, which can run any code and is not opened"
    ):
        load_model(tmp_path / "one")
