"""A disc that pushes a T about a table: the PushT of gym-pusht, moved by a script.

The table, the T's goal (green) and the view are the same in every episode. The script draws goals
for the disc, most of them beyond a point of the T, and moves the disc there.
"""

import os
from functools import cache

import numpy as np

from tfvrnn.simulators import FRAMES, SimulatorError

TABLE = 512.0  # side of the table, in the units of gym-pusht
SPEED = (8.0, 24.0)  # units per frame: 1 to 3 pixels of 64
THROUGH = (30.0, 120.0)  # how far a push leads beyond the point of the T that it aims at
AIMED = 0.85  # share of the goals that lead through the T
EDGE = 30.0  # least distance of a goal from the walls
WALLS = 90.0  # least distance of the T from the walls at the start
INNER = 130.0  # no push starts that would bring the T's middle nearer to a wall
REACH = 75.0  # a disc whose middle is this far from the T's does not touch the T
NEAR = (30.0, 120.0)  # from the T to the disc's middle at the start; the disc's radius is 15
TRIES = 20  # draws of a goal


def episode(size: int, key: list[int]) -> dict:
    """Simulate the episode of a key, see `Table.episode`; the table is made once per process."""
    return _table(size).episode(np.random.default_rng(key))


@cache
def _table(size):
    return Table(size)


class Table:
    """The simulated table with its disc and its T, seen from above.

    Args:
        size: side of the frames.

    Raises:
        SimulatorError: gym-pusht is not installed, or lacks a system library.
    """

    def __init__(self, size: int):
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import cv2  # pyright: ignore[reportMissingImports]
            from gym_pusht.envs.pusht import PushTEnv  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise SimulatorError(f"the extra sim is not installed: {error}") from None
        except ImportError as error:  # OpenCV lacks a system library
            raise SimulatorError(f"gym-pusht cannot be loaded: {error}") from None
        self.cv2, self.size = cv2, size
        side = int(TABLE)
        self.env = PushTEnv("pixels", observation_width=side, observation_height=side)

    def episode(self, rng: np.random.Generator) -> dict:
        """Simulate an episode of 30 frames.

        Action t leads from frame t to frame t + 1. It is the point that the disc is drawn to,
        (x, y) from -1 to 1 over the table. The state is (x, y) of the disc and (x, y, angle) of the
        T, in the units of gym-pusht.

        Returns:
            {'video': uint8 `[30, size, size, 3]`, 'actions': float32 `[30, 2]`, 'state': float32
            `[30, 5]`}.
        """
        self._place(rng)
        script = Script(rng, self._disc())
        frame, frames, actions, states = self.env.get_obs(), [], [], []
        for _ in range(FRAMES):
            frames.append(self._averaged(frame))
            states.append([*self._disc(), *self.env.block.position, self.env.block.angle])
            target = script.target(self._disc(), self._corners())
            actions.append(target / (TABLE / 2) - 1.0)
            frame = self.env.step(target)[0]  # after 10 steps of physics, 0.1 s
        return {
            "video": np.stack(frames),
            "actions": np.array(actions, np.float32),
            "state": np.array(states, np.float32),
        }

    def _place(self, rng) -> None:
        """Lay the T within the walls, and the disc beside it."""
        self.env.reset(seed=0)  # builds the table; the places are drawn below
        block, disc = self.env.block, self.env.agent
        while True:
            block.angle = rng.uniform(-np.pi, np.pi)
            block.position = tuple(rng.uniform(EDGE, TABLE - EDGE, 2))
            if _within(self._corners(), WALLS):
                break
        self.env.space.reindex_shapes_for_body(block)
        while True:
            disc.position = tuple(rng.uniform(EDGE, TABLE - EDGE, 2))
            away = min(shape.point_query(disc.position).distance for shape in block.shapes)
            if NEAR[0] <= away <= NEAR[1]:
                break
        self.env.space.reindex_shapes_for_body(disc)

    def _disc(self) -> np.ndarray:
        return np.array(self.env.agent.position)

    def _corners(self) -> np.ndarray:
        """Return the corners of the T's two rectangles, `[2, 4, 2]`."""
        block = self.env.block
        shapes = sorted(block.shapes, key=lambda shape: shape.area)  # pymunk has them in a set
        return np.array([[block.local_to_world(v) for v in s.get_vertices()] for s in shapes])

    def _averaged(self, frame) -> np.ndarray:
        """Average a frame down to its size, so that motion of less than a pixel shows."""
        sides = (self.size, self.size)
        return self.cv2.resize(frame, sides, interpolation=self.cv2.INTER_AREA)


class Script:
    """Moves the disc along straight lines to goals, with a new random speed for each goal.

    Args:
        rng: generator of the episode.
        disc: place of the disc at the start.
    """

    def __init__(self, rng: np.random.Generator, disc: np.ndarray):
        self.rng, self.hand, self.goal, self.speed = rng, disc, disc, 0.0

    def target(self, disc: np.ndarray, corners: np.ndarray) -> np.ndarray:
        """Return the next target `[2]` of the disc, given its place and the corners of the T."""
        if np.array_equal(self.hand, self.goal):
            self.goal = self._next_goal(disc, corners)
            self.speed = self.rng.uniform(*SPEED)
        way = self.goal - self.hand
        left = np.linalg.norm(way)
        self.hand = self.goal if left <= self.speed else self.hand + way * (self.speed / left)
        return self.hand

    def _next_goal(self, disc, corners) -> np.ndarray:
        """Draw a goal beyond the T, or, now and then, one that avoids it.

        A push that leads out is drawn again. If every draw leads out, the disc first moves to the
        T's far side.
        """
        rng, middle = self.rng, corners.mean(axis=(0, 1))
        if rng.random() < AIMED:
            for _ in range(TRIES):
                point = rng.dirichlet(np.ones(4)) @ corners[rng.integers(2)]
                way = (point - disc) / max(np.linalg.norm(point - disc), 1.0)
                through = rng.uniform(*THROUGH)
                goal, pushed = point + through * way, middle + through * way
                inward = (way @ (TABLE / 2 - middle)) > 0.5 * np.linalg.norm(TABLE / 2 - middle)
                if _within(goal, EDGE) and (inward or _within(pushed, INNER)):
                    return goal
        for _ in range(TRIES):
            goal = rng.uniform(EDGE, TABLE - EDGE, 2)
            if _passes(disc, goal, middle) and (middle - goal) @ (TABLE / 2 - middle) > 0:
                break
        return goal


def _within(points, margin: float) -> bool:
    """Return whether all points lie at least `margin` from the walls."""
    return bool((np.abs(points - TABLE / 2) <= TABLE / 2 - margin).all())


def _passes(start, end, middle) -> bool:
    """Return whether a straight path keeps clear of the T around `middle`."""
    way = end - start
    nearest = start + way * np.clip((middle - start) @ way / max(way @ way, 1.0), 0.0, 1.0)
    return bool(np.linalg.norm(nearest - middle) > REACH)
