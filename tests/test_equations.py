"""Every equation of the book holds, is cited by the code that computes it, and has a test of its own here."""

import copy
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchvae import rng, training
from scratchvae.errors import ConfigError
from scratchvae.models.hourglass import Stage
from scratchvae.plots import images as image_plots
from scratchvae.study import equations as study
from scratchvae.study import probability
from scratchvae.study.equations import citations, cited_numbers, equations, explain, read_citations
from scratchvae.study.linear_gaussian import LinearGaussian
from scratchvae.study.numeric_checks import CHECKS
from scratchvae.study.numeric_checks.check import Check, all_hold, at_most, close, equal

ROOT = Path(__file__).parent.parent


def holds(number):
    check = CHECKS[number]()
    assert check.ok, f"E{number}: {check}"


# One test for each equation ----------------------------------------------------------------------------------------------


def test_E1_philox():
    holds(1)


def test_E2_uniform():
    holds(2)


def test_E3_box_muller():
    holds(3)


def test_E4_affine():
    holds(4)


def test_E5_affine_backward():
    holds(5)


def test_E6_relu():
    holds(6)


def test_E7_leaky_relu():
    holds(7)


def test_E8_tanh():
    holds(8)


def test_E9_sigmoid():
    holds(9)


def test_E10_softplus():
    holds(10)


def test_E11_gelu():
    holds(11)


def test_E12_silu():
    holds(12)


def test_E13_reparameterise():
    holds(13)


def test_E14_reparameterise_backward():
    holds(14)


def test_E15_gaussian_kl():
    holds(15)


def test_E16_gaussian_kl_backward():
    holds(16)


def test_E17_bernoulli_nll():
    holds(17)


def test_E18_bernoulli_nll_backward():
    holds(18)


def test_E19_gaussian_nll():
    holds(19)


def test_E20_gaussian_nll_backward():
    holds(20)


def test_E21_squared_error():
    holds(21)


def test_E22_squared_error_backward():
    holds(22)


def test_E23_weight_decay():
    holds(23)


def test_E24_sgd():
    holds(24)


def test_E25_momentum():
    holds(25)


def test_E26_nesterov():
    holds(26)


def test_E27_rmsprop():
    holds(27)


def test_E28_adagrad():
    holds(28)


def test_E29_adam():
    holds(29)


def test_E30_adamw():
    holds(30)


def test_E31_glorot():
    holds(31)


def test_E32_he():
    holds(32)


def test_E33_lecun():
    holds(33)


def test_E34_complex_step():
    holds(34)


def test_E35_central_difference():
    holds(35)


def test_E36_negative_elbo():
    holds(36)


def test_E37_prior_grid():
    holds(37)


def test_E38_clip():
    holds(38)


def test_E39_pca():
    holds(39)


def test_E40_prior_estimate():
    holds(40)


def test_E41_log_marginal():
    holds(41)


def test_E42_cross_entropy():
    holds(42)


def test_E43_divergence():
    holds(43)


def test_E44_posterior():
    holds(44)


def test_E45_jensen():
    holds(45)


def test_E46_elbo():
    holds(46)


def test_E47_elbo_gap():
    holds(47)


def test_E48_importance_weighted_bound():
    holds(48)


def test_E49_gaussian_divergence():
    holds(49)


def test_E50_score_gradient():
    holds(50)


def test_E51_pathwise_gradient():
    holds(51)


def test_E52_quadratic_variances():
    holds(52)


def test_E53_bits_per_dimension():
    holds(53)


def test_E54_best_variance():
    holds(54)


def test_E55_best_mean():
    holds(55)


def test_E56_probabilistic_pca():
    holds(56)


def test_E57_chain_rule():
    holds(57)


def test_E58_difference_error():
    holds(58)


def test_E59_kinds():
    holds(59)


def test_E60_patches():
    holds(60)


def test_E61_patches_backward():
    holds(61)


def test_E62_conv2d():
    holds(62)


def test_E63_conv2d_backward():
    holds(63)


def test_E64_conv2d_by_blocks():
    holds(64)


def test_E65_conv_transpose2d():
    holds(65)


def test_E66_conv_transpose2d_backward():
    holds(66)


def test_E67_max_pool():
    holds(67)


def test_E68_average_pool():
    holds(68)


def test_E69_upsample_nearest():
    holds(69)


def test_E70_upsample_bilinear():
    holds(70)


def test_E71_normalise():
    holds(71)


def test_E72_normalise_backward():
    holds(72)


def test_E73_dropout():
    holds(73)


def test_E74_embedding():
    holds(74)


def test_E75_categorical_nll():
    holds(75)


def test_E76_categorical_nll_backward():
    holds(76)


def test_E77_skip():
    holds(77)


def test_E78_skip_backward():
    holds(78)


def test_E79_dice():
    holds(79)


def test_E80_iou():
    holds(80)


def test_E81_psnr():
    holds(81)


def test_E82_residual():
    holds(82)


def test_E83_heat_maps():
    holds(83)


def test_E84_peaks():
    holds(84)


def test_E85_stages():
    holds(85)


def test_E86_pck():
    holds(86)


