"""Every form of the record files gives the groups back, whichever way it is parsed."""

import numpy as np
import pytest

from benchmarks.feed import records
from benchmarks.feed.same import fingerprints
from tests.support.build import build_samples
from tests.support.raw_logs import random_logs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    manifest = build_samples(folder / "tracks", random_logs(users=6))
    forms = {form: folder / form for form in records.FORMS}
    records.write(folder / "tracks", forms, files=2)
    return folder / "tracks", manifest, forms


@pytest.mark.parametrize("form", records.FORMS)
@pytest.mark.parametrize("parse", ["batch", "row"])
@pytest.mark.parametrize("parallel", [True, False])
def test_a_pipeline_gives_every_group_once(written, form, parse, parallel):
    tracks, manifest, forms = written
    schema = manifest.schema
    how = records.Pipeline(form, parse, buffer=64, parallel=parallel, batch=16)
    batches = list(records.dataset(forms[form], schema, how, 2).as_numpy_iterator())
    known = fingerprints(records.groups(tracks), list(records.fields(schema)))
    assert fingerprints(batches, list(records.fields(schema))) == known
    assert known.total() == manifest.groups
    # In parallel the short batch is not always the last one.
    sizes = sorted((len(b[records.LABELS]) for b in batches), reverse=True)
    assert sizes[: manifest.groups // 16] == [16] * (manifest.groups // 16)
    for name, (dtype, shape) in records.fields(schema).items():
        assert (batches[0][name].dtype, batches[0][name].shape[1:]) == (dtype, shape)


def test_the_order_is_not_that_of_the_files(written):
    tracks, manifest, forms = written
    how = records.Pipeline("raw", buffer=64, batch=16)
    first = next(records.dataset(forms["raw"], manifest.schema, how, 2).as_numpy_iterator())
    part = next(records.groups(tracks))
    assert not np.array_equal(first["swipe"], part["swipe"][:16])
