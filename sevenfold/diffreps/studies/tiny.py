"""Small options for studies of samples: few steps, small images, exact priors in place of files."""

from collections.abc import Mapping
from typing import Any

from sevenfold.config import merge, overlay

Nodes = dict[str, Any]
SIDE, STEPS, DISTILLED = 8, 4, 20
NETWORKS = ("diffusers_pipeline", "network", "state_dict", "unet")  # priors that are read from files
IMAGE = {"size": 6, "samples": 8}  # of a view of a world
WORLD = {"train": 12, "test": 6, **IMAGE}
VIEWS = 8


def tiny_samples(options: Mapping[str, Any]) -> Nodes:
    """Return options of two samples in few steps, with an exact prior of digits in place of files.

    A representation of a text-to-image model's latents is replaced by its inner one, with one channel.
    """
    small: Nodes = {**options, "samples": 2}
    prior, real = mapping(options.get("prior")), mapping(options.get("real"))
    small["methods"] = changed(options.get("methods"), short_method)
    if prior.get("name") in NETWORKS:
        small["representations"] = changed(options.get("representations"), without_autoencoder)
        sizes = [mapping(node).get("size") for node in mapping(small["representations"]).values()]
        digits = {"name": "digits", "size": next((size for size in sizes if size), 16)}
        small["prior"] = {"name": "gmm", "components": 1, "source": digits}
        small |= {"real": digits} if real else {}
    elif mapping(prior.get("source")).get("name") == "photos":
        small["prior"] = merge(prior, {"components": 1, "source": {"count": 200}})
        small |= {"real": overlay(real, {"count": 200})} if real.get("name") == "photos" else {}
    return small


def tiny_volumes(options: Mapping[str, Any]) -> Nodes:
    """Return options of two samples in few steps, of one seed, in a world of few scenes."""
    world = overlay(options.get("world", {}), WORLD)

    def short_arm(node: Nodes) -> Nodes:
        small_node = {**node, "method": short_method(mapping(node.get("method"))), "views": VIEWS}
        if "representation" in node:
            small_node["representation"] = overlay(node["representation"], IMAGE)
        canonical = mapping(node.get("noise")).get("name") == "canonical"
        return {**small_node, "noise": overlay(node["noise"], {"world": world})} if canonical else small_node

    small = {**options, "samples": 2, "seeds": 1, "world": world, "shown": 1, "turn_frames": 4}
    small["representation"] = overlay(options.get("representation", {"name": "voxel_nerf"}), IMAGE)
    small["arms"] = changed(options.get("arms"), short_arm)
    if mapping(options.get("prior")).get("name") == "learned":
        small["prior"] = {"name": "kde"}
    return small


def short_method(node: Nodes) -> Nodes:
    """Return a method with few steps."""
    if node.get("name") in ("sds", "sjc"):
        return {**node, "count": DISTILLED}
    if node.get("name") in ("anneal", "growing", "pullback", "reference"):
        levels = {"name": "karras", **mapping(node.get("schedule")), "levels": STEPS}
        return {**node, "schedule": levels}
    if node.get("name") == "fit":
        return {
            **node,
            "images": short_method({"name": "reference", **mapping(node.get("images"))}),
            "solves": 2,
        }
    return node


def without_autoencoder(node: Nodes) -> Nodes:
    """Return the inner representation of an autoencoded one, for small gray images, which needs no file."""
    inner = node.get("inner")
    if node.get("name") != "autoencoded" or not isinstance(inner, Mapping):
        return node
    small = {"size": SIDE, "channels": 1}
    small |= {name: SIDE for name in ("resolution", "samples", "width") if name in inner}
    return {**inner, **small, **({"length": 3 * SIDE} if "length" in inner else {})}


def changed(nodes: Any, change: Any) -> Any:
    """Return nodes by label with ``change`` applied to each mapping among them."""
    if not isinstance(nodes, Mapping):
        return nodes
    return {label: change(dict(node)) if isinstance(node, Mapping) else node for label, node in nodes.items()}


def mapping(value: Any) -> Nodes:
    """Return a mapping unchanged, and an empty one for other values, because options are not checked yet."""
    return dict(value) if isinstance(value, Mapping) else {}
