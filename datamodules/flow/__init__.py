"""Data of optical flow: every item is a dictionary, described in ``datamodules.flow.pairs``.

``FLOW_SETS`` names the public data sets: functions of the data folder and a split that list the pairs.
"""

FLOW_SETS: dict[str, str] = {
    "chairs": "datamodules.flow.chairs:flying_chairs",
    "things_clean": "datamodules.flow.things:things_clean",
    "things_final": "datamodules.flow.things:things_final",
    "sintel_clean": "datamodules.flow.sintel:sintel_clean",
    "sintel_final": "datamodules.flow.sintel:sintel_final",
    "kitti": "datamodules.flow.kitti:kitti_2015",
    "hd1k": "datamodules.flow.hd1k:hd1k",
}
