"""What the native module says of limits becomes frozen values."""

from __future__ import annotations

from datetime import UTC, datetime

import durable
from durable._limits import read_limits, read_waits


def test_a_limit() -> None:
    json = (
        b'[{"policy":"throttle","key":"event.data.k","value":null,"scope":null,"limit":3,'
        b'"taken":null,"waiting":2,"left":0,"next_at_ms":1500,"run":null}]'
    )
    next_at = datetime.fromtimestamp(1.5, UTC)
    assert read_limits(json) == [
        durable.Limit(
            policy="throttle",
            key="event.data.k",
            limit=3,
            waiting=2,
            left=0,
            next_at=next_at,
        )
    ]


def test_a_wait() -> None:
    json = (
        b'[{"on":"sleep","step":"rest","key":null,"value":null,"scope":null,"limit":null,'
        b'"taken":null,"ahead":null,"at_ms":2000}]'
    )
    at = datetime.fromtimestamp(2, UTC)
    assert read_waits(json) == (durable.WaitingOn(on="sleep", step="rest", at=at),)
    assert read_waits(None) == ()
