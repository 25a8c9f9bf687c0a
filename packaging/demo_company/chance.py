"""Chance that can be repeated: everything drawn follows from a seed.

Each part of the company draws from a source of its own, named by what it is
for, so that a change in one part leaves the others as they were.
"""

import random
import uuid


class Chance(random.Random):
    """A source of random choices for one purpose."""

    def __init__(self, *purpose: object) -> None:
        super().__init__("/".join(str(part) for part in purpose))

    def object_id(self) -> str:
        """An id in the form of a MongoDB ObjectId."""
        return f"{self.getrandbits(96):024x}"

    def job_id(self) -> str:
        """An id in the form of a UUID."""
        return str(uuid.UUID(int=self.getrandbits(128), version=4))

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random() < probability

    def weighted(self, table: list[tuple]) -> tuple:
        """A row of a table whose first column is its weight."""
        return self.choices(table, weights=[row[0] for row in table])[0]


class Deck:
    """Things that all come once, in a new order, before one comes again."""

    def __init__(self, things: list, chance: Chance) -> None:
        self._things = things
        self._chance = chance
        self._left: list = []

    def draw(self):
        """The next thing."""
        if not self._left:
            self._left = self._chance.sample(self._things, len(self._things))
        return self._left.pop()
