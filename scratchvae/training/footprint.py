"""What a training run takes of memory, from its sizes alone."""

from ..evaluate.losses import BATCH
from ..memory import require


def check_footprint(model, moments, images, batch_size, shards):
    """Raise ConfigError, naming the sizes, when training with NumPy would need more memory than there is.

    An estimate: each shard has gradients of its own; the inputs and outputs of a matrix are kept for the way back, and
    so are their gradients; the images of a validation go forward only.   moments: of the optimiser
    """
    if model.backend.name != "numpy":
        return
    rows = min(batch_size, images)
    shards, each, P = min(shards, rows), model.dtype.itemsize, model.buffer.values.size
    widths = sum(sum(p.shape) for _, p in model.parameters() if len(p.shape) == 2)
    needs = {
        f"{moments} moments of {P:,} parameters": moments * P * each,
        f"gradients of {shards:,} shards": shards * P * each,
        f"batches of {rows:,}": 2 * rows * widths * each, "validation": BATCH * widths * each,
    }  # fmt: skip
    require(needs, "a smaller batch_size, fewer shards or a smaller model needs less")
