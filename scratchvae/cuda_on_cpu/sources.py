"""A kernel's source with the files it includes, as one text for g++."""

import re
from pathlib import Path

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"[ \t]*(?://.*)?$')
_DYNAMIC = re.compile(
    r"\bextern\s+__shared__\s+((?:(?:__align__|alignas)\s*\(\s*\d+\s*\)\s*)?)([\w:<>, ]+?)\s+(\w+)\s*\[\s*\]\s*;"
)
_ASM = re.compile(r"^(?P<before>(?:(?!//).)*?)\basm\s*(?:volatile\s*)?\(", re.MULTILINE)
_OPERAND = re.compile(r'("[=+]?[rlfn]")\s*\(((?:[^()]|\([^()]*\))*)\)')
_PLAIN_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+__launch_bounds__\s*\([^)]*\)|(?:__launch_bounds__\s*\([^)]*\)\s*)?void)'
    r"\s+(\w+)\s*\("
)


def flatten(source, include_dirs=()):
    """The text of `source` (a Path, or the code itself) with every #include "…" replaced by that file's text.

    Each file appears once. #line directives keep the compiler's and the sanitizers' reports at the original lines.
    `extern __shared__ T name[];`, which has no counterpart on the CPU, becomes CUDA_ON_CPU_DYNAMIC_SHARED(T, name);
    and inline PTX a call of include/ptx.hpp, which carries it out.
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
    return _emulated(_DYNAMIC.sub(r"CUDA_ON_CPU_DYNAMIC_SHARED(\2, \3);", text))


def _emulated(text):
    """Each asm statement of PTX as a call that does what the instruction does, on as many lines."""
    done, start = [], 0
    while found := _ASM.search(text, start):
        parts, end = _asm_parts(text, found.end())
        template, *operands = parts
        registers = [
            f"cuda_on_cpu::ptx_register({constraint}, {variable})"
            for part in operands[:2] for constraint, variable in _OPERAND.findall(part)
        ]  # fmt: skip
        lines = "\n" * text.count("\n", found.end("before"), end)
        call = f"cuda_on_cpu::run_ptx<cuda_on_cpu::parse_ptx({template.strip()})>"
        call = f"{call}(cuda_on_cpu::Site::here(), {{{', '.join(registers)}}})".replace("\n", " ")
        done += [text[start : found.end("before")], call, lines]
        start = end
    return "".join([*done, text[start:]])


def _asm_parts(text, start):
    """What stands between the colons of an asm statement, from behind its opening parenthesis; and where it ends."""
    parts, depth, quoted, at, begin = [], 0, False, start, start
    while depth >= 0:
        char = text[at]
        if char == '"' and text[at - 1] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += (char in "([{") - (char in ")]}")
            if depth < 0 or (char == ":" and depth == 0):
                parts.append(text[begin:at])
                begin = at + 1
        at += 1
    return parts, at


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
