"""Kafka's default partition of a key, as its documentation gives it; not the product's copy."""


def murmur2(data: bytes) -> int:
    """Return MurmurHash2 of a key with Kafka's seed, as 32 bits without a sign."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    hashed = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        hashed = (hashed * multiplier & mask) ^ word
    rest = data[whole:]
    if rest:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * multiplier & mask
    hashed = (hashed ^ hashed >> 13) * multiplier & mask
    return hashed ^ hashed >> 15


def partition_of(key: bytes, n_partitions: int) -> int:
    """Return the partition in which the records of a key belong."""
    return (murmur2(key) & 0x7FFFFFFF) % n_partitions
