"""Job definitions: the one validator, the policies, the arguments, and the triggers of stored jobs."""
