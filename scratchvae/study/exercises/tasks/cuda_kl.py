"""cuda_kl: a CUDA kernel, run on the CPU in several orders of its threads: a kernel that is right in one order may be wrong in the next."""

import ast
import re
from functools import cached_property

import numpy as np

from ....checks.diagnose import agrees, diagnose
from ....cuda_on_cpu import SCHEDULES, BuildError, CpuModule, poison
from ....cuda_on_cpu.build import compiler
from ....cuda_on_cpu.sources import plain_kernels
from ....errors import KernelError
from ..exam import Wrong
from ..student import TOKEN
from .draws import draw
from .kl import kl, known_forward

TITLE = "the KL as a CUDA kernel"
EQUATIONS = ("E15",)
WRITE = ()  # stub.py empties the kernel
HINTS = (
    "Three parts. Each thread adds up some columns of its block's row, in a variable of its own. Then it puts its sum where the "
    "others can read it. Then 64 sums become one, which one thread writes. Get the first part right for a row of one column: "
    "the thread that has it may write the result.",
    "Thread 0 takes columns 0, 64, 128, …, thread 1 takes 1, 65, 129, …, for as long as there are columns. A thread for which "
    "there is none has a sum too, namely 0, and the others will read it.",
    "64 sums become 32 when each of the first 32 threads adds, to its own, the one that stands 32 places further on; then 16, 8, "
    "4, 2, 1. In every round, what is read was written by another thread in the round before: think of where the barrier "
    "stands, and that the threads which have nothing to add must come to it as well.",
)
NAME, PARAMETERS = "gaussian_kl", ("mu", "logvar", "kl", "L")
THREADS = 64  # in a block
TYPES = ["*f4", "*f4", "*f4", "i4"]
SIZES = [(1, 1), (3, 1), (1, 3), (3, 5), (2, 63), (2, 64), (2, 65), (3, 200)]  # (B, L): around a block, and far beyond
TOLERANCE = 1e-5  # float32 holds seven digits; two may go in a sum
ORDERS = {"forward": "the first thread first", "reverse": "the last thread first", "random": "the threads in random order"}

_AT = rf"{TOKEN}:(\d+)"
_RACE = re.compile(rf"race: thread (\d+) of block (\d+) (reads|writes), at {_AT}, the (shared|global) memory "
                   rf"that thread (\d+) of block (\d+) (reads|writes) at {_AT}")  # fmt: skip
_UNWRITTEN = re.compile(rf"thread (\d+) of block (\d+) reads, at {_AT}, (shared|global) memory that nothing")
_OUTSIDE = re.compile(rf"thread (\d+) of block (\d+) (reads|writes), at {_AT}, outside")
_LEFT_OUT = re.compile(rf"(\d+) of (\d+) threads ended before the barrier at {_AT}")
_PARTED = re.compile(rf"thread (\d+) at {_AT}, thread (\d+) at {_AT}")
_INDEX = re.compile(rf"{_AT}: index (-?\d+) is out of range for '(.*)'")


