"""One gate: what is handed over in Python is checked as what stands in a file, and refused by its place and with the cure."""

import numpy as np
import pytest

from scratchvae import gate
from scratchvae.data import Dataset, Split, load
from scratchvae.errors import ConfigError, DataError
from scratchvae.evaluate import measure, table
from scratchvae.models import VAE
from scratchvae.nn import Dense
from scratchvae.training import Schedule, fit

GREY = np.linspace(0, 1, 24, dtype=np.float32).reshape(6, 4)


def _with(value, row=4, column=2, dtype=np.float64):
    images = GREY.astype(dtype)
    images[row, column] = value
    return images


class Tensor:
    """What torch says of its tensors: the graph must be detached and the array be on the host before it can be had."""

    def __init__(self, values, tracked=True, on_device=True):
        self.values, self.tracked, self.on_device = values, tracked, on_device

    def detach(self):
        return Tensor(self.values, False, self.on_device)

    def cpu(self):
        return Tensor(self.values, self.tracked, False)

    def __array__(self, dtype=None, copy=None):
        if self.tracked or self.on_device:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.asarray(self.values, dtype)


class Frame:
    """What pandas says of its frames: named columns, and an array of objects where they are of several kinds."""

    def __init__(self, columns, values):
        self.columns, self.values = columns, values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


class Meta:
    """What torch says of a tensor on its device "meta"."""

    def cpu(self):
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")


# What a Split makes of it -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        GREY,
        GREY.astype(np.float64),
        GREY.tolist(),
        tuple(map(tuple, GREY.tolist())),
        GREY.reshape(6, 2, 2),
        np.asfortranarray(GREY),
        list(GREY),
        np.ma.masked_array(GREY, mask=False),
        Tensor(GREY),
        Frame(["a", "b", "c", "d"], GREY.astype(object)),
    ],
    ids=lambda given: f"{type(given).__name__} {getattr(given, 'dtype', '')}",
)
def test_whatever_holds_numbers_becomes_rows_of_float32(given):
    images = Split(given).images
    assert type(images) is np.ndarray
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, GREY)


@pytest.mark.parametrize("images", [GREY, (GREY * 255).astype(np.uint8)], ids=["float32", "uint8"])
def test_an_array_that_is_right_already_is_not_copied(images):
    assert np.shares_memory(Split(images).images, images)


def test_a_memory_map_is_not_read_into_memory(tmp_path):
    np.save(tmp_path / "a.npy", GREY)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert np.shares_memory(Split(mapped).images, mapped)


def test_bool_is_black_and_white_and_other_integers_are_numbers():
    np.testing.assert_array_equal(Split(GREY > 0.5).images, np.where(GREY > 0.5, 255, 0))
    counts = Split((GREY * 1000).astype(np.int64)).images
    assert counts.dtype == np.float32
    assert counts.max() == 1000


def test_the_extent_is_what_a_model_sees():
    assert Split(np.array([[0, 51], [255, 0]], np.uint8)).extent == (0, 1)
    assert Split(np.array([[-3.0, 51], [255, 0]])).extent == (-3, 255)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (_with(np.nan), "row 4, column 2 is nan, not a number: repair that row, or drop it"),
        (_with(-np.inf, dtype=np.float32), "row 4, column 2 is -inf"),
        (_with(1e39), "row 4, column 2 is inf, too large for float32"),
        (np.ma.masked_array(GREY, mask=_with(7) == 7), r"row 4, column 2 is masked.*x\.filled\(0\)"),
        (Frame(["a", "b", "age", "d"], _with(None, dtype=object)), r"row 4, column 2 \(age\) is missing"),
        (Frame(["a", "b", "age", "d"], _with(np.nan)), r"row 4, column 2 \(age\) is nan, not a number"),
        (Frame(["a", "b", "age", "d"], _with("old", dtype=object)), r"row 4, column 2 \(age\) is 'old', no number"),
        ([[0.1, 0.2], [0.3]], "row 1 has 1 values where row 0 has 2"),
        ([[0.1, 0.2], 0.3], "row 1 has 1 values where row 0 has 2"),
        (np.zeros((0, 4)), "are empty"),
        (np.zeros((4, 0)), "are empty"),
        ([], "are empty"),
        (GREY[0], "no rows"),
        (0.5, "no rows"),
        (None, "None, a NoneType: give an array"),
        ("mnist", "text where numbers belong"),
        (object(), "a object: give an array"),
        ({"images": GREY}, "a dict: give an array"),
        (iter(GREY), "give an array"),
        ([["0.5", "1"]], "text where numbers belong, such as '0.5': convert"),
        (GREY + 1j, "complex64 values where numbers belong"),
        (np.zeros((2, 2), "M8[s]"), "datetime64.* values where numbers belong"),
        (np.zeros((2, 2), [("a", "f4")]), "values where numbers belong"),
        (Tensor(None), "a NoneType"),
        (Meta(), "cannot be made into an array .*no data"),
        (np.zeros((2, 3, 4, 4)), r"channels come last: give images\.transpose\(0, 2, 3, 1\)"),
        (np.zeros((2, 4, 4, 4)), r"give \(N, height, width\)"),
        (np.ones((6, 4), np.uint8), r"never exceed 1.*images\.astype\(bool\)"),
    ],
    ids=lambda given: " ".join(str(given).split())[:40] if isinstance(given, (str, list)) else type(given).__name__,
)
def test_what_is_no_finite_number_is_refused_by_its_place_and_with_a_cure(given, words):
    with pytest.raises(DataError, match=words) as caught:
        Split(given)
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


