"""Claims about the Stacked Hourglass. Its losses are written anew here, for an independent automatic differentiation (`autograd`)."""

import json
import os

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad

from scratchvae.cli import main
from scratchvae.data import Dataset, Split, save_npz
from scratchvae.data.stick_figures import figures, torso
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.evaluate import judge, pck, peaks
from scratchvae.models import VAE, Hourglass
from scratchvae.training import fit

SEEDS = range(3 if os.environ.get("CI") else 1)  # of what is learned; in CI all of them

TINY = {"image_shape": (8, 8), "joints": 2, "features": 4, "levels": 2, "stages": 2}  # maps of 4 × 4, halved to 2 × 2 and 1 × 1


def batch(rows=3, shape=(8, 8), joints=2, seed=0):
    random = np.random.default_rng(seed)
    x, points = random.uniform(size=(rows, int(np.prod(shape)))), random.uniform(0, 7, size=(rows, joints, 2))
    return x, points, random.uniform(size=(rows, joints)) < 0.8


def gradients(model, inputs, derrors):
    """{name: gradient} of Σ_stages Σ_rows derror · error, as backward writes it."""
    model.forward(*inputs)
    model.backward(*derrors)
    return {name: p.grad.copy() for name, p in model.parameters()}


def by_complex_step(model, inputs, derrors):
    """The same, measured on forward alone."""
    twin = model.replica(np.complex128)
    values, found = twin.buffer.values, np.empty(model.buffer.values.size)
    inputs = inputs[0].astype(complex), *inputs[1:]
    for i in range(len(found)):
        values[i] += 1e-30j
        found[i] = sum(np.imag(d @ e) for d, e in zip(derrors, twin.forward(*inputs), strict=True)) / 1e-30
        values[i] = values[i].real
    return {name: model.buffer.view(name, found) for name in model.buffer.names}


def furthest(one, other):
    """The largest difference, in parts of the largest gradient of its tensor, or of 1e-3 of all."""
    least = 1e-3 * max(np.abs(g).max() for g in other.values())
    return max(np.abs(one[name] - g).max() / max(np.abs(g).max(), least) for name, g in other.items())


# An independent model: the same parameters, other formulas -------------------------------------------------------------