class Kernel:
    """The student's kernel, watched: races are seen, and memory that nobody has written."""

    def __init__(self, student):
        self.student, self.text, self.bare, self.start = student, "", "", 1

    @property
    def code(self):
        return f'#line {self.start} "{TOKEN}"\n{self.text}'

    @cached_property
    def plain(self):
        """It again, and not watched: what it computes in spite of its faults."""
        return CpuModule(self.code).get_function(NAME)

    def build(self):
        text = self.student.namespace.get("KERNEL")
        if not isinstance(text, str):
            raise Wrong("there is no KERNEL in this file: the text of the kernel, in quotes")
        bare = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
        if NAME not in plain_kernels(bare):
            raise Wrong(f'KERNEL holds no kernel {NAME}: keep the line `extern "C" __global__ void {NAME}(…) {{` that it came with')
        if re.search(r"\bstatic\b", bare):
            raise Wrong("leave `static` out: on a GPU it is one variable for all blocks; one of a block's is declared with __shared__")
        if re.search(rf"{NAME}\s*\([^)]*\)\s*{{\s*}}", bare):
            raise Wrong(f"{NAME} is not written yet: nothing stands between its braces",
                        "Begin with one thread's work: which columns of its block's row does it add up?", todo=True)  # fmt: skip
        self.text, self.bare, self.start = text, bare, _line_of_kernel(self.student.lines)
        try:
            self.watched = CpuModule(self.code, sanitizer="races").get_function(NAME)
        except BuildError as error:
            raise Wrong(*self._refused(str(error))) from None
        except FileNotFoundError:  # of an #include
            raise Wrong('leave `#include "…"` out: the kernel needs no other file') from None
        if self.watched.parameters != TYPES:
            raise Wrong(f"{NAME} has other parameters than it came with: const float* mu, const float* logvar, float* kl, int L")

    def run(self, function, B, L, schedule, seed=1):
        """kl (B,) as the kernel leaves it. Raises KernelError."""
        mu, logvar = case(B, L)
        out = poison(np.empty(B, np.float32))
        function.module.set_schedule(schedule, seed)
        function((B,), (THREADS,), (mu, logvar, out, np.int32(L)))
        return out

    def threads(self):
        """Each thread's every access, in all orders: the fault that tells most, of the smallest case that has one."""
        for B, L in SIZES:
            faults = []
            for schedule in SCHEDULES:
                try:
                    self.run(self.watched, B, L, schedule)
                except KernelError as fault:
                    faults.append(str(fault))
            if faults:
                kinds = (_LEFT_OUT, _PARTED, _RACE, _UNWRITTEN, _OUTSIDE, _INDEX)
                found = next((m for kind in kinds for fault in faults if (m := kind.search(fault))), faults[0])
                raise Wrong(*self._explain(found, B, L))
        return f"{len(SIZES)} cases, each in {len(SCHEDULES)} orders"

    def values(self):
        failing = []
        for B, L in SIZES:
            expected, got = reference(B, L), self.run(self.watched, B, L, "forward")
            unwritten = np.flatnonzero(got.view(np.uint32) == 0xFFFFFFFF)
            if len(unwritten):
                raise Wrong(f"kl[{unwritten[0]}] is never written (B = {B}, L = {L})",
                            "One thread of each block has to write the entry of its row.")  # fmt: skip
            if not agrees(expected, got, TOLERANCE):
                failing.append((B, L, expected, got))
        if failing:
            B, L, expected, got = failing[-1]
            words = diagnose(expected, got, {"B": B, "L": L}, known(B, L), TOLERANCE) or "is wrong, and like none of the usual mistakes"
            B, L, expected, got = failing[0]
            worst = int(np.argmax(np.nan_to_num(np.abs(got - expected), nan=np.inf)))
            raise Wrong(f"kl {words}", f"  the smallest case that fails has B = {B}, L = {L}; "
                        f"there kl[{worst}] is {got[worst]:.6g} and should be {expected[worst]:.6g}")  # fmt: skip
        return f"{len(SIZES)} cases, L = {', '.join(str(L) for L in sorted({L for _, L in SIZES}))}"

    def any_order(self):
        """The same bits. A sum whose order follows the threads' differs in its last digits."""
        for B, L in SIZES:
            first = self.run(self.watched, B, L, "forward")
            for schedule, seed in (("reverse", 1), *(("random", seed) for seed in range(1, 4))):
                other = self.run(self.watched, B, L, schedule, seed)
                i = int(np.argmax(first.view(np.uint32) != other.view(np.uint32)))
                if first[i] != other[i]:
                    raise Wrong(f"kl[{i}] is {first[i]:.9g} with {ORDERS['forward']}, and {other[i]:.9g} with {ORDERS[schedule]} "
                                f"(B = {B}, L = {L})", "So a run could not be repeated bit for bit. atomicAdd adds in the order "
                                "in which threads happen to come: give every addition its place.")  # fmt: skip
        return "the same bits in each"

    def shared_work(self):
        """Threads of a block can hand numbers to one another by shared memory and shuffles only."""
        if not re.search(r"__shared__|__shfl_", self.bare):
            raise Wrong("the result is right, but one thread of each block has added it all up while 63 looked on",
                        "Let each thread add up some of the columns, and put the sums together in shared memory.")  # fmt: skip

    # Words ------------------------------------------------------------------------------------------------------------

    def _line(self, number):
        """'line 17, `sum += m * m;`'"""
        lines = self.text.splitlines()
        inside = 0 <= int(number) - self.start < len(lines)
        return f"line {number}" + (f", `{lines[int(number) - self.start].strip()[:100]}`" if inside else "")

    def _refused(self, said):
        """The compiler's first error, in a line or two."""
        message = re.search(r"error: (.*)", said)
        place = re.search(rf"{_AT}:", said)
        yield f"the compiler refuses {self._line(place[1]) if place else 'the kernel'}"
        yield f"  it says: {(message[1] if message else said.strip().splitlines()[-1]).replace(TOKEN, self.student.path.name)[:300]}"
        if message and "expected '}'" in message[1]:
            yield "  Is a brace that was opened never closed?"

    def _explain(self, found, B, L):
        """Lines on a fault: a match of one of the patterns above, or its text."""
        if isinstance(found, str):
            for i, name in enumerate(PARAMETERS):
                found = found.replace(f"argument {i}", name)
            yield found.replace(TOKEN, self.student.path.name)
        elif found.re is _LEFT_OUT:
            ended, threads, line = found.groups()
            yield f"not every thread comes to the barrier at {self._line(line)}"
            yield f"  {ended} of {threads} have ended before it; on a GPU the others might wait for ever. A barrier stands outside of"
            yield "  any `if`, and of any loop, that only some of the threads go through; and no thread returns before it."
        elif found.re is _PARTED:
            one, its, other, others = found.groups()
            yield f"threads wait at different barriers: thread {one} at {self._line(its)}"
            yield f"  and thread {other} at {self._line(others)}"
            yield "  Every thread has to come to the same one: it stands outside of any `if`, and of any loop, that only some go through."
        elif found.re is _UNWRITTEN:
            thread, _, line, memory = found.groups()
            what = "shared memory into which no thread has written" if memory == "shared" else "kl before anything has been written to it"
            yield f"reads {what}, at {self._line(line)}"
            yield f"  in thread {thread}, for L = {L}. Memory starts with garbage (here: NaN)" + (
                f". Does every one of the {THREADS} threads write its sum, also one without a column?" if memory == "shared" else ""
            )
        elif found.re is _OUTSIDE:
            thread, block, does, line = found.groups()
            yield f"{does} outside of every array, at {self._line(line)}"
            yield f"  thread {thread} of block {block}, for B = {B}, L = {L}: columns end at {L - 1}, entries of kl at {B - 1}"
            yield "  Before it touches a column, a thread has to ask whether there is such a column."
        elif found.re is _INDEX:
            line, index, array = found.groups()
            yield f"index {index} is outside of an array {array}, at {self._line(line)}"
        else:
            yield from self._race(*found.groups())
        if getattr(found, "re", None) is _RACE:
            yield from self._outcomes()

    def _race(self, one, block, does, line, memory, other, others_block, did, others_line):
        same = line == others_line
        at = self._line(line)
        if block != others_block:
            yield f"blocks {others_block} and {block} meet in one entry of kl, at {at}"
            yield "  Each block has a row of its own, and so an entry of its own."
        elif memory == "global":
            adds = "reads" in (does, did)
            yield f"several threads of a block {'add to' if adds else 'write'} one entry of an array, at {at}"
            if adds:
                yield "  Nothing orders them: two may read the same old value before either writes, and one sum is lost. Put the"
                yield "  threads' sums together in shared memory, and let one thread write the result."
            else:
                yield "  Nothing orders them, and the last one wins: let one thread write the result."
        elif does == did:
            yield f"several threads write one place of shared memory, at {at}: give each thread a place of its own"
        elif same:
            yield f"a barrier is missing at {at}"
            yield f"  There thread {one} {does} what thread {other} {did}, and nothing says which comes first. Two rounds of a loop need a"
            yield "  `__syncthreads()` between them. Where all threads add to one number no barrier helps: give each a place of its own."
        else:
            first, second = sorted((int(line), int(others_line)))
            yield f"a barrier is missing between line {first} and line {second}"
            for thread, what, number in sorted(((other, did, others_line), (one, does, line)), key=lambda a: int(a[2])):
                yield f"  thread {thread} {what} at {self._line(number)}"
            yield "  Both mean the same place in shared memory, and nothing says which of the two comes first."

    def _outcomes(self):
        """What a race means: the smallest case whose result depends on the order of the threads."""
        for B, L in SIZES:
            try:
                results = {order: self.run(self.plain, B, L, schedule) for schedule, order in ORDERS.items()}
            except KernelError:  # another fault, which the plain run sees too: it is told when the race is gone
                return
            first, *others = results.values()
            differs = np.flatnonzero([~np.isclose(first, other, rtol=TOLERANCE, equal_nan=True) for other in others]) % B
            if len(differs):
                i = differs[0]
                yield f"  So the result depends on the order (B = {B}, L = {L}): kl[{i}] should be {reference(B, L)[i]:.6g}, and is"
                yield "  " + ", ".join(f"{result[i]:.6g} with {order}" for order, result in results.items())
                return
        yield "  The orders tried here happen to give the same result. On a GPU it need not be so."


