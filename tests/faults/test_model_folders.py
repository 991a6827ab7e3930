"""Model folders that something has changed at random: loaded or refused in one line, soon and in little memory.

500 mutations of config, header, tensors, names, index, files and their kinds. Each is loaded in a process whose peak of
memory is reset before; of a folder that is refused no more may be taken than twice the size of its weights.
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTATIONS, SECONDS = 500, 20
SLACK = 4 * 2**20  # what Python and the allocator take or keep, whatever is loaded
SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 32, "vocab_size": 20_000}  # 5.5 MB
ODD = [
    0, 1, -1, 2, 3, 63, 10**9, 10**12, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf"), None, True, False,
    "", "gpt2", "\n\x1b[2J", "x" * 10**5, [], [1], {}, {"a": 1}, "1e9",
]  # fmt: skip


def mutate(folder: Path, choose: random.Random) -> str:
    """Change one or two things of a good folder; returns what, for the message of a failure."""
    kinds = [
        config_value,
        config_key,
        config_bytes,
        header_value,
        header_bytes,
        tensors,
        names,
        kinds_of_files,
        indexed,
    ]
    done = []
    chosen = choose.sample(kinds, choose.choice([1, 1, 1, 2]))
    for kind in sorted(chosen, key=lambda kind: kind is kinds_of_files):  # nothing here opens a pipe
        try:
            done.append(f"{kind.__name__} {kind(folder, choose)!r:.200}")
        except (OSError, ValueError, KeyError, struct.error, UnicodeDecodeError):
            done.append(f"{kind.__name__}: of no use after the first change")
    return "; ".join(done)


def config_value(folder, choose):
    file = folder / "config.json"
    table = json.loads(file.read_bytes())
    key, value = choose.choice(sorted(table)), choose.choice(ODD)
    file.write_text(json.dumps(table | {key: value}))
    return key, value


def config_key(folder, choose):
    file = folder / "config.json"
    table = json.loads(file.read_bytes())
    key = choose.choice(sorted(table))
    value = table.pop(key)
    if choose.random() < 0.5:
        table[key + choose.choice(["s", "\n", "\x1b[2J"])] = value
    file.write_text(json.dumps(table))
    return key


def config_bytes(folder, choose):
    file = folder / "config.json"
    raw, place = file.read_bytes(), choose.randrange(400)
    ways = [raw[:place], raw[:place] + bytes([choose.randrange(256)]) + raw[place + 1 :], b"", b"[" * 200_000,
            b"\xef\xbb\xbf" + raw, raw.decode().encode("utf-16"), b"null", b"[]", raw + raw, raw + b" " * 2**21,
            b'{"n_layer": ' + b"9" * 5000 + b"}"]  # fmt: skip
    number = choose.randrange(len(ways))
    file.write_bytes(ways[number])
    return number, place


def split(folder):
    """The header and the bytes of the tensors."""
    raw = (folder / "model.safetensors").read_bytes()
    end = 8 + struct.unpack("<Q", raw[:8])[0]
    return json.loads(raw[8:end]), raw[end:]


def join(folder, header, data):
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + data)


def header_value(folder, choose):
    header, data = split(folder)
    name = choose.choice(sorted(header))
    field = choose.choice(["dtype", "shape", "data_offsets", "more", "all"])
    if field == "dtype":
        value = choose.choice(["F64", "F16", "BF16", "I64", "BOOL", "C64", "F8_E4M3", "U8", "X", 3, None])
    elif field in ("shape", "data_offsets"):
        value = [
            choose.choice([0, 1, 2, 64, 10**6, 10**12, 2**63, -1, "1"]) for _ in range(choose.randrange(5))
        ]
    else:
        value = choose.choice(ODD)
    if field == "all":
        header[name] = value
    else:
        header[name] = header[name] | {field: value}
    join(folder, header, data)
    return name, field, value


def header_bytes(folder, choose):
    file = folder / "model.safetensors"
    raw = bytearray(file.read_bytes())
    way = choose.choice(["length", "flip", "cut", "empty", "more", "end"])
    if way == "length":
        raw[:8] = struct.pack("<Q", choose.choice([0, 1, 10**6, 10**8, 2**32, 2**63, 2**64 - 1]))
    elif way == "flip":
        raw[choose.randrange(2000)] ^= 1 << choose.randrange(8)
    elif way == "cut":
        raw = raw[: choose.randrange(len(raw))]
    elif way == "empty":
        raw = bytearray()
    elif way == "more":
        raw += b"\0" * choose.randrange(1, 10**6)
    else:
        raw = raw[: choose.randrange(20)]
    file.write_bytes(raw)
    return way


def tensors(folder, choose):
    """Odd numbers among the weights."""
    header, data = split(folder)
    data = bytearray(data)
    bits = choose.choice([0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0x00000001, 0xFFFFFFFF])
    for _ in range(choose.choice([1, 1, 1000])):
        place = 4 * choose.randrange(len(data) // 4)
        data[place : place + 4] = struct.pack("<I", bits)
    join(folder, header, bytes(data))
    return hex(bits)


def names(folder, choose):
    header, data = split(folder)
    name = choose.choice([name for name in sorted(header) if name != "__metadata__"])
    new = choose.choice([
        "", "\n\x1b[2J", "x" * 10**5, f"_orig_mod.{name}", f"module.{name}", name.removeprefix("transformer."),
        f"transformer.{name}", "lm_head.weight", name.replace(".0.", ".1."), name.replace(".0.", ".-1."),
        name.replace(".0.", f".{10**9}."), "../../x", "\u202e", "h.attn.bias", f"{name}.attn.bias",
    ])  # fmt: skip
    join(folder, {new if key == name else key: value for key, value in header.items()}, data)
    return name, new


def kinds_of_files(folder, choose):
    name = choose.choice(["config.json", "model.safetensors"])
    way = choose.choice(
        ["pipe", "folder", "link to itself", "link to nothing", "pointer", "gone", "pickle", "renamed"]
    )
    file = folder / name
    file.rename(folder / "aside") if way == "renamed" else file.unlink()
    if way == "pipe":
        os.mkfifo(file)
    elif way == "folder":
        file.mkdir()
    elif way.startswith("link"):
        file.symlink_to(name if way == "link to itself" else "nothing")
    elif way == "pointer":
        file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5000000\n")
    elif way == "pickle":
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    return name, way


def indexed(folder, choose):
    """The weights as the only shard of an index that is right or odd."""
    header, _ = split(folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    shard = "model-00001-of-00001.safetensors"
    table = {name: shard for name in header if name != "__metadata__"}
    way = choose.choice(["right", "value", "more", "map", "bytes", "many"])
    found = {"metadata": {}, "weight_map": table}
    if way == "value":
        table[choose.choice(sorted(table))] = choose.choice(
            [*ODD, "../" + shard, "/etc/passwd", "config.json"]
        )
    elif way == "more":
        table[choose.choice(["a", "\n\x1b[2J", "x" * 10**5])] = choose.choice([shard, "b.safetensors"])
    elif way == "map":
        found["weight_map"] = choose.choice(ODD)
    elif way == "many":
        table |= {f"h.{number}.x": f"{number}.safetensors" for number in range(10**4)}
    file = folder / "model.safetensors.index.json"
    file.write_text("{" if way == "bytes" else json.dumps(found))
    return way


# --- the process that loads --------------------------------------------------------------------------------------


def peak() -> int:
    """Most bytes of memory that this process has had since `reset`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def reset() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def load_all(work: Path) -> None:
    """Mutate and load; print a line of JSON for each that went wrong, and a last one with the counts."""
    from gpt2_shakespeare.model import GPT, GPTConfig, ModelError

    good = work / "good"
    GPT(GPTConfig(**SHAPE)).save_pretrained(good)
    allowed = 2 * (good / "model.safetensors").stat().st_size + SLACK
    GPT.from_pretrained(good)  # what is imported and built only once
    counts = {"loaded": 0, "refused": 0}
    for number in range(MUTATIONS):
        folder = work / str(number)
        shutil.copytree(good, folder)
        what, fault = mutate(folder, random.Random(number)), None
        before = reset()
        signal.alarm(SECONDS)
        try:
            GPT.from_pretrained(folder)
            counts["loaded"] += 1
        except ModelError as error:
            counts["refused"] += 1
            if not str(error).isprintable() or len(str(error)) > 1500:
                fault = f"its line: {str(error)!r:.300}"
        except BaseException as error:
            fault = f"{type(error).__name__}: {error!s:.300}"
        signal.alarm(0)
        if (taken := peak() - before) > allowed:
            fault = f"{fault or ''} {taken:,} bytes of memory, above {allowed:,}"
        if fault:
            print(json.dumps({"number": number, "mutation": what, "fault": fault}), flush=True)
        shutil.rmtree(folder)
    print(json.dumps(counts))


@pytest.mark.slow
def test_500_mutated_folders_are_loaded_or_refused_in_a_line(tmp_path):
    try:
        reset()
    except (OSError, StopIteration):
        pytest.skip("this system doesn't tell a process's peak of memory")
    done = subprocess.run(
        [sys.executable, __file__, tmp_path], capture_output=True, text=True, timeout=500, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    *faults, counts = done.stdout.splitlines()
    assert not faults, "\n".join(faults)
    counts = json.loads(counts)
    assert sum(counts.values()) == MUTATIONS and min(counts.values()) > 50, counts


if __name__ == "__main__":
    load_all(Path(sys.argv[1]))
