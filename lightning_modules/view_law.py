"""Compute what view noise does to the law of volumes."""

from typing import Any

import pytorch_lightning as pl

from sevenfold.diffreps.worlds.law import KINDS, ViewLaw


class ViewNoiseLaw(pl.LightningModule):
    """Compute the rows of one ring (``datamodules.view_law.ViewLaws``): root trace ratios to the truth, 1
    is right.
    """

    def predict_step(self, item: Any, batch_idx: int) -> list[dict[str, Any]]:
        """Return a record for every kind of noise."""
        setup, views, rounds = item
        law = ViewLaw(setup, views)
        maps = {order: law.split(order) for order in ("heun", "euler")}
        found = {"product_of_views": law.spread(law.product())}
        for kind in KINDS:
            noise = law.noise(kind)
            found |= {f"{kind}/{order}": law.spread(t @ noise @ t.T) for order, t in maps.items()}
            found |= {
                f"{kind}/heun_rounds{n}": law.spread(law.resampled(noise, "heun", n))
                for n in rounds
                if kind in ("independent", "object", "canonical")
            }
        if rounds:
            joint = law.split("heun", joint=True)
            found["joint_prior/heun"] = law.spread(joint @ joint.T)
        overlap = {"key": f"{views}/overlap", "group": f"{views}_views", "overlap": law.overlap()}
        return [overlap] + [
            {"key": f"{views}/{name}", "group": f"{views}_views/{name}", **vars(own)}
            for name, own in found.items()
        ]
