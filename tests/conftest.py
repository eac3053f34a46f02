"""What several tests share: small data sets and models that train in milliseconds."""

import os

import numpy as np
import pytest
from hypothesis import settings

from scratchvae.cuda_on_cpu.build import NEEDS
from scratchvae.data import Dataset, Split
from scratchvae.errors import BackendError
from scratchvae.models import VAE

# Examples are the same in every run, so that a failure can be repeated and a pass means the same everywhere.
settings.register_profile("scratchvae", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("scratchvae")
os.environ["SCRATCHVAE_TRACEBACK"] = "1"  # a fault of our own fails a test where it stands


@pytest.fixture
def tiny_data():
    """60 training and 20 test images of 4 x 3 pixels in two kinds: bright on the left, bright on the right."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 80).astype(np.uint8)
    bright = np.where(labels[:, None, None] == 0, [255, 40, 0], [0, 40, 255]) * generator.uniform(0.6, 1, (80, 4, 3))
    images = bright.astype(np.uint8).reshape(80, 12)
    return Dataset("tiny", (4, 3), Split(images[:60], labels[:60]), Split(images[60:], labels[60:]), "made by a test")


@pytest.fixture
def tiny_vae():
    """A function that makes a VAE for `tiny_data`, the same each time."""
    return lambda **options: VAE(**{"data_size": 12, "hidden": (8,), "latent": 2, "seed": 3, **options})


@pytest.hookimpl(wrapper=True)
def skip_elsewhere(item):
    """On other systems what runs CUDA kernels on the CPU is skipped."""
    try:
        return (yield)
    except BackendError as error:
        if NEEDS not in str(error):
            raise
        return pytest.skip(str(error))


pytest_runtest_setup = pytest_runtest_call = skip_elsewhere


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: a whole file to one process, which makes what its tests share once; in the order of their names, since the
    files with the fewest tests, which xdist would leave to the end, are not those that take least."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """In CI a skipped test is a failure, unless it needs a GPU."""
    if os.environ.get("CI") != "true":
        return
    reasons = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", [])]
    wrong = [reason for reason in reasons if "needs a GPU" not in reason]
    for reason in wrong:
        terminalreporter.write_line(f"skipped in CI: {reason}", red=True)
    if wrong:
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED
