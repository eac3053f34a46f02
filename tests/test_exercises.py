"""The exercises teach what they say: solutions pass, mistakes are named in words, and the answer is never given away."""

import ast
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from scratchvae.errors import BackendError, ConfigError, DataError, RunFolderError
from scratchvae.models import VAE
from scratchvae.study import exercises
from scratchvae.study.equations import equations
from scratchvae.study.exercises import NAMES, check, hint, list_exercises, solution, start, table
from scratchvae.study.exercises.child import examine
from scratchvae.study.exercises.exam import Exam
from scratchvae.study.exercises.ladder import task
from scratchvae.study.exercises.result import OK, TODO, WRONG, Result
from scratchvae.study.exercises.solutions.vae import vae_backward, vae_forward
from scratchvae.study.exercises.stub import stub
from scratchvae.study.exercises.student import Student

KERNEL_LOOP = "for (int j = t; j < L; j += THREADS) {"
KERNEL_ROUND = "    if (t < half) part[t] += part[t + half];\n"
KERNEL_BODY = re.search(r"int L\) {\n(.*?)^}$", solution("cuda_kl"), re.DOTALL | re.MULTILINE)[1]
KERNEL_TAIL = KERNEL_BODY[KERNEL_BODY.index("  part[t] = sum;") :]  # from the end of each thread's own work

# (exercise, the line of the solution that is changed, what it becomes, words that have to be said)
MISTAKES = [
    ("affine", "x.T @ dY", "dY.T @ x", r"dW has shape \(7, 3\) and should have \(3, 7\): the transposed is right"),
    ("affine", "np.sum(dY, axis=0)", "dY", r"db has shape \(5, 7\) and should have \(7,\): the sum over rows is missing"),
    ("affine", "np.sum(dY, axis=0)", "dY.mean(axis=0)",
     r"db is too small by a factor of 5, which is B: a mean where a sum was meant\?"),
    ("affine", "    return x @ W + b", "    y = x @ W + b", r"Y is None: is a `return` missing\?"),
    ("affine", "    dX = dY @ W.T", "    dY *= 1.0\n    dX = dY @ W.T\n    x -= 1.0", r"changes x in place"),
    ("relu", "np.where(x > 0, dY, 0)", "dY", r"lets everything through"),
    ("relu", "np.where(x > 0, x, 0)", "np.abs(x)", r"keeps the size of negative entries"),
    ("relu", "    return np.where(x > 0, x, 0)", "    x[x < 0] = 0\n    return x", r"changes x in place"),
    ("relu", "np.where(x > 0, x, 0)", "np.zeros(x.shape) + np.where(x > 0, x, 0)",
     r"float64 where the inputs are float32.*np\.zeros"),
    ("sigmoid", "0.5 * (1 + np.tanh(0.5 * x))", "1 / (1 + np.exp(-x))",
     r"for x = -100 in float32: overflow encountered in exp.*line 8"),
    ("sigmoid", "dY * y * (1 - y)", "dY * sigmoid(y) * (1 - sigmoid(y))", r"takes the sigmoid of y"),
    ("bernoulli", "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))", "np.log(1 + np.exp(a))",
     r"y is infinite for a = 100 in float32.*\s+overflow encountered in exp, at line 13"),
    ("bernoulli", "np.sum(softplus(logits) - x * logits, axis=1)", "np.mean(softplus(logits) - x * logits, axis=1)",
     r"factor of 7, which is D: a mean"),
    ("bernoulli", "dnll[:, None] * (0.5", "1 * (0.5", r"dlogits does not use dnll"),
    ("bernoulli", "dnll[:, None] * (0.5", "dnll.mean() * (0.5", r"dlogits takes one number for all rows"),
    ("reparameterise", "mu + np.exp(0.5 * logvar)", "mu + np.exp(logvar)",
     r"what multiplies eps is the variance[\s\S]*the variance of 20,000 draws"),
    ("reparameterise", "0.5 * dz * eps", "dz * eps", r"dlogvar is twice too large everywhere"),
    ("kl", "mu**2 + np.exp(logvar) - 1 - logvar", "mu**2 + np.exp(logvar) - logvar",
     r"is not 0 for mu = 0 and variance 1[\s\S]*closed form says"),
    ("kl", "return dkl[:, None] * mu", "return -dkl[:, None] * mu", r"dmu has the wrong sign everywhere"),
    ("kl", "- 1 - logvar, axis=1)", "- 1 - logvar)",
     r"kl has shape \(\) and should have \(5,\): it is the sum over everything"),
    ("dense", "self.dW = self.x.T @ dY", "self.dW = getattr(self, 'dW', 0) + self.x.T @ dY", r"dW is wrong for a second batch"),
    ("dense", "self.db = np.sum(dY, axis=0)", "db = np.sum(dY, axis=0)", r"backward has left no self\.db"),
    ("vae", "dmu = dz + mu / B", "dmu = dz",
     r"W2 lacks the part of the KL at mu[\s\S]*right: W4, b4, W3, b3\. Start with W2; also wrong: b2, W1, b1"),
    ("vae", "- x) / B", "- x)", r"W4 is too large by a factor of 5, which is B"),
    ("vae", 'da2 = np.where(cache["h2"] > 0, dlogits @ p["W4"].T, 0)', 'da2 = dlogits @ p["W4"].T',
     r"W3 lets everything through the decoder's ReLU"),
    ("adam", "m_hat = m / (1 - beta1**step)", "m_hat = m", r"p lacks the correction of the first average"),
    ("adam", "(np.sqrt(v_hat) + eps)", "np.sqrt(v_hat + eps)", r"p has eps under the root"),
    ("clipping", "g * (largest / norm) if norm > largest else g.copy()", "np.clip(g, -largest, largest)",
     r"entry by entry, which turns it"),
    ("clipping", " if norm > largest else g.copy()", "", r"clipping never lengthens"),
    ("philox", "        k0, k1 = (k0 + W0)", "        k2, k3 = (k0 + W0)",
     r"wrong for 2 rounds, though right for one: the key should grow"),
    ("philox", "p1 & MASK, (p0", "p1, (p0", r"word 1 does not fit in 32 bits"),
    ("philox", " ^ k1", "", r"the key is not mixed in"),
    ("complex_step", "f(moved).imag / h", "f(moved).real / h", r"the slope is huge, about 7e\+39: which part"),
    ("complex_step", "        moved = x.astype(complex)\n        moved[i] += 1j * h", "        moved = x + 1j * h",
     r"the sum of all slopes in every place"),
    ("complex_step", "h = 1e-40", "h = 1e-4", r"digits only.*a step that is too large"),
    ("gradcheck", "np.random.default_rng(0).normal(size=f(x).shape)", "np.ones(f(x).shape)",
     r"passes a gradient that does not use dY"),
    ("gradcheck", "np.max(np.abs(dX - slopes))", "abs(np.sum(dX - slopes))",
     r"passes a gradient that is too small in one place and too large"),
    ("gradcheck", " / np.max(np.abs(slopes))", "", r"an error counts relative to the slopes"),
    ("convolution", "dX[seen] += dY", "dX[seen] = dY", r"dX holds, for a pixel, what reaches it from the last window alone"),
    ("convolution", "Y = Y + x[", "Y = Y + b + x[", r"Y is wrong|adds b at each place"),
    ("convolution", "    Y = b\n", "    Y = 0\n", r"Y lacks b"),
    ("convolution", "] @ K[i, j]\n", "] @ K[-1 - i, -1 - j]\n", r"Y is made with the kernel turned round"),
    ("convolution", "dY @ K[i, j].T", "dY @ K[-1 - i, -1 - j].T", r"dX is made with the kernel turned round"),
    ("convolution", "np.sum(dY, axis=(0, 1, 2))", "np.sum(dY, axis=0)", r"db sums over the images, and should sum over rows and columns"),
    ("importance", "least[:, 0] - np.log(np.mean(np.exp(least - nll), axis=1))", "np.mean(nll, axis=1)",
     r"loss is the mean of the logarithms"),
    ("importance", "np.log(np.mean(np.exp(least - nll), axis=1))", "np.log(np.sum(np.exp(least - nll), axis=1))",
     r"loss is the logarithm of the sum: a mean divides by K"),
    ("importance", "least[:, 0] - np.log(np.mean(np.exp(least - nll), axis=1))", "-np.log(np.mean(np.exp(-nll), axis=1))",
     r"nll = 1000"),
    ("importance", "    w = np.exp(np.min(nll, axis=1, keepdims=True) - nll)", "    w = np.exp(nll - np.max(nll, axis=1, keepdims=True))",
     r"dnll weighs by e to the \+nll: the worst draw gets most"),
    ("importance", "dloss[:, None] * w", "np.mean(dloss) * w", r"dnll takes one number for all images"),
    ("importance", "dloss[:, None] * w", "1 * w", r"dnll does not use dloss"),
    ("importance", "* w / np.sum(w, axis=1, keepdims=True)", "* (w * 0 + 1) / nll.shape[1]", r"dnll gives every draw the same"),
    ("skip", "return dx + below_backward(dz)", "return below_backward(dz)", r"dX lacks the gradient of the skip"),
    ("skip", "return dx + below_backward(dz)", "return dx", r"dX lacks what comes back through the levels below"),
    ("skip", "return dx + below_backward(dz)", "return dx + dx + below_backward(dz)", r"dX counts the gradient of the skip twice"),
    ("skip", "return dx + below_backward(dz)", "return (dx + below_backward(dz)) / 2", r"dX is the mean of the two gradients"),
    ("skip", "return dx + below_backward(dz)", "return dx + below_backward(dx)", r"below_backward was given \(1, 3, 3, 1\), and takes"),
    ("skip", "dY[..., :channels]", "dY[..., -channels:]", r"dx is that of the other channels: Y holds x first, then z"),
    ("skip", "[x[:, top : top + h, left : left + w], z]", "[z, x[:, top : top + h, left : left + w]]", r"Y has z first"),
    ("skip", "    top, left = (x.shape[1] - h) // 2, (x.shape[2] - w) // 2\n    return", "    top, left = (x.shape[1] - h + 1) // 2, "
     "(x.shape[2] - w + 1) // 2\n    return", r"Y is cropped one pixel too far right"),
    ("skip", "(x.shape[2] - w) // 2, x.shape[3]", "(x.shape[2] - w + 1) // 2, x.shape[3]", r"dx is put back one pixel too far right"),
    ("skip", "dx[:, top : top + h, left : left + w] = dY[..., :channels]", "", r"dx is lost: x stands in Y itself"),
    # compiles
    ("cuda_kl", "float sum = 0;", "float sum = 0", r"the compiler refuses line 35, `for .*`\n +it says: expected ',' or ';' before 'for'$"),
    ("cuda_kl", "blockIdx.x, t", "blockidx.x, t", r"refuses line 33, .*\n.*'blockidx' was not declared.*did you mean 'blockIdx'\?$"),
    ("cuda_kl", "threadIdx.x;", "threadIdx.w;", r"refuses line 33, .*\n +it says: .* has no member named 'w'$"),
    ("cuda_kl", "0.5f * part[0];\n}", "0.5f * part[0];\n", r"refuses the kernel\n.*end of input\n.*a brace that was opened never closed\?"),
    ("cuda_kl", "void gaussian_kl", "void gausian_kl", r"KERNEL holds no kernel gaussian_kl: keep the line"),
    ("cuda_kl", "float* kl, int L", "float* kl, long long L", r"has other parameters than it came with"),
    ("cuda_kl", "constexpr", '#include "mine.h"\nconstexpr', r'leave `#include "…"` out'),
    ("cuda_kl", 'KERNEL = r"""', 'KERNELS = r"""', r"there is no KERNEL in this file"),
    # barriers
    ("cuda_kl", "  part[t] = sum;\n  __syncthreads();", "  part[t] = sum;", r"a barrier is missing between line 39 and line 41\n"
     r".*writes at line 39, `part\[t\] = sum;`\n.*reads at line 41, `if[^\n]*\n[^\n]*\n.*the result depends on the order[^\n]*\n"
     r" +nan with the first thread first, 0\.226484 with the last thread first, nan with the threads in random order"),
    ("cuda_kl", KERNEL_ROUND + "    __syncthreads();\n", KERNEL_ROUND,
     r"a barrier is missing at line 42, `if[\s\S]*Two rounds of a loop[\s\S]*depends on the order"),
    ("cuda_kl", KERNEL_ROUND + "    __syncthreads();",
     "    if (t < half) {\n      part[t] += part[t + half];\n      __syncthreads();\n    }",
     r"not every thread comes to the barrier at line 44[\s\S]*32 of 64 have ended before it"),
    ("cuda_kl", "- 1 - lv;", "- 1 - lv;\n    __syncthreads();",
     r"threads wait at different barriers: thread 0 at line 38, `__syncthreads\(\);`\n.*thread 1 at line 41"),
    ("cuda_kl", "  float sum = 0;", "  if (t >= L) return;\n  float sum = 0;",
     r"not every thread comes to the barrier at line 41[\s\S]*no thread returns before it"),
    # one number, many threads
    ("cuda_kl", KERNEL_TAIL, "  if (t == 0) kl[row] = 0;\n  __syncthreads();\n  kl[row] += 0.5f * sum;\n",
     r"several threads of a block add to one entry of an array, at line 41, `kl\[row\] \+=[\s\S]*happen to give the same result"),
    ("cuda_kl", KERNEL_TAIL, "  kl[row] += 0.5f * sum;\n", r"reads kl before anything has been written to it, at line 39"),
    ("cuda_kl", KERNEL_TAIL, "  if (t == 0) kl[row] = 0;\n  __syncthreads();\n  atomicAdd(&kl[row], 0.5f * sum);\n",
     r"any order\n +kl\[\d\] is \S+ with the first thread first, and \S+ with the last[\s\S]*atomicAdd adds in the order"),
    ("cuda_kl", KERNEL_TAIL, "  kl[row] = 0.5f * sum;\n",
     r"several threads of a block write one entry[^\n]*line 39[\s\S]*the last one wins[\s\S]*depends on the order"),
    ("cuda_kl", "if (t == 0) kl", "kl", r"several threads of a block write one entry"),
    ("cuda_kl", KERNEL_TAIL, "  __shared__ float total;\n  if (t == 0) total = 0;\n  __syncthreads();\n  total += sum;\n"
     "  __syncthreads();\n  if (t == 0) kl[row] = 0.5f * total;\n", r"line 42, `total \+= sum;`[\s\S]*add to one number no barrier helps"),
    ("cuda_kl", KERNEL_TAIL, "  part[0] = sum;\n  __syncthreads();\n  if (t == 0) kl[row] = 0.5f * part[0];\n",
     r"several threads write one place of shared memory, at line 39"),
    ("cuda_kl", "kl[row] =", "kl[0] =", r"blocks 0 and 1 meet in one entry of kl, at line 45"),
    # columns and memory
    ("cuda_kl", KERNEL_LOOP, "if (t < L) {\n    const int j = t;", r"adds up only the first 64 columns.*\n.*has B = 2, L = 65"),
    ("cuda_kl", KERNEL_LOOP, "for (int k = 0; k < L; k += THREADS) {\n    const int j = k + t;",
     r"reads outside of every array, at line 37[\s\S]*B = 1, L = 1[\s\S]*has to ask whether"),
    ("cuda_kl", "j < L", "j <= L", r"reads outside of every array, at line 36"),
    ("cuda_kl", "if (t == 0) kl[row]", "kl[t]", r"writes outside of every array, at line 45"),
    ("cuda_kl", "part[t + half]", "part[t + THREADS]", r"index 64 is outside of an array float \[64\], at line 42"),
    ("cuda_kl", "  part[t] = sum;", "  if (t < L) part[t] = sum;",
     r"reads shared memory into which no thread has written, at line 42[\s\S]*also one without a column"),
    ("cuda_kl", "kl[row] = 0.5f * part[0]", "part[0] *= 0.5f", r"kl\[0\] is never written"),
    ("cuda_kl", "kl[row] = 0.5f * part[0]", "if (row == 0) kl[row] = 0.5f * part[0]", r"kl\[1\] is never written \(B = 3, L = 1\)"),
    ("cuda_kl", "mu[row * L + j], lv = logvar[row * L + j]", "mu[j], lv = logvar[j]", r"holds row 0 in every place"),
    # sums
    ("cuda_kl", "0.5f * part[0]", "0.5f * sum", r"holds only what thread 0 has added up"),
    ("cuda_kl", "THREADS / 2", "THREADS / 4", r"lacks the sums of the second half of the threads"),
    ("cuda_kl", "half > 0", "half > 1", r"lacks the sum of every second thread"),
    ("cuda_kl", "j < L", "j < L - 1", r"leaves out the last column"),
    ("cuda_kl", "0.5f * part[0]", "part[0]", r"kl is twice too large everywhere"),
    ("cuda_kl", "0.5f * part[0]", "-0.5f * part[0]", r"kl has the wrong sign everywhere"),
    ("cuda_kl", "- 1 - lv", "- lv", r"is not 0 for mu = 0 and variance 1: a constant is missing"),
    ("cuda_kl", "- 1 - lv", "- 1 + lv", r"has the wrong sign before logvar"),
    ("cuda_kl", "0.5f * part[0]", "0.5f * part[0] / L", r"too small by a factor of 200, which is L: a mean"),
    ("cuda_kl", KERNEL_BODY, "  const int row = blockIdx.x;\n  if (threadIdx.x > 0) return;\n  float sum = 0;\n"
     "  for (int j = row * L; j < row * L + L; ++j)\n    sum += mu[j] * mu[j] + exp(logvar[j]) - 1 - logvar[j];\n"
     "  kl[row] = sum / 2;  // no __shared__ needed\n", r"the result is right, but one thread"),
    ("cuda_kl", "__shared__ float part", "static float part", r"leave `static` out: on a GPU it is one variable for all blocks"),
    ("cuda_kl", "exp(lv) - 1", "exp(0.5f * lv) - 1", r"uses σ where σ² stands"),
    ("stages", "            dy = dy + dnext", "            dy = dnext",
     r"V2 holds only what later stages send: each stage has a loss of its own[\s\S]*right: V3, W3, C2, A2\. Start with V2"),
    ("stages", "            dy = dy + dnext @ p[f\"C{s}\"].T\n", "            pass\n",
     r"V2 holds only what the stage's own loss sends: y goes to the next"),
    ("stages", "            dh = dh + dnext @ p[f\"A{s}\"].T\n", "            pass\n",
     r"W2 lacks what comes back through A: h goes"),
    ("stages", "dx if s == 3 else dx + dnext", "dx", r"C1 lacks what comes back around the stage: x itself"),
    ("stages", "    grads, dnext = {}, None", "    cache, grads, dnext = {**cache}, {}, None\n    for s in (1, 2, 3):\n"
     "        cache[f'y{s}'] = cache['t'] + (cache[f'y{s}'] - cache['t']) / 3",
     r"V3 is a third of what it should be: the loss is a sum over the stages"),
    ("stages", "        dy = 2 * (y - cache[\"t\"]) / len(y)",
     "        dy = sum(2 * (cache[f'y{k}'] - cache['t']) for k in (1, 2, 3)) / len(y) if s == 3 else 0 * y",
     r"V3 has the losses of all stages sent through the last y"),
    ("stages", "    return grads",
     "    heads = sum(grads[f'V{s}'] for s in (1, 2, 3))\n    return grads | {f'V{s}': heads for s in (1, 2, 3)}",
     r"V3 is the sum over all three stages: each has a V of its own"),
    ("stages", "da = dh * (1 - h**2)", "da = dh", r"W3 lets everything through the tanh"),
    ("stages", " / len(y)", "", r"V3 is too large by a factor of 5, which is B"),
    ("stages", "    for s in (3, 2, 1):\n        x, h, y = cache[f\"x{s}\"], cache[f\"h{s}\"], cache[f\"y{s}\"]\n",
     "    for s in (3, 2, 1):\n        x, h, y = cache[f\"x{s}\"], cache[f\"h{s}\"], cache[f\"y{s}\"]\n"
     "        dnext = dnext if s == 3 else 0 * dnext\n", r"C2 is 0 everywhere"),
]  # fmt: skip


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """The layers on a text, in this process: as `check` does in another, where only time limits and crashes differ."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "student", raising=False)

    def run(name, text):
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        exam = Exam(Student(path))
        try:
            examine(exam, name)
        finally:
            sys.modules.pop("student", None)
        return Result(name, str(path), exam.findings)

    return run


def answered(name, old, new):
    text = solution(name)
    assert text.count(old) >= 1, f"{name}: the solution has no {old!r}"
    return text.replace(old, new)


def answer_lines(name):
    """The solution's lines of code that the stub does not have: what a student has to find."""
    given = {line.strip() for line in stub(name).splitlines()}
    return [line.strip() for line in solution(name).splitlines() if line.strip() not in given and len(line.strip()) > 12]


