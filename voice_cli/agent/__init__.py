"""The agent: a resident process that speaks for every `voice say` of its user. See docs/AGENT.md.

`paths` and `turns` are used without the agent, too: they keep the order of all speeches of the user.
"""
