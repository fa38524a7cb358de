"""Data sets of optical flow; an item is a ``sevenfold.flow.batch.FlowItem``.

``FLOW_SETS`` names the public data sets: functions of the data folder and a split that list the pairs.
"""

from sevenfold.tables import ComponentTable

FLOW_SETS = ComponentTable(
    {
        "chairs": "sevenfold.flow.data.chairs:flying_chairs",
        "things_clean": "sevenfold.flow.data.things:things_clean",
        "things_final": "sevenfold.flow.data.things:things_final",
        "sintel_clean": "sevenfold.flow.data.sintel:sintel_clean",
        "sintel_final": "sevenfold.flow.data.sintel:sintel_final",
        "kitti": "sevenfold.flow.data.kitti:kitti_2015",
        "hd1k": "sevenfold.flow.data.hd1k:hd1k",
    },
    holds="data sets of optical flow",
    given=(
        "root",
        "split",
    ),
)
