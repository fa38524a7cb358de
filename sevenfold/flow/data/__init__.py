"""Data sets of optical flow; an item is a ``sevenfold.flow.batch.FlowItem``.

``FLOW_SETS`` names the layouts in which pairs may lie: functions of the data folder and a split that list the
pairs of a public data set, or those of one's own. "synthetic" has no files.
"""

from sevenfold.tables import ComponentTable

FLOW_SETS = ComponentTable(
    {
        "files": "sevenfold.flow.data.listing:list_patterns",
        "csv": "sevenfold.flow.data.listing:list_table",
        "frames": "sevenfold.flow.data.listing:list_frames",
        "chairs": "sevenfold.flow.data.chairs:flying_chairs",
        "things": "sevenfold.flow.data.things:flying_things",
        "sintel": "sevenfold.flow.data.sintel:mpi_sintel",
        "kitti": "sevenfold.flow.data.kitti:kitti_2015",
        "kitti2012": "sevenfold.flow.data.trees:kitti_2012",
        "hd1k": "sevenfold.flow.data.hd1k:hd1k",
        "spring": "sevenfold.flow.data.trees:spring",
        "tartanair": "sevenfold.flow.data.trees:tartanair",
        "viper": "sevenfold.flow.data.trees:viper",
        "middlebury": "sevenfold.flow.data.trees:middlebury_pairs",
    },
    holds="layouts of optical flow data",
    given=(
        "root",
        "split",
    ),
)