def leaks(name, text):
    """Right sides of the solution's assignments and returns that stand in a text."""
    found = []
    for line in answer_lines(name):
        code = re.sub(r"\s*#.*", "", line)
        right = re.sub(r"^(return|.*?[^=<>]=(?!=))\s*", "", code)
        if len(right) > 8 and right in text:
            found.append(right)
    return found


# Solutions, stubs, mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes_every_layer_and_is_recorded(name, tmp_path):
    path = tmp_path / f"{name}.py"
    path.write_text(solution(name), encoding="utf-8")
    result = check(path)
    assert result.ok, str(result)
    assert result.printed == ""
    assert "solved" in str(result)
    assert next(s for s in list_exercises(tmp_path) if s.name == name).state == "done"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_stub_is_to_do_and_nothing_is_given_away(name, judge):
    result = judge(name, stub(name))
    assert not result.ok
    assert result.passed == 0
    assert {f.status for f in result.findings} == {TODO, "not reached"}
    assert "is not written yet" in str(result)
    assert not leaks(name, str(result))


@pytest.mark.parametrize(("name", "old", "new", "words"), MISTAKES)
def test_a_typical_mistake_is_named_and_the_answer_is_not(name, old, new, words, judge):
    result = judge(name, answered(name, old, new))
    told = str(result)
    assert not result.ok
    assert any(f.status == WRONG for f in result.findings)
    assert re.search(words, told, re.MULTILINE), told
    mine = {line.strip() for line in answered(name, old, new).splitlines()}  # a student's own line may be shown to them
    shown = "\n".join(line for line in told.splitlines() if not any(m in line for m in mine if len(m) > 8))
    assert not leaks(name, shown)


