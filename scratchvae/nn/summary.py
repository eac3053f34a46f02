"""The table that `model.summary()` returns."""

from .. import gate
from .arena import Kept


def summary(module, columns, rows):
    """Layers, output shapes, parameters and operations per training step, as text.

    columns: width of the input (models know their own) · rows: the batch size the operations are counted for. Shapes
    are read off one forward of a replica, so a module of your own appears without doing anything for it.
    """
    rows = gate.whole("rows", rows)
    twin = module.replica()
    twin.use(Kept(twin.backend.empty))  # so a Chain on a GPU goes layer by layer
    leaves = [(path, m) for path, m in twin.modules() if not list(m.children())]
    shapes = {}
    for path, leaf in leaves:
        leaf.forward = _recording(leaf.forward, shapes, path)  # an instance attribute, on the replica alone
    twin.forward(*map(twin.backend.put, twin.blank(columns)))

    called = list(shapes)
    leaves.sort(key=lambda named: called.index(named[0]) if named[0] in shapes else len(called))
    table = [("layer", "kind", "output", "parameters", "operations")]
    total = 0
    for path, leaf in leaves:
        count = sum(p.value.size for _, p in leaf.parameters())
        operations = leaf.operations(rows)
        total += operations or 0
        if path not in shapes and not count:  # such as the objective: forward does not call it
            continue
        shape = " ".join(
            "(B, " + ", ".join(map(str, one[1:])) + ")" if one[1:] else "(B,)" for one in shapes.get(path, ())
        )
        numbers = (f"{n:,}" if n else "" for n in (count, operations))
        table.append((path or "·", type(leaf).__name__, shape, *numbers))
    table.append(("total", "", "", f"{twin.buffer.values.size:,}", f"{total:,}"))

    widths = [max(len(row[i]) for row in table) for i in range(5)]
    lines = [
        "  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in table
    ]
    lines.insert(1, "─" * len(lines[0]))
    lines.insert(-1, "─" * len(lines[0]))
    note = f"operations: floating-point, one forward and backward of the matrix products at batch size B = {rows}"
    return "\n".join(line.rstrip() for line in [*lines, note])


def _recording(forward, shapes, path):
    def recorded(*arguments):
        y = forward(*arguments)
        shapes[path] = [part.shape for part in (y if isinstance(y, tuple) else (y,))]
        return y

    return recorded
