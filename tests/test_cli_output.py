"""Whatever standard output is, a command does its work, prints what can be read, and ends with the documented status."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scratchvae
from scratchvae.cli import main
from scratchvae.cli.output import LIMIT, Output, one_line, transliterate

COMMAND = [sys.executable, "-m", "scratchvae"]


def written(text, encoding):
    """The bytes that an Output leaves in a file of that encoding."""
    file = io.BytesIO()
    output = Output(io.TextIOWrapper(file, encoding, newline=""))
    output.write(text)
    output.flush()
    return file.getvalue()


def run(*arguments, shell="", **environment):
    """A command in a process of its own, with what a shell would add to its line; the whole environment but PYTHON* and LC_*."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LC_", "LANG", "SCRATCHVAE"))}
    line = ["sh", "-c", f'"$@" {shell}', "sh", *COMMAND, *arguments]
    return subprocess.run(line, capture_output=True, env={**kept, **environment}, timeout=300)


@pytest.mark.parametrize(
    ("text", "ascii"),
    [
        ("−ELBO 1 ± 2", "-ELBO 1 +- 2"),
        ("σ² = exp(½ log σ²) → β · Λ", "sigma^2 = exp(1/2 log sigma^2) -> beta . Lambda"),
        ("x⁻¹², zₖ, Wᵀ, µ, ℒ, …", "x^-12, z_k, W^T, mu, L, ..."),
        ("┌─┐", "+-+"),
        ("é日", "\\xe9\\u65e5"),
        ("bad\udcff", "bad\\udcff"),
    ],
)
def test_symbols_stay_readable_in_ascii(text, ascii):
    assert transliterate(text) == ascii
    assert written(text, "ascii") == ascii.encode()


def test_only_what_an_encoding_lacks_is_replaced():
    assert written("−ELBO ± σ²", "cp1252") == "-ELBO ± sigma²".encode("cp1252")
    assert written("−ELBO ± σ²", "utf-8") == "−ELBO ± σ²".encode()
    assert written("file\udce9.npz", "utf-8") == b"file\\udce9.npz"  # a name that is no UTF-8


def test_every_symbol_of_the_package_has_a_word_in_ascii():
    package = Path(scratchvae.__file__).parent
    for path in set(package.rglob("*.py")) - set((package / "plots").iterdir()):  # whose marks go into pictures
        text = "".join(c for c in path.read_text(encoding="utf-8") if not c.isascii())
        assert "\\" not in transliterate(text), f"{path} has a symbol that cli/output.py cannot write in ASCII"


def test_controls_are_shown_and_not_obeyed():
    assert written("\x1b[31mred\x07\x9b\u202e \ttab\n", "utf-8") == b"\\x1b[31mred\\x07\\x9b\\u202e \ttab\n"


def test_an_error_is_one_line_however_long_the_names_in_it():
    assert one_line("a\nb\r\n") == "a\\nb"
    assert len(one_line("x" * 10_000)) <= LIMIT
    assert one_line("x" * LIMIT) == "x" * LIMIT


def test_a_full_disk_is_reported_and_a_reader_who_left_is_not():
    for open_stream, said in ((full_disk, "No space left on device"), (nobody_reads, None)):
        with open_stream() as stream:
            output = Output(stream)
            output.write("text")
            output.flush()
            output.write("more")
            assert getattr(output.error, "strerror", None) == said


def nobody_reads():
    """A pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    return open(write, "w", encoding="ascii")


def full_disk():
    return open("/dev/full", "w", encoding="ascii")


@pytest.fixture
def images(tmp_path):
    """A file of 40 images of 4 x 3 pixels."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 255, (40, 4, 3), np.uint8))
    return str(tmp_path / "x.npy")


TRAIN = ["train", "--hidden", "4", "--latent", "2", "--epochs", "2", "--threads", "1", "--data"]


@pytest.mark.parametrize(
    ("output", "error", "status"),
    [
        (lambda: None, lambda: None, 0),
        (nobody_reads, nobody_reads, 0),
        (io.StringIO, full_disk, 0),
        (full_disk, io.StringIO, 1),
    ],
)
def test_streams_that_take_nothing_do_not_change_what_is_done(output, error, status, images, tmp_path, monkeypatch):
    output, error = output(), error()
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(sys, "stderr", error)
    assert main([*TRAIN, images, "--out", str(tmp_path / "run")]) == status
    assert (tmp_path / "run" / "loss.png").exists()
    assert '"epoch": 2.0' in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    if status:
        assert error.getvalue() == "scratchvae: error: standard output could not be written: No space left on device\n"
    for stream in filter(None, (output, error)):
        stream.close()


def test_a_failed_check_is_status_1_even_where_nobody_reads_what_is_wrong(tmp_path, monkeypatch):
    layer = "class Wrong:\n    def forward(self, x):\n        return 2 * x\n    def backward(self, dY):\n        return dY\n"
    (tmp_path / "layer.py").write_text(layer)
    with nobody_reads() as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["gradcheck", f"{tmp_path}/layer.py:Wrong"]) == 1


def test_a_process_with_closed_streams_trains(images, tmp_path):
    done = run(*TRAIN, images, "--out", str(tmp_path / "run"), shell="<&- >&- 2>&-")
    assert done.returncode == 0
    assert (tmp_path / "run" / "loss.png").exists()


def test_a_process_whose_help_meets_a_full_disk_says_so():
    done = run("--help", shell=">/dev/full")
    assert (done.returncode, done.stderr) == (1, b"scratchvae: error: standard output could not be written: No space left on device\n")


def test_in_a_posix_locale_everything_is_printed(images, tmp_path):
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40"}
    done = run(*TRAIN, images, "--epochs", "1", "--beta", "2", "--out", str(tmp_path / "run"), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "VAE 12-4-2, beta = 2 on x.npy: 36 images, 1 epoch ->" in done.stdout.decode("ascii")
    assert "-ELBO  " in done.stdout.decode("ascii")


def test_ctrl_c_while_a_command_works_is_one_line_and_130(monkeypatch, capsys):
    from scratchvae import timing

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(timing, "machine", interrupted)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "scratchvae: stopped\n"


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_while_numpy_is_loaded_is_one_line_and_130(tmp_path):
    (tmp_path / "numpy.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": str(tmp_path)}}
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run where a shell has put Ctrl-C aside
    with subprocess.Popen([*COMMAND, "info"], **pipes, preexec_fn=heard) as process:
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=300)[1] == b"scratchvae: stopped\n"
    assert process.returncode == 130
