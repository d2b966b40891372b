"""The demo: what becomes of each commit of a git history, told in four durable functions.

Every `ctx.step` is remembered once it has returned: kill the process at any moment, start it again, and
it goes on behind the last step that returned. `durable demo` feeds it, and lets an hour pass in five
seconds.
"""

import asyncio
from datetime import UTC, datetime

from pydantic import BaseModel

import durable

from .ledger import Ledger


app = durable.App("commits")
ledger = Ledger()


class Commit(BaseModel):
    """What `repo/commit.pushed` says."""

    repo: str
    author: str
    files: int
    insertions: int
    deletions: int

    @property
    def lines(self) -> int:
        """How many lines it touched."""
        return self.insertions + self.deletions


class AuthorHour(BaseModel):
    """What `repo/hour.opened` says: an author's first commit in an hour."""

    author: str
    hour: int


commit_pushed = durable.EventType("repo/commit.pushed", Commit)
hour_opened = durable.EventType("repo/hour.opened", AuthorHour)


@app.function(on=commit_pushed)
async def classify(ctx: durable.Context[Commit]) -> str:
    """Names a commit's kind and enters it in a ledger."""
    commit, hour = ctx.event.data, (ctx.event.ts or 0) // 3_600_000
    kind = await ctx.step.run("name its kind", kind_of, commit)
    await ctx.step.run(
        "enter it in the ledger",
        ledger.enter,
        str(ctx.event.id),
        repo=commit.repo,
        author=commit.author,
        hour=hour,
        kind=kind,
        lines=commit.lines,
    )
    # An id of our own: for a day it starts nothing a second time, however often it is sent.
    opened = hour_opened.event(
        AuthorHour(author=commit.author, hour=hour), id=f"{commit.author} {hour}"
    )
    await ctx.step.run("open the author's hour", app.send, opened)
    return kind


@app.function(on=commit_pushed)
async def score(ctx: durable.Context[Commit]) -> float:
    """Scores a commit's risk in three parallel steps."""
    commit = ctx.event.data
    risks = await asyncio.gather(
        ctx.step.run("size", risk_of_size, commit),
        ctx.step.run("spread", risk_of_spread, commit),
        ctx.step.run("churn", risk_of_churn, commit),
    )
    risk = round(sum(risks) / len(risks), 2)
    await ctx.step.run("write it down", ledger.score, str(ctx.event.id), risk)
    return risk


@app.function(on=commit_pushed, retries=4)
async def review(ctx: durable.Context[Commit]) -> str:
    """Asks for a review; the service fails twice, then answers."""
    commit = ctx.event.data
    if commit.lines < 100:  # noqa: PLR2004  # a hundred lines
        return "too small to need one"

    async def ask() -> str:
        if ctx.attempt < 2:  # noqa: PLR2004  # it answers the third time
            text = "the review service is away"
            raise ConnectionError(text)
        return f"asked on try {ctx.attempt + 1}"

    asked = await ctx.step.run("ask for a review", ask)
    ctx.logger.info("review: %s, %s lines: %s", commit.author, commit.lines, asked)
    return asked


@app.function(on=hour_opened)
async def digest(ctx: durable.Context[AuthorHour]) -> str:
    """Sleeps for an hour, then sums up what an author did in it."""
    author, hour = ctx.event.data.author, ctx.event.data.hour
    await ctx.step.sleep("until the hour is over", "1h")
    commits, lines = await ctx.step.run("sum it up", ledger.hour_of, author, hour)
    text = f"{author} at {clock_of(hour)}: commits {commits}, lines {lines}"
    await ctx.step.run("send it", ledger.send_digest, author, hour, text)
    ctx.logger.info("digest: %s", text)
    return text


def kind_of(commit: Commit) -> str:
    """A commit's kind, by its numbers."""
    if commit.lines == 0:
        return "empty"
    if commit.deletions > 2 * commit.insertions:
        return "clean-up"
    if commit.insertions > 20 * commit.deletions and commit.lines > 50:  # noqa: PLR2004  # rules of thumb
        return "new code"
    return "rewrite" if commit.lines > 200 else "change"  # noqa: PLR2004  # another


def risk_of_size(commit: Commit) -> float:
    """How much is touched, from 0 to 1."""
    return min(commit.lines / 1000, 1.0)


def risk_of_spread(commit: Commit) -> float:
    """How many files are touched, from 0 to 1."""
    return min(commit.files / 50, 1.0)


def risk_of_churn(commit: Commit) -> float:
    """How much of it replaces what was there, from 0 to 1."""
    return min(commit.deletions / max(commit.lines, 1), 1.0)


def clock_of(hour: int) -> str:
    """An hour since the epoch as people write it."""
    return f"{datetime.fromtimestamp(hour * 3600, tz=UTC):%Y-%m-%d %H:00}"
