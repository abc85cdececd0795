"""Joins and shuffles over the tables of a corpus on Spark, where a site has YARN.

Each function takes data frames of a session that the site made; none makes a cluster. Media are worked on elsewhere:
here ids are held against ids, equal sources are found across collections, and near-duplicates are proposed. Executors
need this package with its extra `data`, and a Python that has it: `spark.executorEnv.PYSPARK_PYTHON`.

    session = SparkSession.builder.master("yarn").getOrCreate()
    lost_ids(session.read.parquet(sources), session.read.parquet(clips), "source_id", "src_id")
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812 - as everybody who uses Spark writes it

from nava.config.duplicates import DuplicateConfig
from nava.data.duplicates.clustering import (
    EmbeddingShard,
    Floats,
    Halves,
    assign,
    cluster_count,
    sample_places,
    train_centroids,
)
from nava.data.duplicates.pairs import close_pairs
from nava.data.duplicates.signature_shards import read_shard
from nava.runtime.errors import InputError

SIGNATURE_COLUMNS = "clip_id string, backend string, quality array<double>, kept boolean, embedding binary"
PAIR_COLUMNS = "later long, earlier long, cosine double"
_READ_COLUMNS = ["clip_id", "backend", "quality", "kept"]
_PLACED_COLUMNS = "cluster long, rank long, embedding binary"


def local_session(cores: int = 2) -> SparkSession:
    """A session on this machine, to try things; its workers run this very Python. Stop it when done.

    Raises:
        InputError: there is no Java.
    """
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise InputError("Spark needs Java 17 or newer, and there is none: install one, or set JAVA_HOME")
    # Spark takes the first python3 of the path for its workers otherwise, which may have none of our packages.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{cores}]").appName("nava-tables")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(2 * cores),
    }
    return builder.config(map=settings).getOrCreate()


def lost_ids(went_in: DataFrame, came_out: DataFrame, id_in: str, id_out: str = "") -> DataFrame:
    """Ids that went into a stage and did not come out, once each: what an engine lost without a word.

    Args:
        went_in: table with a column `id_in`.
        came_out: table with a column `id_out`, by default of the same name.

    Returns:
        One column, `id_in`. A row without an id counts as lost: nothing can come back for it.
    """
    ids = went_in.select(F.col(id_in)).distinct()
    back = came_out.select(F.col(id_out or id_in).alias("_back")).distinct()
    return ids.join(back, ids[id_in] == back["_back"], "left_anti")


def duplicate_sources(sources: DataFrame, collections: Sequence[str]) -> DataFrame:
    """Sources whose content another one has too, and which of them stays, as `nava.data.sources.scan` decides it.

    Args:
        sources: rows of source manifests: `collection`, `path`, `sha256`.
        collections: all collections, the one whose files stay first; within one, the path that sorts first stays.

    Returns:
        `collection`, `path`, `sha256`, `keeper_collection`, `keeper_path` of every source that does not stay.

    Raises:
        InputError: a collection is not in the order.
    """
    place = F.array_position(F.array(*(F.lit(name) for name in collections)), F.col("collection"))
    unknown = sources.where((place == 0) | place.isNull()).select("collection").distinct().limit(5).collect()
    if unknown:
        names = ", ".join(sorted(repr(row["collection"]) for row in unknown))
        raise InputError(f"the order of collections is {list(collections)}; it lacks {names}")
    alike = Window.partitionBy("sha256").orderBy(place, "path")
    return (
        sources.select(
            "collection",
            "path",
            "sha256",
            F.first("collection").over(alike).alias("keeper_collection"),
            F.first("path").over(alike).alias("keeper_path"),
            F.row_number().over(alike).alias("_place"),
        )
        .where("_place > 1")
        .drop("_place")
    )


def read_signatures(session: SparkSession, addresses: Sequence[str]) -> DataFrame:
    """Rows of the shards of signature indexes (`nava.data.duplicates.index`), each shard read by one task.

    Spark's own reader knows no float16; an embedding here is the bytes of its values, little-endian.

    Args:
        addresses: paths that every executor sees, or bucket addresses.

    Raises:
        InputError: there is no address. What cannot be read fails the job with a message that names it.
    """
    if not addresses:
        raise InputError("no signature shards to read: the list of addresses is empty")
    places = session.createDataFrame([(address,) for address in addresses], "address string")
    return places.repartition(len(addresses)).mapInArrow(_signature_rows, SIGNATURE_COLUMNS)


def ranked(signatures: DataFrame) -> DataFrame:
    """`rank` and `embedding` of clips in the order of preference: better quality first, then by id.

    Args:
        signatures: `clip_id`, `quality`, `embedding`; one backend's, since others do not compare.

    Returns:
        `rank` (0 to N - 1), `clip_id`, `embedding`.
    """
    ordered = signatures.select("clip_id", "quality").sort(F.desc("quality"), "clip_id")
    ranks = ordered.rdd.map(lambda row: row["clip_id"]).zipWithIndex().toDF("clip_id string, rank long")
    return signatures.select("clip_id", "embedding").join(ranks, "clip_id").select("rank", "clip_id", "embedding")


def near_pairs(embeddings: DataFrame, min_cosine: float, config: DuplicateConfig, settled: int = 0) -> DataFrame:
    """Candidates for near-duplicates: the pairs that `nava.data.duplicates.pairs.search` finds, by the same functions.

    Clusters are trained by the driver on a sample, rows are placed as a map and shuffled by cluster, and each cluster
    is searched by one task, which holds its rows in memory (1 kB each at 512 values).

    Args:
        embeddings: `rank` (0 to N - 1, the preferred first) and `embedding`; read three times, so cache it if dear.
        min_cosine: of a pair.
        config: sizes of the search.
        settled: clips of a lower rank are not compared with one another.

    Returns:
        `later`, `earlier` (ranks) and `cosine`, each pair once.
    """
    rows = embeddings.select("rank", "embedding")
    total = rows.count()
    clusters = cluster_count(total - settled, total, config)
    if clusters == 1:
        placed = rows.select(F.lit(0).cast("long").alias("cluster"), "rank", "embedding")
    else:
        centroids_KD = _trained(rows, total, clusters, config)
        placed = rows.mapInArrow(_placing(rows.sparkSession, centroids_KD, config.probes, min_cosine), _PLACED_COLUMNS)
    search = _searching(settled, min_cosine, config.max_candidates)
    return placed.groupBy("cluster").applyInArrow(search, PAIR_COLUMNS).dropDuplicates(["later", "earlier"])


def _signature_rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for address in batch["address"].to_pylist():
            table = read_shard(address, [*_READ_COLUMNS, "embedding"])
            packed = [np.asarray(values, "<f2").tobytes() for values in table["embedding"].to_pylist()]
            plain = table.select(_READ_COLUMNS).append_column("embedding", pa.array(packed, pa.binary()))
            yield from plain.replace_schema_metadata(None).to_batches()


def _trained(rows: DataFrame, total: int, clusters: int, config: DuplicateConfig) -> Floats:
    """Centroids of a sample, float32 [K, D]: those that the local search trains."""
    places = sample_places(total, clusters * config.training_clips_per_cluster, seed=0)
    drawn = rows.sparkSession.createDataFrame(pa.table({"rank": pa.array(places, pa.int64())}))
    sample = rows.join(F.broadcast(drawn), "rank").select("rank", "embedding").toArrow()
    shard = _shard(sample)
    return train_centroids(shard.embeddings.astype(np.float32), clusters, config.kmeans_iterations, seed=0)


def _placing(
    session: SparkSession, centroids_KD: Floats, probes: int, min_cosine: float
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    shared = session.sparkContext.broadcast(centroids_KD)

    def place(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            assignment = assign(_matrix(batch["embedding"]), shared.value, probes, min_cosine)
            row = np.concatenate([np.arange(batch.num_rows), assignment.guests[:, 0]])
            cluster = np.concatenate([assignment.home, assignment.guests[:, 1]])
            taken = batch.take(pa.array(row))
            yield pa.RecordBatch.from_arrays(
                [pa.array(cluster, pa.int64()), taken["rank"], taken["embedding"]], ["cluster", "rank", "embedding"]
            )

    return place


def _searching(settled: int, min_cosine: float, max_candidates: int) -> Callable[[pa.Table], pa.Table]:
    def search(rows: pa.Table) -> pa.Table:
        found = close_pairs(_shard(rows), settled, min_cosine, max_candidates)
        return pa.table({"later": found.later, "earlier": found.earlier, "cosine": found.cosine})

    return search


def _shard(rows: pa.Table) -> EmbeddingShard:
    """Rows in the order of their ranks."""
    ordered = rows.sort_by("rank")
    return EmbeddingShard(ordered["rank"].to_numpy(), _matrix(ordered["embedding"]))


def _matrix(embeddings: pa.Array | pa.ChunkedArray) -> Halves:
    """Embeddings as float16 [n, D]."""
    packed = b"".join(embeddings.to_pylist())
    return np.frombuffer(packed, "<f2").astype(np.float16, copy=False).reshape(len(embeddings), -1)