def test_the_fault_is_found_in_a_late_block(monkeypatch):
    monkeypatch.setattr("scratchvae.gate.BLOCK", 8)
    with pytest.raises(DataError, match="row 5, column 3 is nan"):
        Split(_with(np.nan, 5, 3))


@pytest.mark.parametrize(("shape", "sizes"), [((5, 4), [2, 2, 1]), ((3, 20), [1, 1, 1]), ((10,), [8, 2]), ((3, 0), [3])])
def test_a_large_set_is_looked_at_in_blocks_that_overlap_nowhere(monkeypatch, shape, sizes):
    monkeypatch.setattr("scratchvae.gate.BLOCK", 8)
    rows = np.arange(np.prod(shape)).reshape(shape)
    blocks, starts = zip(*gate._blocks(rows), strict=True)
    assert [len(block) for block in blocks] == sizes
    assert list(starts) == [sum(sizes[:i]) for i in range(len(sizes))]
    np.testing.assert_array_equal(np.concatenate(blocks), rows)


def test_numbers_that_are_whole_in_the_first_block_alone_are_not_called_bytes(monkeypatch):
    monkeypatch.setattr("scratchvae.gate.BLOCK", 4)
    assert "astype(np.uint8)" in gate._into_unit(np.array([[0.0, 200], [3, 4]]), 0, 200)
    assert gate._into_unit(np.array([[0.0, 200], [3, 4], [0.5, 4]]), 0, 200) == "if 255 is white, divide by it"


# Labels -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, np.array, lambda names: np.array(names, object), lambda names: np.array(names, "S5")])
def test_names_become_numbers_in_sorted_order_and_are_remembered(kind):
    split = Split(GREY, kind(["dog", "cat", "dog", "eel", "cat", "cat"]))
    assert split.labels.tolist() == [1, 0, 1, 2, 0, 0]
    assert split.labels.dtype == np.int64
    assert split.classes == ("cat", "dog", "eel")
    assert split.take([3, 0]).labels.tolist() == [2, 1]
    assert split.take([3, 0]).classes == split.classes


def test_a_name_has_one_number_in_all_splits():
    train, test = Split(GREY, ["dog", "cat"] * 3), Split(GREY[:2], ["eel", "dog"])
    data = Dataset("zoo", (2, 2), train, test, "made by a test")
    assert data.train.classes == data.test.classes == ("cat", "dog", "eel")
    assert data.preparation == {"classes": ["cat", "dog", "eel"]}
    assert data.train.labels.tolist() == [1, 0] * 3
    assert data.test.labels.tolist() == [2, 1]
    with pytest.raises(DataError, match="names and of the other numbers"):
        Dataset("zoo", (2, 2), train, Split(GREY[:2], [0, 1]), "made by a test")


@pytest.mark.parametrize(
    "labels",
    [[0.5] * 6, ["a", None] * 3, [0, "a", 0, 0, 0, {}], [[0]] * 6, [0] * 5, 3, GREY, [1.0] * 6],
    ids=lambda given: str(given)[:20] if isinstance(given, list) else type(given).__name__,
)
def test_labels_are_integers_or_names(labels):
    with pytest.raises(DataError, match="labels|missing|row"):
        Split(GREY, labels)


