"""Where the arrays of a step come from: planned once and given out again, kept by name, or new each time."""

import numpy as np
import pytest

from scratchvae import VAE, nn
from scratchvae.backend import aligned_empty
from scratchvae.errors import ShapeError
from scratchvae.nn.arena import Kept, Plan, planned

SIZES = [(8, 5), (3, 5)]


def network():
    return nn.Sequential(nn.Dense(5, 5), nn.Tanh(), nn.Dense(5, 5), nn.Tanh()).initialise(0, np.float64)


def step(net, rows):
    """One forward and backward → [every array that came out], copies"""
    y = net.forward(np.random.default_rng(rows).normal(size=(rows, 5)))
    return [y.copy(), net.backward(np.cos(y)).copy(), net.buffer.grads.copy()]


@pytest.mark.parametrize("share", [True, False])
def test_a_plan_computes_what_new_arrays_would_for_batches_of_every_size_in_any_order(share):
    net, plain = network(), network()
    plan = Plan(aligned_empty, share)
    net.use(plan)
    for rows in (8, 3, 8, 1, 3, 8, 1):
        with plan.step(rows):
            got = step(net, rows)
        for a, b in zip(got, step(plain, rows), strict=True):
            assert np.array_equal(a, b)


def test_later_steps_of_a_kind_take_no_memory_and_get_the_same_addresses():
    taken = []
    plan = Plan(lambda shape, dtype: taken.append(shape) or aligned_empty(shape, dtype))
    net = network().use(plan)
    addresses = []
    for _ in range(3):
        with plan.step(8):
            y = net.forward(np.ones((8, 5)))
            addresses.append((y.ctypes.data, net.backward(y).ctypes.data))
        if not addresses[1:]:
            first = len(taken)
    assert len(set(addresses)) == 1
    assert len(taken) == first


def test_memory_is_shared_where_lifetimes_allow_and_nowhere_else():
    """The chain keeps what backward needs; what only passes through is given out again."""
    net, alone = network(), network()
    plan, apart = Plan(aligned_empty), Plan(aligned_empty, share=False)
    for module, arena in ((net, plan), (alone, apart)):
        module.use(arena)
        with arena.step(8):
            step(module, 8)
    used = sum(len(block) for block in plan.blocks)
    asked = sum(array.nbytes for array in apart.plans[8])
    assert used < asked
    held = [layer.x for layer in net.layers] + [layer.y for layer in net.layers if hasattr(layer, "y")]
    assert all(not np.shares_memory(a, b) or np.array_equal(a, b) for i, a in enumerate(held) for b in held[:i])


def test_a_view_keeps_the_memory_it_looks_at():
    plan = Plan(aligned_empty)
    module = nn.Tanh().use(plan)
    with plan.step("only"):
        view = module.new("a", (4, 6), np.float64)[1:, ::2].reshape(-1)
        view[...] = 7
        for _ in range(5):
            module.new("b", (4, 6), np.float64)[...] = 0
        assert np.all(view == 7)
    assert len(plan.blocks) == 2


class Fickle(nn.Module):
    """Asks for as much as the data say."""

    def forward(self, x):
        y = self.new("chosen", (int(x.sum()), 2), x.dtype)
        y[...] = 0
        return y


def test_requests_that_depend_on_the_data_are_refused_by_module_and_request():
    plan = Plan(aligned_empty)
    module = Fickle().use(plan)
    with plan.step(1):
        module.forward(np.ones((1, 3)))
    told = r"Fickle asks for chosen \(4, 2\) float64, where the first step of its kind asked for \(3, 2\)"
    with pytest.raises(ShapeError, match=told), plan.step(1):
        module.forward(np.full((1, 2), 2.0))
    with pytest.raises(ShapeError, match="asked for 0 arrays where the first of its kind asked for 1"), plan.step(1):
        pass
    with plan.step(1):
        module.forward(np.ones((1, 3)))
        with pytest.raises(ShapeError, match="asks for work.*asked for nothing more"):
            module.work((2,), np.float64)


def test_a_first_step_that_failed_leaves_no_plan():
    plan = Plan(aligned_empty)
    net = network().use(plan)
    with pytest.raises(ShapeError), plan.step(8):
        net.forward(np.ones((8, 6)))
    with plan.step(8):
        step(net, 8)


def test_what_a_step_asked_for_is_kept_by_name_and_scratch_is_not():
    kept = Kept(aligned_empty)
    net = nn.Sequential(nn.Dense(5, 4), nn.LeakyReLU(), nn.Dense(4, 3)).initialise(0, np.float64).use(kept)
    step(net, 2)
    paths = {id(module): path for path, module in net.modules()}
    names = [(name, paths[id(module)]) for module, name, _ in kept.arrays]
    assert names == [("y", "0"), ("y", "1"), ("y", "2"), ("dX", "2"), ("dX", "1"), ("dX", "0")]


def test_models_are_planned_while_they_are_evaluated_and_left_as_they_were():
    model = VAE(6, (5,), 2)
    with planned([model]):
        assert isinstance(model.decoder.arena, Plan)
        model.forward(np.zeros((1, 6), np.float32))  # between two steps: new arrays
    assert all(module.arena is None for _, module in model.modules())


def test_a_replica_has_no_memory_of_its_original():
    model = VAE(6, (5,), 2)
    with planned([model]):
        assert all(module.arena is None for _, module in model.replica().modules())


def test_a_model_in_training_may_be_used_meanwhile_by_any_of_its_methods():
    model = VAE(6, (5,), 2)
    x = np.full((4, 6), 0.5)
    expected = model.encode(x), model.sample(4), model.reconstruct(x)
    with planned([model]):
        with model.arena.step(4):
            model.forward(x.astype(np.float32), np.zeros((4, 2), np.float32))
        for _ in range(2):
            got = model.encode(x), model.sample(4), model.reconstruct(x)
    assert all(np.array_equal(a, b) for a, b in zip(expected, got, strict=True))