def test_E87_continuous_bernoulli_nll():
    holds(87)


def test_E88_continuous_bernoulli_nll_backward():
    holds(88)


def test_E89_logistic_nll():
    holds(89)


def test_E90_logistic_nll_backward():
    holds(90)


def test_E91_soft_floor():
    holds(91)


def test_E92_sampled_kl():
    holds(92)


def test_E93_importance_loss_backward():
    holds(93)


def test_E94_importance_backward():
    holds(94)


def test_E95_annealed():
    holds(95)


# The binding -------------------------------------------------------------------------------------------------------------


def computing(number):
    """The functions and classes, other than checks of the book and its exercises, that cite an equation."""
    return [c for c in citations() if number in c.numbers and c.kind != "module" and not c.name.startswith(study.ABOUT)]


def test_every_equation_has_code_a_check_and_a_test():
    numbers = set(equations())
    assert numbers == set(range(1, len(numbers) + 1))
    assert set(CHECKS) == numbers
    assert {n for n in numbers if not computing(n)} == set()
    here = {int(n) for n in re.findall(r"^def test_E(\d+)_", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)}
    assert here == numbers
    for number, check in CHECKS.items():
        assert f"test_{check.__name__}" in globals(), f"E{number} is tested under another name than `explain` prints"


def test_every_citation_has_an_equation():
    unknown = {(c.name, n) for c in citations() for n in c.numbers if n not in equations()}
    assert unknown == set()


def test_every_mention_in_a_docstring_is_a_citation_that_is_read():
    """(E17 in a source file that the pattern misses would be bound to nothing."""
    missed = []
    for path in (ROOT / "scratchvae").rglob("*.py"):
        if path.parent.name == "numeric_checks":
            continue
        for c in read_citations(path.read_text(encoding="utf-8"), path.relative_to(ROOT / "scratchvae")):
            missed += [
                (c.name, n) for n in re.findall(r"\(E(\d+)", c.source) if int(n) not in c.numbers and n in map(str, equations())
            ]
    assert missed == []


def test_the_collected_equations_are_those_of_the_chapters():
    spec = importlib.util.spec_from_file_location("make_equations", ROOT / "docs" / "make_equations.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    stale = [path.name for path, text in make.outputs().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: python docs/make_equations.py"


@pytest.mark.parametrize(("text", "numbers"), [
    ("y (E4)", (4,)), ("(E13, E14)", (13, 14)), ("(E24 to E26)", (24, 25, 26)), ("(E5, E6–E8)", (5, 6, 7, 8)), ("(E14 + E16)", (14, 16)),
    ("(E29; Kingma & Ba, 2015)", (29,)), ("no citation: E17, (see E17), (E17 of the book)", ()), ("twice (E4) (E4)", (4,)),
])  # fmt: skip
def test_citations_are_read_in_all_their_forms(text, numbers):
    assert cited_numbers(text) == numbers


# The checks can fail -----------------------------------------------------------------------------------------------------


def spoil(function):
    """The same function, wrong: what it writes or returns comes out half as large again."""

    def spoiled(*arguments, **options):
        held = [*arguments, *options.values()]
        arrays = [
            a
            for held_one in held
            for a in (held_one if isinstance(held_one, (tuple, list)) else [held_one])
            if isinstance(a, np.ndarray)
        ]
        before = [a.copy() for a in arrays]
        result = function(*arguments, **options)
        written = [a for a, b in zip(arrays, before, strict=True) if not np.array_equal(a, b)]
        for a in written:
            a *= 1.5
        return result if any(result is a for a in arrays) else worse(result)

    return spoiled


def worse(value):
    if isinstance(value, tuple):
        return tuple(map(worse, value))
    if isinstance(value, dict):
        return {key: worse(v) for key, v in value.items()}
    if isinstance(value, LinearGaussian):
        return LinearGaussian(1.5 * value.W, value.b, value.variance)
    if isinstance(value, np.ndarray) and value.dtype.kind == "u":
        return value ^ 1
    return value if value is None else 1.5 * value


def replace_everywhere(monkeypatch, old, new):
    """Put `new` in the place of a function, wherever one of our modules or classes holds it."""
    for name, module in list(sys.modules.items()):
        if name.startswith("scratchvae"):
            for key, value in list(vars(module).items()):
                if value is old:
                    monkeypatch.setattr(module, key, new)
    for owner in (LinearGaussian,):
        for key, value in list(vars(owner).items()):
            if value is old:
                monkeypatch.setattr(owner, key, new)


def resolve(name):
    """ "ops.numpy.affine.affine" → the function of that name"""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(["scratchvae", *parts[:split]]))
        if module is not None:
            found = module
            for part in parts[split:]:
                found = getattr(found, part)
            return found
    raise LookupError(name)


def test_an_inequality_that_fails_says_what_it_is_off_by(monkeypatch):
    gap, uniform = probability.jensen_gap, rng.uniform
    monkeypatch.setattr(probability, "jensen_gap", lambda w: -0.25 if len(w) == 5 else gap(w))
    assert "off by 0.25 below 0; at most 0 allowed" in str(CHECKS[45]())
    monkeypatch.setattr(rng, "uniform", lambda *a: uniform(*a) + 1)
    assert "off by 2e+04 numbers outside [0, 1); at most 0 allowed" in str(CHECKS[2]())


ROOMS = (
    "rng.", "ops.numpy.", "nn.init.", "study.", "checks.complex", "checks.finite", "evaluate.segmentation", "evaluate.denoising",
    "evaluate.key_points", "models.objective.annealed",
)  # fmt: skip


@pytest.mark.parametrize("number", sorted(set(CHECKS) - {36, 37, 38, 85}))
def test_a_check_fails_when_the_code_it_cites_is_wrong(number, monkeypatch):
    caught = []
    for c in computing(number):
        if c.kind == "function" and c.name.startswith(ROOMS):
            with monkeypatch.context() as patch:
                function = resolve(c.name)
                replace_everywhere(patch, function, spoil(function))
                try:
                    caught.append((c.name, not CHECKS[number]().ok))
                except Exception:  # spoiled so badly that nothing comes out: noticed too
                    caught.append((c.name, True))
    assert any(found for _, found in caught), caught
    assert {name for name, found in caught if not found} <= {
        "checks.complex_step.complex_step_along", "checks.finite_difference.central_difference_along",  # one direction at a time
        "study.gradients.best_step",  # only to a factor of 5
    }  # fmt: skip


def test_the_check_of_the_objective_fails_for_a_wrong_weight(monkeypatch):
    from scratchvae.models import VAE

    forward = VAE.forward

    def kl_twice(self, x, eps=None):
        reconstruction, kl = forward(self, x, eps)
        return reconstruction, 2 * kl

    monkeypatch.setattr(VAE, "forward", kl_twice)
    assert not CHECKS[36]().ok


def test_the_check_of_the_grid_fails_for_an_even_grid(monkeypatch):
    class Even:
        def inv_cdf(self, share):
            return 4 * share - 2

        def cdf(self, z):
            return (z + 2) / 4

    monkeypatch.setattr(image_plots, "NormalDist", Even)
    assert not CHECKS[37]().ok


def test_the_check_of_clipping_fails_without_clipping(monkeypatch):
    init = training.TrainingStep.__init__

    def unclipped(self, *arguments, **options):
        init(self, *arguments, **options)
        self.clip = self.clip and 2 * self.clip

    monkeypatch.setattr(training.TrainingStep, "__init__", unclipped)
    assert not CHECKS[38]().ok


@pytest.mark.parametrize("forgotten", [0, 1])
def test_the_check_of_a_stage_fails_without_its_own_loss_and_without_those_of_later_stages(monkeypatch, forgotten):
    backward = Stage.backward

    def without(self, *gradients):
        return backward(self, *(dY * (k != forgotten) for k, dY in enumerate(gradients)))

    monkeypatch.setattr(Stage, "backward", without)
    assert not CHECKS[85]().ok


def test_a_check_says_how_far_a_claim_is_from_holding():
    assert equal("", [1.0, 2.0], [1.0, 2.0]).ok
    assert not equal("", [1.0, 2.0], [1.0, 2.1]).ok
    assert not equal("", [np.nan], [1.0]).ok
    draws = np.tile([-1.0, 1.0], 50)
    assert close("", draws, 0.0).ok
    assert not close("", draws, 1.0).ok
    assert at_most("", -1.0).ok
    assert not at_most("", 1e-9).ok
    good, bad = Check("", 0.5, 1.0, "mm"), Check("", 2.0, 1.0, "cm")
    assert all_hold("both", good, good).ok
    worst = all_hold("both", good, bad, copy.copy(good))
    assert not worst.ok
    assert str(worst).startswith("FAILS: both (off by 2 cm")
    assert worst.to_dict()["ok"] is False


# explain -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["E17", "e17", "17", 17, "bernoulli_nll", "ops.numpy.likelihoods.bernoulli_nll"])
def test_explain_takes_numbers_and_names(query):
    found = explain(query)
    assert [entry.equation.number for entry in found.entries] == [17]
    text = str(found)
    for part in ("E17 · ", r"\log(1 + e^{a})", "In words", "def bernoulli_nll(logits, x, out, work):",
                 "scratchvae/ops/numpy/likelihoods.py:",
                 "docs/03-the-details.md", "tests/test_equations.py::test_E17_bernoulli_nll", "holds: "):  # fmt: skip
        assert part in text
    assert found.ok
    assert found.to_dict()["equations"][0]["check"]["ok"]


def test_explain_of_a_function_gives_every_equation_it_cites():
    assert [entry.equation.number for entry in explain("Posterior").entries] == [13, 15]


def test_explain_says_what_it_does_not_know():
    with pytest.raises(ConfigError, match=r"E1 to E\d+"):
        explain("E999")
    with pytest.raises(ConfigError, match="did you mean bernoulli_nll"):
        explain("bernouli_nll")
    with pytest.raises(ConfigError, match="nothing called"):
        explain("__init__.py of nothing")


def test_the_tests_that_explain_names_exist():
    for number in equations():
        assert explain(number).entries[0].test.split("::")[1] in globals()