def test_classes_without_labels_that_fit_are_refused():
    for labels in (None, [0, 1, 2, 0, 1, -1], [0, 1, 2, 3, 0, 1]):
        with pytest.raises(DataError, match="3 classes need labels from 0 to 2"):
            Split(GREY, labels, ("a", "b", "c"))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("given", [GREY, None, "train"])
def test_a_data_set_is_made_of_splits(part, given):
    with pytest.raises(DataError, match=rf"zoo: {part} must be a Split.*Split\(images, labels\)"):
        Dataset("zoo", (2, 2), **{"train": Split(GREY), "test": Split(GREY), part: given}, source="made by a test")


# fit and measure --------------------------------------------------------------------------------------------------------

ROWS = np.random.default_rng(0).random((40, 12)).astype(np.float32)


def _data(train=ROWS, test=ROWS[:9]):
    return Dataset("mine", (3, 4), Split(train), Split(test), "made by a test")


CALLS = {
    "fit": lambda model, data: fit(model, data, epochs=1, batch_size=20, progress=False, threads=1),
    "measure": lambda model, data: measure(model, data, threads=1),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("change", "cure"),
    [
        (lambda x: 2 * x - 1, r"\(x \+ 1\) / 2"),
        (lambda x: np.round(255 * x), r"x\.astype\(np\.uint8\), or divide by 255"),
        (lambda x: 300 * x, "if 65,535 is white"),
        (lambda x: x * np.float32(1.0001) / x.max(), r"np\.clip\(x, 0, 1\)"),
        (lambda x: 5 * x - 2, "they range from .* to .*: scale them, or take a gaussian likelihood"),
    ],
)
def test_a_bernoulli_likelihood_refuses_what_is_not_in_0_1_in_either_split_and_a_gaussian_takes_it(tiny_vae, call, part, change, cure):
    data = _data(**{part: change(ROWS)})
    with pytest.raises(DataError, match=rf"mine, {part} split: row \d+, column \d+ is .*, outside \[0, 1\].*bernoulli.*{cure}"):
        CALLS[call](tiny_vae(), data)
    assert CALLS[call](tiny_vae(likelihood="gaussian", dtype=np.float64), data)


def test_a_refusal_leaves_the_model_as_it_was(tiny_vae):
    model = tiny_vae()
    before = model.buffer.values.copy()
    with pytest.raises(DataError):
        CALLS["fit"](model, 255 * ROWS)
    np.testing.assert_array_equal(model.buffer.values, before)


@pytest.mark.parametrize("given", [ROWS, ROWS.tolist(), ROWS.reshape(40, 3, 4), Tensor(ROWS)], ids=lambda given: type(given).__name__)
def test_a_bare_array_is_split_as_a_file_is(tiny_vae, tmp_path, given):
    np.save(tmp_path / "a.npy", ROWS)
    by_file, by_array = tiny_vae(), tiny_vae()
    CALLS["fit"](by_file, load(tmp_path / "a.npy"))
    CALLS["fit"](by_array, given)
    np.testing.assert_array_equal(by_array.buffer.values, by_file.buffer.values)
    a, b = (measure(by_array, data, threads=1)["-ELBO"] for data in (given, load(tmp_path / "a.npy")))
    assert (a.value, a.images) == (b.value, 4)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("mnist-small", "'mnist-small' is the name of a data set: give scratchvae.load_data"),
        (Split(ROWS), "a Split is one part"),
        ((ROWS, ROWS), "give one array of images, or Dataset"),
        ({"train": ROWS}, "give one array of images, or Dataset"),
        (None, "None, a NoneType"),
        (ROWS[:1], "one image cannot be split"),
        (np.where(np.arange(480).reshape(40, 12) == 399, np.nan, ROWS), "the array: row 33, column 3 is nan"),
        (np.where(np.arange(480).reshape(40, 12) == 399, 1.5, ROWS), "the array: row 33, column 3 is 1.5, outside"),
    ],
    ids=lambda data: type(data).__name__,
)
def test_what_is_no_data_set_is_refused_with_how_to_make_one(tiny_vae, call, data, words):
    with pytest.raises(DataError, match=words):
        CALLS[call](tiny_vae(), data)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("model", [None, "vae", VAE, Dense(12, 3), Dense(12, 3).initialise()], ids=lambda model: type(model).__name__)
