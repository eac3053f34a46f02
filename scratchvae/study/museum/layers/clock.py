"""Is a time the time that the work took? Asked of a make-believe device, whose work is known."""

KERNELS = [100.0] * 14  # microseconds


def clock(copy):
    """A step of fourteen kernels of 100 µs, one after the other, cannot take less than 1,400 µs."""
    museum = copy["study.museum.clock"]
    took = museum.time_step(museum.Device(), KERNELS)
    yield took >= sum(KERNELS), took, f"{sum(KERNELS):,.0f} µs of work on the make-believe device are timed as {took:,.0f} µs"
