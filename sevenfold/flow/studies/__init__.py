"""Studies of optical flow by name."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {"flow_table": "sevenfold.flow.studies.table:FlowTable"},
    holds="studies of optical flow",
)
