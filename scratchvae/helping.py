"""Whether several workers are faster than one, here and now: found by trying, again and again, since loads come and
go."""

TRIAL = 0.1  # seconds of steps in a trial: ten turns and more of a system's scheduler, so that bad luck evens out
SETTLING = 0.1  # seconds after a change that do not count: a system takes so long to spread processes over its cores
# the way in use is kept for so many times a trial's length, twice as many after each trial that it wins
FIRST, LAST = 4, 80
WORTH = 0.95  # of the time of one alone is what all together must take to be worth it: they take more of the machine


class Helping:
    """Which of two ways to take the next step: with all workers, or with the first alone, who then does every share.

    A small part of the time is spent on the way that is not in use. When it turns out better it becomes the way in use,
    so that a step takes hardly longer than the better of the two would, at any load, and nothing has to be known of the
    system.
    """

    def __init__(self):
        self.alone = self._trying = False
        self._usual, self._factor = 0.0, FIRST
        self._begin(TRIAL * FIRST)

    def took(self, seconds):
        """A step took so long, the way that `alone` says; afterwards `alone` says how to take the next one."""
        if self._uncounted >= 0:
            self._uncounted -= seconds
            return
        self._steps += 1
        self._seconds += seconds
        if self._seconds < self._span:
            return
        mean = self._seconds / self._steps
        if not self._trying:
            self._usual, self.alone = mean, not self.alone
            self._begin(TRIAL)
        else:
            alone, together = (mean, self._usual) if self.alone else (self._usual, mean)
            better = together > WORTH * alone  # whether it is better alone
            self._factor = FIRST if better == self.alone else min(2 * self._factor, LAST)
            self.alone = better
            self._begin(self._factor * self._seconds)
        self._trying = not self._trying

    def _begin(self, span):
        self._span, self._seconds, self._steps, self._uncounted = span, 0.0, 0, SETTLING
