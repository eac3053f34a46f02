"""The launches that end a step, and the one that the probe makes: against NumPy, in any order of threads."""

import numpy as np
import pytest
from cuda_backend_on_cpu import cupy_on_cpu
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchvae.cuda_on_cpu import SCHEDULES, CpuModule
from scratchvae.ops import cuda
from scratchvae.ops.cuda import device, launch


@settings(max_examples=12)
@given(st.integers(1, 3), st.integers(1, 600), st.sampled_from([np.float32, np.float64]), st.sampled_from(["forward", "reverse", "random"]))
def test_end_of_step_adds_counts_and_moves_on(K, n, dtype, schedule):
    terms = np.random.default_rng(n).normal(100, 30, (2, K, n)).astype(dtype)
    rates = np.array([0.5, 0.25, 0.125], dtype)
    with cupy_on_cpu(schedule) as (place, _):
        put, get = place.put, place.get
        window, counters, rate = put(np.zeros(K + 1)), put(np.array([7, 8, 0], np.uint32)), put(rates[:1])
        for now in terms:
            cuda.end_of_step(put(now), window, counters, put(rates), rate)
        bad = terms[0].copy()
        bad[-1, -1] = np.inf
        np.testing.assert_allclose(get(window), [*terms.astype(np.float64).sum(axis=(0, 2)), 2], rtol=1e-12)
        assert get(counters).tolist() == [9, 10, 2]
        assert get(rate)[0] == rates[2]
        for now in (bad, terms[1]):
            cuda.end_of_step(put(now), window, put(np.zeros(3, np.uint32)), put(rates), rate)
        assert get(window)[-1] == 2  # an infinity stays: nothing counts after it
        out = put(np.zeros(1, dtype))
        np.testing.assert_allclose(get(cuda.sum_all(put(terms), out)), terms.sum(), rtol=20 * np.finfo(dtype).eps)


def test_the_probes_known_answer_is_philoxs():
    with cupy_on_cpu() as (place, _):
        found = place.get(cuda.words(place.empty((1, 4), np.uint32), 0, 0, 0))[0]
    assert tuple(found) == device._KNOWN_ANSWER


BARRIERS = {
    "none": "",
    "before the sum of another term": "  __syncthreads(); // a sum before this one may still be read\n",
    "before the warps' sums are added": "  __syncthreads();\n  if (threadIdx.x == 0)\n",
}


@pytest.mark.parametrize("missing", BARRIERS)
def test_a_missing_barrier_of_end_of_step_is_seen_in_some_order_of_threads(missing):
    """Two terms of 700 numbers: more than the block has threads, and the second sum reuses the memory of the first."""
    source, line = launch.source("step.cu"), BARRIERS[missing]
    assert source.count(line) == 1 or not line
    module = CpuModule(source.replace(line, line.replace("  __syncthreads();", "")), name_expressions=["end_of_step<float>"])
    terms, rates = np.random.default_rng(0).normal(100, 30, (2, 700)).astype(np.float32), np.ones(2, np.float32)
    right = []
    for schedule in SCHEDULES:
        module.set_schedule(schedule, seed=1)
        window, counters, rate = np.zeros(3), np.zeros(3, np.uint32), np.zeros(1, np.float32)
        arguments = *terms, *[None] * 6, np.int32(2), np.int64(700), window, counters, rates, rate
        module.get_function("end_of_step<float>")((1,), (launch.THREADS,), arguments)
        right.append(np.allclose(window, [*terms.astype(np.float64).sum(axis=1), 1], rtol=1e-12))
    assert all(right) == (missing == "none")