def test_what_is_no_model_is_refused(call, model):
    with pytest.raises(ConfigError, match="a model is needed|names no|not initialised"):
        CALLS[call](model, _data())


def test_data_are_looked_at_once_and_not_in_every_call(tiny_vae, monkeypatch):
    data, looked = _data(), []
    monkeypatch.setattr("scratchvae.gate.extent", lambda *a: looked.append(a) or (0.0, 1.0))
    monkeypatch.setattr("scratchvae.gate._blocks", lambda *a: looked.append(a) or iter(()))
    CALLS["fit"](tiny_vae(), data)
    CALLS["measure"](tiny_vae(), data)
    assert not looked


def test_a_negative_elbo_is_explained_for_a_gaussian_and_an_error_for_a_bernoulli(tiny_vae):
    still = np.full((30, 12), 0.25, np.float32)
    model = tiny_vae(likelihood="gaussian", sigma=0.01)
    model.buffer.view("decoder.0.W")[...] = 0
    model.buffer.view("decoder.2.W")[...] = 0
    model.buffer.view("decoder.2.b")[...] = 0.25
    measured = measure(model, _data(still, still), threads=1)
    assert measured["reconstruction"].value == pytest.approx(12 * (np.log(0.01) + 0.5 * np.log(2 * np.pi)), rel=1e-6)
    assert "Negative is no fault here" in table(measured)
    assert "Negative" not in table(measure(tiny_vae(), _data(), threads=1))

    data = _data(ROWS.copy(), ROWS[:9].copy())
    data.test.images[...] = 3  # after it was checked
    model = tiny_vae()
    model.buffer.view("decoder.2.b")[...] = 3
    with pytest.raises(DataError, match=r"image \d has a reconstruction term of -.* nats, and no bernoulli likelihood is below 0"):
        measure(model, data, threads=1)


# Optimisers and schedules -----------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "setting", "values"),
    [
        ("adam", "beta1", [2, 1, -0.1, NAN, "0.9", None]),
        ("adam", "beta2", [1.0, INF, True]),
        ("adam", "eps", [-1, 0, 1e-46, NAN, INF]),
        ("adagrad", "eps", [0]),
        ("rmsprop", "rho", [1, -1, NAN]),
        ("momentum", "mu", [1, 2, -0.5, NAN]),
        ("nesterov", "mu", [1]),
        ("adamw", "decay", [-1, NAN, INF, "x"]),
        ("sgd", "weight_decay", [-1, NAN, INF]),
    ],
)
def test_a_setting_of_an_optimiser_out_of_its_bounds_is_refused_by_name(tmp_path, tiny_vae, name, setting, values):
    for value in values:
        options = {"weight_decay": value} if setting == "weight_decay" else {"optimiser_settings": {setting: value}}
        with pytest.raises(ConfigError, match=f"{setting} must be"):
            fit(tiny_vae(), _data(), out=tmp_path / "run", optimiser=name, progress=False, **options)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "values"),
    [("lr", [0, -1, NAN, INF, "x"]), ("warmup", [-1, NAN, 0.5, INF]), ("every", [0, NAN, 1.5]), ("factor", [0, -1, 2, INF, NAN])],
)
def test_a_setting_of_a_schedule_out_of_its_bounds_is_refused_by_name(tmp_path, tiny_vae, setting, values):
    for value in values:
        with pytest.raises(ConfigError, match=f"{setting} must be"):
            Schedule(**{"kind": "step", setting: value})
        with pytest.raises(ConfigError, match=f"{setting} must be"):
            fit(tiny_vae(), _data(), out=tmp_path / "run", schedule="step", progress=False, **{setting: value})
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("shape", "numbers", "words"),
    [
        ((3, 4), ROWS, "grayscale pixels in"), ((2, 2, 3), ROWS, "colour pixels in"), ((1, 12), ROWS, "values in"),
        ((3, 4), 2 * ROWS, "any numbers"),
    ],
)
def test_a_figure_says_of_what_numbers_it_is(tiny_vae, shape, numbers, words):
    data = Dataset("mine", shape, Split(numbers), Split(numbers), "made by a test")
    assert words in measure(tiny_vae(likelihood="gaussian"), data, threads=1)["KL"].binarisation