def test_every_exercise_is_tested_with_two_mistakes():
    assert all(sum(m[0] == name for m in MISTAKES) >= 2 for name in NAMES)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("affine", "return x @ W + b", "return np.einsum('bi,io->bo', x, W) + b[None, :]"),
        ("relu", "np.where(x > 0, x, 0)", "np.maximum(x, 0)"),
        ("relu", "np.where(x > 0, dY, 0)", "dY * (x > 0)"),
        ("relu", "np.where(x > 0, x, 0)", "0.5 * (x + np.abs(x))"),
        ("sigmoid", "0.5 * (1 + np.tanh(0.5 * x))", "np.exp(-np.logaddexp(0, -x))"),
        ("bernoulli", "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a)))", "np.logaddexp(0, a)"),
        ("bernoulli", "np.sum(softplus(logits) - x * logits, axis=1)", "(x * softplus(-logits) + (1 - x) * softplus(logits)).sum(1)"),
        ("reparameterise", "np.exp(0.5 * logvar) * eps", "np.sqrt(np.exp(logvar)) * eps"),
        ("reparameterise", "return dz.copy(), ", "return dz, "),
        ("kl", "0.5 * np.sum(mu**2 + np.exp(logvar) - 1 - logvar, axis=1)", "-(1 + logvar - mu * mu - np.exp(logvar)).sum(-1) / 2"),
        ("dense", "        self.x = x\n", "        self.x, self.mask = x.copy(), None\n"),
        ("vae", "    return grads", "    return {name: grads[name] for name in p}"),
        ("adam", "v = beta2 * v + (1 - beta2) * g**2", "v = v + (1 - beta2) * (g * g - v)"),
        ("clipping", "g * (largest / norm) if norm > largest else g.copy()", "g * min(1.0, largest / max(norm, 1e-30))"),
        ("philox", "return c0, c1, c2, c3", "return [c0, c1, c2, c3]"),
        ("complex_step", "h = 1e-40", "h = 1e-20"),
        ("gradcheck", "np.random.default_rng(0).normal(size=f(x).shape)", "np.random.uniform(1, 2, f(x).shape)"),
        ("convolution", "np.tensordot(x[seen], dY, axes=([0, 1, 2], [0, 1, 2]))", "np.einsum('bhwi,bhwo->io', x[seen], dY)"),
        ("skip", "    dx = np.zeros_like(x)\n    dx[:, top : top + h, left : left + w] = dY[..., :channels]\n",
         "    after = x.shape[1] - h - top, x.shape[2] - w - left\n"
         "    dx = np.pad(dY[..., :channels], ((0, 0), (top, after[0]), (left, after[1]), (0, 0)))\n"),
        ("stages", "    grads, dnext = {}, None", "    grads, dnext = {}, 0 * cache['x1']"),
        ("cuda_kl", "- 1 - lv", "- (1.0 + lv)"),
        ("cuda_kl", "for (int half = THREADS / 2; half > 0; half /= 2) {\n" + KERNEL_ROUND + "    __syncthreads();\n  }",
         "if (t == 0)\n    for (int i = 1; i < blockDim.x; ++i) part[0] += part[i];"),
        ("cuda_kl", KERNEL_TAIL, "  for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);\n"
         "  if (t % 32 == 0) part[t] = sum;\n  __syncthreads();\n  if (t == 0) kl[row] = 0.5f * (part[0] + part[32]);\n"),
        ("cuda_kl", "    __syncthreads();\n  }", "    if (half > 32) __syncthreads();\n    else __syncwarp();\n  }"),
    ],
)
def test_another_right_answer_passes_too(name, old, new, judge):
    result = judge(name, answered(name, old, new))
    assert result.ok, str(result)