def case(B, L):
    """mu, logvar (B, L), float32, which the kernel may not write to."""
    arrays = [draw(number, B, L).astype(np.float32) for number in (1, 2)]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def reference(B, L):
    return kl(*(array.astype(np.float64) for array in case(B, L)))


def known(B, L):
    """Typical mistakes: of the formula, and of who adds up what."""
    mu, logvar = (array.astype(np.float64) for array in case(B, L))
    terms = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
    parts = np.stack([terms[:, t::THREADS].sum(axis=1) for t in range(THREADS)], axis=1)  # of each thread
    return [
        (parts[:, 0], "holds only what thread 0 has added up: the other threads' sums are missing"),
        (terms[:, :THREADS].sum(axis=1), f"adds up only the first {THREADS} columns: a thread has to go on while there are more"),
        (parts[:, : THREADS // 2].sum(axis=1), "lacks the sums of the second half of the threads: how many add in the first round?"),
        (parts[:, ::2].sum(axis=1), "lacks the sum of every second thread: is the last round missing, with one thread?"),
        (terms[:, :-1].sum(axis=1), "leaves out the last column of each row"),
        (np.full(B, terms[0].sum()), "holds row 0 in every place: the row of a block begins at blockIdx.x * L"),
        *known_forward(mu, logvar)["kl"],
    ]  # fmt: skip


def _line_of_kernel(lines):
    """The line of the file on which the text of KERNEL begins; 1 where it is not written as one text."""
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and "KERNEL" in map(ast.unparse, node.targets):
            return node.value.lineno
    return 1


def examine(exam):
    compiler()  # without one no layer can be judged: BackendError
    kernel = Kernel(exam.student)
    layers = [("compiles", kernel.build), ("barriers and memory", kernel.threads), ("values", kernel.values),
              ("any order", kernel.any_order), ("shared work", kernel.shared_work)]  # fmt: skip
    for layer, body in layers:
        exam.layer(NAME, layer, body, exam.failed(NAME))
