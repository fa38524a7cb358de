"""Studies of architecture search, by the name a configuration calls them."""

from sevenfold.tables import ComponentTable

STUDIES = ComponentTable(
    {
        "benchmark_description": "sevenfold.nas.studies.description:DescriptionStudy",
        "curve_pfn": "sevenfold.nas.studies.curve_pfn:CurvePFNTraining",
        "digits_build": "sevenfold.nas.studies.digits_build:DigitsBuild",
        "encoding_study": "sevenfold.nas.studies.encodings:EncodingStudy",
        "lce_search": "sevenfold.nas.studies.lce_search:FilteredSearchStudy",
        "lce_study": "sevenfold.nas.studies.lce:ExtrapolationStudy",
        "nas_fronts": "sevenfold.nas.studies.fronts:FrontStudy",
        "nas_landscape": "sevenfold.nas.studies.landscape:LandscapeStudy",
        "nas_search": "sevenfold.nas.studies.search:SearchStudy",
        "noise_landscape": "sevenfold.nas.studies.noise_landscape:NoiseLandscapeStudy",
        "objective_search": "sevenfold.nas.studies.objective:ObjectiveSearchStudy",
    },
    holds="studies of architecture search",
)
