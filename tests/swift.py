"""OpenStack Swift as a small S3 server on one folder: `python -m tests.swift FOLDER PORT KEY SECRET`.

It checks signatures, expiry and checksums, which the usual S3 simulators do not. Four processes: the proxy
with the S3 API, and the account, container and object servers behind it. They end when this program ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import swift.common.utils as swift_utils
import swift.common.utils.config as swift_config
import swift.common.wsgi as swift_wsgi
from swift.common.ring import RingBuilder

STORES = ("account", "container", "object")

SWIFT = """
[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test
[storage-policy:0]
name = default
default = yes
"""

COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {etc}
devices = {devices}
mount_check = false
disable_fallocate = true
recon_cache_path = {root}
log_level = WARNING
log_address = /nonexistent
"""

STORE = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """
[pipeline:main]
pipeline = catch_errors gatekeeper bulk s3api tempauth slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin
[filter:s3api]
use = egg:swift#s3api
s3_acl = no
location = us-east-1
check_bucket_owner = no
cors_preflight_allow_origin = *
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
"""
PLAIN = ("bulk", "slo", "dlo", "symlink", "catch_errors", "gatekeeper")


def write_files(root: Path, ports: dict[str, int], key: str, secret: str) -> None:
    """The configuration of each server, and the rings that say where each is."""
    etc, devices = root / "etc", root / "srv"
    for folder in (etc, devices / "d1"):
        folder.mkdir(parents=True)
    (etc / "swift.conf").write_text(SWIFT)
    for name, port in ports.items():
        common = COMMON.format(port=port, etc=etc, devices=devices, root=root)
        if name == "proxy":
            filters = "".join(f"[filter:{plain}]\nuse = egg:swift#{plain}\n" for plain in PLAIN)
            # tempauth splits its option's name at underscores; an account is written account:user
            special = PROXY.format(user=key.replace(":", "_"), secret=secret) + filters
        else:
            special = STORE.format(name=name)
            write_ring(etc / f"{name}.ring.gz", port)
        (etc / f"{name}.conf").write_text(common + special)


def write_ring(path: Path, port: int) -> None:
    here = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"id": 0, "region": 1, "zone": 1, "device": "d1", "weight": 1, "meta": "", **here})
    ring.rebalance()
    ring.get_ring().save(str(path))


def serve(name: str, etc: Path) -> int:
    """Runs one of the four servers in this process."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    for module in (swift_utils, swift_config):
        module.SWIFT_CONF_FILE = str(etc / "swift.conf")
    swift_utils.set_swift_dir(str(etc))
    swift_wsgi.drop_privileges = lambda _user: None  # it wants a user with a name
    return swift_wsgi.run_wsgi(str(etc / f"{name}.conf"), f"{name}-server", default_port=0)


def main(root: Path, ports: dict[str, int], key: str, secret: str) -> None:
    write_files(root, ports, key, secret)
    children = []
    for name in ports:
        pid = os.fork()
        if pid == 0:
            os._exit(serve(name, root / "etc"))
        children.append(pid)
    os.wait()  # one gone is all gone
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    sys.exit("a Swift server ended")


if __name__ == "__main__":
    folder, first, access_key, secret_key = sys.argv[1:]
    given = [int(port) for port in first.split(",")]
    main(Path(folder), dict(zip(("proxy", *STORES), given, strict=True)), access_key, secret_key)
