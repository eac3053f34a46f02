"""Files of every format that the package reads: one good one each, what reads it, and bombs made by hand."""

import gzip
import io
import json
import shutil
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from scratchvae.data import Dataset, Split, load
from scratchvae.models import VAE
from scratchvae.training import RunFolder, fit
from scratchvae.training.checkpoint import model_of, read_checkpoint, read_run
from scratchvae.training.records import header

PICTURES = ("png", "jpeg", "webp", "tiff", "gif", "bmp", "ppm")


@dataclass(frozen=True)
class Format:
    """name · path: of the good file, which is damaged in its place · read() → what it holds, as text or bytes that can be compared ·
    whole: it carries a checksum or is compared with what carries one, so that damage is seen or changes nothing"""

    name: str
    path: Path
    read: object
    whole: bool
    bombs: tuple = ()


def data():
    """60 training and 20 test images of 4 x 3 pixels."""
    images = np.random.default_rng(0).integers(0, 256, (80, 12), np.uint8)
    return Dataset("faults", (4, 3), Split(images[:60], None), Split(images[60:], None), "made by a program")


def formats(folder):
    """A good file of every format below an empty folder → [Format]"""
    folder, images = Path(folder), np.random.default_rng(1).integers(0, 256, (20, 6, 5), np.uint8)
    labels = np.arange(20, dtype=np.uint8) % 3
    model, set_ = VAE(12, (4,), 2, seed=3), data()
    fit(model, set_, out=folder / "run", epochs=2, batch_size=20, log_every=1, max_steps=4, threads=1, progress=False)
    run = RunFolder(folder / "run")

    def checkpoint():
        state, config, arrays = read_checkpoint(run.checkpoint_path)
        return _text([state, config]) + model_of(run.checkpoint_path, config, arrays).buffer.values.tobytes()

    def configuration():
        config, _, _ = read_run(run)
        return _text({key: value for key, value in config.items() if key != "environment"} | {"data": {**config["data"], "location": ""}})

    def metrics():
        before = run.metrics_path.read_bytes()
        run.mend_metrics(header(model, set_, 0), 4)
        mended = run.records()
        assert all(record["step"] <= 4 for record in mended)
        run.metrics_path.write_bytes(before)
        return _text(run.records())

    found = [
        Format("checkpoint.npz", run.checkpoint_path, checkpoint, True, tuple(_npz_bombs())),
        Format("config.json", run.config_path, configuration, True, tuple(_json_bombs())),
        Format("metrics.jsonl", run.metrics_path, metrics, False, tuple(_json_bombs())),
    ]

    def add(name, path, whole, bombs=()):
        place = path if path.suffix in (".npy", ".npz", ".csv") else path.parent
        found.append(Format(name, path, lambda: _dataset(place), whole, tuple(bombs)))

    for suffix in ("", ".gz"):
        place = folder / f"idx{suffix}"
        place.mkdir()
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
            array = images if "images" in name else labels
            content = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
            (place / f"{name}-ubyte{suffix}").write_bytes(gzip.compress(content, mtime=0) if suffix else content)
        add(f"idx{suffix}", place / f"train-images-idx3-ubyte{suffix}", bool(suffix), _idx_bombs(bool(suffix)))
    np.save(folder / "images.npy", images)
    add("npy", folder / "images.npy", False, _npy_bombs())
    np.savez_compressed(folder / "images.npz", images=images, labels=labels)
    add("npz", folder / "images.npz", True, _npz_bombs())
    (folder / "table.csv").write_text("a,b,c\n" + "".join(f"{i},{i * 0.37:.3f},{i % 7}\n" for i in range(40)))
    add("csv", folder / "table.csv", False, _csv_bombs())
    for kind in PICTURES:
        place = folder / kind
        place.mkdir()
        for i, image in enumerate(images[:3]):
            Image.fromarray(image).save(place / f"{i}.{kind}")
        add(kind, place / f"1.{kind}", False, _picture_bombs() if kind == "png" else ())
    return found


def _dataset(path):
    read = load(path, progress=False)
    for split in (read.train, read.test):
        pixels = np.asarray(split.images)
        assert pixels.dtype in (np.uint8, np.float32)
        assert np.isfinite(pixels).all()
    return read.fingerprint


def _text(value):
    return json.dumps(value, sort_keys=True).encode()


def _npy(header, version=1, content=b""):
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode() + content


def _header(shape, descr="'|u1'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def _npy_bombs():
    for shape in (f"({1 << 50},)", f"({1 << 31}, {1 << 31})", f"(0, {1 << 62})", "(-1,)", "(" + "9" * 5000 + ",)", "(" + "1," * 4000 + ")"):
        yield _npy(_header(shape), content=b"x" * 100)
    code = "__import__('os').system('true')"
    for text in ("(" * 9000, "[" * 9999, "-" * 9999 + "1", "{" * 5000, "'" + "\\d" * 4000, "lambda: 0", code, ""):
        yield _npy(text)
        yield _npy(text, 2)
    for descr in ("'|O'", "[('a', '<f4')]", "'<U9999999'", "'|V1000000000'", "'<M8[ns]'", "'<c16'"):
        yield _npy(_header("(2,)", descr), content=b"x" * 64)


def _npz_bombs():
    def archive(members, method=zipfile.ZIP_STORED):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of a name that stands there twice
            for name, member in members:
                file.writestr(name, member)
        return content.getvalue()

    for content in _npy_bombs():
        yield archive([("images.npy", content)])
        yield archive([("note.npy", content)])
    zeros = 64 << 20
    yield archive([("images.npy", _npy(_header(f"({zeros // 64}, 8, 8)"), content=bytes(zeros)))], zipfile.ZIP_DEFLATED)
    yield archive([("note.npy", _npy(_header(f"({zeros},)"), content=bytes(zeros)))], zipfile.ZIP_DEFLATED)
    yield archive([(f"{i}.npy", b"") for i in range(20_000)])
    yield archive([("x" * 65_000 + ".npy", _npy(_header("(1,)"), content=b"x"))])
    yield archive([("note.npy", _npy(_header("(3,)"), content=b"{}\n"))] * 2)
    yield archive([("note.npy", _npy(_header("(200000,)"), content=b"[" * 200_000))])
    yield archive([("images.npy", b"x" * 100)], zipfile.ZIP_BZIP2)
    yield archive([("images.npy", b"x" * 100)], zipfile.ZIP_LZMA)
    good = bytearray(archive([("images.npy", _npy(_header("(100,)"), content=bytes(100)))]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says "encrypted"
        good[good.index(signature) + offset] |= 1
    yield bytes(good)
    for size in (0xFFFFFFFF, 1 << 31, 0):  # sizes that lie
        lying = bytearray(archive([("images.npy", _npy(_header("(100,)"), content=bytes(100)))]))
        at = lying.index(b"PK\x01\x02")
        lying[at + 20 : at + 28] = struct.pack("<2I", size, size)
        yield bytes(lying)


def _json_bombs():
    yield from (b"", b"null", b"[]", b"[" * 100_000, b'{"a":' * 50_000, b"1e999", b"NaN", b"9" * 100_000)
    yield from (b'"' + b"a" * (1 << 20), b"\xff\xfe" * 50)
    yield b'{"format": "scratchvae-run", "version": 2}'
    yield b'{"format": "scratchvae-run", "version": ' + b"9" * 4000 + b"}"
    yield json.dumps({"format": "scratchvae-run", "version": 2, **{str(i): i for i in range(50_000)}}).encode()


def _csv_bombs():
    yield from (b"a" * (1 << 20), b'"' * 100_000, b"1," * 300_000, b"1e999,2\n" * 9, b"\0" * 1000, b"9" * 10_000 + b",1\n2,3\n")


def _idx_bombs(zipped):
    pack = gzip.compress if zipped else bytes
    for shape in ((0xFFFFFFFF,) * 3, (1, 1 << 31, 1), (0, 0xFFFFFFFF, 0xFFFFFFFF), (0, 0, 0), (1 << 20, 28, 28)):
        yield pack(struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(100))
    yield pack(struct.pack(">4B3I", 0, 0, 8, 3, 1 << 16, 32, 32) + bytes(64 << 20)) if zipped else b"\0\0\x08\xff"


def _picture_bombs():
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    def png(width, height, name, content):
        ahead = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + ahead + chunk(name, content) + chunk(b"IEND", b"")

    for width, height in ((1 << 31, 1), (60_000, 60_000), (0, 0), (1, (1 << 31) - 1), (30_000, 5)):
        yield png(width, height, b"IDAT", zlib.compress(bytes(1 << 20)))
    for name in (b"zTXt", b"iCCP"):
        yield png(5, 6, name, b"a\0\0" + zlib.compress(bytes(64 << 20)))


def fresh(folder):
    """`folder`, emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    return Path(folder)
