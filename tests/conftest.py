"""The files that take longest begin, so that at the end no core waits for another's long file."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST = [  # by the seconds that they take; a new long one is best named here
    "jobs/test_end_to_end.py",
    "jobs/test_build_samples.py",
    "cluster/test_horovod.py",
    "intent/models/test_equivalence.py",
    "intent/training/test_loop.py",
    "intent/edge/test_export.py",
    "jobs/test_samples_s3.py",
    "intent/training/test_resume.py",
    "jobs/test_submit.py",
    "intent/training/test_step.py",
    "intent/models/test_reference.py",
    "jobs/test_explain.py",
    "jobs/test_no_leak.py",
    "cluster/test_horovod_build.py",
    "intent/models/kernels/test_kernels.py",
    "jobs/test_undersampling.py",
    "intent/training/test_precision.py",
    "cluster/test_class_archive.py",
    "cluster/test_spark.py",
    "intent/samples/test_feed_faults.py",
    "intent/samples/test_orphans.py",
    "jobs/test_samples_fuzz.py",
    "intent/models/test_overfit.py",
    "intent/test_doctor.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))  # stable: the rest stays
