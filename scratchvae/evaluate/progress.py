"""The bar on the terminal, for what takes longer than one likes to wait in silence."""

from tqdm import tqdm


def bar(shown, total, **options):
    """A bar of so many images, on standard error where that is a terminal → a context manager"""
    disable = None if shown else True  # None: tqdm is quiet when standard error is not a terminal
    return tqdm(total=total, disable=disable, unit="images", unit_scale=True, dynamic_ncols=True, **options)
