"""All studies, by the name a configuration calls them."""

from sevenfold.diffreps.studies import STUDIES as DIFFREPS
from sevenfold.fairness.studies import STUDIES as FAIRNESS
from sevenfold.flow.studies import STUDIES as FLOW
from sevenfold.nas.studies import STUDIES as NAS
from sevenfold.tables import ComponentTable

STUDIES = ComponentTable({**NAS, **FAIRNESS, **DIFFREPS, **FLOW}, holds="studies")

FORMER: dict[str, tuple[str, str]] = {
    "benchmark_description": ("benchmark_description", "nas/describe_benchmark"),
    "debias_trials": ("debias", "fairness/demo"),
    "diffrep_sampler": ("samples", "diffreps/demo"),
    "digits_build": ("digits_build", "nas/build_digits_nb201"),
    "encoding_study": ("encoding_study", "nas/encodings_predictor"),
    "initial_conditions": ("initial_conditions", "fairness/initial_conditions"),
    "lce_search": ("lce_search", "nas/lce_search_digits"),
    "lce_study": ("lce_study", "nas/lce_study"),
    "nas_landscape": ("nas_landscape", "nas/landscape_nb201"),
    "nas_trials": ("nas_search", "nas/search_nb201"),
    "view_noise_law": ("view_noise_law", "diffreps/view_noise_law"),
    "volume_sampler": ("volumes", "diffreps/nerf_toy"),
}
"""Models of configurations made before there were studies: the study that replaced them, and a recipe."""
