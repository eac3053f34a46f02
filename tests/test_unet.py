"""Claims about the U-Net. Its loss is written anew here, for an independent automatic differentiation (`autograd`)."""

import json
import os

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import value_and_grad

from scratchvae.cli import main
from scratchvae.data import Dataset, Split, save_npz
from scratchvae.data.generated import segment_names
from scratchvae.errors import ConfigError, DataError, ShapeError
from scratchvae.evaluate import confusion, dice, iou, judge, psnr
from scratchvae.models import MODELS, UNet
from scratchvae.nn import MaxPool, Skip
from scratchvae.training import fit

SEEDS = range(3 if os.environ.get("CI") else 1)  # of what is learned; in CI all of them

TINY = {"image_shape": (8, 4), "base": 2, "levels": 2, "classes": 3}


def batch(model, rows=3, seed=0):
    random, shape = np.random.default_rng(seed), model.config["image_shape"]
    x = random.uniform(size=(rows, model.data_size))
    if model.task == "segment":
        return x, random.integers(0, model.config["classes"], (rows, *shape[:2]))
    return x, random.uniform(size=(rows, *shape))


def gradients(model, inputs, dterm):
    """{name: gradient} of Σ_rows dterm · term, as backward writes it."""
    model.forward(*inputs)
    model.backward(dterm)
    return {name: p.grad.copy() for name, p in model.parameters() if p.trained}


def by_complex_step(model, inputs, dterm):
    """The same, measured on forward alone."""
    twin = model.replica(np.complex128).train(model.training)
    values, found = twin.buffer.values, np.empty(model.buffer.values.size)
    for i in range(len(found)):
        values[i] += 1e-30j
        found[i] = np.imag(dterm @ twin.forward(inputs[0].astype(complex), inputs[1])[0]) / 1e-30
        values[i] = values[i].real
    return {name: model.buffer.view(name, found) for name, p in model.parameters() if p.trained}


def furthest(one, other):
    """The largest difference, in parts of the largest gradient of its tensor, or of 1e-2 of all: a bias before a norm has none."""
    least = 1e-2 * max(np.abs(g).max() for g in other.values())
    return max(np.abs(one[name] - g).max() / max(np.abs(g).max(), least) for name, g in other.items())


# An independent model: the same parameters, other formulas -------------------------------------------------------------


def conv(p, name, x, pad=0):
    W, b = p[f"{name}.W"], p[f"{name}.b"]
    x = anp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), "constant")
    h, w = (n - k + 1 for n, k in zip(x.shape[1:3], W.shape, strict=False))
    return b + sum(anp.dot(x[:, i : i + h, j : j + w], W[i, j]) for i in range(W.shape[0]) for j in range(W.shape[1]))


