#!/usr/bin/env python3
"""Checks the chains of a database with nothing of Ephor's: python's own sqlite3 and hashlib, and zstd for large events.

    tools/verify.py data/ephor.db

ARCHITECTURE.md says what the hashes cover. Every event is checked against the one before it in its stream, the words beside it against
their digest where they have not been erased, and every commit against the one before it. Keep the head it prints somewhere else: a
later run over the same database must pass through it, which shows that nothing was cut off.
"""

import hashlib, sqlite3, subprocess, sys

db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
sha = lambda data: hashlib.sha256(data).digest()
blobs = dict(db.execute("select key, body from blobs"))

def name(kind, bits):
    n, text = int.from_bytes(bits, "big"), ""
    for _ in range(26):
        text, n = "0123456789abcdefghjkmnpqrstvwxyz"[n & 31] + text, n >> 5
    return f"{kind}_{text}"

heads, hashes, times, gone, erased = {}, [], [], {}, set()
for pos, stream, kind, bits, version, at, word, actor, before, after, schema, data, digest, private, key, hash in db.execute(
    """select position, no, s.kind, id, version, at, e.kind, actor, status_before, status_after, schema, data, digest, private,
              private_key, hash from events e join streams s on s.no = e.stream order by position"""):
    if isinstance(data, bytes):  # compressed where it is large
        data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout.decode()
    was, previous = heads.get(stream, (0, bytes(32)))
    texts = [name(kind, bits), version, at, word, actor, before or "", after or "", schema, data]
    parts = [previous] + [str(t).encode() for t in texts] + [digest or b""]
    made = sha(b"".join(len(p).to_bytes(8, "big") + p for p in parts))
    assert pos == len(hashes) + 1 and version == was + 1 and made == hash, f"position {pos} was changed"
    if word == "ERASED":
        erased.add(stream)
    if digest is not None and (private is None or (key and key not in blobs)):
        gone.setdefault(stream, pos)
    elif private is not None:  # a salt of 16 bytes, then the text, or the text in a blob
        assert sha(private + (blobs[key] if key else b"")) == digest, f"the words of position {pos} were changed"
    heads[stream] = (version, hash)
    hashes.append(hash)
    times.append(at)
for stream in gone.keys() - erased:
    raise AssertionError(f"the words of position {gone[stream]} are gone, and nobody erased them")

head, end = bytes(32), 0
for first, last, at, root, hash in db.execute("select first, last, at, root, hash from commits order by first"):
    assert first == end + 1 and sha(b"".join(hashes[first - 1 : last])) == root, f"commit {first} was changed"
    assert last <= len(hashes) and times[last - 1] == at, f"the time of commit {first} was changed"
    head, end = sha(head + first.to_bytes(8, "big") + last.to_bytes(8, "big") + root), last
    assert head == hash, f"commit {first} was changed"
assert end == len(hashes), "events without a commit"
print(f"{len(hashes)} events hold; the head is {head.hex()}")
