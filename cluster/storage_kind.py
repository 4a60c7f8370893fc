"""Whether other hosts can see what lies under a path, as far as one can tell from here."""

from __future__ import annotations

from pathlib import Path

# File systems that several machines share; of fuse's, the part after the dot.
SHARED = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "ceph", "glusterfs", "gpfs", "beegfs", "afs",
    "panfs", "wekafs", "orangefs", "ocfs2", "gfs2", "9p", "virtiofs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.juicefs",
    "fuse.rclone", "fuse.blobfuse2", "fuse.mount-s3",
}  # fmt: skip


def shared_storage(place: str) -> str:
    """Why a folder or URL is not shared, as the end of a sentence; "" where it is."""
    if "://" in place:
        scheme = place.partition("://")[0]
        return f"is on {scheme}://, which each host has for itself" if scheme == "file" else ""
    if not Path(place).is_absolute():
        return "is a relative path"
    kind = file_system(place)
    return "" if kind in SHARED else f"lies on {kind}, a file system of this machine alone"


def file_system(place: str) -> str:
    """The type of the file system on which `place` is, or will be."""
    import psutil

    path = Path(place).resolve()
    above = {str(path), *map(str, path.parents)}
    mounts = [p for p in psutil.disk_partitions(all=True) if p.mountpoint in above]
    # The one mounted last hides those below it.
    deepest = max((len(p.mountpoint) for p in mounts), default=0)
    found = [p.fstype for p in mounts if len(p.mountpoint) == deepest]
    return found[-1] if found else "an unknown file system"
