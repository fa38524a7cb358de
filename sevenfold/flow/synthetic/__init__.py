"""Synthetic image pairs and videos with exact flow: textured layers in closed-form motion."""

from sevenfold.flow.synthetic.motion import DEFAULT_MOTION, MotionOptions
from sevenfold.flow.synthetic.scene import Scene, draw_scene
from sevenfold.flow.synthetic.textures import texture_bank

__all__ = ["DEFAULT_MOTION", "MotionOptions", "Scene", "draw_scene", "texture_bank"]
