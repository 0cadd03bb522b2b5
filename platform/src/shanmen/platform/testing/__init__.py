"""Test kit of the whole platform: scenarios with parties of their own, through public HTTP."""
