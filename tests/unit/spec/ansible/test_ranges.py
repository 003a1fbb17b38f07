"""Host patterns."""

import pytest

from deployer.spec.ansible.ranges import MOST_HOSTS, expand

PATTERNS = [
    ("gpu", ["gpu"], None),
    ("gpu:2222", ["gpu"], "2222"),
    ("gpu[1:3]", ["gpu1", "gpu2", "gpu3"], None),
    ("gpu[:2]", ["gpu0", "gpu1", "gpu2"], None),
    ("gpu[01:03].lan:22", ["gpu01.lan", "gpu02.lan", "gpu03.lan"], "22"),
    ("gpu[08:11]", ["gpu08", "gpu09", "gpu10", "gpu11"], None),
    ("gpu[1:7:3]", ["gpu1", "gpu4", "gpu7"], None),
    ("db-[a:c]", ["db-a", "db-b", "db-c"], None),
    ("db-[a:f:2]", ["db-a", "db-c", "db-e"], None),
    ("r[1:2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"], None),
    ("10.0.0.[1:2]", ["10.0.0.1", "10.0.0.2"], None),
    ("2001:db8::1", ["2001:db8::1"], None),
    ("[2001:db8::1]:22", ["2001:db8::1"], "22"),
]


@pytest.mark.parametrize(("pattern", "names", "port"), PATTERNS)
def test_patterns(pattern, names, port):
    assert expand(pattern) == (names, port)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("a[1]", "a range is"), ("a[1:]", "no end"), ("a[1:2:3:4]", "a range is"), ("a[1:9:0]", "1 or more"),
        ("a[01:1]", "different lengths"), ("a[x:9]", "no number"), ("a[3:1]", "before it begins"),
        ("a[c:a]", "before it begins"), ("a[1:2", "no `]`"), ("a:", "port is missing"), ("a[١:٢]", "no number"),
        (f"a[0:{MOST_HOSTS}]", "more than 10,000"), ("a[1:101]b[1:100]", "more than 10,000"),
        ("a[1:" + "9" * 30 + "]", "no number"),
    ],
)  # fmt: skip
def test_what_is_no_pattern(pattern, reason):
    with pytest.raises(ValueError, match=reason):
        expand(pattern)


def test_as_many_hosts_as_may_be():
    assert len(expand(f"a[1:{MOST_HOSTS}]")[0]) == MOST_HOSTS
