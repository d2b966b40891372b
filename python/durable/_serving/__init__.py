"""Functions that a `durable` server elsewhere calls over HTTP, in the protocol of the SDKs."""
