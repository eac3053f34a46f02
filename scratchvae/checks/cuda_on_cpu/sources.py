"""A kernel's source with the files it includes, as one text for g++."""

import re
from pathlib import Path

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[ \t]*(?://.*)?$')
_DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+((?:(?:__align__|alignas)\s*\(\s*\d+\s*\)\s*)?)([\w:<>, ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
_PLAIN_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+__launch_bounds__\s*\([^)]*\)|(?:__launch_bounds__\s*\([^)]*\)\s*)?void)\s+(\w+)\s*\('
)


def flatten(source, include_dirs=()):
    """The text of `source` (a Path, or the code itself) with every #include "…" replaced by that file's text.

    Each file appears once. #line directives keep the compiler's and the sanitizers' reports at the original lines.
    `extern __shared__ T name[];`, which has no counterpart on the CPU, becomes CUDA_ON_CPU_DYNAMIC_SHARED(T, name);
    """
    seen = set()

    def expand(text, name, folder):
        lines = [f'#line 1 "{name}"']
        for number, line in enumerate(text.splitlines(), 1):
            include = _INCLUDE.match(line)
            if not include:
                lines.append(line)
                continue
            path = _find(include[1], [folder, *include_dirs] if folder else include_dirs, name, number)
            if path not in seen:
                seen.add(path)
                lines.append(expand(path.read_text(encoding="utf-8"), path, path.parent))
            lines.append(f'#line {number + 1} "{name}"')
        return "\n".join(lines)

    if isinstance(source, Path):
        source = source.resolve()
        seen.add(source)
        text = expand(source.read_text(encoding="utf-8"), source, source.parent)
    else:
        text = expand(source, "kernels.cu", None)
    return _DYNAMIC.sub(r"CUDA_ON_CPU_DYNAMIC_SHARED(\2, \3);", text)


def _find(name, folders, included_from, line):
    for folder in folders:
        path = (Path(folder) / name).resolve()
        if path.is_file():
            return path
    searched = ", ".join(str(folder) for folder in folders) or "nowhere: give include_dirs"
    raise FileNotFoundError(f'{included_from}:{line}: #include "{name}" not found (searched {searched})')


def plain_kernels(text):
    """The names of the kernels declared extern "C", which need no name expression."""
    return list(dict.fromkeys(_PLAIN_KERNEL.findall(text)))
