"""Studies of differentiable representations by name."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {
        "check_prior": "sevenfold.diffreps.studies.check_prior:CheckPriorStudy",
        "samples": "sevenfold.diffreps.studies.samples:SamplesStudy",
        "view_noise_law": "sevenfold.diffreps.studies.view_noise_law:ViewNoiseStudy",
        "volumes": "sevenfold.diffreps.studies.volumes:VolumesStudy",
    },
    holds="studies of sampling",
)
