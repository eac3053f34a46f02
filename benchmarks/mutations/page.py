"""docs/mutations.md: the table by room, and every survivor."""

from collections import Counter
from pathlib import Path

from scratchvae.files import write_text

from .rules import ROOT
from .trial import NOTICED, SURVIVED, TIMED_OUT

PAGE, EQUIVALENT = ROOT / "docs" / "mutations.md", Path(__file__).with_name("equivalent.txt")
BEGIN, END = "<!-- table: python -m benchmarks.mutations -->", "<!-- end of table -->"


def equivalent():
    """{key: reason} of mutations that change nothing that anyone could see."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def write_page(mutations, results):
    """Write the table into the page.   results: {key: result}"""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    write_text(PAGE, f"{before}{BEGIN}\n\n{table(mutations, results, equivalent())}\n\n{END}{after}")


def table(mutations, results, reasons):
    """The result as text: a row per room, what has not been tried, the survivors and the equivalent ones."""
    done = [m for m in mutations if m.key in results]
    verdict = {m.key: results[m.key]["verdict"] for m in done}
    verdict |= {key: "equivalent" for key, found in verdict.items() if found == SURVIVED and key in reasons}
    lines = ["| room | written | by rules | noticed | of these too slow | equivalent | survived | noticed, without the equivalent |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for room in [*sorted({m.room for m in done}), "all"]:
        here = [m for m in done if room in (m.room, "all")]
        kinds, told = Counter(m.rule == "written" for m in here), Counter(verdict[m.key] for m in here)
        seen = told[NOTICED] + told[TIMED_OUT]
        share = f"{100 * seen / (seen + told[SURVIVED]):.1f} %" if seen + told[SURVIVED] else ""
        numbers = kinds[True], kinds[False], seen, told[TIMED_OUT], told["equivalent"], told[SURVIVED], share
        lines.append(f"| {room} | {' | '.join(map(str, numbers))} |")
    tried = Counter(m.rule for m in done)
    lines += ["", f"Tried: {len(done)} of {len(mutations)} mutations ({', '.join(f'{rule} {n}' for rule, n in tried.most_common())})."]
    left = [m for m in mutations if m.key not in results]
    if left:
        rooms = Counter(m.room for m in left)
        lines.append(f"Not yet tried: {len(left)} ({', '.join(f'{room} {n}' for room, n in rooms.most_common())}).")
    alone = sum(1 for m in done if verdict[m.key] == SURVIVED and not results[m.key]["whole"])
    if alone:
        lines.append(f"Of the survivors {alone} met the tests that run their line, and not the rest of the suite, which may notice some.")
    for title, kind in (("Survivors", SURVIVED), ("Equivalent", "equivalent")):
        found = [m for m in done if verdict[m.key] == kind]
        lines += ["", f"## {title}", ""] if found else []
        for m in sorted(found, key=lambda m: (m.room, m.file, m.line)):
            reason = f": {reasons[m.key]}" if m.key in reasons else ""
            lines.append(f"- {m.room}, `{m.file.removeprefix('scratchvae/')}` {m.where and f'`{m.where}`'}: {_told(m)} ({m.key}){reason}")
    return "\n".join(lines)


def _told(m):
    """What the mutation does, for a reader."""
    if m.means:
        return m.means
    short = lambda text: f"`{' '.join(text.split())[:70].replace('`', ' ')}`" if text.strip() else "nothing"
    return f"{m.rule}, {short(m.old)} becomes {short(m.new)}"
