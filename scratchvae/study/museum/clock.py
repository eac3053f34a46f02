"""A make-believe accelerator with a clock of its own, for the one bug that needs a machine: timing without waiting.

As on a real one, a launch returns long before its work is done. Times are in microseconds and made up.
"""

LAUNCH = 4.0  # what it costs the host to hand over one piece of work


class Device:
    """`now` is the host's clock; the device works its queue off behind the host's back, until `busy_until`."""

    def __init__(self):
        self.now = self.busy_until = 0.0

    def launch(self, work):
        """Hand over a kernel that will take `work` microseconds, and go on at once."""
        self.now += LAUNCH
        self.busy_until = max(self.busy_until, self.now) + work

    def synchronise(self):
        """Wait until the device has nothing left to do."""
        self.now = max(self.now, self.busy_until)


def time_step(device, kernels):
    """Microseconds that these kernels take on the device.   kernels: the work of each"""
    device.synchronise()
    began = device.now
    for work in kernels:
        device.launch(work)
    device.synchronise()
    return device.now - began
