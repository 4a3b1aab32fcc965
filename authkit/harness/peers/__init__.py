"""The same work in other stacks, measured beside ours in one run."""
