"""A simulated robot arm that pushes objects about a table, rendered with MuJoCo.

Source: the Fetch robot of gymnasium-robotics (`FetchPush`), with one to three objects of random
size and colour, and a random policy. Camera, light and table are random too, or the same
in every episode.
"""

import inspect
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from tfvrnn.simulators import FRAMES, SimulatorError

SHAPES = ("box", "cylinder", "ellipsoid")
MOST_OBJECTS = len(SHAPES)
TABLE, TABLE_HEIGHT = (1.3, 0.75), 0.4
REACH = 0.15  # metres around the table's middle where objects lie at the start
ABSENT = (0.2, 2.5)  # place beside the table where unused objects wait
HOLD = (2, 6)  # least and most frames that an action is kept
FIXED_TABLE = (0.55, 0.50, 0.45)  # colour of the table in the fixed scene
FIXED_MIDDLE = (1.28, 0.75)  # point that the fixed camera looks at
FIXED_VIEW = (0.85, 180.0, -50.0)  # the camera's distance, azimuth and elevation: facing the robot
FIXED_LIGHT = 0.7
OVERSAMPLING = 2  # rendered larger and averaged: MuJoCo's own smoothing is coarse at 64 pixels


def episode(fixed: bool, size: int, key: list[int]) -> dict:
    """Simulate the episode of a key, see `Scene.episode`; the scene is made once per process."""
    return _scene(size, fixed).episode(np.random.default_rng(key))


@cache
def _scene(size, fixed):
    return Scene(size, fixed)


