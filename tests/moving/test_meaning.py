"""When two canonical texts say the same."""

from __future__ import annotations

import pytest

from cio_pipelines.moving.meaning import says_the_same

SAME = {
    "escapes": (r'{"a":"\u00e9\/\u007f"}', '{"a":"é/\x7f"}'),
    "order": ('{"a":1,"b":2}', '{"b":2,"a":1}'),
    "spaces": ('{"a":[1,{"b":null}]}', '{"a": [1, {"b": null}]}'),
    "whole floats": ('{"a":2.0}', '{"a":2}'),
    "exponents": ('{"a":1e300}', '{"a":1e+300}'),
    "digits of one double": ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}'),
    "nested digits of one double": ('{"a":[0.30000000000000004]}', '{"a":[3.0000000000000004e-1]}'),
    "negative zero": ('{"a":-0.0}', '{"a":0}'),
    "trailing zeros of a decimal": ('{"d":1.50}', '{"d":1.5}'),
    "the same text that is no JSON": ('{"a":NaN}', '{"a":NaN}'),
}

OTHER = {
    "a value": ('{"a":1}', '{"a":2}'),
    "a name": ('{"a":1}', '{"b":1}'),
    "one more": ('{"a":1}', '{"a":1,"b":1}'),
    "null and nothing": ('{"a":{"b":null}}', '{"a":{}}'),
    "true and 1": ('{"a":true}', '{"a":1}'),
    "false and 0 in a list": ('{"a":[false]}', '{"a":[0]}'),
    "a number and its text": ('{"a":1}', '{"a":"1"}'),
    "integers of one double": ('{"a":9007199254740993}', '{"a":9007199254740992}'),
    "decimals of one double": ('{"d":0.1}', '{"d":0.1000000000000000055511151231257827}'),
    "nested decimals of one double": ('{"d":[1.00000000000000001]}', '{"d":[1.0]}'),
    "numbers beyond doubles": ('{"a":1e400}', '{"a":2e400}'),
    "order of a list": ('{"a":[1,2]}', '{"a":[2,1]}'),
    "letter case": ('{"a":"A"}', '{"a":"a"}'),
    "combining marks": ('{"a":"é"}', '{"a":"e\u0301"}'),
    "not a number": ('{"a":NaN}', '{"a": NaN}'),
    "too many digits": (f'{{"a":{"1" * 5000}}}', f'{{"a": {"1" * 5000}}}'),
    "too deep": (f'{{"a":{"[" * 100_000}', f'{{"a": {"[" * 100_000}'),
    "no object": ("[1]", "[1.0]"),
}


@pytest.mark.parametrize("name", SAME)
def test_texts_that_say_the_same(name: str) -> None:
    one, other = SAME[name]
    assert says_the_same(one, other, {"d"})
    assert says_the_same(other, one, {"d"})


@pytest.mark.parametrize("name", OTHER)
def test_texts_that_do_not(name: str) -> None:
    one, other = OTHER[name]
    assert not says_the_same(one, other, {"d"})
    assert not says_the_same(other, one, {"d"})
