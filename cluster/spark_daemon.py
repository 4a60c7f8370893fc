"""PySpark's worker daemon for local mode: workers that are ready when they are forked.

Spark starts this module in the place of `pyspark.daemon` (spark.python.daemon.module). It imports
what our tasks need, once, before any worker is forked: that is a second of CPU for each worker, and
memory that they share.

And it takes Spark's archives off Python's path (pyspark.zip, whose content is in a folder as well,
and spark-core.jar, which has no Python in it). A worker makes Python forget what it knows of its
path after every task; to look into those archives again cost a quarter of a second of CPU a task,
more than our work in it.
"""

from __future__ import annotations

import sys

ARCHIVES = (".zip", ".jar")

sys.path[:] = [place for place in sys.path if not place.endswith(ARCHIVES)]
for _known in list(sys.path_importer_cache):  # Python has looked for this very module there
    if any(kind in _known for kind in ARCHIVES):
        del sys.path_importer_cache[_known]

from pyspark import daemon  # noqa: E402
from pyspark.sql.pandas.utils import require_minimum_pyarrow_version  # noqa: E402

import cluster.spark_samples  # noqa: E402, F401  for the workers

require_minimum_pyarrow_version()  # which takes setuptools, two thirds of a second to load

if __name__ == "__main__":
    daemon.manager()