def conv(p, name, x, pad=0, stride=1):
    W, b = p[f"{name}.W"], p[f"{name}.b"]
    x = anp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), "constant")
    h, w = ((n - k) // stride + 1 for n, k in zip(x.shape[1:3], W.shape, strict=False))
    shifted = lambda i, j: x[:, i : i + stride * h : stride, j : j + stride * w : stride]
    return b + sum(anp.dot(shifted(i, j), W[i, j]) for i in range(W.shape[0]) for j in range(W.shape[1]))


def relu(x):
    return anp.where(x > 0, x, 0)


def norm(p, name, x):
    B, H, W, C = x.shape
    groups = anp.reshape(x, (B, H * W, C // 4 if C % 4 == 0 else 1, -1))
    mean = anp.mean(groups, axis=(1, 3), keepdims=True)
    variance = anp.mean((groups - mean) ** 2, axis=(1, 3), keepdims=True)
    return anp.reshape((groups - mean) / (variance + 1e-5) ** 0.5, x.shape) * p[f"{name}.scale"] + p[f"{name}.shift"]


def block(p, name, x):
    return x + conv(p, f"{name}.around.2", relu(norm(p, f"{name}.around.0", x)), pad=1)


def hourglass(p, name, x, levels):
    B, H, W, C = x.shape
    small = block(p, f"{name}.under.1", anp.max(anp.reshape(x, (B, H // 2, 2, W // 2, 2, C)), axis=(2, 4)))
    deeper = f"{name}.under.2"
    small = hourglass(p, deeper, small, levels - 1) if levels > 1 else block(p, deeper, small)
    small = block(p, f"{name}.under.3", small)
    return block(p, f"{name}.beside", x) + anp.repeat(anp.repeat(small, 2, axis=1), 2, axis=2)


def oracle(p, config, x, points, visible):
    """[squared error (B,)] of each stage"""
    shape, stride = config["image_shape"], config["stride"]
    x = conv(p, "stem.1", anp.reshape(x, (len(x), *shape, 1)[:4] if len(shape) == 2 else (len(x), *shape)), pad=2, stride=stride)
    x, errors = block(p, "stem.2", x), []
    across, down = (stride * np.arange(n // stride) + (stride - 1) / 2 for n in shape[1::-1])  # where the maps' pixels lie in the image
    far = (down[:, None, None] - points[:, None, None, :, 1]) ** 2 + (across[:, None] - points[:, None, None, :, 0]) ** 2
    target = visible[:, None, None] * np.exp(-far / (2 * (stride * config["sigma"]) ** 2))
    for k in range(config["stages"]):
        name = f"stages.{k}"
        h = block(p, f"{name}.body.1", hourglass(p, f"{name}.body.0", x, config["levels"]))
        h = relu(norm(p, f"{name}.body.3", conv(p, f"{name}.body.2", h)))
        y = conv(p, f"{name}.head", h)
        errors.append(anp.sum((y - target) ** 2, axis=(1, 2, 3)))
        if k < config["stages"] - 1:
            x = x + conv(p, f"{name}.again", h) + conv(p, f"{name}.back", y)
    return errors


@pytest.mark.parametrize(
    "options",
    [{}, {"image_shape": (8, 4, 3), "stride": 1, "features": 6, "stages": 3, "sigma": 0.7}, {"stride": 4, "levels": 1, "stages": 1}],
)
def test_loss_of_each_stage_and_every_gradient_agree_with_automatic_differentiation(options):
    model = Hourglass(**{**TINY, **options}, dtype=np.float64)
    inputs = batch(shape=model.config["image_shape"])
    derrors = np.random.default_rng(1).normal(size=(len(model.terms), 3))
    p = {name: parameter.value.copy() for name, parameter in model.parameters()}
    for mine, theirs in zip(model.forward(*inputs), oracle(p, model.config, *inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    loss = lambda p: sum(anp.sum(d * e) for d, e in zip(derrors, oracle(p, model.config, *inputs), strict=True))
    assert furthest(gradients(model, inputs, derrors), value_and_grad(loss)(p)[1]) < 1e-10


def test_every_gradient_is_the_complex_step_of_the_whole_model():
    model = Hourglass(**{**TINY, "levels": 1}, dtype=np.float64)
    inputs, derrors = batch(), np.random.default_rng(1).normal(size=(2, 3))
    assert furthest(gradients(model, inputs, derrors), by_complex_step(model, inputs, derrors)) < 1e-12


class IntoTheLastHead(Hourglass):
    """What is often written: one loss, of all stages together, sent back through the last maps."""

    def backward(self, *derrors):
        super().backward(*[0 * derror for derror in derrors[:-1]], sum(derrors))


class WithoutTheMaps(Hourglass):
    """The maps are put back into the features, and no gradient comes back through them."""

    def backward(self, *derrors):
        for stage in self.stages[:-1]:
            stage.back.backward = lambda dY, stage=stage: 0 * (type(stage.back).backward(stage.back, dY))
        super().backward(*derrors)


@pytest.mark.parametrize("wrong", [IntoTheLastHead, WithoutTheMaps])
def test_a_wrong_way_back_is_noticed(wrong):
    inputs, derrors = batch(), np.ones((2, 3))
    right, other = (gradients(kind(**TINY, dtype=np.float64), inputs, derrors) for kind in (Hourglass, wrong))
    assert furthest(other, right) > 0.01
    assert furthest(right, right) == 0


def test_a_stages_loss_reaches_the_stages_before_it_and_no_later_one():
    model = Hourglass(**{**TINY, "stages": 3}, dtype=np.float64)
    inputs, none, one = batch(), np.zeros(3), np.ones(3)
    for k in range(3):
        reached = {}
        for name, g in gradients(model, inputs, [one if i == k else none for i in range(3)]).items():
            part = ".".join(name.split(".")[:3]) if name.startswith("stages") else "stem"
            reached[part] = reached.get(part, False) or bool(g.any())
        own = {f"stages.{k}.body", f"stages.{k}.head"}
        before = {f"stages.{i}.{part}" for i in range(k) for part in ("body", "head", "again", "back")}
        assert {part for part, is_reached in reached.items() if is_reached} == {"stem", *before, *own}
        assert len(reached) == 1 + 2 * 4 + 2


# Its target and its use -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_target_is_highest_where_the_joint_is_and_zero_where_it_is_hidden(stride):
    model = Hourglass((16, 24), 3, 2, 1, 1, stride, dtype=np.float64)
    points = np.random.default_rng(0).uniform(2, 13, size=(40, 3, 2))
    visible = np.random.default_rng(1).uniform(size=(40, 3)) < 0.7
    maps = model.target(points, visible, 40, np.float64)
    found = (peaks(maps) + 0.5) * stride - 0.5
    assert np.abs(found - points)[visible].max() <= 0.5 * stride
    assert not np.moveaxis(maps, 3, 1)[~visible].any()


def test_points_are_the_peaks_of_its_maps_in_pixels_of_the_image_for_any_number_of_rows(monkeypatch):
    model = Hourglass(**TINY)
    x = batch(7)[0]
    maps, points = model.maps(x), model.points(x)
    assert maps.shape == (7, 2, 4, 4, 2)
    for k in range(2):
        np.testing.assert_array_equal(points[:, k], (peaks(maps[:, k]) + 0.5) * 2 - 0.5)
    monkeypatch.setattr(Hourglass, "chunk", 3)
    np.testing.assert_allclose(model.maps(x), maps, rtol=1e-5, atol=1e-6)  # products of other heights round otherwise
    assert model.maps(x[0]).shape == (1, 2, 4, 4, 2)


def test_a_model_can_be_made_again_from_its_config():
    model = Hourglass(**{**TINY, "stages": 3}, sigma=1.5, stride=1)
    again = Hourglass(**model.config)
    assert again.config == model.config
    assert again.terms == ("stage 1", "stage 2", "stage 3")
    np.testing.assert_array_equal(again.buffer.values, model.buffer.values)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_shape": (28, 20)}, "multiples of 8; the nearest are 24 or 32 × 16 or 24"),
        ({"image_shape": (3, 16)}, "the nearest are 8 × 16"),
        ({"image_shape": (8,)}, "image_shape is"),
        ({"stages": 0}, "stages must be a whole number of at least 1"),
        ({"levels": 1.5}, "levels must be a whole number"),
        ({"sigma": 0}, "sigma"),
        ({"joints": 0}, "joints"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_its_cure(options, said):
    with pytest.raises(ConfigError, match=said):
        Hourglass(**{**TINY, **options})


def test_points_of_another_number_of_joints_are_refused_and_so_are_data_without_any():
    x, points, visible = batch()
    with pytest.raises(ShapeError, match=r"points must be \(3, 2, 2\) and visible \(3, 2\), not \(3, 1, 2\)"):
        Hourglass(**TINY, dtype=np.float64).forward(x, points[:, :1], visible)
    model = Hourglass(**TINY, dtype=np.float64)
    terms = model.forward(x, points, visible)
    with pytest.raises(ShapeError, match="Hourglass takes derror as an array"):
        model.backward(*(1.0 for _ in terms))
    bare = Split((255 * x).astype(np.uint8), None)
    with pytest.raises(ConfigError, match=r"needs the fields points \(N, joints, 2\).*bare has images \(3, 64\)"):
        Hourglass.of_data(Dataset("bare", (8, 8), bare, bare, "made here"))
    with pytest.raises(DataError, match="Hourglass reads points"):
        fit(Hourglass(**TINY), Dataset("bare", (8, 8), bare, bare, "made here"), epochs=1, progress=False)


# Training ---------------------------------------------------------------------------------------------------------------


def bars(rows=400, seed=0):
    """16 × 16 noise with a bar that lies and one that stands, whose middles are the joints, and now and then none."""
    random = np.random.default_rng(seed)
    points = random.uniform(2, 13, size=(rows, 2, 2)).astype(np.float32)
    visible = random.uniform(size=(rows, 2)) < 0.9
    y, x = np.mgrid[:16, :16][..., None]
    long, short = np.array([8, 1]), np.array([1, 8])
    far = (x - points[:, None, None, :, 0]) ** 2 / long + (y - points[:, None, None, :, 1]) ** 2 / short
    images = 200 * (np.exp(-far) * visible[:, None, None]).sum(axis=3) + random.uniform(0, 30, size=(rows, 16, 16))
    images = np.clip(images, 0, 255).astype(np.uint8).reshape(rows, -1)
    part = lambda rows: Split(images[rows], points=points[rows], visible=visible[rows])
    return Dataset("bars", (16, 16), part(slice(0, -100)), part(slice(-100, None)), "made here")


@pytest.mark.parametrize("seed", SEEDS)
def test_it_learns_to_find_joints_that_the_mean_pose_does_not(seed):
    data = bars()
    model = Hourglass.of_data(data, levels=1, seed=seed)
    assert model.config["joints"] == 2
    fit(model, data, epochs=6, batch_size=16, lr=5e-3, seed=seed, progress=False)
    test, size = data.test.fields, np.full(100, 8.0)
    share = lambda found: pck(found, test["points"], size, 0.2, test["visible"]).mean()
    found = model.points(test["images"] / 255)
    mean = np.broadcast_to(data.train.fields["points"].mean(axis=0), (100, 2, 2))
    assert share(mean) < 0.15
    assert share(found[:, -1]) > 0.8


# What is told of it -----------------------------------------------------------------------------------------------------


def test_judge_gives_pck_of_each_joint_and_stage_and_says_what_it_is_measured_by():
    data = bars(124)
    model = Hourglass.of_data(data, features=4, levels=1)
    one, two = judge(model, data)
    assert (one.quantity, two.quantity) == ("PCK@0.1", "PCK@0.2")
    assert two.rows == ("joint 1", "joint 2", "mean")
    assert two.columns == ("stage 1", "stage 2")
    assert "found within 0.2 of the longer side of the box around all joints" in str(two)
    test = data.test.fields
    found = model.points(test["images"] / 255)
    size = np.maximum(np.abs(test["points"][:, 0] - test["points"][:, 1]).max(axis=1), 1)
    for k in range(2):
        by_hand = pck(found[:, k], test["points"], size, 0.2, test["visible"])
        np.testing.assert_array_equal(two.values[:, k], [*by_hand, by_hand.mean()])
    assert two.to_dict()["values"]["joint 2"]["stage 1"] == two.values[1, 0]
    assert judge(VAE(256, (4,), 2), data) == []


def test_joints_of_the_stick_figures_have_names_and_are_measured_by_the_torso():
    data = Dataset("figures", (48, 48), figures(4, 0, 0), figures(9, 0, 1), "made here", location="figures")
    model = Hourglass.of_data(data, features=2, levels=1, stages=1)
    score = judge(model, data)[0]
    assert score.rows[3] == "near elbow"
    assert "found within 0.1 of the torso, neck to pelvis" in score.said
    test = data.test.fields
    by_hand = pck(model.points(test["images"] / 255)[:, 0], test["points"], torso(test["points"]), 0.1, test["visible"])
    np.testing.assert_array_equal(score.values[:-1, 0], by_hand)


def test_a_run_is_trained_measured_drawn_told_and_gone_on_with_at_the_command_line(tmp_path, capsys):
    save_npz(bars(130), tmp_path / "bars.npz")
    small = ["--features", 4, "--levels", 1, "--stages", 4, "--batch-size", 30, "--threads", 1, "--sigma", 0.8]

    def said(*arguments, status=0):
        assert main([str(a) for a in arguments]) == status
        return capsys.readouterr()

    run = tmp_path / "run"
    told = said("train", "--model", "hourglass", "--data", tmp_path / "bars.npz", *small, "--epochs", 1, "--out", run).out
    assert "Stacked Hourglass 16×16, 4 stages of 1 level, 4 features" in told
    assert "squared error per image, summed over pixels and joints" in told
    assert "nats" not in told
    assert "PCK@0.1" in told
    for name in ("loss.png", "joints.png", "stages.png", "stages.gif"):
        assert (run / name).exists()
        assert str(run / name) in told
    found = json.loads(said("evaluate", run, "--json").out)
    assert list(found) == ["stage 1", "stage 2", "stage 3", "stage 4", "scores"]
    assert found["scores"][1]["quantity"] == "PCK@0.2"
    assert "joints.png" in said("plot", run).out
    assert "4 stages" in said("info", run).out
    said("resume", run, "--epochs", 2, "--threads", 1)
    assert "a Stacked Hourglass 16×16, 4 stages of 1 level, 4 features: sample takes" in said("sample", run, status=1).err
    refused = said("train", "--model", "vae", "--data", tmp_path / "bars.npz", "--stages", 2, status=1).err
    assert "--stages belongs to --model hourglass" in refused
    refused = said("train", "--model", "hourglass", status=1).err
    assert "an hourglass needs the fields points (N, joints, 2)" in refused
