"""For tests of durable functions: the real engine in memory, on a clock that jumps. See docs/guides/testing.md."""

from ._engine import TestEngine as TestEngine
from ._executed import Executed as Executed
