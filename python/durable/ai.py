"""Models that `ctx.step.ai.infer` asks: `durable.ai.OpenAI("gpt-5-mini")`, `durable.ai.Anthropic("claude-sonnet-4-5")`."""

from ._ai import Anthropic as Anthropic, Model as Model, OpenAI as OpenAI
from ._usage import Usage as Usage
