#!/usr/bin/python3
"""flags.py URI: what libnbd's tests of a server's flags and of its limits ask."""
import errno
import sys

import nbd

h = nbd.NBD()
# Let wrong requests reach the server, but with the flag that says that payload
# follows, where the protocol has it.
h.set_strict_mode(getattr(nbd, "STRICT_AUTO_FLAG", 0))
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(sys.argv[1])
size = h.get_size()
assert h.get_protocol() == "newstyle-fixed"
assert h.get_structured_replies_negotiated()
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
for can in ("cache", "df", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"):
    assert getattr(h, "can_" + can)(), can
assert not h.is_read_only() and not h.is_rotational()
assert h.get_block_size(nbd.SIZE_MINIMUM) == 1
assert h.get_block_size(nbd.SIZE_MAXIMUM) == 64 << 20


def fails(want, f, *args, **kw):
    try:
        f(*args, **kw)
    except nbd.Error as e:
        assert e.errnum == want, (f, args, e.errno)
        return
    assert False, (f, args)


fails(errno.EINVAL, h.pread, 512, size)
fails(errno.EINVAL, h.pread, 512, size - 511)
fails(errno.ENOSPC, h.pwrite, b"x" * 512, size - 511)
fails(errno.ENOSPC, h.zero, 512, size)
fails(errno.EINVAL, h.trim, 512, size)
fails(errno.EINVAL, h.cache, 512, size)
fails(errno.EINVAL, h.block_status, 512, size, lambda *a: 0)
fails(errno.EINVAL, h.block_status, 0, 0, lambda *a: 0)
fails(errno.EINVAL, h.pwrite, b"x" * 512, 0, nbd.CMD_FLAG_DF)
fails(errno.EINVAL, h.trim, 512, 0, nbd.CMD_FLAG_REQ_ONE)

# Large and odd requests.
big = bytes(range(256)) * (64 << 12)
h.pwrite(big, 1)
assert h.pread(len(big), 1) == big
assert h.pread(len(big) - 7, 8, nbd.CMD_FLAG_DF) == big[7:]
h.zero(len(big), 1, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_FUA)
assert h.pread(len(big), 1) == bytes(len(big))
h.zero(size, 0, nbd.CMD_FLAG_NO_HOLE)
h.trim(size, 0)
h.cache(64 << 20, 0)

# Chunks of a read, and extents.
h.zero(1 << 20, 0)
h.pwrite(b"x" * 4096, 512 << 10)
chunks = []
h.pread_structured(1 << 20, 0, lambda buf, off, kind, err: chunks.append((off, len(buf), kind)))
assert sum(n for _, n, _ in chunks) == 1 << 20, chunks
extents = []
h.block_status(1 << 20, 0, lambda ctx, off, e, err: extents.extend(e))
assert sum(extents[::2]) >= 1 << 20, extents
one = []
h.block_status(1 << 20, 0, lambda ctx, off, e, err: one.extend(e), nbd.CMD_FLAG_REQ_ONE)
assert len(one) == 2 and one[0] <= 1 << 20, one
h.shutdown()

# The options, one by one.
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(sys.argv[1])
names = []
h.opt_list(lambda name, text: names.append(name))
assert "" in names, names
contexts = []
h.opt_list_meta_context(contexts.append)
assert sorted(contexts) == ["base:allocation", "qemu:allocation-depth"], contexts
h.set_export_name("no such export")
fails(errno.ENOENT, h.opt_info)
h.set_export_name("")
h.opt_info()
h.opt_go()
h.pread(1, 0)
h.shutdown()
h = nbd.NBD()
h.set_opt_mode(True)
h.connect_uri(sys.argv[1])
h.opt_abort()
