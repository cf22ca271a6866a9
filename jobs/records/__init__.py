"""Record changes in the transaction that makes them: the audit, and versions of definitions."""