def norm(p, name, x, kind):
    """Over the pixels of an image and the channels of a group, or the images and pixels of a channel."""
    B, H, W, C = x.shape
    groups, axes = (C // 4 if C % 4 == 0 else 1, (1, 3)) if kind == "group" else (C, (0, 1, 3))
    x = anp.reshape(x, (B, H * W, groups, -1))
    mean = anp.mean(x, axis=axes, keepdims=True)
    x = (x - mean) / (anp.mean((x - mean) ** 2, axis=axes, keepdims=True) + 1e-5) ** 0.5
    return anp.reshape(x, (B, H, W, C)) * p[f"{name}.scale"] + p[f"{name}.shift"]


def level(p, path, at, x, levels, config):
    """Layers `at` and after of the list at `path`: their names count every layer."""

    def block(x, at):
        for _ in range(2):
            x = conv(p, f"{path}.{at}", x, pad=1)
            if config["norm"] != "none":
                x, at = norm(p, f"{path}.{at + 1}", x, config["norm"]), at + 1
            x, at = anp.where(x > 0, x, 0), at + 2
        return x, at

    x, at = block(x, at)
    if levels == 0:
        return x
    B, H, W, C = x.shape
    small = anp.max(anp.reshape(x, (B, H // 2, 2, W // 2, 2, C)), axis=(2, 4))
    below = f"{path}.{at}.around" if config["skips"] else f"{path}.{at}"
    small = level(p, f"{below}.1", 0, small, levels - 1, config)
    up = anp.einsum("bhwi,klci->bhkwlc", small, p[f"{below}.2.W"])  # each pixel becomes 2 × 2
    up = anp.reshape(up, (B, H, W, C)) + p[f"{below}.2.b"]
    return block(anp.concatenate([x, up], axis=3) if config["skips"] else up, at + 1)[0]


def oracle(p, config, x, targets):
    """The term (B,)"""
    shape = (*config["image_shape"], 1)[:3]
    y = conv(p, "net.2", level(p, "net.1", 0, anp.reshape(x, (len(x), *shape)), config["levels"], config))
    if config["task"] == "denoise":
        return anp.sum((y - anp.reshape(targets, y.shape)) ** 2, axis=(1, 2, 3))
    largest = anp.max(y, axis=3, keepdims=True)
    log_p = y - largest - anp.log(anp.sum(anp.exp(y - largest), axis=3, keepdims=True))
    return -anp.sum(log_p * (np.arange(config["classes"]) == targets[..., None]), axis=(1, 2, 3))


KINDS = [
    {"norm": "none"}, {"norm": "group"}, {"norm": "batch"}, {"norm": "none", "skips": False}, {"norm": "group", "base": 4, "levels": 1},
    {"task": "denoise", "classes": None}, {"task": "denoise", "classes": None, "image_shape": (4, 8, 3), "norm": "batch", "skips": False},
]  # fmt: skip


@pytest.mark.parametrize("options", KINDS)
def test_loss_and_every_gradient_agree_with_automatic_differentiation(options):
    model = UNet(**{**TINY, **options}, dtype=np.float64).train()
    inputs, dterm = batch(model), np.random.default_rng(1).normal(size=3)
    p = {name: parameter.value.copy() for name, parameter in model.parameters()}
    np.testing.assert_allclose(model.forward(*inputs)[0], oracle(p, model.config, *inputs), rtol=1e-12)
    loss = lambda p: anp.sum(dterm * oracle(p, model.config, *inputs))
    mine, theirs = gradients(model, inputs, dterm), value_and_grad(loss)(p)[1]
    assert furthest(mine, {name: theirs[name] for name in mine}) < 1e-10


@pytest.mark.parametrize("options", KINDS)
def test_every_gradient_is_the_complex_step_of_the_whole_model(options):
    model = UNet(**{**TINY, **options, "levels": 1}, dtype=np.float64).train()
    inputs, dterm = batch(model), np.random.default_rng(1).normal(size=3)
    assert furthest(gradients(model, inputs, dterm), by_complex_step(model, inputs, dterm)) < 1e-12


# Where two gradients meet ----------------------------------------------------------------------------------------------


def cut(model, branch):
    """Let one of the two gradients that meet at the outer skip be 0."""
    skip = next(module for _, module in model.modules() if isinstance(module, Skip))
    if branch == "beside":
        apart = skip.join.backward
        skip.join.backward = lambda dY: (0 * apart(dY)[0], apart(dY)[1])
    else:
        through = skip.around.backward
        skip.around.backward = lambda dY: 0 * through(dY)
    return model


def test_at_a_skip_two_gradients_meet_and_their_sum_is_the_gradient():
    make = lambda: UNet(**TINY, dtype=np.float64)
    inputs, dterm = batch(make()), np.ones(3)
    both, below, beside = (gradients(m, inputs, dterm) for m in (make(), cut(make(), "beside"), cut(make(), "below")))
    before = [f"net.1.{at}.{name}" for at in (0, 2) for name in "Wb"]  # of the convolutions before the outer skip
    for name in before:
        np.testing.assert_allclose(below[name] + beside[name], both[name], rtol=1e-9, atol=1e-12)
        assert np.abs(below[name]).max() > 1e-6
        assert np.abs(beside[name]).max() > 1e-6
    for wrong in (below, beside):
        assert furthest(wrong, both) > 0.01


def test_with_skips_a_pixel_depends_on_its_neighbours_as_they_are_without_them_only_on_what_the_code_kept():
    """With the way from below silenced, a U-Net still draws an image of its input; the same network without skips draws a constant."""
    x = np.random.default_rng(0).uniform(size=(2, 64))
    for skips in (True, False):
        model = UNet((8, 8), 4, 2, "denoise", skips=skips, dtype=np.float64)
        for _, module in model.modules():
            if isinstance(module, MaxPool):
                module.forward = lambda x, module=module: 0 * MaxPool.forward(module, x)
        assert (np.ptp(model.predict(x), axis=0).max() > 1e-3) == skips


# Its config and its use -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", KINDS)
def test_a_model_can_be_made_again_from_its_config(options):
    model = UNet(**{**TINY, **options})
    again = MODELS["unet"](**json.loads(json.dumps(model.config)))
    assert (again.config, again.terms, again.reads) == (model.config, model.terms, model.reads)
    np.testing.assert_array_equal(again.buffer.values, model.buffer.values)


@pytest.mark.parametrize("options", KINDS)
def test_prediction_is_the_likeliest_class_or_the_clean_image_for_any_number_of_rows(options, monkeypatch):
    model = UNet(**{**TINY, **options})
    x = batch(model, 7)[0].astype(np.float32)
    y, found = model.net.forward(x), model.predict(x)
    if model.task == "segment":
        np.testing.assert_array_equal(found, y.argmax(axis=3))
        assert found.dtype == np.uint8
    else:
        np.testing.assert_allclose(found.reshape(y.shape), y, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(UNet, "chunk", 3)
    np.testing.assert_allclose(model.predict(x), found, rtol=1e-5, atol=1e-6)
    assert model.predict(x[0]).shape == (1, *found.shape[1:])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_shape": (30, 20)}, "images of 30 × 20 cannot be halved 2 times: .* multiples of 4; the nearest are 28 or 32 × 20"),
        ({"image_shape": (3, 16)}, "the nearest are 4 × 16"),
        ({"image_shape": (8,)}, "image_shape is"),
        ({"levels": 0}, "levels must be a whole number of at least 1"),
        ({"base": 1.5}, "base must be a whole number"),
        ({"task": "paint"}, "task must be one of segment, denoise"),
        ({"task": "denoise"}, "classes belong to the task segment"),
        ({"classes": 1}, "classes must be a whole number of at least 2"),
        ({"skips": 2}, "skips must be True or False"),
        ({"norm": "layer"}, "norm must be one of"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_its_cure(options, said):
    with pytest.raises(ConfigError, match=said):
        UNet(**{**TINY, **options})


def test_targets_that_do_not_fit_are_refused():
    model = UNet(**TINY, dtype=np.float64)
    x, segments = batch(model)
    with pytest.raises(ShapeError, match=r"segments must be whole numbers \(3, 8, 4\), one for each pixel, not .*\(3, 4, 8\)"):
        model.forward(x, segments.reshape(3, 4, 8))
    with pytest.raises(ShapeError, match="segments must be whole numbers .* float64"):
        model.forward(x, segments * 1.0)
    for wrong in (3, -1):
        segments[1, 2, 3] = wrong
        with pytest.raises(DataError, match="the model knows the classes 0 to 2"):
            model.forward(x, segments)
    denoise = UNet(**{**TINY, "task": "denoise", "classes": None}, dtype=np.float64)
    with pytest.raises(ShapeError, match=r"targets must have the numbers of the output, \(3, 8, 4, 1\), not \(3, 8, 3\)"):
        denoise.forward(x, np.zeros((3, 8, 3)))


def test_the_task_and_the_classes_come_from_the_fields_of_the_data():
    data = shapes(40)
    assert UNet.of_data(data).config["classes"] == 3
    assert UNet.of_data(data).reads == ("images", "segments")
    assert UNet.of_data(data, task="denoise").reads == ("images", "clean")
    part = Split(data.test.images, clean=data.test.fields["clean"])
    assert UNet.of_data(Dataset("c", (16, 16), part, part, "made here")).task == "denoise"
    bare = Split(data.test.images)
    with pytest.raises(ConfigError, match=r"needs a field segments to segment or clean to denoise, .* bare has images \(20, 256\)"):
        UNet.of_data(Dataset("bare", (16, 16), bare, bare, "made here"))
    with pytest.raises(ConfigError, match="task must be one of segment, denoise"):
        UNet.of_data(data, task="paint")
    with pytest.raises(DataError, match="UNet reads segments"):
        fit(UNet((16, 16)), Dataset("bare", (16, 16), bare, bare, "made here"), epochs=1, progress=False)


# Training ---------------------------------------------------------------------------------------------------------------


def shapes(rows=300, seed=0):
    """16 × 16 noise with a disc (class 1) and a ring (class 2): what a pixel of a ring is, its surroundings tell."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    segments = np.zeros((rows, 16, 16), np.uint8)
    for k in (1, 2):
        at = random.uniform(3, 12, (2, rows, 1, 1))
        far = np.hypot(x - at[0], y - at[1])
        segments[(far < 3.5) & (far > 2.2 * (k == 2))] = k
    clean = np.where(segments > 0, 170, 0).astype(np.uint8)
    images = np.clip(clean + random.normal(0, 40, clean.shape), 0, 255).astype(np.uint8).reshape(rows, -1)
    part = lambda at: Split(images[at], segments=segments[at], clean=clean[at])
    cut = rows // 2 if rows < 100 else rows - 60
    return Dataset("shapes", (16, 16), part(slice(0, cut)), part(slice(cut, None)), "made here")


def trained(seed, **options):
    """→ what it predicts of the 60 test images, and their fields"""
    data = shapes()
    model = UNet.of_data(data, base=4, levels=2, seed=seed, **options)
    losses = [r["loss"] for r in fit(model, data, epochs=10, batch_size=8, lr=0.015, seed=seed, progress=False) if r["split"] == "train"]
    assert losses[-1] < 0.7 * losses[0]
    return model.predict(data.test.images / 255), data.test.fields


@pytest.mark.parametrize("seed", SEEDS)
def test_it_learns_which_pixels_are_of_a_disc_and_which_of_a_ring(seed):
    found, test = trained(seed, norm="group")
    assert dice(confusion(found, test["segments"], 3))[1:].min() > 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_with_skips_noise_goes_and_edges_stay_and_without_them_more_is_lost_than_the_noise_had_taken(seed):
    """Over three seeds 22 to 27 dB with skips and 15.9 to 16.3 dB without, of images that had 18.4 dB."""
    after = {}
    for skips in (True, False):
        found, test = trained(seed, task="denoise", norm="none", skips=skips)
        clean = test["clean"] / 255
        after[skips] = psnr(found, clean).mean()
    given = psnr(test["images"].reshape(clean.shape) / 255, clean).mean()
    assert after[True] > given + 3
    assert after[False] < given - 1


# What is told of it -----------------------------------------------------------------------------------------------------


def test_judge_gives_dice_and_iou_of_each_class_over_the_pixels_of_all_images():
    data = shapes(40)
    model = UNet.of_data(data, base=2, levels=1)
    (score,) = judge(model, data)
    assert score.rows == ("ground", "class 1", "class 2", "mean without ground")
    counts = confusion(model.predict(data.test.images / 255), data.test.fields["segments"], 3)
    np.testing.assert_array_equal(score.values[:3], np.stack([dice(counts), iou(counts)], axis=1))
    found = score.values[1:3][np.isfinite(score.values[1:3, 0])]
    np.testing.assert_allclose(score.values[3], found.mean(axis=0))
    made = Dataset("overlap", (16, 16), data.train, data.test, "made here", location="overlap")
    assert segment_names(made, 3) == ("ground", "digit 0", "digit 1")


def test_judge_gives_psnr_of_each_label_before_and_after_and_one_without_noise_is_told_as_such():
    data = shapes(40)
    model = UNet.of_data(data, task="denoise", base=2, levels=1)
    images, clean = data.test.images.copy(), data.test.fields["clean"]
    images[0] = clean[0].ravel()
    labels = np.arange(20) % 2
    split = Split(images, np.array(["a", "b"])[labels], clean=clean)
    (score,) = judge(model, Dataset("named", (16, 16), split, split, "made here"))
    assert (score.rows, score.columns) == (("a", "b", "mean"), ("given", "cleaned"))
    after = psnr(model.predict(images / 255), clean / 255)
    np.testing.assert_allclose(score.values[:, 1], [after[::2].mean(), after[1::2].mean(), after.mean()], rtol=1e-5)
    assert "∞" in str(score)
    assert score.to_dict()["values"]["a"]["given"] is None
    bare = Split(images, clean=clean)
    (score,) = judge(model, Dataset("bare", (16, 16), bare, bare, "made here"))
    assert score.rows == ("mean",)


@pytest.mark.parametrize("task", ["segment", "denoise"])
def test_a_run_is_trained_measured_drawn_told_and_gone_on_with_at_the_command_line(tmp_path, capsys, task):
    save_npz(shapes(104), tmp_path / "shapes.npz")
    small = ["--base", 2, "--levels", 1, "--batch-size", 22, "--threads", 1, "--validation", 0.2]
    data, run = tmp_path / "shapes.npz", tmp_path / "run"

    def said(*arguments, status=0):
        assert main([str(a) for a in arguments]) == status
        return capsys.readouterr()

    told = said("train", "--model", "unet", "--task", task, "--no-skips", "--data", data, *small, "--epochs", 1, "--out", run).out
    assert "U-Net without skips 16×16, base 2, 1 level, to " + ("3 classes" if task == "segment" else "clean images") in told
    assert ("nats per image" if task == "segment" else "squared error per image") in told
    assert ("Dice" if task == "segment" else "PSNR") in told
    for name in ("loss.png", "predictions.png"):
        assert (run / name).exists()
        assert str(run / name) in told
    found = json.loads(said("evaluate", run, "--json").out)
    assert list(found) == ["cross entropy" if task == "segment" else "squared error", "scores"]
    assert "predictions.png" in said("plot", run).out
    assert "without skips" in said("info", run).out
    said("resume", run, "--epochs", 2, "--threads", 1)
    assert "sample takes a run of a VAE" in said("sample", run, status=1).err


def test_a_u_nets_options_and_its_targets_are_asked_for_in_one_line(tmp_path, capsys):
    refuse = lambda *arguments: (main([*arguments, "--out", str(tmp_path / "run")]), capsys.readouterr().err)
    for option in (["--no-skips"], ["--base", "4"], ["--task", "segment"], ["--norm", "batch"]):
        status, said = refuse("train", "--model", "vae", *option)
        assert (status, f"{option[0]} belongs to --model unet" in said) == (1, True)
    status, said = refuse("train", "--model", "unet")
    assert (status, "a U-Net needs a field segments to segment or clean to denoise" in said) == (1, True)


def test_clean_pictures_may_have_one_channel_or_none_where_they_are_grey_and_in_colour_have_three():
    grey, colour = UNet((8, 8), base=1, levels=1, task="denoise"), UNet((8, 8, 3), base=1, levels=1, task="denoise")
    assert grey.takes["clean"].shapes == ((8, 8), (8, 8, 1))
    assert colour.takes["clean"].shapes == ((8, 8, 3),)
