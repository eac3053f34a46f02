"""What must be shown on the full MNIST. These tests find it through SCRATCHVAE_DATA."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = Path(os.environ.get("SCRATCHVAE_DATA") or "nowhere")
pytestmark = [
    pytest.mark.full_data,
    pytest.mark.skipif(
        not any((FILES / place / "train-images-idx3-ubyte.gz").exists() for place in (".", "mnist")),
        reason="needs the full MNIST in SCRATCHVAE_DATA",
    ),
]


def run(code, cwd):
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=cwd).stdout)


def test_the_tutorial_configuration_reaches_the_published_elbo_and_stays_small(tmp_path):
    """10 epochs, 784-400-20-400-784: others report a test −ELBO of 105.6 nats with z sampled. In one process, to see its memory."""
    code = (
        "import json, re, scratchvae as s\n"
        "data, vae = s.load_data('mnist'), s.VAE()\n"
        "records = s.fit(vae, data, out='run')\n"
        "peak = int(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]) / 1024\n"
        "print(json.dumps([s.measure(vae, data)['-ELBO'].value, records[-1]['epoch'], peak]))"
    )
    elbo, epochs, mebibytes = run(code, tmp_path)
    assert epochs == 10
    assert 104.5 < elbo < 106.5
    assert mebibytes < 400