@pytest.mark.parametrize("name", NAMES)
def test_the_stub_differs_from_the_solution_in_its_bodies_only(name):
    def outline(text):
        tree = ast.parse(text)
        functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        return ast.get_docstring(tree), [
            (n.name, ast.unparse(n.args) if isinstance(n, ast.FunctionDef) else "", ast.get_docstring(n)) for n in functions
        ]

    assert outline(stub(name)) == outline(solution(name))
    assert outline(stub(name))[0]
    assert all(docstring for *_, docstring in outline(stub(name))[1])
    assert not leaks(name, stub(name))
    assert not leaks(name, "\n".join(task(name).HINTS))
    assert len(answer_lines(name)) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_stubs_cite_equations_that_exist_and_bring_their_hints(name):
    assert {int(number.removeprefix("E")) for number in task(name).EQUATIONS} <= set(equations())
    text = " ".join(re.sub(r"^#\s*", "", line) for line in stub(name).splitlines())
    for number in range(1, len(task(name).HINTS) + 1):
        said = hint(name, number)
        assert said.startswith(f"Hint {number} of ")
        assert " ".join(said.split()[4:]) in " ".join(text.split())


# The file as students write it --------------------------------------------------------------------------------------------


AFFINE = """import numpy as np


def affine(x, W, b):
    {}


def affine_backward(dY, x, W):
    return dY @ W.T, x.T @ dY, dY.sum(axis=0)
"""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return x @ W + c", r"NameError: name 'c' is not defined, at line 5 of affine\.py: `return x @ W \+ c`"),
        ("return x @ W.T + b", r"ValueError: matmul[\s\S]*when called with x \(1, 3\), W \(3, 1\), b \(1,\)"),
        ("return 'Y'", r"Y is not an array of numbers"),
        ("return [[1, 2], [3]]", r"Y is not an array of numbers"),
        ("raise SystemExit(3)", r"SystemExit: 3, at line 5"),
        ("return affine(x, W, b)", r"RecursionError"),
        ("return input('x? ')", r"Error"),
        ("return (x @ W + b).astype(complex)", r"Y is complex128 where the inputs are float64"),
        ("return x @ W * float('nan')", r"Y is NaN everywhere"),
        ("affine.n = getattr(affine, 'n', 0) + 1; return x @ W + b if affine.n < 13 else None", r"cannot be judged|Y is None"),
    ],
)
def test_errors_are_shown_with_the_students_own_line(body, words, judge):
    result = judge("affine", AFFINE.format(body))
    assert re.search(words, str(result)), str(result)
    assert "exercises/" not in str(result)  # none of our own lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def affine(x, W, b)\n    return x\n", r"not Python yet, at line 1 of affine\.py: `def affine\(x, W, b\)`"),
        ("import numpy as np\nimport nonumpy\n", r"nonumpy.*line 2 of affine\.py[\s\S]*while the file was being loaded"),
        ("", r"there is no affine in this file"),
        ("def affine_(x, W, b):\n    return x @ W + b\n", r"there is no affine in this file; there is affine_: is that the one\?"),
        ("affine = affine_backward = 3\n", r"affine should be a function and is int"),
        ("def affine(x, W):\n    return x @ W\n", r"affine\(x, W\) cannot be called as affine\(x, W, b\)"),
        ("affine = 1 / 0\n", r"ZeroDivisionError: division by zero, at line 1"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_why(text, words, judge):
    result = judge("affine", text)
    assert not result.ok
    assert re.search(words, str(result)), str(result)


def test_the_arrays_in_the_wrong_order_are_told_from_wrong_arrays(judge):
    result = judge("affine", answered("affine", "return dX, dW, db", "return dW, dX, db"))
    assert "not in its place: return 3 arrays, dX, dW, db" in str(result)
    result = judge("affine", answered("affine", "dX, dW, db\n", "dX, dW\n"))
    assert "should return 3 arrays, dX, dW, db, in this order; 2 came back" in str(result)


def test_the_derivative_is_measured_on_the_students_own_forward(judge):
    told = str(judge("kl", answered("kl", "None] * 0.5 * (np", "None] * 0.7 * (np")))
    assert re.search(r"dlogvar\[.*\]: your gaussian_kl has the slope \S+ there, by complex step; you wrote", told)
    told = str(judge("kl", answered("kl", "- 1 - logvar, axis=1)", "- 2 - logvar, axis=1)")))
    assert "gaussian_kl_backward: derivative  (until gaussian_kl: values passes)" in told


def test_the_smallest_case_that_fails_is_named(judge):
    told = str(judge("affine", answered("affine", "np.sum(dY, axis=0)", "dY[0]")))
    assert "the smallest case that fails has B = 3, I = 1, O = 1" in told  # one row has nothing to sum


def test_a_solution_may_use_another_of_the_folder(tmp_path):
    (tmp_path / "affine.py").write_text(solution("affine"), encoding="utf-8")
    text = solution("dense").replace("import numpy as np", "from affine import affine\nimport numpy as np")
    (tmp_path / "mine.py").write_text("# scratchvae exercise: dense\n" + text.replace("x @ self.W + self.b", "affine(x, self.W, self.b)"))
    assert check(tmp_path / "mine.py").ok


# The process of its own ---------------------------------------------------------------------------------------------------


def test_a_loop_that_never_ends_is_stopped_and_shown(tmp_path):
    path = tmp_path / "affine.py"
    path.write_text(AFFINE.format("while True:\n        b = b + 0"), encoding="utf-8")
    told = str(check(path, seconds=1))
    assert "still running after 1 seconds" in told
    assert re.search(r"it stood at line [56] of affine\.py: `", told)
    assert "affine: shapes and dtypes" in told


def test_a_loop_while_loading_is_stopped_too(tmp_path):
    path = tmp_path / "relu.py"
    path.write_text("print('hello')\nwhile True:\n    print('x' * 100)\n", encoding="utf-8")
    result = check(path, seconds=1)
    assert "relu.py: loading" in str(result)
    assert result.printed.startswith("hello\nxxx")
    assert len(result.printed) <= 2_000


def test_a_file_that_ends_python_keeps_what_was_found_before(tmp_path):
    path = tmp_path / "affine.py"
    path.write_text("import os\n" + answered("affine", "    dX = dY", "    os._exit(7)\n    dX = dY"), encoding="utf-8")
    result = check(path)
    assert "ended Python itself, with status 7" in str(result)
    assert [f.status for f in result.findings[:3]] == [OK] * 3
    assert not result.ok


def test_what_a_file_prints_is_shown_and_disturbs_nothing(tmp_path):
    path = tmp_path / "relu.py"
    text = answered("relu", "    return np.where(x > 0, x", "    print('σ =', x.shape)\n    return np.where(x > 0, x")
    path.write_text(text, encoding="utf-8")
    result = check(path)
    assert result.ok
    assert "Your file printed:\n  σ = (1, 1)" in str(result)


def test_a_folder_with_a_file_called_random_hides_nothing(tmp_path):
    (tmp_path / "random.py").write_text("raise RuntimeError('hidden')\n")
    (tmp_path / "numpy.py").write_text("raise RuntimeError('hidden')\n")
    (tmp_path / "relu.py").write_text(solution("relu"), encoding="utf-8")
    code = f"import os; os.chdir({str(tmp_path)!r}); from scratchvae.study.exercises import check; print(check('relu.py').ok)"
    assert subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "True"


# The kernel: what only it needs -------------------------------------------------------------------------------------------


def test_a_kernels_lines_are_the_files_lines_wherever_it_stands(judge):
    wrong = answered("cuda_kl", "float sum = 0;", "flaot sum = 0;")
    number = wrong.splitlines().index("  flaot sum = 0;") + 1
    assert f"refuses line {number}, `flaot sum = 0;`" in str(judge("cuda_kl", wrong))
    assert f"refuses line {number + 2}, `flaot sum = 0;`" in str(judge("cuda_kl", "import math\n\n" + wrong))


def test_a_kernel_that_reaches_far_away_or_never_ends_is_told_from_the_outside(tmp_path):
    path = tmp_path / "cuda_kl.py"
    path.write_text(answered("cuda_kl", "kl[row] =", "kl[row + 1000000000] ="), encoding="utf-8")
    assert "by a crash in compiled code" in str(check(path))
    path.write_text(answered("cuda_kl", "j += THREADS", "j += 0"), encoding="utf-8")
    assert "does a loop never end?" in str(check(path, seconds=5))


def test_without_a_compiler_one_line_names_what_to_install_and_no_try_is_counted(tmp_path, monkeypatch):
    path = start("cuda_kl", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"^running CUDA kernels on the CPU needs g\+\+ 12 or later: .*apt install g\+\+\)$"):
        check(path)
    assert [p.name for p in tmp_path.iterdir()] == ["cuda_kl.py"]


# The folder ---------------------------------------------------------------------------------------------------------------


def test_a_students_way(tmp_path):
    folder = tmp_path / "course"
    path = start("affine", folder)
    assert path == folder / "affine.py"
    assert [s.state for s in list_exercises(folder)[:2]] == ["started", ""]
    assert not check(path).ok
    path.write_text(answered("affine", "x.T @ dY", "dY.T @ x"), encoding="utf-8")
    result = check(path)
    assert "scratchvae exercise hint affine" in str(result)
    first = list_exercises(folder)[0]
    assert (first.state, first.tries, first.passed, first.layers) == ("started", 2, 3, 7)
    assert "started, 3 of 7 layers" in table(list_exercises(folder))
    path.write_text(solution("affine"), encoding="utf-8")
    result = check(path)
    assert f"Next: {task('relu').TITLE}. scratchvae exercise start relu {folder}" in str(result)
    assert f"1 of {len(NAMES)} done" in table(list_exercises(folder))
    kept = json.loads((folder / "progress.json").read_text())
    assert kept == {"format": "scratchvae exercises", "version": 1,
                    "exercises": {"affine": {"done": True, "tries": 3, "passed": 7, "layers": 7}}}  # fmt: skip
    assert sorted(p.name for p in folder.iterdir()) == ["affine.py", "progress.json"]
    assert json.loads(json.dumps(result.to_dict()))["ok"] is True
    assert json.loads(json.dumps([s.to_dict() for s in list_exercises(folder)]))[0]["state"] == "done"


def test_start_never_overwrites(tmp_path):
    path = start("kl", tmp_path)
    path.write_text("mine")
    with pytest.raises(RunFolderError, match="exists already"):
        start("kl", tmp_path)
    assert path.read_text() == "mine"
    with pytest.raises(RunFolderError, match="cannot be written"):
        start("kl", path / "below")


def test_unknown_names_and_files_are_refused_in_words(tmp_path):
    with pytest.raises(ConfigError, match="no exercise 'afine'; there are affine, relu"):
        start("afine", tmp_path)
    with pytest.raises(ConfigError, match="no exercise"):
        solution("x")
    with pytest.raises(ConfigError, match="hints 1 to 3, not 4"):
        hint("affine", 4)
    with pytest.raises(ConfigError, match="there is no file"):
        check(tmp_path / "affine.py")
    (tmp_path / "homework.py").write_text("# scratchvae exercise: \n")
    with pytest.raises(ConfigError, match="does not say which exercise"):
        check(tmp_path / "homework.py")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": "scratchvae exercises", "version": 2, "exercises": {}}', '{"format": 1}',
                '{"format": "scratchvae exercises", "version": 1, "exercises": {"affine": 3}}']
)  # fmt: skip
def test_unreadable_progress_is_left_alone(content, tmp_path):
    start("affine", tmp_path)
    (tmp_path / "progress.json").write_text(content)
    for action in (lambda: list_exercises(tmp_path), lambda: check(tmp_path / "affine.py")):
        with pytest.raises(DataError, match=r"progress\.json"):
            action()
    assert (tmp_path / "progress.json").read_text() == content


def test_a_check_that_keeps_nothing_writes_nothing(tmp_path):
    path = tmp_path / "relu.py"
    path.write_text(solution("relu"), encoding="utf-8")
    assert check(path, keep=False).ok
    assert [p.name for p in tmp_path.iterdir()] == ["relu.py"]


# The solutions are right by other means than the layers -------------------------------------------------------------------


def test_the_vae_solution_is_the_gradient_of_the_packages_own_vae():
    model = VAE(data_size=6, hidden=(5,), latent=2, seed=1).replica(np.float64)
    values = {name: p.value for name, p in model.parameters()}
    paths = {"W1": "encoder.0.W", "b1": "encoder.0.b", "W2": "encoder.2.W", "b2": "encoder.2.b",
             "W3": "decoder.0.W", "b3": "decoder.0.b", "W4": "decoder.2.W", "b4": "decoder.2.b"}  # fmt: skip
    random = np.random.default_rng(0)
    x, eps = random.random((4, 6)), random.normal(size=(4, 2))
    terms = model.forward(x, eps)
    model.descend(np.full(4, 1 / 4))
    p = {key: values[path] for key, path in paths.items()}
    loss, cache = vae_forward(p, x, eps)
    grads = vae_backward(p, cache)
    np.testing.assert_allclose(loss, sum(t.sum() for t in terms) / 4, rtol=1e-12)
    own = dict(model.parameters())
    for key, path in paths.items():
        np.testing.assert_allclose(grads[key], own[path].grad, rtol=1e-10, atol=1e-14)


def test_the_public_names_are_there():
    assert all(hasattr(exercises, name) for name in exercises.__all__)