class Scene:
    """The simulated robot, its table and objects, and a camera.

    Args:
        size: side of the frames.
        fixed: one camera, light and colour of the table for all episodes.

    Raises:
        SimulatorError: a simulator is not installed, or cannot draw here.
    """

    def __init__(self, size: int, fixed: bool = False):
        os.environ.setdefault("MUJOCO_GL", "egl")  # draws without a screen
        try:
            import mujoco  # pyright: ignore[reportMissingImports]
            from gymnasium_robotics.envs.fetch import fetch_env  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise SimulatorError(f"the extra sim is not installed: {error}") from None
        except RuntimeError as error:
            raise SimulatorError(str(error)) from None
        self.mujoco, self.size, self.fixed = mujoco, size, fixed
        start: dict[str, Any] = {f"robot0:slide{k}": x for k, x in enumerate((0.405, 0.48, 0.0))}
        for k in range(MOST_OBJECTS):
            start[f"object{k}:joint"] = [*ABSENT, 0.1 + 0.1 * k, 1.0, 0.0, 0.0, 0.0]
        with tempfile.TemporaryDirectory() as folder:
            self.env = fetch_env.MujocoFetchEnv(
                model_path=str(_write_model(Path(folder))),
                has_object=False,
                block_gripper=True,
                n_substeps=20,
                gripper_extra_height=0.0,
                target_in_the_air=False,
                target_offset=0.0,
                obj_range=0.15,
                target_range=0.15,
                distance_threshold=0.05,
                initial_qpos=start,
                reward_type="sparse",
            )
        self.model, self.data = self.env.unwrapped.model, self.env.unwrapped.data
        # Hide the task's goal and the handle that moves the gripper.
        self.model.site_rgba[:, 3] = 0.0
        self.model.geom_rgba[self.model.geom_bodyid == self.model.body("robot0:mocap").id, 3] = 0.0
        side = size * OVERSAMPLING
        try:
            self.renderer = mujoco.Renderer(self.model, side, side)
        except Exception as error:
            drawing = os.environ["MUJOCO_GL"]
            raise SimulatorError(
                f"MuJoCo cannot draw here (MUJOCO_GL={drawing}): {error}"
            ) from None

    def episode(self, rng: np.random.Generator) -> dict:
        """Simulate an episode of 30 frames.

        Action t leads from frame t to frame t + 1.

        Returns:
            {'video': uint8 `[30, size, size, 3]`, 'actions': float32 `[30, 4]`, 'objects': number
            of objects}.
        """
        self.env.reset(seed=int(rng.integers(2**31)))
        count = self._place_objects(rng)
        camera = self._fixed_camera() if self.fixed else self._random_camera(rng)
        frames, actions, kept = [], [], 0
        for _ in range(FRAMES):
            if not kept:
                action, kept = self._random_action(rng, count), rng.integers(*HOLD, endpoint=True)
            kept -= 1
            frames.append(self._render(camera))
            actions.append(action)
            self.env.step(action)
        actions = np.stack(actions).astype(np.float32)
        return {"video": np.stack(frames), "actions": actions, "objects": count}

    def _place_objects(self, rng) -> int:
        """Draw the objects' looks and places, and let them come to rest before the first frame."""
        count = int(rng.integers(1, MOST_OBJECTS, endpoint=True))
        for k in range(MOST_OBJECTS):
            geom = self.model.geom(f"object{k}").id
            self.model.geom_rgba[geom] = [*_vivid(rng), 1.0]
            half = rng.uniform(0.025, 0.045)
            self._resize(geom, SHAPES[k], half, half * rng.uniform(0.6, 1.4))
            place = [*ABSENT, 0.1 + 0.1 * k]
            if k < count:
                offset = rng.uniform(-REACH, REACH, 2)
                place = [TABLE[0] + offset[0], TABLE[1] + offset[1], TABLE_HEIGHT + 0.06]
            turn = rng.uniform(0, np.pi)
            pose = [*place, np.cos(turn / 2), 0.0, 0.0, np.sin(turn / 2)]
            self.data.joint(f"object{k}:joint").qpos[:] = pose
            self.data.joint(f"object{k}:joint").qvel[:] = 0.0
        table = self.model.body("table0").geomadr[0]
        colour = FIXED_TABLE if self.fixed else rng.uniform(0.35, 0.75, 3)
        self.model.geom_rgba[table] = [*colour, 1.0]
        # Recompute what depends on the inertia: how objects respond to contacts.
        self.mujoco.mj_setConst(self.model, self.mujoco.MjData(self.model))
        for _ in range(5):
            self.env.step(np.zeros(4))
        return count

    def _resize(self, geom: int, shape: str, half: float, other: float):
        """Set an object's size, and all that MuJoCo's compiler derives from it.

        These are the inertia and the bounds. Without bounds, objects pass into each other
        unnoticed.
        """
        model, body = self.model, self.model.geom_bodyid[geom]
        # Half the extents; a cylinder's size is (radius, half its height).
        x, y, z = (half, half, other) if shape == "cylinder" else (half, other, half)
        model.geom_size[geom] = [half, other, half]
        radius = {
            "box": np.hypot(np.hypot(x, y), z),
            "cylinder": np.hypot(x, z),
            "ellipsoid": max(x, y, z),
        }
        model.geom_rbound[geom] = radius[shape]
        model.geom_aabb[geom] = [0.0, 0.0, 0.0, x, y, z]
        model.bvh_aabb[model.body_bvhadr[body]] = model.geom_aabb[geom]
        squares = {"box": (3.0, 3.0), "cylinder": (4.0, 3.0), "ellipsoid": (5.0, 5.0)}
        across, along = squares[shape]
        mass = model.body_mass[body]
        model.body_inertia[body] = mass * np.array(
            [
                y * y / across + z * z / along,
                x * x / across + z * z / along,
                (x * x + y * y) / across,
            ]
        )
        model.body_ipos[body], model.body_iquat[body] = 0.0, [1.0, 0.0, 0.0, 0.0]

    def _random_camera(self, rng):
        camera = self.mujoco.MjvCamera()
        camera.lookat[:] = [*(np.array(TABLE) + rng.uniform(-0.03, 0.03, 2)), TABLE_HEIGHT]
        camera.distance = rng.uniform(0.75, 1.0)
        camera.azimuth = rng.choice([90.0, 135.0, 180.0, 225.0]) + rng.uniform(-10, 10)
        camera.elevation = rng.uniform(-60, -35)
        self.model.light_diffuse[:] = rng.uniform(0.5, 0.9)
        return camera

    def _fixed_camera(self):
        camera = self.mujoco.MjvCamera()
        camera.lookat[:] = [*FIXED_MIDDLE, TABLE_HEIGHT]
        camera.distance, camera.azimuth, camera.elevation = FIXED_VIEW
        self.model.light_diffuse[:] = FIXED_LIGHT
        return camera

    def _random_action(self, rng, count) -> np.ndarray:
        """Draw a direction of the gripper: half of the time towards an object, else anywhere."""
        gripper = self.data.site("robot0:grip").xpos
        if rng.random() < 0.5:
            target = self.data.body(f"object{rng.integers(count)}").xpos[:2]
            direction = (target - gripper[:2]) / 0.05 + rng.normal(0, 0.3, 2)
        else:
            direction = rng.normal(0, 0.7, 2)
        height = (TABLE_HEIGHT + 0.03 - gripper[2]) / 0.05 + rng.normal(0, 0.2)
        # Turn back where the gripper would leave the table.
        away = gripper[:2] - np.array(TABLE)
        direction = np.where(np.abs(away) > 1.2 * REACH, -np.sign(away), direction)
        return np.clip([*direction, height, 0.0], -1.0, 1.0)

    def _render(self, camera) -> np.ndarray:
        self.renderer.update_scene(self.data, camera)
        blocks = self.renderer.render().reshape(self.size, OVERSAMPLING, self.size, OVERSAMPLING, 3)
        return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def _vivid(rng) -> np.ndarray:
    """Draw a colour with one strong and one weak channel."""
    return rng.permutation([rng.uniform(0.7, 1.0), rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.2)])


def _write_model(folder: Path) -> Path:
    """Write gymnasium-robotics' push.xml with more objects and absolute paths to its assets."""
    import gymnasium_robotics  # pyright: ignore[reportMissingImports]

    assets = Path(inspect.getfile(gymnasium_robotics)).parent / "envs" / "assets"
    for name in ("shared.xml", "robot.xml"):
        shutil.copy(assets / "fetch" / name, folder / name)
    text = (assets / "fetch" / "push.xml").read_text()
    # The paths stand in XML attributes, where quotes and ampersands must be escaped.
    text = text.replace("../stls/fetch", escape(str(assets / "stls" / "fetch"), {'"': "&quot;"}))
    text = text.replace("../textures", escape(str(assets / "textures"), {'"': "&quot;"}))
    begin = text.index('<body name="object0"')
    end = text.index("</body>", begin) + len("</body>")
    objects = "".join(
        f'<body name="object{k}" pos="0 0 {k}">'
        f'<joint name="object{k}:joint" type="free" damping="0.01"/>'
        f'<geom name="object{k}" type="{shape}" size=".025 .025 .025" condim="4" mass="0.5"/>'
        f"</body>"
        for k, shape in enumerate(SHAPES)
    )
    path = folder / "push.xml"
    path.write_text(text[:begin] + objects + text[end:])
    return path
