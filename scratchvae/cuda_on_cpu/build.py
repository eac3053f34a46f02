"""g++ turns kernels into a library; libraries are kept by the hash of all that went into them."""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..errors import BackendError, KernelError
from ..files import replacing

NEEDS = "running CUDA kernels on the CPU needs"
INCLUDE = Path(__file__).parent / "include"
LINKER_SCRIPT = Path(__file__).with_name("shared_memory.ld")

FLAGS = (
    *("-std=c++20", "-O1", "-march=native", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing"),
    # else it depends on the processor which products and sums become one rounding, and so do the bits
    "-ffp-contract=off",
    "-fdata-sections",  # shared_memory.ld
    *("-Wno-unknown-pragmas", "-Wno-attributes"),
    "-ftrivial-auto-var-init=pattern",  # a register that is read before it is written holds −1.7e38, not a lucky 0
    *("-gdwarf-4", "-g1"),  # lines alone; in DWARF 5, g++ 12 and addr2line take one file for another
)
# checks that include/reports.hpp answers itself, as races.hpp answers those of "races"
ANSWERED = "-fsanitize=alignment,null,bounds"
SANITIZERS = {
    None: (ANSWERED,),
    "asan": ("-fsanitize=address,undefined", "-fno-sanitize=vptr", "-fsanitize-recover=address,undefined"),
    "tsan": ("-fsanitize=thread",),
    # -Og keeps every access where the source says
    "races": (ANSWERED, "-Og", "-fsanitize=thread", "-U__SANITIZE_THREAD__", "-DCUDA_ON_CPU_RACES"),
}
RUNTIME = {"asan": "libasan.so", "tsan": "libtsan.so"}


class BuildError(KernelError):
    """g++ refused the kernels."""


def build(text, sanitizer, options=()):
    """The path of a shared library made from `text`, from the cache if it is there."""
    command = [compiler(), *FLAGS, *SANITIZERS[sanitizer], *options]
    key = hashlib.sha256("\0".join([text, *map(str, command), _fingerprint()]).encode()).hexdigest()[:20]
    # by their content in the key, not by their place: checkouts share the cache
    command += [f"-I{INCLUDE}", f"-I{INCLUDE / 'cuda'}"]
    folder = cache_folder()
    library = folder / f"{key}.so"
    if library.exists():
        return library
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        source, objects = (Path(work) / name for name in ("kernels.cpp", "kernels.o"))
        source.write_text(text, encoding="utf-8")
        _run([*command, "-c", source, "-o", objects])
        # Linked with -fsanitize only where the sanitizer's own library answers: else reports.hpp and races.hpp stand in
        # for it.
        answered = SANITIZERS[sanitizer] if sanitizer in RUNTIME else ()
        link = [compiler(), "-shared", "-fuse-ld=bfd", f"-Wl,-T,{LINKER_SCRIPT}", *answered]
        with replacing(library) as made:
            _run([*link, objects, "-o", made])
    return library


def cache_folder():
    """Outside the repository: $SCRATCHVAE_CUDA_ON_CPU_CACHE, else the user's cache folder. It may be deleted at any
    time."""
    given = os.environ.get("SCRATCHVAE_CUDA_ON_CPU_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scratchvae" / "cuda_on_cpu"


@functools.cache
def compiler():
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise BackendError(f"{NEEDS} Linux on x86-64, not {platform.system()} on {platform.machine()}")
    path = shutil.which("g++")
    if path is None:
        raise BackendError(f"{NEEDS} g++ 12 or later: install it (Debian and Ubuntu: apt install g++)")
    version = _run([path, "-dumpversion"]).strip()
    if int(version.split(".")[0]) < 12:
        raise BackendError(f"{NEEDS} g++ 12 or later: {path} is {version}")
    return path


def places(library, offsets):
    """The source lines, as "affine.cu:12", of offsets (hexadecimal) into a library's code."""
    said = _run(["addr2line", "-s", "-e", library, *offsets])  # comes with g++
    return [line.split(" (")[0] for line in said.splitlines()]


@functools.cache
def _fingerprint():
    """What the command line does not say: the harness's own files, the compiler's version and this CPU
    (-march=native)."""
    digest = hashlib.sha256()
    for part in (*sorted(INCLUDE.rglob("*.h*")), LINKER_SCRIPT):
        digest.update(part.read_bytes())
    digest.update(_run([compiler(), "-march=native", "-Q", "--help=target"]).encode())
    digest.update(_run([compiler(), "--version"]).encode())
    return digest.hexdigest()


def _run(command):
    # In a sanitised process g++ itself must start without the sanitizer's library. LC_ALL: its messages are read by
    # programs too.
    environment = {**{name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}, "LC_ALL": "C"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise BuildError(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout
