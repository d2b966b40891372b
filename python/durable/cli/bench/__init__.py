"""`durable bench`: what an engine, or a policy, does under load."""
